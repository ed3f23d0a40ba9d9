//! Every kind of manifest in every state, whole, byte for byte, in the files of `golden`. After a
//! change that is meant, `HEADWATER_GOLDEN=write cargo test --lib golden` writes them anew, and
//! what changed is to be read in the difference.

use super::*;
use crate::units::WallClock;
use std::fs;

/// What a channel has come to.
fn channel(state: &str) -> Channel {
    let mut channel = Channel::ladder().push_many(6);
    match state {
        "gap" => channel.push(Some(0)),
        "discontinuity" => channel.restart(2, 3, true),
        _ => channel.push(None),
    }
    channel = channel.push_many(4);
    channel.presentation.ended = state == "ended";
    channel
}

/// Seconds 6 to 14 of what there is.
fn span() -> ManifestRequest {
    let at = |seconds: i64| {
        let at = WallClock((NOON + CLOCK_OFFSET) / 9 * 100 + seconds * 1_000_000);
        Some(Bound { at, in_path: false })
    };
    ManifestRequest { start: at(6), end: at(14), ..ManifestRequest::LIVE }
}

#[test]
fn manifests_are_those_of_the_files() {
    let (number, time) =
        (SegmentTemplateFormat::NumberWithTimeline, SegmentTemplateFormat::TimeWithTimeline);
    let kinds = [
        (hls(2, 20), "index.m3u8", "ts-multivariant", "m3u8"),
        (hls(2, 20), "index_v1.m3u8", "ts-media", "m3u8"),
        (cmaf(2, 20), "web/main.m3u8", "cmaf-multivariant", "m3u8"),
        (cmaf(2, 20), "web/main_v1.m3u8", "cmaf-media", "m3u8"),
        (dash(2, 20, number), "index.mpd", "dash-number", "mpd"),
        (dash(2, 20, time), "index.mpd", "dash-time", "mpd"),
        (mss(2, 20), "index.ism/Manifest", "smooth", "xml"),
    ];
    let writes = std::env::var_os("HEADWATER_GOLDEN").is_some_and(|value| value == "write");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/manifest/tests/golden");
    for state in ["live", "shifted", "ended", "gap", "discontinuity"] {
        let channel = channel(state);
        let request = if state == "shifted" { span() } else { ManifestRequest::LIVE };
        for (endpoint, path, kind, extension) in &kinds {
            let endpoint = Endpoint { startover_window_seconds: 300, ..endpoint.clone() };
            let found = channel.requested(&endpoint, path, &request).expect("it lists something");
            let file = format!("{folder}/{kind}-{state}.{extension}");
            if writes {
                fs::write(&file, &found).expect("the folder is there");
            }
            let golden = fs::read_to_string(&file).expect("the file is there");
            assert_eq!(found, golden, "{kind}-{state}.{extension}");
        }
    }
}
