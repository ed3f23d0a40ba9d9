//! A ring for `perf/restart`: what a channel of three variants leaves that ran for so many hours
//! up to now.

#[path = "../tests/support/history.rs"]
mod history;

use clap::Parser;
use headwater::ring::{Durability, RingConfig, Storage};
use headwater::shard::reopen::RECORD_VERSION;
use headwater::units::WallClock;
use history::History;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes a ring.
#[derive(Parser)]
struct Arguments {
    /// Its folder.
    #[arg(long)]
    dir: PathBuf,
    /// Bytes of it.
    #[arg(long)]
    size: u64,
    /// Bytes of the largest body.
    #[arg(long)]
    body_size_max: u64,
    /// Hours of media.
    #[arg(long)]
    hours: u32,
    /// Seconds of a segment.
    #[arg(long)]
    segment_seconds: u32,
    /// Bytes of a second of each track.
    #[arg(long)]
    sample_size: u32,
}

fn main() {
    let arguments = Arguments::parse();
    let Arguments { dir, size, body_size_max, hours, segment_seconds, sample_size } = arguments;
    let content_version = RECORD_VERSION;
    let durability = Durability::default();
    let config = RingConfig { dir, size, body_size_max, content_version, durability };
    let storage = Storage::start(1).expect("threads");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let seconds = hours * 3_600;
    let start_us = now.as_micros() - u128::from(seconds) * 1_000_000;
    let start = WallClock(i64::try_from(start_us).expect("far from the end of time"));
    let history = History { segment_seconds, count: seconds / segment_seconds, start, sample_size };
    history.write(&config, &storage);
}
