//! Ends and beginnings of the process: killed, drained, told to read its configuration again.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, channel, demo, endpoints, eventually};
use crate::past::{Past, awaited};
use crate::playback::{CMAF, DASH, HLS, Rendition, hls, listed, listed_with, number_of, served};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

#[test]
fn a_killed_process_comes_back_with_the_same_urls_and_bytes() {
    let mut origin = Origin::start(&demo());
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..4);
    let before = served(&origin, 4);
    for _ in 0..2 {
        origin.kill();
        origin.restart();
        let after = served(&origin, 4);
        assert_eq!(after.0, before.0, "what is listed");
        assert!(after.1 == before.1, "the bytes of it");
    }
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 4..SEGMENT_COUNT);
    let (renditions, bytes) = served(&origin, SEGMENT_COUNT);
    for (old, new) in before.0.iter().zip(&renditions) {
        assert_eq!(new.name, old.name);
        assert!(!new.playlist.contains("#EXT-X-DISCONTINUITY"), "{}", new.playlist);
        assert!(!new.playlist.contains("#EXT-X-GAP"), "{}", new.playlist);
        assert_eq!(new.inits, old.inits, "{}", new.name);
        assert_eq!(new.segments[..4], old.segments, "{}", new.name);
        new.assert_consecutive();
    }
    let segments = before.1.iter().filter(|(path, _)| !path.contains("/index."));
    for (path, old) in segments {
        assert!(bytes[path] == *old, "{path}");
    }
}

#[test]
fn a_body_cut_by_the_end_of_the_process_was_never_there() {
    let mut origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..2);
    let before = served(&origin, 2);
    let segment = &MUXED.variants[0].segments[2];
    let mut connection = Connection::open(origin.data());
    connection.send(&encoder.expecting(&segment.name, &segment.body)).unwrap();
    assert_eq!(connection.one_response(false).unwrap().status, 100, "the body is waited for");
    connection.send(&segment.body[..segment.body.len() - 188]).unwrap();
    origin.kill();
    origin.restart();
    assert!(served(&origin, 2) == before);
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 2..SEGMENT_COUNT);
    listed_with(&origin, HLS, SEGMENT_COUNT);
}

#[test]
fn sigterm_lets_requests_end() {
    let mut origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..2);
    listed_with(&origin, HLS, 2);
    let segment = &MUXED.variants[0].segments[2];
    let message = encoder.message("PUT", &segment.name, &segment.body);
    let (first, rest) = message.split_at(message.len() / 2);
    let mut upload = Connection::open(origin.data());
    upload.send(first).unwrap();
    let mut idle = Connection::open(origin.data());
    assert_eq!(idle.request("GET", HLS, &[], b"").status, 200);

    origin.signal("TERM");
    let late = eventually("who comes late is told to come again", || {
        let mut fresh = Connection::try_open(origin.data()).ok()?;
        // The shard without requests closes its door under some.
        let late = fresh.try_request("GET", HLS, &[], b"").ok()?;
        (late.status == 503).then_some(late)
    });
    assert_eq!(late.field("retry-after"), Some("1"));
    assert_eq!(late.field("connection"), Some("close"));
    upload.send(rest).unwrap();
    assert_eq!(upload.try_response(false).unwrap().status, 201, "the begun upload ends");
    assert!(origin.ends_well());
    idle.drained();

    origin.restart();
    let renditions = listed_with(&origin, HLS, 3);
    assert!(renditions.iter().all(|rendition| rendition.segments.len() == 3));
}

/// Waits until every shard answers so: connections are spread over them at random.
fn eventually_everywhere(origin: &Origin, path: &str, status: u16) {
    eventually(&format!("{path} is {status}"), || {
        (0..16).all(|_| origin.get(path).status == status).then_some(())
    });
}

#[test]
fn sighup_reads_the_configuration_again() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..4);
    let before = listed_with(&origin, HLS, 4);
    let mut player = Connection::open(origin.data());
    assert_eq!(player.request("GET", HLS, &[], b"").status, 200);

    // One endpoint more, and a delay for another. Four segments hold one pair at least, which is
    // what the new endpoint joins.
    let added = "[[endpoint]]\nid = \"added\"\nchannel = \"demo\"\nstale_limit_seconds = 3600\n\
                 [endpoint.hls_package]\nsegment_duration_seconds = 4\n";
    let delayed = demo().replace(
        "id = \"demo-dash\"\nchannel = \"demo\"\n",
        "id = \"demo-dash\"\nchannel = \"demo\"\ntime_delay_seconds = 250\n",
    );
    origin.configure("", &(delayed + added));
    origin.signal("HUP");
    eventually_everywhere(&origin, "/out/v1/added/index.m3u8", 200);
    listed_with(&origin, "/out/v1/added/index.m3u8", 1);
    eventually_everywhere(&origin, DASH, 404);
    assert_eq!(player.request("GET", HLS, &[], b"").status, 200, "a kept connection");
    assert_eq!(listed(&origin, HLS), before, "an endpoint that did not change");

    // A wrong file changes nothing.
    let refused = || origin.metric("headwater_config_reloads_refused_total", "");
    origin.configure("colour = \"blue\"", &channel("demo"));
    origin.signal("HUP");
    eventually("the mistake is counted", || (refused() >= 1).then_some(()));
    eventually("the log names it", || origin.log().contains("colour").then_some(()));
    assert_eq!(player.request("GET", HLS, &[], b"").status, 200);

    // A channel more, and the endpoint gone; the channel goes on.
    let other = channel("other") + &endpoints("other", 2);
    origin.configure("", &(demo() + &other));
    origin.signal("HUP");
    eventually_everywhere(&origin, "/out/v1/added/index.m3u8", 404);
    MUXED.push(&mut Encoder::new(&origin, "other", 1), 0..2);
    listed_with(&origin, "/out/v1/other-cmaf/hls/index.m3u8", 2);
    MUXED.push(&mut encoder, 4..SEGMENT_COUNT);
    let after = listed_with(&origin, HLS, SEGMENT_COUNT);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(new.segments[..4], old.segments, "{}", new.name);
    }
    assert_eq!(player.request("GET", HLS, &[], b"").status, 200, "still the same connection");
}

#[test]
fn a_directory_has_one_process() {
    let origin = Origin::start(&demo());
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..2);
    let before = served(&origin, 2);
    let (status, said) = origin.second_process();
    assert!(!status.success(), "{said}");
    assert!(said.contains("data"), "it names the directory: {said}");
    assert!(served(&origin, 2) == before, "the first goes on");
}

/// Twenty minutes.
const HISTORY_COUNT: u32 = 600;

/// An origin on the ring of a channel that ran for so long that a start does not wait for all of
/// it: a minute is listed, and the rest is in the startover window.
fn with_history() -> Origin {
    let endpoint = "[[endpoint]]\nid = \"demo-cmaf\"\nchannel = \"demo\"\n\
         stale_limit_seconds = 86400\nstartover_window_seconds = 7200\n\
         [endpoint.cmaf_package]\nsegment_duration_seconds = 2\n\
         [[endpoint.cmaf_package.hls_manifests]]\nid = \"hls\"\nplaylist_window_seconds = 60\n";
    Past { segment_seconds: 2, count: HISTORY_COUNT, sample_size: 4096, ring_mib: 72 }
        .origin(endpoint)
}

/// Every segment of a rendition since the channel began, newest first, by its path.
fn all_segments(origin: &Origin, live: &Rendition) -> BTreeMap<String, Vec<u8>> {
    let newest = live.segments.last().unwrap();
    let (name, number) = (newest.rsplit_once('_').unwrap().0, number_of(newest));
    let numbers = (number + 1 - u64::from(HISTORY_COUNT)..=number).rev();
    let paths = numbers.map(|number| format!("{name}_{number}.m4s"));
    paths.map(|path| (path.clone(), awaited(origin, &path).body)).collect()
}

fn readiness(origin: &Origin) -> String {
    Connection::open(origin.control()).request("GET", "/readyz", &[], b"").text()
}

#[test]
fn st_01_st_03_the_live_edge_comes_first_and_the_rest_behind_it_with_the_same_bytes() {
    let mut origin = with_history();
    origin.restart();
    let live = hls(&origin, CMAF);
    assert_eq!(live.len(), 4, "three variants and their sound");
    assert!(live.iter().all(|it| it.segments.len() == 30), "{live:?}");
    let segments = all_segments(&origin, &live[0]);
    eventually("all of the ring is read", || {
        (origin.metric("headwater_ring_unread_files", "") == 0).then_some(())
    });
    assert!(readiness(&origin).contains("\"channels_filling\":[]"));
    assert!(origin.logged("all of the ring is read") > 0, "a part was left for later");
    assert_eq!(hls(&origin, CMAF), live, "the live edge is as it was");

    // However often it ends while it reads, it comes to the same.
    for round in 0..12 {
        origin.kill();
        origin.begin();
        // The moment of a fault, not a wait for anything.
        thread::sleep(Duration::from_millis(20 * round));
    }
    origin.kill();
    origin.restart();
    assert_eq!(hls(&origin, CMAF), live, "from the first answer on");
    assert!(all_segments(&origin, &live[0]) == segments);
    let (newest, _) = segments.last_key_value().unwrap();
    let before = format!("{}_{}.m4s", newest.rsplit_once('_').unwrap().0, number_of(newest) - 700);
    eventually("what never was is not there, once all is read", || {
        (origin.get(&before).status == 404).then_some(())
    });
}

#[test]
fn st_10_st_16_a_ring_that_cannot_be_read_refuses_its_channel_alone() {
    let tables = demo() + &channel("other") + &endpoints("other", 2);
    let mut origin = Origin::start(&tables);
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..4);
    MUXED.push(&mut Encoder::new(&origin, "other", 1), 0..4);
    let before = served(&origin, 4);
    origin.kill();

    // As a later release writes it: after the magic number comes the version of the format.
    let first = fs::read_dir(origin.storage().join("demo")).unwrap().map(|it| it.unwrap().path());
    let first = first.filter(|path| path.extension().is_some_and(|it| it == "ring")).min().unwrap();
    let file = fs::File::options().read(true).write(true).open(first).unwrap();
    let mut version = [0; 4];
    file.read_exact_at(&mut version, 8).unwrap();
    file.write_all_at(&99_u32.to_le_bytes(), 8).unwrap();

    origin.restart();
    listed_with(&origin, "/out/v1/other-hls/index.m3u8", 4);
    MUXED.push(&mut Encoder::new(&origin, "other", 1), 4..SEGMENT_COUNT);
    listed_with(&origin, "/out/v1/other-hls/index.m3u8", SEGMENT_COUNT);
    let refused = origin.get(HLS);
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    let segment = &MUXED.variants[0].segments[4];
    assert_eq!(Encoder::new(&origin, "demo", 1).put(&segment.name, &segment.body).status, 503);
    assert_eq!(origin.metric("headwater_ring_refused", "demo"), 1);
    assert_eq!(origin.metric("headwater_ring_refused", "other"), 0);
    assert!(readiness(&origin).contains("\"channels_refused\":[\"demo\"]"));

    file.write_all_at(&version, 8).unwrap();
    origin.signal("HUP");
    eventually("the channel is back", || (origin.get(HLS).status == 200).then_some(()));
    assert!(served(&origin, 4) == before);
    assert!(readiness(&origin).contains("\"channels_refused\":[]"));
}
