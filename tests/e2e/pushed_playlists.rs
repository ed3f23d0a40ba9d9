//! Playlists in gzip (fault IN-45), and floods of refused pushes.

use crate::client::{Connection, Encoder, Response};
use crate::origin::{Origin, demo};
use crate::playback::{HLS, listed_with};
use crate::source::{MUXED, SEGMENT_COUNT};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A PUT with a content coding.
fn put_coded(
    origin: &Origin,
    encoder: &mut Encoder,
    name: &str,
    coding: &str,
    body: &[u8],
) -> Response {
    let path = encoder.path(name);
    let authorization = encoder.authorization("PUT", &path);
    let fields = [("Authorization", authorization.as_str()), ("Content-Encoding", coding)];
    Connection::open(origin.data()).request("PUT", &path, &fields, body)
}

#[test]
fn in_45_playlists_may_come_in_gzip_and_nothing_else() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    encoder.authenticate();
    let variant = &MUXED.variants[0];
    for at in 0..SEGMENT_COUNT {
        let segment = &variant.segments[at];
        assert_eq!(encoder.put(&segment.name, &segment.body).status, 201);
        let playlist = gzip(variant.playlist_of(0..at + 1).as_bytes());
        let stored = put_coded(&origin, &mut encoder, &variant.playlist, "gzip", &playlist);
        assert_eq!(stored.status, 201, "{stored:?}");
        if at == 0 {
            let top = gzip(MUXED.multivariant.as_bytes());
            let stored = put_coded(&origin, &mut encoder, "channel.m3u8", "x-gzip", &top);
            assert_eq!(stored.status, 201, "{stored:?}");
        }
    }
    listed_with(&origin, HLS, SEGMENT_COUNT);

    let segment = &variant.segments[0];
    let bomb = gzip(&[b"#EXTM3U\n".as_slice(), &vec![b'\n'; 900 << 10]].concat());
    let playlist = gzip(variant.playlist_of(0..1).as_bytes());
    for (name, coding, body, expected) in [
        ("channel_0.m3u8", "gzip", bomb.as_slice(), 415),
        ("channel_0.m3u8", "br", &playlist, 415),
        ("channel_0.m3u8", "gzip", b"#EXTM3U\n", 400),
        ("channel_0.m3u8", "gzip", &playlist[..playlist.len() - 1], 400),
        ("channel_0.m3u8", "gzip", &gzip(&segment.body), 415),
        (&segment.name, "gzip", &gzip(&segment.body), 415),
    ] {
        let response = put_coded(&origin, &mut encoder, name, coding, body);
        assert_eq!(response.status, expected, "{name} {coding}: {response:?}");
    }
    assert_eq!(origin.metric("headwater_limit_hits_total", "limit=\"gzip_ratio\""), 1);
}

#[test]
fn a_flood_of_refused_pushes_does_not_flood_the_log() {
    const COUNT: u64 = 2_000;
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    encoder.authenticate();
    let head_of = |encoder: &mut Encoder| encoder.message("PUT", "channel_0.m3u8", b"no playlist");
    let mut refused = 0;
    let mut connection = Connection::open(origin.data());
    while refused < COUNT {
        connection.send(&head_of(&mut encoder)).unwrap();
        let response = connection.try_response(false).unwrap();
        assert!(matches!(response.status, 400 | 429), "{response:?}");
        refused += 1;
    }
    let left_out = origin.metric("headwater_limit_hits_total", "limit=\"refusal_line_count\"");
    let lines = origin.log().lines().filter(|line| line.contains("push refused")).count() as u64;
    assert!(left_out > 0 && lines + left_out == COUNT, "{lines} lines, {left_out} left out");
}
