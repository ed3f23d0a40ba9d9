//! Pieces of text that manifests are written from, without formatting machinery: a window of a day
//! is 43 200 segments.

use crate::units::MediaTime;

/// Appends a decimal integer.
pub(super) fn push_integer(out: &mut String, value: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Appends `value` with leading zeros up to `width` digits.
fn push_padded(out: &mut String, value: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value);
    out.extend(std::iter::repeat_n('0', width.saturating_sub(digits.len())));
    out.push_str(digits);
}

/// Appends a URL hash as eight hex digits.
pub(super) fn push_hash(out: &mut String, hash: u32) {
    for shift in (0..8).rev() {
        out.extend(char::from_digit(hash >> (4 * shift) & 0xf, 16));
    }
}

/// Appends a fraction with three decimals, rounded to the nearest; `denominator` is not 0.
pub(super) fn push_thousandths(out: &mut String, numerator: u64, denominator: u64) {
    let thousandths = (2000 * numerator + denominator) / (2 * denominator);
    push_integer(out, thousandths / 1000);
    out.push('.');
    push_padded(out, thousandths % 1000, 3);
}

/// Microseconds of a 90 kHz instant, floored.
fn micros(time: MediaTime) -> i64 {
    time.ticks().div_euclid(9) * 100 + time.ticks().rem_euclid(9) * 100 / 9
}

/// Appends the seconds from `start` to `end` with six decimals. Both ends are floored, so that the
/// durations of adjoining segments add up to the microsecond.
pub(super) fn push_seconds_between(out: &mut String, start: MediaTime, end: MediaTime) {
    let span = u64::try_from(micros(end) - micros(start)).unwrap_or(0);
    push_integer(out, span / 1_000_000);
    out.push('.');
    push_padded(out, span % 1_000_000, 6);
}

/// Appends an ISO 8601 duration: `PT6S`, `PT6.006S`.
pub(super) fn push_duration(out: &mut String, micros: u64) {
    out.push_str("PT");
    push_integer(out, micros / 1_000_000);
    if !micros.is_multiple_of(1_000_000) {
        out.push('.');
        push_padded(out, micros % 1_000_000, 6);
        while out.ends_with('0') {
            out.pop();
        }
    }
    out.push('S');
}

/// Microseconds of a span of 90 kHz ticks, floored; 0 where it is negative.
pub(super) fn span_micros(span: MediaTime) -> u64 {
    u64::try_from(micros(span)).unwrap_or(0)
}

/// Appends `2026-11-23T12:00:00.000Z` for an instant in 90 kHz ticks since 1970, floored to a
/// millisecond.
pub(super) fn push_date_time(out: &mut String, wall: MediaTime) {
    let millis = wall.ticks().div_euclid(90);
    let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    let date = jiff::tz::Offset::UTC.to_datetime(instant);
    let fields = [
        (i64::from(date.year()), 4, '-'),
        (i64::from(date.month()), 2, '-'),
        (i64::from(date.day()), 2, 'T'),
        (i64::from(date.hour()), 2, ':'),
        (i64::from(date.minute()), 2, ':'),
        (i64::from(date.second()), 2, '.'),
        (i64::from(date.millisecond()), 3, 'Z'),
    ];
    for (value, width, separator) in fields {
        push_padded(out, value.unsigned_abs(), width);
        out.push(separator);
    }
}

/// Appends an HLS quoted string (RFC 8216 §4.2), without what may not stand in one.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    out.extend(text.chars().filter(|&c| c != '"' && !c.is_control()));
    out.push('"');
}

/// Appends ` name="value"`, escaped for XML 1.0 §2.4.
pub(super) fn push_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    push_escaped(out, value);
    out.push('"');
}

/// Appends ` name="value"` of an integer.
pub(super) fn push_integer_attribute(out: &mut String, name: &str, value: impl itoa::Integer) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    push_integer(out, value);
    out.push('"');
}

/// Appends ` name="PT…S"`.
pub(super) fn push_duration_attribute(out: &mut String, name: &str, micros: u64) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    push_duration(out, micros);
    out.push('"');
}

/// Appends character data escaped for XML; control characters cannot stand in it.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        push(&mut out);
        out
    }

    #[test]
    fn numbers_and_times() {
        let time = |ticks| MediaTime(ticks);
        assert_eq!(written(|out| push_hash(out, 0x00ab_12f0)), "00ab12f0");
        assert_eq!(written(|out| push_seconds_between(out, time(1), time(540_541))), "6.006000");
        assert_eq!(written(|out| push_seconds_between(out, time(0), time(1))), "0.000011");
        assert_eq!(written(|out| push_thousandths(out, 30_000, 1001)), "29.970");
        assert_eq!(written(|out| push_duration(out, 6_000_000)), "PT6S");
        assert_eq!(written(|out| push_duration(out, 6_006_000)), "PT6.006S");
        assert_eq!(written(|out| push_duration(out, 10)), "PT0.00001S");
        let wall = time(1_795_435_200 * 90_000 + 45_089);
        assert_eq!(written(|out| push_date_time(out, wall)), "2026-11-23T12:00:00.500Z");
        assert_eq!(written(|out| push_date_time(out, time(0))), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn strangers_text_is_made_harmless() {
        assert_eq!(written(|out| push_quoted(out, "a\"b\r\n#c")), "\"ab#c\"");
        assert_eq!(written(|out| push_escaped(out, "<a&\"\u{1}>")), "&lt;a&amp;&quot;&gt;");
    }
}
