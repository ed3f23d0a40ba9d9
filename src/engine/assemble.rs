//! From a segment plan and what the ring holds to the bytes of an output segment.
//!
//! Where payload goes out as it lies in the ring, only the heads between the payloads are written
//! here and the rest is ranges. Else the segment is made from the payloads, once for all who ask.

use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::endpoint::Endpoint;
use crate::engine::isobmff::{
    CueSamples, FragmentPart, SmoothFragment, write_cue_samples, write_fragment_heads,
    write_init_segment,
};
use crate::engine::manifest::{Container, PlannedTrack, SegmentPlan};
use crate::engine::mpegts::mux::{MuxPart, MuxTrack, mux_segment};
use crate::engine::presentation::{MediaRef, Presentation};
use crate::engine::sample_table::{self, TableError};
use crate::engine::segment::Sample;
use crate::engine::text::{TextPart, TimeBase, TtmlDocument};
use crate::engine::webvtt::{VttError, WebVtt, parse_webvtt};
use crate::engine::webvtt_writer::write_webvtt_segment;

/// Why a planned segment cannot be written: the ring holds something else than was committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// A sample table is not readable.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A sample table's sizes do not add up to its payload.
    #[error("samples of {samples} bytes in a payload of {payload}")]
    Sizes {
        /// Bytes of the samples together.
        samples: u64,
        /// Bytes of the payload.
        payload: u64,
    },
    /// More payload than one `mdat` of a Smooth Streaming fragment can hold, or than samples of
    /// text may have.
    #[error("a fragment's payload of {0} bytes")]
    TooLarge(u64),
    /// A text body is not readable.
    #[error(transparent)]
    Text(#[from] VttError),
}

impl SegmentPlan {
    /// True where the payloads go out as they lie in the ring, behind [`write_heads`].
    #[must_use]
    pub fn is_view(&self) -> bool {
        let is_text = self.tracks.first().is_some_and(|it| it.info.kind == TrackKind::Text);
        !is_text
            && matches!(self.container, Container::Fmp4 | Container::Smooth | Container::SmoothInfo)
    }

    /// True where the payloads themselves go out, and not just what is told of them.
    #[must_use]
    pub const fn has_payload(&self) -> bool {
        !matches!(self.container, Container::SmoothInfo)
    }

    /// Its media in the order in which [`write_heads`] and [`make`] want tables and payloads.
    pub fn media(&self) -> impl Iterator<Item = &MediaRef> + '_ {
        self.tracks.iter().flat_map(|track| track.parts.iter()).map(|part| &part.media)
    }
}

/// What precedes each payload of a segment whose payloads go out as they are, in their order; what
/// is told of a fragment without its payload is one head.
///
/// # Errors
///
/// [`AssembleError`] where a table does not fit its payload, or there is too much of it.
pub fn write_heads(plan: &SegmentPlan, tables: &[&[u8]]) -> Result<Vec<Vec<u8>>, AssembleError> {
    let Some(track) = plan.tracks.first() else { return Ok(Vec::new()) };
    let samples = decode_all(track, tables)?;
    let parts = track.parts.iter().zip(&samples).map(|(part, samples)| FragmentPart {
        samples,
        decode_start: part.media.decode_start,
        payload_size: part.media.payload.size,
    });
    let parts: Vec<FragmentPart<'_>> = parts.collect();
    write_part_heads(plan, track, &parts)
}

fn write_part_heads(
    plan: &SegmentPlan,
    track: &PlannedTrack,
    parts: &[FragmentPart<'_>],
) -> Result<Vec<Vec<u8>>, AssembleError> {
    let (config, sequence_number) = (&track.init.config, plan.sequence_number);
    if plan.container == Container::Fmp4 {
        return Ok(write_fragment_heads(config, sequence_number, parts));
    }
    let (start, end, next) = (plan.start, plan.end, plan.next.as_slice());
    let fragment = SmoothFragment { config, sequence_number, parts, start, end, next };
    if !plan.has_payload() {
        return Ok(vec![fragment.write_moof()]);
    }
    fragment.write_heads().map_err(AssembleError::TooLarge)
}

/// A whole segment, made from the samples.
///
/// # Errors
///
/// [`AssembleError`] where a table does not fit its payload, or a text is not readable.
pub fn make(
    plan: &SegmentPlan,
    tables: &[&[u8]],
    payloads: &[&[u8]],
) -> Result<Vec<u8>, AssembleError> {
    if let Some(track) = plan.tracks.first().filter(|track| track.info.kind == TrackKind::Text) {
        return make_text(plan, track, payloads);
    }
    let mut skip = 0;
    let mut samples: Vec<Vec<Vec<Sample>>> = Vec::with_capacity(plan.tracks.len());
    for track in &plan.tracks {
        samples.push(decode_all(track, tables.get(skip..).unwrap_or_default())?);
        skip += track.parts.len();
    }
    let mut payloads = payloads.iter();
    let tracks = plan.tracks.iter().zip(&samples).map(|(track, samples)| MuxTrack {
        config: &track.init.config,
        language: track.info.language.as_deref(),
        parts: track
            .parts
            .iter()
            .zip(samples)
            .zip(payloads.by_ref())
            .map(|((part, samples), payload)| MuxPart {
                samples,
                decode_start: part.media.decode_start,
                payload,
            })
            .collect(),
    });
    let tracks: Vec<MuxTrack<'_>> = tracks.collect();
    Ok(mux_segment(&tracks))
}

/// The initialisation segment of `endpoint` with id `init`; `None` where nothing listed refers to
/// it any more.
#[must_use]
pub fn write_init(endpoint: &Endpoint, presentation: &Presentation, init: u32) -> Option<Vec<u8>> {
    let init = presentation.inits.get(&init)?;
    let track = presentation.tracks.iter().find(|track| track.info.id == init.track)?;
    let config = endpoint.offered(&init.config);
    Some(write_init_segment(config, track.info.language.as_deref()))
}

fn make_text(
    plan: &SegmentPlan,
    track: &PlannedTrack,
    payloads: &[&[u8]],
) -> Result<Vec<u8>, AssembleError> {
    let texts: Result<Vec<WebVtt>, VttError> = payloads.iter().map(|it| parse_webvtt(it)).collect();
    let texts = texts?;
    let parts = track
        .parts
        .iter()
        .zip(&texts)
        .map(|(part, content)| TextPart { content, local_zero: part.media.decode_start });
    let parts: Vec<TextPart<'_>> = parts.collect();
    if plan.container == Container::WebVtt {
        return Ok(write_webvtt_segment(&parts, plan.start, plan.end));
    }
    let CueSamples { samples, mut payload } = text_samples(plan, track, &parts)?;
    let payload_size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let part = FragmentPart { samples: &samples, decode_start: plan.start, payload_size };
    let mut segment = write_part_heads(plan, track, &[part])?.concat();
    if plan.has_payload() {
        segment.append(&mut payload);
    }
    Ok(segment)
}

/// Text as samples of the track's configuration: cues, or one document.
fn text_samples(
    plan: &SegmentPlan,
    track: &PlannedTrack,
    parts: &[TextPart<'_>],
) -> Result<CueSamples, AssembleError> {
    let (start, end) = (plan.start, plan.end);
    let CodecConfig::Ttml(profile) = track.init.config else {
        return write_cue_samples(parts, start, end).map_err(AssembleError::TooLarge);
    };
    let time_base = match plan.container {
        Container::Smooth | Container::SmoothInfo => TimeBase::Segment,
        _ => TimeBase::Media,
    };
    let language = track.info.language.as_deref();
    let document = TtmlDocument { profile, language, time_base, parts, start, end };
    let payload = document.write().into_bytes();
    let sample = Sample {
        size: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        duration: u32::try_from((end - start).ticks()).unwrap_or(u32::MAX),
        composition_offset: 0,
        random_access: true,
    };
    Ok(CueSamples { samples: vec![sample], payload })
}

fn decode_all(track: &PlannedTrack, tables: &[&[u8]]) -> Result<Vec<Vec<Sample>>, AssembleError> {
    let decoded = track.parts.iter().zip(tables).map(|(part, table)| {
        let samples = sample_table::decode(table)?;
        let size: u64 = samples.iter().map(|sample| u64::from(sample.size)).sum();
        let payload = u64::from(part.media.payload.size);
        if size == payload {
            Ok(samples)
        } else {
            Err(AssembleError::Sizes { samples: size, payload })
        }
    });
    decoded.collect()
}
