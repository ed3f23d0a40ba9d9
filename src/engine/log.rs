//! A persistent sequence: cheap to copy, grown at the back, shrunk at the front.
//!
//! Publishing a window must cost the same for a minute and for 14 days, and a snapshot must not
//! change under its readers. Full blocks of `BLOCK` entries lie behind counted pointers in groups
//! of `BLOCK`; the newest entries are in a tail of their own. A clone copies one pointer per 4 096
//! entries, a push copies the tail at most: what has been there for long is not touched.
//!
//! Two sequences that began at places of their own in the blocks ([`Log::starting_at`]) become one
//! by sharing blocks ([`Log::prepend`]): what is put before a window costs the window nothing.

use std::collections::VecDeque;
use std::sync::Arc;

/// Entries of a block, and blocks of a group.
const BLOCK: usize = 64;
const GROUP: usize = BLOCK * BLOCK;

type Block<T> = Arc<Vec<T>>;
type Group<T> = Arc<Vec<Block<T>>>;

/// The sequence. Positions count from the current front.
#[derive(Clone, Debug)]
pub struct Log<T> {
    groups: VecDeque<Group<T>>,
    /// The entries after the last full block, fewer than [`BLOCK`].
    tail: Block<T>,
    /// Entries of the first group that are gone.
    skipped: usize,
    len: usize,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { groups: VecDeque::new(), tail: Block::default(), skipped: 0, len: 0 }
    }
}

impl<T: Clone> Log<T> {
    /// A sequence of one entry that lies at `place` in the blocks, counted on from any multiple of
    /// 4 096: where entries are numbered and the number is taken for it, equal numbers of two
    /// sequences lie at equal places.
    #[must_use]
    pub fn starting_at(place: u64, first: T) -> Self {
        let skipped = usize::try_from(place % GROUP as u64).expect("less than a group");
        let mut groups = VecDeque::new();
        if skipped >= BLOCK {
            groups.push_back(Arc::new(vec![Block::default(); skipped / BLOCK]));
        }
        // What lies before the front is never looked at.
        let tail = Arc::new(vec![first.clone(); skipped % BLOCK]);
        let mut log = Self { groups, tail, skipped, len: 0 };
        log.push(first);
        log
    }

    /// Puts `older` before what is held. Both share its blocks from then on, apart from the one
    /// that they meet in.
    ///
    /// # Panics
    ///
    /// If `older` does not end at the place where this begins: places are our own state.
    pub fn prepend(&mut self, older: &Self) {
        if older.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = older.clone();
            return;
        }
        let end = older.skipped + older.len;
        assert!(end % GROUP == self.skipped % GROUP, "they meet");
        let (full, at) = (self.skipped / BLOCK, self.skipped % BLOCK);
        if at > 0 {
            let is_full = self.groups.front().is_some_and(|group| group.len() > full);
            let newer = if is_full {
                &mut Arc::make_mut(&mut self.groups[0])[full]
            } else {
                &mut self.tail
            };
            *newer = Arc::new([&older.tail[..at], &newer[at..]].concat());
        }
        let mut groups = older.groups.clone();
        if full > 0 {
            let last = groups.pop_back().expect("blocks lie in a group");
            match self.groups.front_mut() {
                Some(first) => Arc::make_mut(first)[..full].clone_from_slice(&last[..full]),
                None => self.groups.push_front(last),
            }
        }
        groups.append(&mut self.groups);
        self.groups = groups;
        self.skipped = older.skipped;
        self.len += older.len;
    }

    /// Entries held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True where nothing is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry at `position`, counted from the front.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&T> {
        if position >= self.len {
            return None;
        }
        let at = position + self.skipped;
        match at.checked_sub(self.tail_start()) {
            Some(at) => self.tail.get(at),
            None => self.groups.get(at / GROUP)?.get(at % GROUP / BLOCK)?.get(at % BLOCK),
        }
    }

    /// Where the tail begins, counted as `skipped` is: a whole number of blocks.
    fn tail_start(&self) -> usize {
        self.skipped + self.len - self.tail.len()
    }

    /// The newest entry.
    #[must_use]
    pub fn last(&self) -> Option<&T> {
        self.len.checked_sub(1).and_then(|position| self.get(position))
    }

    /// The oldest entry.
    #[must_use]
    pub fn first(&self) -> Option<&T> {
        self.get(0)
    }

    /// Appends an entry.
    pub fn push(&mut self, entry: T) {
        let start = self.tail_start();
        Arc::make_mut(&mut self.tail).push(entry);
        self.len += 1;
        if self.tail.len() == BLOCK {
            if start.is_multiple_of(GROUP) {
                self.groups.push_back(Group::default());
            }
            let full = std::mem::take(&mut self.tail);
            Arc::make_mut(&mut self.groups[start / GROUP]).push(full);
        }
    }

    /// Drops the oldest entry.
    pub fn pop_front(&mut self) {
        if self.len == 0 {
            return;
        }
        self.skipped += 1;
        self.len -= 1;
        if self.skipped.is_multiple_of(BLOCK) {
            // The block's last entry went: let its memory go before the group's.
            let group = Arc::make_mut(&mut self.groups[0]);
            group[self.skipped / BLOCK - 1] = Block::default();
        }
        if self.skipped == GROUP {
            self.groups.pop_front();
            self.skipped = 0;
        }
    }

    /// Replaces the entry at `position`; snapshots taken before keep the old one.
    ///
    /// # Panics
    ///
    /// If there is none: positions are our own state.
    pub fn set(&mut self, position: usize, entry: T) {
        assert!(position < self.len);
        let at = position + self.skipped;
        if let Some(at) = at.checked_sub(self.tail_start()) {
            Arc::make_mut(&mut self.tail)[at] = entry;
            return;
        }
        let group = Arc::make_mut(&mut self.groups[at / GROUP]);
        Arc::make_mut(&mut group[at % GROUP / BLOCK])[at % BLOCK] = entry;
    }

    /// Entries from `position` to the newest.
    #[must_use]
    pub fn iter_from(&self, position: usize) -> impl DoubleEndedIterator<Item = &T> {
        (position.min(self.len)..self.len).filter_map(|at| self.get(at))
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.iter_from(0)
    }

    /// The first position whose entry does not satisfy `before`; entries must be sorted by it.
    pub fn partition_point(&self, before: impl FnMut(&T) -> bool) -> usize {
        self.partition_point_from(0, before)
    }

    /// The same among those from `position` on, which alone must be sorted by it.
    pub fn partition_point_from(
        &self,
        position: usize,
        mut before: impl FnMut(&T) -> bool,
    ) -> usize {
        let (mut low, mut high) = (position.min(self.len), self.len);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.get(middle).is_some_and(&mut before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Pop,
        Set(usize),
        Snapshot,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (1..=255_u8).prop_map(Step::Push),
            2 => Just(Step::Pop),
            1 => any::<usize>().prop_map(Step::Set),
            1 => Just(Step::Snapshot),
        ]
    }

    proptest! {
        /// Against a plain deque, with snapshots that must not change afterwards. A push step
        /// appends many entries so that blocks and groups are crossed.
        #[test]
        fn behaves_as_a_deque(steps in prop::collection::vec(any_step(), 0..60)) {
            let (mut log, mut model) = (Log::default(), VecDeque::new());
            let mut snapshots = Vec::new();
            for (serial, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(count) => for entry in 0..usize::from(count) * 3 {
                        log.push((serial, entry));
                        model.push_back((serial, entry));
                    },
                    Step::Pop => for _ in 0..200 {
                        log.pop_front();
                        model.pop_front();
                    },
                    Step::Set(at) => if !model.is_empty() {
                        let at = at % model.len();
                        log.set(at, (serial, usize::MAX));
                        model[at] = (serial, usize::MAX);
                    },
                    Step::Snapshot => snapshots.push((log.clone(), model.clone())),
                }
            }
            snapshots.push((log, model));
            for (log, model) in snapshots {
                prop_assert_eq!(log.len(), model.len());
                prop_assert!(log.iter().eq(model.iter()));
                prop_assert_eq!(log.last(), model.back());
                prop_assert_eq!(log.first(), model.front());
            }
        }
    }

    proptest! {
        /// A row of numbers that is cut in two, of which each part is read by itself, is one again;
        /// and goes on as if it had never been cut.
        #[test]
        fn parts_that_meet_become_one(
            first in 0_u64..20_000,
            older in 0_u64..10_000,
            newer in 1_u64..10_000,
            dropped in 0_usize..200,
        ) {
            let row = |from: u64, count: u64| {
                let mut numbers = from..from + count;
                let mut log = numbers.next().map_or_else(Log::default, |number| {
                    Log::starting_at(number, number)
                });
                numbers.for_each(|number| log.push(number));
                log
            };
            let mut log = row(first + older, newer);
            let front = row(first, older);
            let shown = log.clone();
            log.prepend(&front);
            prop_assert!(log.iter().copied().eq(first..first + older + newer));
            prop_assert!(front.iter().copied().eq(first..first + older));
            prop_assert!(shown.iter().copied().eq(first + older..first + older + newer));
            (0..dropped).for_each(|_| log.pop_front());
            let end = first + older + newer;
            (end..end + 5_000).for_each(|number| log.push(number));
            let kept = (first + dropped as u64).min(end)..end + 5_000;
            prop_assert!(log.iter().copied().eq(kept));
        }
    }

    #[test]
    fn partition_point_finds_the_first_later_entry() {
        let mut log = Log::default();
        (0..1000).for_each(|entry| log.push(entry));
        (0..300).for_each(|_| log.pop_front());
        for limit in [0, 300, 301, 777, 999, 5000] {
            let expected = log.iter().filter(|&&entry| entry < limit).count();
            assert_eq!(log.partition_point(|&entry| entry < limit), expected);
        }
    }
}
