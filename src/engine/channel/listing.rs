//! Lists candidates: each track's next segment, gaps where media is missing, late media in gaps.

use crate::engine::channel::alignment::{Apart, Comparison};
use crate::engine::channel::candidate::{Candidate, RecordMeta};
use crate::engine::channel::event::{Cause, Event};
use crate::engine::channel::grid::unwrap_near;
use crate::engine::channel::placing::{Place, Return, near};
use crate::engine::channel::state::{Change, TrackState};
use crate::engine::channel::{Channel, DropReason, Now, span};
use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::presentation::{Init, Listed, MediaRef};
use crate::limits;
use crate::units::{MediaTime, Monotonic, TrackId};

impl Channel {
    /// Lists everything that can be listed now.
    pub(super) fn settle(&mut self, now: Now) {
        self.name_candidates();
        if !self.begin(now) {
            self.drop_stale(now.monotonic);
            return;
        }
        self.extend_layout();
        self.settle_leadership(now.monotonic);
        // Each step lists, drops, or begins what lists next time; the bound is for a bug of ours.
        let steps_max = 4 * (self.candidates.len() + self.state.tracks.len()) + 4;
        for step in 0.. {
            if !self.advance(now.monotonic) {
                break;
            }
            assert!(step < steps_max, "listing goes on without an end");
        }
        self.drop_stale(now.monotonic);
        self.advance_set_edges(now.monotonic);
        self.advance_sound_edge(now.monotonic);
    }

    /// Tells unnamed candidates' renditions by what the playlists say now.
    pub(super) fn name_candidates(&mut self) {
        for at in 0..self.candidates.len() {
            let Candidate { meta, rendition: None, .. } = &self.candidates[at] else { continue };
            self.candidates[at].rendition = self.rendition_named(meta.input, &meta.name);
        }
    }

    /// Takes one step on one track. Returns false where nothing can be done now.
    fn advance(&mut self, now: Monotonic) -> bool {
        let mut order: Vec<(TrackKind, u32, TrackId)> = Vec::with_capacity(self.state.tracks.len());
        order.extend(self.state.tracks.iter().map(|it| (it.info.kind, it.order, it.info.id)));
        order.sort_unstable();
        order.into_iter().any(|(kind, _, id)| match kind {
            TrackKind::Text => self.advance_text(now, id),
            TrackKind::Video | TrackKind::Audio => {
                let leads = self.leader().is_some_and(|leader| leader.info.id == id);
                self.advance_track(now, id, leads)
            }
        })
    }

    fn advance_track(&mut self, now: Monotonic, id: TrackId, leads: bool) -> bool {
        let Some(track) = self.state.track(id).cloned() else { return false };
        let reach = self.reach(&track);
        let mut waiting: Vec<(Place, MediaTime, usize)> = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            let Candidate { meta, committed, is_seconded, .. } = candidate;
            if self.track_of(candidate) == Some(id)
                && (*is_seconded || !self.is_apart(meta.input))
                && let Some((place, start)) = self.place(&track, meta, *committed, reach)
            {
                waiting.push((place, start, at));
            }
        }
        let active = self.state.active;
        waiting.sort_by_key(|&(_, start, at)| {
            let candidate = &self.candidates[at];
            let is_odd = !self.flaws(&track, &candidate.meta).is_none();
            (start, is_odd, Some(candidate.meta.input) != active, candidate.committed)
        });
        // What comes first is listed first, however long the rest has waited.
        let listable = |place: Place| matches!(place, Place::Next | Place::Hole);
        let mut ahead = waiting.iter().filter(|it| listable(it.0));
        let nearest = ahead.clone().map(|it| it.1).next();
        let ripe = ahead.any(|it| self.has_waited(now, it.2));
        for (place, start, at) in waiting {
            let frame = self.candidates[at].meta.frame();
            let acted = match place {
                Place::Behind => self.settle_behind(now, &track, start, at, leads),
                Place::Next | Place::Hole => {
                    nearest.is_none_or(|nearest| start <= nearest + frame)
                        && self.try_list(now, &track, (place, start), at, (leads, ripe))
                }
                Place::Foreign => {
                    self.note_stranger(now, id, at);
                    // What has its place in this session is listed before the next one begins.
                    nearest.is_none() && self.break_away(now, id, at, leads)
                }
            };
            if acted {
                return true;
            }
        }
        false
    }

    /// True where a candidate was committed half a target ago or longer.
    pub(super) fn has_waited(&self, now: Monotonic, at: usize) -> bool {
        self.candidates[at].committed + span(self.target()) / 2 <= now
    }

    /// A candidate that does not fit the session begins one and is its first segment, unless the
    /// other input carries on with the present one. The leader's goes first; another track's does
    /// where the leader has fallen silent.
    fn break_away(&mut self, now: Monotonic, id: TrackId, at: usize, leads: bool) -> bool {
        let input = self.candidates[at].meta.input;
        // The leader's next copy may come a little later than this track's.
        let mut own = (0..self.candidates.len())
            .filter(|&at| self.track_of(&self.candidates[at]) == Some(id));
        // What both have delivered is as good as the leading input's, and both went along.
        let may_begin = (leads || own.all(|at| self.has_waited(now, at)))
            && (self.went_both(id, at)
                || (self.state.active == Some(input) && !self.is_carried_on_without(now, input)))
            && self.is_vouched_for(now, id, at);
        if may_begin {
            let at = self.first_of_run(id, at);
            let (id, at) = self.leading_beside(at).unwrap_or((id, at));
            self.begin_session(at, Cause::Jump);
            self.list_first(id, at);
            self.forget_former();
        }
        may_begin
    }

    /// The candidate from which others go on up to `at`: what could not be told of it by itself is
    /// told by these.
    fn first_of_run(&self, id: TrackId, at: usize) -> usize {
        let Some(track) = self.state.track(id) else { return at };
        let mut first = at;
        for _ in 0..self.candidates.len() {
            let meta = &self.candidates[first].meta;
            let Some(start) = self.media_start(track, meta) else { break };
            let leads_up = |it: &Candidate| {
                self.track_of(it) == Some(id)
                    && !self.is_superseded(it.meta.input, it.committed)
                    && self.media_start(track, &it.meta).is_some_and(|before| {
                        before < start && near(before + it.meta.duration(), start, meta.frame())
                    })
            };
            let Some(before) = self.candidates.iter().position(leads_up) else { break };
            first = before;
        }
        first
    }

    /// The leader's copy of the time of candidate `at`: where it is there, a session begins with
    /// it, whoever was told first.
    fn leading_beside(&self, at: usize) -> Option<(TrackId, usize)> {
        let meta = &self.candidates[at].meta;
        let leader = self.leader()?.info.id;
        let early = MediaTime(self.target().0 / 4);
        let is_beside = |it: &Candidate| {
            let start = unwrap_near(it.meta.start, MediaTime(0), meta.start);
            self.track_of(it) == Some(leader) && near(start, meta.start, early)
        };
        Some((leader, self.candidates.iter().position(is_beside)?))
    }

    /// True where both inputs have delivered a candidate, or what goes on from it.
    fn went_both(&self, id: TrackId, at: usize) -> bool {
        let Some(track) = self.state.track(id) else { return false };
        let mut run: Vec<_> = self.candidates_of(id).collect();
        run.sort_by_key(|it| self.media_start(track, &it.meta));
        let mut end = None;
        run.into_iter().any(|it| {
            let Some(start) = self.media_start(track, &it.meta) else { return false };
            let first = it.payload == self.candidates[at].payload;
            let goes_on = end.is_some_and(|end| near(start, end, it.meta.frame()));
            if first || goes_on {
                end = Some(start + it.meta.duration());
            }
            let is_other = it.meta.input != self.candidates[at].meta.input;
            end.is_some() && (first || goes_on) && (it.is_seconded || is_other)
        })
    }

    /// A candidate of another timeline, from an input that does not lead, tells that its input is
    /// apart from the one that does.
    fn note_stranger(&mut self, now: Monotonic, id: TrackId, at: usize) {
        let Candidate { meta, is_seconded, .. } = &self.candidates[at];
        let active = self.state.active.filter(|active| *active != meta.input && !is_seconded);
        if active.is_some_and(|active| self.inputs.is_healthy(active, now))
            && self.is_vouched_for(now, id, at)
        {
            self.learn(id, Comparison::Apart(Apart::Timestamps));
        }
    }

    /// True where a playlist lists a candidate, or none has for longer than it takes to tell a new
    /// beginning from what an encoder's former life left behind, and its input goes on from there.
    fn is_vouched_for(&self, now: Monotonic, id: TrackId, at: usize) -> bool {
        let candidate = &self.candidates[at];
        let Some(track) = self.state.track(id) else { return false };
        let patience = span(self.target()) * 3 / 2;
        if self.is_superseded(candidate.meta.input, candidate.committed) {
            return false;
        }
        !self.is_unlisted(&candidate.meta)
            || (candidate.committed + patience <= now && !self.is_stray(track, at))
    }

    /// Lists candidate `at` as the first segment of the session that it began.
    pub(super) fn list_first(&mut self, id: TrackId, at: usize) {
        let Some(track) = self.state.track(id).cloned() else { return };
        let Some(session) = self.state.session else { return };
        let Some(first) = self.state.grid(track.cadence).map(|grid| grid.first_number) else {
            return;
        };
        let number = first.max(track.next_number.unwrap_or(0));
        self.list_at(&track, at, (number, session.start));
    }

    /// Lists a candidate as `number`, and as gaps what is missing before it.
    fn list_at(&mut self, track: &TrackState, at: usize, (number, start): (u64, MediaTime)) {
        let mut number = number;
        if self.state.ended {
            // What was offered as complete at the end of the stream stays as it is.
            let joined = track.session == self.state.session.map(|session| session.id);
            if joined && self.grid_of(track.cadence, number).map(|it| it.id) == track.grid {
                self.begin_grids(self.line_before(track, start), None, None, false);
                if let Some(next) = track.next_number.filter(|next| *next < number) {
                    let place = self.state.grid(track.cadence).and_then(|it| it.number_at(start));
                    number = place.unwrap_or(number).max(next);
                }
            }
            self.inputs.resume(self.candidates[at].meta.input);
            self.emit(Change::Ended(false));
        }
        let missing = track.next_number.map_or(0, |next| number - next);
        if missing > limits::HOLE_GAP_COUNT_MAX {
            // Away for longer than gaps are listed: it begins anew, with an empty window.
            let fresh =
                TrackState { next_number: None, session: None, grid: None, ..track.clone() };
            self.emit(Change::Track(fresh));
        } else if missing > 0 {
            self.list_gaps(track.info.id, number, start);
        }
        self.list_candidate(track.info.id, at, (number, start));
    }

    /// The first instant that nothing is published of, whole periods before `start`; where that
    /// is all but a period later, the published end.
    fn line_before(&self, track: &TrackState, start: MediaTime) -> MediaTime {
        let end = self.published_end();
        let Some(grid) = self.state.grid(track.cadence) else { return end };
        let period = grid.period_ticks().0.max(1);
        let part = (start - end).0.rem_euclid(period);
        if start < end || part * 4 > period * 3 { end } else { end + MediaTime(part) }
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
        let candidate = self.candidates[at].clone();
        let (meta, id) = (&candidate.meta, track.info.id);
        let covered = self.listed_at(track, start, meta.frame()).cloned();
        if let Some(gap) = self.gap_for(track, start, meta) {
            return self.fill_with_sound(now, (track, &gap), start, at);
        }
        let returns = self.return_of(track, &candidate, start, covered.as_ref());
        if returns == Return::Anew {
            self.note_stranger(now, id, at);
            return self.break_away(now, id, at, leads);
        }
        // What tells an encoder that began anew from a copy may still come: a playlist, or media.
        let target = span(self.target());
        let patience = if returns == Return::Unsure { target * 3 / 2 } else { target / 2 };
        if now < candidate.committed + patience {
            return false;
        }
        if covered.as_ref().is_some_and(|listed| listed.media.is_some()) {
            self.note_messages_of_copy(meta, DropReason::Duplicate);
        }
        if covered.is_none_or(|listed| listed.media.is_none()) {
            self.events.push(Event::Late { track: id, input: meta.input });
        }
        self.inputs.on_passed(meta.input, meta.start, candidate.hash);
        self.forget(at);
        true
    }

    /// Lets go of a committed candidate, for good: it is not judged again after a restart.
    pub(super) fn forget(&mut self, at: usize) {
        let payload = self.candidates.remove(at).payload;
        self.emit(Change::Dropped(payload));
    }

    /// Lists a candidate that comes next or after a hole, if its time has come.
    fn try_list(
        &mut self,
        now: Monotonic,
        track: &TrackState,
        (place, start): (Place, MediaTime),
        at: usize,
        (leads, ripe): (bool, bool),
    ) -> bool {
        let waits = !self.is_ready(now, track, at) || (leads && self.awaits_declaration(at));
        if !ripe && waits {
            return false;
        }
        let Some(number) = self.number_for(track, (place, start), at, leads) else { return false };
        // The leader goes first: it decides where grids begin.
        let led = self.leader().and_then(|leader| leader.next_number);
        if !leads && !ripe && led.is_none_or(|next| next <= number) && track.cadence == 0 {
            return false;
        }
        let missing = track.next_number.map_or(0, |next| number - next);
        if (place == Place::Hole || missing > 0) && !ripe {
            return false;
        }
        if missing > limits::HOLE_GAP_COUNT_MAX && leads {
            return self.break_away(now, track.info.id, at, leads);
        }
        self.list_at(track, at, (number, start));
        true
    }

    /// Lists numbers up to `number` as gaps that end at `until`.
    pub(super) fn list_gaps(&mut self, id: TrackId, number: u64, until: MediaTime) {
        let Some(track) = self.state.track(id).cloned() else { return };
        let Some(next) = track.next_number else { return };
        // What follows may begin a frame early, and no entry begins behind the next.
        let mut start = track.end.min(until);
        for gap in next..number {
            let Some(grid) = self.grid_of(track.cadence, gap) else { return };
            let (grid, places) = (grid.id, grid.start_at(gap)..grid.start_at(gap + 1));
            let discontinuity = self.breaks_before(id, grid);
            if discontinuity {
                // A discontinuity needs no gap up to it, nor one behind it.
                start = start.max(places.start.min(until));
            }
            let next = self.grid_of(track.cadence, gap + 1);
            let breaks = next.is_some_and(|next| self.breaks_between(track.cadence, grid, next.id));
            let end = if gap + 1 == number && !breaks { until } else { places.end };
            let end = end.clamp(start, until.max(start));
            let listed = Listed { number: gap, grid, start, end, discontinuity, media: None };
            self.emit(Change::Listed(id, listed));
            start = end;
        }
        self.events.push(Event::Gaps(id, number - next));
    }

    fn list_candidate(&mut self, id: TrackId, at: usize, (number, start): (u64, MediaTime)) {
        let Some(track) = self.state.track(id).cloned() else { return };
        let Candidate { meta, committed, .. } = self.candidates[at].clone();
        let leads = self.leader().is_some_and(|leader| leader.info.id == id);
        let changed = self.grid_of(track.cadence, number).is_some_and(|grid| {
            let current = self.configuration_in(&track, grid.id);
            current.is_some_and(|config| *config != meta.config)
        });
        let said = self.inputs.playlists(meta.input).segment(&meta.name);
        let tagged = leads && said.is_some_and(|said| said.discontinuity);
        let joined = track.session == self.state.session.map(|session| session.id);
        // Others may have broken here already, or further on, where this track will follow them.
        let broken = self.state.grid(track.cadence).is_some_and(|it| it.first_number >= number);
        if joined && !broken && (changed || tagged) {
            self.begin_grids(start, None, None, true);
            let cause = if changed { Cause::Configuration } else { Cause::Declared };
            self.events.push(Event::Discontinuity(cause));
        }
        let Some(grid) = self.grid_of(track.cadence, number).map(|grid| grid.id) else { return };
        let listed = self.listed_media(&track, at, (number, grid), start);
        let discontinuity = self.breaks_before(id, grid);
        // A configuration that others cannot break at: nothing can be joined across it.
        let stranded = changed && joined && !discontinuity;
        let media = if stranded { None } else { listed.media };
        let listed = Listed { discontinuity, media, ..listed };
        self.tell_flaws(&track, &listed, meta.frame());
        self.note_messages(&meta, start);
        if leads {
            self.note_tags_of(&meta, start);
        }
        self.emit(Change::Listed(id, listed));
        self.advanced.insert(id, committed);
        if leads {
            self.note_who_serves(&meta);
            self.await_playlist(committed, &meta);
        }
        self.recent.push(id, number, meta.input, &meta.name);
        if leads {
            self.measure_drift(meta.input);
        }
        if stranded {
            self.forget(at);
        } else {
            self.candidates.remove(at);
        }
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
            input: meta.input,
            flaws: self.flaws(track, meta),
        };
        let end = start + meta.duration();
        Listed { number, grid, start, end, discontinuity: false, media: Some(media) }
    }

    /// The configuration of a track's newest media, unless a discontinuity lies between that and
    /// `grid`: behind one there may be another.
    pub(super) fn configuration_in(&self, track: &TrackState, grid: u32) -> Option<&CodecConfig> {
        let segments = self.windows.segments(track.info.id)?;
        let newest = (0..segments.len()).rev().find_map(|at| {
            let listed = segments.get(at)?;
            listed.media.as_ref().map(|media| (listed.grid, media.init))
        });
        let (of, init) = newest.or_else(|| track.grid.zip(track.init))?;
        let (first, last) = (of.min(grid), of.max(grid));
        let init = self.state.inits.get(&init)?;
        (!self.breaks_between(track.cadence, first, last)).then_some(&init.config)
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
