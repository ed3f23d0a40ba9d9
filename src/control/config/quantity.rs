//! Texts with a unit: sizes (`64MiB`), durations (`1s`) and the rational segment duration.

use std::time::Duration;

const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
const DURATIONS_MS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Bytes of `512B`, `64KiB`, `64MiB`, `1GiB`. `None` for anything else, or beyond 64 bits.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    parse_with_unit(text, &SIZES)
}

/// The time span `250ms`, `1s`, `5m`, `2h`, `14d`. `None` for anything else.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse_with_unit(text, &DURATIONS_MS).map(Duration::from_millis)
}

fn parse_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Ticks and ticks per second of `180180/90000`; both above zero and within 32 bits.
#[must_use]
pub fn parse_ratio(text: &str) -> Option<(u32, u32)> {
    let (ticks, timescale) = text.split_once('/')?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !(digits(ticks) && digits(timescale)) {
        return None;
    }
    let (ticks, timescale) = (ticks.parse().ok()?, timescale.parse().ok()?);
    (ticks > 0 && timescale > 0).then_some((ticks, timescale))
}

/// Milliseconds of `-12.5`: whole seconds of at most nine digits with a sign or none, and at most
/// three decimals. `None` for anything else.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || whole.len() > 9 || decimals.len() > 3 {
        return None;
    }
    let thousandths: i64 = format!("{decimals:0<3}").parse().ok()?;
    Some(sign * (whole.parse::<i64>().ok()? * 1000 + thousandths))
}

/// `bytes` in the largest unit that holds it exactly.
#[must_use]
pub fn write_size(bytes: u64) -> String {
    let whole = |(_, factor): &&(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    let unit = SIZES.iter().filter(whole).max_by_key(|(_, factor)| *factor);
    let (name, factor) = unit.unwrap_or(&("B", 1));
    format!("{}{name}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds() {
        let cases = [
            ("0", Some(0)),
            ("-12.5", Some(-12_500)),
            ("+7", Some(7_000)),
            ("1.025", Some(1_025)),
            ("1.0255", None),
            (".5", None),
            ("5.", None),
            ("1e3", None),
            ("inf", None),
            ("", None),
            ("-", None),
            ("1000000000", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("1GiB", Some(1 << 30)),
            ("64 MiB", Some(64 << 20)),
            ("3KiB", Some(3072)),
            ("17B", Some(17)),
            ("17", None),
            ("1GB", None),
            ("-1GiB", None),
            ("GiB", None),
            ("", None),
            ("1.5GiB", None),
            ("99999999999GiB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), expected, "{text:?}");
        }
    }

    #[test]
    fn durations() {
        let cases = [
            ("250ms", Some(250)),
            ("1s", Some(1000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("14d", Some(1_209_600_000)),
            ("1", None),
            ("1w", None),
            ("s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn ratios() {
        assert_eq!(parse_ratio("180180/90000"), Some((180_180, 90_000)));
        for text in ["180180", "0/90000", "1/0", "+1/2", "1/2/3", "a/b", "/", "9999999999/1"] {
            assert_eq!(parse_ratio(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_size_reads_back(bytes in 0u64..=u64::MAX) {
            prop_assert_eq!(parse_size(&write_size(bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_judged(text in ".*") {
            let _ = (parse_size(&text), parse_duration(&text), parse_ratio(&text));
        }
    }
}
