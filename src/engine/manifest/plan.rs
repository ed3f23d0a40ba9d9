//! Segment plans: which ring records, in which order, make an output segment, and what its
//! response says.

use super::ladder::is_offered;
use super::smooth_timeline::{self, LookAhead};
use super::view::View;
use super::{Absent, IMMUTABLE_MAX_AGE_SECONDS, SegmentId};
use crate::engine::codec::TrackKind;
use crate::engine::endpoint::{Endpoint, Package};
use crate::engine::presentation::{Init, Joined, MediaRef, Presentation, Track, TrackInfo};
use crate::units::MediaTime;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// What a segment is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// A CMAF segment: one track, payloads straight from the ring, but for text.
    Fmp4,
    /// A transport stream: one track, or video and the audio muxed with it.
    Ts,
    /// One WebVTT body of all parts' cues.
    WebVtt,
    /// A Smooth Streaming fragment: one `moof`, and payloads in one `mdat`, straight from the ring
    /// but for text.
    Smooth,
    /// The `moof` of a Smooth Streaming fragment alone.
    SmoothInfo,
}

/// All that is needed to write an output segment and its response's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPlan {
    /// How it is written.
    pub container: Container,
    /// One track, or the video track and then the audio track of a transport stream. A track
    /// whose media is missing for the whole segment is left out; there is one at least.
    pub tracks: Vec<PlannedTrack>,
    /// Earliest presentation time.
    pub start: MediaTime,
    /// Presentation end.
    pub end: MediaTime,
    /// Where the fragments begin and end that a Smooth Streaming fragment announces; none in other
    /// containers.
    pub next: Vec<(MediaTime, MediaTime)>,
    /// For the first `mfhd` (ISO/IEC 14496-12 §8.8.5), which counts on from it: the low 32 bits of
    /// the first base number, so that no two fragments of a track share one.
    pub sequence_number: u32,
    /// Value of Content-Type.
    pub content_type: &'static str,
    /// Seconds for `Cache-Control: max-age`.
    pub max_age_seconds: u32,
    /// Strong entity tag, quotes included: a hash of the parts' content hashes and of the URL.
    pub etag: String,
}

impl SegmentPlan {
    /// True where its URL will never have other bytes.
    #[must_use]
    pub const fn is_immutable(&self) -> bool {
        self.max_age_seconds == IMMUTABLE_MAX_AGE_SECONDS
    }

    /// What tells of a Smooth Streaming fragment without its media ([MS-SSTR] §2.2.3,
    /// `FragmentInfo`).
    #[must_use]
    pub fn into_fragment_info(mut self) -> Self {
        assert_eq!(self.container, Container::Smooth, "only fragments are told of");
        self.container = Container::SmoothInfo;
        self.etag = format!("{}-info\"", self.etag.trim_end_matches('"'));
        self
    }
}

/// One track's part in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTrack {
    /// The track.
    pub info: Arc<TrackInfo>,
    /// The configuration that holds for all parts, as the endpoint offers it.
    pub init: Arc<Init>,
    /// Records in order; holes between them stay holes. Empty only for text, where none came.
    pub parts: Vec<PlannedPart>,
}

/// One ring record of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPart {
    /// Earliest presentation time.
    pub start: MediaTime,
    /// Presentation end.
    pub end: MediaTime,
    /// The record.
    pub media: MediaRef,
}

/// Plans the output segment `segment` of `endpoint`.
///
/// # Errors
///
/// [`Absent`] where it cannot be fetched: beyond the live edge, a gap, outside the window, or a
/// track that the endpoint does not offer.
pub fn plan_segment(
    endpoint: &Endpoint,
    presentation: &Presentation,
    segment: &SegmentId,
) -> Result<SegmentPlan, Absent> {
    let container = segment.container;
    let view = View::new(endpoint, presentation)?.of_segments(container);
    let track = presentation.tracks.iter().find(|track| track.info.id == segment.track);
    let track = track.filter(|track| is_offered(endpoint, &track.info)).ok_or(Absent::Never)?;
    let joined = view.fetchable(track, segment.number)?;
    let mut tracks = Vec::with_capacity(2);
    let positions = joined.position..joined.position + joined.count;
    tracks.extend(planned(&view, track, positions, view.init_of(track, &joined)));
    if let Some(audio) = view.muxed_audio(track) {
        let positions = view.muxed_range(audio, &joined);
        tracks.extend(planned(&view, audio, positions, None));
    }
    if tracks.is_empty() {
        return Err(Absent::Never);
    }
    let look_ahead = match container {
        Container::Smooth => smooth_timeline::look_ahead(&view, track, &joined)?,
        _ => LookAhead::NONE,
    };
    let url_hash = view.hashes(track).of(&joined).ok_or(Absent::Never)?;
    Ok(SegmentPlan {
        container,
        etag: etag(&joined, url_hash, (container, &tracks), &look_ahead.next),
        tracks,
        start: joined.start,
        end: joined.end,
        next: look_ahead.next,
        sequence_number: low_32_bits(first_base_number(track, &joined)),
        content_type: content_type(container, track.info.kind),
        max_age_seconds: if look_ahead.is_settled {
            IMMUTABLE_MAX_AGE_SECONDS
        } else {
            (view.seconds / 2).max(1)
        },
    })
}

/// What segments of `kind` are written as. Text of a CMAF endpoint is one for playlists and another
/// for MPDs.
pub(super) const fn containers(endpoint: &Endpoint, kind: TrackKind) -> &'static [Container] {
    match (kind, &endpoint.package) {
        (TrackKind::Text, Package::Cmaf(package)) if !package.dash_manifests.is_empty() => {
            &[Container::WebVtt, Container::Fmp4]
        }
        (TrackKind::Text, Package::Hls(_) | Package::Cmaf(_)) => &[Container::WebVtt],
        (_, Package::Hls(_)) => &[Container::Ts],
        (_, Package::Cmaf(_) | Package::Dash(_)) => &[Container::Fmp4],
        (_, Package::Mss(_)) => &[Container::Smooth],
    }
}

fn first_base_number(track: &Track, joined: &Joined) -> u64 {
    track.segments.get(joined.position).map_or(joined.number, |listed| listed.number)
}

fn content_type(container: Container, kind: TrackKind) -> &'static str {
    match (container, kind) {
        (Container::WebVtt, _) => "text/vtt",
        (Container::Ts, _) => "video/mp2t",
        (_, TrackKind::Audio) => "audio/mp4",
        (_, TrackKind::Text) => "application/mp4",
        _ => "video/mp4",
    }
}

/// `track`'s part, which has the configuration `init` where there is no media in it.
fn planned(
    view: &View<'_>,
    track: &Track,
    positions: Range<usize>,
    init: Option<u32>,
) -> Option<PlannedTrack> {
    let parts: Vec<PlannedPart> = track
        .segments
        .iter_from(positions.start)
        .take(positions.len())
        .filter_map(|part| {
            let media = part.media.clone()?;
            Some(PlannedPart { start: part.start, end: part.end, media })
        })
        .collect();
    let init = parts.first().map(|part| part.media.init).or(init)?;
    Some(PlannedTrack { info: Arc::clone(&track.info), init: view.offered_init(init)?, parts })
}

fn etag(
    joined: &Joined,
    url_hash: u32,
    (container, tracks): (Container, &[PlannedTrack]),
    next: &[(MediaTime, MediaTime)],
) -> String {
    let mut hasher = Xxh3::new();
    hasher.update(&url_hash.to_le_bytes());
    // Text of a CMAF endpoint is there twice.
    hasher.update(&[u8::from(container == Container::WebVtt)]);
    hasher.update(&joined.number.to_le_bytes());
    for track in tracks {
        hasher.update(track.info.name.as_bytes());
        for part in &track.parts {
            hasher.update(&part.media.decode_start.ticks().to_le_bytes());
            hasher.update(&part.media.hash.to_le_bytes());
        }
    }
    for (start, end) in next {
        hasher.update(&start.ticks().to_le_bytes());
        hasher.update(&end.ticks().to_le_bytes());
    }
    format!("\"{:032x}\"", hasher.digest128())
}

fn low_32_bits(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
