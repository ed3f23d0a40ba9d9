//! What the owner puts into the picture of its channel: bodies as they come, segments as listed.

use super::{Committed, Inner};
use crate::engine::channel::Event;
use crate::engine::channel::candidate::RecordMeta;
use crate::engine::channel::state::Change;
use crate::engine::codec::TrackKind;
use crate::engine::presentation::Flaws;
use crate::engine::segment::SegmentBody;
use crate::limits::{CANDIDATE_COUNT_MAX, HISTORY_CELL_COUNT_MAX};
use crate::ring::Location;
use crate::shard::history::{Cell, Happening, Mark, Marks};
use crate::shard::rt;
use crate::shard::site::ChannelSite;
use crate::units::{InputNumber, MediaTime, Monotonic, WallClock};

/// What the picture needs of a body.
pub(super) struct Arrival {
    input: InputNumber,
    at: WallClock,
    /// Earliest presentation time and end, in source time.
    span: (MediaTime, MediaTime),
    is_damaged: bool,
}

impl Arrival {
    pub(super) fn of(input: InputNumber, body: &SegmentBody) -> Self {
        let tracks = || body.tracks.iter();
        let start = tracks().map(|track| track.earliest_presentation_time).min();
        let end = tracks().map(|track| track.presentation_end).max();
        Self {
            input,
            at: rt::wall(),
            span: (start.unwrap_or_default(), end.unwrap_or_default()),
            is_damaged: tracks().any(|track| !track.damage.is_none()),
        }
    }
}

impl Inner {
    pub(super) fn note(&mut self, kind: &'static str, text: &str) {
        self.history.note(Happening { at: rt::wall(), kind, text: text.to_owned() });
        self.history_changed = true;
    }

    /// Records of a body that was whole at `at` are committed.
    pub(super) fn note_whole(&mut self, at: Monotonic, stored: &[(RecordMeta, Location, u64)]) {
        for (_, location, _) in stored {
            if self.whole.len() == CANDIDATE_COUNT_MAX {
                self.whole.pop_front();
            }
            self.whole.push_back((location.payload, at));
        }
    }

    /// Counts a listed segment for its input, and puts it into the picture.
    pub(super) fn note_change(&mut self, site: &ChannelSite, change: &Change) {
        let (Change::Listed(id, listed) | Change::Filled(id, listed)) = change else {
            return;
        };
        let input = listed.media.as_ref().map(|media| media.input);
        if let Some(media) = &listed.media {
            site.live.counters.inputs[media.input.index()].listed.add(1);
            let known = self.whole.iter().position(|(payload, _)| *payload == media.payload);
            if let Some((_, at)) = known.and_then(|known| self.whole.remove(known)) {
                self.listed.push(at);
            }
        }
        let (start, end) =
            (self.channel.wall_of_media(listed.start), self.channel.wall_of_media(listed.end));
        let (Some(start), Some(end)) = (start, end) else { return };
        let mut marks = Marks::default();
        if listed.media.is_none() {
            marks = marks.with(Mark::Gap);
        }
        if let Some(media) = &listed.media {
            let Flaws { damaged, no_random_access, odd_duration } = media.flaws;
            if damaged || no_random_access {
                marks = marks.with(Mark::Damaged);
            }
            // Sound is told to be odd, in words, where it has left a hole.
            let track = self.channel.state().track(*id);
            if odd_duration && track.is_some_and(|track| track.info.kind == TrackKind::Video) {
                marks = marks.with(Mark::Odd);
            }
        }
        if listed.discontinuity {
            marks = marks.with(Mark::Discontinuity);
        }
        let cell = Cell { start, end, marks, lag_us: 0, input };
        self.history_changed = true;
        match change {
            Change::Filled(..) => self.history.note_filled(&cell),
            _ => self.history.note_listed(cell),
        }
    }

    /// Puts committed bodies into the picture, once the channel has a clock.
    pub(super) fn place_arrivals(&mut self) {
        while let Some((arrival, committed)) = self.unplaced.pop_front() {
            let (start, end) = arrival.span;
            let of_source = |at| self.channel.wall_of_source(at);
            let (Some(start), Some(end)) = (of_source(start), of_source(end)) else {
                return self.unplaced.push_front((arrival, committed));
            };
            let mut marks = Marks::default().with(match committed {
                Committed::Stored => Mark::Used,
                Committed::Duplicate => Mark::Duplicate,
                Committed::Divergent | Committed::Overwritten => Mark::Divergent,
                Committed::Standby => Mark::Standby,
            });
            if arrival.is_damaged {
                marks = marks.with(Mark::Damaged);
            }
            let lag_us = arrival.at.0.saturating_sub(end.0);
            let cell = Cell { start, end, marks, lag_us, input: Some(arrival.input) };
            self.history.note_arrival(arrival.input, cell);
            self.history_changed = true;
        }
    }

    /// Keeps a committed body for the picture.
    pub(super) fn note_arrival(&mut self, arrival: Arrival, committed: Committed) {
        if self.unplaced.len() == HISTORY_CELL_COUNT_MAX {
            self.unplaced.pop_front();
        }
        self.unplaced.push_back((arrival, committed));
    }

    /// The channel told something.
    pub(super) fn note_event(&mut self, event: &Event) {
        self.history.note_event(rt::wall(), event);
        self.history_changed = true;
    }
}
