//! Lists candidates: each track's next segment, gaps where media is missing, late media in gaps.

use crate::engine::channel::candidate::{Candidate, RecordMeta};
use crate::engine::channel::grid::unwrap_near;
use crate::engine::channel::session::exact_period;
use crate::engine::channel::state::{Change, TrackState};
use crate::engine::channel::{Channel, DropReason, Event, Now, span};
use crate::engine::codec::TrackKind;
use crate::engine::presentation::{Grid, Init, Listed, MediaRef};
use crate::limits;
use crate::units::{InputNumber, MediaTime, Monotonic, TrackId};
use std::collections::VecDeque;

/// Grids that may move in a row before the source counts as one without a cadence.
const OFF_GRID_COUNT_MAX: u32 = 3;

/// The longest hole that is one session still: an hour.
const HOLE_MAX: MediaTime = MediaTime(3_600 * 90_000);

/// Where a candidate stands to its track's listed media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It begins where the track ends, or where its session begins.
    Next,
    /// Media is missing before it.
    Hole,
    /// It begins before the track's end.
    Behind,
    /// Its time does not belong to this session.
    Foreign,
}

/// Where the newest listed segments came from. Bounded; forgotten at a restart.
#[derive(Debug, Default)]
pub struct RecentNames {
    entries: VecDeque<(TrackId, u64, InputNumber, String)>,
}

impl RecentNames {
    fn push(&mut self, track: TrackId, number: u64, input: InputNumber, name: &str) {
        if self.entries.len() == limits::RECENT_NAME_COUNT_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((track, number, input, name.to_owned()));
    }

    fn source_of(&self, track: TrackId, number: u64) -> Option<(InputNumber, &str)> {
        let found = self.entries.iter().rfind(|entry| (entry.0, entry.1) == (track, number));
        found.map(|(_, _, input, name)| (*input, name.as_str()))
    }

    fn number_of(&self, track: TrackId, input: InputNumber, name: &str) -> Option<u64> {
        let same = |entry: &&(TrackId, u64, InputNumber, String)| {
            entry.0 == track && entry.2 == input && entry.3 == name
        };
        self.entries.iter().rfind(same).map(|entry| entry.1)
    }
}

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
        let top = self.top(meta.input).or_else(|| self.state.sources.iter().flatten().next())?;
        let rendition = self.inputs.playlists(meta.input).rendition_of(top, &meta.name)?;
        let source = (rendition, meta.ordinal);
        let of_source =
            |track: &&TrackState| track.info.kind == meta.kind() && track.sources.contains(&source);
        let track = self.state.tracks.iter().find(of_source)?;
        if meta.kind() == TrackKind::Text {
            let known = self.recent.number_of(track.info.id, meta.input, &meta.name);
            return known.map(|_| DropReason::Duplicate);
        }
        let start = self.media_start(track, meta)?;
        if let Some(listed) = self.listed_at(track, start, meta.frame()) {
            let source = self.recent.source_of(track.info.id, listed.number);
            let rewound =
                source.is_some_and(|(input, name)| input == meta.input && name != meta.name);
            return (!rewound && listed.media.is_some()).then_some(DropReason::Duplicate);
        }
        let waiting = |it: &&Candidate| {
            self.track_of(it) == Some(track.info.id)
                && self.media_start(track, &it.meta).is_some_and(|at| near(at, start, meta.frame()))
                && it.meta.damage.is_none()
                && it.meta.duration() >= meta.duration() - meta.frame()
        };
        if self.candidates.iter().any(|it| waiting(&it)) {
            return Some(DropReason::Duplicate);
        }
        let active = self.state.active?;
        let standby = meta.input != active && self.inputs.is_alive(active, now, self.silence());
        (standby && !self.fits(track, start, meta)).then_some(DropReason::Standby)
    }

    /// Content hash of the media that is listed, or waits to be, at the time of `meta`'s track.
    #[must_use]
    pub fn hash_of_same_time(&self, meta: &RecordMeta) -> Option<u64> {
        let top = self.top(meta.input).or_else(|| self.state.sources.iter().flatten().next())?;
        let rendition = self.inputs.playlists(meta.input).rendition_of(top, &meta.name)?;
        let source = (rendition, meta.ordinal);
        let track = self
            .state
            .tracks
            .iter()
            .find(|track| track.info.kind == meta.kind() && track.sources.contains(&source))?;
        let start = self.media_start(track, meta)?;
        let listed = self.listed_at(track, start, meta.frame());
        if let Some(media) = listed.and_then(|listed| listed.media.as_ref()) {
            return Some(media.hash);
        }
        let waiting = self.candidates.iter().find(|it| {
            self.track_of(it) == Some(track.info.id)
                && self.media_start(track, &it.meta).is_some_and(|at| near(at, start, meta.frame()))
        })?;
        Some(waiting.hash)
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
    fn media_start(&self, track: &TrackState, meta: &RecordMeta) -> Option<MediaTime> {
        let session = self.state.session?;
        let joined = track.session == Some(session.id);
        let reference = if joined { track.end } else { session.start };
        Some(unwrap_near(meta.start, session.shift, reference))
    }

    fn listed_at(&self, track: &TrackState, start: MediaTime, frame: MediaTime) -> Option<&Listed> {
        let segments = self.windows.segments(track.info.id)?;
        let at = segments.partition_point(|listed| listed.end <= start + frame);
        segments.get(at).filter(|listed| listed.start <= start + frame)
    }

    fn place(&self, track: &TrackState, meta: &RecordMeta) -> Option<(Place, MediaTime)> {
        let session = self.state.session?;
        let start = self.media_start(track, meta)?;
        let hole_max = self.config.window.max(MediaTime(3 * self.target().0)).min(HOLE_MAX);
        let joined = track.session == Some(session.id);
        let reference = if joined { track.end } else { session.start };
        let ahead = start - reference;
        let place = if near(start, reference, meta.frame()) {
            Place::Next
        } else if ahead.0.abs() > hole_max.0 {
            Place::Foreign
        } else if !joined {
            // Tracks of one session begin about together; the grid tells the number.
            Place::Next
        } else if ahead.0 > 0 {
            Place::Hole
        } else {
            Place::Behind
        };
        Some((place, start))
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

    /// A candidate of the input in use, or of the other one while that is silent.
    fn may_lead(&self, now: Monotonic, at: usize) -> bool {
        let input = self.candidates[at].meta.input;
        let active = self.state.active;
        active == Some(input)
            || active.is_none_or(|active| !self.inputs.is_alive(active, now, self.silence()))
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

    /// Whether a candidate may be listed at once. One that is odd, or coded unlike what is on air,
    /// waits half a target for the other input's copy.
    fn is_ready(&self, now: Monotonic, track: &TrackState, at: usize, leads: bool) -> bool {
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

    /// The base number that a candidate gets. May begin a grid or a cadence on the way.
    fn number_for(
        &mut self,
        track: &TrackState,
        (place, start): (Place, MediaTime),
        at: usize,
        leads: bool,
    ) -> Option<u64> {
        let grid = self.state.grid(track.cadence)?.clone();
        let joined = track.session == self.state.session.map(|session| session.id);
        let next = match track.next_number {
            Some(next) if joined => next,
            next => {
                let first = self.first_number(track, start, at, &grid)?;
                return Some(first.max(next.unwrap_or(0)).max(grid.first_number));
            }
        };
        if place == Place::Hole {
            return Some(grid.number_at(start).unwrap_or(next).max(next));
        }
        if next >= grid.first_number && !grid.is_near(next, start) {
            if leads {
                self.move_grid(track, &grid, start, at);
            } else if track.cadence == 0 && self.off_grid == 0 {
                self.part_cadence(track, &grid, next, start, at);
            }
        } else if leads {
            self.off_grid = 0;
        }
        Some(next)
    }

    /// The number of a track's first segment in a session: that of the leader's segment in the
    /// same body, else the grid's, counted back from the first segment of the run that is on it.
    fn first_number(
        &self,
        track: &TrackState,
        start: MediaTime,
        at: usize,
        grid: &Grid,
    ) -> Option<u64> {
        let meta = &self.candidates[at].meta;
        let leader = self.state.leader().map(|leader| leader.info.id)?;
        if let Some(number) = self.recent.number_of(leader, meta.input, &meta.name) {
            return Some(number);
        }
        let mut run: Vec<(MediaTime, MediaTime)> = Vec::new();
        for candidate in
            self.candidates.iter().filter(|it| self.track_of(it) == Some(track.info.id))
        {
            let begin = self.media_start(track, &candidate.meta)?;
            run.push((begin, candidate.meta.duration()));
        }
        run.sort_unstable();
        let (mut behind, mut expected) = (0, start);
        for (begin, duration) in run.into_iter().filter(|&(begin, _)| begin >= start) {
            if !near(begin, expected, meta.frame()) {
                break;
            }
            let number = grid.number_at(begin)?;
            if grid.is_near(number, begin) {
                return number.checked_sub(behind);
            }
            behind += 1;
            expected = begin + duration;
        }
        grid.number_at(start)
    }

    /// The leader is contiguous but off its grid: the next number begins a grid where it lies.
    fn move_grid(&mut self, track: &TrackState, grid: &Grid, start: MediaTime, at: usize) {
        if self.off_grid >= OFF_GRID_COUNT_MAX {
            return;
        }
        self.off_grid += 1;
        let candidate = &self.candidates[at];
        let newest = self.windows.segments(track.info.id).and_then(|segments| segments.last());
        let steady = newest.is_some_and(|newest| {
            (newest.end - newest.start - candidate.meta.duration()).0.abs() <= 1
        });
        let period = if steady { exact_period(candidate) } else { grid.period };
        self.begin_grids(start, None, Some(period));
        self.events.push(Event::GridMoved);
    }

    /// A track whose segments begin elsewhere than the leader's counts by itself from here on.
    fn part_cadence(
        &mut self,
        track: &TrackState,
        grid: &Grid,
        next: u64,
        start: MediaTime,
        at: usize,
    ) {
        let highest = self.state.tracks.iter().map(|track| track.cadence).max().unwrap_or(0);
        let ticks = u64::try_from(self.candidates[at].meta.duration().0).unwrap_or(1).max(1);
        let mut own = grid.successor(self.next_grid_id(), next.max(1), start, (ticks, 1));
        own.cadence = highest + 1;
        self.emit(Change::Track(TrackState { cadence: own.cadence, ..track.clone() }));
        self.emit(Change::Grid(own));
    }

    /// Lists numbers up to `number` as gaps that end at `until`.
    fn list_gaps(&mut self, id: TrackId, number: u64, until: MediaTime) {
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

    fn listed_media(
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

    /// The grid that base number `number` of a cadence lies on.
    fn grid_of(&self, cadence: u16, number: u64) -> Option<&Grid> {
        let of_cadence = self.state.grids.iter().filter(|grid| grid.cadence == cadence);
        of_cadence.rev().find(|grid| grid.first_number <= number)
    }

    /// True where a discontinuity lies between a track's newest listed entry and `grid`.
    fn breaks_before(&self, id: TrackId, grid: u32) -> bool {
        let Some(track) = self.state.track(id) else { return false };
        let Some(last) = track.grid else { return false };
        let of_cadence = self.state.grids.iter().filter(|it| it.cadence == track.cadence);
        of_cadence.filter(|it| it.id > last && it.id <= grid).any(|it| it.breaks)
    }

    /// Text has no time of its own: it is placed beside the leader's segment with the same media
    /// sequence number, or by PROGRAM-DATE-TIME.
    fn advance_text(&mut self, now: Monotonic, id: TrackId) -> bool {
        let Some(track) = self.state.track(id).cloned() else { return false };
        let Some(leader) = self.state.leader().cloned() else { return false };
        let mut waiting: Vec<(u64, usize)> = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            if self.track_of(candidate) == Some(id)
                && let Some(number) = self.text_number(&candidate.meta, &leader)
            {
                waiting.push((number, at));
            }
        }
        waiting.sort_unstable();
        let Some(&(number, at)) = waiting.first() else { return false };
        let next = track.next_number.unwrap_or(number);
        if number < next {
            self.candidates.remove(at);
            return true;
        }
        let half_target_ago = self.candidates[at].committed + span(self.target()) / 2 <= now;
        let Some(beside) = self.listed_number(leader.info.id, number).cloned() else {
            return false;
        };
        if number > next {
            if !half_target_ago {
                return false;
            }
            self.list_gaps(id, number, beside.start);
        }
        let Some(session) = self.state.session else { return false };
        let listed = self.listed_media(&track, at, (number, beside.grid), beside.start);
        let zero = self.candidates[at].meta.decode_start;
        let decode_start = unwrap_near(zero, session.shift, beside.start);
        let media = listed.media.map(|media| MediaRef { decode_start, ..media });
        let discontinuity = self.breaks_before(id, beside.grid);
        let listed = Listed { end: beside.end, discontinuity, media, ..listed };
        self.emit(Change::Listed(id, listed));
        let meta = self.candidates.remove(at).meta;
        self.recent.push(id, number, meta.input, &meta.name);
        true
    }

    fn text_number(&self, meta: &RecordMeta, leader: &TrackState) -> Option<u64> {
        let playlists = self.inputs.playlists(meta.input);
        let listed = playlists.segment(&meta.name)?;
        let grid = self.state.grid(0)?;
        if let (Some(time), Some(offset)) = (listed.program_date_time, self.state.clock_offset) {
            let start = MediaTime(time.ticks_90k()) - offset;
            if let Some(number) = grid.number_at(start)
                && grid.is_near(number, start)
            {
                return Some(number);
            }
        }
        let top = self.top(meta.input)?;
        let (key, _) = leader.sources.first()?;
        let beside = playlists.segment_at(&top.rendition(*key)?.playlist, listed.sequence)?;
        self.recent.number_of(leader.info.id, meta.input, beside)
    }

    fn listed_number(&self, id: TrackId, number: u64) -> Option<&Listed> {
        let segments = self.windows.segments(id)?;
        let position = number.checked_sub(segments.first()?.number)?;
        segments.get(usize::try_from(position).ok()?)
    }

    /// The other input leads once the one in use has been silent for two targets.
    fn switch_input(&mut self, now: Monotonic) {
        let silence = self.silence();
        let Some(active) = self.state.active else { return };
        if self.inputs.is_alive(active, now, silence) {
            return;
        }
        let mut inputs = [InputNumber::ONE, InputNumber::TWO].into_iter();
        let alive = inputs.find(|&input| self.inputs.is_alive(input, now, silence));
        if let Some(other) = alive {
            self.emit(Change::Active(other));
            self.events.push(Event::InputSwitched(other));
        }
    }

    /// Lets go of candidates that found no place within three targets.
    fn drop_stale(&mut self, now: Monotonic) {
        let patience = 3 * span(self.target());
        let mut unplaced = Vec::new();
        self.candidates.retain(|candidate| {
            let keep = candidate.committed + patience > now;
            if !keep {
                unplaced.push(Event::Unplaced(candidate.meta.name.clone()));
            }
            keep
        });
        self.events.append(&mut unplaced);
    }

    /// DASH lists a number when every track of a kind has it, or half a target after the first.
    fn advance_set_edges(&mut self, now: Monotonic) {
        let half = span(self.target()) / 2;
        for kind in [TrackKind::Video, TrackKind::Audio, TrackKind::Text] {
            let tracks = self.state.tracks.iter().filter(|track| track.info.kind == kind);
            let next = || tracks.clone().filter_map(|track| track.next_number);
            let (Some(least), Some(most)) = (next().min(), next().max()) else { continue };
            let apart = tracks.clone().any(|track| track.cadence != 0);
            let edge = self.state.set_edges.get(&kind).copied().unwrap_or(0);
            let mut reached = if apart { most } else { least };
            match self.set_waits.get(&kind).copied() {
                Some((number, since)) if since + half <= now => {
                    reached = reached.max(number);
                    self.set_waits.remove(&kind);
                }
                None if most > reached.max(edge) => {
                    self.set_waits.insert(kind, (most, now));
                }
                Some(_) | None => {}
            }
            if reached > edge {
                self.emit(Change::SetEdge(kind, reached));
            }
        }
    }
}

fn near(one: MediaTime, other: MediaTime, tolerance: MediaTime) -> bool {
    (one - other).0.abs() <= tolerance.0
}
