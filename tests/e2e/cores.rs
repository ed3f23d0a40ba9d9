//! Shards that fail under traffic: others take over, and nobody loses what was acknowledged.

use crate::client::{Connection, Encoder};
use crate::origin::{INGEST_PORT, Origin, channel, demo, endpoints, eventually};
use crate::playback::{HLS, listed, served};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const OTHER_HLS: &str = "/out/v1/other-hls/index.m3u8";

/// Channel `demo` belongs to shard 0, `other` to shard 1.
fn two_channels() -> String {
    demo() + &channel("other") + &endpoints("other", 2)
}

pub fn inject(origin: &Origin, fault: &str) {
    let path = format!("/test/{fault}");
    let told = Connection::open(origin.control()).request("POST", &path, &[], b"");
    assert_eq!(told.status, 204, "{fault}");
}

fn adoptions(origin: &Origin, labels: &str) -> u64 {
    origin.metric("headwater_shard_adoptions_total", labels)
}

fn serving(origin: &Origin) -> bool {
    let ready = Connection::open(origin.control()).request("GET", "/readyz", &[], b"");
    ready.status == 200 && ready.text().contains("\"shards_serving\":2")
}

/// A viewer's connection that shard 1 serves.
fn viewer_of_the_other_shard(origin: &Origin) -> Connection {
    let accepted = || origin.metric("headwater_shard_accepted_total", "shard=\"1\"");
    eventually("a connection on shard 1", || {
        let before = accepted();
        let mut viewer = Connection::open(origin.data());
        assert_eq!(viewer.request("GET", "/nothing", &[], b"").status, 404);
        (accepted() > before).then_some(viewer)
    })
}

/// Ends what goes on until then, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Pushes the rest of the source into an input, each body until it is taken, with the nonce that
/// the encoder has.
fn push_on(mut encoder: Encoder, from: usize) -> Vec<u16> {
    let variant = &MUXED.variants[0];
    let mut refusals = Vec::new();
    for at in from..SEGMENT_COUNT {
        let segment = &variant.segments[at];
        refusals.extend(encoder.put_until_taken(&segment.name, &segment.body));
        let playlist = variant.playlist_of(0..at + 1);
        refusals.extend(encoder.put_until_taken(&variant.playlist, playlist.as_bytes()));
    }
    refusals
}

/// Two twins push and viewers poll while shard 0, which owns their channel, fails.
fn fails_under_traffic(fault: &str, reason: &str) {
    let mut origin = Origin::start_with_hooks("2", &two_channels());
    let mut twins = [1, 2].map(|input| Encoder::new(&origin, "demo", input));
    let mut other = Encoder::new(&origin, "other", 1);
    twins.iter_mut().chain([&mut other]).for_each(Encoder::authenticate);
    MUXED.push(&mut twins[0], 0..3);
    MUXED.push(&mut other, 0..3);
    let before = served(&origin, 3);
    let mut viewer = viewer_of_the_other_shard(&origin);
    let is_over = &AtomicBool::new(false);
    let refusals = thread::scope(|scope| {
        let over = Over(is_over);
        let watching = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for path in [HLS, OTHER_HLS] {
                    assert_eq!(viewer.request("GET", path, &[], b"").status, 200, "{path}");
                }
            }
        });
        inject(&origin, fault);
        let pushing = twins.map(|twin| scope.spawn(|| push_on(twin, 3)));
        let undisturbed = push_on(other, 3);
        let refusals = pushing.map(|pushing| pushing.join().unwrap()).concat();
        let labels = format!("shard=\"0\",reason=\"{reason}\"");
        eventually("it is counted", || (adoptions(&origin, &labels) == 1).then_some(()));
        eventually("it is back", || serving(&origin).then_some(()));
        if reason == "panic" {
            eventually("its channel is back", || origin.log().contains("goes home").then_some(()));
        }
        drop(over);
        watching.join().unwrap();
        assert_eq!(undisturbed, [0; 0], "the other shard's encoder");
        refusals
    });
    assert!(refusals.iter().all(|status| *status == 503), "nonces stay valid: {refusals:?}");
    assert_eq!(adoptions(&origin, ""), 1);
    assert_eq!(origin.metric("headwater_channel_adoptions_total", "demo"), 1);
    assert_eq!(origin.metric("headwater_channel_adoptions_total", "other"), 0);
    for _ in 0..2 {
        // The second time as read back from the files of both owners.
        let (renditions, bytes) = served(&origin, SEGMENT_COUNT);
        for (old, new) in before.0.iter().zip(&renditions) {
            assert!(!new.playlist.contains("#EXT-X-DISCONTINUITY"), "{}", new.playlist);
            assert!(!new.playlist.contains("#EXT-X-GAP"), "{}", new.playlist);
            assert_eq!(new.inits, old.inits, "{}", new.name);
            assert_eq!(new.segments[..3], old.segments, "{}", new.name);
            new.assert_consecutive();
        }
        let segments = before.1.iter().filter(|(path, _)| !path.contains("/index."));
        for (path, old) in segments {
            assert!(bytes[path] == *old, "{path}");
        }
        origin.kill();
        origin.restart();
    }
}

#[test]
fn co_01_a_stalled_shard_loses_its_channels_to_another() {
    fails_under_traffic("shard/0/stall?ms=3000", "stall");
}

#[test]
fn co_02_a_panicked_shard_loses_its_channels_and_starts_again() {
    fails_under_traffic("shard/0/panic", "panic");
}

#[test]
fn a_lone_shard_that_panics_is_its_own_successor() {
    let origin = Origin::start_with_hooks("1", &demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..3);
    let before = served(&origin, 3);
    for round in 3..SEGMENT_COUNT {
        inject(&origin, "shard/0/panic");
        eventually("it is counted", || {
            (adoptions(&origin, "panic") == round as u64 - 2).then_some(())
        });
        let segment = &MUXED.variants[0].segments[round];
        encoder.put_until_taken(&segment.name, &segment.body);
    }
    let (renditions, _) = served(&origin, SEGMENT_COUNT);
    for (old, new) in before.0.iter().zip(&renditions) {
        assert_eq!(new.segments[..3], old.segments, "{}", new.name);
        new.assert_consecutive();
    }
}

#[test]
fn a_shard_that_panics_again_and_again_ends_the_process() {
    let mut origin = Origin::start_with_hooks("2", &demo());
    for count in 1..=5 {
        inject(&origin, "shard/1/panic");
        eventually("it is counted", || (adoptions(&origin, "panic") == count).then_some(()));
        eventually("it is back", || serving(&origin).then_some(()));
    }
    inject(&origin, "shard/1/panic");
    assert!(!origin.ends_well());
    origin.restart();
}

#[test]
fn co_01_a_shard_that_does_not_come_back_ends_the_process() {
    let mut origin = Origin::start_with_hooks("2", &demo());
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..2);
    let before = served(&origin, 2);
    inject(&origin, "shard/1/stall?ms=60000");
    assert!(!origin.ends_well());
    assert!(origin.log().contains("a shard is stuck"));
    origin.restart();
    assert!(served(&origin, 2) == before);
}

#[test]
fn a_disk_that_hangs_is_no_stall() {
    let origin = Origin::start_with_hooks("2", &demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..2);
    let before = served(&origin, 2);
    inject(&origin, "storage/stall?ms=3000");
    let segment = &MUXED.variants[0].segments[2];
    thread::scope(|scope| {
        let pushing = scope.spawn(|| encoder.put(&segment.name, &segment.body).status);
        while !pushing.is_finished() {
            for (old, new) in before.0.iter().zip(&listed(&origin, HLS)) {
                assert!(new.segments.starts_with(&old.segments), "viewers do not wait for it");
            }
        }
        assert_eq!(pushing.join().unwrap(), 201, "it is answered when it is written");
    });
    assert_eq!(adoptions(&origin, ""), 0);
    assert!(!origin.log().contains("a shard is silent"));
}

#[test]
fn co_16_a_pause_of_the_process_is_no_stall() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..2);
    let before = served(&origin, 2);
    // The pauses themselves: longer than a shard may be silent, and than it may be stuck.
    for pause_ms in [1_500, 1_500, 10_500] {
        origin.signal("STOP");
        thread::sleep(Duration::from_millis(pause_ms));
        origin.signal("CONT");
        assert!(served(&origin, 2) == before);
    }
    MUXED.push(&mut encoder, 2..SEGMENT_COUNT);
    served(&origin, SEGMENT_COUNT);
    assert_eq!(adoptions(&origin, ""), 0);
}

#[test]
fn shards_fail_only_where_the_environment_allows_it() {
    let origin = Origin::start(&demo());
    for fault in ["shard/0/panic", "shard/0/stall?ms=1", "storage/stall?ms=1"] {
        let path = format!("/test/{fault}");
        let told = Connection::open(origin.control()).request("POST", &path, &[], b"");
        assert_eq!(told.status, 404, "{fault}");
    }
}

#[test]
fn co_13_a_crowd_takes_no_descriptor_from_those_who_push() {
    let server = format!("ingest_http = \"{{ip}}:{INGEST_PORT}\"");
    let origin = Origin::start_limited("-n 256", &server, &demo());
    let mut encoder = Encoder::new(&origin, "demo", 1).at(origin.ingest());
    MUXED.push(&mut encoder, 0..2);
    let refused = || origin.metric("headwater_limit_hits_total", "\"connections\"");
    let crowd: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(origin.data()).unwrap()).collect();
    eventually("the crowd meets a bound", || (refused() > 0).then_some(()));
    // Who pushed before goes on, who comes now gets in, and the ring begins files.
    MUXED.push(&mut encoder, 2..4);
    MUXED.push(&mut Encoder::new(&origin, "demo", 1).at(origin.ingest()), 4..SEGMENT_COUNT);
    drop(crowd);
    eventually("viewers get in again", || {
        let mut viewer = Connection::try_open(origin.data()).ok()?;
        let response = viewer.try_request("GET", HLS, &[], b"").ok()?;
        (response.status == 200).then_some(())
    });
    served(&origin, SEGMENT_COUNT);
}

#[test]
fn co_17_fresh_connections_go_to_the_shard_with_fewer() {
    let origin = Origin::start_with_hooks("2", &demo());
    inject(&origin, "shard/0/stall?ms=2500");
    eventually("all are shard 1's", || (adoptions(&origin, "stall") == 1).then_some(()));
    let open = || {
        let mut connection = Connection::open(origin.data());
        assert_eq!(connection.request("GET", "/nothing", &[], b"").status, 404);
        connection
    };
    let _crowd: Vec<Connection> = (0..100).map(|_| open()).collect();
    eventually("it is back", || serving(&origin).then_some(()));
    let _fresh: Vec<Connection> = (0..200).map(|_| open()).collect();
    let count =
        |shard: usize| origin.metric("headwater_shard_connections", &format!("shard=\"{shard}\""));
    eventually("they are spread", || {
        let counts = [count(0), count(1)];
        let is_even = counts.iter().sum::<u64>() == 300 && counts.iter().all(|&it| it >= 120);
        is_even.then_some(())
    });
}

#[test]
fn co_17_a_thousand_connections_are_spread_evenly() {
    let origin = Origin::start(&demo());
    let open = |_| {
        let mut connection = Connection::open(origin.data());
        assert_eq!(connection.request("GET", "/nothing", &[], b"").status, 404);
        connection
    };
    let _crowd: Vec<Connection> = (0..1_000).map(open).collect();
    eventually("they are spread", || {
        let [one, other] = [0, 1].map(|shard| {
            origin.metric("headwater_shard_connections", &format!("shard=\"{shard}\""))
        });
        let is_even = 2 * one.max(other) <= 3 * one.min(other);
        (one + other == 1_000 && is_even).then_some(())
    });
}

#[test]
fn co_04_what_is_sent_to_a_frozen_shard_is_answered_when_it_thaws() {
    let origin = Origin::start_with_hooks("2", &two_channels());
    let variant = &MUXED.variants[0];
    let playlist = variant.playlist_of(0..1);
    let mut encoders: Vec<Encoder> = (0..40).map(|_| Encoder::new(&origin, "other", 1)).collect();
    let handed_over = || origin.metric("headwater_shard_handed_over_total", "shard=\"0\"");
    encoders.iter_mut().for_each(Encoder::authenticate);
    inject(&origin, "shard/1/stall?ms=700");
    // Half of them or so came in by the other shard, which sends them over now.
    thread::scope(|scope| {
        for encoder in &mut encoders {
            scope.spawn(|| {
                assert_eq!(encoder.put(&variant.playlist, playlist.as_bytes()).status, 201);
            });
        }
    });
    assert!(handed_over() > 0);
    assert_eq!(adoptions(&origin, ""), 0);
}
