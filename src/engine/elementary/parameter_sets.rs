//! The parameter sets of one video track in one segment.
//!
//! A track segment has one configuration that holds for all of its samples. A set may be repeated
//! and new ids may appear at any time; a set that returns with the same id and other content
//! begins another configuration, which cannot be told within the segment.

use crate::limits::{PARAMETER_SET_COUNT_MAX, PARAMETER_SET_SIZE_MAX};

/// What became of a parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is new, or replaces one that nothing was coded with yet.
    New,
    /// It is known.
    Repeated,
    /// It contradicts the set of this id that pictures were coded with.
    Contradiction,
    /// It is larger, or there are more, than the limits allow.
    TooMuch,
}

/// Sets of one kind, ordered by id.
#[derive(Clone, Debug, Default)]
pub(super) struct ParameterSets {
    sets: Vec<(u32, Vec<u8>)>,
}

impl ParameterSets {
    /// True where exactly this NAL unit is known.
    pub(super) fn contains(&self, nal: &[u8]) -> bool {
        self.sets.iter().any(|(_, known)| known == nal)
    }

    /// Takes up the set `nal` of `id`; `fixed` where pictures were coded with what is known.
    pub(super) fn note(&mut self, id: u32, nal: &[u8], fixed: bool) -> Noted {
        if nal.len() > PARAMETER_SET_SIZE_MAX {
            return Noted::TooMuch;
        }
        match self.sets.binary_search_by_key(&id, |(known, _)| *known) {
            Ok(at) if self.sets[at].1 == nal => Noted::Repeated,
            Ok(_) if fixed => Noted::Contradiction,
            Ok(at) => {
                nal.clone_into(&mut self.sets[at].1);
                Noted::New
            }
            Err(_) if self.sets.len() == PARAMETER_SET_COUNT_MAX => Noted::TooMuch,
            Err(at) => {
                self.sets.insert(at, (id, nal.to_owned()));
                Noted::New
            }
        }
    }

    /// True where no set is known.
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The NAL units, ordered by id.
    pub(super) fn into_units(self) -> Vec<Vec<u8>> {
        self.sets.into_iter().map(|(_, nal)| nal).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_told_once_pictures_depend_on_a_set() {
        let mut sets = ParameterSets::default();
        assert_eq!(sets.note(3, b"three", false), Noted::New);
        assert_eq!(sets.note(3, b"other", false), Noted::New);
        assert_eq!(sets.note(1, b"one", true), Noted::New);
        assert_eq!(sets.note(3, b"other", true), Noted::Repeated);
        assert_eq!(sets.note(3, b"three", true), Noted::Contradiction);
        assert!(sets.contains(b"one") && !sets.contains(b"three"));
        assert_eq!(sets.into_units(), [b"one".to_vec(), b"other".to_vec()]);
    }

    #[test]
    fn sets_are_bounded_in_size_and_number() {
        let mut sets = ParameterSets::default();
        assert_eq!(sets.note(0, &[0; PARAMETER_SET_SIZE_MAX + 1], false), Noted::TooMuch);
        for id in 0..40 {
            let noted = sets.note(id, b"set", false);
            assert_eq!(noted == Noted::TooMuch, sets.sets.len() <= id as usize);
        }
        assert_eq!(sets.sets.len(), PARAMETER_SET_COUNT_MAX);
    }
}
