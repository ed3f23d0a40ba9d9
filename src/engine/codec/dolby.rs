//! AC-3 and E-AC-3 syncframe headers, and the `dac3` and `dec3` payloads they imply.
//!
//! ETSI TS 102 366 §4.3 (AC-3 header), annex E §E.1.2 (E-AC-3 header), annex F (the boxes). Object
//! audio extensions are carried but not described.

use super::DolbyConfig;
use crate::engine::bits::{BitError, BitReader, BitWriter};

/// Bytes that hold every field read of a syncframe header.
pub const SYNCFRAME_HEADER_SIZE: usize = 64;
/// PCM samples of one audio block.
pub const BLOCK_SAMPLES: u32 = 256;
/// Audio blocks of a sample as ISO base media files keep them (annex F).
pub const SAMPLE_BLOCKS: u8 = 6;

/// Sample rates by `fscod`; the rates by `fscod2` are half of them.
const SAMPLE_RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Kilobits per second by half of `frmsizecod` (table 4.13).
const BIT_RATES: [u16; 19] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
/// Largest `bsid` of AC-3, and of E-AC-3.
const AC3_BSID_MAX: u8 = 8;
const EAC3_BSID_MAX: u8 = 16;
/// Positions of `acmod`'s channels as bits of `chanmap` (table E.1.4, left in the highest bit).
const ACMOD_POSITIONS: [u16; 8] = [0xa000, 0x4000, 0xa000, 0xe000, 0xa100, 0xe100, 0xb800, 0xf800];
/// The low-frequency channel's bit of `chanmap`.
const LFE_POSITION: u16 = 1;
/// Bits of `chanmap` that stand for two channels each.
const PAIR_POSITIONS: u16 = 0x0674;

/// Bytes that are no syncframe header that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncframeError {
    /// The first two bytes are not `0B 77`.
    #[error("syncframe's sync word 0x0B77 expected")]
    NoSync,
    /// The header ends early.
    #[error("syncframe: {0}")]
    Bits(#[from] BitError),
    /// A bitstream identification this reader does not know.
    #[error("syncframe of unknown bitstream identification {0}")]
    Version(u8),
    /// A reserved sample rate or frame size code, or substream type.
    #[error("syncframe with the reserved {field} {value}")]
    Reserved {
        /// The field's name in the standard.
        field: &'static str,
        /// What was found.
        value: u8,
    },
}

/// What a syncframe is to the access unit it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Substream {
    /// AC-3, or independent substream 0: begins a frame's time.
    Main,
    /// Another independent substream: an additional program.
    Additional,
    /// A dependent substream: more channels of the independent one before it.
    Dependent,
}

/// One syncframe's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syncframe {
    /// True for E-AC-3.
    pub enhanced: bool,
    /// Its place in an access unit.
    pub substream: Substream,
    /// Bytes of the whole syncframe.
    pub frame_size: usize,
    /// Audio blocks: 6, or 1, 2, 3 in E-AC-3.
    pub blocks: u8,
    /// Samples per second.
    pub sample_rate: u32,
    /// `fscod`, 3 for half rates.
    pub fscod: u8,
    /// `bsid`.
    pub bsid: u8,
    /// `bsmod`.
    pub bsmod: u8,
    /// `acmod`.
    pub acmod: u8,
    /// `lfeon`.
    pub lfe: bool,
    /// Half of `frmsizecod` (AC-3).
    pub bit_rate_code: u8,
    /// Channel positions, in the bits of `chanmap`.
    pub positions: u16,
}

/// Reads a syncframe's header from its first bytes ([`SYNCFRAME_HEADER_SIZE`] or the whole frame).
///
/// # Errors
///
/// [`SyncframeError`] where it is none, is cut short or has reserved values.
pub fn parse_syncframe(data: &[u8]) -> Result<Syncframe, SyncframeError> {
    let mut bits = BitReader::new(data);
    if bits.bits(16)? != 0x0b77 {
        return Err(SyncframeError::NoSync);
    }
    // bsid stands at the same place in both syntaxes.
    let mut ahead = bits.clone();
    ahead.skip(24)?;
    match ahead.small(5)? {
        bsid @ 0..=AC3_BSID_MAX => parse_ac3(bits, bsid),
        bsid @ 11..=EAC3_BSID_MAX => parse_eac3(bits, bsid),
        bsid => Err(SyncframeError::Version(bsid)),
    }
}

fn sample_rate(fscod: u8) -> Result<u32, SyncframeError> {
    let rate = SAMPLE_RATES.get(usize::from(fscod)).copied();
    rate.ok_or(SyncframeError::Reserved { field: "fscod", value: fscod })
}

fn positions(acmod: u8, lfe: bool) -> u16 {
    ACMOD_POSITIONS[usize::from(acmod)] | if lfe { LFE_POSITION } else { 0 }
}

fn parse_ac3(mut bits: BitReader<'_>, bsid: u8) -> Result<Syncframe, SyncframeError> {
    bits.skip(16)?; // crc1
    let fscod = bits.small(2)?;
    let sample_rate = sample_rate(fscod)?;
    let size_code = bits.small(6)?;
    let bit_rate = BIT_RATES
        .get(usize::from(size_code / 2))
        .map(|&rate| u32::from(rate))
        .ok_or(SyncframeError::Reserved { field: "frmsizecod", value: size_code })?;
    // Table 4.13: 16-bit words of 1536 samples; at 44.1 kHz the odd codes are one word longer.
    let mut words = bit_rate * 1000 * 1536 / 16 / sample_rate;
    if fscod == 1 {
        words += u32::from(size_code % 2);
    }
    bits.skip(5)?; // bsid
    let bsmod = bits.small(3)?;
    let acmod = bits.small(3)?;
    if acmod & 1 == 1 && acmod != 1 {
        bits.skip(2)?; // cmixlev
    }
    if acmod & 4 != 0 {
        bits.skip(2)?; // surmixlev
    }
    if acmod == 2 {
        bits.skip(2)?; // dsurmod
    }
    let lfe = bits.flag()?;
    Ok(Syncframe {
        enhanced: false,
        substream: Substream::Main,
        frame_size: words as usize * 2,
        blocks: SAMPLE_BLOCKS,
        sample_rate,
        fscod,
        bsid,
        bsmod,
        acmod,
        lfe,
        bit_rate_code: size_code / 2,
        positions: positions(acmod, lfe),
    })
}

fn parse_eac3(mut bits: BitReader<'_>, bsid: u8) -> Result<Syncframe, SyncframeError> {
    let stream_type = bits.small(2)?;
    let substream_id = bits.small(3)?;
    let substream = match (stream_type, substream_id) {
        (0 | 2, 0) => Substream::Main,
        (0 | 2, _) => Substream::Additional,
        (1, _) => Substream::Dependent,
        _ => return Err(SyncframeError::Reserved { field: "strmtyp", value: stream_type }),
    };
    let frame_size = (bits.bits(11)? as usize + 1) * 2;
    let fscod = bits.small(2)?;
    let (sample_rate, blocks) = if fscod == 3 {
        (sample_rate(bits.small(2)?)? / 2, SAMPLE_BLOCKS)
    } else {
        (sample_rate(fscod)?, [1, 2, 3, SAMPLE_BLOCKS][usize::from(bits.small(2)?)])
    };
    let acmod = bits.small(3)?;
    let lfe = bits.flag()?;
    bits.skip(5)?; // bsid
    for _ in 0..if acmod == 0 { 2 } else { 1 } {
        bits.skip(5)?; // dialnorm
        if bits.flag()? {
            bits.skip(8)?; // compr
        }
    }
    let mut map = positions(acmod, lfe);
    if stream_type == 1 && bits.flag()? {
        let [_, _, high, low] = bits.bits(16)?.to_be_bytes();
        map = u16::from_be_bytes([high, low]);
    }
    let bsmod = if stream_type == 1 { 0 } else { parse_bsmod(bits, acmod, lfe, blocks)? };
    Ok(Syncframe {
        enhanced: true,
        substream,
        frame_size,
        blocks,
        sample_rate,
        fscod,
        bsid,
        bsmod,
        acmod,
        lfe,
        bit_rate_code: 0,
        positions: map,
    })
}

/// `bsmod` of an independent substream, which stands behind the mixing metadata (§E.1.2.2).
fn parse_bsmod(mut bits: BitReader<'_>, acmod: u8, lfe: bool, blocks: u8) -> Result<u8, BitError> {
    if bits.flag()? {
        if acmod > 2 {
            bits.skip(2)?; // dmixmod
        }
        if acmod > 2 && acmod & 1 == 1 {
            bits.skip(6)?; // ltrtcmixlev, lorocmixlev
        }
        if acmod & 4 != 0 {
            bits.skip(6)?; // ltrtsurmixlev, lorosurmixlev
        }
        if lfe && bits.flag()? {
            bits.skip(5)?; // lfemixlevcod
        }
        // pgmscl, pgmscl2 of a dual mono program, extpgmscl
        for _ in 0..if acmod == 0 { 3 } else { 2 } {
            if bits.flag()? {
                bits.skip(6)?;
            }
        }
        match bits.bits(2)? {
            1 => bits.skip(5)?,
            2 => bits.skip(12)?,
            3 => {
                let size = bits.bits(5)? as usize + 2;
                bits.skip(size * 8)?;
            }
            _ => {}
        }
        if acmod < 2 {
            for _ in 0..2 - acmod {
                if bits.flag()? {
                    bits.skip(14)?; // panmean, paninfo
                }
            }
        }
        if bits.flag()? {
            skip_block_mixing(&mut bits, blocks)?;
        }
    }
    if bits.flag()? { bits.small(3) } else { Ok(0) }
}

fn skip_block_mixing(bits: &mut BitReader<'_>, blocks: u8) -> Result<(), BitError> {
    if blocks == 1 {
        return bits.skip(5);
    }
    for _ in 0..blocks {
        if bits.flag()? {
            bits.skip(5)?;
        }
    }
    Ok(())
}

fn channel_count(positions: u16) -> u8 {
    let channels = positions.count_ones() + (positions & PAIR_POSITIONS).count_ones();
    let [.., low] = channels.to_be_bytes();
    low
}

/// The configuration of an AC-3 track with frames like `frame`.
#[must_use]
pub fn ac3_config(frame: &Syncframe) -> DolbyConfig {
    let mut dac3 = BitWriter::default();
    dac3.put(u32::from(frame.fscod), 2);
    dac3.put(u32::from(frame.bsid), 5);
    dac3.put(u32::from(frame.bsmod), 3);
    dac3.put(u32::from(frame.acmod), 3);
    dac3.put(u32::from(frame.lfe), 1);
    dac3.put(u32::from(frame.bit_rate_code), 5);
    dac3.put(0, 5);
    DolbyConfig {
        specific_box: dac3.finish(),
        sample_rate: frame.sample_rate,
        channels: channel_count(frame.positions),
        frame_samples: u32::from(frame.blocks) * BLOCK_SAMPLES,
    }
}

/// The configuration of an E-AC-3 track whose access units consist of `frames`: independent
/// substreams, each followed by its dependent ones. `None` where the first is not independent.
///
/// An access unit is made of as many frames as six blocks take.
#[must_use]
pub fn eac3_config(frames: &[Syncframe]) -> Option<DolbyConfig> {
    let main = *frames.first()?;
    let is_independent = |frame: &Syncframe| frame.substream != Substream::Dependent;
    if !is_independent(&main) {
        return None;
    }
    let size: usize = frames.iter().map(|frame| frame.frame_size).sum();
    let samples = u64::from(main.blocks) * u64::from(BLOCK_SAMPLES);
    let kilobits = size as u64 * 8 * u64::from(main.sample_rate) / samples / 1000;
    let independent = frames.iter().filter(|frame| is_independent(frame)).count().clamp(1, 8);
    let mut dec3 = BitWriter::default();
    dec3.put(u32::try_from(kilobits).unwrap_or(u32::MAX).min(0x1fff), 13);
    dec3.put(u32::try_from(independent - 1).unwrap_or(0), 3);
    let programs = frames.chunk_by(|_, next| !is_independent(next));
    for program in programs.take(independent) {
        let [frame, dependents @ ..] = program else { continue };
        dec3.put(u32::from(frame.fscod), 2);
        dec3.put(u32::from(frame.bsid), 5);
        dec3.put(0, 2); // reserved, asvc
        dec3.put(u32::from(frame.bsmod), 3);
        dec3.put(u32::from(frame.acmod), 3);
        dec3.put(u32::from(frame.lfe), 1);
        dec3.put(0, 3);
        dec3.put(u32::try_from(dependents.len().min(15)).unwrap_or(0), 4);
        if dependents.is_empty() {
            dec3.put(0, 1);
        } else {
            let map = dependents.iter().fold(0, |map, frame| map | frame.positions);
            dec3.put(channel_locations(map), 9);
        }
    }
    let program = frames.chunk_by(|_, next| !is_independent(next)).next().unwrap_or_default();
    let positions = program.iter().fold(0, |map, frame| map | frame.positions);
    Some(DolbyConfig {
        specific_box: dec3.finish(),
        sample_rate: main.sample_rate,
        channels: channel_count(positions),
        frame_samples: u32::from(SAMPLE_BLOCKS) * BLOCK_SAMPLES,
    })
}

/// `chan_loc` of `dec3` (annex F, table F.6.1): bit 0 is Lc/Rc, bit 7 Cvh, bit 8 LFE2.
fn channel_locations(map: u16) -> u32 {
    let pairs = (0..8).filter(|location| map & 0x0400 >> location != 0);
    let second_lfe = if map & 2 == 0 { 0 } else { 1 << 8 };
    pairs.fold(second_lfe, |locations, location| locations | 1 << location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_counted_by_position() {
        let counts: Vec<_> = (0..8).map(|acmod| channel_count(positions(acmod, true))).collect();
        assert_eq!(counts, [3, 2, 3, 4, 4, 5, 5, 6]);
        // 5.1 with a dependent substream that brings the rear pair: 7.1.
        assert_eq!(channel_count(positions(7, true) | 0x0200), 8);
        assert_eq!(channel_locations(0x1a00), 0b10);
    }

    #[test]
    fn an_ac3_header_of_5_1_at_48_khz_and_448_kbit() {
        let frame = parse_syncframe(&[0x0b, 0x77, 0, 0, 0x1e, 0x40, 0xe1, 0xff]).expect("valid");
        assert_eq!((frame.frame_size, frame.blocks, frame.acmod), (1792, 6, 7));
        let config = ac3_config(&frame);
        assert_eq!(config.specific_box, [0x10, 0x3d, 0xe0]);
        assert_eq!((config.channels, config.sample_rate), (6, 48_000));
    }

    #[test]
    fn headers_cut_short_are_refused() {
        let header = [0x0b, 0x77, 0x01, 0x7f, 0x34, 0x86, 0xff, 0xe0];
        assert!(parse_syncframe(&header).is_ok());
        for size in 0..6 {
            assert!(parse_syncframe(&header[..size]).is_err(), "{size}");
        }
    }
}
