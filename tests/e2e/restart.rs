//! Ends and beginnings of the process: killed, drained, told to read its configuration again.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, channel, demo, endpoints, eventually};
use crate::playback::{DASH, HLS, listed, listed_with, served};
use crate::source::{MUXED, SEGMENT_COUNT};

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
        "id = \"demo-dash\"\nchannel = \"demo\"\ntime_delay_seconds = 3600\n",
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
