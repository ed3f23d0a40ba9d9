//! The two inputs: what each has sent lately, and which of them is alive.

use crate::engine::channel::health::Health;
use crate::engine::channel::source::Playlists;
use crate::engine::playlist::MediaPlaylist;
use crate::limits;
use crate::units::{InputNumber, MediaTime, Monotonic};
use std::collections::VecDeque;
use std::time::Duration;

/// Both inputs of a channel.
#[derive(Debug, Default)]
pub struct Inputs {
    inputs: [Input; 2],
}

#[derive(Debug, Default)]
struct Input {
    playlists: Playlists,
    health: Health,
    heard: Option<Monotonic>,
    /// When a copy of it was the newest of its track or came next.
    went_on: Option<Monotonic>,
    /// Source time and content of the newest copies that were not kept, for they are of a time
    /// that went by long ago.
    passed: VecDeque<(MediaTime, u64)>,
    /// PROGRAM-DATE-TIME minus the wall clock of media time, as of the newest listed segment.
    drift: Option<MediaTime>,
    /// What it was measured to be last, where that is too far from `drift` to be believed at once,
    /// and by which segment.
    doubtful_drift: Option<(u64, MediaTime)>,
    /// It has declared a discontinuity where the segment behind it was listed already.
    declares_late: bool,
}

impl Inputs {
    /// A whole segment of plausible media arrived, sound or not.
    pub fn on_segment(&mut self, input: InputNumber, now: Monotonic) {
        self.inputs[input.index()].heard = Some(now);
    }

    /// A sound segment of the leading kind, see [`Health::on_sound`].
    pub fn on_sound(
        &mut self,
        input: InputNumber,
        now: Monotonic,
        start: MediaTime,
        span: Duration,
    ) {
        self.inputs[input.index()].health.on_sound(now, start, span);
    }

    /// Counts the input as heard, for want of a memory from before a restart.
    pub fn presume_alive(&mut self, input: InputNumber, now: Monotonic, span: Duration) {
        let input = &mut self.inputs[input.index()];
        (input.heard, input.went_on) = (Some(now), Some(now));
        input.health.presume(now, span);
    }

    /// Nobody was looking for `pause`.
    pub fn excuse(&mut self, pause: Duration) {
        for input in &mut self.inputs {
            input.health.excuse(pause);
            input.heard = input.heard.map(|heard| heard + pause);
        }
    }

    /// True where `input` delivers sound media by its deadlines.
    pub fn is_healthy(&self, input: InputNumber, now: Monotonic) -> bool {
        self.inputs[input.index()].health.is_healthy(now)
    }

    /// How long it has done so without a break.
    pub fn healthy_for(&self, input: InputNumber, now: Monotonic) -> Duration {
        self.inputs[input.index()].health.healthy_for(now)
    }

    /// Segment `number` is listed, and its PROGRAM-DATE-TIME is `drift` ahead of media time plus W.
    /// Where that is not what it was, give or take a target, the playlist may be one of an
    /// encoder's former life, with the same names: it counts once another segment says the same.
    pub fn on_drift(&mut self, input: InputNumber, number: u64, drift: MediaTime) {
        let tolerance = self.target().unwrap_or_default();
        let input = &mut self.inputs[input.index()];
        let near = |known: MediaTime| (known - drift).0.abs() <= tolerance.0;
        let again = |doubted: (u64, MediaTime)| doubted.0 != number && near(doubted.1);
        if input.drift.is_none_or(near) || input.doubtful_drift.is_some_and(again) {
            (input.drift, input.doubtful_drift) = (Some(drift), None);
        } else {
            input.doubtful_drift = Some((number, drift));
        }
    }

    /// How far PROGRAM-DATE-TIME was ahead of media time plus W; `None` where none was seen.
    pub const fn drift(&self, input: InputNumber) -> Option<MediaTime> {
        self.inputs[input.index()].drift
    }

    /// A copy came that is the newest of its track or the next one.
    pub fn on_edge(&mut self, input: InputNumber, now: Monotonic) {
        self.inputs[input.index()].went_on = Some(now);
    }

    /// When one came last: what is older and comes before it is late.
    pub const fn went_on(&self, input: InputNumber) -> Option<Monotonic> {
        self.inputs[input.index()].went_on
    }

    /// A copy of a time that went by long ago was not kept.
    pub fn on_passed(&mut self, input: InputNumber, start: MediaTime, hash: u64) {
        let passed = &mut self.inputs[input.index()].passed;
        if passed.len() == limits::PASSED_COUNT_MAX {
            passed.pop_front();
        }
        passed.push_back((start, hash));
    }

    /// True where such a copy of these bytes came from `input`.
    pub fn has_passed(&self, input: InputNumber, start: MediaTime, hash: u64) -> bool {
        self.inputs[input.index()].passed.contains(&(start, hash))
    }

    /// A media playlist arrived, see [`Playlists::on_media`].
    pub fn on_media_playlist(
        &mut self,
        input: InputNumber,
        name: &str,
        list: &MediaPlaylist,
    ) -> Vec<String> {
        self.inputs[input.index()].playlists.on_media(name, list)
    }

    /// The input has declared a discontinuity before a segment that was listed already.
    pub fn on_late_declaration(&mut self, input: InputNumber) {
        self.inputs[input.index()].declares_late = true;
    }

    /// True where it has: what it says of a segment has to be waited for.
    pub const fn declares_late(&self, input: InputNumber) -> bool {
        self.inputs[input.index()].declares_late
    }

    /// A body arrived, see [`Playlists::on_body`].
    pub fn on_body(&mut self, input: InputNumber, name: &str, start: MediaTime) {
        self.inputs[input.index()].playlists.on_body(name, start);
    }

    /// The input goes on after ENDLIST.
    pub fn resume(&mut self, input: InputNumber) {
        self.inputs[input.index()].playlists.resume();
    }

    /// The playlists of `input`.
    pub const fn playlists(&self, input: InputNumber) -> &Playlists {
        &self.inputs[input.index()].playlists
    }

    /// When the newest segment of `input` arrived.
    pub const fn heard(&self, input: InputNumber) -> Option<Monotonic> {
        self.inputs[input.index()].heard
    }

    /// True where `input` sent a segment within `silence`.
    pub fn is_alive(&self, input: InputNumber, now: Monotonic, silence: Duration) -> bool {
        self.heard(input).is_some_and(|heard| now < heard + silence)
    }

    /// The largest target duration declared.
    pub fn target(&self) -> Option<MediaTime> {
        self.inputs.iter().filter_map(|input| input.playlists.target()).max()
    }

    /// True where some input has ended and no other is alive without having ended.
    pub fn all_live_ended(&self, now: Monotonic, silence: Duration) -> bool {
        let mut inputs = InputNumber::BOTH.into_iter();
        let ended = |input: InputNumber| self.playlists(input).ended();
        inputs.clone().any(ended)
            && inputs.all(|input| ended(input) || !self.is_alive(input, now, silence))
    }
}
