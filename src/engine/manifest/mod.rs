//! From a [`Presentation`] to what viewers fetch: paths, manifests and segment plans.
//!
//! All of it is a pure function of endpoint, presentation and path. Nothing here opens media: a
//! [`SegmentPlan`] lists ring records, and who carries it out joins or muxes them.
//!
//! Paths, below `/out/v1/{endpoint}/`; `hash` is eight hex digits over what shapes the bytes:
//!
//! | packager | manifests | init | segments |
//! | --- | --- | --- | --- |
//! | HLS | `index.m3u8`, `index_v1.m3u8` | | `v1_{hash}_{number}.ts` |
//! | CMAF | `{id}/index.m3u8`, `{id}/index_v1.m3u8` | `v1_{hash}_init.mp4` | `….m4s` |
//! | | `{id}/index.mpd` | | |
//! | DASH | `index.mpd` | `v1_{hash}_init.mp4` | `….m4s`, `v1_{hash}_t{time}.m4s` |
//!
//! Subtitles are `t1_{hash}_{number}.vtt` in both kinds of HLS, and fragmented MP4 like all else in
//! MPDs and Smooth Streaming. Smooth Streaming has its client manifest at `index.ism/Manifest` and
//! its fragments beside it, at
//! `Events({hash})/QualityLevels({bit rate})/Fragments({stream}={time})`.

mod address;
mod dash;
mod dash_mpd;
mod dash_period;
mod dash_set;
mod dash_template;
mod dash_timeline;
mod hls_media;
mod hls_multivariant;
mod ladder;
mod newest;
mod plan;
mod route;
mod shift;
mod smooth;
mod smooth_codec;
mod smooth_route;
mod smooth_timeline;
mod stale;
#[cfg(test)]
mod tests;
mod text;
mod text_purpose;
mod url_hash;
mod view;

pub use newest::Newest;
pub use plan::{Container, PlannedPart, PlannedTrack, SegmentPlan, plan_segment};
pub use route::{next_wait, resolve};
pub use stale::stale_limit;

use crate::engine::endpoint::{DashSettings, Endpoint, HlsListSettings, Package};
use crate::engine::presentation::{Presentation, Track};
use crate::engine::request::{Bound, ManifestRequest, RequestError};
use crate::units::{MediaTime, TrackId, WallClock};
use view::View;

/// Something under an endpoint's URL that can be fetched now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// To be made by [`render`].
    Manifest(ManifestId),
    /// The initialisation segment of `track` for the configuration
    /// [`Presentation::inits`]`[init]`.
    Init {
        /// The track.
        track: TrackId,
        /// Id of the configuration.
        init: u32,
    },
    /// The wall clock, for clients that are told to ask for it.
    Clock,
    /// To be planned by [`plan_segment`].
    Segment(SegmentId),
    /// What is planned by [`plan_segment`], without its media:
    /// [`SegmentPlan::into_fragment_info`].
    FragmentInfo(SegmentId),
}

/// One of an endpoint's manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestId {
    /// HLS multivariant playlist (RFC 8216 §4.3.4).
    Multivariant {
        /// Index into `hls_manifests` of a CMAF endpoint, else 0.
        list: usize,
    },
    /// HLS media playlist (RFC 8216 §4.3.3).
    Media {
        /// Index into `hls_manifests` of a CMAF endpoint, else 0.
        list: usize,
        /// The track it lists.
        track: TrackId,
    },
    /// DASH media presentation description (ISO/IEC 23009-1 §5.3.1).
    Mpd {
        /// Index into `dash_manifests` of a CMAF endpoint, else 0.
        list: usize,
    },
    /// Smooth Streaming client manifest ([MS-SSTR] §2.2.2).
    Smooth,
}

/// An output segment of a track: numbers are those of the endpoint's segment duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentId {
    /// The track.
    pub track: TrackId,
    /// Output number.
    pub number: u64,
    /// What it is written as: text of a CMAF endpoint is there twice.
    pub container: Container,
}

/// A manifest, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its bytes.
    pub body: Vec<u8>,
    /// Value of Content-Type.
    pub content_type: &'static str,
    /// Seconds for `Cache-Control: max-age`: half a segment.
    pub max_age_seconds: u32,
    /// The newest segment that it lists.
    pub newest: Option<Newest>,
}

/// Why there is nothing at a path. All of it may be cached for a second only, since what is not
/// there may come with the next publication or reload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// It may come to be: beyond the live edge, a gap, or nothing is published.
    #[error("not there yet")]
    NotYet,
    /// It is there, and what it is to announce is not: nearer to the live edge than a client of
    /// Smooth Streaming may ask.
    #[error("too near the live edge")]
    TooEarly,
    /// No such path, a stale hash, or it has left the window.
    #[error("not there")]
    Never,
    /// Not known before older ring files are read: it may be there, or list what is there.
    #[error("not read back yet")]
    Unread,
    /// A rendition has stopped while others go on: to be answered like a stale manifest.
    #[error("stopped")]
    Stopped,
    /// The endpoint's `stream_selection` leaves none of the source's tracks.
    #[error("stream_selection leaves no track")]
    Unselected,
    /// The request's parameters cannot be met.
    #[error(transparent)]
    Refused(#[from] RequestError),
}

/// Content-Type of HLS playlists (RFC 8216 §10).
const CONTENT_TYPE_M3U8: &str = "application/vnd.apple.mpegurl";
/// Content-Type of MPDs (ISO/IEC 23009-1 annex C).
const CONTENT_TYPE_MPD: &str = "application/dash+xml";
/// Content-Type of Smooth Streaming client manifests ([MS-SSTR] §2.2.2).
const CONTENT_TYPE_SMOOTH: &str = "text/xml";
/// What an endpoint's own clock is called, below the endpoint.
const CLOCK_NAME: &str = "time";
/// Seconds for which an immutable URL may be cached: fourteen days.
pub const IMMUTABLE_MAX_AGE_SECONDS: u32 = 1_209_600;

/// Writes a live manifest of all tracks.
///
/// # Errors
///
/// [`Absent`] where the endpoint has no such manifest, or nothing to list in it yet.
pub fn render(
    endpoint: &Endpoint,
    presentation: &Presentation,
    manifest: &ManifestId,
) -> Result<Rendered, Absent> {
    render_requested(endpoint, presentation, manifest, &ManifestRequest::LIVE)
}

/// Writes a manifest as `request` asks for it.
///
/// # Errors
///
/// [`Absent`] as for [`render`], and for parameters that cannot be met here and now.
pub fn render_requested(
    endpoint: &Endpoint,
    presentation: &Presentation,
    manifest: &ManifestId,
    request: &ManifestRequest,
) -> Result<Rendered, Absent> {
    let mut view = View::requested(endpoint, presentation, request)?;
    if matches!(manifest, ManifestId::Mpd { .. }) {
        view = view.of_mpd();
    }
    let (body, content_type) = match (*manifest, &endpoint.package) {
        (ManifestId::Mpd { list }, _) => {
            let list = dash_list(endpoint, list).ok_or(Absent::Never)?;
            (dash::render(&view, &list)?, CONTENT_TYPE_MPD)
        }
        (ManifestId::Smooth, Package::Mss(package)) => {
            (smooth::render(&view, package)?, CONTENT_TYPE_SMOOTH)
        }
        (ManifestId::Smooth, _) => return Err(Absent::Never),
        (ManifestId::Multivariant { list }, _) => {
            let list = requested_list(&view, list)?;
            (hls_multivariant::render(&view, &list)?, CONTENT_TYPE_M3U8)
        }
        (ManifestId::Media { list, track }, _) => {
            // A choice of tracks is the multivariant playlist's to make.
            if !request.filter.is_empty() {
                return Err(RequestError::NotAManifest.into());
            }
            let list = requested_list(&view, list)?;
            (hls_media::render(&view, &list, track)?, CONTENT_TYPE_M3U8)
        }
    };
    let half = endpoint.segment_duration_seconds() / 2;
    Ok(Rendered {
        body: body.into_bytes(),
        content_type,
        max_age_seconds: half.max(1),
        newest: newest::newest(&view, *manifest),
    })
}

/// True where a request's manifests will not change any more: a channel's silence does not make
/// them stale.
#[must_use]
pub fn is_complete(
    endpoint: &Endpoint,
    presentation: &Presentation,
    request: &ManifestRequest,
) -> bool {
    request.end.is_some()
        && View::requested(endpoint, presentation, request).is_ok_and(|view| {
            let mut tracks = view.presentation.tracks.iter();
            let are_complete = if matches!(endpoint.package, Package::Mss(_)) {
                smooth_timeline::streams(&view).iter().all(|stream| stream.is_complete(&view))
            } else {
                tracks.all(|track| view.is_complete(track))
            };
            view.span.is_fixed() && are_complete
        })
}

/// True where a request's parameters may stand before a fragment's path, too, and change nothing
/// there: the URLs of Smooth Streaming's fragments are its manifest's with another end.
#[must_use]
pub fn is_beside_media(endpoint: &Endpoint, request: &ManifestRequest) -> bool {
    matches!(endpoint.package, Package::Mss(_)) && request.is_path_alone()
}

/// How many segments a manifest lists at most, over all of its tracks: what writing it costs.
#[must_use]
pub fn entry_count_max(
    endpoint: &Endpoint,
    presentation: &Presentation,
    manifest: &ManifestId,
    request: &ManifestRequest,
) -> usize {
    let media = |bound: Bound| MediaTime(bound.at.ticks_90k()) - presentation.clock_offset;
    let (start, end) = (request.start.map(media), request.end.map(media));
    let of_track = |track: &Track, window_seconds: u32| {
        if let Some(start) = start {
            let before = track.segments.partition_point(|listed| listed.end <= start);
            let until = end.map_or(track.segments.len(), |end| {
                track.segments.partition_point(|listed| listed.start < end)
            });
            return until.saturating_sub(before);
        }
        let grid = track.segments.last().and_then(|last| presentation.grid(last.grid));
        let period = grid.map_or(1, |grid| grid.period_ticks().ticks().max(1));
        let in_window = i64::from(window_seconds) * 90_000 / period + 2;
        track.segments.len().min(usize::try_from(in_window).unwrap_or(usize::MAX))
    };
    let tracks = presentation.tracks.iter();
    match manifest {
        ManifestId::Multivariant { .. } => 0,
        ManifestId::Media { list, track } => {
            let window = hls_list(endpoint, *list).map_or(0, |list| list.window_seconds);
            let mut own = tracks.filter(|known| known.info.id == *track);
            own.next().map_or(0, |track| of_track(track, window))
        }
        ManifestId::Mpd { .. } | ManifestId::Smooth => {
            tracks.map(|track| of_track(track, endpoint.window_seconds_max())).sum()
        }
    }
}

/// An instant as ISO 8601 and XML Schema write it: what an endpoint's clock answers.
#[must_use]
pub fn write_clock(now: WallClock) -> String {
    let mut text = String::new();
    text::push_date_time(&mut text, MediaTime(now.ticks_90k()));
    text
}

/// The kind of manifest that a path below an endpoint names, for records; `None` for the rest.
#[must_use]
pub fn kind_of(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "ism/Manifest" => Some("MSS"),
        "m3u8" => Some("HLS"),
        "mpd" => Some("DASH"),
        _ => None,
    }
}

/// The strong entity tag (RFC 9110 §8.8.3) of a manifest's bytes, quotes included.
#[must_use]
pub fn etag(body: &[u8]) -> String {
    format!("\"{:032x}\"", xxhash_rust::xxh3::xxh3_128(body))
}

/// What an HLS list of either packager is made from.
struct HlsList<'a> {
    /// Base name of its playlists.
    name: &'a str,
    /// Seconds listed: those of `settings`, unless a request asks for fewer.
    window_seconds: u32,
    settings: &'a HlsListSettings,
}

/// What an MPD of either packager is made from.
struct DashList<'a> {
    /// Base name of its file.
    name: &'a str,
    /// From its place to the endpoint's.
    climb: &'static str,
    /// Begins every init and segment name.
    prefix: String,
    settings: &'a DashSettings,
}

/// The MPD with this index; DASH endpoints have one, HLS and Smooth Streaming endpoints none.
fn dash_list(endpoint: &Endpoint, list: usize) -> Option<DashList<'_>> {
    match &endpoint.package {
        Package::Dash(package) if list == 0 => Some(DashList {
            name: &endpoint.manifest_name,
            climb: "",
            prefix: String::new(),
            settings: &package.settings,
        }),
        Package::Cmaf(package) => package.dash_manifests.get(list).map(|manifest| DashList {
            name: &manifest.manifest_name,
            climb: "../",
            prefix: match package.segment_prefix.as_str() {
                "" => String::new(),
                prefix => format!("{prefix}_"),
            },
            settings: &manifest.settings,
        }),
        Package::Dash(_) | Package::Hls(_) | Package::Mss(_) => None,
    }
}

/// The list with this index, with the window that is asked for.
fn requested_list<'a>(view: &View<'a>, list: usize) -> Result<HlsList<'a>, Absent> {
    let list = hls_list(view.endpoint, list).ok_or(Absent::Never)?;
    let window_seconds = view.window_seconds(list.window_seconds)?;
    Ok(HlsList { window_seconds, ..list })
}

/// The list with this index; HLS endpoints have one, DASH and Smooth Streaming endpoints none.
fn hls_list(endpoint: &Endpoint, list: usize) -> Option<HlsList<'_>> {
    let (name, settings) = match &endpoint.package {
        Package::Hls(package) if list == 0 => (&endpoint.manifest_name, &package.list),
        Package::Cmaf(package) => {
            let manifest = package.hls_manifests.get(list)?;
            (&manifest.manifest_name, &manifest.list)
        }
        Package::Hls(_) | Package::Dash(_) | Package::Mss(_) => return None,
    };
    Some(HlsList { name, window_seconds: settings.playlist_window_seconds, settings })
}
