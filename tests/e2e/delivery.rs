//! What players and caches fetch: conditions, ranges, methods, encodings, absences, zero copy.

use crate::client::{Connection, Encoder, Response};
use crate::origin::{INGEST_PORT, Origin, channel, demo, endpoints, eventually};
use crate::playback::{CMAF, DASH, HLS, Rendition, listed, listed_with, media_playlists};
use crate::probe::{FRAGMENTED, TRANSPORT_STREAM, probe};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::io::Read as _;
use std::process::Command;

fn played() -> Origin {
    let origin = Origin::start(&demo());
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    for path in [HLS, CMAF, DASH] {
        listed_with(&origin, path, SEGMENT_COUNT);
    }
    origin
}

fn request(origin: &Origin, method: &str, path: &str, fields: &[(&str, &str)]) -> Response {
    Connection::open(origin.data()).request(method, path, fields, b"")
}

/// One URL of each kind that the endpoints offer.
fn samples(origin: &Origin) -> Vec<String> {
    let mut paths = vec![HLS.to_owned(), CMAF.to_owned(), DASH.to_owned()];
    for path in [HLS, CMAF] {
        paths.extend(media_playlists(path, &origin.get(path).text()).into_iter().take(1));
    }
    for path in [HLS, CMAF, DASH] {
        let rendition: Rendition = listed(origin, path).swap_remove(0);
        paths.extend(rendition.inits);
        paths.extend(rendition.segments.into_iter().take(1));
    }
    paths
}

fn is_manifest(path: &str) -> bool {
    matches!(path.rsplit('.').next(), Some("m3u8" | "mpd"))
}

#[test]
fn everything_listed_can_be_fetched_and_read() {
    let origin = played();
    for (path, name) in [(HLS, TRANSPORT_STREAM), (CMAF, FRAGMENTED), (DASH, FRAGMENTED)] {
        for rendition in listed(&origin, path) {
            for segment in rendition.inits.iter().chain(&rendition.segments) {
                let response = origin.get(segment);
                assert_eq!(response.status, 200, "{segment}");
                assert!(!response.body.is_empty(), "{segment}");
            }
            assert!(!probe(name, &rendition.fetched(&origin)).is_empty());
        }
        let url = format!("http://{}{path}", origin.data());
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", &url])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("h264") && text.contains("aac"), "{url}: {output:?}");
    }
}

#[test]
fn content_types_and_lifetimes() {
    let origin = played();
    for path in samples(&origin) {
        let response = origin.get(&path);
        let extension = path.rsplit('.').next().unwrap();
        let wanted: &[&str] = match extension {
            "m3u8" => &["application/vnd.apple.mpegurl"],
            "mpd" => &["application/dash+xml"],
            "ts" => &["video/mp2t"],
            _ => &["video/mp4", "audio/mp4", "video/iso.segment"],
        };
        let content_type = response.field("content-type").unwrap_or_default();
        assert!(wanted.contains(&content_type), "{path}: {content_type}");
        let lifetime = response.field("cache-control").unwrap_or_default();
        let seconds = lifetime.split("max-age=").nth(1).expect("max-age");
        let seconds: u32 = seconds.split(',').next().unwrap().parse().unwrap();
        if is_manifest(&path) {
            assert!((1..=2).contains(&seconds), "{path}: {lifetime}");
        } else {
            assert_eq!(seconds, 1_209_600, "{path}: {lifetime}");
        }
        assert_eq!(response.field("access-control-allow-origin"), Some("*"), "{path}");
        assert!(response.field("date").is_some(), "{path}");
    }
}

#[test]
fn conditional_requests() {
    let origin = played();
    for path in samples(&origin) {
        let whole = origin.get(&path);
        let tag = whole.field("etag").unwrap_or_else(|| panic!("{path}: {whole:?}"));
        assert!(tag.starts_with('"'), "{path}: a strong tag, got {tag}");
        for condition in [tag, &format!("\"other\", {tag}"), &format!("W/{tag}"), "*"] {
            let same = request(&origin, "GET", &path, &[("If-None-Match", condition)]);
            assert_eq!(same.status, 304, "{path} with {condition}");
            assert_eq!(same.field("etag"), Some(tag), "{path}");
            assert_eq!(same.field("cache-control"), whole.field("cache-control"), "{path}");
        }
        let other = request(&origin, "GET", &path, &[("If-None-Match", "\"other\"")]);
        assert_eq!((other.status, other.body), (200, whole.body.clone()), "{path}");
    }
}

#[test]
fn head_is_get_without_a_body() {
    let origin = played();
    for path in samples(&origin) {
        let (get, head) = (origin.get(&path), request(&origin, "HEAD", &path, &[]));
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.undated_fields(), get.undated_fields(), "{path}");
    }
}

#[test]
fn ranges_of_segments() {
    let origin = played();
    for path in samples(&origin).iter().filter(|path| !is_manifest(path)) {
        let whole = origin.get(path);
        assert_eq!(whole.field("accept-ranges"), Some("bytes"), "{path}");
        let size = whole.body.len();
        let middle = format!("bytes=100-{}", size - 2);
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=10-", 10..size),
            ("bytes=-7", size - 7..size),
            (middle.as_str(), 100..size - 1),
            ("bytes=0-999999999", 0..size),
        ] {
            let response = request(&origin, "GET", path, &[("Range", range)]);
            assert_eq!(response.status, 206, "{path} {range}");
            assert!(response.body == whole.body[part.clone()], "{path} {range}");
            let told = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            assert_eq!(response.field("content-range"), Some(told.as_str()), "{path}");
        }
        let beyond = request(&origin, "GET", path, &[("Range", &format!("bytes={size}-"))]);
        assert_eq!(beyond.status, 416, "{path}");
        assert_eq!(beyond.field("content-range"), Some(format!("bytes */{size}").as_str()));
        let tag = whole.field("etag").unwrap();
        for (condition, status) in [(tag, 206), ("\"other\"", 200)] {
            let fields = [("Range", "bytes=0-0"), ("If-Range", condition)];
            let response = request(&origin, "GET", path, &fields);
            assert_eq!(response.status, status, "{path} If-Range {condition}");
        }
    }
}

#[test]
fn manifests_are_compressed_for_who_accepts_it() {
    let origin = played();
    for path in samples(&origin) {
        let plain = origin.get(&path);
        assert_eq!(plain.field("content-encoding"), None, "{path}");
        let packed = request(&origin, "GET", &path, &[("Accept-Encoding", "br, gzip;q=0.5")]);
        let refused = request(&origin, "GET", &path, &[("Accept-Encoding", "gzip;q=0")]);
        assert_eq!(refused.field("content-encoding"), None, "{path}");
        if !is_manifest(&path) {
            assert_eq!(packed.field("content-encoding"), None, "{path}");
            continue;
        }
        assert_eq!(packed.field("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(packed.field("vary"), Some("Accept-Encoding"), "{path}");
        assert_eq!(plain.field("vary"), Some("Accept-Encoding"), "{path}");
        assert_ne!(packed.field("etag"), plain.field("etag"), "{path}: other bytes, other tag");
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut text).unwrap();
        assert!(text == plain.body, "{path}");
        let again = request(&origin, "GET", &path, &[("Accept-Encoding", "gzip")]);
        assert!(again.body == packed.body, "{path}: the same bytes each time");
    }
}

#[test]
fn cross_origin_preflight() {
    let origin = played();
    let fields = [
        ("Origin", "https://player.example"),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "range"),
    ];
    let response = request(&origin, "OPTIONS", HLS, &fields);
    assert!(matches!(response.status, 200 | 204), "{response:?}");
    assert_eq!(response.field("access-control-allow-origin"), Some("*"));
    let methods = response.field("access-control-allow-methods").unwrap();
    assert!(methods.contains("GET") && methods.contains("HEAD"), "{methods}");
    let headers = response.field("access-control-allow-headers").unwrap().to_lowercase();
    assert!(headers.contains("range") || headers == "*", "{headers}");
}

/// A segment's path with another number.
fn renumbered(path: &str, change: impl Fn(u64) -> u64) -> String {
    let (front, rest) = path.rsplit_once('_').unwrap();
    let (number, extension) = rest.split_once('.').unwrap();
    format!("{front}_{}.{extension}", change(number.parse().unwrap()))
}

#[test]
fn absences() {
    let origin = played();
    let seconds = |response: &Response| -> u32 {
        let lifetime = response.field("cache-control").expect("a lifetime of the absence");
        lifetime.split("max-age=").nth(1).expect("max-age").parse().unwrap()
    };
    for path in [HLS, CMAF, DASH] {
        let rendition = listed(&origin, path).swap_remove(0);
        let edge = renumbered(rendition.segments.last().unwrap(), |number| number + 1);
        let response = origin.get(&edge);
        assert_eq!(response.status, 404, "{edge}: beyond the edge");
        assert!(seconds(&response) <= 1, "{edge}: it may come soon");
        let early = renumbered(&rendition.segments[0], |number| number - 1);
        assert_eq!(origin.get(&early).status, 404, "{early}: before the window");
        let name = rendition.segments[0].clone();
        let hash = name.rsplit('_').nth(1).unwrap();
        let other = if hash == "00000000" { "00000001" } else { "00000000" };
        let stale = name.replace(hash, other);
        assert_eq!(origin.get(&stale).status, 404, "{stale}: a stale hash");
        for init in rendition.inits {
            let stale = init.replace(init.rsplit('_').nth(1).unwrap(), "00000000");
            assert_eq!(origin.get(&stale).status, 404, "{stale}");
        }
    }
    for path in [
        "/out/v1/nobody/index.m3u8",
        "/out/v1/demo-hls/other.m3u8",
        "/out/v1/demo-hls/index.mpd",
        "/out/v1/demo-dash/index.m3u8",
        "/out/v1/demo-cmaf/index.m3u8",
        "/out/v1/demo-cmaf/other/index.m3u8",
        "/out/v1/demo-hls/",
        "/out/v1/",
        "/out",
        "/",
        "/favicon.ico",
    ] {
        assert_eq!(origin.get(path).status, 404, "{path}");
    }
    for path in ["/out/v1/demo-hls/../demo-hls/index.m3u8", "/out/v1/demo-hls/%2e%2e/index.m3u8"] {
        assert!(matches!(origin.get(path).status, 400 | 404), "{path}");
    }
}

#[test]
fn methods_of_players() {
    let origin = played();
    for method in ["PUT", "POST", "DELETE", "PATCH", "TRACE"] {
        let response = request(&origin, method, HLS, &[]);
        assert_eq!(response.status, 405, "{method}");
        assert!(response.field("allow").is_some_and(|methods| methods.contains("GET")), "{method}");
    }
}

#[test]
fn nothing_is_served_before_anything_came() {
    let origin = Origin::start(&demo());
    for path in [HLS, CMAF, DASH] {
        let response = origin.get(path);
        assert_eq!(response.status, 404, "{path}");
        assert!(response.field("cache-control").is_some_and(|value| value.contains("max-age=")));
    }
}

#[test]
fn fragments_are_spliced_not_copied() {
    let origin = played();
    let spliced = || origin.metric("headwater_shard_spliced_bytes_total", "");
    for path in [CMAF, DASH] {
        for rendition in listed(&origin, path) {
            for segment in &rendition.segments {
                let before = spliced();
                let body = origin.get(segment).body;
                let start = body.windows(4).position(|window| window == b"mdat").unwrap() + 4;
                let payload = u64::try_from(body.len() - start).unwrap();
                // The counter is written after the last byte has left.
                eventually("the splice is counted", || {
                    (spliced() - before >= payload).then_some(())
                });
                assert_eq!(spliced() - before, payload, "{segment}: exactly its media");
            }
        }
    }
}

#[test]
fn one_connection_serves_everything_in_order() {
    let origin = played();
    let paths = samples(&origin);
    let mut connection = Connection::open(origin.data());
    for path in &paths {
        connection.send_request("GET", path, &[], b"").unwrap();
    }
    for path in &paths {
        let response = connection.try_response(false).unwrap();
        assert_eq!(response.status, 200, "{path}");
        assert!(response.body == origin.get(path).body, "{path}");
    }
}

#[test]
fn ingest_has_a_listener_of_its_own() {
    let server = format!("ingest_http = \"{{ip}}:{INGEST_PORT}\"");
    let origin = Origin::start_with(&server, &(channel("demo") + &endpoints("demo", 2)));
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let refused = encoder.put("channel_0_00000.ts", &MUXED.variants[0].segments[0].body);
    assert_eq!(refused.status, 404, "ingest where players are served");
    MUXED.push(&mut Encoder::new(&origin, "demo", 1).at(origin.ingest()), 0..2);
    listed_with(&origin, HLS, 2);
    let response = Connection::open(origin.ingest()).request("GET", HLS, &[], b"");
    assert_eq!(response.status, 404, "players where encoders are served");
}
