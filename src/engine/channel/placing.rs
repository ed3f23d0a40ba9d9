//! Where a copy lies: its media time under the present session, and how that stands to its track.

use crate::engine::channel::Channel;
use crate::engine::channel::candidate::{Candidate, RecordMeta};
use crate::engine::channel::grid::unwrap_near;
use crate::engine::channel::session::is_plausible;
use crate::engine::channel::state::{Session, TrackState};
use crate::engine::presentation::Listed;
use crate::units::{InputNumber, MediaTime, Monotonic};
use std::time::Duration;

/// The longest hole that is one session still, and the farthest that a wall clock may be off and be
/// believed: an hour.
const HOUR: MediaTime = MediaTime(3_600 * 90_000);

/// The longest that a channel may have been silent, going by arrival times alone: 14 days, as long
/// as a window.
const SILENCE_MAX: MediaTime = MediaTime(14 * 24 * HOUR.0);

/// Where a candidate stands to its track's listed media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It begins where the track ends, or where its session begins.
    Next,
    /// Media is missing before it.
    Hole,
    /// It begins before the track's end.
    Behind,
    /// Its time does not belong to this session.
    Foreign,
}

/// What a copy from before its track's end tells of its encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// It goes on: the copy is late.
    Late,
    /// It may have begun anew: what it sends next tells.
    Unsure,
    /// It began anew.
    Anew,
}

impl Channel {
    /// Media time of a segment's start under the present session.
    pub(super) fn media_start(&self, track: &TrackState, meta: &RecordMeta) -> Option<MediaTime> {
        let session = self.state.session?;
        Some(unwrap_near(meta.start, session.shift, self.reference(track, &session)))
    }

    /// Where a track's next segment is expected: its end, or where others are in a session that it
    /// has not joined.
    fn reference(&self, track: &TrackState, session: &Session) -> MediaTime {
        if track.session == Some(session.id) { track.end } else { self.session_end(session) }
    }

    /// Where the track ends that is furthest in a session; its start before there is any.
    fn session_end(&self, session: &Session) -> MediaTime {
        let joined = self.state.tracks.iter().filter(|it| it.session == Some(session.id));
        joined.map(|it| it.end).max().unwrap_or(session.start)
    }

    /// The listed segment of a track in which `start` lies, where that may be a `frame` early.
    pub(super) fn listed_at(
        &self,
        track: &TrackState,
        start: MediaTime,
        frame: MediaTime,
    ) -> Option<&Listed> {
        let segments = self.windows.segments(track.info.id)?;
        let at = segments.partition_point(|listed| listed.end <= start + frame);
        segments.get(at).filter(|listed| listed.start <= start + frame)
    }

    /// How far a track's media goes without a hole of more than two targets, with what waits.
    pub(super) fn reach(&self, track: &TrackState) -> MediaTime {
        self.reach_across(track, MediaTime(2 * self.target().0))
    }

    /// The same without a hole of more than `hole`.
    fn reach_across(&self, track: &TrackState, hole: MediaTime) -> MediaTime {
        let spans = self.candidates_of(track.info.id).filter_map(|it| {
            let start = self.media_start(track, &it.meta)?;
            Some((start, start + it.meta.duration()))
        });
        let mut spans: Vec<_> = spans.collect();
        spans.sort_unstable();
        spans.into_iter().fold(track.end, |reach, (start, end)| {
            if start <= reach + hole { reach.max(end) } else { reach }
        })
    }

    /// Where a copy that was there at `committed` stands, and its media time. The track's media
    /// [reaches](Self::reach) to `reach`.
    pub(super) fn place(
        &self,
        track: &TrackState,
        meta: &RecordMeta,
        committed: Monotonic,
        reach: MediaTime,
    ) -> Option<(Place, MediaTime)> {
        let session = self.state.session?;
        let start = self.media_start(track, meta)?;
        let hole_max = self.config.window.max(MediaTime(3 * self.target().0)).min(HOUR);
        let joined = track.session == Some(session.id);
        let mut reference = self.reference(track, &session);
        if !joined {
            // Anywhere in the session will do: others may have listed a backlog before it.
            reference = start.clamp(session.start.min(reference), reference);
        }
        let ahead = start - reference;
        // What other tracks have reached is of this session.
        let reach = reach.max(self.session_end(&session));
        let lag = self.lag(meta, start);
        let is_dated_so = lag.is_some_and(|lag| lag.0.abs() <= self.target().0);
        let has_jumped =
            !is_dated_so && (lag.is_some() || self.is_too_early(track, start - reach, committed));
        // Tracks of one session begin about together. The first one has no numbers before it.
        let is_before = session.id > 0 && start + self.target() < session.start;
        let is_far = |reach: MediaTime| start - reach > hole_max;
        let place = if near(start, reference, meta.frame()) {
            Place::Next
        } else if (is_far(reach) && is_far(self.reach_across(track, hole_max)))
            || (ahead.0 > 0 && has_jumped)
            || (ahead.0 < -HOUR.0 && !is_dated_so && !self.is_superseded(meta.input, committed))
        {
            Place::Foreign
        } else if is_before {
            Place::Behind
        } else if !joined && (track.next_number.is_none() || start >= track.end - meta.frame()) {
            // The grid tells the number.
            Place::Next
        } else if ahead.0 > 0 {
            Place::Hole
        } else {
            Place::Behind
        };
        Some((place, start))
    }

    /// How far PROGRAM-DATE-TIME is ahead of a segment's timestamps, beyond what it was before.
    fn lag(&self, meta: &RecordMeta, start: MediaTime) -> Option<MediaTime> {
        let listed = self.inputs.playlists(meta.input).segment(&meta.name)?;
        let date = MediaTime(listed.program_date_time?.ticks_90k());
        let drift = self.inputs.drift(meta.input)?;
        Some(date - self.state.clock_offset? - start - drift)
    }

    /// Media that is far ahead of what came before cannot have been made in the time between. Two
    /// targets of it may be, sent in a hurry.
    fn is_too_early(&self, track: &TrackState, ahead: MediaTime, committed: Monotonic) -> bool {
        let Some(before) = self.advanced.get(&track.info.id) else { return false };
        ahead - ticks(committed.since(*before)) > MediaTime(2 * self.target().0)
    }

    /// A copy that no playlist lists, while its track went on elsewhere after it came: from an
    /// encoder's former life. It says nothing of the timeline.
    pub(super) fn is_stray(&self, track: &TrackState, at: usize) -> bool {
        let candidate = &self.candidates[at];
        let advanced = self.advanced.get(&track.info.id);
        self.is_unlisted(&candidate.meta) && advanced.is_some_and(|it| *it > candidate.committed)
    }

    /// True where no playlist of its input lists a copy now.
    pub(super) fn is_unlisted(&self, meta: &RecordMeta) -> bool {
        self.inputs.playlists(meta.input).segment(&meta.name).is_none()
    }

    /// Whether a candidate that lies before its track's end comes from an encoder that began anew:
    /// by the source's wall clock, else by names, once the encoder goes on from there and not from
    /// where the track ends.
    pub(super) fn return_of(
        &self,
        track: &TrackState,
        candidate: &Candidate,
        start: MediaTime,
        covered: Option<&Listed>,
    ) -> Return {
        let Candidate { meta, committed, .. } = candidate;
        let lag = self.lag(meta, start);
        // Who begins anew does not begin just where a segment is missing.
        let is_missing = |listed: &Listed| {
            let (frame, end) = (meta.frame(), start + meta.duration());
            listed.media.is_none()
                && near(listed.start, start, frame)
                && near(listed.end, end, frame)
        };
        let seems_rewound = lag.map_or_else(
            || !covered.is_some_and(is_missing) && self.seems_rewound(track, meta, start, covered),
            |lag| lag > self.target(),
        );
        if self.is_superseded(meta.input, *committed) {
            return Return::Late;
        }
        if !seems_rewound {
            // A date may still come that tells.
            return if self.is_unlisted(meta) { Return::Unsure } else { Return::Late };
        }
        let follows = |it: &Candidate| {
            it.committed >= *committed
                && self.media_start(track, &it.meta).is_some_and(|next| {
                    let is_behind = next < track.end - meta.frame();
                    is_behind && near(next, start + meta.duration(), meta.frame())
                })
        };
        let goes_on = self.candidates_of(track.info.id).any(follows);
        if goes_on { Return::Anew } else { Return::Unsure }
    }

    /// True where an input has gone on with the session since a copy of it came at `committed`: the
    /// copy is no new beginning.
    pub(super) fn is_superseded(&self, input: InputNumber, committed: Monotonic) -> bool {
        self.inputs.went_on(input).is_some_and(|went_on| went_on > committed)
    }

    /// What names, and arrival where the source never gave dates, tell of a copy from before its
    /// track's end.
    fn seems_rewound(
        &self,
        track: &TrackState,
        meta: &RecordMeta,
        start: MediaTime,
        covered: Option<&Listed>,
    ) -> bool {
        let id = track.info.id;
        let said = self.inputs.playlists(meta.input).segment(&meta.name);
        let date = said.and_then(|said| said.program_date_time);
        let undated = InputNumber::BOTH.into_iter().all(|input| self.inputs.drift(input).is_none());
        let wall = date.or_else(|| undated.then(|| meta.arrival_start()));
        let ahead = wall.map(|wall| {
            MediaTime(wall.ticks_90k()) - self.state.clock_offset.unwrap_or_default() - start
        });
        if ahead.is_some_and(|ahead| ahead.0 > 3 * self.target().0) {
            return true;
        }
        let Some(listed) = covered else { return false };
        let Some((input, name)) = self.recent.source_of(id, listed.number) else { return false };
        if input != meta.input {
            return false;
        }
        if name == meta.name {
            // The same name again: a playlist that ends with it went back.
            let newest = self.recent.newest_of(id, meta.input);
            return newest.is_some_and(|(_, newest)| newest != name)
                && self.inputs.playlists(meta.input).ends_with(name);
        }
        self.rendition_named(input, name) == self.rendition_named(input, &meta.name)
    }

    /// Where a copy that was there at `committed` would begin as the first of a session: by
    /// PROGRAM-DATE-TIME, where that is not absurd, else by how long after the newest listed
    /// segment it came. It may be before what is published.
    pub(super) fn start_by_clock(&self, meta: &RecordMeta, committed: Monotonic) -> MediaTime {
        let offset = self.state.clock_offset.unwrap_or_default();
        let published = self.published_end();
        let newest = self.advanced.values().max();
        let expected =
            newest.map(|newest| published + ticks(committed.since(*newest)) - meta.duration());
        let arrival = MediaTime(meta.arrival_start().ticks_90k()) - offset;
        let said = self.inputs.playlists(meta.input).segment(&meta.name);
        let date = said.and_then(|said| said.program_date_time).filter(|&time| is_plausible(time));
        let dated = date.map(|date| MediaTime(date.ticks_90k()) - offset);
        // W may be absurd, too: then arrival is, and everything goes on where it ended.
        let guess = expected.unwrap_or_else(|| {
            if near(arrival, published, SILENCE_MAX) { arrival } else { published }
        });
        dated.filter(|dated| near(*dated, guess, HOUR)).unwrap_or(guess)
    }

    /// Where the listed media of all tracks ends; the session's start before there is any.
    pub(super) fn published_end(&self) -> MediaTime {
        let tracks = self.state.tracks.iter().filter(|track| track.next_number.is_some());
        let start = self.state.session.map(|session| session.start);
        tracks.map(|track| track.end).max().or(start).unwrap_or_default()
    }
}

pub(super) fn near(one: MediaTime, other: MediaTime, tolerance: MediaTime) -> bool {
    (one - other).0.abs() <= tolerance.0
}

/// A duration as a span of media time.
fn ticks(span: Duration) -> MediaTime {
    let us = i64::try_from(span.as_micros()).unwrap_or(i64::MAX / 9);
    MediaTime(us.saturating_mul(9) / 100)
}
