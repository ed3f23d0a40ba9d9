//! H.264 parameter sets and the few slice header fields a demultiplexer needs.
//!
//! ISO/IEC 14496-10 §7.3.2.1 (sequence parameter set), §7.3.2.2 (picture parameter set), §7.3.3
//! (slice header), annex E (VUI). Scaling lists are passed over, extensions are not read.

use super::VideoConfig;
use super::parameter_set::{ParameterSetError, at_most, golomb_small};
use super::vui::{self, Vui};
use crate::engine::bits::{BitError, BitReader, without_emulation_prevention};

/// `nal_unit_type` of a slice of an IDR picture.
pub const NAL_IDR: u8 = 5;
/// `nal_unit_type` of a sequence parameter set.
pub const NAL_SPS: u8 = 7;
/// `nal_unit_type` of a picture parameter set.
pub const NAL_PPS: u8 = 8;
/// `nal_unit_type` of an access unit delimiter.
pub const NAL_AUD: u8 = 9;

/// What a sequence parameter set says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `seq_parameter_set_id`.
    pub id: u32,
    /// `profile_idc`, the constraint flags' byte, `level_idc`.
    pub profile_level: [u8; 3],
    /// `chroma_format_idc`.
    pub chroma_format: u8,
    /// `separate_colour_plane_flag`.
    pub separate_colour_planes: bool,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// Bits of `frame_num` in slice headers.
    pub frame_num_bits: u8,
    /// False where pictures may be coded as fields.
    pub frame_mbs_only: bool,
    /// Width after cropping.
    pub width: u32,
    /// Height after cropping.
    pub height: u32,
    /// Video usability information.
    pub vui: Vui,
}

/// Reads a sequence parameter set NAL unit, header byte included.
///
/// # Errors
///
/// [`ParameterSetError`] where it is cut short or out of the standard's bounds.
pub fn parse_sps(nal: &[u8]) -> Result<Sps, ParameterSetError> {
    let raw = without_emulation_prevention(nal);
    let mut bits = BitReader::new(&raw);
    bits.skip(8)?;
    let profile_level = [bits.small(8)?, bits.small(8)?, bits.small(8)?];
    let id = at_most("seq_parameter_set_id", bits.unsigned_golomb()?, 31)?;
    let format = parse_sample_format(&mut bits, profile_level[0])?;
    let frame_num_bits = 4 + golomb_small(&mut bits, "log2_max_frame_num_minus4", 12)?;
    skip_picture_order_count(&mut bits)?;
    at_most("max_num_ref_frames", bits.unsigned_golomb()?, 16)?;
    bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag
    // 16,384 samples a side is four times level 6.2.
    let width_mbs = 1 + at_most("pic_width_in_mbs_minus1", bits.unsigned_golomb()?, 1023)?;
    let height_units =
        1 + at_most("pic_height_in_map_units_minus1", bits.unsigned_golomb()?, 1023)?;
    let frame_mbs_only = bits.flag()?;
    if !frame_mbs_only {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag
    let fields = if frame_mbs_only { 1 } else { 2 };
    let (mut width, mut height) = (width_mbs * 16, height_units * 16 * fields);
    if bits.flag()? {
        let (unit_x, unit_y) = vui::crop_unit(format.chroma, format.separate_planes);
        (width, height) = vui::crop(&mut bits, (width, height), (unit_x, unit_y * fields))?;
    }
    // A broken VUI says nothing, but pictures decode without it.
    let vui =
        if bits.flag()? { vui::parse_avc(&mut bits).unwrap_or_default() } else { Vui::default() };
    Ok(Sps {
        id,
        profile_level,
        chroma_format: format.chroma,
        separate_colour_planes: format.separate_planes,
        bit_depth_luma: format.luma_depth,
        bit_depth_chroma: format.chroma_depth,
        frame_num_bits,
        frame_mbs_only,
        width,
        height,
        vui,
    })
}

struct SampleFormat {
    chroma: u8,
    separate_planes: bool,
    luma_depth: u8,
    chroma_depth: u8,
}

fn parse_sample_format(
    bits: &mut BitReader<'_>,
    profile: u8,
) -> Result<SampleFormat, ParameterSetError> {
    let mut format =
        SampleFormat { chroma: 1, separate_planes: false, luma_depth: 8, chroma_depth: 8 };
    if !matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244)
    {
        return Ok(format);
    }
    format.chroma = golomb_small(bits, "chroma_format_idc", 3)?;
    if format.chroma == 3 {
        format.separate_planes = bits.flag()?;
    }
    format.luma_depth = 8 + golomb_small(bits, "bit_depth_luma_minus8", 6)?;
    format.chroma_depth = 8 + golomb_small(bits, "bit_depth_chroma_minus8", 6)?;
    bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
    if bits.flag()? {
        for list in 0..if format.chroma == 3 { 12 } else { 8 } {
            if bits.flag()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(format)
}

fn skip_scaling_list(bits: &mut BitReader<'_>, size: usize) -> Result<(), BitError> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.signed_golomb()?.rem_euclid(256)) % 256;
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

fn skip_picture_order_count(bits: &mut BitReader<'_>) -> Result<(), ParameterSetError> {
    match at_most("pic_order_cnt_type", bits.unsigned_golomb()?, 2)? {
        0 => {
            at_most("log2_max_pic_order_cnt_lsb_minus4", bits.unsigned_golomb()?, 12)?;
        }
        1 => {
            bits.skip(1)?; // delta_pic_order_always_zero_flag
            bits.signed_golomb()?; // offset_for_non_ref_pic
            bits.signed_golomb()?; // offset_for_top_to_bottom_field
            let field = "num_ref_frames_in_pic_order_cnt_cycle";
            for _ in 0..at_most(field, bits.unsigned_golomb()?, 255)? {
                bits.signed_golomb()?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// `pic_parameter_set_id` of a picture parameter set NAL unit, header byte included.
///
/// # Errors
///
/// [`ParameterSetError`] where it is cut short or the id is above 255.
pub fn parse_pps_id(nal: &[u8]) -> Result<u32, ParameterSetError> {
    let raw = without_emulation_prevention(nal.get(..nal.len().min(16)).unwrap_or_default());
    let mut bits = BitReader::new(&raw);
    bits.skip(8)?;
    at_most("pic_parameter_set_id", bits.unsigned_golomb()?, 255)
}

/// A picture that is one field of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// `frame_num`, equal in both fields of a frame.
    pub frame_num: u32,
    /// True for the bottom field.
    pub bottom: bool,
}

/// What field the slice `nal` belongs to; `None` where it is a slice of a whole frame.
///
/// # Errors
///
/// [`BitError`] where the slice header ends early.
pub fn parse_field(nal: &[u8], sps: &Sps) -> Result<Option<Field>, BitError> {
    if sps.frame_mbs_only {
        return Ok(None);
    }
    let raw = without_emulation_prevention(nal.get(..nal.len().min(32)).unwrap_or_default());
    let mut bits = BitReader::new(&raw);
    bits.skip(8)?;
    bits.unsigned_golomb()?; // first_mb_in_slice
    bits.unsigned_golomb()?; // slice_type
    bits.unsigned_golomb()?; // pic_parameter_set_id
    if sps.separate_colour_planes {
        bits.skip(2)?;
    }
    let frame_num = bits.bits(sps.frame_num_bits)?;
    if !bits.flag()? {
        return Ok(None);
    }
    Ok(Some(Field { frame_num, bottom: bits.flag()? }))
}

/// The configuration that the first of `sps` (ordered by id) describes.
///
/// # Errors
///
/// [`ParameterSetError`] where that set cannot be read.
pub fn video_config(
    sps: Vec<Vec<u8>>,
    pps: Vec<Vec<u8>>,
) -> Result<VideoConfig, ParameterSetError> {
    let first = parse_sps(sps.first().map_or(&[], Vec::as_slice))?;
    let [profile, constraints, level] = first.profile_level;
    Ok(VideoConfig {
        vps: Vec::new(),
        sps,
        pps,
        rfc6381: format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        width: first.width,
        height: first.height,
        aspect: first.vui.aspect,
        frame_rate: first.vui.frame_rate,
        interlaced: !first.frame_mbs_only,
        chroma_format: first.chroma_format,
        bit_depth_luma: first.bit_depth_luma,
        bit_depth_chroma: first.bit_depth_chroma,
        colour: first.vui.colour,
    })
}
