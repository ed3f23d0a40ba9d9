//! Segment timelines of DASH (ISO/IEC 23009-1 §5.3.9.6): a track's window, split into Periods and
//! run-length coded.
//!
//! Players count `S` elements to know a segment's number and pass over `S@n`, so `$Number$` cannot
//! say a hole. While a hole is listed, the track is addressed by `$Time$`; both kinds of URL lead
//! to the same segment at all times.

use super::Absent;
use super::dash_period::{Cut, Cuts};
use super::text::push_integer_attribute;
use super::view::View;
use crate::engine::presentation::{Init, Joined, Track};
use crate::units::{MediaTime, Timescale};
use std::sync::Arc;

/// `S`: `repeat + 1` segments of `duration` from `time` on.
#[derive(PartialEq, Eq)]
struct Entry {
    time: i64,
    duration: i64,
    repeat: u64,
}

/// The segments of one track in one Period.
pub(super) struct Run {
    /// Where its Period begins.
    pub(super) period: Cut,
    /// Grid of the last segment.
    pub(super) grid: u32,
    /// Configuration of all of its segments.
    pub(super) init: Arc<Init>,
    /// Hash in its segments' URLs.
    pub(super) hash: u32,
    /// Number of the first segment.
    pub(super) start_number: u64,
    /// True where numbers are missing between segments.
    pub(super) has_hole: bool,
    /// Presentation end of the last segment.
    pub(super) end: MediaTime,
    /// The longest segment.
    pub(super) longest: MediaTime,
    entries: Vec<Entry>,
    next_number: u64,
    init_id: u32,
}

/// `track`'s window as runs, oldest first, one for each Period.
///
/// A Representation has one init in a Period. The channel begins a grid, and with it a Period,
/// wherever a configuration changes; were there two in one, only what follows the newest is listed.
///
/// # Errors
///
/// [`Absent::Unread`].
pub(super) fn runs<'a>(
    view: &View<'a>,
    track: &'a Track,
    window_seconds: u32,
    cuts: &Cuts,
) -> Result<Vec<Run>, Absent> {
    let mut runs: Vec<Run> = Vec::new();
    let window = match view.window(track, window_seconds) {
        Err(Absent::NotYet) => return Ok(runs),
        window => window?,
    };
    let mut hashes = view.hashes(track);
    for joined in window {
        // A gap has no init, and nothing to list.
        let Some(init_id) = view.init_of(track, &joined) else { continue };
        let Some(grid) = view.presentation.grid(joined.grid) else { continue };
        let period = cuts.period(grid, &joined);
        let same = |run: &&mut Run| run.period.at == period.at && run.init_id == init_id;
        if let Some(run) = runs.last_mut().filter(same) {
            run.push(&joined);
            continue;
        }
        let Some(init) = view.offered_init(init_id) else { continue };
        let Some(hash) = hashes.of(&joined) else { continue };
        if runs.last().is_some_and(|run| run.period.at == period.at) {
            runs.pop();
        }
        let mut run = Run {
            period,
            grid: joined.grid,
            init,
            hash,
            start_number: joined.number,
            has_hole: false,
            end: joined.end,
            longest: MediaTime(0),
            entries: Vec::new(),
            next_number: joined.number,
            init_id,
        };
        run.push(&joined);
        runs.push(run);
    }
    Ok(runs)
}

impl Run {
    /// Ticks per second of the run's times.
    pub(super) fn timescale(&self) -> Timescale {
        self.init.config.timescale()
    }

    /// True where the same template leads to the segments of both.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        let of = |run: &Self| (run.grid, run.timescale(), run.start_number, run.has_hole);
        of(self) == of(other) && self.entries == other.entries
    }

    fn push(&mut self, joined: &Joined) {
        let time = joined.start.rescale_nearest(self.timescale());
        let duration = joined.end.rescale_nearest(self.timescale()) - time;
        self.has_hole |= joined.number != self.next_number;
        self.next_number = joined.number + 1;
        self.end = joined.end;
        self.grid = joined.grid;
        self.longest = self.longest.max(joined.end - joined.start);
        match self.entries.last_mut() {
            Some(last) if last.duration == duration && last.end() == time => last.repeat += 1,
            _ => self.entries.push(Entry { time, duration, repeat: 0 }),
        }
    }

    /// Appends the `SegmentTimeline` element.
    pub(super) fn push_timeline(&self, out: &mut String) {
        out.push_str("<SegmentTimeline>\n");
        let mut expected = None;
        for entry in &self.entries {
            out.push_str("<S");
            if expected != Some(entry.time) {
                push_integer_attribute(out, "t", entry.time);
            }
            push_integer_attribute(out, "d", entry.duration);
            if entry.repeat > 0 {
                push_integer_attribute(out, "r", entry.repeat);
            }
            out.push_str("/>\n");
            expected = Some(entry.end());
        }
        out.push_str("</SegmentTimeline>\n");
    }
}

impl Entry {
    fn end(&self) -> i64 {
        self.time + self.duration * (i64::try_from(self.repeat).unwrap_or(i64::MAX - 1) + 1)
    }
}
