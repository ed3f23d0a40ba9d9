//! The edges that move with time: what DASH lists, which input leads, what is waited for no more.

use crate::engine::channel::candidate::Candidate;
use crate::engine::channel::state::Change;
use crate::engine::channel::{Channel, Event, span};
use crate::engine::codec::TrackKind;
use crate::units::{InputNumber, MediaTime, Monotonic};
use std::collections::BTreeSet;
use std::time::Duration;

impl Channel {
    /// The other input leads once the one in use has been silent for two targets.
    pub(super) fn switch_input(&mut self, now: Monotonic) {
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
    pub(super) fn drop_stale(&mut self, now: Monotonic) {
        let patience = self.patience();
        let stale = |it: &Candidate| it.committed + patience <= now;
        while let Some(at) = self.candidates.iter().position(stale) {
            let name = self.candidates[at].meta.name.clone();
            self.events.push(Event::Unplaced(name));
            self.forget(at);
        }
    }

    /// How long a candidate may wait for its place: three targets, or three of the longest.
    pub(super) fn patience(&self) -> Duration {
        let longest = self.candidates.iter().map(|it| it.meta.duration()).max().unwrap_or_default();
        3 * span(self.target().max(longest))
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
            let (Some(least), Some(most)) = (next().min(), next().max()) else { continue };
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
