//! Packed audio segments: an ID3 tag that tells the time, then bare frames.
//!
//! RFC 8216 §3.4; ID3v2.4.0 §3.1 (tag header), §4 (frame header), §4.27 (private frame). The tag's
//! other frames are passed over.

use crate::engine::elementary::TrackError;
use crate::engine::elementary::audio::{AudioAssembler, AudioFraming};
use crate::engine::segment::TrackSegment;
use crate::limits::ID3_TAG_SIZE_MAX;

/// Owner of the private frame that tells the time.
const TIMESTAMP_OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";
/// Bytes of an ID3 tag's header, and of a frame's.
const ID3_HEADER_SIZE: usize = 10;

/// A packed audio segment that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackedAudioError {
    /// The ID3 tag is larger than [`ID3_TAG_SIZE_MAX`].
    #[error("ID3 tag of {size} bytes, at most {ID3_TAG_SIZE_MAX} are allowed")]
    TagSize {
        /// What the tag says.
        size: usize,
    },
    /// No private frame tells the time of the first sample.
    #[error("packed audio without the ID3 timestamp that RFC 8216 section 3.4 asks for")]
    NoTimestamp,
    /// Behind the tag come neither ADTS nor AC-3 frames.
    #[error("no audio frame at byte {offset}, behind the ID3 tag")]
    NoAudio {
        /// Where a frame was expected.
        offset: usize,
    },
    /// The last frame is cut.
    #[error("packed audio ends within the frame at byte {offset}")]
    Truncated {
        /// Where that frame begins.
        offset: u64,
    },
    /// The track goes beyond what a segment may hold.
    #[error("packed audio: {0}")]
    Track(#[from] TrackError),
}

/// Reads a packed audio segment.
#[derive(Clone, Debug, Default)]
pub struct PackedAudioReader {
    /// Bytes up to the first frame's sync word.
    head: Vec<u8>,
    size: u64,
    frames: Option<AudioAssembler>,
}

impl PackedAudioReader {
    /// Takes the next bytes of the segment.
    ///
    /// # Errors
    ///
    /// [`PackedAudioError`] where the tag or what follows it cannot be used.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), PackedAudioError> {
        self.size += bytes.len() as u64;
        if let Some(frames) = &mut self.frames {
            return Ok(frames.on_bytes(None, bytes)?);
        }
        self.head.extend_from_slice(bytes);
        let Some(tag_size) = tag_size(&self.head)? else { return Ok(()) };
        let (tag, [first, second, ..]) = (&self.head[..tag_size], &self.head[tag_size..]) else {
            return Ok(());
        };
        let framing =
            framing(*first, *second).ok_or(PackedAudioError::NoAudio { offset: tag_size })?;
        let time = timestamp(tag).ok_or(PackedAudioError::NoTimestamp)?;
        let mut frames = AudioAssembler::new(framing);
        frames.on_bytes(Some(time), &self.head[tag_size..])?;
        self.head = Vec::new();
        self.frames = Some(frames);
        Ok(())
    }

    /// The track.
    ///
    /// # Errors
    ///
    /// [`PackedAudioError`] where the last frame is cut or there is none.
    pub fn finish(self) -> Result<TrackSegment, PackedAudioError> {
        let Some(frames) = self.frames else {
            return Err(PackedAudioError::NoAudio { offset: self.head.len() });
        };
        let incomplete = frames.incomplete_size() as u64;
        if incomplete > 0 {
            return Err(PackedAudioError::Truncated { offset: self.size - incomplete });
        }
        let track = frames.finish(0, None)?;
        track.ok_or(PackedAudioError::NoAudio { offset: 0 })
    }
}

/// True where `head` may be the beginning of a packed audio segment; at least three bytes decide.
#[must_use]
pub fn is_packed_audio(head: &[u8]) -> bool {
    match head {
        [first, second, ..] => head.starts_with(b"ID3") || framing(*first, *second).is_some(),
        _ => false,
    }
}

fn framing(first: u8, second: u8) -> Option<AudioFraming> {
    match (first, second) {
        (0xff, flags) if flags & 0xf6 == 0xf0 => Some(AudioFraming::Adts),
        (0x0b, 0x77) => Some(AudioFraming::Syncframe),
        _ => None,
    }
}

/// Bytes of the tags at the front of `head`; `None` where more must come to say.
fn tag_size(head: &[u8]) -> Result<Option<usize>, PackedAudioError> {
    let mut size = 0;
    loop {
        let rest = &head[size.min(head.len())..];
        if size > head.len() || rest.len() < ID3_HEADER_SIZE {
            // A frame's sync word is told from a tag by its first byte.
            let decided = size <= head.len() && rest.first().is_some_and(|&byte| byte != b'I');
            return Ok(decided.then_some(size));
        }
        if !rest.starts_with(b"ID3") {
            return Ok(Some(size));
        }
        let footer = if rest[5] & 0x10 == 0 { 0 } else { ID3_HEADER_SIZE };
        size += ID3_HEADER_SIZE + syncsafe([rest[6], rest[7], rest[8], rest[9]]) + footer;
        if size > ID3_TAG_SIZE_MAX {
            return Err(PackedAudioError::TagSize { size });
        }
    }
}

/// A 28-bit integer of seven bits a byte (ID3v2.4.0 §6.2).
fn syncsafe(bytes: [u8; 4]) -> usize {
    bytes.iter().fold(0, |value, &byte| value << 7 | usize::from(byte & 0x7f))
}

/// The 33-bit time in the private frame of one of `tags`.
fn timestamp(tags: &[u8]) -> Option<u64> {
    // The owner's name is long enough not to occur by chance in another frame.
    let at = memchr::memmem::find(tags, TIMESTAMP_OWNER)?;
    let value = tags.get(at + TIMESTAMP_OWNER.len()..)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*value) & ((1 << 33) - 1))
}
