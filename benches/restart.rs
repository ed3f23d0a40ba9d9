//! What a start costs: opening a channel's ring and rebuilding the channel from its records, of the
//! newest files, which it waits for, and of all of them.
//!
//! The rings are what a channel of three variants leaves, with small payloads: they are not read.

#![allow(missing_docs, reason = "made by criterion's macros")]

mod fixture;
#[path = "../tests/support/history.rs"]
mod history;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fixture::{EPOCH_US, SEGMENT_SECONDS};
use headwater::ring::{Durability, FileRecords, Ring, RingConfig, Storage, Tenure};
use headwater::shard::reopen::{Newest, RECORD_VERSION, Reopened};
use headwater::shard::site::{ChannelLive, ChannelSite};
use headwater::units::{MediaTime, WallClock};
use history::History;
use std::path::Path;
use std::time::Duration;

/// What endpoints with a window of a minute and segments of 6 s need.
const LIVE_SPAN: MediaTime = MediaTime(114 * 90_000);

fn history(seconds: u64) -> History {
    let segment_seconds = u32::try_from(SEGMENT_SECONDS).expect("a few");
    let count = u32::try_from(seconds / SEGMENT_SECONDS).expect("less than a year");
    History { segment_seconds, count, start: WallClock(EPOCH_US), sample_size: 4 }
}

/// A channel whose ring holds so many seconds in about as many files as a ring has.
fn site(dir: &Path, seconds: u64) -> ChannelSite {
    ChannelSite {
        id: "bench".into(),
        users: [None, None],
        timeline: history(seconds).timeline(),
        live_span: LIVE_SPAN,
        ring: RingConfig {
            dir: dir.into(),
            size: (40 << 20) * seconds.div_ceil(7_200),
            body_size_max: 256 << 10,
            content_version: RECORD_VERSION,
            durability: Durability::default(),
        },
        bodies_per_second: 50,
        bits_per_second: None,
        live: ChannelLive::new(0),
    }
}

/// How long storage threads may take to close a ring's files.
const RELEASE_SPAN_MAX: Duration = Duration::from_secs(10);

fn restart(criterion: &mut Criterion) {
    let storage = Storage::start(1).expect("threads");
    let mut group = criterion.benchmark_group("start of a channel");
    group.sample_size(10);
    for &(name, seconds) in fixture::windows() {
        let dir = tempfile::tempdir().expect("a folder");
        let (site, history) = (site(dir.path(), seconds), history(seconds));
        history.write(&site.ring, &storage);
        let reopen = |is_enough: &mut dyn FnMut(&FileRecords) -> bool| {
            // The ring before has the folder's lock until the storage threads have let go of it.
            assert!(storage.flush(RELEASE_SPAN_MAX), "it is let go");
            let opened = Ring::open_newest(&site.ring, &storage, Tenure::sole(), is_enough);
            let (ring, recovered) = opened.expect("opens");
            let records = recovered.records.len();
            let reopened = Reopened::new(&site, ring, &recovered, history.now(history.count));
            (reopened.expect("readable"), records)
        };
        let newest = || {
            let mut newest = Newest::of(LIVE_SPAN);
            reopen(&mut |held| newest.is_enough(held))
        };
        // One after another: a ring holds the folder's lock.
        let (_, all) = reopen(&mut |_| false);
        let (_, few) = newest();
        println!("{all} records, {few} of them in the newest files");
        group.bench_function(BenchmarkId::new("the newest files", name), |bencher| {
            bencher.iter(newest);
        });
        group.bench_function(BenchmarkId::new("all files", name), |bencher| {
            bencher.iter(|| reopen(&mut |_| false));
        });
    }
    group.finish();
}

criterion_group!(benches, restart);
criterion_main!(benches);
