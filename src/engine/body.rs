//! A pushed segment's body, whatever its format, as it arrives.
//!
//! The first bytes decide: MPEG-TS, packed audio (RFC 8216 §3.4) or WebVTT (§3.5). The result does
//! not depend on how the body is cut into pieces. Containers that HLS allows but no encoder pushes
//! here (fragmented MP4) are refused.

use crate::engine::codec::CodecConfig;
use crate::engine::mpegts::demux::TsDemuxer;
use crate::engine::mpegts::error::TsError;
use crate::engine::packed_audio::{PackedAudioError, PackedAudioReader, is_packed_audio};
use crate::engine::segment::{Damage, Sample, SegmentBody, TrackSegment};
use crate::engine::webvtt::{VttError, is_webvtt, parse_webvtt};
use crate::limits::TEXT_SIZE_MAX;
use crate::units::MediaTime;

/// Bytes that decide on the format: a byte order mark and `WEBVTT`.
const DECIDING_SIZE: usize = 9;

/// A body that leaves nothing behind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// No byte came.
    #[error("empty body")]
    Empty,
    /// It is a fragmented MP4 segment.
    #[error("fragmented MP4 is not accepted as input")]
    FragmentedMp4,
    /// It is not a usable transport stream.
    #[error(transparent)]
    TransportStream(#[from] TsError),
    /// It is not a usable packed audio segment.
    #[error(transparent)]
    PackedAudio(#[from] PackedAudioError),
    /// It is not a usable WebVTT segment.
    #[error(transparent)]
    Text(#[from] VttError),
    /// A text is longer than [`TEXT_SIZE_MAX`].
    #[error("WebVTT of more than {TEXT_SIZE_MAX} bytes")]
    TextSize,
    /// Its cues last longer than a sample can (13 h).
    #[error("WebVTT lasts {milliseconds} ms, which is beyond a segment's bounds")]
    TextDuration {
        /// From the first cue's start to the last one's end.
        milliseconds: u64,
    },
}

#[derive(Clone, Debug)]
enum Format {
    Undecided(Vec<u8>),
    TransportStream(Box<TsDemuxer>),
    PackedAudio(Box<PackedAudioReader>),
    Text(Vec<u8>),
}

/// Eats a segment body as it arrives.
#[derive(Clone, Debug)]
pub struct SegmentParser {
    format: Format,
    expected_size: usize,
}

impl Default for SegmentParser {
    fn default() -> Self {
        Self::new()
    }
}

impl SegmentParser {
    /// A parser at the first byte of a body of which nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_expected_size(0)
    }

    /// A parser at the first byte of a body of about `size` bytes, for which memory is taken once.
    #[must_use]
    pub const fn with_expected_size(size: usize) -> Self {
        Self { format: Format::Undecided(Vec::new()), expected_size: size }
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    ///
    /// [`BodyError`] as soon as it is certain that the body is of no use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        match &mut self.format {
            Format::Undecided(head) if head.is_empty() && bytes.len() >= DECIDING_SIZE => {
                self.format = Format::decide(bytes, self.expected_size)?;
                self.push(bytes)
            }
            Format::Undecided(head) => {
                head.extend_from_slice(bytes);
                if head.len() < DECIDING_SIZE {
                    return Ok(());
                }
                let head = std::mem::take(head);
                self.format = Format::decide(&head, self.expected_size)?;
                self.push(&head)
            }
            Format::TransportStream(demuxer) => Ok(demuxer.on_bytes(bytes)?),
            Format::PackedAudio(reader) => Ok(reader.on_bytes(bytes)?),
            Format::Text(text) if text.len() + bytes.len() > TEXT_SIZE_MAX => {
                Err(BodyError::TextSize)
            }
            Format::Text(text) => {
                text.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// What the body holds, now that it is complete.
    ///
    /// # Errors
    ///
    /// [`BodyError`] where it is empty, cut or holds no usable track.
    pub fn finish(self) -> Result<SegmentBody, BodyError> {
        let track = match self.format {
            Format::Undecided(head) if head.is_empty() => return Err(BodyError::Empty),
            Format::Undecided(head) => {
                let format = Format::decide(&head, self.expected_size)?;
                let mut decided = Self { format, ..self };
                decided.push(&head)?;
                return decided.finish();
            }
            Format::TransportStream(demuxer) => return Ok(demuxer.finish()?),
            Format::PackedAudio(reader) => reader.finish()?,
            Format::Text(text) => text_track(text)?,
        };
        Ok(SegmentBody { tracks: vec![track], ..SegmentBody::default() })
    }
}

impl Format {
    fn decide(head: &[u8], expected_size: usize) -> Result<Self, BodyError> {
        if is_webvtt(head) {
            return Ok(Self::Text(Vec::new()));
        }
        if is_packed_audio(head) {
            return Ok(Self::PackedAudio(Box::default()));
        }
        if matches!(head.get(4..8), Some(b"ftyp" | b"styp" | b"moof" | b"sidx" | b"emsg")) {
            return Err(BodyError::FragmentedMp4);
        }
        // Foreign bytes before the first packet are the demultiplexer's to judge.
        Ok(Self::TransportStream(Box::new(TsDemuxer::with_expected_size(expected_size))))
    }
}

/// The track of a text body: one sample that lasts from its first cue to its last, counted from
/// the time that cue time zero stands for. Its playlist places it.
fn text_track(text: Vec<u8>) -> Result<TrackSegment, BodyError> {
    let vtt = parse_webvtt(&text)?;
    let origin = vtt.timestamp_map.unwrap_or_default().origin();
    // Cue times may count from a start that is hours ago: a sample lasts as long as its cues.
    let start = vtt.cues.iter().map(|cue| cue.start_ms).min().unwrap_or(0);
    let end = vtt.cues.iter().map(|cue| cue.end_ms).max().unwrap_or(0);
    let wrong = BodyError::TextDuration { milliseconds: end - start };
    let ticks = |milliseconds: u64| milliseconds.checked_mul(90);
    let duration = ticks(end - start).and_then(|ticks| u32::try_from(ticks).ok());
    let span = ticks(end).and_then(|ticks| i64::try_from(ticks).ok());
    let span = span.and_then(|span| origin.checked_add(span));
    let (Some(duration), Some(presentation_end), Ok(size)) =
        (duration, span, u32::try_from(text.len()))
    else {
        return Err(wrong);
    };
    Ok(TrackSegment {
        pid: 0,
        config: CodecConfig::WebVtt,
        language: None,
        first_decode_time: MediaTime(origin),
        earliest_presentation_time: MediaTime(origin),
        presentation_end: MediaTime(presentation_end),
        samples: vec![Sample { size, duration, composition_offset: 0, random_access: true }],
        payload: text,
        damage: Damage::default(),
    })
}
