//! NAL units in a byte stream (ISO/IEC 14496-10 annex B, ISO/IEC 23008-2 annex B).

use memchr::memmem::Finder;

/// The three bytes in front of every NAL unit.
const START_CODE: &[u8] = &[0, 0, 1];

/// Finds NAL units; made once per track, since preparing a search costs more than a short one.
#[derive(Clone, Debug)]
pub(super) struct NalScanner {
    start_code: Finder<'static>,
}

impl Default for NalScanner {
    fn default() -> Self {
        Self { start_code: Finder::new(START_CODE) }
    }
}

impl NalScanner {
    /// The NAL units of `stream`, without start codes and trailing zero bytes, none empty. What
    /// precedes the first start code is passed over.
    pub(super) fn units<'a>(&'a self, stream: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.after_start_code(stream).unwrap_or_default();
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let unit = match self.start_code.find(rest) {
                    Some(at) => {
                        let unit = &rest[..at];
                        rest = &rest[at + START_CODE.len()..];
                        unit
                    }
                    None => std::mem::take(&mut rest),
                };
                let size = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                if size > 0 {
                    return Some(&unit[..size]);
                }
            }
            None
        })
    }

    /// Where the first NAL unit's start code is, its leading zero byte included, for which
    /// `wanted` holds of the unit's first byte.
    pub(super) fn find(&self, stream: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
        self.start_code
            .find_iter(stream)
            .find(|at| stream.get(at + START_CODE.len()).is_some_and(|&byte| wanted(byte)))
            .map(|at| if at > 0 && stream[at - 1] == 0 { at - 1 } else { at })
    }

    fn after_start_code<'a>(&self, stream: &'a [u8]) -> Option<&'a [u8]> {
        self.start_code.find(stream).map(|at| &stream[at + START_CODE.len()..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_lose_start_codes_and_trailing_zeros() {
        let stream = [9, 0, 0, 0, 1, 9, 16, 0, 0, 1, 0, 0, 1, 5, 7, 0, 0, 0, 0, 1, 6, 0];
        let scanner = NalScanner::default();
        let units: Vec<_> = scanner.units(&stream).collect();
        assert_eq!(units, [&[9, 16][..], &[5, 7], &[6]]);
        assert_eq!(scanner.find(&stream, |byte| byte == 5), Some(10));
        assert_eq!(scanner.find(&stream, |byte| byte == 9), Some(1));
    }

    #[test]
    fn a_stream_without_start_codes_has_no_units() {
        for stream in [&[][..], &[0], &[0, 0], &[0, 0, 1], &[1, 2, 3, 4], &[0, 0, 1, 0]] {
            assert_eq!(NalScanner::default().units(stream).count(), 0, "{stream:?}");
        }
    }
}
