//! The edges that move with time: what DASH lists, which input leads, what is waited for no more.

use crate::engine::channel::candidate::Candidate;
use crate::engine::channel::state::Change;
use crate::engine::channel::{Channel, Event, span};
use crate::engine::codec::TrackKind;
use crate::units::{InputNumber, Monotonic};
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

    /// DASH lists a number when every track of a kind has it, or half a target after the first.
    pub(super) fn advance_set_edges(&mut self, now: Monotonic) {
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
