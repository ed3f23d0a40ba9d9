//! What a decoder must be told before the first sample, per codec, read from the bitstream itself.
//!
//! A [`CodecConfig`] is plain data: it is kept in ring records, compared to notice a change of
//! parameter sets, and written into sample entries by [`crate::engine::isobmff`].

pub mod aac;
pub mod avc;
pub mod dolby;
pub mod hevc;
pub mod parameter_set;
mod vui;

use crate::units::Timescale;
use serde::{Deserialize, Serialize};

/// The configuration of one track's decoder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CodecConfig {
    /// H.264 (ISO/IEC 14496-10), carried as `avc1`.
    Avc(VideoConfig),
    /// H.265 (ISO/IEC 23008-2), carried as `hvc1`.
    Hevc(VideoConfig),
    /// AAC (ISO/IEC 14496-3), carried as `mp4a`.
    Aac(AacConfig),
    /// AC-3 (ETSI TS 102 366), carried as `ac-3`.
    Ac3(DolbyConfig),
    /// Enhanced AC-3 (ETSI TS 102 366 annex E), carried as `ec-3`.
    Eac3(DolbyConfig),
    /// WebVTT (W3C), carried as text segments, or as `wvtt`.
    WebVtt,
    /// TTML (W3C), carried as `stpp`. Nothing comes in like this: it is made of WebVTT.
    Ttml(TtmlProfile),
}

/// What a TTML document keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TtmlProfile {
    /// The text profile of IMSC 1.0.1 (W3C).
    Imsc1,
    /// EBU-TT-D 1.0.1 (EBU Tech 3380).
    EbuTtD,
}

/// Parameter sets of a video track and what they say. NAL units have no start code or length.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VideoConfig {
    /// Video parameter sets; empty for H.264.
    pub vps: Vec<Vec<u8>>,
    /// Sequence parameter sets, ordered by id.
    pub sps: Vec<Vec<u8>>,
    /// Picture parameter sets, ordered by id.
    pub pps: Vec<Vec<u8>>,
    /// RFC 6381 codec string, `avc1.64001f` or `hvc1.1.6.L93.B0`.
    pub rfc6381: String,
    /// Width of the picture after cropping, in samples (not corrected for the sample aspect ratio).
    pub width: u32,
    /// Height of the picture after cropping.
    pub height: u32,
    /// Sample aspect ratio, (1, 1) where it is not told.
    pub aspect: (u16, u16),
    /// Pictures per second as a fraction from the VUI, (0, 0) where it is not told.
    pub frame_rate: (u32, u32),
    /// True where the pictures may be coded as single fields.
    pub interlaced: bool,
    /// `chroma_format_idc`.
    pub chroma_format: u8,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// Colour primaries, transfer characteristics, matrix (ISO/IEC 23091-2), and full range;
    /// `None` where not told.
    pub colour: Option<(u8, u8, u8, bool)>,
}

/// What ADTS headers and the frames behind them say of an AAC track.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AacConfig {
    /// `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).
    pub audio_specific_config: Vec<u8>,
    /// Audio object type (ISO/IEC 14496-3 table 1.17): that of the core, 2 for LC, or, where it is
    /// extended, 5 for spectral band replication and 29 for parametric stereo on top of it.
    pub object_type: u8,
    /// Samples per second that a decoder puts out: what spectral band replication makes of the core
    /// coder's, or those.
    pub sample_rate: u32,
    /// Channels that a decoder puts out.
    pub channels: u8,
    /// PCM samples that a decoder puts out for an access unit: 1024, or twice as many.
    pub frame_samples: u32,
}

/// What a syncframe says of an AC-3 or E-AC-3 track.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DolbyConfig {
    /// Payload of the `dac3` or `dec3` box (ETSI TS 102 366 annex F).
    pub specific_box: Vec<u8>,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels, the low-frequency one counted.
    pub channels: u8,
    /// PCM samples of one access unit: 1536, or fewer for short E-AC-3 frames.
    pub frame_samples: u32,
}

/// The kinds of medium a track may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrackKind {
    /// Moving pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles or captions in text form.
    Text,
}

impl CodecConfig {
    /// The kind of medium.
    #[must_use]
    pub const fn kind(&self) -> TrackKind {
        match self {
            Self::Avc(_) | Self::Hevc(_) => TrackKind::Video,
            Self::Aac(_) | Self::Ac3(_) | Self::Eac3(_) => TrackKind::Audio,
            Self::WebVtt | Self::Ttml(_) => TrackKind::Text,
        }
    }

    /// Ticks per second of the track's samples: 90 kHz, or the sample rate of audio.
    #[must_use]
    pub fn timescale(&self) -> Timescale {
        let rate = match self {
            Self::Aac(config) => config.sample_rate,
            Self::Ac3(config) | Self::Eac3(config) => config.sample_rate,
            Self::Avc(_) | Self::Hevc(_) | Self::WebVtt | Self::Ttml(_) => 90_000,
        };
        Timescale::new(rate).unwrap_or(Timescale::MPEG_TS)
    }

    /// PCM samples of one audio access unit, which is its duration in the track's timescale.
    #[must_use]
    pub const fn frame_samples(&self) -> Option<u32> {
        match self {
            Self::Aac(config) => Some(config.frame_samples),
            Self::Ac3(config) | Self::Eac3(config) => Some(config.frame_samples),
            Self::Avc(_) | Self::Hevc(_) | Self::WebVtt | Self::Ttml(_) => None,
        }
    }

    /// The RFC 6381 codec string for `CODECS` and `@codecs`.
    #[must_use]
    pub fn rfc6381(&self) -> String {
        match self {
            Self::Avc(config) | Self::Hevc(config) => config.rfc6381.clone(),
            Self::Aac(config) => format!("mp4a.40.{}", config.object_type),
            Self::Ac3(_) => "ac-3".to_owned(),
            Self::Eac3(_) => "ec-3".to_owned(),
            Self::WebVtt => "wvtt".to_owned(),
            Self::Ttml(TtmlProfile::Imsc1) => "stpp.ttml.im1t".to_owned(),
            Self::Ttml(TtmlProfile::EbuTtD) => "stpp.ttml.etd1|im1t".to_owned(),
        }
    }

    /// Channels of an audio track.
    #[must_use]
    pub const fn channels(&self) -> Option<u8> {
        match self {
            Self::Aac(config) => Some(config.channels),
            Self::Ac3(config) | Self::Eac3(config) => Some(config.channels),
            Self::Avc(_) | Self::Hevc(_) | Self::WebVtt | Self::Ttml(_) => None,
        }
    }

    /// Width and height of a video track.
    #[must_use]
    pub const fn resolution(&self) -> Option<(u32, u32)> {
        match self {
            Self::Avc(config) | Self::Hevc(config) => Some((config.width, config.height)),
            _ => None,
        }
    }
}
