//! A week of media time, fed fast: six wraps of the 33-bit clock, each input away in turn, ring
//! files dropped as they fill. The output goes on without a mark, and memory stays as it was.

use crate::dice::Dice;
use crate::encoder::{EPOCH_US, newest};
use crate::heap;
use crate::show::{Make, Reel, Shape, Show, Sound};
use headwater::engine::channel::state::{Change, State};
use headwater::engine::channel::{Channel, ChannelConfig, Now, Recovery, Verdict};
use headwater::engine::playlist::{Playlist, PlaylistSegment};
use headwater::engine::presentation::Listed;
use headwater::units::{Extent, InputNumber, MediaTime, Monotonic, TrackId, WallClock};
use std::collections::BTreeMap;
use std::time::Duration;

/// Seconds of a segment, and of all.
const SEGMENT_SECONDS: i64 = 12;
const WEEK_SECONDS: i64 = 7 * 86_400;
/// Segments of a ring file, and files of the ring: an hour.
const FILE_SEGMENTS: i64 = 30;
const FILE_COUNT: i64 = 10;
/// Segments for which one input is away before the other one is.
const AWAY_SEGMENTS: i64 = 100;
/// What memory may come and go by: a hash map's doubling, a log's block.
const SLACK_SIZE: usize = 128 << 10;

struct Week {
    show: Show,
    channel: Channel,
    written: Recovery,
    payload_offset: u64,
    /// Of each track, its newest segment and how many there were.
    listed: BTreeMap<TrackId, (Listed, i64)>,
}

#[test]
fn a_week_is_continuous_and_memory_stays_flat() {
    let period = SEGMENT_SECONDS * 90_000;
    let mut dice = Dice::new(7);
    let show = Show {
        length: WEEK_SECONDS / SEGMENT_SECONDS,
        period,
        rate: (5, 1),
        frame: 18_000,
        rungs: 1,
        sound: Sound::Muxed,
        sample_rate: 16_000,
        base: (1 << 33) - 3_600 * 90_000,
        ..Show::draw(&mut dice, 1)
    };
    let window = MediaTime(600 * 90_000);
    let config = ChannelConfig { join_seconds: vec![12, 36], window, ..ChannelConfig::default() };
    let mut week = Week {
        show: show.clone(),
        channel: Channel::new(config),
        written: Recovery::new(State::default()),
        payload_offset: 0,
        listed: BTreeMap::new(),
    };
    let a_day = 86_400 / SEGMENT_SECONDS;
    let mut after_a_day = 0;
    for at in 0..show.length {
        week.live_through(at);
        if at == a_day {
            after_a_day = heap::held();
        }
    }
    let counts: Vec<i64> = week.listed.values().map(|it| it.1).collect();
    assert_eq!(counts, [show.length; 2], "segments listed of pictures and sound");
    let grown = heap::held().saturating_sub(after_a_day);
    assert!(grown < SLACK_SIZE, "{grown} bytes more than after a day");
}

impl Week {
    fn live_through(&mut self, at: i64) {
        let made_ms = self.show.start(at + 1) / 90;
        let mut reel = Reel::default();
        for (input, turn) in [(InputNumber::ONE, 0), (InputNumber::TWO, 1)] {
            // One of them is always there.
            if at / AWAY_SEGMENTS % 4 == 2 * turn + 1 {
                continue;
            }
            let now = now(made_ms + 100 * i64::from(input.number()));
            if at == 0 {
                let top = Playlist::Multivariant(self.show.top(self.show.rungs));
                self.channel.on_playlist(now, input, "channel.m3u8", &top);
            }
            self.push(now, input, &mut reel, at);
            self.channel.on_playlist(now, input, "channel_1.m3u8", &self.list(at));
            self.take();
        }
        for tick in 1..=3 {
            self.channel.on_tick(now(made_ms + tick * 1_000));
            self.take();
        }
        if at % FILE_SEGMENTS == 0 && at / FILE_SEGMENTS > FILE_COUNT {
            let dropped = u64::try_from(at / FILE_SEGMENTS - FILE_COUNT).unwrap();
            self.channel.on_file_dropped(dropped);
            self.written.on_file_dropped(dropped);
            self.take();
            let held = self.channel.present();
            let most = usize::try_from(FILE_SEGMENTS * (FILE_COUNT + 2)).unwrap();
            assert!(held.tracks.iter().all(|track| track.segments.len() <= most));
            assert!(held.grids.len() == 1 && held.inits.len() == 2);
        }
    }

    fn push(&mut self, now: Now, input: InputNumber, reel: &mut Reel, at: i64) {
        let body = reel.body(&self.show, Make::default(), at, 0, Shape::Whole);
        let name = format!("channel_1_{at:05}.ts");
        let Verdict::Store(metas) = self.channel.on_segment(now, input, &name, &body.media) else {
            return;
        };
        for (track, meta) in metas {
            self.payload_offset += 1;
            let file = u64::try_from(at / FILE_SEGMENTS).unwrap() + 1;
            let table = Extent { file, offset: 2 * self.payload_offset, size: 1 };
            let payload = Extent { offset: table.offset + 1, ..table };
            let hash = body.hashes[track].0;
            self.written.on_media(meta.clone(), (table, payload), hash);
            self.channel.on_stored(now, meta, (table, payload), hash);
        }
        self.channel.on_body_stored(now);
    }

    fn list(&self, at: i64) -> Playlist {
        let segment = |at: i64| {
            let date = WallClock(EPOCH_US + self.show.start(at) * 100 / 9);
            PlaylistSegment {
                uri: format!("channel_1_{at:05}.ts"),
                duration: MediaTime(self.show.period),
                date: Some(date),
                program_date_time: Some(date),
                ..PlaylistSegment::default()
            }
        };
        let listed: Vec<_> = ((at - 4).max(0)..=at).map(segment).collect();
        newest(&self.show, &listed, at, false)
    }

    /// Takes what was decided: segments follow one another without a mark.
    fn take(&mut self) {
        self.channel.take_events();
        for change in self.channel.take_changes() {
            self.written.on_change(&change);
            let Change::Listed(track, listed) = change else {
                assert!(!matches!(change, Change::Ended(_) | Change::Filled(..)), "{change:?}");
                continue;
            };
            assert!(listed.media.is_some() && !listed.discontinuity, "{listed:?}");
            let before = self.listed.get(&track);
            let follows = |(before, _): &(Listed, i64)| {
                before.number + 1 == listed.number && before.end == listed.start
            };
            assert!(before.is_none_or(follows), "{track:?}: {listed:?} after {before:?}");
            let count = before.map_or(0, |it| it.1) + 1;
            self.listed.insert(track, (listed, count));
        }
    }
}

fn now(ms: i64) -> Now {
    let since = Duration::from_millis(ms.unsigned_abs());
    Now { monotonic: Monotonic(since), wall: WallClock(EPOCH_US + ms * 1_000) }
}
