//! One channel: from committed records and playlists to listed segments.
//!
//! A pure state machine. In: [`Channel::on_segment`], [`Channel::on_stored`],
//! [`Channel::on_playlist`], [`Channel::on_tick`], each with the time. Out:
//! [`Channel::take_changes`], which the owner writes to the ring in order before it publishes
//! [`Channel::present`], and [`Channel::take_events`] for logs and counters. It never holds
//! payload.
//!
//! ```text
//! body ── on_segment ──► store │ drop        (verdict: what must be committed)
//! committed ── on_stored ──► candidate ── settle ──► listed │ dropped
//!                                 ▲                     │
//!             playlists, ticks ───┘                     └──► changes, presentation
//! ```
//!
//! The *leader* (first video) decides where sessions and grids begin; the other tracks follow it,
//! so that all of them break at the same numbers.

pub mod candidate;
pub mod grid;
mod input;
mod layout;
mod listing;
mod session;
pub mod source;
pub mod state;

#[cfg(test)]
mod tests;

use crate::engine::playlist::Playlist;
use crate::engine::playlist::name_of_uri;
use crate::engine::presentation::{Listed, Presentation};
use crate::engine::segment::SegmentBody;
use crate::limits;
use crate::units::{Extent, InputNumber, MediaTime, Monotonic, TrackId, WallClock};
use candidate::{Candidate, RecordMeta};
use input::Inputs;
use listing::RecentNames;
use source::SourceTop;
use state::{Change, State, Windows};
use std::time::Duration;

/// The top playlist's name, as the ingest URL promises it to encoders.
pub const TOP_NAME: &str = "channel.m3u8";

/// The two clocks, as the shard read them.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines.
    pub monotonic: Monotonic,
    /// For sources without PROGRAM-DATE-TIME.
    pub wall: WallClock,
}

/// What the configuration says of a channel's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// The source's exact segment duration in 90 kHz ticks, where configured: `channel.segment`.
    pub period: Option<(u64, u32)>,
    /// Segment durations that endpoints want, in seconds.
    pub join_seconds: Vec<u32>,
    /// The longest window that a manifest of this channel lists.
    pub window: MediaTime,
}

/// What to do with a body that was received whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Commit these tracks, by position in [`SegmentBody::tracks`], each with its header.
    Store(Vec<(usize, RecordMeta)>),
    /// Nothing of it is needed: acknowledge and forget.
    Drop(DropReason),
}

/// Why a sound body is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Its media time is listed or waiting already.
    Duplicate,
    /// It came from the input that is not in use, and does not fit the one that is.
    Standby,
    /// Too many committed segments wait to be listed ([`limits::CANDIDATE_COUNT_MAX`]).
    Crowded,
}

/// Something that an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first media is listed: the channel is on air.
    Started,
    /// Another input leads.
    InputSwitched(InputNumber),
    /// A session began with a discontinuity.
    Discontinuity,
    /// A grid began without one: the source's cadence moved.
    GridMoved,
    /// Numbers without media were listed.
    Gaps(TrackId, u64),
    /// Late media took a gap's place.
    GapFilled(TrackId),
    /// A committed segment came too late to be listed.
    Late(TrackId),
    /// A committed segment never found its place.
    Unplaced(String),
    /// Every live input has sent ENDLIST.
    Ended,
}

/// The state machine.
#[derive(Debug)]
pub struct Channel {
    config: ChannelConfig,
    state: State,
    windows: Windows,
    candidates: Vec<Candidate>,
    inputs: Inputs,
    recent: RecentNames,
    /// When the first candidate of an empty channel was committed.
    waiting_since: Option<Monotonic>,
    /// Grids moved since the last number that was where it should be.
    off_grid: u32,
    set_waits: std::collections::BTreeMap<crate::engine::codec::TrackKind, (u64, Monotonic)>,
    changes: Vec<Change>,
    events: Vec<Event>,
}

impl Channel {
    /// An empty channel.
    #[must_use]
    pub fn new(config: ChannelConfig) -> Self {
        Self::from_state(config, State::default())
    }

    /// A channel that goes on from `state` and `windows`; what waited to be listed is forgotten.
    #[must_use]
    pub fn resume(config: ChannelConfig, state: State, windows: Windows) -> Self {
        let mut channel = Self::from_state(config, state);
        channel.windows = windows;
        channel
    }

    fn from_state(config: ChannelConfig, state: State) -> Self {
        Self {
            config,
            state,
            windows: Windows::default(),
            candidates: Vec::new(),
            inputs: Inputs::default(),
            recent: RecentNames::default(),
            waiting_since: None,
            off_grid: 0,
            set_waits: std::collections::BTreeMap::new(),
            changes: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Takes a new configuration; sessions and numbers go on.
    pub fn reconfigure(&mut self, config: ChannelConfig) {
        self.state.number_joins(&config.join_seconds);
        self.config = config;
    }

    /// A body arrived whole: what must be committed of it.
    pub fn on_segment(
        &mut self,
        now: Now,
        input: InputNumber,
        name: &str,
        body: &SegmentBody,
    ) -> Verdict {
        let name = name_of_uri(name);
        self.inputs.on_segment(input, now.monotonic, body);
        if self.candidates.len() + body.tracks.len() > limits::CANDIDATE_COUNT_MAX {
            return Verdict::Drop(DropReason::Crowded);
        }
        let metas = RecordMeta::of_body(input, name, now.wall, body);
        let mut reason = DropReason::Duplicate;
        let mut stored = Vec::with_capacity(metas.len());
        for (at, meta) in metas.into_iter().enumerate() {
            match self.judge(now.monotonic, &meta) {
                None => stored.push((at, meta)),
                Some(why) => reason = why,
            }
        }
        if stored.is_empty() { Verdict::Drop(reason) } else { Verdict::Store(stored) }
    }

    /// A record was committed: it becomes a candidate.
    pub fn on_stored(
        &mut self,
        now: Now,
        meta: RecordMeta,
        (table, payload): (Extent, Extent),
        hash: u64,
    ) {
        let committed = now.monotonic;
        self.waiting_since.get_or_insert(committed);
        if self.state.ended {
            self.inputs.resume(meta.input);
            self.emit(Change::Ended(false));
        }
        self.candidates.push(Candidate { meta, rendition: None, table, payload, hash, committed });
    }

    /// All records of a body are committed: lists what can be listed.
    pub fn on_body_stored(&mut self, now: Now) {
        self.settle(now);
    }

    /// A playlist arrived. A media playlist under the name of [`TOP_NAME`] stands alone.
    pub fn on_playlist(&mut self, now: Now, input: InputNumber, name: &str, playlist: &Playlist) {
        let name = name_of_uri(name);
        let source = match playlist {
            Playlist::Multivariant(list) => Some(SourceTop::from_multivariant(name, list)),
            Playlist::Media(list) => {
                self.inputs.on_media_playlist(input, name, list);
                (name == TOP_NAME).then(|| SourceTop::from_media_playlists(std::iter::once(name)))
            }
        };
        if let Some(source) = source
            && self.state.sources[input.index()].as_ref() != Some(&source)
        {
            self.emit(Change::Source(input, source));
        }
        self.settle(now);
        self.notice_end(now);
    }

    /// Time passed. Call every 100 ms or so.
    pub fn on_tick(&mut self, now: Now) {
        self.settle(now);
    }

    /// The ring file `file` was unlinked: what lay in it leaves the windows.
    pub fn on_file_dropped(&mut self, file: u64) {
        self.windows.drop_files(file);
        self.candidates.retain(|candidate| candidate.payload.file > file);
        self.forget_unreferenced();
    }

    /// Changes since the last call, in the order in which they must be written.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The snapshot after all changes so far.
    #[must_use]
    pub fn present(&mut self) -> Presentation {
        self.windows.present(&self.state)
    }

    /// The state after all changes so far, as a ring file begins with it.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The source's target duration, or what stands in for it.
    #[must_use]
    pub fn target(&self) -> MediaTime {
        let period = self.state.grid(0).map(crate::engine::presentation::Grid::period_ticks);
        self.inputs.target().or(period).unwrap_or(MediaTime(2 * 90_000))
    }

    /// When the newest segment of each input arrived.
    #[must_use]
    pub fn input_heard(&self, input: InputNumber) -> Option<Monotonic> {
        self.inputs.heard(input)
    }

    /// The input in use.
    #[must_use]
    pub const fn active_input(&self) -> Option<InputNumber> {
        self.state.active
    }

    fn emit(&mut self, change: Change) {
        self.state.apply(&change);
        self.windows.apply(&change);
        self.changes.push(change);
    }

    fn top(&self, input: InputNumber) -> Option<&SourceTop> {
        self.state.sources[input.index()].as_ref()
    }

    /// ENDLIST counts when every input that is alive has sent it.
    fn notice_end(&mut self, now: Now) {
        let ended = self.inputs.all_live_ended(now.monotonic, self.silence());
        if ended && !self.state.ended && !self.state.grids.is_empty() {
            self.emit(Change::Ended(true));
            self.events.push(Event::Ended);
        }
    }

    /// How long an input may be silent before the other one leads.
    fn silence(&self) -> Duration {
        2 * span(self.target())
    }

    /// Grids and configurations that nothing listed refers to any more.
    fn forget_unreferenced(&mut self) {
        let windows = &self.windows;
        let listed = || {
            let logs = self.state.tracks.iter().filter_map(|track| windows.segments(track.info.id));
            logs.filter_map(|segments| segments.first())
        };
        let Some(grid_min) = listed().map(|first: &Listed| first.grid).min() else { return };
        let current: Vec<u32> = self.state.tracks.iter().filter_map(|track| track.grid).collect();
        let newest: Vec<u32> = self.state.tracks.iter().filter_map(|track| track.init).collect();
        self.state.grids.retain(|grid| {
            grid.id >= grid_min || current.contains(&grid.id) || grid.last_number.is_none()
        });
        let oldest =
            listed().filter_map(|first| first.media.as_ref()).map(|media| media.init).min();
        if let Some(oldest) = oldest {
            self.state.inits.retain(|id, _| *id >= oldest || newest.contains(id));
        }
    }
}

/// A state and what was written after it, read back from the ring.
#[derive(Debug, Default)]
pub struct Recovery {
    state: State,
    windows: Windows,
    unlisted: Vec<(RecordMeta, Extent, Extent, u64)>,
}

impl Recovery {
    /// Begins with the oldest state record.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state, windows: Windows::default(), unlisted: Vec::new() }
    }

    /// Takes the next change record.
    pub fn on_change(&mut self, change: &Change) {
        if let Change::Listed(_, listed) | Change::Filled(_, listed) = change
            && let Some(media) = &listed.media
        {
            self.unlisted.retain(|(_, _, payload, _)| *payload != media.payload);
        }
        self.state.apply(change);
        self.windows.apply(change);
    }

    /// Takes the next media record.
    pub fn on_media(&mut self, meta: RecordMeta, (table, payload): (Extent, Extent), hash: u64) {
        self.unlisted.push((meta, table, payload, hash));
    }

    /// State and windows as they are in the ring.
    #[must_use]
    pub fn snapshot(&self) -> (State, Windows) {
        (self.state.clone(), self.windows.clone())
    }

    /// Turns listed media for which `exists` is false into gaps: records lost on disk. Returns
    /// how many.
    pub fn drop_lost(&mut self, exists: impl Fn(&Listed) -> bool) -> usize {
        self.windows.retain(exists)
    }

    /// The channel as it was. Committed records that were not listed are judged again.
    #[must_use]
    pub fn finish(mut self, config: ChannelConfig, now: Now) -> Channel {
        self.state.number_joins(&config.join_seconds);
        let mut channel = Channel::resume(config, self.state, self.windows);
        for (meta, table, payload, hash) in self.unlisted {
            channel.on_stored(now, meta, (table, payload), hash);
        }
        channel.settle(now);
        channel
    }
}

/// A span of media time as a duration.
fn span(ticks: MediaTime) -> Duration {
    Duration::from_micros(u64::try_from(ticks.0.max(0)).unwrap_or(0) * 100 / 9)
}
