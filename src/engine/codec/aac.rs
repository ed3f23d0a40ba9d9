//! ADTS headers, and the `AudioSpecificConfig` of what follows them.
//!
//! ISO/IEC 14496-3 §1.A.2.2 (ADTS), §1.6.2.1 and §1.6.5 (`AudioSpecificConfig` and its explicit,
//! backward compatible signalling of extensions). An ADTS header tells of the core coder alone,
//! whose access unit is 1024 samples; [`contents`] reads the rest from the frames.

mod bands;
pub mod contents;
mod huffman;
pub mod program;
pub mod raw_data_block;
pub mod replication;
mod replication_bands;

use super::AacConfig;
use crate::engine::bits::BitWriter;
use contents::{AacContents, Replicated};
use raw_data_block::{BlockError, walk_raw_data_block};
use std::ops::Range;

/// Bytes of an ADTS header without its checksum, enough for [`parse_adts`].
pub const ADTS_HEADER_SIZE: usize = 7;

/// PCM samples that the core coder makes of an access unit.
pub const AAC_CORE_SAMPLES: u32 = 1024;

/// Bytes of a checksum in an ADTS frame, and of the position of a raw data block.
const CHECKSUM_SIZE: usize = 2;

/// Sampling frequencies by index (ISO/IEC 14496-3 table 1.18).
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Audio object types (ISO/IEC 14496-3 table 1.17).
const OBJECT_TYPE_LC: u8 = 2;
const OBJECT_TYPE_SBR: u8 = 5;
const OBJECT_TYPE_PS: u8 = 29;

/// `syncExtensionType` before spectral band replication and before parametric stereo.
const SYNC_SBR: u32 = 0x2b7;
const SYNC_PS: u32 = 0x548;

/// Bytes that are no ADTS header that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdtsError {
    /// The first 12 bits are not all ones, or the layer is not 0.
    #[error("ADTS sync word expected")]
    NoSync,
    /// A reserved sampling frequency index.
    #[error("ADTS sampling frequency index {0} is reserved")]
    SampleRate(u8),
    /// The frame is said to be shorter than its header.
    #[error("ADTS frame of {0} bytes")]
    Size(u16),
}

/// The raw data blocks of an ADTS frame cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlocksError {
    /// A position that is out of order, or not within the frame.
    #[error("raw data block at byte {0} of an ADTS frame")]
    Position(usize),
    /// Without positions the blocks must be walked, which is done for AAC-LC.
    #[error("raw data blocks of audio object type {0} in one ADTS frame without positions")]
    ObjectType(u8),
    /// A block that cannot be walked.
    #[error(transparent)]
    Block(#[from] BlockError),
}

/// One ADTS frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdtsHeader {
    /// Audio object type: profile + 1.
    pub object_type: u8,
    /// Index into the table of sampling frequencies.
    pub rate_index: u8,
    /// `channel_configuration`, 1 to 7, or 0 where a program config element tells the channels.
    pub channel_configuration: u8,
    /// True where checksums and the positions of blocks are there.
    pub is_protected: bool,
    /// Raw data blocks, 1 to 4: an access unit each.
    pub block_count: u8,
    /// Bytes of the whole frame.
    pub frame_size: usize,
}

/// Reads an ADTS header.
///
/// # Errors
///
/// [`AdtsError`] where it is none, or its frame cannot be used.
pub fn parse_adts(header: &[u8; ADTS_HEADER_SIZE]) -> Result<AdtsHeader, AdtsError> {
    let [sync, flags, profile, channels, size, fullness, blocks] = *header;
    if sync != 0xff || flags & 0xf6 != 0xf0 {
        return Err(AdtsError::NoSync);
    }
    let rate_index = profile >> 2 & 0x0f;
    if usize::from(rate_index) >= SAMPLE_RATES.len() {
        return Err(AdtsError::SampleRate(rate_index));
    }
    let frame_size =
        u16::from(channels & 3) << 11 | u16::from(size) << 3 | u16::from(fullness >> 5);
    let header = AdtsHeader {
        object_type: (profile >> 6) + 1,
        rate_index,
        channel_configuration: (profile & 1) << 2 | channels >> 6,
        is_protected: flags & 1 == 0,
        block_count: (blocks & 3) + 1,
        frame_size: usize::from(frame_size),
    };
    if header.frame_size <= header.header_size() {
        return Err(AdtsError::Size(frame_size));
    }
    Ok(header)
}

impl AdtsHeader {
    /// Bytes before the first raw data block.
    #[must_use]
    pub const fn header_size(&self) -> usize {
        // Positions of all blocks but the first, and a checksum.
        let fields = if self.is_protected { self.block_count as usize } else { 0 };
        ADTS_HEADER_SIZE + fields * CHECKSUM_SIZE
    }

    /// Samples per second of the core coder.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        SAMPLE_RATES[usize::from(self.rate_index)]
    }

    /// Where the raw data blocks of `frame`, which begins with this header, are in it.
    ///
    /// # Errors
    ///
    /// [`BlocksError`] where there are several that cannot be told apart.
    pub fn blocks(&self, frame: &[u8]) -> Result<Vec<Range<usize>>, BlocksError> {
        let (begin, count) = (self.header_size(), usize::from(self.block_count));
        if frame.len() <= begin {
            return Err(BlocksError::Position(begin));
        }
        let mut blocks = Vec::with_capacity(count);
        if count == 1 {
            blocks.push(begin..frame.len());
            return Ok(blocks);
        }
        if !self.is_protected {
            let mut at = begin;
            for _ in 0..count {
                let block = self.walk(frame.get(at..).unwrap_or_default())?;
                blocks.push(at..at + block.size);
                at += block.size;
            }
            return Ok(blocks);
        }
        let positions = frame.get(ADTS_HEADER_SIZE..begin - CHECKSUM_SIZE).unwrap_or_default();
        let positions = positions.chunks_exact(CHECKSUM_SIZE);
        let position = |bytes: &[u8]| begin + usize::from(bytes[0]) * 256 + usize::from(bytes[1]);
        let mut at = begin;
        for next in positions.map(position).chain(std::iter::once(frame.len())) {
            // Behind each block there is its checksum.
            let end =
                next.checked_sub(CHECKSUM_SIZE).filter(|&end| end > at && next <= frame.len());
            blocks.push(at..end.ok_or(BlocksError::Position(next))?);
            at = next;
        }
        Ok(blocks)
    }

    fn walk(&self, data: &[u8]) -> Result<raw_data_block::RawDataBlock, BlocksError> {
        if self.object_type != OBJECT_TYPE_LC {
            return Err(BlocksError::ObjectType(self.object_type));
        }
        Ok(walk_raw_data_block(data, self.rate_index)?)
    }

    /// Learns from an access unit of the track what headers do not tell.
    pub fn inspect(&self, unit: &[u8], contents: &mut AacContents) {
        let is_told = self.object_type != OBJECT_TYPE_LC && self.channel_configuration != 0;
        if !is_told && contents.is_wanting(self.channel_configuration) {
            contents.on_block(walk_raw_data_block(unit, self.rate_index), unit, self.sample_rate());
        }
    }

    /// The configuration of the track this frame belongs to. `None` where nothing tells its
    /// channels.
    #[must_use]
    pub fn config(&self, contents: &AacContents) -> Option<AacConfig> {
        let channels = match (self.channel_configuration, contents.program()) {
            (0, program) => program?.channels,
            (7, _) => 8,
            (channels, _) => channels,
        };
        let mut specific = BitWriter::default();
        specific.put(u32::from(self.object_type), 5);
        specific.put(u32::from(self.rate_index), 4);
        specific.put(u32::from(self.channel_configuration), 4);
        specific.put(0, 3); // 1024 samples, no core coder, no extension
        if let (0, Some(program)) = (self.channel_configuration, contents.program()) {
            program.write(&mut specific, 16);
        }
        let replicated = contents.replicated();
        let extension = extension_rate_index(self.rate_index);
        if replicated != Replicated::No {
            specific.put(SYNC_SBR, 11);
            specific.put(u32::from(OBJECT_TYPE_SBR), 5);
            specific.put(1, 1); // sbrPresentFlag
            specific.put(u32::from(extension), 4);
        }
        if let (1, Replicated::Yes { parametric_stereo: Some(present) }) = (channels, replicated) {
            specific.put(SYNC_PS, 11);
            specific.put(u32::from(present), 1);
        }
        let (object_type, channels) = match replicated {
            Replicated::No => (self.object_type, channels),
            Replicated::Yes { parametric_stereo: Some(true) } => (OBJECT_TYPE_PS, 2),
            Replicated::Yes { .. } => (OBJECT_TYPE_SBR, channels),
        };
        let sample_rate = match replicated {
            Replicated::No => self.sample_rate(),
            Replicated::Yes { .. } => SAMPLE_RATES[usize::from(extension)],
        };
        Some(AacConfig {
            audio_specific_config: specific.finish(),
            object_type,
            sample_rate,
            channels,
            frame_samples: AAC_CORE_SAMPLES * (sample_rate / self.sample_rate()),
        })
    }
}

/// The index of the rate that spectral band replication puts out: twice the core's, or the core's
/// where there is no such rate.
fn extension_rate_index(rate_index: u8) -> u8 {
    let doubled = 2 * SAMPLE_RATES[usize::from(rate_index)];
    let at = SAMPLE_RATES.iter().zip(0..).find(|&(&rate, _)| rate == doubled);
    at.map_or(rate_index, |(_, at)| at)
}

#[cfg(test)]
mod tests;
