//! The keys of an MPD, which a DASH endpoint has and each of a CMAF endpoint's `dash_manifests`.

use super::{Key, Kind, UP_TO_A_DAY, Unset, WINDOW, key};
use Unset::{Absent, Text};

const LAYOUTS: &[&str] = &["FULL", "COMPACT", "DRM_TOP_LEVEL_COMPACT"];
const PROFILES: &[&str] = &["NONE", "HBBTV_1_5", "HYBRIDCAST", "DVB_DASH_2014"];
const TEMPLATE_FORMATS: &[&str] =
    &["NUMBER_WITH_TIMELINE", "TIME_WITH_TIMELINE", "NUMBER_WITH_DURATION"];
const TIMINGS: &[&str] = &["NONE", "HTTP-HEAD", "HTTP-ISO", "HTTP-XSDATE", "DIRECT"];
const TRIGGERS: &[&str] = &["ADS"];

/// What text in fragmented MP4 is written as: of a DASH endpoint, and of a CMAF endpoint's MPDs.
macro_rules! subtitles_under {
    ($table:literal) => {
        &[
            key(
                concat!($table, ".subtitle_format"),
                Kind::Choice(&["wvtt", "stpp"]),
                Text("wvtt"),
                "Text in fMP4: WebVTT cues, or TTML documents.",
            ),
            key(
                concat!($table, ".ttml_profile"),
                Kind::Choice(&["IMSC_1", "EBU_TT_D_101"]),
                Text("IMSC_1"),
                "What TTML documents keep to.",
            ),
        ]
    };
}

macro_rules! settings_under {
    ($table:literal) => {
        &[
            key(
                concat!($table, ".manifest_window_seconds"),
                WINDOW,
                Text("60"),
                "Seconds listed in the MPD.",
            ),
            key(
                concat!($table, ".manifest_layout"),
                Kind::Choice(LAYOUTS),
                Text("FULL"),
                "Where SegmentTemplate stands: in each Representation, or once for several.",
            ),
            key(
                concat!($table, ".segment_template_format"),
                Kind::Choice(TEMPLATE_FORMATS),
                Text("NUMBER_WITH_TIMELINE"),
                "How segments are addressed.",
            ),
            key(
                concat!($table, ".profile"),
                Kind::Choice(PROFILES),
                Text("NONE"),
                "Whose rules the MPD keeps beside those of the live profile.",
            ),
            key(
                concat!($table, ".period_triggers"),
                Kind::ChoicesOrNone(TRIGGERS),
                Text(""),
                "What begins a Period beside a new session or configuration.",
            ),
            key(
                concat!($table, ".utc_timing"),
                Kind::Choice(TIMINGS),
                Text("HTTP-HEAD"),
                "Where clients get the time from; `DIRECT`: the live edge is now.",
            ),
            key(
                concat!($table, ".utc_timing_uri"),
                Kind::Text,
                Absent,
                "UTCTiming@value; else the origin tells the time itself.",
            ),
            key(
                concat!($table, ".min_update_period_seconds"),
                UP_TO_A_DAY,
                Text("0"),
                "@minimumUpdatePeriod; 0 for one segment.",
            ),
            key(
                concat!($table, ".min_buffer_time_seconds"),
                UP_TO_A_DAY,
                Text("0"),
                "@minBufferTime; 0 for a segment and a half.",
            ),
            key(
                concat!($table, ".suggested_presentation_delay_seconds"),
                UP_TO_A_DAY,
                Text("0"),
                "@suggestedPresentationDelay; 0 for three segments.",
            ),
        ]
    };
}

/// Those of a DASH endpoint.
pub(super) const PACKAGE: &[Key] = settings_under!("endpoint[].dash_package");

/// A DASH endpoint's text.
pub(super) const SUBTITLES: &[Key] = subtitles_under!("endpoint[].dash_package");

/// The text of a CMAF endpoint's MPDs.
pub(super) const CMAF_SUBTITLES: &[Key] = subtitles_under!("endpoint[].cmaf_package");

/// Those of a CMAF endpoint's MPDs.
pub(super) const MANIFESTS: &[Key] = settings_under!("endpoint[].cmaf_package.dash_manifests[]");
