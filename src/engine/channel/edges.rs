//! The edges that move with time: what DASH lists, which track leads, what is waited for no more.

use crate::engine::channel::candidate::{Candidate, RecordMeta};
use crate::engine::channel::event::Event;
use crate::engine::channel::state::Change;
use crate::engine::channel::state::TrackState;
use crate::engine::channel::{Channel, span};
use crate::engine::codec::TrackKind;
use crate::limits;
use crate::units::{MediaTime, Monotonic};
use std::collections::BTreeSet;
use std::time::Duration;

/// Numbers by which a track may be behind its ladder and still be waited for: each of them was
/// waited for in vain.
const LEFT_BEHIND_COUNT: u64 = 3;

impl Channel {
    /// The track that decides on sessions and grids: the first video, else the first of all. One
    /// that has left the ladder leads no more, as long as another one goes on.
    pub(super) fn leader(&self) -> Option<&TrackState> {
        let tracks = || self.state.tracks.iter().filter(|it| it.info.kind != TrackKind::Text);
        let along = tracks().filter(|track| track.cadence == 0);
        let most = along.filter_map(|track| track.next_number).max().unwrap_or(0);
        let follows = |track: &&TrackState| {
            track.cadence == 0 && track.next_number.unwrap_or(0) + LEFT_BEHIND_COUNT > most
        };
        let first = |it: &&TrackState| (it.info.kind, it.order);
        tracks().filter(follows).min_by_key(first).or_else(|| self.state.leader())
    }

    /// Lets go of candidates that found no place within three targets.
    pub(super) fn drop_stale(&mut self, now: Monotonic) {
        let patience = self.patience();
        // What might have begun a session is no loss where it need not.
        let spare = 2 * span(self.target());
        let is_stale = |it: &Candidate| {
            it.committed + patience <= now
                || (self.is_apart(it.meta.input) && it.committed + spare <= now)
        };
        let stale = self.candidates.iter().filter(|it| is_stale(it));
        let stale: Vec<_> = stale.map(|it| (it.payload, self.is_apart(it.meta.input))).collect();
        for (payload, is_apart) in stale {
            let Some(at) = self.candidates.iter().position(|it| it.payload == payload) else {
                continue;
            };
            if !is_apart {
                let name = self.candidates[at].meta.name.clone();
                self.events.push(Event::Unplaced(name));
            }
            self.forget(at);
        }
    }

    /// How long a candidate may wait for its place: three targets, or three of the longest.
    pub(super) fn patience(&self) -> Duration {
        let longest = self.candidates.iter().map(|it| it.meta.duration()).max().unwrap_or_default();
        3 * span(self.target().max(longest))
    }

    /// Remembers a listed segment that no playlist names yet.
    pub(super) fn await_playlist(&mut self, listed: Monotonic, meta: &RecordMeta) {
        if self.is_unlisted(meta) {
            if self.unnamed.len() == limits::UNNAMED_COUNT_MAX {
                self.unnamed.pop_front();
            }
            self.unnamed.push_back((listed, meta.input, meta.name.clone()));
        }
    }

    /// Tells of segments that no playlist has named within half a target.
    pub(super) fn notice_late_playlists(&mut self, now: Monotonic) {
        let half = span(self.target()) / 2;
        while self.unnamed.front().is_some_and(|it| it.0 + half <= now) {
            let Some((_, input, name)) = self.unnamed.pop_front() else { break };
            if self.inputs.playlists(input).segment(&name).is_none() {
                self.events.push(Event::PlaylistLate(input));
            }
        }
    }

    /// DASH lists a number when every track of a kind that counts alike has it, or half a target
    /// after the first.
    pub(super) fn advance_set_edges(&mut self, now: Monotonic) {
        let half = span(self.target()) / 2;
        let sets = self.state.tracks.iter().map(|track| (track.info.kind, track.cadence));
        for set in sets.collect::<BTreeSet<_>>() {
            let tracks = self.state.tracks.iter();
            let tracks = tracks.filter(|track| (track.info.kind, track.cadence) == set);
            let next = || tracks.clone().filter_map(|track| track.next_number);
            let Some(most) = next().max() else { continue };
            // A rung that has left the ladder is not waited for.
            let follows = |next: &u64| next + LEFT_BEHIND_COUNT > most;
            let Some(least) = next().filter(follows).min() else { continue };
            let edge = self.state.set_edges.get(&set).copied().unwrap_or(0);
            let mut reached = least;
            match self.set_waits.get(&set).copied() {
                Some((number, since)) if since + half <= now => {
                    reached = reached.max(number);
                    self.set_waits.remove(&set);
                }
                None if most > reached.max(edge) => {
                    self.set_waits.insert(set, (most, now));
                }
                Some(_) | None => {}
            }
            if reached > edge {
                self.emit(Change::SetEdge(set.0, set.1, reached));
            }
        }
    }

    /// A transport stream waits a target for the sound of its pictures, two where it waited for
    /// what came before: segments of sound may be longer than the pictures' and come later.
    pub(super) fn advance_sound_edge(&mut self, now: Monotonic) {
        let of = |kind: TrackKind| {
            let tracks = self.state.tracks.iter();
            tracks.filter(move |track| track.info.kind == kind && track.next_number.is_some())
        };
        let pictures = of(TrackKind::Video).map(|track| track.end).max();
        let sound = of(TrackKind::Audio).map(|track| track.end).min();
        let (Some(pictures), Some(sound)) = (pictures, sound) else { return };
        let Some(grid) = self.state.grid(0) else { return };
        let short = |until: MediaTime| !grid.has_sound_until(sound, until);
        match self.sound_wait {
            Some((until, _)) if !short(until) => self.sound_wait = None,
            Some((until, since)) if since + span(self.target()) <= now => {
                self.sound_wait = None;
                self.emit(Change::SoundEdge(until));
            }
            None if pictures > self.state.sound_edge && short(pictures) => {
                self.sound_wait = Some((pictures, now));
            }
            Some(_) | None => {}
        }
    }
}
