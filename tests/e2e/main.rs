//! The built binary from the outside: real encoders push, and what players fetch is checked.
//!
//! One program for all of it, so that the tests share their origins' addresses and the media that
//! ffmpeg makes once. Every origin has an address and a directory of its own: tests run side by
//! side. Needs ffmpeg, ffprobe and curl.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

mod client;
mod console;
mod cores;
mod crash;
mod dash;
mod delivery;
mod determinism;
mod disk;
mod endless;
mod failover;
mod he_aac;
#[path = "../support/history.rs"]
mod history;
mod hour;
mod ingest_contract;
mod lifecycle;
mod long_windows;
mod origin;
mod packagers;
mod past;
mod payload_identity;
mod playback;
mod poison;
mod probe;
mod pushed_playlists;
mod real_encoders;
#[path = "../support/report.rs"]
mod report;
mod restart;
mod slow_readers;
mod smooth;
mod source;
mod stale;
mod starved;
mod storage;
mod storm;
mod subtitles;
mod switching;
mod takeover;
mod time_shift;
mod timeline;
mod without_io_uring;
