//! What H.264 and H.265 say alike of a picture's geometry and video usability information.
//!
//! ISO/IEC 14496-10 annex E, ISO/IEC 23008-2 annex E. Buffering models are not read.

use super::parameter_set::ParameterSetError;
use crate::engine::bits::{BitError, BitReader};

/// Video usability information, as far as it goes into a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vui {
    /// Sample aspect ratio, (1, 1) where it is not told.
    pub aspect: (u16, u16),
    /// Primaries, transfer, matrix, full range.
    pub colour: Option<(u8, u8, u8, bool)>,
    /// Frames per second as a fraction, (0, 0) where it is not told.
    pub frame_rate: (u32, u32),
    /// `field_seq_flag`: every picture is a field (H.265).
    pub fields: bool,
}

impl Default for Vui {
    fn default() -> Self {
        Self { aspect: (1, 1), colour: None, frame_rate: (0, 0), fields: false }
    }
}

/// Sample aspect ratios by `aspect_ratio_idc` (ISO/IEC 14496-10 table E-1), from 1.
const ASPECTS: [(u16, u16); 16] = [
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];
/// `aspect_ratio_idc` that is followed by the ratio itself.
const EXTENDED_SAR: u8 = 255;

/// Luma samples that one step of a cropping offset stands for, in x and y.
pub(super) const fn crop_unit(chroma_format: u8, separate_planes: bool) -> (u32, u32) {
    match (chroma_format, separate_planes) {
        (1, _) => (2, 2),
        (2, _) => (2, 1),
        _ => (1, 1),
    }
}

/// Reads the four cropping offsets and takes them off `size`.
pub(super) fn crop(
    bits: &mut BitReader<'_>,
    size: (u32, u32),
    unit: (u32, u32),
) -> Result<(u32, u32), ParameterSetError> {
    let mut cropped = |length: u32, unit: u32| {
        let (before, after) = (bits.unsigned_golomb()?, bits.unsigned_golomb()?);
        before
            .checked_add(after)
            .and_then(|steps| steps.checked_mul(unit))
            .and_then(|samples| length.checked_sub(samples))
            .filter(|&left| left > 0)
            .ok_or(ParameterSetError::Range {
                field: "cropping offset",
                value: before.max(after),
                max: length / unit,
            })
    };
    Ok((cropped(size.0, unit.0)?, cropped(size.1, unit.1)?))
}

/// The part that both standards begin with, up to the chroma sample locations.
fn parse_picture(bits: &mut BitReader<'_>) -> Result<Vui, BitError> {
    let mut vui = Vui::default();
    if bits.flag()? {
        let idc = bits.small(8)?;
        if idc == EXTENDED_SAR {
            let ratio = (parse_u16(bits)?, parse_u16(bits)?);
            if ratio.0 > 0 && ratio.1 > 0 {
                vui.aspect = ratio;
            }
        } else if let Some(&ratio) = usize::from(idc).checked_sub(1).and_then(|i| ASPECTS.get(i)) {
            vui.aspect = ratio;
        }
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.skip(3)?; // video_format
        let full_range = bits.flag()?;
        let described = bits.flag()?;
        // 2 is "unspecified" in all three tables.
        let (primaries, transfer, matrix) =
            if described { (bits.small(8)?, bits.small(8)?, bits.small(8)?) } else { (2, 2, 2) };
        if described || full_range {
            vui.colour = Some((primaries, transfer, matrix, full_range));
        }
    }
    if bits.flag()? {
        bits.unsigned_golomb()?; // chroma sample location, top field
        bits.unsigned_golomb()?; // and bottom field
    }
    Ok(vui)
}

fn parse_u16(bits: &mut BitReader<'_>) -> Result<u16, BitError> {
    Ok(u16::from_be_bytes([bits.small(8)?, bits.small(8)?]))
}

/// H.264 (§E.1.1), where a tick is a field.
pub(super) fn parse_avc(bits: &mut BitReader<'_>) -> Result<Vui, BitError> {
    let mut vui = parse_picture(bits)?;
    if bits.flag()? {
        let (tick, scale) = (bits.bits(32)?, bits.bits(32)?);
        if let Some(per_frame) = tick.checked_mul(2) {
            vui.frame_rate = fraction(scale, per_frame);
        }
    }
    Ok(vui)
}

/// H.265 (§E.2.1), where a tick is a picture.
pub(super) fn parse_hevc(bits: &mut BitReader<'_>) -> Result<Vui, BitError> {
    let mut vui = parse_picture(bits)?;
    bits.skip(1)?; // neutral_chroma_indication_flag
    vui.fields = bits.flag()?;
    bits.skip(1)?; // frame_field_info_present_flag
    if bits.flag()? {
        for _ in 0..4 {
            bits.unsigned_golomb()?; // default display window
        }
    }
    if bits.flag()? {
        let (tick, scale) = (bits.bits(32)?, bits.bits(32)?);
        vui.frame_rate = fraction(scale, tick);
    }
    Ok(vui)
}

/// `numerator ÷ denominator` in lowest terms; (0, 0) where either is zero.
pub(super) const fn fraction(numerator: u32, denominator: u32) -> (u32, u32) {
    let (mut a, mut b) = (numerator, denominator);
    if a == 0 || b == 0 {
        return (0, 0);
    }
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (numerator / a, denominator / a)
}
