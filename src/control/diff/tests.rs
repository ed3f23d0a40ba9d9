//! Two small origins that differ in one thing at a time.

use super::listing::parse_manifest;
use super::{DiffError, diff};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::ops::Range;

/// Paths with their bodies.
type Files = BTreeMap<String, String>;

/// Serves `files` for as long as the test runs. Returns the URL before their paths.
fn serve(files: Files) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut lines = Vec::new();
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap() > 2 {
                lines.push(std::mem::take(&mut line));
            }
            let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
            let (status, body) = match files.get(path) {
                Some(body) => ("200 OK", body.as_str()),
                None => ("404 Not Found", ""),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\
                 Content-Type: text/plain\r\nETag: \"{}\"\r\n\r\n{body}",
                body.len(),
                body.len()
            );
            // Who has seen enough may hang up.
            let _ = stream.get_mut().write_all(head.as_bytes());
        }
    });
    format!("http://{address}")
}

const TOP: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8\n";

/// An HLS origin that lists these numbers, with a discontinuity before 7.
fn hls(numbers: Range<u32>) -> Files {
    let sequence = u32::from(numbers.start > 7);
    let mut list = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{sequence}\n#EXT-X-MAP:URI=\"init.mp4\"\n",
        numbers.start
    );
    let mut files = Files::new();
    for number in numbers {
        let tag = if number == 7 { "#EXT-X-DISCONTINUITY\n" } else { "" };
        write!(list, "{tag}#EXTINF:2.000,\ns{number}.m4s\n").unwrap();
        files.insert(format!("/s{number}.m4s"), format!("segment {number}"));
    }
    files.insert("/init.mp4".to_owned(), "init".to_owned());
    files.insert("/index.m3u8".to_owned(), TOP.to_owned());
    files.insert("/v1.m3u8".to_owned(), list);
    files
}

/// A DASH origin that lists segments of these numbers.
fn dash(numbers: Range<u32>) -> Files {
    let mut files = Files::new();
    let (first, count) = (numbers.start, numbers.len());
    let mpd = format!(
        "<MPD type=\"dynamic\" publishTime=\"{}\"><Period id=\"p0\" start=\"PT0S\">\
         <AdaptationSet id=\"1\"><Role value=\"main\"/><Representation id=\"v1\">\
         <SegmentTemplate timescale=\"1\" startNumber=\"{first}\" \
         initialization=\"$RepresentationID$_init.mp4\" media=\"s$Number$.m4s\">\
         <SegmentTimeline><S t=\"{}\" d=\"2\" r=\"{}\"/></SegmentTimeline></SegmentTemplate>\
         </Representation></AdaptationSet></Period></MPD>",
        numbers.end,
        first * 2,
        count - 1
    );
    files.insert("/index.mpd".to_owned(), mpd);
    files.insert("/v1_init.mp4".to_owned(), "init".to_owned());
    for number in numbers {
        files.insert(format!("/s{number}.m4s"), format!("segment {number}"));
    }
    files
}

/// What is told of two origins, at `path`.
fn told(path: &str, a: Files, b: Files) -> Result<String, DiffError> {
    let (a, b) = (serve(a), serve(b));
    let report = diff(&format!("{a}{path}"), &format!("{b}{path}"))?;
    Ok(report.to_string().replace(&a, "A").replace(&b, "B"))
}

fn changed(mut files: Files, path: &str, from: &str, to: &str) -> Files {
    let body = files.get_mut(path).unwrap();
    assert!(body.contains(from), "{path} has {from}");
    *body = body.replace(from, to);
    files
}

#[test]
fn equal_origins_are_the_same_in_what_both_list() {
    for (a, b, compared) in [
        (5..10, 5..10, "2 manifests, 1 lists of segments (1 with the same window), 5 segments"),
        (5..10, 7..12, "2 manifests, 1 lists of segments (0 with the same window), 3 segments"),
        (5..10, 6..9, "2 manifests, 1 lists of segments (0 with the same window), 3 segments"),
    ] {
        let told = told("/index.m3u8", hls(a), hls(b)).unwrap();
        assert!(told.starts_with(&format!("same\ncompared: {compared}")), "{told}");
    }
    for b in [5..10, 7..12] {
        let told = told("/index.mpd", dash(5..10), dash(b)).unwrap();
        assert!(told.starts_with("same\n"), "{told}");
    }
}

#[test]
fn a_difference_is_told_with_its_place() {
    let cases = [
        ("/index.m3u8", "BANDWIDTH=1", "BANDWIDTH=2", "A/index.m3u8: `#EXT-X-STREAM-INF"),
        ("/v1.m3u8", "#EXTINF:2.000,\ns8", "#EXTINF:2.001,\ns8", "segment 8: `#EXTINF:2.000,`"),
        ("/v1.m3u8", "#EXT-X-DISCONTINUITY\n", "", "segment 7: a discontinuity before it in the"),
        ("/v1.m3u8", "DURATION:2", "DURATION:3", "v1.m3u8: `#EXT-X-TARGETDURATION:2` and"),
        ("/v1.m3u8", "#EXTINF:2.000,\ns8", "#EXT-X-GAP\n#EXTINF:2.000,\ns8", "segment 8: "),
        ("/s6.m4s", "segment", "segmint", "s6.m4s: byte 4 is 0x65 and 0x69"),
        ("/init.mp4", "init", "init ", "init.mp4: 4 and 5 bytes"),
    ];
    for (path, from, to, expected) in cases {
        let other = changed(hls(5..10), path, from, to);
        let told = told("/index.m3u8", hls(5..10), other).unwrap();
        assert!(told.starts_with("different: ") && told.contains(expected), "{path}: {told}");
    }
    let other = changed(dash(5..10), "/index.mpd", "\"main\"", "\"alternate\"");
    let of_mpd = told("/index.mpd", dash(5..10), other).unwrap();
    assert!(of_mpd.contains("Period p0, Representation v1: `Role@value=\"main\"`"), "{of_mpd}");
    let mut other = hls(5..10);
    other.remove("/s9.m4s");
    let missing = told("/index.m3u8", hls(5..10), other).unwrap();
    assert!(missing.contains("s9.m4s: 9 and 0 bytes"), "{missing}");
}

#[test]
fn breaks_that_one_origin_has_not_seen_are_a_note() {
    let (from, to) = ("DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:3");
    let other = changed(hls(8..12), "/v1.m3u8", from, to);
    let told = told("/index.m3u8", hls(8..12), other).unwrap();
    assert!(told.starts_with("same\nnote: v1.m3u8: 1 and 3 discontinuities"), "{told}");
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let nothing = Files::new;
    assert_eq!(told("/x", nothing(), nothing()), Err(DiffError::Absent { status: 404 }));
    assert_eq!(told("/index.m3u8", hls(0..3), hls(5..9)), Err(DiffError::Apart));
    let text = Files::from([("/x".to_owned(), "neither".to_owned())]);
    assert!(matches!(told("/x", text.clone(), text), Err(DiffError::Manifest { .. })));
    let nested = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n";
    let nested = Files::from([("/index.m3u8".to_owned(), nested.to_owned())]);
    let endless = told("/index.m3u8", nested.clone(), nested);
    assert!(matches!(endless, Err(DiffError::Manifest { .. })), "{endless:?}");
    let url = "https://a/index.m3u8";
    assert_eq!(diff(url, url), Err(DiffError::Scheme { url: url.to_owned() }));
    let told = told("/index.m3u8", hls(0..3), nothing()).unwrap();
    assert!(told.starts_with("different: A/index.m3u8: status 200 and 404"), "{told}");
}

proptest! {
    /// Whatever a server sends, it is read or refused.
    #[test]
    fn any_manifest_is_read_or_refused(
        dash_cut in 0_usize..800,
        hls_cut in 0_usize..400,
        at in 0_usize..800,
        byte in any::<char>(),
        number in any::<i128>(),
    ) {
        let (mpd, list) = (&dash(5..10)["/index.mpd"], &hls(5..10)["/v1.m3u8"]);
        for (text, cut) in [(mpd, dash_cut), (list, hls_cut)] {
            let mut text = text.replacen('5', &number.to_string(), 1);
            text.truncate(cut.min(text.len()));
            if at < text.len() {
                text.insert(at, byte);
            }
            let _read = parse_manifest("fuzz", &text);
        }
    }
}
