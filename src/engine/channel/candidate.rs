//! A committed record that waits to be listed, and what a record says of itself.

use crate::engine::channel::source::RenditionKey;
use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::segment::{Damage, SegmentBody, TimedMetadata};
use crate::units::{Extent, InputNumber, MediaTime, Monotonic, WallClock};
use serde::{Deserialize, Serialize};

/// The header of a media record: all that is needed to judge it again after a restart.
///
/// Times are source time, see [`crate::engine::segment`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordMeta {
    /// Input that delivered it.
    pub input: InputNumber,
    /// The encoder's name for the body it came in.
    pub name: String,
    /// Which stream of its kind in that body, from 0.
    pub ordinal: u8,
    /// Decoder configuration.
    pub config: CodecConfig,
    /// ISO 639-2 language of the stream's descriptor.
    pub language: Option<[u8; 3]>,
    /// Decode time of the first sample.
    pub decode_start: MediaTime,
    /// Earliest presentation time.
    pub start: MediaTime,
    /// Presentation end.
    pub end: MediaTime,
    /// Samples.
    pub sample_count: u32,
    /// Bytes of the samples.
    pub payload_size: u32,
    /// The first sample is a random access point.
    pub random_access: bool,
    /// What was lost of it.
    pub damage: Damage,
    /// When its body was complete.
    pub arrived: WallClock,
    /// Timed messages of the body; on the record of its first track only.
    pub metadata: Vec<TimedMetadata>,
}

impl RecordMeta {
    /// Describes each track of a body, in its order.
    #[must_use]
    pub fn of_body(
        input: InputNumber,
        name: &str,
        arrived: WallClock,
        body: &SegmentBody,
    ) -> Vec<Self> {
        let mut ordinals = [0_u8; 3];
        let describe = |track: &crate::engine::segment::TrackSegment| {
            let slot = &mut ordinals[track.config.kind() as usize];
            let ordinal = *slot;
            *slot = slot.saturating_add(1);
            Self {
                input,
                name: name.to_owned(),
                ordinal,
                config: track.config.clone(),
                language: track.language,
                decode_start: track.first_decode_time,
                start: track.earliest_presentation_time,
                end: track.presentation_end,
                sample_count: u32::try_from(track.samples.len()).unwrap_or(u32::MAX),
                payload_size: u32::try_from(track.payload.len()).unwrap_or(u32::MAX),
                random_access: track.samples.first().is_some_and(|first| first.random_access),
                damage: track.damage,
                arrived,
                metadata: Vec::new(),
            }
        };
        let mut metas: Vec<Self> = body.tracks.iter().map(describe).collect();
        if let Some(first) = metas.first_mut() {
            first.metadata.clone_from(&body.metadata);
        }
        metas
    }

    /// Presentation duration.
    #[must_use]
    pub fn duration(&self) -> MediaTime {
        self.end - self.start
    }

    /// When its first picture was, as far as its arrival tells.
    #[must_use]
    pub fn arrival_start(&self) -> WallClock {
        WallClock::from_ticks_90k(self.arrived.ticks_90k() - self.duration().0)
    }

    /// Mean duration of a sample: the tolerance within which segments are contiguous.
    #[must_use]
    pub fn frame(&self) -> MediaTime {
        MediaTime(self.duration().0 / i64::from(self.sample_count.max(1)))
    }

    /// Kind of medium.
    #[must_use]
    pub const fn kind(&self) -> TrackKind {
        self.config.kind()
    }
}

/// A committed media record that is not listed yet.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What it says of itself.
    pub meta: RecordMeta,
    /// The rendition it belongs to, once known.
    pub rendition: Option<RenditionKey>,
    /// Packed sample table.
    pub table: Extent,
    /// Samples' bytes.
    pub payload: Extent,
    /// The lower half of XXH3-128 of table and payload.
    pub hash: u64,
    /// When it was committed.
    pub committed: Monotonic,
    /// The other input has delivered that time, too, and nothing better.
    pub is_seconded: bool,
}

impl Candidate {
    /// True where `meta` describes another upload of the same body.
    #[must_use]
    pub fn is_of_same_body(&self, meta: &RecordMeta) -> bool {
        let own = &self.meta;
        own.input == meta.input
            && own.name == meta.name
            && (own.kind(), own.ordinal) == (meta.kind(), meta.ordinal)
            && own.start == meta.start
    }
}
