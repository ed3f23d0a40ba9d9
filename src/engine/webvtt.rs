//! Reading WebVTT segments.
//!
//! W3C WebVTT §4 and §6 (file structure, parsing), RFC 8216 §3.5 (`X-TIMESTAMP-MAP`). Cue text is
//! kept as it stands; its tags are not looked into. Unlike a browser this reader refuses what is
//! not well formed: a segment is either kept whole or told to be wrong.

use crate::limits::CUE_COUNT_MAX;

/// A text that is no WebVTT segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VttError {
    /// It is not UTF-8.
    #[error("WebVTT is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// First byte that is not.
        offset: usize,
    },
    /// The first line does not begin with `WEBVTT`.
    #[error("WebVTT signature expected in line 1")]
    Signature,
    /// `X-TIMESTAMP-MAP` is not `MPEGTS:<ticks>,LOCAL:<time>` in either order.
    #[error("line {line}: X-TIMESTAMP-MAP needs MPEGTS and LOCAL")]
    TimestampMap {
        /// Line, from 1.
        line: usize,
    },
    /// A cue's times cannot be read, or it ends before it starts.
    #[error("line {line}: cue times expected as start --> end")]
    Timing {
        /// Line, from 1.
        line: usize,
    },
    /// More than [`CUE_COUNT_MAX`] cues.
    #[error("line {line}: more than {CUE_COUNT_MAX} cues")]
    TooManyCues {
        /// Line, from 1.
        line: usize,
    },
}

/// Which MPEG-TS time a cue time stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimestampMap {
    /// 90 kHz ticks, 33 bits.
    pub mpegts: u64,
    /// Milliseconds of cue time.
    pub local_ms: u64,
}

impl TimestampMap {
    /// The 33-bit MPEG-TS time of cue time zero.
    #[must_use]
    pub fn origin(self) -> i64 {
        let local = (self.local_ms % ((1 << 33) / 90)) * 90;
        ((self.mpegts + (1 << 33) - local % (1 << 33)) % (1 << 33)).cast_signed()
    }
}

/// One cue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// Its identifier line; empty where there is none.
    pub identifier: String,
    /// Start in milliseconds of cue time.
    pub start_ms: u64,
    /// End in milliseconds of cue time, not before the start.
    pub end_ms: u64,
    /// Its settings, as they stand.
    pub settings: String,
    /// Its text, lines separated by line feeds.
    pub text: String,
}

/// A WebVTT segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebVtt {
    /// Its `X-TIMESTAMP-MAP`, if there is one.
    pub timestamp_map: Option<TimestampMap>,
    /// `STYLE` and `REGION` blocks, as they stand.
    pub definitions: Vec<String>,
    /// Its cues in their order.
    pub cues: Vec<Cue>,
}

/// True where `head` begins like WebVTT, a byte order mark allowed.
#[must_use]
pub fn is_webvtt(head: &[u8]) -> bool {
    head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).starts_with(SIGNATURE.as_bytes())
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const SIGNATURE: &str = "WEBVTT";

/// Reads a WebVTT segment.
///
/// # Errors
///
/// [`VttError`] with the line that is wrong.
pub fn parse_webvtt(bytes: &[u8]) -> Result<WebVtt, VttError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| VttError::NotUtf8 { offset: error.valid_up_to() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Lines { rest: Some(text), line: 0 };
    let signature = lines.next().and_then(|line| line.strip_prefix(SIGNATURE));
    if !signature.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return Err(VttError::Signature);
    }
    let mut vtt = WebVtt::default();
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        if let Some(map) = line.strip_prefix("X-TIMESTAMP-MAP=") {
            let map = parse_map(map).ok_or(VttError::TimestampMap { line: lines.line })?;
            vtt.timestamp_map = Some(map);
        }
    }
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let is_block = |name: &str| line.strip_prefix(name).is_some_and(|r| r.trim().is_empty());
        if line == "NOTE" || line.starts_with("NOTE ") || line.starts_with("NOTE\t") {
            lines.block();
        } else if (is_block("STYLE") || is_block("REGION")) && vtt.cues.is_empty() {
            vtt.definitions.push(format!("{line}\n{}", lines.block()));
        } else if vtt.cues.len() == CUE_COUNT_MAX {
            return Err(VttError::TooManyCues { line: lines.line });
        } else {
            vtt.cues.push(parse_cue(line, &mut lines)?);
        }
    }
    Ok(vtt)
}

fn parse_cue(first: &str, lines: &mut Lines<'_>) -> Result<Cue, VttError> {
    let (identifier, timing) = if first.contains("-->") {
        ("", first)
    } else {
        (first, lines.next().ok_or(VttError::Timing { line: lines.line })?)
    };
    let wrong = VttError::Timing { line: lines.line };
    let (start, rest) = timing.split_once("-->").ok_or(wrong.clone())?;
    let rest = rest.trim();
    let (end, settings) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    match (parse_time(start.trim()), parse_time(end)) {
        (Some(start_ms), Some(end_ms)) if start_ms <= end_ms => Ok(Cue {
            identifier: identifier.to_owned(),
            start_ms,
            end_ms,
            settings: settings.trim().to_owned(),
            text: lines.block(),
        }),
        _ => Err(wrong),
    }
}

fn parse_map(map: &str) -> Option<TimestampMap> {
    let (mut mpegts, mut local) = (None, None);
    for part in map.split(',') {
        match part.trim().split_once(':')? {
            ("MPEGTS", ticks) => mpegts = ticks.trim().parse().ok().filter(|&t| t < 1_u64 << 33),
            ("LOCAL", time) => local = parse_time(time.trim()),
            _ => {}
        }
    }
    Some(TimestampMap { mpegts: mpegts?, local_ms: local? })
}

/// Milliseconds of `[hours:]minutes:seconds.milliseconds` (W3C WebVTT §4.1).
fn parse_time(time: &str) -> Option<u64> {
    let (clock, millis) = time.split_once('.')?;
    let (clock, seconds) = clock.rsplit_once(':')?;
    let (hours, minutes) = match clock.split_once(':') {
        Some((hours, minutes)) if hours.len() >= 2 => (digits(hours, hours.len())?, minutes),
        Some(_) => return None,
        None => (0, clock),
    };
    let (minutes, seconds) = (digits(minutes, 2)?, digits(seconds, 2)?);
    if minutes > 59 || seconds > 59 {
        return None;
    }
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + digits(millis, 3)?)
}

/// A number of exactly `count` decimal digits, of which more than nine are not believed.
fn digits(text: &str, count: usize) -> Option<u64> {
    let valid = text.len() == count && count <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok()).flatten()
}

/// Lines that end with CR LF, LF or CR, counted.
struct Lines<'a> {
    rest: Option<&'a str>,
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        self.line += 1;
        let Some((line, rest)) = text.split_once(['\r', '\n']) else {
            self.rest = None;
            return Some(text);
        };
        let ended_by_cr = text.as_bytes()[line.len()] == b'\r';
        self.rest = Some(if ended_by_cr { rest.strip_prefix('\n').unwrap_or(rest) } else { rest });
        Some(line)
    }

    /// The lines up to an empty one.
    fn block(&mut self) -> String {
        let mut block = String::new();
        while let Some(line) = self.next().filter(|line| !line.is_empty()) {
            if !block.is_empty() {
                block.push('\n');
            }
            block.push_str(line);
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEGMENT: &str = "\u{feff}WEBVTT - a title\r\nX-TIMESTAMP-MAP=LOCAL:00:00:01.000,\
        MPEGTS:900000\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\nNOTE\r\nnot shown\r\n\r\n\
        first\r\n00:01.500 --> 01:00:02.000 line:0 align:start\r\nHello\r\n<i>world</i>\r\n\r\n\
        \r\n00:00:03.000 --> 00:00:03.000\r\n";

    #[test]
    fn everything_a_segment_may_hold() {
        let vtt = parse_webvtt(SEGMENT.as_bytes()).expect("valid");
        let map = TimestampMap { mpegts: 900_000, local_ms: 1000 };
        assert_eq!(vtt.timestamp_map, Some(map));
        assert_eq!(map.origin(), 810_000);
        assert_eq!(vtt.definitions, ["STYLE\n::cue { color: red }"]);
        let [first, second] = &vtt.cues[..] else { panic!("two cues") };
        assert_eq!((first.start_ms, first.end_ms), (1500, 3_602_000));
        assert_eq!(first.identifier, "first");
        assert_eq!(first.settings, "line:0 align:start");
        assert_eq!(first.text, "Hello\n<i>world</i>");
        assert_eq!((second.start_ms, second.end_ms, second.text.as_str()), (3000, 3000, ""));
    }

    #[test]
    fn the_origin_lies_in_33_bits() {
        assert_eq!(TimestampMap { mpegts: 0, local_ms: 1 }.origin(), (1 << 33) - 90);
        assert!((0..1 << 33).contains(&TimestampMap { mpegts: 5, local_ms: u64::MAX }.origin()));
    }

    #[test]
    fn errors_tell_the_line() {
        let timing = |line| VttError::Timing { line };
        for (text, error) in [
            ("", VttError::Signature),
            ("WEBVTTX\n", VttError::Signature),
            ("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:1\n", VttError::TimestampMap { line: 2 }),
            ("WEBVTT\n\n00:01.000 --> 00:00.999\n", timing(3)),
            ("WEBVTT\n\nid\n", timing(4)),
            ("WEBVTT\n\nid\nnothing\n", timing(4)),
            ("WEBVTT\n\n00:61.000 --> 00:62.000\n", timing(3)),
            ("WEBVTT\n\n1:00:00.000 --> 00:62.000\n", timing(3)),
            ("WEBVTT\n\n00:01.00 --> 00:02.000\n", timing(3)),
        ] {
            assert_eq!(parse_webvtt(text.as_bytes()), Err(error), "{text:?}");
        }
        assert_eq!(parse_webvtt(b"WEBVTT \xff"), Err(VttError::NotUtf8 { offset: 7 }));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(WEBVTT\n)?[-0-9:.> \r\nSTYLENO,MX=é]{0,80}") {
            if let Ok(vtt) = parse_webvtt(text.as_bytes()) {
                prop_assert!(vtt.cues.iter().all(|cue| cue.start_ms <= cue.end_ms));
            }
        }

        #[test]
        fn a_truncated_segment_never_panics(size in 0..SEGMENT.len()) {
            let _ = parse_webvtt(&SEGMENT.as_bytes()[..size]);
        }
    }
}
