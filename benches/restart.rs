//! What a start costs: opening a channel's ring and rebuilding the channel from its records.
//!
//! The rings are what a channel of three variants leaves, with payloads of a page: they are not
//! read.

#![allow(missing_docs, reason = "made by criterion's macros")]

mod fixture;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fixture::{EPOCH_US, SEGMENT_SECONDS, SEGMENT_TICKS, TOP, VARIANTS, parse, transport_stream};
use headwater::engine::channel::switching::Preference;
use headwater::engine::channel::{Channel, ChannelConfig, Now, Verdict};
use headwater::engine::playlist::parse_playlist;
use headwater::engine::segment::SegmentBody;
use headwater::ring::{Location, Record, RecordKind, Refused, Ring, RingConfig, Storage, Tenure};
use headwater::shard::reopen::{RECORD_VERSION, Reopened};
use headwater::shard::site::{ChannelLive, ChannelSite};
use headwater::units::{ContentHash, InputNumber, MediaTime, Monotonic, WallClock};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PAYLOAD_SIZE: usize = 4096;
const TABLE_SIZE: usize = 300;

/// A channel whose ring holds so many seconds in about as many files as a ring has.
fn site(dir: &Path, seconds: u64) -> ChannelSite {
    ChannelSite {
        id: "bench".into(),
        live_span: MediaTime(120 * 90_000),
        users: [None, None],
        timeline: ChannelConfig {
            period: Some((SEGMENT_TICKS.unsigned_abs(), 1)),
            join_seconds: vec![2, 6],
            window: MediaTime(86_400 * 90_000),
            preference: Preference::default(),
        },
        ring: RingConfig {
            dir: dir.into(),
            size: (256 << 20) * seconds.div_ceil(7_200),
            body_size_max: 256 << 10,
            content_version: RECORD_VERSION,
        },
        bodies_per_second: 50,
        bits_per_second: None,
        live: ChannelLive::new(0),
    }
}

/// Writes a channel's records as its owner does.
struct Writer {
    ring: Ring,
    channel: Channel,
    changes_written: u64,
}

impl Writer {
    fn append(&mut self, records: &[Record]) -> Vec<Location> {
        loop {
            let state = || {
                postcard::to_stdvec(&(self.changes_written, self.channel.state()))
                    .expect("states are plain data")
            };
            match self.ring.append_group(records.to_vec(), state, drop) {
                Ok(placed) => return placed.location,
                Err(Refused::Busy) => std::thread::yield_now(),
                Err(refused) => panic!("{refused}"),
            }
        }
    }

    fn append_changes(&mut self) {
        let changes = self.channel.take_changes();
        self.channel.take_events();
        if changes.is_empty() {
            return;
        }
        let header = postcard::to_stdvec(&(self.changes_written, &changes));
        let record = Record {
            kind: RecordKind::Change,
            header: header.expect("changes are plain data"),
            table: Vec::new(),
            payload: Vec::new(),
        };
        self.append(&[record]);
        self.changes_written += changes.len() as u64;
    }

    fn push(&mut self, now: Now, name: &str, body: &SegmentBody) {
        let verdict = self.channel.on_segment(now, InputNumber::ONE, name, body);
        let Verdict::Store(metas) = verdict else { panic!("{name} is new") };
        let record = |(_, meta): &_| Record {
            kind: RecordKind::Media,
            header: postcard::to_stdvec(meta).expect("records are plain data"),
            table: vec![0; TABLE_SIZE],
            payload: vec![0; PAYLOAD_SIZE],
        };
        let records: Vec<Record> = metas.iter().map(record).collect();
        let locations = self.append(&records);
        for ((_, meta), at) in metas.into_iter().zip(locations) {
            let hash = ContentHash::of(&records[0].table, &records[0].payload).low();
            self.channel.on_stored(now, meta, (at.table, at.payload), hash);
        }
        self.channel.on_body_stored(now);
        self.append_changes();
    }
}

fn now(seconds: u64) -> Now {
    let since_us = i64::try_from(seconds * 1_000_000).expect("far from the end of time");
    let monotonic = Monotonic(Duration::from_secs(seconds));
    Now { monotonic, wall: WallClock(EPOCH_US + since_us) }
}

/// A folder with the ring of a channel that ran for so many seconds.
fn write_ring(dir: &Path, storage: &Arc<Storage>, body: &SegmentBody, seconds: u64) {
    let site = site(dir, seconds);
    let (ring, _) = Ring::open(&site.ring, storage, Tenure::sole()).expect("room");
    let channel = Channel::new(site.timeline.clone());
    let mut writer = Writer { ring, channel, changes_written: 0 };
    let top = parse_playlist(TOP.as_bytes()).expect("a multivariant playlist");
    writer.channel.on_playlist(now(0), InputNumber::ONE, "channel.m3u8", &top);
    let mut body = body.clone();
    for number in 0..seconds / SEGMENT_SECONDS {
        for variant in 1..=VARIANTS {
            let name = format!("channel_{variant}_{number:06}.ts");
            writer.push(now(number * SEGMENT_SECONDS), &name, &body);
        }
        for track in &mut body.tracks {
            for time in [
                &mut track.first_decode_time,
                &mut track.earliest_presentation_time,
                &mut track.presentation_end,
            ] {
                *time = *time + MediaTime(SEGMENT_TICKS);
            }
        }
    }
    // Full files are sealed with the next look at the ring.
    writer.ring.sync();
    assert!(storage.flush(Duration::from_mins(1)), "written");
}

fn restart(criterion: &mut Criterion) {
    let windows = fixture::windows();
    let mut body = parse(&transport_stream());
    for track in &mut body.tracks {
        track.presentation_end = track.earliest_presentation_time + MediaTime(SEGMENT_TICKS);
    }
    let storage = Storage::start(1).expect("threads");
    let mut group = criterion.benchmark_group("start of a channel");
    group.sample_size(10);
    for &(name, seconds) in windows {
        let dir = tempfile::tempdir().expect("a folder");
        write_ring(dir.path(), &storage, &body, seconds);
        let site = site(dir.path(), seconds);
        group.bench_function(BenchmarkId::new("ring", name), |bencher| {
            bencher.iter(|| Ring::open(&site.ring, &storage, Tenure::sole()).expect("opens").1);
        });
        let (_, recovered) = Ring::open(&site.ring, &storage, Tenure::sole()).expect("opens");
        println!("{} records, {:?}", recovered.records.len(), recovered.damage);
        group.bench_function(BenchmarkId::new("ring and channel", name), |bencher| {
            bencher.iter(|| {
                let opened = Ring::open(&site.ring, &storage, Tenure::sole());
                let (ring, recovered) = opened.expect("opens");
                Reopened::new(&site, ring, &recovered, now(seconds)).expect("readable")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, restart);
criterion_main!(benches);
