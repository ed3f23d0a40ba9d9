//! An origin that is given little: memory, or time of a processor.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, channel, channel_with, demo, endpoints};
use crate::playback::{HLS, listed_with, served};
use crate::report::skipped;
use crate::source::{MUXED, SEGMENT_COUNT};
use std::fs;
use std::path::PathBuf;
use std::thread;

/// Bodies that are declared to be as large as they may be, and bring little.
const BOAST_COUNT: usize = 15;
/// What each of them declares.
const BOAST_SIZE: usize = 16 << 20;
/// What their beginnings and the rest may take in memory.
const HELD_SIZE_MAX: u64 = 48 << 20;

/// Uploads under way, each of which has declared [`BOAST_SIZE`].
fn boasts(origin: &Origin) -> Vec<Connection> {
    let mut encoder = Encoder::new(origin, "demo", 1);
    encoder.authenticate();
    let body = &MUXED.variants[0].segments[0].body;
    let boast = |number: usize| {
        let path = encoder.path(&format!("boast_{number}.ts"));
        let credentials = encoder.authorization("PUT", &path);
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: origin\r\nAuthorization: {credentials}\r\n\
             Content-Length: {BOAST_SIZE}\r\n\r\n"
        );
        let mut connection = Connection::open(origin.data());
        connection.send(head.as_bytes()).unwrap();
        connection.send(&body[..32 << 10]).unwrap();
        connection
    };
    (0..BOAST_COUNT).map(boast).collect()
}

/// A channel whose segments may be large.
fn large() -> String {
    channel_with("demo", "300MiB", "16MiB") + &endpoints("demo", 2)
}

#[test]
fn co_14_what_is_declared_takes_no_memory() {
    let origin = Origin::start(&large());
    let before = origin.anonymous_memory();
    let boasts = boasts(&origin);
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    listed_with(&origin, HLS, SEGMENT_COUNT);
    let held = origin.anonymous_memory().saturating_sub(before);
    assert!(held < HELD_SIZE_MAX, "{held} bytes for what was declared");
    drop(boasts);
}

#[test]
fn co_14_an_allocation_that_fails_costs_nobody_anything() {
    // KiB of data: enough to serve, too little for what is declared.
    let origin = Origin::start_limited("-d 200000", "", &large());
    let boasts = boasts(&origin);
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    let (renditions, _) = served(&origin, SEGMENT_COUNT);
    assert!(renditions.iter().all(|one| one.segments.len() == SEGMENT_COUNT));
    drop(boasts);
}

/// A process group that gets a part of a processor (cgroup v1); gone with the value.
struct Starved(PathBuf);

impl Starved {
    /// Gives the origin `percent` of one processor; `None`, reported, where that cannot be.
    fn begin(origin: &Origin, percent: u32) -> Option<Self> {
        let group = format!("/sys/fs/cgroup/cpu/headwater-test-{}", origin.pid());
        let starved = Self(PathBuf::from(group));
        let write = |name: &str, value: u32| fs::write(starved.0.join(name), value.to_string());
        let begun = fs::create_dir(&starved.0)
            .and_then(|()| write("cpu.cfs_period_us", 100_000))
            .and_then(|()| write("cpu.cfs_quota_us", 1_000 * percent))
            .and_then(|()| write("cgroup.procs", origin.pid()));
        match begun {
            Ok(()) => Some(starved),
            Err(error) => {
                skipped(&format!("no group of processes of its own: {error}"));
                None
            }
        }
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        let Ok(members) = fs::read_to_string(self.0.join("cgroup.procs")) else { return };
        for member in members.lines() {
            // It may have ended.
            let _ = fs::write("/sys/fs/cgroup/cpu/cgroup.procs", member);
        }
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn co_15_two_channels_are_taken_in_on_a_twentieth_of_a_processor() {
    let origin = Origin::start(&(demo() + &channel("other") + &endpoints("other", 2)));
    let mut encoders = ["demo", "other"].map(|id| Encoder::new(&origin, id, 1));
    for encoder in &mut encoders {
        MUXED.push(encoder, 0..2);
    }
    let Some(starved) = Starved::begin(&origin, 5) else { return };
    thread::scope(|scope| {
        for encoder in &mut encoders {
            scope.spawn(|| MUXED.push(encoder, 2..SEGMENT_COUNT));
        }
    });
    drop(starved);
    let adoptions = origin.metric("headwater_shard_adoptions_total", "");
    assert_eq!(adoptions, 0, "who is given no time is not hung");
    served(&origin, SEGMENT_COUNT);
    listed_with(&origin, "/out/v1/other-hls/index.m3u8", SEGMENT_COUNT);
}
