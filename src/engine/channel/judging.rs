//! Judges media: what must be committed, where a candidate lies, and whether it may be listed now.

use crate::engine::channel::candidate::{Candidate, RecordMeta};
use crate::engine::channel::grid::unwrap_near;
use crate::engine::channel::source::RenditionKey;
use crate::engine::channel::state::{Session, TrackState};
use crate::engine::channel::{Channel, DropReason};
use crate::engine::codec::TrackKind;
use crate::engine::presentation::{Grid, Listed};
use crate::units::{InputNumber, MediaTime, Monotonic};

/// The longest hole that is one session still: an hour.
const HOLE_MAX: MediaTime = MediaTime(3_600 * 90_000);

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

impl Channel {
    /// Whether a track of a body must be committed: `None`, or why not.
    pub(super) fn judge(&self, now: Monotonic, meta: &RecordMeta) -> Option<DropReason> {
        let twin = |it: &&Candidate| {
            it.meta.input == meta.input
                && it.meta.name == meta.name
                && (it.meta.kind(), it.meta.ordinal) == (meta.kind(), meta.ordinal)
                && it.meta.start == meta.start
        };
        if self.candidates.iter().any(|it| twin(&it)) {
            return Some(DropReason::Duplicate);
        }
        let rendition = self.rendition_named(meta.input, &meta.name)?;
        let source = (rendition, meta.ordinal);
        let of_source =
            |track: &&TrackState| track.info.kind == meta.kind() && track.sources.contains(&source);
        let track = self.state.tracks.iter().find(of_source)?;
        if meta.kind() == TrackKind::Text {
            let newest = self.recent.newest_of(track.info.id, meta.input);
            let again = newest.is_some_and(|(_, name)| name == meta.name);
            return again.then_some(DropReason::Duplicate);
        }
        let start = self.media_start(track, meta)?;
        if let Some(listed) = self.listed_at(track, start, meta.frame()) {
            // Whether an encoder began anew is told by its playlist, which comes later.
            let newest = self.recent.newest_of(track.info.id, meta.input);
            let again = newest == Some((listed.number, meta.name.as_str()));
            let known = self.recent.source_of(track.info.id, listed.number);
            let muxed_copy = known.is_some_and(|(input, name)| {
                input == meta.input && self.rendition_named(input, name) != Some(rendition)
            });
            let told_later = !again && !muxed_copy && self.may_lead(now, meta.input);
            let needed = listed.media.is_none() || told_later;
            return (!needed).then_some(DropReason::Duplicate);
        }
        let stands_in = |it: &Candidate| {
            it.meta.damage.is_none() && it.meta.duration() >= meta.duration() - meta.frame()
        };
        if self.waiting_at(track, start, meta).any(stands_in) {
            return Some(DropReason::Duplicate);
        }
        let active = self.state.active?;
        let standby = meta.input != active && self.inputs.is_alive(active, now, self.silence());
        (standby && !self.fits(track, start, meta)).then_some(DropReason::Standby)
    }

    /// The rendition that a body belongs to, as far as the playlists tell now.
    pub(super) fn rendition_named(&self, input: InputNumber, name: &str) -> Option<RenditionKey> {
        // An encoder that joined late sends names like its twin's before its own top playlist.
        let top = self.top(input).or_else(|| self.state.sources.iter().flatten().next())?;
        self.inputs.playlists(input).rendition_of(top, name)
    }

    /// Content hash of the media that is listed, or waits to be, at the time of `meta`'s track.
    #[must_use]
    pub fn hash_of_same_time(&self, meta: &RecordMeta) -> Option<u64> {
        let (track, start) = self.track_and_start(meta)?;
        let listed = self.listed_at(track, start, meta.frame());
        if let Some(media) = listed.and_then(|listed| listed.media.as_ref()) {
            return Some(media.hash);
        }
        self.waiting_at(track, start, meta).next().map(|waiting| waiting.hash)
    }

    /// The same of media that came from the other input, as a copy made at the same time: near its
    /// track's end. What an encoder repeats after it began anew is no such copy.
    #[must_use]
    pub fn hash_of_twin(&self, meta: &RecordMeta) -> Option<u64> {
        let (track, start) = self.track_and_start(meta)?;
        if meta.kind() == TrackKind::Text || start + MediaTime(2 * self.target().0) < track.end {
            return None;
        }
        if let Some(listed) = self.listed_at(track, start, meta.frame())
            && let Some(media) = &listed.media
        {
            let (input, _) = self.recent.source_of(track.info.id, listed.number)?;
            return (input != meta.input).then_some(media.hash);
        }
        let mut waiting = self.waiting_at(track, start, meta);
        waiting.find(|it| it.meta.input != meta.input).map(|twin| twin.hash)
    }

    /// The track that `meta` belongs to, and where it begins there.
    fn track_and_start(&self, meta: &RecordMeta) -> Option<(&TrackState, MediaTime)> {
        let source = (self.rendition_named(meta.input, &meta.name)?, meta.ordinal);
        let mut tracks = self.state.tracks.iter();
        let track = tracks
            .find(|track| track.info.kind == meta.kind() && track.sources.contains(&source))?;
        Some((track, self.media_start(track, meta)?))
    }

    /// Candidates of a track that begin where `meta` does, at `start`.
    fn waiting_at(
        &self,
        track: &TrackState,
        start: MediaTime,
        meta: &RecordMeta,
    ) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(move |it| {
            self.track_of(it) == Some(track.info.id)
                && self.media_start(track, &it.meta).is_some_and(|at| near(at, start, meta.frame()))
        })
    }

    /// Whether the other input's copy could stand in: same configuration, same boundaries.
    fn fits(&self, track: &TrackState, start: MediaTime, meta: &RecordMeta) -> bool {
        let config = track.init.and_then(|id| self.state.inits.get(&id)).map(|init| &init.config);
        let grid = self.state.grid(track.cadence);
        let aligned = near(start, track.end, meta.frame())
            || grid.is_some_and(|grid| {
                let number = grid.number_at(start);
                number.is_some_and(|number| near(grid.start_at(number), start, meta.frame()))
            });
        config == Some(&meta.config) && start >= track.end - meta.frame() && aligned
    }

    /// Media time of a segment's start under the present session.
    pub(super) fn media_start(&self, track: &TrackState, meta: &RecordMeta) -> Option<MediaTime> {
        let session = self.state.session?;
        Some(unwrap_near(meta.start, session.shift, self.reference(track, &session)))
    }

    /// Where a track's next segment is expected: its end, or where others are in a session that it
    /// has not joined.
    fn reference(&self, track: &TrackState, session: &Session) -> MediaTime {
        let joined = |it: &&TrackState| it.session == Some(session.id);
        if joined(&track) {
            return track.end;
        }
        let ends = self.state.tracks.iter().filter(joined).map(|it| it.end);
        ends.max().unwrap_or(session.start)
    }

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

    pub(super) fn place(
        &self,
        track: &TrackState,
        meta: &RecordMeta,
    ) -> Option<(Place, MediaTime)> {
        let session = self.state.session?;
        let start = self.media_start(track, meta)?;
        let hole_max = self.config.window.max(MediaTime(3 * self.target().0)).min(HOLE_MAX);
        let joined = track.session == Some(session.id);
        let reference = self.reference(track, &session);
        let ahead = start - reference;
        let place = if near(start, reference, meta.frame()) {
            Place::Next
        } else if ahead.0.abs() > hole_max.0 || (ahead.0 > 0 && self.has_jumped(meta, start)) {
            Place::Foreign
        } else if !joined && (track.next_number.is_none() || start >= track.end - meta.frame()) {
            // Tracks of one session begin about together; the grid tells the number.
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

    /// The source's wall clock denies that media is missing: its timestamps jumped.
    fn has_jumped(&self, meta: &RecordMeta, start: MediaTime) -> bool {
        self.lag(meta, start).is_some_and(|lag| lag.0.abs() > self.target().0)
    }

    /// Whether a candidate that lies before its track's end comes from an encoder that began anew,
    /// by the source's wall clock, else by names.
    pub(super) fn is_rewound(
        &self,
        track: &TrackState,
        meta: &RecordMeta,
        start: MediaTime,
        covered: Option<&Listed>,
    ) -> bool {
        if let Some(lag) = self.lag(meta, start) {
            return lag > self.target();
        }
        let id = track.info.id;
        match covered.and_then(|listed| self.recent.source_of(id, listed.number)) {
            Some((input, name)) if input == meta.input && name == meta.name => {
                // The same name again: a playlist that ends with it went back.
                let newest = self.recent.newest_of(id, meta.input);
                newest.is_some_and(|(_, newest)| newest != name)
                    && self.inputs.playlists(meta.input).ends_with(name)
            }
            Some((input, name)) if input == meta.input => {
                self.rendition_named(input, name) == self.rendition_named(input, &meta.name)
            }
            // Nobody knows: its date tells, or its arrival where the source never gave dates.
            _ => {
                let said = self.inputs.playlists(meta.input).segment(&meta.name);
                let date = said.and_then(|said| said.program_date_time);
                let mut inputs = [InputNumber::ONE, InputNumber::TWO].into_iter();
                let undated = inputs.all(|input| self.inputs.drift(input).is_none());
                let wall = date.or_else(|| undated.then(|| meta.arrival_start()));
                let offset = self.state.clock_offset.unwrap_or_default();
                wall.is_some_and(|wall| wall.ticks_90k() - offset.0 - start.0 > 3 * self.target().0)
            }
        }
    }

    /// The input in use may begin sessions, or the other one while that is silent.
    pub(super) fn may_lead(&self, now: Monotonic, input: InputNumber) -> bool {
        let active = self.state.active;
        active == Some(input)
            || active.is_none_or(|active| !self.inputs.is_alive(active, now, self.silence()))
    }

    /// Whether a candidate may be listed at once. One that is odd, or coded unlike what is on air,
    /// waits half a target for the other input's copy.
    pub(super) fn is_ready(
        &self,
        now: Monotonic,
        track: &TrackState,
        at: usize,
        leads: bool,
    ) -> bool {
        let meta = &self.candidates[at].meta;
        let mut others = [InputNumber::ONE, InputNumber::TWO].into_iter();
        let rival = others
            .any(|other| other != meta.input && self.inputs.is_alive(other, now, self.silence()));
        if !rival {
            return true;
        }
        let current = track.init.and_then(|id| self.state.inits.get(&id)).map(|init| &init.config);
        let alike = current.is_none_or(|config| *config == meta.config);
        let period = self.state.grid(track.cadence).map(Grid::period_ticks).unwrap_or_default();
        let tolerance = if leads { meta.frame() } else { MediaTime(period.0 / 8) };
        let whole = near(meta.duration(), period, tolerance);
        let ours = self.state.active == Some(meta.input);
        meta.damage.is_none() && whole && (alike || ours)
    }
}

pub(super) fn near(one: MediaTime, other: MediaTime, tolerance: MediaTime) -> bool {
    (one - other).0.abs() <= tolerance.0
}
