//! Settings of MPDs: those of a DASH endpoint, and of the MPDs over a CMAF endpoint's segments.

use crate::engine::codec::TtmlProfile;

/// `dash_package`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DashPackage {
    /// Wanted segment duration; rounded to the nearest multiple of the source's.
    pub segment_duration_seconds: u32,
    /// What its text is written as.
    pub subtitle_format: SubtitleFormat,
    /// Its one MPD.
    pub settings: DashSettings,
}

/// One of a CMAF endpoint's `dash_manifests`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DashManifest {
    /// The path element after the endpoint's.
    pub id: String,
    /// Base name of the MPD: `index`.
    pub manifest_name: String,
    /// How it is written.
    pub settings: DashSettings,
}

/// How an MPD is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DashSettings {
    /// Seconds listed in the MPD (`timeShiftBufferDepth`).
    pub manifest_window_seconds: u32,
    /// Where `SegmentTemplate` stands.
    pub manifest_layout: ManifestLayout,
    /// How a segment is addressed.
    pub segment_template_format: SegmentTemplateFormat,
    /// Whose rules it keeps.
    pub profile: DashProfile,
    /// What begins a Period beside a new session or configuration.
    pub period_triggers: PeriodTriggers,
    /// Where clients get the time from.
    pub utc_timing: UtcTiming,
    /// `UTCTiming@value`; the origin's own where there is none.
    pub utc_timing_uri: Option<String>,
    /// `@minimumUpdatePeriod`; 0 for one joined segment.
    pub min_update_period_seconds: u32,
    /// `@minBufferTime`; 0 for one joined segment and a half.
    pub min_buffer_time_seconds: u32,
    /// `@suggestedPresentationDelay`; 0 for three joined segments.
    pub suggested_presentation_delay_seconds: u32,
}

/// How a DASH segment is addressed (ISO/IEC 23009-1 §5.3.9.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SegmentTemplateFormat {
    /// `$Number$` with a `SegmentTimeline`.
    #[default]
    NumberWithTimeline,
    /// `$Time$` with a `SegmentTimeline`.
    TimeWithTimeline,
    /// `$Number$` with a nominal duration: the client's clock tells the number.
    NumberWithDuration,
}

/// What text in fragmented MP4 is written as: `subtitle_format`, and `ttml_profile`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SubtitleFormat {
    /// WebVTT cues (ISO/IEC 14496-30 §7).
    #[default]
    Wvtt,
    /// TTML documents (ISO/IEC 14496-30 §5).
    Stpp(TtmlProfile),
}

/// Where `SegmentTemplate` stands: what several Representations share can stand once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ManifestLayout {
    /// In each Representation.
    #[default]
    Full,
    /// In the AdaptationSet, for all that share it.
    Compact,
    /// As [`ManifestLayout::Compact`]. What protects content stands in the MPD.
    DrmTopLevelCompact,
}

/// Whose rules an MPD keeps beside those of the ISO base media file format live profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DashProfile {
    /// Nobody else's.
    #[default]
    None,
    /// HbbTV 1.5: ETSI TS 102 796 V1.2.1 annex E.
    Hbbtv15,
    /// Hybridcast: one Period as long as the source goes on.
    Hybridcast,
    /// DVB-DASH: ETSI TS 103 285.
    DvbDash2014,
}

/// What begins a Period beside a new session or configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PeriodTriggers {
    /// Breaks for advertisements begin and end.
    pub ads: bool,
}

/// Where clients get the time from (ISO/IEC 23009-1 §5.8.4.11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UtcTiming {
    /// They are not told.
    None,
    /// The Date of a response.
    #[default]
    HttpHead,
    /// A response's body, as ISO 8601 has it.
    HttpIso,
    /// A response's body, as an XML schema's `dateTime`.
    HttpXsdate,
    /// The MPD itself: the live edge is now.
    Direct,
}

impl SegmentTemplateFormat {
    /// True where segments are listed one by one.
    #[must_use]
    pub const fn has_timeline(self) -> bool {
        !matches!(self, Self::NumberWithDuration)
    }
}
