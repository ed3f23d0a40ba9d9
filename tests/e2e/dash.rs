//! Each setting of an MPD, as it shows from the outside.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, channel, endpoints, eventually};
use crate::playback::{CMAF, listed_with, number_of};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::fmt::Write as _;

/// An MPD over the segments of the CMAF endpoint, beside its playlists.
const OVER_CMAF: &str = "/out/v1/demo-cmaf/tv/index.mpd";

/// The demo's endpoints with segments of `seconds`, an MPD over CMAF, and an endpoint `demo-{id}`
/// for each `(id, settings)`.
fn tables(seconds: u32, more: &[(&str, &str)]) -> String {
    let tables = channel("demo") + &endpoints("demo", seconds);
    let mpd =
        "[[endpoint.cmaf_package.dash_manifests]]\nid = \"tv\"\nmanifest_layout = \"COMPACT\"\n";
    let package = "[endpoint.cmaf_package]\n";
    let mut tables = tables.replace(package, &format!("{mpd}{package}"));
    for (id, settings) in more {
        write!(
            tables,
            "[[endpoint]]\nid = \"demo-{id}\"\nchannel = \"demo\"\n\
             stale_limit_seconds = 3600\n[endpoint.dash_package]\n\
             segment_duration_seconds = {seconds}\n{settings}\n"
        )
        .unwrap();
    }
    tables
}

fn mpd(id: &str) -> String {
    format!("/out/v1/demo-{id}/index.mpd")
}

#[test]
fn layouts_profiles_and_timing() {
    let origin = Origin::start(&tables(
        2,
        &[
            ("compact", "manifest_layout = \"COMPACT\"\nutc_timing = \"NONE\""),
            ("dvb", "profile = \"DVB_DASH_2014\"\nutc_timing = \"HTTP-ISO\""),
            ("hbbtv", "profile = \"HBBTV_1_5\"\nutc_timing = \"DIRECT\""),
            (
                "tv",
                "profile = \"HYBRIDCAST\"\nutc_timing = \"HTTP-XSDATE\"\n\
                    utc_timing_uri = \"https://time.example/\"",
            ),
        ],
    ));
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    for (id, there, missing) in [
        ("compact", "media=\"$RepresentationID$_$Number$.m4s\"", "UTCTiming"),
        ("dvb", "urn:dvb:dash:profile:dvb-dash:2014,", "$RepresentationID$"),
        ("dvb", "utc:http-iso:2014\" value=\"time\"", "http-head"),
        ("hbbtv", "urn:hbbtv:dash:profile:isoff-live:2012,", "http-head"),
        ("hbbtv", "utc:direct:2014\" value=\"20", "http-head"),
        ("tv", "utc:http-xsdate:2014\" value=\"https://time.example/\"", "http-head"),
    ] {
        for rendition in listed_with(&origin, &mpd(id), SEGMENT_COUNT) {
            assert!(!rendition.fetched(&origin).is_empty(), "{id}");
        }
        let text = origin.get(&mpd(id)).text();
        assert!(text.contains(there) && !text.contains(missing), "{id}: {text}");
    }
    let clock = origin.get("/out/v1/demo-dvb/time");
    assert_eq!((clock.status, clock.field("cache-control")), (200, Some("no-store")));
    assert!(clock.text().parse::<jiff::Timestamp>().is_ok(), "{clock:?}");
    assert_eq!(origin.get("/out/v1/demo-hbbtv/time").status, 404, "nobody is sent there");

    // One set of segments, whichever manifest names it.
    let segments = |path| {
        let mut all: Vec<(Vec<String>, String)> = Vec::new();
        for rendition in listed_with(&origin, path, SEGMENT_COUNT) {
            assert!(!rendition.fetched(&origin).is_empty(), "{path}");
            all.push((rendition.segments, rendition.inits[0].clone()));
        }
        all.sort();
        all
    };
    let (by_hls, by_dash) = (segments(CMAF), segments(OVER_CMAF));
    assert_eq!(by_hls.len(), by_dash.len());
    for ((hls, hls_init), (dash, dash_init)) in by_hls.iter().zip(&by_dash) {
        assert_eq!(hls, dash);
        assert_eq!(origin.get(hls_init).body, origin.get(dash_init).body);
    }
}

#[test]
fn a_request_for_the_next_number_waits_for_it() {
    let settings = "segment_template_format = \"NUMBER_WITH_DURATION\"";
    let origin = Origin::start(&tables(4, &[("clock", settings)]));
    let mut encoder = Encoder::new(&origin, "demo", 1);
    // Two of the source's make one: of four in a row, one is whole at least.
    MUXED.push(&mut encoder, 0..4);
    let listed = listed_with(&origin, &mpd("dash"), 1).swap_remove(0);
    let text = eventually("the MPD by the clock is there", || {
        let response = origin.get(&mpd("clock"));
        (response.status == 200).then(|| response.text())
    });
    assert!(!text.contains("SegmentTimeline"), "{text}");
    let document = roxmltree::Document::parse(&text).unwrap();
    let template = document.descendants().find(|node| node.has_tag_name("SegmentTemplate"));
    let media = template.unwrap().attribute("media").unwrap().to_owned();
    let path = |number: u64| {
        format!("/out/v1/demo-clock/{}", media.replace("$Number$", &number.to_string()))
    };
    let newest = number_of(listed.segments.last().unwrap());
    assert_eq!(origin.get(&path(newest)).status, 200);
    assert_eq!(origin.get(&path(newest + 2)).status, 404, "it is not next");

    let mut waiting = Connection::open(origin.data());
    waiting.send_request("GET", &path(newest + 1), &[], b"").unwrap();
    MUXED.push(&mut encoder, 4..SEGMENT_COUNT);
    let response = waiting.try_response(false).unwrap();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.body, origin.get(&path(newest + 1)).body);
    // Nothing more comes: it is waited for, and then it is not there.
    let newest =
        (newest + 1..newest + 9).find(|&number| origin.get(&path(number)).status != 200).unwrap();
    assert_eq!(origin.get(&path(newest)).status, 404);
}
