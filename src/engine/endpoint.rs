//! An endpoint's settings as the packager sees them. Names are those of the `MediaPackage` v1 API.

mod dash;

pub use dash::{
    DashManifest, DashPackage, DashProfile, DashSettings, ManifestLayout, PeriodTriggers,
    SegmentTemplateFormat, SubtitleFormat, UtcTiming,
};

use crate::engine::codec::{CodecConfig, TtmlProfile};

/// One origin endpoint: how a channel is offered under `/out/v1/{id}/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The path element after `/out/v1/`.
    pub id: String,
    /// The channel it plays.
    pub channel: String,
    /// Seconds that stay fetchable behind the live edge; 0 keeps just the manifest's window.
    pub startover_window_seconds: u32,
    /// Seconds by which everything is held back.
    pub time_delay_seconds: u32,
    /// Base name of the top manifest: `index`.
    pub manifest_name: String,
    /// The packager.
    pub package: Package,
    /// Which video tracks are offered and in which order.
    pub stream_selection: StreamSelection,
    /// What becomes of its live manifests once the channel has fallen silent.
    pub stale: StaleRule,
    /// What responses tell that two origins need not agree on.
    pub headers: HeaderRule,
}

/// Which fields responses have beside those that follow from the media alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeaderRule {
    /// The input that the media came from.
    pub active_input: bool,
    /// Common media server data (CTA-5006).
    pub cmsd: bool,
}

/// When live manifests are refused because no media came, so that a CDN asks another origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StaleRule {
    /// Seconds for which manifests are served as they are; 0 for three target durations.
    pub limit_seconds: u32,
    /// Status from then on: 503 or 404.
    pub status: u16,
}

impl Default for StaleRule {
    fn default() -> Self {
        Self { limit_seconds: 0, status: 503 }
    }
}

/// Exactly one packager per endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Package {
    /// HLS with MPEG-TS segments.
    Hls(HlsPackage),
    /// HLS with CMAF segments.
    Cmaf(CmafPackage),
    /// MPEG-DASH with CMAF segments.
    Dash(DashPackage),
    /// Microsoft Smooth Streaming.
    Mss(MssPackage),
}

/// `hls_package`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HlsPackage {
    /// Wanted segment duration; rounded to the nearest multiple of the source's.
    pub segment_duration_seconds: u32,
    /// All sound has playlists of its own; else the first of a variant is muxed with its pictures.
    pub use_audio_rendition_group: bool,
    /// What its playlists say.
    pub list: HlsListSettings,
}

/// What HLS playlists say of the segments they list: settings that `hls_package` has, and each of
/// a CMAF endpoint's `hls_manifests`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HlsListSettings {
    /// Seconds listed in a live playlist.
    pub playlist_window_seconds: u32,
    /// Seconds between `EXT-X-PROGRAM-DATE-TIME` tags; 0 for none.
    pub program_date_time_interval_seconds: u32,
    /// What lists are called that keep their first segment.
    pub playlist_type: PlaylistType,
    /// Where playback is to begin.
    pub start: Option<StartOffset>,
}

/// `playlist_type`: EXT-X-PLAYLIST-TYPE (RFC 8216 §4.3.3.5), which promises that segments stay. A
/// list that slides has none, whatever is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PlaylistType {
    /// No list has one.
    #[default]
    None,
    /// Lists that begin at a time that was asked for, growing or complete.
    Event,
    /// The complete ones of these.
    Vod,
}

/// EXT-X-START (RFC 8216 §4.3.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StartOffset {
    /// TIME-OFFSET in milliseconds: from the list's start, or, where negative, from its end.
    pub milliseconds: i64,
    /// PRECISE: what comes before it in its segment is not shown.
    pub precise: bool,
}

impl Default for HlsListSettings {
    /// What the configuration's key table says.
    fn default() -> Self {
        Self {
            playlist_window_seconds: 60,
            program_date_time_interval_seconds: 0,
            playlist_type: PlaylistType::None,
            start: None,
        }
    }
}

/// `cmaf_package`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CmafPackage {
    /// Wanted segment duration; rounded to the nearest multiple of the source's.
    pub segment_duration_seconds: u32,
    /// Begins every init and segment name; empty for none.
    pub segment_prefix: String,
    /// What text in its MPDs is written as; playlists list WebVTT.
    pub subtitle_format: SubtitleFormat,
    /// The playlists over this one segment set.
    pub hls_manifests: Vec<HlsManifest>,
    /// The MPDs over it; there is one manifest of either kind at least.
    pub dash_manifests: Vec<DashManifest>,
}

/// One of a CMAF endpoint's `hls_manifests`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HlsManifest {
    /// The path element after the endpoint's.
    pub id: String,
    /// Base name of the multivariant playlist: `index`.
    pub manifest_name: String,
    /// What its playlists say.
    pub list: HlsListSettings,
}

/// `mss_package`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MssPackage {
    /// Wanted fragment duration; rounded to the nearest multiple of the source's.
    pub segment_duration_seconds: u32,
    /// Seconds listed in the client manifest (`DVRWindowLength`).
    pub manifest_window_seconds: u32,
}

/// `stream_selection`: judged on the declared bandwidth of video tracks, inclusive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamSelection {
    /// Lowest video bit rate offered.
    pub min_video_bits_per_second: u64,
    /// Highest video bit rate offered.
    pub max_video_bits_per_second: u64,
    /// Order in manifests.
    pub stream_order: StreamOrder,
}

/// Order of the video tracks in a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamOrder {
    /// As the source's multivariant playlist lists them.
    Original,
    /// Lowest bit rate first.
    VideoBitrateAscending,
    /// Highest bit rate first.
    VideoBitrateDescending,
}

impl Default for StreamSelection {
    fn default() -> Self {
        Self {
            min_video_bits_per_second: 0,
            max_video_bits_per_second: u64::MAX,
            stream_order: StreamOrder::Original,
        }
    }
}

impl Endpoint {
    /// Wanted duration of a joined segment.
    #[must_use]
    pub const fn segment_duration_seconds(&self) -> u32 {
        match &self.package {
            Package::Hls(package) => package.segment_duration_seconds,
            Package::Cmaf(package) => package.segment_duration_seconds,
            Package::Dash(package) => package.segment_duration_seconds,
            Package::Mss(package) => package.segment_duration_seconds,
        }
    }

    /// The configuration that a track of `config` is offered with: text in fragmented MP4 is
    /// written in the packager's format, all else as it came.
    #[must_use]
    pub const fn offered<'c>(&self, config: &'c CodecConfig) -> &'c CodecConfig {
        const IMSC_1: CodecConfig = CodecConfig::Ttml(TtmlProfile::Imsc1);
        const EBU_TT_D: CodecConfig = CodecConfig::Ttml(TtmlProfile::EbuTtD);
        let CodecConfig::WebVtt = config else { return config };
        let format = match &self.package {
            Package::Hls(_) => SubtitleFormat::Wvtt,
            Package::Cmaf(package) => package.subtitle_format,
            Package::Dash(package) => package.subtitle_format,
            Package::Mss(_) => SubtitleFormat::Stpp(TtmlProfile::Imsc1),
        };
        match format {
            SubtitleFormat::Wvtt => config,
            SubtitleFormat::Stpp(TtmlProfile::Imsc1) => &IMSC_1,
            SubtitleFormat::Stpp(TtmlProfile::EbuTtD) => &EBU_TT_D,
        }
    }

    /// Seconds behind the live edge that a manifest may begin at: the startover window, or the
    /// longest window where that is more.
    #[must_use]
    pub fn reach_seconds(&self) -> u32 {
        self.startover_window_seconds.max(self.window_seconds_max())
    }

    /// Seconds of the longest window that one of this endpoint's manifests lists.
    #[must_use]
    pub fn window_seconds_max(&self) -> u32 {
        match &self.package {
            Package::Hls(package) => package.list.playlist_window_seconds,
            Package::Dash(package) => package.settings.manifest_window_seconds,
            Package::Mss(package) => package.manifest_window_seconds,
            Package::Cmaf(package) => {
                let hls = package.hls_manifests.iter().map(|it| it.list.playlist_window_seconds);
                let dash = package.dash_manifests.iter();
                let dash = dash.map(|it| it.settings.manifest_window_seconds);
                hls.chain(dash).max().unwrap_or(0)
            }
        }
    }
}
