//! Encoders as people run them: curl, ffmpeg, GStreamer.

use crate::origin::{Origin, USERS, demo};
use crate::playback::{CMAF, DASH, HLS, Rendition, listed_with};
use crate::probe::{FRAGMENTED, TRANSPORT_STREAM, probe};
use crate::source::{H264, MUXED, PICTURE, SEGMENT_COUNT, SOUND};
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// The URL of a file of input 1, with credentials.
fn url(origin: &Origin, name: &str) -> String {
    let (user, password) = USERS[0];
    let password = password.replace(' ', "%20");
    format!("http://{user}:{password}@{}/in/v2/demo/1/{name}", origin.data())
}

fn curl(origin: &Origin, dir: &TempDir, name: &str, body: &[u8]) -> String {
    let file = dir.path().join(name);
    fs::write(&file, body).unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--digest", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}", "-T"])
        .arg(file)
        .arg(url(origin, name))
        .output()
        .expect("curl is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn curl_pushes(server: &str) {
    let origin = Origin::start_with(server, &demo());
    let dir = TempDir::new().unwrap();
    let variant = &MUXED.variants[0];
    for segment in &variant.segments {
        assert_eq!(curl(&origin, &dir, &segment.name, &segment.body), "201", "{}", segment.name);
    }
    let playlist = variant.playlist_of(0..SEGMENT_COUNT);
    assert_eq!(curl(&origin, &dir, &variant.playlist, playlist.as_bytes()), "201");
    assert_eq!(curl(&origin, &dir, "channel.m3u8", MUXED.multivariant.as_bytes()), "201");
    for path in [HLS, CMAF, DASH] {
        listed_with(&origin, path, SEGMENT_COUNT);
    }
}

#[test]
fn curl_with_sha_256() {
    curl_pushes("digest = [\"sha-256\"]");
}

#[test]
fn curl_with_md5() {
    curl_pushes("digest = [\"md5\"]");
}

#[test]
fn curl_with_both_offered() {
    curl_pushes("");
}

/// What WebDAV has beside PUT and DELETE, as curl sends it: its status, and the methods allowed.
fn webdav(origin: &Origin, request: &str, path: &str) -> (String, String) {
    let base = url(origin, "");
    let base = base.strip_suffix("/1/").unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--digest", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code} %header{allow}"])
        .args(request.replace("{base}", base).split('|'))
        .arg(format!("{base}{path}"))
        .output()
        .expect("curl is installed");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let (status, allowed) = said.split_once(' ').unwrap();
    (status.to_owned(), allowed.to_owned())
}

#[test]
fn in_41_in_42_folders_are_there_and_nothing_is_renamed() {
    let origin = Origin::start(&demo());
    let dir = TempDir::new().unwrap();
    let segment = &MUXED.variants[0].segments[0];
    assert_eq!(curl(&origin, &dir, "temporary.ts", &segment.body), "201");
    for (request, path) in [
        ("-X|MKCOL", "/1"),
        ("-X|MKCOL", "/1/"),
        ("-X|MKCOL", "/1/hour/"),
        ("-X|PROPFIND|-H|Depth: 0", "/1/"),
        ("-X|PROPFIND|-H|Depth: 1|-d|<propfind xmlns=\"DAV:\"><allprop/></propfind>", "/1"),
        ("-X|PROPPATCH", "/1/temporary.ts"),
        ("-X|MOVE|-H|Destination: {base}/1/channel_0_00000.ts", "/1/temporary.ts"),
        ("-X|COPY|-H|Destination: {base}/1/channel_0_00000.ts", "/1/temporary.ts"),
        ("-X|LOCK", "/1/temporary.ts"),
        ("-X|PUT|-d|a folder", "/1/"),
        ("-X|PUT|-d|a folder", "/1/hour/"),
    ] {
        let (status, allowed) = webdav(&origin, request, path);
        assert_eq!(status, "405", "{request} {path}");
        assert_eq!(allowed, "PUT, POST, DELETE", "{request} {path}");
    }
    let another = curl(&origin, &dir, &MUXED.variants[0].segments[1].name, b"no media");
    assert_eq!(another, "400", "encoders that sent them may go on");
    assert_eq!(webdav(&origin, "-X|DELETE", "/1/temporary.ts").0, "204");
}

/// Twelve seconds of two variants as ffmpeg pushes them by itself, faster than real time.
fn ffmpeg_pushes(options: &str) -> Vec<Rendition> {
    let origin = Origin::start(&demo());
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(format!("{PICTURE} {SOUND} -map 0:v -map 1:a -map 0:v -map 1:a").split_whitespace())
        .args(format!("{H264} -s:v:1 160x90 -c:a aac -t 12 -f hls -hls_time 2").split_whitespace())
        .args(["-method", "PUT", "-master_pl_name", "channel.m3u8"])
        .args(["-var_stream_map", "v:0,a:0 v:1,a:1"])
        .args(options.split_whitespace())
        .args(["-hls_segment_filename", &url(&origin, "channel_%v_%05d.ts")])
        .arg(url(&origin, "channel_%v.m3u8"))
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{output:?}");
    let mut all = Vec::new();
    for (path, name) in [(HLS, TRANSPORT_STREAM), (CMAF, FRAGMENTED), (DASH, FRAGMENTED)] {
        let renditions = listed_with(&origin, path, SEGMENT_COUNT);
        for rendition in &renditions {
            for stream in probe(name, &rendition.fetched(&origin)) {
                let wanted = if stream.is_video() { 300..=300 } else { 560..=570 };
                let count = stream.packets.len();
                assert!(wanted.contains(&count), "{count} packets of {}", rendition.name);
            }
        }
        all.extend(renditions);
    }
    assert_eq!(origin.metric("headwater_ingest_requests_total", "status=\"5xx\""), 0);
    assert_eq!(origin.metric("headwater_gaps_total", "channel=\"demo\""), 0);
    all
}

#[test]
fn ffmpeg_with_a_connection_for_each_file() {
    ffmpeg_pushes("-hls_list_size 0 -hls_flags program_date_time+independent_segments");
}

#[test]
fn ffmpeg_with_kept_connections() {
    ffmpeg_pushes("-http_persistent 1 -hls_list_size 0 -hls_flags program_date_time");
}

#[test]
fn ffmpeg_that_deletes_behind_itself() {
    ffmpeg_pushes(
        "-hls_list_size 2 -hls_delete_threshold 1 -hls_flags program_date_time+delete_segments",
    );
}

#[test]
fn ffmpeg_without_dates() {
    ffmpeg_pushes("-hls_list_size 0");
}

#[test]
fn gstreamer_posts() {
    let known = Command::new("gst-inspect-1.0").args(["--exists", "curlhttpsink"]).status();
    if !known.is_ok_and(|status| status.success()) {
        crate::report::skipped("GStreamer's curlhttpsink is not installed");
        return;
    }
    let origin = Origin::start(&demo());
    let dir = TempDir::new().unwrap();
    let variant = &MUXED.variants[0];
    let playlist = variant.playlist_of(0..SEGMENT_COUNT);
    let mut files: Vec<(&str, &[u8])> = vec![
        ("channel.m3u8", MUXED.multivariant.as_bytes()),
        (&variant.playlist, playlist.as_bytes()),
    ];
    files.extend(variant.segments.iter().map(|one| (one.name.as_str(), one.body.as_slice())));
    let (user, password) = USERS[0];
    for (name, body) in files {
        fs::write(dir.path().join(name), body).unwrap();
        let output = Command::new("gst-launch-1.0")
            .args(["-q", "filesrc", &format!("location={name}"), "!", "curlhttpsink"])
            .arg(format!("location=http://{}/in/v2/demo/1/{name}", origin.data()))
            .args([&format!("user={user}"), &format!("passwd={password}")])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
    listed_with(&origin, HLS, SEGMENT_COUNT);
}
