//! Channels without an input: manifests are served as they are up to the stale limit, then refused
//! so that a CDN asks another origin (fault IN-03).

use crate::client::{Connection, Encoder, Response};
use crate::origin::{Origin, channel, endpoints, eventually};
use crate::playback::{CMAF, DASH, HLS, listed_with};
use crate::source::{H264, MUXED, SEGMENT_COUNT, Source};
use serde_json::Value;
use std::time::Duration;

const LIMIT_SECONDS: u32 = 6;

fn tables(limit_seconds: u32, status: u16) -> String {
    let rule = format!("stale_limit_seconds = {limit_seconds}\nstale_status = {status}\n");
    channel("demo") + &endpoints("demo", 2).replace("stale_limit_seconds = 3600\n", &rule)
}

/// Waits until the manifest is refused.
fn refused(origin: &Origin, path: &str) -> Response {
    eventually("the manifest is refused", || {
        Some(origin.get(path)).filter(|response| response.status != 200)
    })
}

#[test]
fn in_03_silent_inputs_make_manifests_stale_and_media_brings_them_back() {
    let origin = Origin::start(&tables(LIMIT_SECONDS, 503));
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..4);
    let segments: Vec<String> = [HLS, CMAF, DASH]
        .into_iter()
        .flat_map(|path| listed_with(&origin, path, 4))
        .flat_map(|rendition| [rendition.inits, rendition.segments].concat())
        .collect();
    refused(&origin, HLS);
    // Asked for later, so that it is at least what it was when the manifest was refused.
    let status = Connection::open(origin.control()).request("GET", "/api/status", &[], b"");
    let status: Value = serde_json::from_slice(&status.body).unwrap();
    let age = status["channels"][0]["edge_age_seconds"].as_f64().unwrap();
    assert!(age >= f64::from(LIMIT_SECONDS), "refused as old as {age} s");
    for path in [HLS, CMAF, DASH, "/out/v1/demo-hls/index_v1.m3u8"] {
        let response = refused(&origin, path);
        assert_eq!(response.status, 503, "{path}");
        assert_eq!(response.field("retry-after"), Some("1"), "{path}");
        assert_eq!(response.field("cache-control"), Some("max-age=1"), "{path}");
        assert!(response.field("etag").is_none(), "{path}");
    }
    assert_eq!(origin.get("/out/v1/demo-hls/other.m3u8").status, 404, "never was a manifest");
    for path in &segments {
        assert_eq!(origin.get(path).status, 200, "{path} is no live manifest");
    }
    assert!(origin.metric("headwater_egress_stale_total", "endpoint=\"demo-hls\"") >= 2);
    let status = Connection::open(origin.control()).request("GET", "/api/status", &[], b"").text();
    assert_eq!(status.matches("\"stale\":true").count(), 3, "{status}");
    eventually("the access log tells why", || {
        let log = origin.access_log();
        log.lines().any(|line| line.contains("503,\"reason\":\"stale\"")).then_some(())
    });

    MUXED.push(&mut encoder, 4..SEGMENT_COUNT);
    for path in [HLS, CMAF, DASH] {
        for rendition in listed_with(&origin, path, SEGMENT_COUNT) {
            assert!(!rendition.playlist.contains("#EXT-X-DISCONTINUITY"), "one timeline");
        }
    }
}

#[test]
fn a_rung_that_stops_is_stale_while_the_others_go_on_and_comes_back() {
    // Media time decides: the limit is far from what the test takes.
    let origin = Origin::start(&tables(30, 503));
    let small = "-f lavfi -i testsrc2=size=64x36:rate=25 -map 0:v -map 0:v -b:v 60k -s:v:1 32x18";
    let source = Source::encoded_for(40, &format!("{small} {H264}"), "v:0 v:1");
    let mut encoder = Encoder::new(&origin, "demo", 1);
    source.push(&mut encoder, 0..2);
    let count = source.variants[0].segments.len();
    let mut go_on = |variant: usize| {
        let variant = &source.variants[variant];
        for (at, segment) in variant.segments.iter().enumerate().skip(2) {
            assert_eq!(encoder.put(&segment.name, &segment.body).status, 201);
            let playlist = variant.playlist_of(0..at + 1);
            encoder.put(&variant.playlist, playlist.as_bytes());
        }
    };
    go_on(0);
    let rung = "/out/v1/demo-hls/index_v2.m3u8";
    let refused = refused(&origin, rung);
    assert_eq!(refused.status, 503);
    assert_eq!(refused.field("retry-after"), Some("1"));
    for path in [HLS, CMAF] {
        let rungs = listed_with(&origin, path, count);
        assert_eq!(rungs.len(), 1, "{rungs:?}");
    }
    assert!(origin.metric("headwater_egress_stale_total", "endpoint=\"demo-hls\"") > 0);
    go_on(1);
    for path in [HLS, CMAF] {
        eventually("the rung is back", || {
            let rungs = listed_with(&origin, path, count);
            (rungs.len() == 2).then_some(())
        });
    }
    assert_eq!(origin.get(rung).status, 200);
}

#[test]
fn in_03_the_status_of_a_stale_manifest_is_configured() {
    let origin = Origin::start(&tables(1, 404));
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..3);
    let response = eventually("the manifest is refused as stale", || {
        let response = origin.get(HLS);
        let is_refused = origin.metric("headwater_egress_stale_total", "demo-hls") > 0;
        is_refused.then_some(response)
    });
    assert_eq!(response.status, 404);
    assert!(response.field("retry-after").is_none());
    assert_eq!(response.field("cache-control"), Some("max-age=1"));
}

#[test]
fn in_03_what_has_ended_is_never_stale() {
    let origin = Origin::start(&tables(1, 503));
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..SEGMENT_COUNT);
    let variant = &MUXED.variants[0];
    let last = variant.playlist_of(0..SEGMENT_COUNT) + "#EXT-X-ENDLIST\n";
    assert_eq!(encoder.put(&variant.playlist, last.as_bytes()).status, 201);
    let aged = || {
        let page = Connection::open(origin.control()).request("GET", "/metrics", &[], b"").text();
        let sample = "headwater_edge_age_seconds{channel=\"demo\"} ";
        let age = page.lines().find_map(|line| line.strip_prefix(sample)).unwrap();
        (age.parse::<f64>().unwrap() > 2.0).then_some(())
    };
    eventually("the edge is twice as old as the limit", aged);
    for path in [HLS, CMAF, DASH] {
        assert_eq!(origin.get(path).status, 200, "{path}");
    }
}

#[test]
fn in_03_a_paused_process_does_not_take_its_old_manifests_for_fresh() {
    let origin = Origin::start(&tables(LIMIT_SECONDS, 503));
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    listed_with(&origin, HLS, SEGMENT_COUNT);
    origin.pause();
    let mut asked = Connection::open(origin.data());
    asked.send_request("GET", HLS, &[], b"").unwrap();
    // The pause is the fault, not a wait for something.
    std::thread::sleep(Duration::from_secs(u64::from(LIMIT_SECONDS) + 1));
    origin.signal("CONT");
    assert_eq!(asked.try_response(false).unwrap().status, 503);
}

#[test]
fn in_03_a_restart_does_not_make_old_media_fresh() {
    let mut origin = Origin::start(&tables(LIMIT_SECONDS, 503));
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    let segments = listed_with(&origin, CMAF, SEGMENT_COUNT).swap_remove(0).segments;
    refused(&origin, CMAF);
    origin.kill();
    origin.restart();
    for path in &segments {
        assert_eq!(origin.get(path).status, 200, "{path}");
    }
    assert_eq!(origin.get(CMAF).status, 503);
}
