//! Lists candidates: each track's next segment, gaps where media is missing, late media in gaps.

use crate::engine::channel::candidate::RecordMeta;
use crate::engine::channel::judging::Place;
use crate::engine::channel::state::{Change, TrackState};
use crate::engine::channel::{Channel, Event, Now, span};
use crate::engine::codec::TrackKind;
use crate::engine::presentation::{Init, Listed, MediaRef};
use crate::limits;
use crate::units::{MediaTime, Monotonic, TrackId};

impl Channel {
    /// Lists everything that can be listed now.
    pub(super) fn settle(&mut self, now: Now) {
        self.name_candidates();
        if !self.begin(now) {
            return;
        }
        self.extend_layout();
        self.switch_input(now.monotonic);
        while self.advance(now.monotonic) {}
        self.drop_stale(now.monotonic);
        self.advance_set_edges(now.monotonic);
    }

    /// Tells unnamed candidates' renditions by what the playlists say now.
    pub(super) fn name_candidates(&mut self) {
        let (state, inputs) = (&self.state, &self.inputs);
        for candidate in self.candidates.iter_mut().filter(|it| it.rendition.is_none()) {
            let input = candidate.meta.input;
            // An encoder that joined late sends names like its twin's before its own top playlist.
            let own = state.sources[input.index()].as_ref();
            let any = own.or_else(|| state.sources.iter().flatten().next());
            let playlists = inputs.playlists(input);
            candidate.rendition =
                any.and_then(|top| playlists.rendition_of(top, &candidate.meta.name));
        }
    }

    /// Takes one step on one track. Returns false where nothing can be done now.
    fn advance(&mut self, now: Monotonic) -> bool {
        let mut order: Vec<(TrackKind, u32, TrackId)> = Vec::with_capacity(self.state.tracks.len());
        order.extend(self.state.tracks.iter().map(|it| (it.info.kind, it.order, it.info.id)));
        order.sort_unstable();
        order.into_iter().enumerate().any(|(at, (kind, _, id))| match kind {
            TrackKind::Text => self.advance_text(now, id),
            TrackKind::Video | TrackKind::Audio => self.advance_track(now, id, at == 0),
        })
    }

    fn advance_track(&mut self, now: Monotonic, id: TrackId, leads: bool) -> bool {
        let Some(track) = self.state.track(id).cloned() else { return false };
        let mut waiting: Vec<(Place, MediaTime, usize)> = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            if self.track_of(candidate) == Some(id)
                && let Some((place, start)) = self.place(&track, &candidate.meta)
            {
                waiting.push((place, start, at));
            }
        }
        let active = self.state.active;
        waiting.sort_by_key(|&(_, start, at)| {
            let candidate = &self.candidates[at];
            (start, Some(candidate.meta.input) != active, candidate.committed)
        });
        for (place, start, at) in waiting {
            let acted = match place {
                Place::Behind => self.settle_behind(now, &track, start, at, leads),
                Place::Next | Place::Hole => self.try_list(now, &track, (place, start), at, leads),
                Place::Foreign => leads && self.may_lead(now, at) && self.begin_session(now, at),
            };
            if acted {
                return true;
            }
        }
        false
    }

    /// A candidate from before the track's end: fills a gap, begins a session, or is dropped.
    fn settle_behind(
        &mut self,
        now: Monotonic,
        track: &TrackState,
        start: MediaTime,
        at: usize,
        leads: bool,
    ) -> bool {
        let meta = self.candidates[at].meta.clone();
        let id = track.info.id;
        let covered = self.listed_at(track, start, meta.frame()).cloned();
        if let Some(gap) = covered.as_ref().filter(|listed| listed.media.is_none())
            && self.may_fill(track, gap)
            && start + meta.duration() <= gap.end + meta.frame()
        {
            let listed = self.listed_media(track, at, (gap.number, gap.grid), start);
            let listed = Listed { discontinuity: gap.discontinuity, ..listed };
            self.emit(Change::Filled(id, listed));
            self.recent.push(id, gap.number, meta.input, &meta.name);
            self.events.push(Event::GapFilled(id));
            self.candidates.remove(at);
            return true;
        }
        let rewound = covered.as_ref().is_none_or(|listed| {
            let source = self.recent.source_of(id, listed.number);
            source.is_some_and(|(input, name)| input == meta.input && name != meta.name)
        });
        if leads && rewound && self.may_lead(now, at) {
            return self.begin_session(now, at);
        }
        if covered.is_none_or(|listed| listed.media.is_none()) {
            self.events.push(Event::Late(id));
        }
        self.candidates.remove(at);
        true
    }

    /// A gap may be filled within a playlist window, and while no joined segment that was made
    /// with the hole inside would change by it.
    fn may_fill(&self, track: &TrackState, gap: &Listed) -> bool {
        let Some(grid) = self.state.grids.iter().find(|grid| grid.id == gap.grid) else {
            return false;
        };
        let Some(segments) = self.windows.segments(track.info.id) else { return false };
        let front = segments.first().map_or(0, |first| first.number);
        let untouched = |seconds: &u32| {
            let joined = grid.joined_number(gap.number, *seconds);
            let Some(parts) = grid.base_numbers(joined, *seconds) else { return false };
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

    /// Lists a candidate that comes next or after a hole, if its time has come.
    fn try_list(
        &mut self,
        now: Monotonic,
        track: &TrackState,
        (place, start): (Place, MediaTime),
        at: usize,
        leads: bool,
    ) -> bool {
        let half_target_ago = self.candidates[at].committed + span(self.target()) / 2 <= now;
        if !half_target_ago && !self.is_ready(now, track, at, leads) {
            return false;
        }
        let Some(number) = self.number_for(track, (place, start), at, leads) else { return false };
        // The leader goes first: it decides where grids begin.
        let led = self.state.leader().and_then(|leader| leader.next_number);
        if !leads && !half_target_ago && led.is_none_or(|next| next <= number) && track.cadence == 0
        {
            return false;
        }
        let missing = track.next_number.map_or(0, |next| number - next);
        if (place == Place::Hole || missing > 0) && !half_target_ago {
            return false;
        }
        if missing > limits::HOLE_GAP_COUNT_MAX {
            return leads && self.begin_session(now, at);
        }
        if missing > 0 {
            self.list_gaps(track.info.id, number, start);
        }
        self.list_candidate(track.info.id, at, number, start);
        true
    }

    /// Lists numbers up to `number` as gaps that end at `until`.
    pub(super) fn list_gaps(&mut self, id: TrackId, number: u64, until: MediaTime) {
        let Some(track) = self.state.track(id).cloned() else { return };
        let Some(next) = track.next_number else { return };
        let mut start = track.end;
        for gap in next..number {
            let Some(grid) = self.grid_of(track.cadence, gap) else { return };
            let end = if gap + 1 == number { until } else { grid.start_at(gap + 1) };
            let end = end.clamp(start, until.max(start));
            let (grid, discontinuity) = (grid.id, self.breaks_before(id, grid.id));
            let listed = Listed { number: gap, grid, start, end, discontinuity, media: None };
            self.emit(Change::Listed(id, listed));
            start = end;
        }
        self.events.push(Event::Gaps(id, number - next));
    }

    fn list_candidate(&mut self, id: TrackId, at: usize, number: u64, start: MediaTime) {
        let Some(track) = self.state.track(id).cloned() else { return };
        let meta = self.candidates[at].meta.clone();
        let current = track.init.and_then(|init| self.state.inits.get(&init));
        let changed = current.is_some_and(|init| init.config != meta.config);
        let newest = self.state.grid(track.cadence).map(|grid| (grid.first_number, grid.breaks));
        let joined = track.session == self.state.session.map(|session| session.id);
        if changed && joined && newest.is_some_and(|(first, _)| first < number) {
            self.begin_grids(start, None, None);
        }
        let Some(grid) = self.grid_of(track.cadence, number).map(|grid| grid.id) else { return };
        let listed = self.listed_media(&track, at, (number, grid), start);
        let discontinuity = self.breaks_before(id, grid);
        // A configuration that others cannot break at: nothing can be joined across it.
        let stranded = changed && joined && !discontinuity;
        let media = if stranded { None } else { listed.media };
        self.emit(Change::Listed(id, Listed { discontinuity, media, ..listed }));
        self.recent.push(id, number, meta.input, &meta.name);
        self.candidates.remove(at);
    }

    pub(super) fn listed_media(
        &mut self,
        track: &TrackState,
        at: usize,
        (number, grid): (u64, u32),
        start: MediaTime,
    ) -> Listed {
        let candidate = self.candidates[at].clone();
        let meta = &candidate.meta;
        let init = self.init_for(track, meta);
        let media = MediaRef {
            decode_start: start + (meta.decode_start - meta.start),
            init,
            table: candidate.table,
            payload: candidate.payload,
            sample_count: meta.sample_count,
            hash: candidate.hash,
        };
        let end = start + meta.duration();
        Listed { number, grid, start, end, discontinuity: false, media: Some(media) }
    }

    fn init_for(&mut self, track: &TrackState, meta: &RecordMeta) -> u32 {
        let id = track.info.id;
        let same = |(_, init): &(&u32, &Init)| init.track == id && init.config == meta.config;
        if let Some((&known, _)) = self.state.inits.iter().rfind(same) {
            return known;
        }
        let fresh = self.state.inits.last_key_value().map_or(0, |(&last, _)| last + 1);
        let init = Init { config: meta.config.clone(), track: id };
        self.emit(Change::Init(fresh, init));
        fresh
    }
}
