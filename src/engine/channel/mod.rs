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

pub mod alignment;
pub mod candidate;
mod declared;
mod edges;
pub mod event;
mod filling;
pub mod grid;
mod health;
mod input;
mod judging;
mod layout;
mod leading;
mod listing;
mod messages;
mod numbering;
pub mod older;
mod outside;
mod placing;
mod recent;
mod session;
mod soundness;
pub mod source;
pub mod state;
pub mod switching;
mod text;

#[cfg(test)]
mod tests;

use crate::engine::codec::TrackKind;
use crate::engine::log::Log;
use crate::engine::playlist::Playlist;
use crate::engine::playlist::name_of_uri;
use crate::engine::presentation::{Listed, Presentation};
use crate::engine::segment::SegmentBody;
use crate::limits;
use crate::units::{Extent, InputNumber, MediaTime, Monotonic, TrackId, WallClock};
use candidate::{Candidate, RecordMeta};
pub use event::{Cause, Event, SwitchReason};
use grid::unwrap_near;
use input::Inputs;
use judging::Arrival;
use older::{OlderPart, Seam};
use recent::RecentNames;
use source::SourceTop;
use state::{Change, Session, State, Windows};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use switching::{Preference, Switching};

/// The top playlist's name, as the ingest URL promises it to encoders.
pub const TOP_NAME: &str = "channel.m3u8";

/// A segment further than an hour from the clock is not late but of another time.
const LATENESS_MAX: MediaTime = MediaTime(3_600 * 90_000);

/// Calls are this often at least while the machine runs: a longer silence is no input's fault.
const PAUSE_SPAN: Duration = Duration::from_secs(1);

/// The two clocks, as the shard read them.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines.
    pub monotonic: Monotonic,
    /// For sources without PROGRAM-DATE-TIME.
    pub wall: WallClock,
}

/// What the configuration says of a channel's timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelConfig {
    /// The source's exact segment duration in 90 kHz ticks, where configured: `channel.segment`.
    pub period: Option<(u64, u32)>,
    /// Segment durations that endpoints want, in seconds.
    pub join_seconds: Vec<u32>,
    /// The longest window that a manifest of this channel lists.
    pub window: MediaTime,
    /// Which input leads where there is a choice.
    pub preference: Preference,
}

/// What to do with a body that was received whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Commit these tracks, by position in [`SegmentBody::tracks`], each with its header.
    Store(Vec<(usize, RecordMeta)>),
    /// Nothing of it is needed: acknowledge and forget.
    Drop(DropReason),
}

/// Why a body is not kept; of its tracks' reasons, the last in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// Its media is listed or waiting already, with the same bytes.
    Duplicate,
    /// Other media of its time is listed or waits, which came first or is sounder.
    Divergent,
    /// The same encoder's segment of that name and time is listed already, with other bytes.
    Overwritten,
    /// It came from the input that does not lead, is apart from the one that does, and is not
    /// needed.
    Standby,
    /// Its timestamps span nothing, or more than [`limits::SEGMENT_TICKS_MAX`].
    Implausible,
    /// Too many committed segments wait to be listed ([`limits::CANDIDATE_COUNT_MAX`]).
    Crowded,
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
    switching: Switching,
    /// The session before the present one.
    former: Option<Session>,
    /// Since when the other input should lead.
    wanted_since: Option<Monotonic>,
    /// Where sound of an odd length ended that is the newest of its track, and what is told of it
    /// if there is a hole behind it.
    odd_sounds: BTreeMap<TrackId, (MediaTime, Event)>,
    /// Segments in a row that the other input was in time with first, see [`leading`].
    late_count: u32,
    /// When the newest listed media of each track was committed.
    advanced: BTreeMap<TrackId, Monotonic>,
    /// Listed segments that no playlist named when they were listed.
    unnamed: VecDeque<(Monotonic, InputNumber, String)>,
    /// When anything was told last.
    told: Option<Monotonic>,
    /// Since when every live input has sent ENDLIST and nothing waits.
    ended_since: Option<Monotonic>,
    /// Grids moved since the last number that was where it should be.
    off_grid: u32,
    set_waits: BTreeMap<(TrackKind, u16), (u64, Monotonic)>,
    /// Where the pictures ended when transport streams last began to wait for sound, and when.
    sound_wait: Option<(MediaTime, Monotonic)>,
    changes: Vec<Change>,
    events: Vec<Event>,
}

impl Channel {
    /// An empty channel.
    #[must_use]
    pub fn new(config: ChannelConfig) -> Self {
        Self::from_state(config, State::default())
    }

    fn from_state(config: ChannelConfig, state: State) -> Self {
        Self {
            config,
            state,
            windows: Windows::default(),
            candidates: Vec::new(),
            inputs: Inputs::default(),
            recent: RecentNames::default(),
            switching: Switching::default(),
            former: None,
            wanted_since: None,
            odd_sounds: BTreeMap::new(),
            late_count: 0,
            advanced: BTreeMap::new(),
            unnamed: VecDeque::new(),
            told: None,
            ended_since: None,
            off_grid: 0,
            set_waits: BTreeMap::new(),
            sound_wait: None,
            changes: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Takes a new configuration; sessions and numbers go on.
    pub fn reconfigure(&mut self, config: ChannelConfig) {
        self.config = config;
        self.number_joins();
    }

    /// Every grid knows its joined numbers for every duration that endpoints want.
    fn number_joins(&mut self) {
        while let Some(change) = self.state.missing_join(&self.config.join_seconds) {
            self.emit(change);
        }
    }

    /// A body arrived whole: what must be committed of it.
    pub fn on_segment(
        &mut self,
        now: Now,
        input: InputNumber,
        name: &str,
        body: &SegmentBody,
    ) -> Verdict {
        self.notice_pause(now.monotonic);
        let name = name_of_uri(name);
        if self.candidates.len() + body.tracks.len() > limits::CANDIDATE_COUNT_MAX {
            return Verdict::Drop(DropReason::Crowded);
        }
        let metas = RecordMeta::of_body(input, name, now.wall, body);
        // Text is placed by its playlist, and may be empty.
        let timed = |meta: &&RecordMeta| meta.kind() != TrackKind::Text;
        let plausible = 1..=limits::SEGMENT_TICKS_MAX;
        if metas.iter().filter(timed).any(|meta| !plausible.contains(&meta.duration().0)) {
            return Verdict::Drop(DropReason::Implausible);
        }
        self.inputs.on_segment(input, now.monotonic);
        let known = self.inputs.playlists(input);
        let again = metas.first().is_some_and(|first| known.has_body(name, first.start));
        let arrivals = metas.into_iter().zip(&body.tracks);
        let arrivals = arrivals.map(|(meta, track)| Arrival::new(meta, track, again));
        let arrivals: Vec<_> = arrivals.collect();
        if let Some(first) = arrivals.first() {
            self.inputs.on_body(input, name, first.meta.start);
        }
        self.note_health(now.monotonic, &arrivals);
        self.note_name(&arrivals);
        let mut reason = None;
        let mut stored = Vec::with_capacity(arrivals.len());
        for (at, arrival) in arrivals.into_iter().enumerate() {
            self.compare(now.monotonic, &arrival);
            match self.judge(now.monotonic, &arrival) {
                None => stored.push((at, arrival.meta)),
                Some(why) => {
                    self.note_messages_of_copy(&arrival.meta, why);
                    reason = reason.max(Some(why));
                }
            }
        }
        if stored.is_empty() {
            // What waited for this copy waits no more.
            self.settle(now);
            Verdict::Drop(reason.unwrap_or(DropReason::Duplicate))
        } else {
            Verdict::Store(stored)
        }
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
        // The newest complete upload of a body is the one that counts, until it is listed.
        if let Some(at) = self.candidates.iter().position(|it| it.is_of_same_body(&meta)) {
            self.forget(at);
        }
        let rendition = None;
        let is_seconded = self.inputs.has_passed(meta.input.other(), meta.start, hash);
        let candidate = Candidate { meta, rendition, table, payload, hash, committed, is_seconded };
        self.candidates.push(candidate);
    }

    /// All records of a body are committed: lists what can be listed.
    pub fn on_body_stored(&mut self, now: Now) {
        self.settle(now);
    }

    /// A playlist arrived. A media playlist under the name of [`TOP_NAME`] stands alone.
    pub fn on_playlist(&mut self, now: Now, input: InputNumber, name: &str, playlist: &Playlist) {
        self.notice_pause(now.monotonic);
        let name = name_of_uri(name);
        let source = match playlist {
            Playlist::Multivariant(list) => Some(SourceTop::from_multivariant(name, list)),
            Playlist::Media(list) => {
                let declared = self.inputs.on_media_playlist(input, name, list);
                self.note_declared(input, &declared);
                self.measure_drift(input);
                self.note_playlist_tags(input, list);
                (name == TOP_NAME).then(|| SourceTop::from_media_playlists(std::iter::once(name)))
            }
        };
        if let Some(source) = source
            && self.state.sources[input.index()].as_ref() != Some(&source)
        {
            self.emit(Change::Source(input, source));
        }
        self.settle(now);
    }

    /// Time passed. Call every 100 ms or so.
    pub fn on_tick(&mut self, now: Now) {
        self.notice_pause(now.monotonic);
        self.settle(now);
        self.notice_late_playlists(now.monotonic);
        self.notice_end(now.monotonic);
    }

    /// The ring file `file` was unlinked: what lay in it leaves the windows.
    pub fn on_file_dropped(&mut self, file: u64) {
        self.windows.drop_files(file);
        self.candidates.retain(|candidate| candidate.payload.file > file);
        self.state.forget_unreferenced(&self.windows);
    }

    /// Takes what one ring file more has listed, before everything else; `None` where there is none
    /// any more, or no more of it can be known.
    pub fn on_older(&mut self, part: Option<&OlderPart>) {
        self.windows.on_older(part);
    }

    /// Media for which `is_lost` is true cannot be had from the ring any more: what is listed of it
    /// becomes a gap, which late media may fill.
    pub fn on_media_lost(&mut self, is_lost: impl Fn(Extent) -> bool) {
        self.candidates.retain(|candidate| !is_lost(candidate.payload));
        let ids: Vec<TrackId> = self.state.tracks.iter().map(|track| track.info.id).collect();
        for id in ids {
            let listed = self.windows.segments(id).into_iter().flat_map(Log::iter);
            let lost = listed.filter(|it| it.media.as_ref().is_some_and(|it| is_lost(it.payload)));
            let gaps: Vec<Listed> = lost.map(|it| Listed { media: None, ..it.clone() }).collect();
            if gaps.is_empty() {
                continue;
            }
            self.events.push(Event::Gaps(id, gaps.len() as u64));
            for gap in gaps {
                self.emit(Change::Filled(id, gap));
            }
        }
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

    /// True where `input` delivers sound media that goes on, by its deadlines.
    #[must_use]
    pub fn input_is_healthy(&self, input: InputNumber, now: Monotonic) -> bool {
        self.inputs.is_healthy(input, now)
    }

    /// The input in use.
    #[must_use]
    pub const fn active_input(&self) -> Option<InputNumber> {
        self.state.active
    }

    /// Compares PROGRAM-DATE-TIME with media time where the leader's newest segment is listed.
    pub(super) fn measure_drift(&mut self, input: InputNumber) {
        let (Some(leader), Some(offset)) = (self.leader(), self.state.clock_offset) else {
            return;
        };
        let id = leader.info.id;
        let Some((number, name)) = self.recent.newest_of(id, input) else { return };
        let Some(said) = self.inputs.playlists(input).segment(name) else { return };
        // An encoder that began anew uses its names again, for other media.
        if let (Some(date), Some(body)) = (said.program_date_time, said.body)
            && let Some(listed) = self.listed_number(id, number)
            && let Some(session) = self.state.session
            && unwrap_near(body, session.shift, listed.start) == listed.start
        {
            let drift = MediaTime(date.ticks_90k()) - offset - listed.start;
            self.inputs.on_drift(input, number, drift);
        }
    }

    /// How long after its end, by the channel's clock, a segment came; zero where it came before.
    /// `None` while there is no clock, and where the segment's time is of another session.
    #[must_use]
    pub fn lateness(&self, now: Now, end: MediaTime) -> Option<Duration> {
        let session = self.state.session?;
        let wall = MediaTime(now.wall.0.checked_mul(9)? / 100);
        let edge = wall - self.state.clock_offset?;
        let late = edge - unwrap_near(end, session.shift, edge);
        (late.0.abs() < LATENESS_MAX.0).then(|| span(late))
    }

    fn emit(&mut self, change: Change) {
        self.state.apply(&change);
        self.windows.apply(&change);
        self.changes.push(change);
    }

    fn top(&self, input: InputNumber) -> Option<&SourceTop> {
        self.state.sources[input.index()].as_ref()
    }

    /// ENDLIST counts when every input that is alive has sent it, and the last segment, which may
    /// come after its playlist, had half a target to be listed.
    fn notice_end(&mut self, now: Monotonic) {
        if self.state.ended || self.state.grids.is_empty() {
            return;
        }
        if !self.inputs.all_live_ended(now, self.silence()) || !self.candidates.is_empty() {
            self.ended_since = None;
            return;
        }
        let since = *self.ended_since.get_or_insert(now);
        if since + span(self.target()) / 2 <= now {
            self.emit(Change::Ended(true));
            self.events.push(Event::Ended);
        }
    }

    /// Where nothing was told for long, the machine stood still, and no deadline was missed.
    fn notice_pause(&mut self, now: Monotonic) {
        let pause = self.told.map(|told| now.since(told)).unwrap_or_default();
        if pause >= PAUSE_SPAN {
            self.inputs.excuse(pause);
        }
        self.told = Some(now);
    }

    /// Counts an encoder's name that is listed as that of other media.
    fn note_name(&mut self, arrivals: &[Arrival<'_>]) {
        let Some(Arrival { meta, .. }) = arrivals.first() else { return };
        let Some(track) = self.track_fed_by(meta) else { return };
        let id = track.info.id;
        let listed = self.recent.number_of(id, meta.input, &meta.name);
        let listed = listed.and_then(|number| self.listed_number(id, number));
        let start = self.media_start(track, meta);
        if let (Some(listed), Some(start)) = (listed, start)
            && !placing::near(listed.start, start, meta.frame())
        {
            self.events.push(Event::NameReused(meta.input));
        }
    }
}

/// A state and what was written after it: read back from the ring, or kept by the channel's owner
/// in case that the channel panics.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    state: State,
    windows: Windows,
    unlisted: Vec<(RecordMeta, Extent, Extent, u64)>,
    /// What the newest bodies were called, and where they begin.
    bodies: VecDeque<(InputNumber, String, MediaTime)>,
    recent: RecentNames,
}

impl Recovery {
    /// Begins with the oldest state record.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state, ..Self::default() }
    }

    /// Takes the next change record.
    pub fn on_change(&mut self, change: &Change) {
        match change {
            Change::Listed(id, listed) | Change::Filled(id, listed) => {
                if let Some(media) = &listed.media
                    && let Some(meta) = self.take_unlisted(media.payload)
                {
                    self.recent.push(*id, listed.number, meta.input, &meta.name);
                }
            }
            Change::Dropped(payload) => drop(self.take_unlisted(*payload)),
            _ => {}
        }
        self.state.apply(change);
        self.windows.apply(change);
    }

    /// Takes the next media record.
    pub fn on_media(&mut self, meta: RecordMeta, (table, payload): (Extent, Extent), hash: u64) {
        if self.unlisted.len() == limits::CANDIDATE_COUNT_MAX {
            self.unlisted.remove(0);
        }
        // A body's tracks come one after another, and it begins with its first.
        let of_body = |body: &(InputNumber, String, MediaTime)| {
            (body.0, body.1.as_str()) == (meta.input, meta.name.as_str())
        };
        if !self.bodies.back().is_some_and(of_body) {
            if self.bodies.len() == limits::PLAYLIST_NAME_COUNT_MAX {
                self.bodies.pop_front();
            }
            self.bodies.push_back((meta.input, meta.name.clone(), meta.start));
        }
        self.unlisted.push((meta, table, payload, hash));
    }

    fn take_unlisted(&mut self, payload: Extent) -> Option<RecordMeta> {
        // What is listed was committed lately: the search ends soon.
        let at = self.unlisted.iter().rposition(|it| it.2 == payload)?;
        Some(self.unlisted.remove(at).0)
    }

    /// The ring file `file` was unlinked, see [`Channel::on_file_dropped`].
    pub fn on_file_dropped(&mut self, file: u64) {
        self.windows.drop_files(file);
        self.unlisted.retain(|(_, _, payload, _)| payload.file > file);
        self.state.forget_unreferenced(&self.windows);
    }

    /// Only the files behind `seam` have been read.
    pub fn set_unread(&mut self, seam: &Seam) {
        self.windows.set_unread(seam.unread());
    }

    /// See [`Channel::on_older`].
    pub fn on_older(&mut self, part: Option<&OlderPart>) {
        self.windows.on_older(part);
    }

    /// Drops what was committed and is not listed.
    pub fn forget_unlisted(&mut self) {
        self.unlisted.clear();
    }

    /// The state after the changes taken so far.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The windows after the changes taken so far.
    #[must_use]
    pub const fn windows(&self) -> &Windows {
        &self.windows
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
        let mut inputs = Inputs::default();
        for (input, name, start) in std::mem::take(&mut self.bodies) {
            inputs.on_body(input, &name, start);
        }
        let mut channel = self.finish_with(inputs, config, now);
        channel.settle(now);
        channel
    }

    /// The channel after a panic, before it is told the time. What encoders' playlists said is not
    /// in the ring and is taken from the broken channel. Where that is not `trusted` any more,
    /// playlists and unlisted records are forgotten: one of them may be what it broke on.
    #[must_use]
    pub fn restart(
        mut self,
        trusted: Option<&mut Channel>,
        config: ChannelConfig,
        now: Now,
    ) -> Channel {
        let inputs = trusted.map(|broken| std::mem::take(&mut broken.inputs));
        if inputs.is_none() {
            self.forget_unlisted();
        }
        self.finish_with(inputs.unwrap_or_default(), config, now)
    }

    fn finish_with(self, inputs: Inputs, config: ChannelConfig, now: Now) -> Channel {
        let mut channel = Channel::from_state(config, self.state);
        (channel.windows, channel.inputs) = (self.windows, inputs);
        channel.recent = self.recent;
        // A restart of ours is no reason to switch.
        for input in InputNumber::BOTH {
            if channel.top(input).is_some() || channel.recent.knows(input) {
                let span = span(channel.target());
                channel.inputs.presume_alive(input, now.monotonic, span);
            }
        }
        channel.number_joins();
        for (meta, table, payload, hash) in self.unlisted {
            if channel.is_listed_of_other(&meta, hash) {
                channel.emit(Change::Dropped(payload));
            } else {
                channel.on_stored(now, meta, (table, payload), hash);
            }
        }
        channel
    }
}

/// A span of media time as a duration.
fn span(ticks: MediaTime) -> Duration {
    Duration::from_micros(u64::try_from(ticks.0.max(0)).unwrap_or(0) * 100 / 9)
}
