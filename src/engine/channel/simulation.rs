//! Seeded worlds: encoders with faults in, the laws of the timeline checked after every step.

use super::tests::{audio, check_laws, track, video};
use super::*;
use crate::engine::playlist::RenditionKind;
use crate::engine::playlist::{MediaPlaylist, Multivariant, PlaylistSegment, Rendition, Variant};
use crate::engine::presentation::Track;
use crate::engine::sample_table::content_hash;
use crate::engine::segment::TrackSegment;
use std::collections::{BTreeMap, BTreeSet};

const EPOCH_US: i64 = 1_767_225_600_000_000;
/// Segments of a world; the last ones come without faults.
const LENGTH: i64 = 40;
const CALM: i64 = 14;

/// Xorshift: repeatable, and good enough to mix faults.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from((self.0 >> 11) % sides.unsigned_abs()).expect("below the sides")
    }

    fn chance(&mut self, percent: i64) -> bool {
        self.roll(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(i64::try_from(from.len()).expect("few"))).expect("small")]
    }
}

/// What the encoders make: the same picture and sound on both inputs.
#[derive(Clone, Debug)]
struct Source {
    period: i64,
    /// From this segment on the period is another.
    cadence_change: Option<(i64, i64)>,
    variants: i64,
    muxed: bool,
    separate: bool,
    sample_rate: i64,
    dates: bool,
    base: i64,
    config_change: Option<i64>,
}

impl Source {
    fn random(dice: &mut Dice) -> Self {
        let sound = dice.roll(3);
        Self {
            period: dice.pick(&[180_000, 180_180, 172_800, 360_360]),
            cadence_change: None,
            variants: 1 + dice.roll(3),
            muxed: sound == 1,
            separate: sound == 2,
            sample_rate: dice.pick(&[48_000, 44_100]),
            dates: dice.chance(75),
            base: dice.pick(&[126_000, grid::SOURCE_TIME_MODULUS - 30 * 90_000, 5_000_000_000]),
            config_change: None,
        }
    }

    fn start(&self, at: i64) -> i64 {
        match self.cadence_change {
            Some((from, period)) if at > from => from * self.period + (at - from) * period,
            _ => at * self.period,
        }
    }

    /// The first whole audio frame of a segment begins at most a frame early.
    fn sound(&self, at: i64) -> (i64, i64, i64) {
        let frame = |ticks: i64| ticks * self.sample_rate / 90_000 / 1024;
        let (from, to) = (frame(self.start(at)), frame(self.start(at + 1)));
        let ticks = |frame: i64| frame * 1024 * 90_000 / self.sample_rate;
        (ticks(from), ticks(to) - ticks(from), to - from)
    }

    fn tag(&self, at: i64) -> u8 {
        u8::from(self.config_change.is_some_and(|from| at >= from))
    }

    /// The bodies of one segment: playlist's stem and tracks, on an encoder shifted by `shift`.
    fn bodies(&self, at: i64, shift: i64) -> Vec<(String, Vec<TrackSegment>)> {
        let start = self.start(at);
        let duration = self.start(at + 1) - start;
        let sound = || {
            let (from, duration, count) = self.sound(at);
            track(audio(), self.base + shift + from, duration, count)
        };
        let mut bodies = Vec::new();
        for variant in 0..self.variants {
            let config = video(u8::try_from(variant * 2).expect("few") + self.tag(at));
            let mut tracks =
                vec![track(config, self.base + shift + start, duration, duration / 3_000)];
            if self.muxed {
                tracks.push(sound());
            }
            bodies.push((format!("channel_{}", variant + 1), tracks));
        }
        if self.separate {
            bodies.push(("sound_en".to_owned(), vec![sound()]));
        }
        bodies
    }

    fn top(&self) -> Multivariant {
        let variant = |at: i64| Variant {
            uri: format!("channel_{}.m3u8", at + 1),
            bandwidth: Some(1_000_000),
            audio: self.separate.then(|| "group".to_owned()),
            ..Variant::default()
        };
        let mut top = Multivariant {
            variants: (0..self.variants).map(variant).collect(),
            ..Multivariant::default()
        };
        if self.separate {
            top.renditions.push(Rendition {
                kind: RenditionKind::Audio,
                group_id: "group".into(),
                name: "English".into(),
                language: None,
                uri: Some("sound_en.m3u8".into()),
                default: true,
                autoselect: true,
                forced: false,
                characteristics: None,
                channels: None,
                instream_id: None,
            });
        }
        top
    }

    fn target(&self) -> u32 {
        let longest = self.cadence_change.map_or(self.period, |it| it.1.max(self.period));
        u32::try_from((longest + 45_000) / 90_000).expect("small")
    }
}

/// One encoder's pushes.
#[derive(Clone, Debug)]
enum Push {
    Body(String, Vec<TrackSegment>, i64),
    List(String, Playlist),
}

/// How an encoder fails.
#[derive(Clone, Debug, Default)]
struct Faults {
    loss: i64,
    delay: i64,
    duplicate: i64,
    /// It is away in between.
    away: Option<(i64, i64)>,
    /// It begins anew: at a segment, with names from 0, and its timestamps moved by so much.
    restart: Option<(i64, i64)>,
}

impl Faults {
    fn random(dice: &mut Dice, may_jump: bool) -> Self {
        let away = 4 + dice.roll(15);
        Self {
            loss: dice.pick(&[0, 0, 3, 10]),
            delay: dice.pick(&[0, 0, 20]),
            duplicate: dice.pick(&[0, 10]),
            away: dice.chance(30).then(|| (away, away + 1 + dice.roll(6))),
            restart: (may_jump && dice.chance(40)).then(|| {
                let at = 3 + dice.roll(LENGTH - CALM - 4);
                let jump = dice.pick(&[0, -at * 180_000, 900_000, 3_000_000_000]);
                (at, jump)
            }),
        }
    }
}

/// The pushes of one encoder with the millisecond of each.
fn pushes(source: &Source, faults: &Faults, dice: &mut Dice) -> Vec<(i64, Push)> {
    let mut all = Vec::new();
    let mut lists: BTreeMap<String, Vec<PlaylistSegment>> = BTreeMap::new();
    let mut first = 0;
    for at in 0..LENGTH {
        let calm = at >= LENGTH - CALM;
        let ready = source.start(at + 1) / 90;
        let mut shift = 0;
        if let Some((from, jump)) = faults.restart
            && at >= from
        {
            if at == from {
                first = from;
                lists.clear();
            }
            shift = jump;
        }
        if at == first {
            all.push((ready + 60, Push::List("channel.m3u8".into(), top_of(source))));
        }
        if faults.away.is_some_and(|(from, to)| (from..to).contains(&at)) {
            continue;
        }
        for (stem, tracks) in source.bodies(at, shift) {
            let name = format!("{stem}_{:05}.ts", at - first);
            let date = EPOCH_US + source.start(at) * 100 / 9;
            let entry = PlaylistSegment {
                uri: name.clone(),
                duration: tracks[0].presentation_end - tracks[0].earliest_presentation_time,
                date: source.dates.then_some(WallClock(date)),
                ..PlaylistSegment::default()
            };
            let list = lists.entry(stem.clone()).or_default();
            list.push(entry);
            let skip = list.len().saturating_sub(5);
            let playlist = MediaPlaylist {
                target_duration: source.target(),
                media_sequence: u64::try_from(skip).expect("small"),
                segments: list[skip..].to_vec(),
                ..MediaPlaylist::default()
            };
            let mut when = ready + dice.roll(50);
            if !calm && dice.chance(faults.delay) {
                when += dice.roll(3_500);
            }
            if calm || !dice.chance(faults.loss) {
                all.push((when, Push::Body(name.clone(), tracks.clone(), at)));
                if !calm && dice.chance(faults.duplicate) {
                    all.push((when + dice.roll(4_000), Push::Body(name, tracks, at)));
                }
            }
            all.push((
                when + dice.roll(100),
                Push::List(stem + ".m3u8", Playlist::Media(playlist)),
            ));
        }
    }
    all
}

fn top_of(source: &Source) -> Playlist {
    Playlist::Multivariant(source.top())
}

#[derive(Clone)]
enum Entry {
    Change(Change),
    Media(RecordMeta, Extent, Extent, u64),
}

/// What was shown of a joined segment.
type Shown = (MediaTime, MediaTime, usize, bool, bool);

/// An origin in a world: its channel, its ring, and what it has published.
struct Origin {
    channel: Channel,
    config: ChannelConfig,
    ring: Vec<Entry>,
    offset: u64,
    ms: i64,
    published: Presentation,
    shown: BTreeMap<(TrackId, u32, u64), Shown>,
    /// Source segment of each stored payload.
    stored: BTreeMap<u64, i64>,
    settled: BTreeSet<u64>,
}

impl Origin {
    fn new(window_seconds: i64) -> Self {
        let window = MediaTime(window_seconds * 90_000);
        let config = ChannelConfig { join_seconds: vec![2, 6], window, ..ChannelConfig::default() };
        Self {
            channel: Channel::new(config.clone()),
            config,
            ring: Vec::new(),
            offset: 0,
            ms: 0,
            published: Presentation::default(),
            shown: BTreeMap::new(),
            stored: BTreeMap::new(),
            settled: BTreeSet::new(),
        }
    }

    fn now(&self) -> Now {
        let since = Duration::from_millis(self.ms.unsigned_abs());
        Now { monotonic: Monotonic(since), wall: WallClock(EPOCH_US + self.ms * 1000) }
    }

    fn sync(&mut self) {
        for change in self.channel.take_changes() {
            match &change {
                Change::Listed(_, listed) | Change::Filled(_, listed) => {
                    if let Some(media) = &listed.media {
                        assert!(self.settled.insert(media.payload.offset), "listed twice");
                    }
                }
                Change::Dropped(payload) => {
                    assert!(self.settled.insert(payload.offset), "dropped twice");
                }
                _ => {}
            }
            self.ring.push(Entry::Change(change));
        }
    }

    fn push(&mut self, input: InputNumber, push: &Push) {
        let now = self.now();
        match push {
            Push::List(name, playlist) => self.channel.on_playlist(now, input, name, playlist),
            Push::Body(name, tracks, at) => {
                let body = SegmentBody { tracks: tracks.clone(), ..SegmentBody::default() };
                if let Verdict::Store(metas) = self.channel.on_segment(now, input, name, &body) {
                    for (at_track, meta) in metas {
                        let TrackSegment { samples, payload, .. } = &body.tracks[at_track];
                        let hash = content_hash(samples, payload);
                        self.offset += 1;
                        let table = Extent { file: 0, offset: self.offset, size: 10 };
                        let payload = Extent { size: meta.payload_size, ..table };
                        self.stored.insert(self.offset, *at);
                        self.sync();
                        self.ring.push(Entry::Media(meta.clone(), table, payload, hash));
                        self.channel.on_stored(now, meta, (table, payload), hash);
                    }
                    self.channel.on_body_stored(now);
                }
            }
        }
    }

    /// Ends a step: everything is written and published, or the process dies before it is.
    fn publish(&mut self, before: usize, crash: Option<&mut Dice>) {
        self.sync();
        if let Some(dice) = crash {
            let lost = i64::try_from(self.ring.len() - before).expect("few") + 1;
            self.ring.truncate(before + usize::try_from(dice.roll(lost)).expect("small"));
            self.recover(before);
        }
        let presentation = self.channel.present();
        self.check(&presentation);
        self.published = presentation;
    }

    fn recover(&mut self, before: usize) {
        let mut recovery = Recovery::new(State::default());
        (self.settled, self.offset) = (BTreeSet::new(), 0);
        let stored = std::mem::take(&mut self.stored);
        for (at, entry) in self.ring.clone().into_iter().enumerate() {
            if at == before {
                self.compare(&recovery);
            }
            match entry {
                Entry::Change(change) => {
                    if let Change::Listed(_, Listed { media: Some(media), .. })
                    | Change::Filled(_, Listed { media: Some(media), .. }) = &change
                    {
                        self.settled.insert(media.payload.offset);
                    }
                    if let Change::Dropped(payload) = &change {
                        self.settled.insert(payload.offset);
                    }
                    recovery.on_change(&change);
                }
                Entry::Media(meta, table, payload, hash) => {
                    self.offset = payload.offset;
                    self.stored.insert(payload.offset, stored[&payload.offset]);
                    recovery.on_media(meta, (table, payload), hash);
                }
            }
        }
        if self.ring.len() == before {
            self.compare(&recovery);
        }
        self.channel = recovery.finish(self.config.clone(), self.now());
        self.sync();
    }

    /// What the ring holds up to the last publication is what was published.
    fn compare(&self, recovery: &Recovery) {
        let (state, mut windows) = recovery.snapshot();
        let found = windows.present(&state);
        assert_eq!(found.tracks.len(), self.published.tracks.len());
        for (one, other) in found.tracks.iter().zip(&self.published.tracks) {
            assert_eq!(one.info, other.info);
            assert!(one.segments.iter().eq(other.segments.iter()));
            assert_eq!(one.discontinuity_count, other.discontinuity_count);
        }
        assert_eq!(found.grids, self.published.grids);
        assert_eq!(found.set_edges, self.published.set_edges);
        assert_eq!(found.sound_edge, self.published.sound_edge);
        assert_eq!(found.clock_offset, self.published.clock_offset);
        assert_eq!(found.ended, self.published.ended);
    }

    fn check(&mut self, fresh: &Presentation) {
        assert!(self.channel.candidates.len() <= limits::CANDIDATE_COUNT_MAX);
        for (kind, edge) in &self.published.set_edges {
            assert!(fresh.set_edges[kind] >= *edge, "DASH edges never fall");
        }
        assert!(fresh.sound_edge >= self.published.sound_edge, "sound is given up once");
        for old in &self.published.tracks {
            let new = fresh.track(&old.info.name).expect("tracks stay");
            assert!(new.segments.len() >= old.segments.len());
            for (was, is) in old.segments.iter().zip(new.segments.iter()) {
                assert!(was == is || (was.media.is_none() && is.media.is_some()), "{was:?} {is:?}");
                assert_eq!((was.number, was.discontinuity), (is.number, is.discontinuity));
            }
        }
        let grown = |track: &&Track| {
            let old = self.published.track(&track.info.name);
            old.is_none_or(|old| old.segments.len() != track.segments.len())
        };
        let changed = fresh.ended != self.published.ended;
        let mut shown = Vec::new();
        for track in fresh.tracks.iter().filter(|it| changed || grown(it)) {
            check_laws(fresh, track);
            for &seconds in &self.config.join_seconds {
                for one in fresh.joined(track, seconds, MediaTime(i64::MIN)) {
                    let what = (one.start, one.end, one.count, one.gap, one.discontinuity);
                    shown.push(((track.info.id, seconds, one.number), what));
                }
            }
        }
        for (key, is) in shown {
            if let Some(was) = self.shown.insert(key, is) {
                assert!(was == is || was.3, "a published join changed: {key:?} {was:?} {is:?}");
            }
        }
    }

    /// Runs a world to its end; `crash` is per cent of steps.
    fn run(&mut self, mut all: Vec<(i64, InputNumber, Push)>, dice: &mut Dice, crash: i64) {
        all.sort_by_key(|push| push.0);
        for (when, input, push) in all {
            while self.ms + 100 <= when {
                self.ms += 100;
                self.step(dice, crash / 4, |origin| origin.channel.on_tick(origin.now()));
            }
            if self.step(dice, crash, |origin| origin.push(input, &push)) {
                // Nothing was acknowledged: the encoder tries again.
                self.step(dice, 0, |origin| origin.push(input, &push));
            }
        }
    }

    fn step(&mut self, dice: &mut Dice, crash: i64, act: impl FnOnce(&mut Self)) -> bool {
        let before = self.ring.len();
        act(self);
        let dies = dice.chance(crash);
        self.publish(before, dies.then_some(dice));
        dies
    }

    /// After the faults: every track is at the live edge, and nothing stored was forgotten.
    fn check_end(&mut self, source: &Source) {
        for track in &self.published.tracks {
            let newest = track.segments.iter().rev().find_map(|it| it.media.as_ref());
            let newest = newest.map(|media| self.stored[&media.payload.offset]);
            assert!(newest >= Some(LENGTH - 3), "{} is at {newest:?}", track.info.name);
        }
        let tracks = source.variants + i64::from(source.muxed || source.separate);
        assert_eq!(self.published.tracks.len(), usize::try_from(tracks).expect("few"));
        for _ in 0..200 {
            self.ms += 100;
            self.step(&mut Dice::new(1), 0, |origin| origin.channel.on_tick(origin.now()));
        }
        assert!(self.channel.candidates.is_empty());
        let lost: Vec<_> = self.stored.keys().filter(|it| !self.settled.contains(it)).collect();
        assert!(lost.is_empty(), "neither listed nor dropped: {lost:?}");
    }
}

fn both(one: Vec<(i64, Push)>, two: Vec<(i64, Push)>) -> Vec<(i64, InputNumber, Push)> {
    let of = |input| move |(when, push)| (when, input, push);
    let one = one.into_iter().map(of(InputNumber::ONE));
    one.chain(two.into_iter().map(of(InputNumber::TWO))).collect()
}

/// Runs `world` for each seed, naming the seed that fails. `SEED` picks one, `SEEDS` says how many.
fn seeds(count: u64, world: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let said = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let all = 0..said("SEEDS").unwrap_or(count);
    for seed in said("SEED").map_or(all, |seed| seed..seed + 1) {
        let result = std::panic::catch_unwind(|| world(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}

#[test]
fn the_laws_hold_under_faults_and_crashes() {
    seeds(250, |seed| {
        let mut dice = Dice::new(seed);
        let mut source = Source::random(&mut dice);
        if dice.chance(15) {
            source.cadence_change = Some((10 + dice.roll(8), 360_000));
        }
        if dice.chance(15) {
            source.config_change = Some(6 + dice.roll(15));
        }
        // Without dates a jump of the timestamps looks like a hole.
        let (one, two) =
            (Faults::random(&mut dice, source.dates), Faults::random(&mut dice, source.dates));
        let one = pushes(&source, &one, &mut dice);
        let two = if dice.chance(60) { pushes(&source, &two, &mut dice) } else { Vec::new() };
        let crash = dice.pick(&[0, 0, 4]);
        let mut origin = Origin::new(dice.pick(&[20, 600]));
        origin.run(both(one, two), &mut dice, crash);
        origin.check_end(&source);
    });
}

#[test]
fn twin_origins_agree_on_numbers() {
    seeds(200, |seed| {
        let mut dice = Dice::new(seed);
        let source = Source { dates: true, ..Source::random(&mut dice) };
        let mut presentations = Vec::new();
        for _ in 0..2 {
            let faults = Faults::random(&mut dice, false);
            let one = pushes(&source, &faults, &mut dice);
            let faults = Faults::random(&mut dice, false);
            let two = pushes(&source, &faults, &mut dice);
            let mut origin = Origin::new(600);
            origin.run(both(one, two), &mut dice, 0);
            presentations.push(origin.published);
        }
        let (one, other) = (&presentations[0], &presentations[1]);
        assert_eq!(one.clock_offset, other.clock_offset);
        for track in &one.tracks {
            let twin = other.track(&track.info.name).expect("the same tracks");
            let starts = |track: &Track| -> BTreeMap<u64, MediaTime> {
                let with_media = track.segments.iter().filter(|it| it.media.is_some());
                with_media.map(|it| (it.number, it.start)).collect()
            };
            let (mine, theirs) = (starts(track), starts(twin));
            for (number, start) in mine {
                let twin = theirs.get(&number);
                assert!(
                    twin.is_none_or(|it| *it == start),
                    "{} {number}: {start:?} {twin:?}",
                    track.info.name
                );
            }
        }
    });
}
