//! Carries out which input leads, see [`super::switching`] for the decision.
//!
//! Between aligned inputs a switch is a word in the state. Where they are apart, the input that is
//! to lead begins a session with its first segment that goes on where the listed media ends, and
//! leads from there on; until it has one, nothing changes.

use crate::engine::channel::alignment::{Apart, Comparison};
use crate::engine::channel::candidate::{Candidate, RecordMeta};
use crate::engine::channel::event::{Cause, Event, SwitchReason};
use crate::engine::channel::grid::unwrap_near;
use crate::engine::channel::placing::{Place, Return};
use crate::engine::channel::state::Change;
use crate::engine::channel::switching::View;
use crate::engine::channel::{Channel, span};
use crate::units::{InputNumber, MediaTime, Monotonic};
use std::time::Duration;

/// Segments in a row that the other input must have been in time with first, to lead.
const LATE_COUNT: u32 = 3;

impl Channel {
    /// Somebody wants `input` to lead. It does as soon as it can without a hole; where it has no
    /// sound media, that is refused with an event.
    pub fn switch_to(&mut self, input: InputNumber) {
        if self.state.active.is_some_and(|active| active != input) {
            self.switching.request(input);
        }
    }

    /// Switches to the other input where it should lead, and can.
    pub(super) fn settle_leadership(&mut self, now: Monotonic) {
        let Some(active) = self.state.active else { return };
        let view = self.view(now, active);
        if let Some(input) = self.switching.take_refused(&view) {
            self.events.push(Event::SwitchRefused(input));
        }
        let Some(reason) = self.switching.decide(now, self.config.preference, &view) else {
            self.wanted_since = None;
            return;
        };
        let since = *self.wanted_since.get_or_insert(now);
        let other = active.other();
        // Who carries the session on is no stranger to it.
        if self.is_apart(other) && reason != SwitchReason::Jumped {
            self.cross_over(now, since, reason);
            return;
        }
        self.lead(now, other, reason);
        if let (SwitchReason::Jumped, Some(leader)) = (reason, self.leader()) {
            let id = leader.info.id;
            self.learn(id, Comparison::Apart(Apart::Timestamps));
        }
    }

    fn view(&self, now: Monotonic, active: InputNumber) -> View {
        let other = active.other();
        let is_alive = |input| self.inputs.is_alive(input, now, self.silence());
        View {
            active,
            active_is_healthy: self.inputs.is_healthy(active, now),
            active_has_jumped: self.has_jumped(active),
            active_is_late: self.late_count >= LATE_COUNT,
            other_healthy_for: self.inputs.healthy_for(other, now),
            other_is_all_there_is: is_alive(other) && !is_alive(active),
        }
    }

    fn lead(&mut self, now: Monotonic, to: InputNumber, reason: SwitchReason) {
        self.emit(Change::Active(to));
        self.switching.on_switched(now, to);
        self.wanted_since = None;
        self.late_count = 0;
        self.events.push(Event::InputSwitched { to, reason });
    }

    /// What the input that leads has sent lies on another timeline, and the other one has gone on
    /// with this one since.
    fn has_jumped(&self, active: InputNumber) -> bool {
        let Some(leader) = self.leader() else { return false };
        let segments = self.windows.segments(leader.info.id);
        let newest = segments.and_then(|segments| segments.last()?.media.as_ref());
        let advanced = self.advanced.get(&leader.info.id);
        newest.is_some_and(|media| media.input != active)
            && self.candidates.iter().any(|it| {
                it.meta.input == active
                    && advanced.is_some_and(|advanced| *advanced > it.committed)
                    && self.track_of(it) == Some(leader.info.id)
                    && self.leaves_session(it)
            })
    }

    /// True where a candidate of the leader is no part of the present session.
    fn leaves_session(&self, candidate: &Candidate) -> bool {
        let Some(track) = self.leader() else { return false };
        let Candidate { meta, committed, .. } = candidate;
        let Some((place, start)) = self.place(track, meta, *committed, self.reach(track)) else {
            return false;
        };
        match place {
            Place::Foreign => !self.is_superseded(meta.input, *committed),
            Place::Behind => {
                let covered = self.listed_at(track, start, meta.frame());
                self.return_of(track, candidate, start, covered) == Return::Anew
            }
            Place::Next | Place::Hole => false,
        }
    }

    /// True where the session needs no new beginning for `input`'s sake, as the other one goes on
    /// with it.
    pub(super) fn is_carried_on_without(&self, now: Monotonic, input: InputNumber) -> bool {
        let other = input.other();
        let Some(leader) = self.leader() else { return false };
        // As much grace as health has: a segment, and half of the next.
        let grace = span(self.target()) * 3 / 2;
        self.inputs.went_on(other).is_some_and(|went_on| now < went_on + grace)
            && !self.is_apart(other)
            && !self.candidates.iter().any(|it| {
                it.meta.input == other
                    && self.track_of(it) == Some(leader.info.id)
                    && self.leaves_session(it)
            })
    }

    /// The input in use may begin sessions, or the other one while that has missed its deadline.
    pub(super) fn may_lead(&self, now: Monotonic, input: InputNumber) -> bool {
        let active = self.state.active;
        active == Some(input) || active.is_none_or(|active| !self.inputs.is_healthy(active, now))
    }

    /// Whether a copy of an input that is apart may be the first of a session: it goes on where the
    /// listed media ends, give or take an eighth of a target, or it came after a switch was due.
    pub(super) fn may_begin(
        &self,
        now: Monotonic,
        committed: Monotonic,
        meta: &RecordMeta,
    ) -> bool {
        let early = MediaTime(self.target().0 / 8);
        self.wanted_since.is_some_and(|since| since <= committed && committed <= now)
            || self.start_by_clock(meta, committed) + early >= self.published_end()
    }

    /// Counts how often in a row the other input was in time first with other bytes.
    pub(super) fn note_who_serves(&mut self, meta: &RecordMeta) {
        let leader = self.leader().map(|leader| leader.info.id);
        let identical = leader.is_some_and(|id| self.alignment(id).is_identical());
        let is_late = self.state.active != Some(meta.input) && !identical;
        self.late_count = if is_late { self.late_count + 1 } else { 0 };
    }

    /// The input that does not lead, and is apart, begins a session with what it has.
    fn cross_over(&mut self, now: Monotonic, since: Monotonic, reason: SwitchReason) {
        let Some(active) = self.state.active else { return };
        let other = active.other();
        let begins = |(_, it): &(usize, &Candidate)| {
            it.meta.input == other
                && it.meta.random_access
                && self.track_of(it).is_some()
                && self.may_begin(now, it.committed, &it.meta)
        };
        let order = |it: &Candidate| {
            let track = self.track_of(it).and_then(|id| self.state.track(id));
            track.map(|track| (track.info.kind, track.order))
        };
        let candidates = || self.candidates.iter().enumerate().filter(begins);
        let Some(leading) = candidates().filter_map(|(_, it)| order(it)).min() else { return };
        // Sound alone waits for its pictures.
        let leader = self.leader().map(|leader| (leader.info.kind, leader.order));
        let half = span(self.target()) / 2;
        if leader.is_some_and(|leader| leader < leading) && now < since + half {
            return;
        }
        let run = candidates().filter(|(_, it)| order(it) == Some(leading));
        let first =
            run.min_by_key(|(_, it)| (self.start_by_clock(&it.meta, it.committed), it.committed));
        let Some((at, first)) = first else { return };
        let Some(id) = self.track_of(first) else { return };
        if self.is_unlisted(&first.meta) && now < first.committed + half {
            // Its PROGRAM-DATE-TIME may still come.
            return;
        }
        let payload = first.payload;
        self.lead(now, other, reason);
        self.forget_before(at);
        let Some(at) = self.candidates.iter().position(|it| it.payload == payload) else { return };
        self.begin_session(at, Cause::Switch);
        self.list_first(id, at);
    }

    /// Lets go of what candidate `at`'s input sent of the time before it.
    fn forget_before(&mut self, at: usize) {
        let first = self.candidates[at].meta.clone();
        // Sound that is muxed with pictures may begin a little before them.
        let early = MediaTime(self.target().0 / 4);
        let is_older = |it: &Candidate| {
            let start = unwrap_near(it.meta.start, MediaTime(0), first.start);
            it.meta.input == first.input && start + early < first.start
        };
        while let Some(older) = self.candidates.iter().position(is_older) {
            self.forget(older);
        }
    }

    /// How long an input may send nothing at all before the other one leads, whatever that sends.
    pub(super) fn silence(&self) -> Duration {
        2 * span(self.target())
    }
}
