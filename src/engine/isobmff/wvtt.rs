//! WebVTT cues as samples (ISO/IEC 14496-30 §7): one for each stretch in which the same cues are
//! seen, so that samples follow one another without a hole.

use super::writer::BoxWriter;
use crate::engine::segment::Sample;
use crate::engine::text::{
    TICKS_PER_MILLISECOND, TextPart, VisibleCue, visible_cues, without_timestamps,
};
use crate::limits::CUE_SAMPLES_SIZE_MAX;
use crate::units::MediaTime;
use xxhash_rust::xxh3::Xxh3;

/// The samples of a segment, in ticks of 90 kHz, and their bytes one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CueSamples {
    /// The first begins where the segment does, the last ends with it.
    pub samples: Vec<Sample>,
    /// `vttc` for each cue that is seen, or `vtte`.
    pub payload: Vec<u8>,
}

/// The cues of `parts` that are seen in `[start, end)`, as samples.
///
/// # Errors
///
/// The bytes written so far, where they are more than [`CUE_SAMPLES_SIZE_MAX`]: cues that overlap
/// are repeated wherever one of them changes.
pub fn write_cue_samples(
    parts: &[TextPart<'_>],
    start: MediaTime,
    end: MediaTime,
) -> Result<CueSamples, u64> {
    let cues = visible_cues(parts, start, end);
    let (start, end) = (start.ticks(), end.ticks().max(start.ticks()));
    let instants = |cue: &VisibleCue<'_>| [cue.from, cue.to].map(|ms| ms * TICKS_PER_MILLISECOND);
    let mut edges: Vec<i64> = cues.iter().flat_map(instants).collect();
    edges.retain(|edge| (start + 1..end).contains(edge));
    edges.extend([start, end]);
    edges.sort_unstable();
    edges.dedup();

    let mut writer = BoxWriter::with_capacity(256);
    let mut samples = Vec::with_capacity(edges.len());
    let mut waiting = cues.iter().peekable();
    let mut seen: Vec<&VisibleCue<'_>> = Vec::new();
    for (&from, &to) in edges.iter().zip(edges.get(1..).unwrap_or_default()) {
        seen.retain(|cue| instants(cue)[1] > from);
        while let Some(cue) = waiting.next_if(|cue| instants(cue)[0] <= from) {
            seen.extend(Some(cue).filter(|cue| instants(cue)[1] > from));
        }
        let before = writer.position();
        for cue in &seen {
            write_vttc(&mut writer, cue, instants(cue) != [from, to]);
            let written = writer.position();
            if written > CUE_SAMPLES_SIZE_MAX {
                return Err(u64::try_from(written).unwrap_or(u64::MAX));
            }
        }
        if seen.is_empty() {
            writer.boxed(*b"vtte", |_| ());
        }
        samples.push(Sample {
            size: u32::try_from(writer.position() - before).unwrap_or(u32::MAX),
            duration: u32::try_from(to - from).unwrap_or(u32::MAX),
            composition_offset: 0,
            random_access: true,
        });
    }
    Ok(CueSamples { samples, payload: writer.finish() })
}

/// `VTTCueBox` (§7.4). A cue that other samples go on with has a `CueSourceIDBox`, by which
/// players put it together again.
fn write_vttc(writer: &mut BoxWriter, cue: &VisibleCue<'_>, is_cut: bool) {
    writer.boxed(*b"vttc", |w| {
        if is_cut {
            w.boxed(*b"vsid", |w| w.u32(source_id(cue)));
        }
        let text = without_timestamps(&cue.cue.text);
        for (kind, content) in
            [(*b"iden", &*cue.cue.identifier), (*b"sttg", &*cue.cue.settings), (*b"payl", &*text)]
        {
            if !content.is_empty() {
                w.boxed(kind, |w| w.bytes(content.as_bytes()));
            }
        }
    });
}

/// The same number for the same cue in whichever segment, not negative.
fn source_id(cue: &VisibleCue<'_>) -> u32 {
    let mut hasher = Xxh3::new();
    hasher.update(&cue.from.to_le_bytes());
    hasher.update(&cue.to.to_le_bytes());
    for text in [&cue.cue.identifier, &cue.cue.settings, &cue.cue.text] {
        hasher.update(&text.len().to_le_bytes());
        hasher.update(text.as_bytes());
    }
    let [a, b, c, d, ..] = hasher.digest().to_le_bytes();
    u32::from_le_bytes([a, b, c, d & 0x7f])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::webvtt::{Cue, WebVtt, parse_webvtt};
    use proptest::prelude::*;

    fn written(content: &WebVtt, start: i64, end: i64) -> Result<CueSamples, u64> {
        let parts = [TextPart { content, local_zero: MediaTime(0) }];
        write_cue_samples(&parts, MediaTime(start), MediaTime(end))
    }

    /// Duration and boxes of each sample, `vttc` by its text.
    fn shown(content: &WebVtt, start: i64, end: i64) -> Vec<(u32, String)> {
        let CueSamples { samples, payload } = written(content, start, end).expect("small");
        let mut rest = &payload[..];
        let shown = samples.iter().map(|sample| {
            let (bytes, after) = rest.split_at(usize::try_from(sample.size).expect("small"));
            rest = after;
            let text = String::from_utf8_lossy(bytes);
            let mut names: Vec<&str> = text.split("payl").skip(1).map(|it| &it[..1]).collect();
            if text.contains("vtte") {
                names.push("-");
            }
            (sample.duration, names.concat())
        });
        let shown = shown.collect();
        assert!(rest.is_empty());
        shown
    }

    fn content(cues: &str) -> WebVtt {
        parse_webvtt(format!("WEBVTT\n\n{cues}").as_bytes()).expect("valid")
    }

    #[test]
    fn samples_follow_one_another() {
        let cues = content(
            "00:00.500 --> 00:01.500\na\n\n00:01.000 --> 00:03.000\nb\n\n\
             00:04.000 --> 00:05.000\nc\n",
        );
        let rows = |rows: &[(u32, &str)]| -> Vec<(u32, String)> {
            rows.iter().map(|&(duration, names)| (duration, names.to_owned())).collect()
        };
        let first = rows(&[(45_000, "-"), (45_000, "a"), (45_000, "ab"), (45_000, "b")]);
        assert_eq!(shown(&cues, 0, 180_000), first);
        assert_eq!(shown(&cues, 180_000, 360_000), rows(&[(90_000, "b"), (90_000, "-")]));
        assert_eq!(shown(&cues, 360_000, 450_000), rows(&[(90_000, "c")]));
        assert_eq!(shown(&cues, 450_000, 540_007), rows(&[(90_007, "-")]));
    }

    #[test]
    fn a_cue_box_in_full() {
        let content = content("id\n00:00.000 --> 00:01.000 line:0\n<i>x</i>\n");
        let whole = written(&content, 0, 90_000).expect("small");
        let mut want = b"\0\0\0\x36vttc\0\0\0\x0aidenid\0\0\0\x0esttgline:0".to_vec();
        want.extend(b"\0\0\0\x10payl<i>x</i>".iter());
        want[3] = 8 + 10 + 14 + 16;
        assert_eq!(whole.payload, want);
        let source = |start, end| {
            let cut = written(&content, start, end).expect("small");
            assert_eq!(&cut.payload[12..16], b"vsid");
            cut.payload[16..20].to_vec()
        };
        assert_eq!(source(0, 45_000), source(45_000, 180_000), "known again behind the cut");
    }

    #[test]
    fn what_overlaps_without_end_is_refused() {
        let cue = |at: u64| Cue {
            identifier: String::new(),
            start_ms: at,
            end_ms: 9_000,
            settings: String::new(),
            text: "x".repeat(1_000),
        };
        let content = WebVtt { cues: (0..4_000).map(cue).collect(), ..WebVtt::default() };
        assert!(written(&content, 0, 900_000).is_err());
    }

    proptest! {
        #[test]
        fn samples_fill_the_segment(
            cues in proptest::collection::vec((0_u64..5_000, 0_u64..3_000), 0..12),
            start in 0_i64..200_000,
            size in 1_i64..400_000,
        ) {
            let cue = |&(start_ms, span): &(u64, u64)| Cue {
                identifier: String::new(), start_ms, end_ms: start_ms + span,
                settings: String::new(), text: "x".to_owned(),
            };
            let content = WebVtt { cues: cues.iter().map(cue).collect(), ..WebVtt::default() };
            let found = written(&content, start, start + size).expect("small");
            let durations: i64 = found.samples.iter().map(|it| i64::from(it.duration)).sum();
            prop_assert_eq!(durations, size);
            prop_assert!(found.samples.iter().all(|it| it.duration > 0 && it.size >= 8));
            let bytes: usize = found.samples.iter().map(|it| it.size as usize).sum();
            prop_assert_eq!(bytes, found.payload.len());
        }
    }
}
