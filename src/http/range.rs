//! Range requests (RFC 9110 §14): which bytes of a representation are asked for.

use super::conditional::range_applies;
use super::request::parse_decimal;
use crate::limits::{RANGE_COUNT_MAX, RANGE_SPEC_COUNT_MAX};
use std::ops::Range;

/// The answer to a Range field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// The whole representation, by 200: no range was asked for, the condition does not hold, or
    /// the field is malformed or asks for too many (RFC 9110 §14.2 lets it be ignored).
    Whole,
    /// One to [`RANGE_COUNT_MAX`] byte ranges, by 206: within the size, neither empty nor
    /// overlapping nor touching, in the order asked for.
    Parts(Vec<Range<u64>>),
    /// None of the ranges overlaps the representation, by 416.
    Unsatisfiable,
}

/// Evaluates a Range field of a GET for a representation of `size` bytes and tag `etag` (with its
/// quotes).
#[must_use]
pub fn evaluate(range: Option<&str>, if_range: Option<&str>, etag: &str, size: u64) -> Ranges {
    let Some(range) = range.filter(|_| range_applies(if_range, etag)) else {
        return Ranges::Whole;
    };
    let Some(specs) = split_unit(range) else { return Ranges::Whole };
    let mut parts = Vec::new();
    for (index, spec) in specs.split(',').map(str::trim_ascii).enumerate() {
        if index == RANGE_SPEC_COUNT_MAX {
            return Ranges::Whole;
        }
        match parse_spec(spec, size) {
            None => return Ranges::Whole,
            Some(part) if part.is_empty() => {}
            Some(part) => add_coalesced(&mut parts, part),
        }
    }
    match parts.len() {
        0 => Ranges::Unsatisfiable,
        1..=RANGE_COUNT_MAX => Ranges::Parts(parts),
        _ => Ranges::Whole,
    }
}

/// What follows `bytes=`; other units are not known here.
fn split_unit(range: &str) -> Option<&str> {
    let (unit, specs) = range.split_once('=')?;
    unit.trim_ascii().eq_ignore_ascii_case("bytes").then_some(specs)
}

/// `first-last`, `first-` or `-suffix` as a range cut to `size`, empty where it is beyond it;
/// `None` where it is malformed. Numbers beyond 64 bits are as good as the largest.
fn parse_spec(spec: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        return Some(size - parse_position(last)?.min(size)..size);
    }
    let first = parse_position(first)?;
    let last = if last.is_empty() { u64::MAX } else { parse_position(last)? };
    if last < first {
        return None;
    }
    let end = last.saturating_add(1).min(size);
    Some(first.min(end)..end)
}

/// Decimal digits, capped at the largest number.
fn parse_position(digits: &str) -> Option<u64> {
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| parse_decimal(digits.as_bytes()).unwrap_or(u64::MAX))
}

/// Adds `part`, joined with every part it overlaps or touches, in the place of the first of them.
fn add_coalesced(parts: &mut Vec<Range<u64>>, mut part: Range<u64>) {
    let mut place = parts.len();
    // What is joined to `part` may reach others that `part` alone did not.
    while let Some(met) = parts.iter().position(|p| p.start <= part.end && part.start <= p.end) {
        let joined = parts.remove(met);
        part = part.start.min(joined.start)..part.end.max(joined.end);
        place = place.min(met);
    }
    parts.insert(place.min(parts.len()), part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_1000(range: &str) -> Ranges {
        evaluate(Some(range), None, "\"e\"", 1000)
    }

    fn parts<const N: usize>(expected: [(u64, u64); N]) -> Ranges {
        Ranges::Parts(expected.iter().map(|(start, end)| *start..*end).collect())
    }

    #[test]
    fn single_ranges() {
        let cases = [
            ("bytes=0-0", parts([(0, 1)])),
            ("bytes=0-499", parts([(0, 500)])),
            ("Bytes = 10-", parts([(10, 1000)])),
            ("bytes=-1", parts([(999, 1000)])),
            ("bytes=-5000", parts([(0, 1000)])),
            ("bytes=999-1000", parts([(999, 1000)])),
            ("bytes=0-18446744073709551615", parts([(0, 1000)])),
            ("bytes=0-99999999999999999999999", parts([(0, 1000)])),
            ("bytes=-99999999999999999999999", parts([(0, 1000)])),
            ("bytes=1000-", Ranges::Unsatisfiable),
            ("bytes=1000-2000", Ranges::Unsatisfiable),
            ("bytes=18446744073709551615-", Ranges::Unsatisfiable),
            ("bytes=99999999999999999999-99999999999999999999", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=5-4", Ranges::Whole),
            ("bytes=", Ranges::Whole),
            ("bytes=-", Ranges::Whole),
            ("bytes=a-b", Ranges::Whole),
            ("bytes=+1-2", Ranges::Whole),
            ("bytes=1--2", Ranges::Whole),
            ("bytes=0x0-1", Ranges::Whole),
            ("bytes", Ranges::Whole),
            ("seconds=0-1", Ranges::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(of_1000(range), expected, "{range:?}");
        }
        assert_eq!(evaluate(None, None, "\"e\"", 1000), Ranges::Whole);
        assert_eq!(evaluate(Some("bytes=0-"), None, "\"e\"", 0), Ranges::Unsatisfiable);
        assert_eq!(evaluate(Some("bytes=-1"), None, "\"e\"", 0), Ranges::Unsatisfiable);
    }

    #[test]
    fn several_ranges_are_coalesced_and_bounded() {
        let cases = [
            ("bytes=0-1, 5-6", parts([(0, 2), (5, 7)])),
            ("bytes=5-6,0-1", parts([(5, 7), (0, 2)])),
            ("bytes=0-1,2-3", parts([(0, 4)])),
            ("bytes=0-9,5-20,900-", parts([(0, 21), (900, 1000)])),
            ("bytes=0-1,10-11,20-21,1-10", parts([(0, 12), (20, 22)])),
            ("bytes=0-1,10-11,1-20,5000-", parts([(0, 21)])),
            ("bytes=0-0,2-2,4-4,6-6", parts([(0, 1), (2, 3), (4, 5), (6, 7)])),
            ("bytes=0-0,2-2,4-4,6-6,8-8", Ranges::Whole),
            ("bytes=5000-,6000-", Ranges::Unsatisfiable),
            ("bytes=0-0,x", Ranges::Whole),
            ("bytes=0-0,", Ranges::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(of_1000(range), expected, "{range:?}");
        }
        let same = |count: usize| format!("bytes=0-0{}", ",0-0".repeat(count - 1));
        assert_eq!(of_1000(&same(RANGE_SPEC_COUNT_MAX)), parts([(0, 1)]));
        assert_eq!(of_1000(&same(RANGE_SPEC_COUNT_MAX + 1)), Ranges::Whole);
    }

    #[test]
    fn a_condition_that_does_not_hold_gives_the_whole() {
        let with = |if_range| evaluate(Some("bytes=0-0"), Some(if_range), "\"e\"", 1000);
        assert_eq!(with("\"e\""), parts([(0, 1)]));
        assert_eq!(with("\"f\""), Ranges::Whole);
        assert_eq!(with("W/\"e\""), Ranges::Whole);
    }

    proptest! {
        #[test]
        fn parts_cover_exactly_what_was_asked_for(
            asked in prop::collection::vec((0_u64..120, 0_u64..120), 1..12),
            size in 0_u64..100,
        ) {
            let asked: Vec<_> = asked.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
            let specs: Vec<_> = asked.iter().map(|(a, b)| format!("{a}-{b}")).collect();
            let range = format!("bytes={}", specs.join(","));
            let wanted =
                |at: u64| at < size && asked.iter().any(|(a, b)| (*a..=*b).contains(&at));
            let wanted: Vec<u64> = (0..size).filter(|at| wanted(*at)).collect();
            match evaluate(Some(&range), None, "\"e\"", size) {
                Ranges::Unsatisfiable => prop_assert!(wanted.is_empty()),
                Ranges::Whole => prop_assert!(wanted.len() > RANGE_COUNT_MAX),
                Ranges::Parts(parts) => {
                    let mut given: Vec<u64> = parts.into_iter().flatten().collect();
                    given.sort_unstable();
                    prop_assert_eq!(given, wanted);
                }
            }
        }

        #[test]
        fn any_field_is_judged(range in "(bytes=)?[0-9,\\- ]{0,60}", size: u64) {
            if let Ranges::Parts(parts) = evaluate(Some(&range), None, "\"e\"", size) {
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= size));
            }
        }
    }
}
