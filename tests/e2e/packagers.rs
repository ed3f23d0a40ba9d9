//! What every packager does alike: spans, settings, filters and their errors, the choice and order
//! of streams, and the fields of responses.

use crate::client::{Encoder, Response};
use crate::origin::{Origin, demo, eventually};
use crate::playback::{
    CMAF, DASH, HLS, Rendition, listed_with, media_playlists, number_of, rendition, resolve,
};
use crate::source::{H264, MUXED, PICTURE, SEGMENT_COUNT, SOUND, Source};
use roxmltree::Document;
use std::fmt::Write as _;
use std::sync::LazyLock;

const SMOOTH: &str = "/out/v1/demo-mss/index.ism/Manifest";
/// The top manifest of every packager.
const ALL: [&str; 4] = [HLS, CMAF, DASH, SMOOTH];

/// Two pictures, each with the same sound muxed with it.
static LADDER: LazyLock<Source> = LazyLock::new(|| {
    let arguments = format!(
        "{PICTURE} {SOUND} -map 0:v -map 1:a -map 0:v -map 1:a {H264} -b:v:0 900k -b:v:1 200k \
         -s:v:1 160x90 -c:a aac -b:a 64k"
    );
    Source::encoded(&arguments, "v:0,a:0 v:1,a:1")
});

fn smooth_endpoint(id: &str) -> String {
    format!(
        "[[endpoint]]\nid = \"{id}\"\nchannel = \"demo\"\nstartover_window_seconds = 300\n\
         stale_limit_seconds = 3600\n[endpoint.mss_package]\n"
    )
}

/// An origin with all of a source listed, and seconds since 1970 of its first picture.
fn origin(source: &Source, tables: &str) -> (Origin, i64) {
    let origin = Origin::start(&(demo() + &smooth_endpoint("demo-mss") + tables));
    source.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    listed_with(&origin, HLS, SEGMENT_COUNT);
    listed_with(&origin, DASH, SEGMENT_COUNT);
    let dated = pictures(&origin, SEGMENT_COUNT).playlist;
    let whole = format!("Chunks=\"{}\"", SEGMENT_COUNT - 2);
    eventually("fragments are listed", || origin.get(SMOOTH).text().contains(&whole).then_some(()));
    (origin, dates(&dated)[0])
}

/// The dates of a playlist, in seconds since 1970.
fn dates(playlist: &str) -> Vec<i64> {
    let tag = "#EXT-X-PROGRAM-DATE-TIME:";
    let dates = playlist.lines().filter_map(|line| line.strip_prefix(tag));
    dates.map(|date| date.parse::<jiff::Timestamp>().unwrap().as_second()).collect()
}

/// What CMAF lists of the pictures, once it lists so many segments.
fn pictures(origin: &Origin, count: usize) -> Rendition {
    let renditions = listed_with(origin, CMAF, count);
    renditions.into_iter().find(|one| one.name.ends_with("_v1.m3u8")).unwrap()
}

/// A manifest's own text or, of a multivariant playlist, that of its pictures' media playlist.
fn list(origin: &Origin, path: &str) -> String {
    let top = origin.get(path);
    assert_eq!(top.status, 200, "{path}: {top:?}");
    let playlists = media_playlists(path, &top.text());
    match playlists.iter().find(|playlist| playlist.contains("_v1.m3u8")) {
        Some(playlist) => origin.get(playlist).text(),
        None => top.text(),
    }
}

/// When the first video segment of a list begins by what the list says: number or time.
fn first_of(text: &str) -> String {
    let between = |from: &str, to: &str| {
        let rest = text.split_once(from)?.1;
        Some(rest.split_once(to)?.0.to_owned())
    };
    let number = between("#EXT-X-MEDIA-SEQUENCE:", "\n");
    let number = number.or_else(|| between(" startNumber=\"", "\""));
    number.or_else(|| between("<c t=\"", "\"")).expect("it begins somewhere")
}

fn is_complete(text: &str) -> bool {
    text.contains("#EXT-X-ENDLIST")
        || text.contains("type=\"static\"")
        || (text.contains("<SmoothStreamingMedia") && !text.contains("IsLive"))
}

#[test]
fn spans_and_settings_mean_the_same_everywhere() {
    let (origin, first) = origin(&MUXED, "");
    for path in ALL {
        let live = list(&origin, path);
        let with = |query: &str| list(&origin, &format!("{path}?{query}"));
        let settings = |text: &str| with(&format!("aws.manifestsettings={text}"));
        assert!(!is_complete(&live), "{live}");
        let past = with(&format!("start={}&end={}", first + 3, first + 7));
        assert!(is_complete(&past) && first_of(&past) != first_of(&live), "{past}");
        let growing = with(&format!("start={}&end={}", first + 3, first + 700));
        assert!(!is_complete(&growing) && first_of(&growing) == first_of(&past), "{growing}");
        assert_eq!(with(&format!("end={}", first + 6)), live, "an end alone changes nothing");

        // A clip begins later, stays live, and is no span.
        let clipped = settings(&format!("clip_start_time:{}", first + 2));
        assert!(!is_complete(&clipped) && first_of(&clipped) == first_of(&past), "{clipped}");
        let window = settings("manifest_window_seconds:4");
        assert_ne!(first_of(&window), first_of(&live), "{window}");
        assert_ne!(settings("time_delay:2"), live);
        assert_eq!(with("time_delay=2"), settings("time_delay:2"));
        let spanned = settings(&format!("start:{};end:{}", first + 3, first + 7));
        assert_eq!(first_of(&spanned), first_of(&past));
    }
    // As path elements; the fragments are beside the manifest.
    let path = format!("/out/v1/demo-mss/start/{}/end/{}/index.ism/Manifest", first + 3, first + 7);
    let text = origin.get(&path).text();
    assert!(is_complete(&text), "{text}");
    let document = Document::parse(&text).unwrap();
    let stream = document.descendants().find(|node| node.has_tag_name("StreamIndex")).unwrap();
    let level = stream.first_element_child().unwrap().attribute("Bitrate").unwrap();
    let url = stream.attribute("Url").unwrap().replace("{bitrate}", level);
    let url = url.replace("{start time}", &first_of(&text));
    let beside = origin.get(&resolve(&path, &url));
    let live = origin.get(&resolve(SMOOTH, &url));
    assert_eq!((beside.status, live.status), (200, 200), "{url}");
    assert!(beside.body == live.body, "one fragment");
}

#[test]
fn every_error_of_parameters() {
    let (origin, first) = origin(&MUXED, "");
    let filter = |text: &str| format!("aws.manifestfilter={text}");
    let settings = |text: String| format!("aws.manifestsettings={text}");
    let span = |from: i64, to: i64| format!("start={}&end={}", first + from, first + to);
    let long = filter(&format!("audio_language:{}", "x".repeat(1024)));
    for (query, status, says) in [
        (filter("audio_language:dahlia;video_height:1-720"), 200, ""),
        (filter("audio_language:dahlia"), 0, ""),
        (filter("video_height:9000-9001;audio_codec:ec-3"), 400, "nothing is left"),
        (filter("colour:red"), 400, "a known key at byte 0"),
        (filter("video_height:1-720;video_height:1-720"), 400, "given again at byte 19"),
        (filter("video_height:2-1"), 400, "a value that video_height does not take"),
        (filter("video_bitrate:0-2147483648"), 400, "a value that video_bitrate does not take"),
        (filter("a:is:0-1"), 400, "a known key"),
        (long, 400, "at most 1024 bytes"),
        ([filter("video_height:1-9"), filter("video_height:1-9")].join("&"), 400, "given twice"),
        (span(0, 86_401), 400, "at most 86400 s"),
        (span(4, 2), 400, "a time after start"),
        (span(-1000, 0), 404, ""),
        (span(1000, 1100), 404, ""),
        (format!("start={first}&start={first}"), 400, "given twice"),
        ("start=yesterday".to_owned(), 400, "ISO 8601"),
        ("time_delay=-1".to_owned(), 400, "whole seconds"),
        ("time_delay=301".to_owned(), 400, "startover window"),
        (settings("time_delay:4;time_delay:4".to_owned()), 400, "given twice"),
        (settings("manifest_window_seconds:3".to_owned()), 400, "two segments at least"),
        (settings("manifest_window_seconds:3600".to_owned()), 400, "the configured window"),
        (settings(format!("clip_start_time:{first};end:{first}")), 400, "not together with"),
        (settings("colour:red".to_owned()), 400, "keys that are known"),
        ("aws.drmsettings=exclude_session_keys".to_owned(), 200, ""),
        ("aws.drmsettings=excludesessionkeys".to_owned(), 200, ""),
        ("aws.drmsettings=all".to_owned(), 400, "exclude_session_keys"),
        ("m=1&session=7".to_owned(), 200, ""),
    ] {
        for path in ALL {
            // Sound that is muxed takes its pictures along.
            let status = match status {
                0 if path == HLS => 400,
                0 => 200,
                known => known,
            };
            let strict = query.contains("dahlia;") && path == HLS;
            let status = if strict { 400 } else { status };
            let response = origin.get(&format!("{path}?{query}"));
            assert_eq!(response.status, status, "{path}?{query}: {}", response.text());
            assert!(response.text().contains(says), "{path}?{query}: {}", response.text());
        }
    }
    let listed = pictures(&origin, SEGMENT_COUNT);
    for path in [&listed.name, &listed.segments[0], &listed.inits[0]] {
        let response = origin.get(&format!("{path}?{}", filter("video_height:1-720")));
        assert_eq!(response.status, 400, "{path}");
        assert!(response.text().contains("expected no parameters here"));
    }
}

#[test]
fn a_window_over_a_restart_with_another_picture() {
    let origin = Origin::start(&(demo() + &smooth_endpoint("demo-mss")));
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let arguments =
        |size: &str| format!("{} {SOUND} {H264} -c:a aac", PICTURE.replace("320x180", size));
    // Made now, so that its dates lie no window before those of the second.
    Source::encoded(&arguments("320x180"), "v:0,a:0").push(&mut encoder, 0..SEGMENT_COUNT);
    let before = pictures(&origin, SEGMENT_COUNT);
    let later = format!("{} -output_ts_offset 20000", arguments("160x90"));
    Source::encoded(&later, "v:0,a:0").push(&mut encoder, 0..SEGMENT_COUNT);
    let all = pictures(&origin, 2 * SEGMENT_COUNT);
    listed_with(&origin, HLS, 2 * SEGMENT_COUNT);
    listed_with(&origin, DASH, SEGMENT_COUNT);
    let break_at = all.playlist.split_once("#EXT-X-DISCONTINUITY\n").expect("one break").1;
    let (start, end) = (dates(&before.playlist)[0] + 7, dates(break_at)[0] + 4);
    let with = |path: &str| list(&origin, &format!("{path}?start={start}&end={end}"));

    for path in [HLS, CMAF] {
        let playlist = with(path);
        assert!(is_complete(&playlist), "{playlist}");
        assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{playlist}");
        assert!(!playlist.contains("#EXT-X-DISCONTINUITY-SEQUENCE"), "none is behind it");
    }
    let cmaf = rendition(&all.name, &with(CMAF));
    assert_eq!(cmaf.inits.len(), 2, "an init for each picture: {}", cmaf.playlist);
    cmaf.assert_consecutive();
    assert!(!cmaf.fetched(&origin).is_empty());
    let mpd = with(DASH);
    let document = Document::parse(&mpd).unwrap();
    let periods = document.descendants().filter(|node| node.has_tag_name("Period"));
    let widths: Vec<_> = periods
        .map(|period| period.descendants().find_map(|node| node.attribute("width")).unwrap())
        .collect();
    assert_eq!(widths, ["320", "160"], "{mpd}");
    assert!(is_complete(&mpd), "{mpd}");
    let smooth = with(SMOOTH);
    assert!(is_complete(&smooth) && smooth.contains("MaxWidth=\"160\""), "{smooth}");
    let after = list(&origin, &format!("{CMAF}?start={}", dates(break_at)[0] + 3));
    assert!(after.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{after}");
}

/// Widths of the pictures that a top manifest offers, in its order.
fn widths(text: &str) -> Vec<u32> {
    let (mark, end): (_, &[_]) = if text.starts_with("#EXTM3U") {
        ("RESOLUTION=", &['x'])
    } else if text.contains("<MPD") {
        (" width=\"", &['"'])
    } else {
        ("FourCC=\"H264\" MaxWidth=\"", &['"'])
    };
    let found = text.split(mark).skip(1).map(|rest| rest.split(end).next().unwrap());
    found.map(|width| width.parse().unwrap()).collect()
}

#[test]
fn streams_are_selected_and_ordered() {
    let choices = [
        ("low", "max_video_bits_per_second = 600000\n", vec![160]),
        ("high", "min_video_bits_per_second = 600000\n", vec![320]),
        ("up", "stream_order = \"VIDEO_BITRATE_ASCENDING\"\n", vec![160, 320]),
        ("down", "stream_order = \"VIDEO_BITRATE_DESCENDING\"\n", vec![320, 160]),
        ("as-is", "stream_order = \"ORIGINAL\"\n", vec![320, 160]),
        ("none", "max_video_bits_per_second = 1000\n", vec![]),
    ];
    let packages =
        [("hls", "index.m3u8"), ("cmaf", "m/index.m3u8"), ("dash", "index.mpd"), ("mss", "")];
    let mut tables = String::new();
    for (choice, selection, _) in &choices {
        for (package, _) in packages {
            write!(
                tables,
                "[[endpoint]]\nid = \"{choice}-{package}\"\nchannel = \"demo\"\n\
                 stale_limit_seconds = 3600\n[endpoint.{package}_package]\n\
                 segment_duration_seconds = 2\n[endpoint.{package}_package.stream_selection]\n\
                 {selection}"
            )
            .unwrap();
            if package == "cmaf" {
                tables += "[[endpoint.cmaf_package.hls_manifests]]\nid = \"m\"\n";
            }
        }
    }
    let (origin, _) = origin(&LADDER, &tables);
    for (choice, _, expected) in choices {
        for (package, leaf) in packages {
            let leaf = if leaf.is_empty() { "index.ism/Manifest" } else { leaf };
            let path = format!("/out/v1/{choice}-{package}/{leaf}");
            let top = origin.get(&path);
            assert_eq!(top.status, 200, "{path}: {top:?}");
            assert_eq!(widths(&top.text()), expected, "{path}: {}", top.text());
        }
    }
}

fn milliseconds(response: &Response) -> i64 {
    let field = response.field("x-mediapackage-manifest-last-updated");
    field.expect("it is told").parse().unwrap()
}

#[test]
fn manifests_tell_of_their_newest_segment() {
    let told = smooth_endpoint("told").replace(
        "[endpoint.mss",
        "publish_active_input = true\npublish_cmsd = true\n[endpoint.mss",
    ) + "[[endpoint]]\nid = \"told-cmaf\"\nchannel = \"demo\"\nstale_limit_seconds = 3600\n\
         startover_window_seconds = 300\npublish_active_input = true\npublish_cmsd = true\n\
         [endpoint.cmaf_package]\n[[endpoint.cmaf_package.hls_manifests]]\nid = \"m\"\n";
    let (origin, first) = origin(&MUXED, &told);
    let edge = (first + 12) * 1000;
    for path in ALL {
        let live = origin.get(path);
        let sequence = live.field("x-mediapackage-manifest-last-sequence").expect("it is told");
        assert!(sequence.parse::<u64>().unwrap() > 0, "{path}");
        let held_back = if path == SMOOTH { 4_000 } else { 0 };
        assert!((milliseconds(&live) - edge + held_back).abs() <= 1_100, "{path}: {live:?}");
        let past = origin.get(&format!("{path}?start={}&end={}", first + 2, first + 6));
        assert!(milliseconds(&past) < milliseconds(&live), "{path}: {past:?}");
        for field in ["x-mediapackage-active-input", "cmsd-static", "cmsd-dynamic"] {
            assert_eq!(live.field(field), None, "{path}: nobody asked for it");
        }
    }
    let listed = pictures(&origin, SEGMENT_COUNT);
    let last = listed.segments.last().unwrap();
    let playlist = origin.get(&listed.name);
    let sequence = playlist.field("x-mediapackage-manifest-last-sequence");
    assert_eq!(sequence, Some(number_of(last).to_string().as_str()));
    // The same from another origin, whichever input the media came over.
    let other = Origin::start(&demo());
    MUXED.push(&mut Encoder::new(&other, "demo", 2), 0..SEGMENT_COUNT);
    listed_with(&other, CMAF, SEGMENT_COUNT);
    assert_eq!(other.get(&listed.name).undated_fields(), playlist.undated_fields());

    for (path, says) in [
        ("/out/v1/told/index.ism/Manifest", "ot=m,sf=s,st=l"),
        ("/out/v1/told-cmaf/m/index_v1.m3u8", "ot=m,sf=h,st=l"),
    ] {
        let response = origin.get(path);
        assert_eq!(response.field("cmsd-static"), Some(says), "{path}");
        assert_eq!(response.field("x-mediapackage-active-input"), Some("1"), "{path}");
        let dynamic = response.field("cmsd-dynamic").unwrap();
        let delay = dynamic.strip_prefix("\"headwater\";rd=").unwrap();
        assert!(delay.parse::<u64>().is_ok(), "{dynamic}");
    }
    let segment = origin.get(&last.replace("demo-cmaf", "told-cmaf"));
    let says = segment.field("cmsd-static").unwrap();
    assert!(says.contains(",d=2000,ot=v,sf=h,st=l") && says.starts_with("br="), "{says}");
    let init = origin.get(&listed.inits[0].replace("demo-cmaf", "told-cmaf"));
    assert_eq!(init.field("cmsd-static"), Some("ot=i,sf=h,st=l"));
}
