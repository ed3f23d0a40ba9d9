//! Manifests of a whole day: all of it is there, and no shard writes it.

use crate::origin::eventually;
use crate::past::{Past, awaited};
use crate::playback::media_playlists;
use std::time::{SystemTime, UNIX_EPOCH};

const SEGMENT_SECONDS: u32 = 6;
/// A day.
const COUNT: u32 = 86_400 / SEGMENT_SECONDS;

/// Segments of the first timeline or chunk list.
fn segment_count(manifest: &str) -> usize {
    let first = |end: &str| manifest.split(end).next().unwrap_or_default().to_owned();
    let list = first("</SegmentTimeline>").len().min(first("</StreamIndex>").len());
    let list = &manifest[..list];
    let count = |mark: &str| -> usize {
        list.split(mark)
            .skip(1)
            .map(|rest| {
                let tag = rest.split('>').next().unwrap_or_default();
                let repeats = tag.split_once(" r=\"").and_then(|it| it.1.split('"').next());
                1 + repeats.map_or(0, |it| it.parse::<usize>().expect("a count"))
            })
            .sum()
    };
    count("<S ") + count("<c ")
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
    let is_written_aside = |before: u64| {
        eventually("it is counted", || (written() > before).then_some(()));
    };

    for top in ["/out/v1/demo-hls/index.m3u8", "/out/v1/demo-cmaf/hls/index.m3u8"] {
        let live = media_playlists(top, &awaited(&origin, top).text());
        let before = written();
        assert!(awaited(&origin, &live[0]).text().matches("#EXTINF:").count() <= 11);
        assert_eq!(written(), before, "a minute is no work for others");
        let shifted = format!("{}?start={start}&end={end}", live[0]);
        let count = awaited(&origin, &shifted).text().matches("#EXTINF:").count();
        assert!((14_000..=COUNT as usize).contains(&count), "{shifted}: {count}");
        is_written_aside(before);
    }
    for path in ["/out/v1/demo-dash/index.mpd", "/out/v1/demo-mss/index.ism/Manifest"] {
        let before = written();
        let shifted = format!("{path}?start={start}&end={end}");
        let text = awaited(&origin, &shifted).text();
        is_written_aside(before);
        assert_eq!(segment_count(&text) / 1_000, 14, "{shifted}");
    }
}
