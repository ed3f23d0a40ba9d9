//! Bodies that make the process fail: they are refused once that is known, and nothing else is.

use crate::client::{Connection, Encoder};
use crate::cores::inject;
use crate::origin::{Origin, channel, demo, endpoints, eventually};
use crate::playback::{HLS, listed_with, served};
use crate::source::{MUXED, SEGMENT_COUNT, Segment};
use std::fs;

/// Segments pushed before anything happens; the next one is poison.
const BEFORE: usize = 2;

fn poison() -> &'static Segment {
    &MUXED.variants[0].segments[BEFORE]
}

fn two_channels() -> String {
    demo() + &channel("other") + &endpoints("other", 2)
}

fn quarantined(origin: &Origin, labels: &str) -> u64 {
    origin.metric("headwater_ingest_quarantined_total", labels)
}

/// Has whoever takes in the poison fail in this way.
fn mark(origin: &Origin, fault: &str) {
    inject(origin, &format!("body/{fault}?name={}", poison().name));
}

/// What comes after the poison is taken from both encoders.
fn goes_on(origin: &Origin, twins: &mut [Encoder; 2]) {
    let variant = &MUXED.variants[0];
    for segment in &variant.segments[BEFORE + 1..] {
        let statuses = twins.each_mut().map(|twin| twin.put(&segment.name, &segment.body).status);
        assert_eq!(statuses, [201, 204], "{}", segment.name);
    }
    let playlist = variant.playlist_of(0..SEGMENT_COUNT);
    assert_eq!(twins[0].put(&variant.playlist, playlist.as_bytes()).status, 201);
    let gap = "#EXT-X-GAP";
    eventually("all but the poison is listed", || {
        let listed = listed_with(origin, HLS, SEGMENT_COUNT);
        listed.iter().all(|one| one.playlist.matches(gap).count() == 1).then_some(())
    });
}

#[test]
fn co_02_a_body_that_panics_is_refused_from_then_on() {
    let origin = Origin::start_with_hooks("2", &two_channels());
    let mut twins = [1, 2].map(|input| Encoder::new(&origin, "demo", input));
    let mut other = Encoder::new(&origin, "other", 1);
    MUXED.push(&mut twins[0], 0..BEFORE);
    MUXED.push(&mut other, 0..BEFORE);
    mark(&origin, "panic");
    assert_eq!(twins[0].put(&poison().name, &poison().body).status, 500);
    for twin in &mut twins {
        let refused = twin.put(&poison().name, &poison().body);
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.text().contains("made the process fail"), "{refused:?}");
    }
    assert_eq!(twins[0].put("another.ts", &poison().body).status, 400, "whatever it is called");
    assert_eq!(quarantined(&origin, "input=\"1\""), 2);
    assert_eq!(quarantined(&origin, "input=\"2\""), 1);
    assert_eq!(origin.metric("headwater_task_panics_total", ""), 1);
    assert_eq!(origin.metric("headwater_channel_restarts_total", ""), 0);
    goes_on(&origin, &mut twins);
    inject(&origin, "body/panic?name=no-other");
    MUXED.push(&mut other, BEFORE..SEGMENT_COUNT);
}

#[test]
fn co_03_a_body_that_ends_the_process_twice_is_refused_by_the_next() {
    let mut origin = Origin::start_with_hooks("2", &two_channels());
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..BEFORE);
    let before = served(&origin, BEFORE);
    for input in [1, 2] {
        mark(&origin, "abort");
        let mut encoder = Encoder::new(&origin, "demo", input);
        assert!(encoder.try_request("PUT", &poison().name, &poison().body).is_err());
        assert!(!origin.ends_well());
        origin.restart();
        assert!(served(&origin, BEFORE) == before);
    }
    let told = format!("demo/2/{}", poison().name);
    let is_told =
        |line: &str| line.contains("crashed over this body twice") && line.contains(&told);
    assert_eq!(origin.log().lines().filter(|line| is_told(line)).count(), 1);
    mark(&origin, "abort");
    let mut twins = [1, 2].map(|input| Encoder::new(&origin, "demo", input));
    for twin in &mut twins {
        assert_eq!(twin.put(&poison().name, &poison().body).status, 400);
    }
    assert_eq!(quarantined(&origin, ""), 2);
    goes_on(&origin, &mut twins);
    MUXED.push(&mut Encoder::new(&origin, "other", 1), 0..BEFORE);
}

#[test]
fn co_03_a_body_that_never_ends_being_read_is_put_down_in_the_journal() {
    let mut origin = Origin::start_with_hooks("1", &demo());
    mark(&origin, "stall");
    let mut encoder = Encoder::new(&origin, "demo", 1);
    encoder.authenticate();
    let message = encoder.message("PUT", &poison().name, &poison().body);
    let mut pushing = Connection::open(origin.data());
    pushing.send(&message).unwrap();
    assert!(!origin.ends_well());
    let journal = fs::read_to_string(origin.storage().join("headwater.crashes")).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    let told = format!(" demo/1/{}", poison().name);
    assert!(matches!(lines[..], [line] if line.ends_with(&told)), "{journal:?}");
    origin.restart();
}

#[test]
fn co_03_a_process_that_is_killed_holds_it_against_nobody() {
    let mut origin = Origin::start(&demo());
    for _ in 0..3 {
        let mut encoder = Encoder::new(&origin, "demo", 1);
        encoder.authenticate();
        let message = encoder.message("PUT", &poison().name, &poison().body);
        let mut pushing = Connection::open(origin.data());
        pushing.send(&message[..message.len() - 1]).unwrap();
        eventually("the body has begun", || {
            let mut other = Connection::open(origin.data());
            (other.request("GET", "/nothing", &[], b"").status == 404).then_some(())
        });
        origin.kill();
        origin.restart();
    }
    let taken = Encoder::new(&origin, "demo", 1).put(&poison().name, &poison().body);
    assert_eq!(taken.status, 201, "{taken:?}");
    let journal = fs::read_to_string(origin.storage().join("headwater.crashes")).unwrap();
    assert_eq!(journal, "");
}
