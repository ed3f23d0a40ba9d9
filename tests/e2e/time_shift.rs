//! Manifests of the past and of some tracks: `start`, `end` and filters in query and path.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, demo, eventually};
use crate::playback::{CMAF, DASH, HLS, Rendition, hls, listed_with};
use crate::source::{MUXED, SEGMENT_COUNT};

/// An origin with the whole source listed, and seconds since 1970 of its first picture.
fn shifted() -> (Origin, i64) {
    let origin = Origin::start(&demo());
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    for path in [HLS, DASH] {
        listed_with(&origin, path, SEGMENT_COUNT);
    }
    let dated = listed_with(&origin, CMAF, SEGMENT_COUNT).swap_remove(0).playlist;
    let tag = "#EXT-X-PROGRAM-DATE-TIME:";
    let date = dated.lines().find_map(|line| line.strip_prefix(tag)).unwrap();
    let start: jiff::Timestamp = date.parse().unwrap();
    (origin, start.as_second())
}

/// What the playlists of a multivariant playlist list.
fn renditions(origin: &Origin, path: &str) -> Vec<Rendition> {
    let renditions = hls(origin, path);
    assert!(!renditions.is_empty(), "{path}: {:?}", origin.get(path));
    renditions
}

#[test]
fn a_span_of_the_past_is_complete_and_of_the_same_segments() {
    let (origin, first) = shifted();
    let (start, end) = (first + 3, first + 7);
    for (live, base, name) in
        [(HLS, "/out/v1/demo-hls/", "index.m3u8"), (CMAF, "/out/v1/demo-cmaf/hls/", "index.m3u8")]
    {
        let query = format!("{live}?start={start}&end={end}");
        let elements = format!("{base}start/{start}/end/{end}/{name}");
        for path in [&query, &elements] {
            let whole = listed_with(&origin, live, SEGMENT_COUNT);
            for (shifted, whole) in renditions(&origin, path).iter().zip(whole) {
                assert!(shifted.playlist.ends_with("#EXT-X-ENDLIST\n"), "{}", shifted.playlist);
                let count = shifted.segments.len();
                assert!((2..SEGMENT_COUNT).contains(&count), "{path}: {}", shifted.playlist);
                assert!(shifted.segments.iter().all(|url| whole.segments.contains(url)));
                shifted.assert_consecutive();
                assert!(!shifted.fetched(&origin).is_empty());
            }
        }
    }
    let query = format!("{DASH}?start={start}&end={end}");
    let elements = format!("/out/v1/demo-dash/start/{start}/end/{end}/index.mpd");
    for path in [&query, &elements] {
        let mpd = origin.get(path).text();
        assert!(mpd.contains("type=\"static\""), "{path}: {mpd}");
    }
    assert!(origin.get(&elements).text().contains("media=\"../../../../v1_"));
}

#[test]
fn the_table_of_start_and_end() {
    let (origin, first) = shifted();
    let edge = first + 12;
    let ended = "#EXT-X-ENDLIST";
    let iso = format!("{}", jiff::Timestamp::from_second(first + 4).unwrap());
    let zoned = iso.replace('Z', "%2B00:00");
    for (query, status, is_complete) in [
        (String::new(), 200, false),
        (format!("end={}", first + 4), 200, false),
        (format!("start={}", first + 4), 200, false),
        (format!("start={iso}"), 200, false),
        (format!("start={zoned}&end={}", first + 8), 200, true),
        (format!("start={}&end={}", first + 4, edge + 60), 200, false),
        (format!("start={}", edge - 1000), 404, false),
        (format!("start={}", edge + 60), 404, false),
        (format!("start={}&end={}", first + 4, first + 4 + 86_401), 400, false),
        (format!("start={}&end={}", first + 8, first + 4), 400, false),
        ("start=noon".to_owned(), 400, false),
        (format!("start={first}&start={first}"), 400, false),
        (format!("m={first}&colour=red"), 200, false),
    ] {
        for path in ["/out/v1/demo-hls/index_v1.m3u8", "/out/v1/demo-cmaf/hls/index_v1.m3u8"] {
            let response = origin.get(&format!("{path}?{query}"));
            assert_eq!(response.status, status, "{path}?{query}");
            let text = response.text();
            assert_eq!(text.contains(ended), is_complete, "{path}?{query}: {text}");
        }
        let mpd = origin.get(&format!("{DASH}?{query}"));
        assert_eq!(mpd.status, status, "{DASH}?{query}");
        assert_eq!(mpd.text().contains("type=\"static\""), is_complete, "{query}");
    }
}

#[test]
fn what_is_over_stays_when_the_channel_is_stale() {
    let tables = demo().replace("stale_limit_seconds = 3600\n", "stale_limit_seconds = 1\n");
    let origin = Origin::start(&tables);
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    let dated = "/out/v1/demo-cmaf/hls/index_v1.m3u8";
    let mut playlist = String::new();
    eventually("live manifests are refused", || {
        let response = origin.get(dated);
        if response.status == 200 {
            playlist = response.text();
        }
        (response.status == 503 && !playlist.is_empty()).then_some(())
    });
    let tag = "#EXT-X-PROGRAM-DATE-TIME:";
    let date = playlist.lines().find_map(|line| line.strip_prefix(tag)).unwrap();
    let first = date.parse::<jiff::Timestamp>().unwrap().as_second();
    let (start, end) = (first + 1, first + 3);
    for path in [HLS, CMAF, DASH] {
        assert_eq!(origin.get(&format!("{path}?start={start}&end={end}")).status, 200, "{path}");
        assert_eq!(origin.get(&format!("{path}?start={start}")).status, 503, "{path}");
    }
}

#[test]
fn settings_of_a_request() {
    let (origin, _) = shifted();
    let asked = |settings: &str| {
        renditions(&origin, &format!("{HLS}?aws.manifestsettings={settings}")).swap_remove(0)
    };
    assert_eq!(asked("time_delay:4").segments.len(), SEGMENT_COUNT - 2);
    assert_eq!(asked("manifest_window_seconds:4").segments.len(), 2);
    let both = asked("manifest_window_seconds%3A4%3Btime_delay%3A4");
    assert_eq!(both.segments.len(), 2);
    for (query, status) in [
        ("aws.manifestsettings=manifest_window_seconds:3", 400),
        ("aws.manifestsettings=manifest_window_seconds:3600", 400),
        ("aws.manifestsettings=colour:red", 400),
        ("aws.drmsettings=exclude_session_keys", 200),
        ("aws.drmsettings=all", 400),
    ] {
        assert_eq!(origin.get(&format!("{HLS}?{query}")).status, status, "{query}");
    }
}

#[test]
fn filters_and_their_errors() {
    let (origin, _) = shifted();
    for (filter, status) in [
        ("video_height:1-720", 200),
        ("VIDEO_CODEC:h264", 200),
        ("video_framerate:25", 200),
        ("video_dynamic_range:sdr;audio_codec:AACL", 200),
        ("trickplay_type:none", 200),
        ("video_height:1-100;audio_codec:ec-3", 400),
        ("colour:red", 400),
        ("video_height:2-1", 400),
        ("video_height:2147483648", 400),
        ("a:is:0-1", 400),
        ("video_height:1-9;video_height:1-9", 400),
    ] {
        for path in [HLS, CMAF, DASH] {
            let path = format!("{path}?aws.manifestfilter={filter}");
            assert_eq!(origin.get(&path).status, status, "{path}");
        }
    }
    let long = format!("{HLS}?aws.manifestfilter=audio_language:{}", "x".repeat(1024));
    assert_eq!(origin.get(&long).status, 400);
    let twice = "aws.manifestfilter=video_height:1-720&aws.manifestfilter=video_height:1-720";
    assert_eq!(origin.get(&format!("{HLS}?{twice}")).status, 400);

    let filtered = origin.get(&format!("{DASH}?aws.manifestfilter=video_height:1-100")).text();
    assert!(!filtered.contains("video/mp4") && filtered.contains("audio/mp4"), "{filtered}");
    assert!(origin.get(DASH).text().contains("video/mp4"), "kept apart from the filtered one");

    let live = listed_with(&origin, HLS, SEGMENT_COUNT).swap_remove(0);
    let filter = "aws.manifestfilter=video_height:1-720";
    for path in [&live.name, &live.segments[0]] {
        assert_eq!(origin.get(&format!("{path}?{filter}")).status, 400, "{path}");
    }
    assert_eq!(origin.get(&format!("{}?m=1", live.segments[0])).status, 200);
    assert_eq!(origin.get(&format!("{}?start=1", live.segments[0])).status, 400);
}

#[test]
fn a_flood_of_spans_leaves_room_for_live_manifests() {
    let (origin, first) = shifted();
    let hits = |limit: &str| origin.metric("headwater_limit_hits_total", limit);
    // All to one shard. Distinct spans, of which none ends while this lasts.
    let mut connection = Connection::open(origin.data());
    let mut ask = |query: &str| {
        let path = format!("/out/v1/demo-hls/index_v1.m3u8{query}");
        let response = connection.request("GET", &path, &[], b"");
        response.status
    };
    for later in 0..2_100 {
        assert_eq!(ask(&format!("?start={first}&end={}", first + 60 + later)), 200);
    }
    let not_kept = hits("limit=\"response_cache\"");
    assert!(not_kept > 0, "more spans than there is room for");
    for _ in 0..3 {
        assert_eq!(ask(""), 200);
    }
    assert_eq!(hits("limit=\"response_cache\""), not_kept, "live manifests are kept");
    assert_eq!(ask(&format!("?start={first}&end={}", first + 86_401)), 400);
    assert_eq!(hits("limit=\"time_shift_seconds\""), 1);
}
