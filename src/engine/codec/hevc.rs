//! H.265 parameter sets.
//!
//! ISO/IEC 23008-2 §7.3.2.1 to §7.3.2.3, §7.3.3 (profile, tier and level), annex E (VUI), and the
//! codec string of ISO/IEC 14496-15 annex E. Of short-term reference sets only the length is read.

use super::VideoConfig;
use super::parameter_set::{ParameterSetError, at_most, golomb_small};
use super::vui::{self, Vui};
use crate::engine::bits::{BitReader, without_emulation_prevention};
use std::fmt::Write as _;

/// `nal_unit_type` of a video parameter set.
pub const NAL_VPS: u8 = 32;
/// `nal_unit_type` of a sequence parameter set.
pub const NAL_SPS: u8 = 33;
/// `nal_unit_type` of a picture parameter set.
pub const NAL_PPS: u8 = 34;
/// `nal_unit_type` of an access unit delimiter.
pub const NAL_AUD: u8 = 35;

/// `general_…` fields of `profile_tier_level` (§7.3.3), 12 bytes as `hvcC` repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileTierLevel {
    /// Profile space (2 bits), tier flag, profile (5 bits); 32 compatibility flags; 48 bits of
    /// constraints; level.
    pub general: [u8; 12],
}

/// What a sequence parameter set says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `sps_seq_parameter_set_id`.
    pub id: u32,
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// `chroma_format_idc`.
    pub chroma_format: u8,
    /// Bits per luma sample.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample.
    pub bit_depth_chroma: u8,
    /// Width after cropping.
    pub width: u32,
    /// Height after cropping.
    pub height: u32,
    /// `sps_max_sub_layers_minus1` + 1.
    pub temporal_layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub temporal_id_nested: bool,
    /// Video usability information.
    pub vui: Vui,
}

/// `vps_video_parameter_set_id` of a video parameter set NAL unit, header included.
///
/// # Errors
///
/// [`ParameterSetError`] where it is cut short.
pub fn parse_vps_id(nal: &[u8]) -> Result<u32, ParameterSetError> {
    let mut bits = BitReader::new(nal);
    bits.skip(16)?;
    Ok(bits.bits(4)?)
}

/// `pps_pic_parameter_set_id` of a picture parameter set NAL unit, header included.
///
/// # Errors
///
/// [`ParameterSetError`] where it is cut short or the id is above 63.
pub fn parse_pps_id(nal: &[u8]) -> Result<u32, ParameterSetError> {
    let mut bits = BitReader::new(nal);
    bits.skip(16)?;
    at_most("pps_pic_parameter_set_id", bits.unsigned_golomb()?, 63)
}

/// Reads a sequence parameter set NAL unit, header included.
///
/// # Errors
///
/// [`ParameterSetError`] where it is cut short or out of the standard's bounds.
pub fn parse_sps(nal: &[u8]) -> Result<Sps, ParameterSetError> {
    let raw = without_emulation_prevention(nal);
    let mut bits = BitReader::new(&raw);
    bits.skip(16 + 4)?; // header, sps_video_parameter_set_id
    let sub_layers = bits.small(3)?;
    at_most("sps_max_sub_layers_minus1", u32::from(sub_layers), 6)?;
    let temporal_id_nested = bits.flag()?;
    let profile = parse_profile_tier_level(&mut bits, sub_layers)?;
    let id = at_most("sps_seq_parameter_set_id", bits.unsigned_golomb()?, 15)?;
    let chroma_format = golomb_small(&mut bits, "chroma_format_idc", 3)?;
    let separate_planes = chroma_format == 3 && bits.flag()?;
    // 16,888 samples a side is the most of level 6.2 (table A.8: the square root of 8 × MaxLumaPs).
    let mut width = at_most("pic_width_in_luma_samples", bits.unsigned_golomb()?, 16_888)?;
    let mut height = at_most("pic_height_in_luma_samples", bits.unsigned_golomb()?, 16_888)?;
    if bits.flag()? {
        let unit = vui::crop_unit(chroma_format, separate_planes);
        (width, height) = vui::crop(&mut bits, (width, height), unit)?;
    }
    let bit_depth_luma = 8 + golomb_small(&mut bits, "bit_depth_luma_minus8", 8)?;
    let bit_depth_chroma = 8 + golomb_small(&mut bits, "bit_depth_chroma_minus8", 8)?;
    // A set that is unreadable from here on says no VUI, but pictures decode without it.
    let vui = parse_to_vui(&mut bits, sub_layers).unwrap_or_default();
    Ok(Sps {
        id,
        profile,
        chroma_format,
        bit_depth_luma,
        bit_depth_chroma,
        width,
        height,
        temporal_layers: sub_layers + 1,
        temporal_id_nested,
        vui,
    })
}

fn parse_profile_tier_level(
    bits: &mut BitReader<'_>,
    sub_layers: u8,
) -> Result<ProfileTierLevel, ParameterSetError> {
    let mut general = [0; 12];
    for byte in &mut general {
        *byte = bits.small(8)?;
    }
    let mut present = [(false, false); 6];
    for layer in present.iter_mut().take(usize::from(sub_layers)) {
        *layer = (bits.flag()?, bits.flag()?);
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - usize::from(sub_layers)))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Ok(ProfileTierLevel { general })
}

/// From `log2_max_pic_order_cnt_lsb_minus4` to the VUI (§7.3.2.2.1).
fn parse_to_vui(bits: &mut BitReader<'_>, sub_layers: u8) -> Result<Vui, ParameterSetError> {
    let order_count_bits = 4 + golomb_small(bits, "log2_max_pic_order_cnt_lsb_minus4", 12)?;
    let layers = if bits.flag()? { sub_layers + 1 } else { 1 };
    for _ in 0..layers * 3 {
        bits.unsigned_golomb()?; // buffering, reordering, latency
    }
    for _ in 0..6 {
        bits.unsigned_golomb()?; // block and transform sizes
    }
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.skip(8)?; // PCM bit depths
        bits.unsigned_golomb()?;
        bits.unsigned_golomb()?;
        bits.skip(1)?;
    }
    skip_reference_sets(bits)?;
    if bits.flag()? {
        for _ in 0..at_most("num_long_term_ref_pics_sps", bits.unsigned_golomb()?, 32)? {
            bits.skip(usize::from(order_count_bits) + 1)?;
        }
    }
    bits.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    Ok(if bits.flag()? { vui::parse_hevc(bits)? } else { Vui::default() })
}

/// `scaling_list_data` (§7.3.4).
fn skip_scaling_lists(bits: &mut BitReader<'_>) -> Result<(), ParameterSetError> {
    for size in 0..4_u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !bits.flag()? {
                bits.unsigned_golomb()?;
                continue;
            }
            if size > 1 {
                bits.signed_golomb()?;
            }
            for _ in 0..64.min(1 << (4 + (size << 1))) {
                bits.signed_golomb()?;
            }
        }
    }
    Ok(())
}

/// `st_ref_pic_set` of all sets (§7.3.7), of which the number of pictures must be followed.
fn skip_reference_sets(bits: &mut BitReader<'_>) -> Result<(), ParameterSetError> {
    let sets = at_most("num_short_term_ref_pic_sets", bits.unsigned_golomb()?, 64)?;
    let mut previous = 0;
    for set in 0..sets {
        if set > 0 && bits.flag()? {
            bits.skip(1)?; // delta_rps_sign
            bits.unsigned_golomb()?; // abs_delta_rps_minus1
            let mut pictures = 0;
            for _ in 0..=previous {
                let used = bits.flag()?;
                if used || bits.flag()? {
                    pictures += 1;
                }
            }
            previous = at_most("pictures of a reference set", pictures, 16)?;
        } else {
            let negative = at_most("num_negative_pics", bits.unsigned_golomb()?, 16)?;
            let positive = at_most("num_positive_pics", bits.unsigned_golomb()?, 16)?;
            for _ in 0..negative + positive {
                bits.unsigned_golomb()?;
                bits.skip(1)?;
            }
            previous = negative + positive;
        }
    }
    Ok(())
}

/// The codec string (ISO/IEC 14496-15 annex E.3).
fn rfc6381(profile: ProfileTierLevel) -> String {
    let [head, c0, c1, c2, c3, constraints @ .., level] = profile.general;
    let space = ["", "A", "B", "C"][usize::from(head >> 6)];
    let compatibility = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
    let tier = if head & 0x20 == 0 { 'L' } else { 'H' };
    let mut codec = format!("hvc1.{space}{}.{compatibility:X}.{tier}{level}", head & 0x1f);
    let used = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        // Writing to a string cannot fail.
        let _ = write!(codec, ".{byte:X}");
    }
    codec
}

/// The configuration that the first of `sps` (ordered by id) describes.
///
/// # Errors
///
/// [`ParameterSetError`] where that set cannot be read.
pub fn video_config(
    vps: Vec<Vec<u8>>,
    sps: Vec<Vec<u8>>,
    pps: Vec<Vec<u8>>,
) -> Result<VideoConfig, ParameterSetError> {
    let first = parse_sps(sps.first().map_or(&[], Vec::as_slice))?;
    Ok(VideoConfig {
        vps,
        sps,
        pps,
        rfc6381: rfc6381(first.profile),
        width: first.width,
        height: first.height,
        aspect: first.vui.aspect,
        frame_rate: first.vui.frame_rate,
        interlaced: first.vui.fields,
        chroma_format: first.chroma_format,
        bit_depth_luma: first.bit_depth_luma,
        bit_depth_chroma: first.bit_depth_chroma,
        colour: first.vui.colour,
    })
}
