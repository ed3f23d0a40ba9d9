//! The settings that both packagers of HLS have for their playlists.

use super::section::Section;
use crate::engine::endpoint::{HlsListSettings, PlaylistType, StartOffset};

/// The segments that EXT-X-START stays away from the live edge: nearer to it playback would stall
/// (RFC 8216 §6.3.3).
const START_SEGMENT_COUNT_MIN: u32 = 3;

/// The settings in `section` of the keys that `hls_list_keys` in the key table lists, over segments
/// of `segment` seconds, for an endpoint with a startover window of `startover` seconds.
pub fn list(
    section: &Section,
    segment: Option<u32>,
    startover: Option<u32>,
) -> Option<HlsListSettings> {
    let window = section.seconds("playlist_window_seconds");
    let interval = section.seconds("program_date_time_interval_seconds");
    let playlist_type = playlist_type(section, startover);
    let start = start(section, window.zip(segment));
    Some(HlsListSettings {
        playlist_window_seconds: window?,
        program_date_time_interval_seconds: interval?,
        playlist_type: playlist_type?,
        start,
    })
}

/// A type promises that segments stay, and without a startover window none do.
fn playlist_type(section: &Section, startover: Option<u32>) -> Option<PlaylistType> {
    let word = section.choices("playlist_type")?.first().copied()?;
    if word != "NONE" && startover == Some(0) {
        let what = format!(
            "expected \"NONE\", or a startover_window_seconds: a list that slides has no type, \
             found {word:?}"
        );
        section.reject("playlist_type", what);
    }
    Some(match word {
        "EVENT" => PlaylistType::Event,
        "VOD" => PlaylistType::Vod,
        _ => PlaylistType::None,
    })
}

/// The offset, which lies in the window and three segments away from its end at least. `None`
/// where there is none, and where it is wrong, which is noted.
fn start(section: &Section, window_and_segment: Option<(u32, u32)>) -> Option<StartOffset> {
    let precise = section.flag("start_precise")?;
    if !section.has("start_time_offset_seconds") {
        if precise {
            let what = "expected a start_time_offset_seconds with it, found none";
            section.reject("start_precise", what.to_owned());
        }
        return None;
    }
    let milliseconds = section.milliseconds("start_time_offset_seconds")?;
    let (window, segment) = window_and_segment?;
    let (window, edge) = (i64::from(window), i64::from(segment * START_SEGMENT_COUNT_MIN));
    let fits = if milliseconds < 0 {
        milliseconds < -edge * 1000 && milliseconds > -window * 1000
    } else {
        milliseconds < (window - edge) * 1000
    };
    if !fits {
        let what = format!(
            "expected 0 to less than {}, or less than -{edge} and more than -{window}: in the \
             window, and {START_SEGMENT_COUNT_MIN} segments before its end",
            window - edge
        );
        section.reject("start_time_offset_seconds", what);
    }
    Some(StartOffset { milliseconds, precise })
}
