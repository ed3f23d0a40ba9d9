//! Dates and decimal numbers as playlists write them.

use crate::units::{MediaTime, WallClock};

/// Digits behind the point that a 90 kHz tick can depend on, with room to round.
const FRACTION_DIGITS_MAX: usize = 12;

/// An ISO 8601 date and time (RFC 8216 §4.3.2.6) with `Z`, `+01:00`, `+0100` or no zone, which is
/// read as UTC.
#[must_use]
pub fn parse_date_time(text: &str) -> Option<WallClock> {
    let timestamp = text.parse::<jiff::Timestamp>().or_else(|_| {
        let local: jiff::civil::DateTime = text.parse()?;
        jiff::tz::Offset::UTC.to_timestamp(local)
    });
    timestamp.ok().map(|timestamp| WallClock(timestamp.as_microsecond()))
}

/// Decimal seconds in 90 kHz ticks, rounded to the nearest; `None` for anything but digits and one
/// point, or for more than `seconds_max`.
pub(super) fn parse_seconds(text: &str, seconds_max: u32) -> Option<MediaTime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let seconds: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    if seconds > u64::from(seconds_max) {
        return None;
    }
    let (mut numerator, mut denominator) = (0_u64, 1_u64);
    for digit in fraction.bytes().take(FRACTION_DIGITS_MAX) {
        numerator = numerator * 10 + u64::from(digit - b'0');
        denominator *= 10;
    }
    // At most 2 × 10^12 × 90 000 + 10^12, which is under 2^63.
    let ticks = (2 * numerator * 90_000 + denominator) / (2 * denominator);
    i64::try_from(seconds * 90_000 + ticks).ok().map(MediaTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times_with_every_zone() {
        let noon = Some(WallClock(1_795_435_200_000_000));
        for (text, expected) in [
            ("2026-11-23T12:00:00Z", noon),
            ("2026-11-23T12:00:00.000Z", noon),
            ("2026-11-23T12:00:00.000+0000", noon),
            ("2026-11-23T13:00:00+01:00", noon),
            ("2026-11-23T06:30:00.000-0530", noon),
            ("2026-11-23T12:00:00", noon),
            ("2026-11-23T12:00:00.123456Z", Some(WallClock(1_795_435_200_123_456))),
            ("2026-13-23T12:00:00Z", None),
            ("noon", None),
            ("", None),
        ] {
            assert_eq!(parse_date_time(text), expected, "{text}");
        }
    }

    #[test]
    fn seconds_are_exact_in_ticks() {
        for (text, expected) in [
            ("2.002", Some(180_180)),
            ("2.002000", Some(180_180)),
            ("6", Some(540_000)),
            ("6.", Some(540_000)),
            (".5", Some(45_000)),
            ("1.001333333333333333333", Some(90_120)),
            ("0.000011", Some(1)),
            ("0.000005", Some(0)),
            ("0.999999999999999", Some(90_000)),
            ("60.0", Some(5_400_000)),
            ("61", None),
            ("99999999999999999999", None),
            ("-1", None),
            ("1e3", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(parse_seconds(text, 60), expected.map(MediaTime), "{text}");
        }
    }
}
