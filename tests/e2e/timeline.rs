//! Holes, breaks, joins and ends of a stream as every manifest tells them.

use crate::client::Encoder;
use crate::origin::{Origin, channel, demo, endpoints, eventually};
use crate::playback::{CMAF, DASH, HLS, listed, listed_with, served};
use crate::probe::{FRAGMENTED, TRANSPORT_STREAM, probe};
use crate::source::{H264, MUXED, PICTURE, SEGMENT_COUNT, SOUND, Source};

/// Pushes one segment and the playlist that lists all up to it.
fn push_one(encoder: &mut Encoder, source: &Source, at: usize) {
    let variant = &source.variants[0];
    let segment = &variant.segments[at];
    assert_eq!(encoder.put(&segment.name, &segment.body).status, 201, "{}", segment.name);
    let playlist = variant.playlist_of(0..at + 1);
    assert_eq!(encoder.put(&variant.playlist, playlist.as_bytes()).status, 201);
}

#[test]
fn a_missing_segment_is_a_gap_until_it_comes() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    for at in [0, 1, 2, 4, 5] {
        push_one(&mut encoder, &MUXED, at);
    }
    for path in [HLS, CMAF] {
        for rendition in listed_with(&origin, path, SEGMENT_COUNT) {
            let lines: Vec<&str> = rendition.playlist.lines().collect();
            let gaps = lines.iter().filter(|line| **line == "#EXT-X-GAP").count();
            assert_eq!(gaps, 1, "{}", rendition.playlist);
            assert!(!rendition.playlist.contains("#EXT-X-DISCONTINUITY\n"), "one timeline");
            let (missing, there): (Vec<_>, Vec<_>) =
                rendition.segments.iter().partition(|path| origin.get(path).status == 404);
            assert_eq!((missing.len(), there.len()), (1, 5), "{}", rendition.playlist);
        }
    }
    // A Period with a hole: five segments, which all can be fetched.
    for rendition in listed_with(&origin, DASH, 5) {
        assert_eq!(rendition.segments.len(), 5);
        assert!(!rendition.fetched(&origin).is_empty());
    }
    assert!(origin.metric("headwater_gaps_total", "channel=\"demo\"") >= 1);

    push_one(&mut encoder, &MUXED, 3);
    for path in [HLS, CMAF, DASH] {
        eventually("the late segment is in its place", || {
            let renditions = listed(&origin, path);
            let whole = renditions.iter().all(|rendition| {
                rendition.segments.len() == SEGMENT_COUNT
                    && !rendition.playlist.contains("#EXT-X-GAP")
            });
            whole.then_some(())
        });
    }
    let whole = Origin::start(&demo());
    MUXED.push(&mut Encoder::new(&whole, "demo", 1), 0..SEGMENT_COUNT);
    assert!(
        served(&origin, SEGMENT_COUNT) == served(&whole, SEGMENT_COUNT),
        "nothing tells that it was late"
    );
}

#[test]
fn an_encoder_that_starts_over_is_one_discontinuity() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    // Made now, so that its dates lie no window before those of the second.
    let first = Source::encoded(&format!("{PICTURE} {SOUND} {H264} -c:a aac"), "v:0,a:0");
    first.push(&mut encoder, 0..3);
    let before = served(&origin, 3);
    // The same names with other content, and timestamps that have nothing to do with the first.
    let over = Source::encoded(
        &format!("{PICTURE} {SOUND} {H264} -c:a aac -output_ts_offset 20000"),
        "v:0,a:0",
    );
    over.push(&mut encoder, 0..SEGMENT_COUNT);
    for path in [HLS, CMAF] {
        for rendition in listed_with(&origin, path, 3 + SEGMENT_COUNT) {
            let lines: Vec<&str> = rendition.playlist.lines().collect();
            let breaks: Vec<usize> =
                (0..lines.len()).filter(|at| lines[*at] == "#EXT-X-DISCONTINUITY").collect();
            assert_eq!(breaks.len(), 1, "{}", rendition.playlist);
            let old = lines[..breaks[0]].iter().filter(|line| !line.starts_with('#')).count();
            assert_eq!(old, 3, "{}", rendition.playlist);
            assert!(!rendition.playlist.contains("#EXT-X-GAP"), "{}", rendition.playlist);
            rendition.assert_consecutive();
            for segment in &rendition.segments {
                assert_eq!(origin.get(segment).status, 200, "{segment}");
            }
        }
    }
    let mpd = origin.get(DASH).text();
    assert_eq!(mpd.matches("<Period").count(), 2, "{mpd}");
    for rendition in listed(&origin, DASH) {
        assert!(!probe(FRAGMENTED, &rendition.fetched(&origin)).is_empty());
    }
    for (path, bytes) in before.1.iter().filter(|(path, _)| !path.contains("/index.")) {
        assert!(origin.get(path).body == *bytes, "{path} is what it was");
    }
    assert_eq!(origin.metric("headwater_discontinuities_total", "channel=\"demo\""), 1);
}

#[test]
fn in_15_declared_discontinuities_are_carried_once_their_playlists_are_waited_for() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let (variant, declared) = (&MUXED.variants[0], [2, 4]);
    assert_eq!(encoder.put("channel.m3u8", MUXED.multivariant.as_bytes()).status, 201);
    for at in 0..SEGMENT_COUNT {
        let segment = &variant.segments[at];
        assert_eq!(encoder.put(&segment.name, &segment.body).status, 201, "{}", segment.name);
        let playlist = variant.playlist_with_breaks(0..at + 1, &declared);
        // Half a target is how long a playlist may take: more than it does on any machine.
        let playlist = playlist.replace("TARGETDURATION:2\n", "TARGETDURATION:60\n");
        assert_eq!(encoder.put(&variant.playlist, playlist.as_bytes()).status, 201);
    }
    for path in [HLS, CMAF] {
        for rendition in listed_with(&origin, path, SEGMENT_COUNT) {
            let lines = || rendition.playlist.lines();
            let breaks = lines().filter(|line| *line == "#EXT-X-DISCONTINUITY").count();
            assert_eq!(breaks, 1, "{}", rendition.playlist);
            let before = lines().take_while(|line| *line != "#EXT-X-DISCONTINUITY");
            let before = before.filter(|line| !line.starts_with('#')).count();
            assert_eq!(before, 4, "the first was declared too late: {}", rendition.playlist);
            rendition.assert_consecutive();
            rendition.fetched(&origin);
        }
    }
    assert_eq!(origin.get(DASH).text().matches("<Period").count(), 2);
    let channel = "channel=\"demo\"";
    assert_eq!(origin.metric("headwater_ingest_discontinuities_late_total", channel), 1);
    assert_eq!(origin.metric("headwater_discontinuities_total", channel), 1);
}

#[test]
fn segments_are_joined_whole() {
    let origin = Origin::start(&(channel("demo") + &endpoints("demo", 4)));
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    for (path, name) in [(HLS, TRANSPORT_STREAM), (CMAF, FRAGMENTED), (DASH, FRAGMENTED)] {
        // Six segments hold two pairs at least, wherever the pairs begin.
        for rendition in listed_with(&origin, path, 2) {
            if !rendition.playlist.is_empty() {
                assert!(rendition.playlist.contains("#EXT-X-TARGETDURATION:4\n"));
            }
            for stream in probe(name, &rendition.fetched(&origin)) {
                let pictures = 100 * rendition.segments.len();
                assert!(!stream.is_video() || stream.packets.len() == pictures, "{path}");
            }
        }
    }
}

#[test]
fn a_stream_that_ends_says_so() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..SEGMENT_COUNT);
    listed_with(&origin, HLS, SEGMENT_COUNT);
    let variant = &MUXED.variants[0];
    let last = variant.playlist_of(0..SEGMENT_COUNT) + "#EXT-X-ENDLIST\n";
    assert_eq!(encoder.put(&variant.playlist, last.as_bytes()).status, 201);
    eventually("the end is told", || {
        let hls = [HLS, CMAF].iter().flat_map(|path| listed(&origin, path));
        let ended = |playlist: &str| playlist.ends_with("#EXT-X-ENDLIST\n");
        let all = hls.into_iter().all(|rendition| ended(&rendition.playlist));
        (all && origin.get(DASH).text().contains("type=\"static\"")).then_some(())
    });
    for path in [HLS, CMAF, DASH] {
        for rendition in listed_with(&origin, path, SEGMENT_COUNT) {
            assert!(!rendition.fetched(&origin).is_empty());
        }
    }
}

#[test]
fn a_delayed_endpoint_holds_back() {
    let delayed = "[[endpoint]]\nid = \"delayed\"\nchannel = \"demo\"\ntime_delay_seconds = 6\n\
                   stale_limit_seconds = 3600\n\
                   [endpoint.hls_package]\nsegment_duration_seconds = 2\n";
    let origin = Origin::start(&(demo() + delayed));
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    let live = listed_with(&origin, HLS, SEGMENT_COUNT).swap_remove(0);
    let delayed = listed_with(&origin, "/out/v1/delayed/index.m3u8", 3).swap_remove(0);
    assert_eq!(delayed.segments.len(), 3, "three segments are held back: {}", delayed.playlist);
    let name = |path: &String| path.rsplit('/').next().unwrap().to_owned();
    let ahead = live.segments[3].replace("demo-hls", "delayed");
    assert_eq!(
        live.segments[..3].iter().map(name).collect::<Vec<_>>(),
        delayed.segments.iter().map(name).collect::<Vec<_>>()
    );
    assert_eq!(origin.get(&ahead).status, 404, "{ahead} is not to be seen yet");
}
