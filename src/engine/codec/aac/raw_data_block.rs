//! A raw data block of AAC-LC, walked from its first element to its end.
//!
//! ISO/IEC 14496-3 §4.4.2.1 and §4.5.2. Nothing is decoded: the elements have no sizes, so that
//! what stands behind the spectral data is found only by reading its code words. Coupling channels,
//! prediction and gain control, which no encoder of LC uses, are refused.

use super::bands::widths;
use super::huffman::{SCALE_FACTORS, Spectral};
use super::program::{ProgramConfig, parse_program_config};
use crate::engine::bits::{BitError, BitReader};
use std::ops::Range;

/// Syntactic elements (ISO/IEC 14496-3 table 4.85).
const ID_SINGLE_CHANNEL: u8 = 0;
const ID_CHANNEL_PAIR: u8 = 1;
const ID_LOW_FREQUENCY: u8 = 3;
const ID_DATA_STREAM: u8 = 4;
const ID_PROGRAM_CONFIG: u8 = 5;
const ID_FILL: u8 = 6;
const ID_END: u8 = 7;

/// `extension_type` of a fill element with spectral band replication, without and with a checksum
/// (ISO/IEC 14496-3 table 4.121).
const EXTENSION_SBR: u8 = 13;
const EXTENSION_SBR_CRC: u8 = 14;

/// Codebooks without coefficients: zeros, noise, and the two of intensity stereo.
const BOOK_ZERO: u8 = 0;
const BOOK_RESERVED: u8 = 12;
const BOOK_NOISE: u8 = 13;

/// `window_sequence` of eight short windows.
const EIGHT_SHORT: u8 = 2;

/// A raw data block that cannot be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// It ends within an element, or has a code word that there is none of.
    #[error(transparent)]
    Bits(#[from] BitError),
    /// An element or a tool that AAC-LC has not, or that is not read here.
    #[error("raw data block with {what} at bit {bit}")]
    Unsupported {
        /// Its name in ISO/IEC 14496-3.
        what: &'static str,
        /// Where it is.
        bit: usize,
    },
    /// More bands than the sampling frequency has, or a section that goes beyond them.
    #[error("raw data block with {bands} scale factor bands at bit {bit}")]
    Bands {
        /// How many there are said to be.
        bands: usize,
        /// Where that is said.
        bit: usize,
    },
}

/// What a raw data block holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawDataBlock {
    /// Its bytes, with those that fill up the last one.
    pub size: usize,
    /// Channels of its elements.
    pub channels: u8,
    /// Its program config element.
    pub program: Option<ProgramConfig>,
    /// The first spectral band replication payload, if any.
    pub replication: Option<Replication>,
}

/// Where a block's spectral band replication data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Bits of `sbr_extension_data`.
    pub bits: Range<usize>,
    /// It begins with a checksum.
    pub has_checksum: bool,
}

/// Walks the raw data block at the front of `data`.
///
/// # Errors
///
/// [`BlockError`] where it cannot be walked to its end.
pub fn walk_raw_data_block(data: &[u8], rate_index: u8) -> Result<RawDataBlock, BlockError> {
    let mut bits = BitReader::new(data);
    let mut block = RawDataBlock::default();
    loop {
        let begin = bits.position();
        match bits.small(3)? {
            ID_SINGLE_CHANNEL | ID_LOW_FREQUENCY => {
                bits.skip(4)?;
                skip_channel(&mut bits, rate_index, None)?;
                block.channels = block.channels.saturating_add(1);
            }
            ID_CHANNEL_PAIR => {
                bits.skip(4)?;
                skip_pair(&mut bits, rate_index)?;
                block.channels = block.channels.saturating_add(2);
            }
            ID_DATA_STREAM => {
                bits.skip(4)?;
                let aligned = bits.flag()?;
                let size = counted(&mut bits, 8)?;
                if aligned {
                    align(&mut bits)?;
                }
                bits.skip(size * 8)?;
            }
            ID_PROGRAM_CONFIG => block.program = Some(parse_program_config(&mut bits)?),
            ID_FILL => {
                let size = match counted(&mut bits, 4)? {
                    // The escaped count is one less (ISO/IEC 14496-3 §4.5.2.2).
                    escaped @ 15.. => escaped - 1,
                    size => size,
                };
                let end = bits.position() + size * 8;
                if block.replication.is_none() && size > 0 {
                    block.replication = replication(&mut bits.clone(), end)?;
                }
                bits.skip(size * 8)?;
            }
            ID_END => {
                align(&mut bits)?;
                block.size = bits.position() / 8;
                return Ok(block);
            }
            _ => return Err(BlockError::Unsupported { what: "coupling", bit: begin }),
        }
    }
}

/// A count of `size` bits, with eight more where they are all ones.
fn counted(bits: &mut BitReader<'_>, size: u8) -> Result<usize, BitError> {
    let count = usize::from(bits.small(size)?);
    let more = if count == (1 << size) - 1 { usize::from(bits.small(8)?) } else { 0 };
    Ok(count + more)
}

/// To the next byte's start, counted from the block's.
fn align(bits: &mut BitReader<'_>) -> Result<(), BitError> {
    bits.skip((8 - bits.position() % 8) % 8)
}

fn replication(bits: &mut BitReader<'_>, end: usize) -> Result<Option<Replication>, BitError> {
    let kind = bits.small(4)?;
    let has_checksum = kind == EXTENSION_SBR_CRC;
    let found = has_checksum || kind == EXTENSION_SBR;
    Ok(found.then(|| Replication { bits: bits.position()..end, has_checksum }))
}

/// `ics_info` (ISO/IEC 14496-3 table 4.6): how the coefficients of a channel are divided.
#[derive(Clone, Debug)]
struct Windows {
    short: bool,
    /// Bands that are transmitted.
    bands: usize,
    /// Windows of each group.
    groups: Vec<usize>,
}

fn parse_windows(bits: &mut BitReader<'_>, rate_index: u8) -> Result<Windows, BlockError> {
    bits.skip(1)?; // reserved
    let short = bits.small(2)? == EIGHT_SHORT;
    bits.skip(1)?; // window_shape
    let at = bits.position();
    let bands = usize::from(bits.small(if short { 4 } else { 6 })?);
    if bands > widths(rate_index, short).count() {
        return Err(BlockError::Bands { bands, bit: at });
    }
    let mut groups = vec![1];
    if short {
        for _ in 0..7 {
            match groups.last_mut() {
                Some(group) if bits.flag()? => *group += 1,
                _ => groups.push(1),
            }
        }
    } else if bits.flag()? {
        return Err(BlockError::Unsupported { what: "prediction", bit: bits.position() - 1 });
    }
    Ok(Windows { short, bands, groups })
}

fn skip_pair(bits: &mut BitReader<'_>, rate_index: u8) -> Result<(), BlockError> {
    let common = bits.flag()?;
    let shared = if common { Some(parse_windows(bits, rate_index)?) } else { None };
    if let Some(windows) = &shared {
        let at = bits.position();
        match bits.small(2)? {
            1 => bits.skip(windows.groups.len() * windows.bands)?,
            3 => return Err(BlockError::Unsupported { what: "ms_mask_present 3", bit: at }),
            _ => {}
        }
    }
    skip_channel(bits, rate_index, shared.clone())?;
    skip_channel(bits, rate_index, shared)
}

/// `individual_channel_stream` (ISO/IEC 14496-3 table 4.50).
fn skip_channel(
    bits: &mut BitReader<'_>,
    rate_index: u8,
    shared: Option<Windows>,
) -> Result<(), BlockError> {
    bits.skip(8)?; // global_gain
    let windows = match shared {
        Some(windows) => windows,
        None => parse_windows(bits, rate_index)?,
    };
    let sections = parse_sections(bits, &windows)?;
    skip_scale_factors(bits, &sections)?;
    if bits.flag()? {
        skip_pulses(bits)?;
    }
    if bits.flag()? {
        skip_noise_shaping(bits, windows.short)?;
    }
    if bits.flag()? {
        return Err(BlockError::Unsupported { what: "gain control", bit: bits.position() - 1 });
    }
    let widths: Vec<usize> = widths(rate_index, windows.short).collect();
    for Section { book, group, bands } in sections {
        let Some(spectral) = Spectral::numbered(book) else { continue };
        let coefficients = widths[bands].iter().sum::<usize>() * windows.groups[group];
        for _ in 0..coefficients / spectral.dimension {
            spectral.skip(bits)?;
        }
    }
    Ok(())
}

/// Bands of one group of windows that share a codebook.
#[derive(Clone, Debug)]
struct Section {
    book: u8,
    group: usize,
    bands: Range<usize>,
}

/// `section_data` (ISO/IEC 14496-3 table 4.52).
fn parse_sections(bits: &mut BitReader<'_>, windows: &Windows) -> Result<Vec<Section>, BlockError> {
    let size = if windows.short { 3 } else { 5 };
    let escape = (1 << size) - 1;
    let mut sections = Vec::new();
    for group in 0..windows.groups.len() {
        let mut from = 0;
        while from < windows.bands {
            let at = bits.position();
            let book = bits.small(4)?;
            if book == BOOK_RESERVED {
                return Err(BlockError::Unsupported { what: "codebook 12", bit: at });
            }
            let mut to = from;
            loop {
                let more = usize::from(bits.small(size)?);
                to += more;
                if more != escape {
                    break;
                }
            }
            if to > windows.bands {
                return Err(BlockError::Bands { bands: to, bit: at });
            }
            if to > from {
                sections.push(Section { book, group, bands: from..to });
            }
            from = to;
        }
    }
    Ok(sections)
}

/// `scale_factor_data` (ISO/IEC 14496-3 table 4.53).
fn skip_scale_factors(bits: &mut BitReader<'_>, sections: &[Section]) -> Result<(), BlockError> {
    let mut noise_begun = false;
    for Section { book, bands, .. } in sections.iter().filter(|it| it.book != BOOK_ZERO) {
        for _ in bands.clone() {
            if *book == BOOK_NOISE && !noise_begun {
                noise_begun = true;
                bits.skip(9)?;
            } else {
                SCALE_FACTORS.read(bits)?;
            }
        }
    }
    Ok(())
}

/// `pulse_data` (ISO/IEC 14496-3 table 4.7).
fn skip_pulses(bits: &mut BitReader<'_>) -> Result<(), BitError> {
    let count = usize::from(bits.small(2)?) + 1;
    bits.skip(6 + count * (5 + 4))
}

/// `tns_data` (ISO/IEC 14496-3 table 4.54).
fn skip_noise_shaping(bits: &mut BitReader<'_>, short: bool) -> Result<(), BitError> {
    let (windows, count_size, length_size, order_size) =
        if short { (8, 1, 4, 3) } else { (1, 2, 6, 5) };
    for _ in 0..windows {
        let filters = bits.small(count_size)?;
        if filters == 0 {
            continue;
        }
        let resolution = usize::from(bits.small(1)?);
        for _ in 0..filters {
            bits.skip(length_size)?;
            let order = usize::from(bits.small(order_size)?);
            if order > 0 {
                bits.skip(1)?; // direction
                let compressed = usize::from(bits.small(1)?);
                bits.skip(order * (3 + resolution - compressed))?;
            }
        }
    }
    Ok(())
}
