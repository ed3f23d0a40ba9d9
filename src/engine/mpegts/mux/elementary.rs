//! Turns samples of the ring back into the elementary streams that transport streams carry.
//!
//! Pictures get an access unit delimiter, their parameter sets at random access points, and start
//! codes for lengths (ISO/IEC 14496-10 and ISO/IEC 23008-2, annex B). AAC frames get their ADTS
//! header (ISO/IEC 14496-3 §1.A.2.2). Dolby frames are carried as they are.

use crate::engine::codec::{AacConfig, CodecConfig, VideoConfig};

/// Delimiters that allow any type of slice, with the four-byte start code that begins a unit.
const AVC_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x09, 0xf0];
const HEVC_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x46, 0x01, 0x50];

/// Start code of parameter sets, with the `zero_byte` that they must have.
const LONG_START_CODE: &[u8] = &[0, 0, 0, 1];
/// Start code of other NAL units.
const START_CODE: &[u8] = &[0, 0, 1];

/// Bytes of an ADTS header without checksum.
const ADTS_HEADER_SIZE: usize = 7;
/// Largest `aac_frame_length`, header included: 13 bits.
const ADTS_FRAME_SIZE_MAX: usize = (1 << 13) - 1;
/// Audio object types (ISO/IEC 14496-3 §1.5.1.1).
const OBJECT_TYPE_LC: u8 = 2;
const OBJECT_TYPE_MAX_IN_ADTS: u8 = 4;

/// Bytes that [`append_access_unit`] adds to each audio frame.
pub fn overhead(config: &CodecConfig) -> usize {
    if matches!(config, CodecConfig::Aac(_)) { ADTS_HEADER_SIZE } else { 0 }
}

/// Appends one access unit to the elementary stream of its track.
///
/// # Panics
///
/// If the sample is not in the ring's form.
pub fn append_access_unit(
    out: &mut Vec<u8>,
    config: &CodecConfig,
    sample: &[u8],
    random_access: bool,
) {
    match config {
        CodecConfig::Avc(video) => {
            out.extend_from_slice(AVC_DELIMITER);
            append_picture(out, video, sample, random_access);
        }
        CodecConfig::Hevc(video) => {
            out.extend_from_slice(HEVC_DELIMITER);
            append_picture(out, video, sample, random_access);
        }
        CodecConfig::Aac(aac) => {
            out.extend_from_slice(&adts_header(aac, sample.len()));
            out.extend_from_slice(sample);
        }
        CodecConfig::Ac3(_) | CodecConfig::Eac3(_) | CodecConfig::WebVtt | CodecConfig::Ttml(_) => {
            out.extend_from_slice(sample);
        }
    }
}

fn append_picture(out: &mut Vec<u8>, video: &VideoConfig, sample: &[u8], random_access: bool) {
    if random_access {
        for set in video.vps.iter().chain(&video.sps).chain(&video.pps) {
            out.extend_from_slice(LONG_START_CODE);
            out.extend_from_slice(set);
        }
    }
    let mut rest = sample;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let size = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (unit, after) = after.split_at(size);
        out.extend_from_slice(START_CODE);
        out.extend_from_slice(unit);
        rest = after;
    }
    assert!(rest.is_empty(), "a sample is whole NAL units");
}

/// The ADTS header of a frame of `size` bytes, for the object type, rate and channels of the
/// `AudioSpecificConfig`; SBR stays implicit, for ADTS cannot tell it.
fn adts_header(aac: &AacConfig, size: usize) -> [u8; ADTS_HEADER_SIZE] {
    let byte = |at: usize| aac.audio_specific_config.get(at).copied().unwrap_or(0);
    // audioObjectType u5, samplingFrequencyIndex u4, channelConfiguration u4.
    let object_type = match byte(0) >> 3 {
        kind @ 1..=OBJECT_TYPE_MAX_IN_ADTS => kind,
        _ => OBJECT_TYPE_LC,
    };
    let rate = (byte(0) & 7) << 1 | byte(1) >> 7;
    let channels = byte(1) >> 3 & 0x0f;

    let length = size + ADTS_HEADER_SIZE;
    assert!(length <= ADTS_FRAME_SIZE_MAX, "frames came with such a header");
    let length = u16::try_from(length).expect("13 bits");
    // The length's 13 bits, then 11 ones of buffer fullness (variable rate) and a block count of 0.
    let [l0, l1, l2, l3] = (u32::from(length) << 13 | 0x7ff << 2).to_be_bytes();
    [
        0xff,
        0xf1, // MPEG-4, no checksum
        (object_type - 1) << 6 | rate << 2 | channels >> 2,
        (channels & 3) << 6 | l0,
        l1,
        l2,
        l3,
    ]
}

#[cfg(test)]
mod tests;
