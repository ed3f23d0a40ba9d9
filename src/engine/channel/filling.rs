//! Late media in the place of its gap.

use crate::engine::channel::Channel;
use crate::engine::channel::candidate::RecordMeta;
use crate::engine::channel::event::Event;
use crate::engine::channel::state::{Change, TrackState};
use crate::engine::codec::TrackKind;
use crate::engine::presentation::Listed;
use crate::units::{MediaTime, Monotonic};
use std::ops::Range;

/// What there is of the sound beside a gap of pictures.
enum Beside {
    /// A candidate of this track, which begins then, and its place among the candidates.
    Waits(Box<TrackState>, MediaTime, usize),
    /// It is a gap, too.
    Missing,
}

impl Channel {
    /// Fills the gap of a candidate, that of its sound first: it could not be joined with pictures
    /// later. Returns false where sound may still come.
    pub(super) fn fill_with_sound(
        &mut self,
        now: Monotonic,
        (track, gap): (&TrackState, &Listed),
        start: MediaTime,
        at: usize,
    ) -> bool {
        let is_video = track.info.kind == TrackKind::Video;
        match self.sound_beside(gap).filter(|_| is_video) {
            Some(Beside::Waits(track, start, at)) => self.fill(&track, start, at),
            Some(Beside::Missing) if !self.has_waited(now, at) => return false,
            Some(Beside::Missing) | None => self.fill(track, start, at),
        }
        true
    }

    /// The gap that a candidate from before its track's end may fill.
    pub(super) fn gap_for(
        &self,
        track: &TrackState,
        start: MediaTime,
        meta: &RecordMeta,
    ) -> Option<Listed> {
        let gap = self.listed_at(track, start, meta.frame()).filter(|it| it.media.is_none())?;
        let fits = start + meta.duration() <= gap.end + meta.frame();
        (fits && self.may_fill(track, gap, meta)).then(|| gap.clone())
    }

    /// Lists a candidate in the place of its gap.
    fn fill(&mut self, track: &TrackState, start: MediaTime, at: usize) {
        let (id, meta) = (track.info.id, self.candidates[at].meta.clone());
        let gap = self.listed_at(track, start, meta.frame()).cloned().expect("a gap was found");
        let listed = self.listed_media(track, at, (gap.number, gap.grid), start);
        self.emit(Change::Filled(id, Listed { discontinuity: gap.discontinuity, ..listed }));
        self.recent.push(id, gap.number, meta.input, &meta.name);
        self.events.push(Event::GapFilled(id));
        self.candidates.remove(at);
    }

    /// What there is of the sound of a gap of pictures; `None` where none is missing.
    fn sound_beside(&self, gap: &Listed) -> Option<Beside> {
        let beside = |start: MediaTime, end: MediaTime| start < gap.end && end > gap.start;
        let mut missing = None;
        for track in self.state.tracks.iter().filter(|it| it.info.kind == TrackKind::Audio) {
            for (at, candidate) in self.candidates.iter().enumerate() {
                let meta = &candidate.meta;
                if self.track_of(candidate) == Some(track.info.id)
                    && (candidate.is_seconded || !self.is_apart(meta.input))
                    && let Some(start) = self.media_start(track, meta)
                    && beside(start, start + meta.duration())
                    && self.gap_for(track, start, meta).is_some()
                {
                    return Some(Beside::Waits(Box::new(track.clone()), start, at));
                }
            }
            let middle = MediaTime(i64::midpoint(gap.start.0, gap.end.0));
            let listed = self.listed_at(track, middle, MediaTime(0));
            if listed.is_some_and(|listed| listed.media.is_none()) {
                missing = Some(Beside::Missing);
            }
        }
        missing
    }

    /// A gap may be filled within a playlist window, and while no joined segment that was made
    /// with the hole inside would change by it.
    fn may_fill(&self, track: &TrackState, gap: &Listed, meta: &RecordMeta) -> bool {
        let Some(grid) = self.state.grids.iter().find(|grid| grid.id == gap.grid) else {
            return false;
        };
        // Transport streams were made without sound that was given up.
        let is_sound = meta.kind() == TrackKind::Audio;
        if is_sound && gap.start < self.state.sound_edge {
            return false;
        }
        if track.grid.is_none_or(|newest| self.breaks_between(track.cadence, gap.grid, newest))
            || self.configuration_in(track, gap.grid).is_some_and(|config| *config != meta.config)
        {
            return false;
        }
        let Some(segments) = self.windows.segments(track.info.id) else { return false };
        let front = segments.first().map_or(0, |first| first.number);
        let untouched = |seconds: &u32| {
            let joined = grid.joined_number(gap.number, *seconds);
            let Some(parts) = grid.base_numbers(joined, *seconds) else { return false };
            let quarter = MediaTime(grid.period_ticks().0 / 4);
            let times = grid.start_at(parts.start) + quarter..grid.start_at(parts.end) - quarter;
            // Nor without sound that was a gap then.
            if is_sound && self.has_pictures(&times) {
                return false;
            }
            let open = track.next_number.is_some_and(|next| next < parts.end);
            let mut parts = parts.start.max(front)..parts.end;
            let is_gap = |number: u64| {
                let position = usize::try_from(number - front).unwrap_or(usize::MAX);
                segments.get(position).is_none_or(|listed| listed.media.is_none())
            };
            open || parts.all(is_gap)
        };
        gap.end >= track.end - self.config.window && self.config.join_seconds.iter().all(untouched)
    }

    /// True where pictures are listed of some of these times.
    fn has_pictures(&self, times: &Range<MediaTime>) -> bool {
        let tracks = self.state.tracks.iter().filter(|it| it.info.kind == TrackKind::Video);
        let mut logs = tracks.filter_map(|track| self.windows.segments(track.info.id));
        logs.any(|segments| {
            let from = segments.partition_point(|listed| listed.end <= times.start);
            let mut beside = segments.iter_from(from).take_while(|it| it.start < times.end);
            beside.any(|it| it.media.is_some())
        })
    }
}
