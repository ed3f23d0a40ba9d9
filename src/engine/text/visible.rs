//! The cues that are seen in a stretch of the timeline.

use super::TICKS_PER_MILLISECOND;
use crate::engine::webvtt::{Cue, WebVtt};
use crate::units::MediaTime;
use std::collections::BTreeSet;

/// The latest instant whose ticks fit their type.
const MILLISECONDS_MAX: i64 = i64::MAX / TICKS_PER_MILLISECOND;

/// One source segment of an output segment.
#[derive(Clone, Copy, Debug)]
pub struct TextPart<'a> {
    /// Its content.
    pub content: &'a WebVtt,
    /// Media time of its cue time zero, which is the decode time of its record.
    pub local_zero: MediaTime,
}

/// A cue and when it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisibleCue<'a> {
    /// First instant, in whole milliseconds of media time, floored.
    pub from: i64,
    /// First instant at which it is gone, likewise.
    pub to: i64,
    /// What is seen.
    pub cue: &'a Cue,
}

/// The cues of `parts` that are seen in `[start, end)`, by their first instants; those of equal
/// ones in the source's order. A cue that several parts repeat is there once.
///
/// A cue keeps its times in whichever segment it is, to the millisecond.
#[must_use]
pub fn visible_cues<'a>(
    parts: &[TextPart<'a>],
    start: MediaTime,
    end: MediaTime,
) -> Vec<VisibleCue<'a>> {
    let mut cues = Vec::new();
    let mut seen = BTreeSet::new();
    for part in parts {
        for cue in &part.content.cues {
            let (from, to) = (part.instant(cue.start_ms), part.instant(cue.end_ms));
            let identity = (from, to, &cue.identifier, &cue.settings, &cue.text);
            let is_visible = from * TICKS_PER_MILLISECOND < end.ticks()
                && to * TICKS_PER_MILLISECOND > start.ticks();
            if is_visible && seen.insert(identity) {
                cues.push(VisibleCue { from, to, cue });
            }
        }
    }
    // Stable: cues of equal times keep the order of the source.
    cues.sort_by_key(|cue| cue.from);
    cues
}

impl TextPart<'_> {
    /// Media time of a cue time, in whole milliseconds, floored.
    fn instant(&self, cue_time_ms: u64) -> i64 {
        // Times beyond three million years are all the same to a player.
        milliseconds(self.local_zero).saturating_add_unsigned(cue_time_ms).min(MILLISECONDS_MAX)
    }
}

/// A time in whole milliseconds, floored.
#[must_use]
pub const fn milliseconds(time: MediaTime) -> i64 {
    time.ticks().div_euclid(TICKS_PER_MILLISECOND)
}
