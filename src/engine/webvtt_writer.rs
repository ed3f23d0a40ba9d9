//! Writes WebVTT segments (W3C WebVTT; RFC 8216 §3.5) on the media timeline.
//!
//! The source maps cues to its own clock. Output segments carry a map of their own, taken from
//! media time alone, so that neither a wrapped nor an absent source map reaches a player. Parsing
//! is done elsewhere.

use crate::engine::text::{TICKS_PER_MILLISECOND, TextPart, milliseconds, visible_cues};
use crate::engine::webvtt::Cue;
use crate::units::MediaTime;
use std::collections::BTreeSet;
use std::io::Write;

/// The WebVTT segment of all cues of `parts` that are seen in `[start, end)`, by their times.
///
/// A cue keeps its times in every segment that repeats it, to the millisecond, for players know
/// a repeated cue by them. So LOCAL zero is the segment's start, or that of a cue that began
/// before it, floored to a whole millisecond of media time. A cue that several parts repeat is
/// written once.
#[must_use]
pub fn write_webvtt_segment(parts: &[TextPart<'_>], start: MediaTime, end: MediaTime) -> Vec<u8> {
    let cues = visible_cues(parts, start, end);
    let zero = cues.first().map_or(i64::MAX, |cue| cue.from).min(milliseconds(start));
    let clock = (zero * TICKS_PER_MILLISECOND).rem_euclid(1 << 33);
    let mut out =
        format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{clock},LOCAL:00:00:00.000\n").into_bytes();
    let mut definitions = BTreeSet::new();
    for block in parts.iter().flat_map(|part| &part.content.definitions) {
        if definitions.insert(block) {
            out.push(b'\n');
            out.extend_from_slice(block.as_bytes());
            out.push(b'\n');
        }
    }
    for cue in cues {
        write_cue(&mut out, cue.from - zero, cue.to - zero, cue.cue);
    }
    out
}

fn write_cue(out: &mut Vec<u8>, from: i64, to: i64, cue: &Cue) {
    out.push(b'\n');
    if !cue.identifier.is_empty() {
        out.extend_from_slice(cue.identifier.as_bytes());
        out.push(b'\n');
    }
    write_time(out, from);
    out.extend_from_slice(b" --> ");
    write_time(out, to);
    if !cue.settings.is_empty() {
        out.push(b' ');
        out.extend_from_slice(cue.settings.as_bytes());
    }
    out.push(b'\n');
    out.extend_from_slice(cue.text.as_bytes());
    out.push(b'\n');
}

/// A WebVTT timestamp with hours.
fn write_time(out: &mut Vec<u8>, milliseconds: i64) {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    write!(out, "{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}")
        .expect("a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::webvtt::WebVtt;

    fn cue(start_ms: u64, end_ms: u64, text: &str) -> Cue {
        Cue {
            identifier: String::new(),
            start_ms,
            end_ms,
            settings: String::new(),
            text: text.to_owned(),
        }
    }

    fn segment(parts: &[(&[Cue], i64)], start: i64, end: i64) -> String {
        let contents: Vec<WebVtt> = parts
            .iter()
            .map(|(cues, _)| WebVtt { cues: cues.to_vec(), ..WebVtt::default() })
            .collect();
        let parts: Vec<TextPart<'_>> = contents
            .iter()
            .zip(parts)
            .map(|(content, &(_, zero))| TextPart { content, local_zero: MediaTime(zero) })
            .collect();
        let bytes = write_webvtt_segment(&parts, MediaTime(start), MediaTime(end));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_empty_segment_is_a_header() {
        // 2^33 + 90,000 ticks floored to a millisecond of media time.
        let want = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:89938,LOCAL:00:00:00.000\n";
        assert_eq!(segment(&[], (1 << 33) + 90_000, (1 << 33) + 180_000), want);
    }

    #[test]
    fn cues_are_counted_from_the_segments_start() {
        let mut styled = cue(3_661_500, 3_662_000, "<i>one</i>\ntwo");
        styled.identifier = "7".to_owned();
        styled.settings = "line:0 align:start".to_owned();
        let cues = [styled, cue(3_661_000, 3_661_250, "first")];
        let want = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:540000,LOCAL:00:00:00.000\n\n\
            00:00:01.000 --> 00:00:01.250\nfirst\n\n\
            7\n00:00:01.500 --> 00:00:02.000 line:0 align:start\n<i>one</i>\ntwo\n";
        // LOCAL 01:01:00.000 is media time 540,000.
        assert_eq!(segment(&[(&cues, 540_000 - 3_660_000 * 90)], 540_000, 1_080_000), want);
    }

    #[test]
    fn only_cues_that_are_seen_are_written() {
        let cues = [
            cue(0, 1000, "ends at the start"),
            cue(500, 1001, "seen"),
            cue(2999, 4000, "also seen"),
            cue(3000, 4000, "begins at the end"),
        ];
        let text = segment(&[(&cues, 0)], 90_000, 270_000);
        assert!(text.contains("\nseen") && text.contains("\nalso seen"));
        assert!(!text.contains("ends at") && !text.contains("begins at"));
    }

    #[test]
    fn a_cue_that_spans_segments_has_one_time() {
        // Starts lie off the millisecond: the cue must be rounded the same way in both.
        let cues = [cue(1500, 4500, "long")];
        let first = segment(&[(&cues, 45)], 90_011, 270_044);
        let second = segment(&[(&cues, 45)], 270_044, 450_077);
        let absolute = |text: &str| {
            let clock = text.split("MPEGTS:").nth(1).unwrap().split(',').next().unwrap();
            let times = text.lines().find(|line| line.contains("-->")).unwrap();
            let seconds = times.split(" --> ").map(|time| time[6..].parse::<f64>().unwrap());
            let clock: f64 = clock.parse().unwrap();
            seconds
                .map(|s| clock / 90.0 + s * 1000.0)
                .map(|ms| format!("{ms:.3}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(absolute(&first), ["1500.000", "4500.000"]);
        assert_eq!(absolute(&first), absolute(&second));
    }

    #[test]
    fn a_cue_that_parts_repeat_is_written_once() {
        let first = [cue(500, 2500, "long")];
        let second = [cue(1500, 3500, "long"), cue(2000, 3500, "long")];
        let text = segment(&[(&first, 0), (&second, -90_000)], 0, 270_000);
        assert_eq!(text.matches("long").count(), 2);
    }

    #[test]
    fn definitions_come_first_and_once() {
        let block = "STYLE\n::cue { color: lime }";
        let content = WebVtt {
            definitions: vec![block.to_owned()],
            cues: vec![cue(0, 900, "green")],
            ..WebVtt::default()
        };
        let part = TextPart { content: &content, local_zero: MediaTime(0) };
        let next = TextPart { content: &content, local_zero: MediaTime(90_000) };
        let bytes = write_webvtt_segment(&[part, next], MediaTime(0), MediaTime(180_000));
        let want = format!(
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n{block}\n\n\
             00:00:00.000 --> 00:00:00.900\ngreen\n\n00:00:01.000 --> 00:00:01.900\ngreen\n"
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), want);
    }

    #[test]
    fn what_is_written_is_read_back_and_absurd_times_do_no_harm() {
        let cues = [cue(0, 359_999_999, "long"), cue(u64::MAX, u64::MAX, "never")];
        let text = segment(&[(&cues, 5)], 0, 90_000);
        let back = crate::engine::webvtt::parse_webvtt(text.as_bytes()).unwrap();
        assert_eq!(back.cues, cues[..1]);
        assert_eq!(back.timestamp_map.map(|map| map.mpegts), Some(0));
        assert!(segment(&[(&cues, i64::MAX - 90_000)], 0, i64::MAX).ends_with("never\n"));
    }
}
