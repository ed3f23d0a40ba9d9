//! What the body of one pushed segment holds, in the form that the ring keeps.
//!
//! Times are source time: the 33-bit clock of MPEG-TS (90 kHz), unwrapped *within* the segment
//! only. The value of a track's first decode time lies in `0..2^33`; later ones may pass `2^33`,
//! and presentation may begin before it. The timeline unwraps further and adds the session offset.

use crate::engine::codec::CodecConfig;
use crate::units::MediaTime;
use serde::{Deserialize, Serialize};

/// One access unit of a track (ISO/IEC 14496-12: sample).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Coded bytes in the payload.
    pub size: u32,
    /// Duration in the track's timescale ([`CodecConfig::timescale`]).
    pub duration: u32,
    /// Presentation minus decode time in the track's timescale; zero for audio.
    pub composition_offset: i32,
    /// True where decoding can start here (IDR or, in HEVC, any IRAP picture; every audio frame).
    pub random_access: bool,
}

/// One track of a segment: samples in decode order, and their bytes one after another.
///
/// Payload: video is NAL units, each behind its 32-bit length, without access unit delimiters,
/// filler data and parameter sets; audio is raw frames (AAC without ADTS); text is the whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSegment {
    /// Where it came from: the PID of a transport stream, 0 for packed audio and text.
    pub pid: u16,
    /// The decoder's configuration that holds for every sample of it.
    pub config: CodecConfig,
    /// ISO 639-2 language of the source's descriptor.
    pub language: Option<[u8; 3]>,
    /// Source decode time of the first sample.
    pub first_decode_time: MediaTime,
    /// Earliest presentation time: the smallest source PTS of its samples.
    pub earliest_presentation_time: MediaTime,
    /// Where presentation ends: the largest PTS plus that sample's duration.
    pub presentation_end: MediaTime,
    /// Samples in decode order; one for text.
    pub samples: Vec<Sample>,
    /// The samples' bytes.
    pub payload: Vec<u8>,
    /// What was wrong with this track's bytes.
    pub damage: Damage,
}

/// Why a segment's track is not sound by itself, as counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Continuity counter errors (ISO/IEC 13818-1 §2.4.3.3), scrambled packets, transport errors.
    pub lost_packets: u32,
    /// PES packets or access units that could not be used.
    pub dropped_units: u32,
    /// Access units before the first random access point, which were kept.
    pub leading_units: u32,
}

impl Damage {
    /// True where nothing was lost while parsing.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.lost_packets == 0 && self.dropped_units == 0
    }
}

/// A timed message found beside the media, kept verbatim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedMetadata {
    /// What it is.
    pub kind: MetadataKind,
    /// PID it came on.
    pub pid: u16,
    /// Source presentation time of an ID3 tag. SCTE-35 sections have none of their own: theirs is
    /// the newest that a PES packet before them in the segment gave, which is when they arrived;
    /// `None` in front of the first.
    pub time: Option<MediaTime>,
    /// The ID3 tag or the `splice_info_section`.
    pub data: Vec<u8>,
}

/// Kinds of [`TimedMetadata`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetadataKind {
    /// ID3v2 tag in a PES packet.
    Id3,
    /// `splice_info_section` (ANSI/SCTE 35).
    Scte35,
}

/// Everything usable in one pushed segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentBody {
    /// Tracks in the order of the source's table; at least one.
    pub tracks: Vec<TrackSegment>,
    /// Timed messages in the order they came.
    pub metadata: Vec<TimedMetadata>,
    /// Timed messages that were not kept: too large, or too many. The media is none the worse.
    pub dropped_messages: u32,
    /// Elementary streams that are listed but whose type is not understood: (PID, stream type).
    pub unknown_streams: Vec<(u16, u8)>,
}
