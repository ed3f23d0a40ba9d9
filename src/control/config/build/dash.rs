//! The settings of MPDs, and which of them do not go together.

use super::super::reason::Reason;
use super::super::section::Section;
use super::check_window;
use crate::engine::codec::TtmlProfile;
use crate::engine::endpoint::{
    DashManifest, DashPackage, DashProfile, DashSettings, ManifestLayout, PeriodTriggers,
    SegmentTemplateFormat, SubtitleFormat, UtcTiming,
};
use crate::limits::DASH_TV_SEGMENT_SECONDS_MAX;

/// `dash_package`.
pub(super) fn dash_package(section: &Section) -> Option<DashPackage> {
    let segment = section.seconds("segment_duration_seconds");
    let subtitle_format = subtitle_format(section);
    let settings = settings(section, segment);
    Some(DashPackage {
        segment_duration_seconds: segment?,
        subtitle_format: subtitle_format?,
        settings: settings?,
    })
}

/// What text in fragmented MP4 is written as.
pub(super) fn subtitle_format(section: &Section) -> Option<SubtitleFormat> {
    let profile = section.choices("ttml_profile");
    let format = section.choices("subtitle_format")?.first().copied()?;
    if format == "wvtt" {
        if section.has("ttml_profile") {
            let what = "expected subtitle_format = \"stpp\" beside it, found \"wvtt\"".to_owned();
            section.reject("ttml_profile", what);
        }
        return Some(SubtitleFormat::Wvtt);
    }
    Some(SubtitleFormat::Stpp(match profile?.first().copied()? {
        "EBU_TT_D_101" => TtmlProfile::EbuTtD,
        _ => TtmlProfile::Imsc1,
    }))
}

/// A CMAF endpoint's `dash_manifests`.
pub(super) fn dash_manifests(
    lists: &[Section],
    segment: Option<u32>,
    endpoint_manifest_name: Option<&str>,
) -> Option<Vec<DashManifest>> {
    let manifest = |list: &Section| {
        let id = list.text("id");
        let name = list.text("manifest_name");
        let name = name.or_else(|| endpoint_manifest_name.map(str::to_owned));
        let settings = settings(list, segment);
        Some(DashManifest { id: id?, manifest_name: name?, settings: settings? })
    };
    let lists: Vec<_> = lists.iter().map(manifest).collect();
    lists.into_iter().collect()
}

fn settings(section: &Section, segment: Option<u32>) -> Option<DashSettings> {
    let window = section.seconds("manifest_window_seconds");
    check_window(section, "manifest_window_seconds", window, segment);
    let layout = section.choices("manifest_layout");
    let format = section.choices("segment_template_format");
    let profile = section.choices("profile");
    let triggers = section.choices("period_triggers");
    let timing = section.choices("utc_timing");
    let update = section.seconds("min_update_period_seconds");
    let buffer = section.seconds("min_buffer_time_seconds");
    let delay = section.seconds("suggested_presentation_delay_seconds");
    let settings = DashSettings {
        manifest_window_seconds: window?,
        manifest_layout: match layout?.first().copied()? {
            "COMPACT" => ManifestLayout::Compact,
            "DRM_TOP_LEVEL_COMPACT" => ManifestLayout::DrmTopLevelCompact,
            _ => ManifestLayout::Full,
        },
        segment_template_format: match format?.first().copied()? {
            "TIME_WITH_TIMELINE" => SegmentTemplateFormat::TimeWithTimeline,
            "NUMBER_WITH_DURATION" => SegmentTemplateFormat::NumberWithDuration,
            _ => SegmentTemplateFormat::NumberWithTimeline,
        },
        profile: match profile?.first().copied()? {
            "HBBTV_1_5" => DashProfile::Hbbtv15,
            "HYBRIDCAST" => DashProfile::Hybridcast,
            "DVB_DASH_2014" => DashProfile::DvbDash2014,
            _ => DashProfile::None,
        },
        period_triggers: PeriodTriggers { ads: triggers?.contains(&"ADS") },
        utc_timing: match timing?.first().copied()? {
            "NONE" => UtcTiming::None,
            "HTTP-ISO" => UtcTiming::HttpIso,
            "HTTP-XSDATE" => UtcTiming::HttpXsdate,
            "DIRECT" => UtcTiming::Direct,
            _ => UtcTiming::HttpHead,
        },
        utc_timing_uri: section.text("utc_timing_uri"),
        min_update_period_seconds: update?,
        min_buffer_time_seconds: buffer?,
        suggested_presentation_delay_seconds: delay?,
    };
    check_together(section, &settings, segment);
    Some(settings)
}

/// Notes what contradicts something else.
fn check_together(section: &Section, settings: &DashSettings, segment: Option<u32>) {
    let has_triggers = settings.period_triggers != PeriodTriggers::default();
    if has_triggers && !settings.segment_template_format.has_timeline() {
        let what = "expected none with segment_template_format = \"NUMBER_WITH_DURATION\", whose \
                    one Period lasts as long as the source's cadence";
        section.reject("period_triggers", what.to_owned());
    }
    if has_triggers && settings.profile == DashProfile::Hybridcast {
        let what = "expected none with profile = \"HYBRIDCAST\"";
        section.reject("period_triggers", what.to_owned());
    }
    let tells_itself = matches!(settings.utc_timing, UtcTiming::None | UtcTiming::Direct);
    if tells_itself && settings.utc_timing_uri.is_some() {
        let what = "expected none with a utc_timing that asks nobody: NONE or DIRECT";
        section.reject_as(Reason::DirectModeWithTimingSource, "utc_timing_uri", what);
    }
    if settings.profile == DashProfile::DvbDash2014 && settings.utc_timing == UtcTiming::Direct {
        let what = "expected one that asks a server with profile = \"DVB_DASH_2014\"";
        section.reject("utc_timing", what.to_owned());
    }
    let for_tv = matches!(settings.profile, DashProfile::Hbbtv15 | DashProfile::DvbDash2014);
    if let Some(segment) = segment.filter(|&it| for_tv && it > DASH_TV_SEGMENT_SECONDS_MAX) {
        let what = format!(
            "expected one that allows segments of {segment} s; this one takes \
             {DASH_TV_SEGMENT_SECONDS_MAX} s at most"
        );
        section.reject("profile", what);
    }
    if let (update @ 1.., Some(segment)) = (settings.min_update_period_seconds, segment)
        && update < segment
    {
        let what = format!("expected a segment's duration, {segment}, at least, found {update}");
        section.reject("min_update_period_seconds", what);
    }
}
