//! A process with one channel: its ring as a list of records, what it has published, and its death
//! and recovery at any point, the way the channel's owner does it.

use crate::dice::Dice;
use crate::encoder::{Delivery, EPOCH_US, Push};
use crate::oracle::{self, Oracle};
use crate::show::Body;
use headwater::engine::channel::candidate::RecordMeta;
use headwater::engine::channel::state::{Change, State};
use headwater::engine::channel::{Channel, ChannelConfig, Event, Now, Recovery, Verdict};
use headwater::engine::playlist::Playlist;
use headwater::engine::presentation::Presentation;
use headwater::limits::UNLISTED_AGE_MAX;
use headwater::units::{Extent, InputNumber, MediaTime, Monotonic, WallClock};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Joined durations that the endpoints of the viewers want.
pub const JOIN_SECONDS: [u32; 2] = [2, 6];
/// Milliseconds between two looks at the clock.
const TICK_MS: i64 = 200;

/// A record of a ring file.
#[derive(Clone)]
enum Record {
    State(Box<State>),
    Changes(Vec<Change>),
    Media(Box<RecordMeta>, Extent, Extent, u64),
}

/// How a process and its disk behave.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Per cent of steps in which the process dies.
    pub dies: i64,
    /// Per cent of steps in which the channel's state panics and is restarted.
    pub panics: i64,
    /// Per cent of steps in which changes stay unwritten until a later one.
    pub stalls: i64,
    /// Records of a ring file, and files of the ring.
    pub file_records: usize,
    pub file_count: usize,
    /// Seconds of the longest manifest.
    pub window_seconds: i64,
    /// The wall clock of the machine is so far off, from half of the world on.
    pub clock_step_us: i64,
}

impl Habits {
    /// A machine that nothing happens to.
    pub const CALM: Self = Self {
        dies: 0,
        panics: 0,
        stalls: 0,
        file_records: 10_000,
        file_count: 8,
        window_seconds: 12,
        clock_step_us: 0,
    };
}

/// How far a body got before the process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// So many of its tracks are in the ring.
    AfterTracks(i64),
    /// All of it is, and what it led to is not; its encoder was told or not.
    BeforeChanges,
    /// All is, and nobody was shown.
    AfterChanges,
}

/// The process.
pub struct Origin {
    pub channel: Channel,
    config: ChannelConfig,
    habits: Habits,
    pub ms: i64,
    end_ms: i64,
    /// Files of the ring, oldest first, each with its number.
    files: VecDeque<(u64, Vec<Record>)>,
    offset: u64,
    /// State and windows as the ring has them, and what it has not been given.
    written: Recovery,
    unwritten: Vec<Change>,
    /// Playlists whose encoders wait for an answer until that is done.
    unanswered: Vec<Delivery>,
    pub published: Presentation,
    /// Something is decided that viewers have not been shown.
    is_news: bool,
    pub oracle: Oracle,
    pub events: Vec<Event>,
    /// Payloads that were committed, and those that were listed or given up.
    stored: BTreeSet<(u64, u64)>,
    settled: BTreeSet<(u64, u64)>,
    /// Prints what happens.
    pub talks: bool,
}

impl Origin {
    pub fn new(habits: Habits, end_ms: i64) -> Self {
        let window = MediaTime(habits.window_seconds * 90_000);
        let config =
            ChannelConfig { join_seconds: JOIN_SECONDS.into(), window, ..ChannelConfig::default() };
        let first = (1, vec![Record::State(Box::default())]);
        Self {
            channel: Channel::new(config.clone()),
            config,
            habits,
            ms: 0,
            end_ms,
            files: VecDeque::from([first]),
            offset: 0,
            written: Recovery::default(),
            unwritten: Vec::new(),
            unanswered: Vec::new(),
            published: Presentation::default(),
            is_news: false,
            oracle: Oracle::default(),
            events: Vec::new(),
            stored: BTreeSet::new(),
            settled: BTreeSet::new(),
            talks: false,
        }
    }

    /// From now on nothing happens to the process and its disk.
    pub fn calm_down(&mut self) {
        self.habits = Habits { dies: 0, panics: 0, stalls: 0, ..self.habits };
    }

    pub fn now(&self) -> Now {
        let since = Duration::from_millis(self.ms.unsigned_abs());
        let step = if self.ms * 2 > self.end_ms { self.habits.clock_step_us } else { 0 };
        Now { monotonic: Monotonic(since), wall: WallClock(EPOCH_US + self.ms * 1_000 + step) }
    }

    /// Lives through `all` in the order of their times. `look` sees every publication.
    pub fn run(
        &mut self,
        mut all: Vec<Delivery>,
        dice: &mut Dice,
        look: &mut impl FnMut(&mut Self),
    ) {
        all.sort_by_key(|delivery| delivery.at_ms);
        for delivery in all {
            self.wait_until(delivery.at_ms, dice, look);
            self.ms = self.ms.max(delivery.at_ms);
            if !self.receive(&delivery, dice) {
                // Nobody was told that it is kept: it is sent again.
                self.receive(&delivery, &mut Dice::new(0));
            }
            self.show(look);
        }
    }

    /// Lets time pass.
    pub fn wait_until(&mut self, ms: i64, dice: &mut Dice, look: &mut impl FnMut(&mut Self)) {
        while self.ms + TICK_MS <= ms {
            self.ms += TICK_MS;
            self.channel.on_tick(self.now());
            self.take(dice);
            if dice.chance(self.habits.dies / 4) {
                self.die(dice, Death::BeforeChanges);
            }
            self.show(look);
        }
    }

    /// Takes a push. Returns whether the encoder is told that it is kept.
    fn receive(&mut self, delivery: &Delivery, dice: &mut Dice) -> bool {
        let dies = dice.chance(self.habits.dies);
        let death = match dice.roll(4) {
            0 => Death::AfterTracks(dice.roll(3)),
            1 => Death::AfterChanges,
            _ => Death::BeforeChanges,
        };
        let death = dies.then_some(death);
        let input = delivery.input;
        let is_whole = match &delivery.push {
            Push::List(name, playlist) => {
                self.say(|| format!("{input}: {name} {}", brief(playlist)));
                self.channel.on_playlist(self.now(), input, name, playlist);
                true
            }
            Push::Body(name, body) => self.commit(input, name, body, death),
        };
        if dice.chance(self.habits.panics) {
            self.panic();
        }
        match death {
            None => {
                self.take(dice);
                if matches!(delivery.push, Push::List(..)) && !self.unwritten.is_empty() {
                    self.unanswered.push(delivery.clone());
                }
            }
            Some(death) => {
                self.gather();
                self.die(dice, death);
            }
        }
        // A body is kept once it is committed, a playlist once what it led to is written.
        let is_kept = match &delivery.push {
            Push::Body(..) => is_whole,
            Push::List(..) => death == Some(Death::AfterChanges),
        };
        death.is_none() || is_kept && dice.chance(50)
    }

    /// Commits what the channel wants of a body. Returns whether all of it is in the ring.
    fn commit(
        &mut self,
        input: InputNumber,
        name: &str,
        body: &Body,
        death: Option<Death>,
    ) -> bool {
        let now = self.now();
        let verdict = self.channel.on_segment(now, input, name, &body.media);
        let Verdict::Store(metas) = verdict else {
            self.say(|| format!("{input}: {name} {verdict:?}"));
            return true;
        };
        let kept = metas.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        self.say(|| format!("{input}: {name} stores {kept:?} of {:?}", body.media.tracks.len()));
        let mut stored = Vec::new();
        for (count, (at, meta)) in (0..).zip(metas) {
            if death.is_some_and(|death| matches!(death, Death::AfterTracks(most) if count >= most))
            {
                return false;
            }
            let (table, payload) = self.place(meta.payload_size);
            self.stored.insert((payload.file, payload.offset));
            let record = Record::Media(Box::new(meta.clone()), table, payload, body.hashes[at].0);
            self.append(record);
            stored.push((meta, (table, payload), body.hashes[at].0));
        }
        if matches!(death, Some(Death::AfterTracks(_))) || stored.is_empty() {
            return death.is_none();
        }
        for (meta, extents, hash) in &stored {
            self.channel.on_stored(now, meta.clone(), *extents, *hash);
        }
        self.channel.on_body_stored(now);
        for (meta, extents, hash) in stored {
            self.written.on_media(meta, extents, hash);
        }
        true
    }

    fn place(&mut self, size: u32) -> (Extent, Extent) {
        self.make_room();
        let file = self.files.back().expect("there is a file").0;
        self.offset += 10;
        let table = Extent { file, offset: self.offset, size: 10 };
        self.offset += 10;
        (table, Extent { size, offset: self.offset, ..table })
    }

    /// Begins a file with the state that the ring has, and drops the oldest, when one is full.
    fn make_room(&mut self) {
        let (number, records) = self.files.back().expect("there is a file");
        if records.len() < self.habits.file_records {
            return;
        }
        let next = number + 1;
        let state = Record::State(Box::new(self.written.state().clone()));
        self.files.push_back((next, vec![state]));
        if self.files.len() > self.habits.file_count
            && let Some((oldest, _)) = self.files.pop_front()
        {
            self.written.on_file_dropped(oldest);
            self.channel.on_file_dropped(oldest);
            self.is_news = true;
            self.oracle.on_file_dropped(oldest);
            self.stored.retain(|(file, _)| *file > oldest);
            self.gather();
        }
    }

    fn append(&mut self, record: Record) {
        self.files.back_mut().expect("there is a file").1.push(record);
    }

    fn gather(&mut self) {
        let events = self.channel.take_events();
        let changes = self.channel.take_changes();
        for event in &events {
            self.say(|| format!("    {event:?}"));
        }
        for change in &changes {
            self.say(|| format!("    {}", told(change)));
        }
        self.events.extend(events);
        self.unwritten.extend(changes);
    }

    /// Takes what the channel decided, and writes it unless the disk is slow.
    fn take(&mut self, dice: &mut Dice) {
        self.gather();
        if !dice.chance(self.habits.stalls) {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        self.make_room();
        self.is_news = true;
        self.unanswered.clear();
        let changes = std::mem::take(&mut self.unwritten);
        for change in &changes {
            self.settle(change);
            self.written.on_change(change);
        }
        self.append(Record::Changes(changes));
    }

    fn settle(&mut self, change: &Change) {
        let payload = match change {
            Change::Listed(_, listed) | Change::Filled(_, listed) => {
                listed.media.as_ref().map(|media| media.payload)
            }
            Change::Dropped(payload) => Some(*payload),
            _ => None,
        };
        if let Some(payload) = payload {
            let is_first = self.settled.insert((payload.file, payload.offset));
            assert!(is_first, "{payload:?} is listed or dropped twice");
        }
    }

    /// Shows viewers what changed, once all of it is in the ring.
    fn show(&mut self, look: &mut impl FnMut(&mut Self)) {
        if !self.unwritten.is_empty() {
            return;
        }
        if !std::mem::take(&mut self.is_news) {
            return;
        }
        self.published = self.channel.present();
        self.oracle.check(&self.published, self.ms);
        look(self);
    }

    /// The channel's state panics: its owner goes on from what was decided.
    fn panic(&mut self) {
        self.gather();
        self.say(|| "the state panics".to_owned());
        let mut decided = self.written.clone();
        self.unwritten.iter().for_each(|change| decided.on_change(change));
        let now = self.now();
        self.channel = decided.restart(Some(&mut self.channel), self.config.clone(), now);
        self.gather();
    }

    /// The process dies and comes back.
    fn die(&mut self, dice: &mut Dice, death: Death) {
        self.say(|| format!("dies {death:?}"));
        if death == Death::AfterChanges {
            self.write();
        }
        self.unwritten.clear();
        self.compare_written();
        self.ms += dice.pick(&[0, 100, 2_000]);
        let mut recovery: Option<Recovery> = None;
        let oldest = self.oldest_unlisted();
        for record in self.files.iter().flat_map(|(_, records)| records.iter()) {
            match record {
                Record::State(state) => {
                    recovery.get_or_insert_with(|| Recovery::new((**state).clone()));
                }
                Record::Changes(changes) => {
                    let recovery = recovery.get_or_insert_default();
                    for change in changes {
                        recovery.on_change(change);
                    }
                }
                Record::Media(meta, table, payload, hash) => {
                    if meta.arrived >= oldest {
                        let recovery = recovery.get_or_insert_default();
                        recovery.on_media((**meta).clone(), (*table, *payload), *hash);
                    }
                }
            }
        }
        let recovery = recovery.expect("every file begins with a state");
        self.oracle.compare(&recovery, &self.published);
        self.written = recovery.clone();
        self.channel = recovery.finish(self.config.clone(), self.now());
        self.gather();
        // A process that starts writes what it decided before it serves.
        let unanswered = std::mem::take(&mut self.unanswered);
        self.write();
        for delivery in unanswered {
            self.receive(&delivery, &mut Dice::new(0));
        }
    }

    /// What the ring is thought to hold shows what was published, or what follows it.
    fn compare_written(&mut self) {
        let written = self.written.clone();
        self.oracle.compare(&written, &self.published);
    }

    fn oldest_unlisted(&self) -> WallClock {
        let records = self.files.iter().flat_map(|(_, records)| records.iter());
        let arrived = records.filter_map(|record| match record {
            Record::Media(meta, ..) => Some(meta.arrived),
            _ => None,
        });
        let age = i64::try_from(UNLISTED_AGE_MAX.as_micros()).expect("a minute");
        WallClock(arrived.max().map_or(i64::MIN, |newest| newest.0 - age))
    }

    /// What was committed, is in the ring still, and was neither listed nor given up.
    pub fn forgotten(&self) -> Vec<(u64, u64)> {
        self.stored.difference(&self.settled).copied().collect()
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.talks {
            println!("{:>8} ms  {}", self.ms, what());
        }
    }
}

/// A change in a few words.
fn told(change: &Change) -> String {
    match change {
        Change::Listed(track, listed) => format!("lists on {track} {}", oracle::brief(listed)),
        Change::Filled(track, listed) => format!("fills on {track} {}", oracle::brief(listed)),
        Change::Track(track) => format!("track {} is {}", track.info.id, track.info.name),
        Change::Dropped(payload) => format!("drops {}:{}", payload.file, payload.offset),
        Change::Source(input, _) => format!("a source on {input}"),
        Change::Init(id, init) => format!("init {id} of {}", init.track),
        other => format!("{other:?}"),
    }
}

fn brief(playlist: &Playlist) -> String {
    match playlist {
        Playlist::Multivariant(_) => "(top)".to_owned(),
        Playlist::Media(list) => {
            let last = list.segments.last().map_or("", |last| last.uri.as_str());
            format!(
                "({} to {last}{})",
                list.segments.len(),
                if list.ended { ", ended" } else { "" }
            )
        }
    }
}
