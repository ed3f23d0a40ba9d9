//! Manifests of a whole day: all of it is there, and no shard writes it.

use crate::origin::eventually;
use crate::past::{Past, awaited};
use crate::playback::media_playlists;
use std::time::{SystemTime, UNIX_EPOCH};

const SEGMENT_SECONDS: u32 = 6;
/// A day.
const COUNT: u32 = 86_400 / SEGMENT_SECONDS;

/// Segments of a media playlist, or of the first timeline or chunk list.
fn segment_count(manifest: &str) -> usize {
    let first = |end: &str| manifest.split(end).next().unwrap_or_default().len();
    let list = &manifest[..first("</SegmentTimeline>").min(first("</StreamIndex>"))];
    let timed = |mark: &str| -> usize {
        let elements = list.split(mark).skip(1).map(|rest| rest.split('>').next().unwrap());
        let repeats = elements.map(|it| it.split_once(" r=\"").map_or("0", |(_, rest)| rest));
        repeats.map(|it| 1 + it.split('"').next().unwrap().parse::<usize>().unwrap()).sum()
    };
    timed("<S ") + timed("<c ") + list.matches("#EXTINF:").count()
}

#[test]
fn a_day_is_listed_by_every_packager_and_written_beside_the_shards() {
    let endpoint = |id: &str, package: &str| {
        format!(
            "[[endpoint]]\nid = \"{id}\"\nchannel = \"demo\"\nstale_limit_seconds = 86400\n\
             startover_window_seconds = 172800\n[endpoint.{package}]\n\
             segment_duration_seconds = {SEGMENT_SECONDS}\n"
        )
    };
    let list = "[[endpoint.cmaf_package.hls_manifests]]\nid = \"hls\"\n";
    let endpoints = endpoint("demo-cmaf", "cmaf_package")
        + list
        + &endpoint("demo-hls", "hls_package")
        + &endpoint("demo-dash", "dash_package")
        + &endpoint("demo-mss", "mss_package");
    let past =
        Past { segment_seconds: SEGMENT_SECONDS, count: COUNT, sample_size: 4, ring_mib: 512 };
    let mut origin = past.origin(&endpoints);
    origin.restart();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // The first seconds of the day may have gone by while the ring was written.
    let (start, end) = (now - 86_000, now + 400);
    let written = || origin.metric("headwater_manifests_written_aside_total", "");

    let tops = ["/out/v1/demo-hls/index.m3u8", "/out/v1/demo-cmaf/hls/index.m3u8"];
    let playlists = tops.map(|top| media_playlists(top, &awaited(&origin, top).text()).remove(0));
    for live in &playlists {
        assert!(awaited(&origin, live).text().matches("#EXTINF:").count() <= 11);
    }
    let whole = ["/out/v1/demo-dash/index.mpd", "/out/v1/demo-mss/index.ism/Manifest"];
    assert!(whole.map(|path| awaited(&origin, path).status) == [200; 2]);
    assert_eq!(written(), 0, "a minute is no work for others");

    for (path, has_written) in playlists.iter().map(String::as_str).chain(whole).zip(1..) {
        let shifted = format!("{path}?start={start}&end={end}");
        let count = segment_count(&awaited(&origin, &shifted).text());
        assert!((14_000..=COUNT as usize).contains(&count), "{shifted}: {count}");
        eventually("it is counted", || (written() == has_written).then_some(()));
    }
}
