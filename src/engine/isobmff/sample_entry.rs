//! Sample entries: which decoder a track needs and how it is configured (ISO/IEC 14496-12
//! §8.5.2).
//!
//! `avc1` and `hvc1` follow ISO/IEC 14496-15, `mp4a` ISO/IEC 14496-14, `ac-3` and `ec-3`
//! ETSI TS 102 366 annex F, `wvtt` and `stpp` ISO/IEC 14496-30.

use super::writer::BoxWriter;
use crate::engine::codec::{AacConfig, CodecConfig, VideoConfig};

/// NAL unit types of HEVC's parameter sets (ISO/IEC 23008-2 §7.4.2.2).
const HEVC_VPS: u8 = 32;
const HEVC_SPS: u8 = 33;
const HEVC_PPS: u8 = 34;

/// H.264 profiles whose decoder configuration tells chroma format and bit depths
/// (ISO/IEC 14496-15 §5.3.3.1.2).
const AVC_PROFILES_WITH_CHROMA: [u8; 4] = [100, 110, 122, 144];

/// The most sequence parameter sets `avcC` can count, in five bits.
const AVC_SPS_COUNT_MAX: usize = 31;

/// Bytes of `general_profile_space` up to `general_level_idc` (ISO/IEC 23008-2 §7.3.3).
const HEVC_PROFILE_TIER_LEVEL_SIZE: usize = 12;

/// Writes the sample entry of a track with this configuration.
pub fn write_sample_entry(writer: &mut BoxWriter, config: &CodecConfig) {
    match config {
        CodecConfig::Avc(video) => write_visual(writer, *b"avc1", video, write_avcc),
        CodecConfig::Hevc(video) => write_visual(writer, *b"hvc1", video, write_hvcc),
        CodecConfig::Aac(aac) => write_audio(writer, *b"mp4a", config, |w| write_esds(w, aac)),
        CodecConfig::Ac3(dolby) => write_audio(writer, *b"ac-3", config, |w| {
            w.boxed(*b"dac3", |w| w.bytes(&dolby.specific_box));
        }),
        CodecConfig::Eac3(dolby) => write_audio(writer, *b"ec-3", config, |w| {
            w.boxed(*b"dec3", |w| w.bytes(&dolby.specific_box));
        }),
        CodecConfig::WebVtt => writer.boxed(*b"wvtt", |w| {
            write_entry_start(w);
            w.boxed(*b"vttC", |w| w.bytes(b"WEBVTT"));
        }),
        // XMLSubtitleSampleEntry (ISO/IEC 14496-12 §12.6.3).
        CodecConfig::Ttml(_) => writer.boxed(*b"stpp", |w| {
            write_entry_start(w);
            w.bytes(b"http://www.w3.org/ns/ttml\0");
            w.zeros(1 + 1); // schema_location, auxiliary_mime_types
        }),
    }
}

/// `SampleEntry`: reserved bytes and `data_reference_index`.
fn write_entry_start(writer: &mut BoxWriter) {
    writer.zeros(6);
    writer.u16(1);
}

/// `VisualSampleEntry` (ISO/IEC 14496-12 §12.1.3) with `colr` and `pasp` where they say something.
fn write_visual(
    writer: &mut BoxWriter,
    kind: [u8; 4],
    video: &VideoConfig,
    write_config: impl FnOnce(&mut BoxWriter, &VideoConfig),
) {
    writer.boxed(kind, |w| {
        write_entry_start(w);
        w.zeros(16); // pre_defined, reserved
        w.u16(u16::try_from(video.width).unwrap_or(u16::MAX));
        w.u16(u16::try_from(video.height).unwrap_or(u16::MAX));
        w.u32(0x0048_0000); // 72 dots per inch across
        w.u32(0x0048_0000); // and down
        w.zeros(4); // reserved
        w.u16(1); // frame_count
        w.zeros(32); // compressorname
        w.u16(24); // depth
        w.u16(u16::MAX); // pre_defined
        write_config(w, video);
        if let Some((primaries, transfer, matrix, full_range)) = video.colour {
            w.boxed(*b"colr", |w| {
                w.bytes(b"nclx");
                w.u16(u16::from(primaries));
                w.u16(u16::from(transfer));
                w.u16(u16::from(matrix));
                w.u8(u8::from(full_range) << 7);
            });
        }
        if video.aspect != (1, 1) {
            w.boxed(*b"pasp", |w| {
                w.u32(u32::from(video.aspect.0));
                w.u32(u32::from(video.aspect.1));
            });
        }
    });
}

/// `avcC`: AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1).
fn write_avcc(writer: &mut BoxWriter, video: &VideoConfig) {
    // profile_idc, constraint flags and level_idc follow the NAL unit's header.
    let byte = |at: usize| video.sps.first().and_then(|sps| sps.get(at)).copied().unwrap_or(0);
    let sps = &video.sps[..video.sps.len().min(AVC_SPS_COUNT_MAX)];
    writer.boxed(*b"avcC", |w| {
        w.bytes(&[1, byte(1), byte(2), byte(3)]);
        w.u8(0xfc | 3); // lengthSizeMinusOne
        w.u8(0xe0 | count_u8(sps));
        write_parameter_sets(w, sps);
        w.u8(count_u8(&video.pps));
        write_parameter_sets(w, &video.pps);
        if AVC_PROFILES_WITH_CHROMA.contains(&byte(1)) {
            w.u8(0xfc | video.chroma_format);
            w.u8(0xf8 | video.bit_depth_luma.saturating_sub(8));
            w.u8(0xf8 | video.bit_depth_chroma.saturating_sub(8));
            w.u8(0); // no extension sets
        }
    });
}

/// `hvcC`: HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1).
fn write_hvcc(writer: &mut BoxWriter, video: &VideoConfig) {
    let start = hevc_sps_start(video.sps.first().map_or(&[], Vec::as_slice));
    // sps_video_parameter_set_id u4, sps_max_sub_layers_minus1 u3, temporal_id_nesting u1.
    let sub_layers = (start[0] >> 1 & 7) + 1;
    let nesting = start[0] & 1;
    writer.boxed(*b"hvcC", |w| {
        w.u8(1);
        w.bytes(&start[1..]);
        w.u16(0xf000); // min_spatial_segmentation_idc: not told
        w.u8(0xfc); // parallelismType: not told
        w.u8(0xfc | video.chroma_format);
        w.u8(0xf8 | video.bit_depth_luma.saturating_sub(8));
        w.u8(0xf8 | video.bit_depth_chroma.saturating_sub(8));
        w.u16(0); // avgFrameRate: not told
        w.u8(sub_layers << 3 | nesting << 2 | 3); // and lengthSizeMinusOne
        w.u8(3);
        for (kind, sets) in [(HEVC_VPS, &video.vps), (HEVC_SPS, &video.sps), (HEVC_PPS, &video.pps)]
        {
            w.u8(0x80 | kind); // array_completeness: `hvc1` has no set among the samples
            w.u16(u16::from(count_u8(sets)));
            write_parameter_sets(w, sets);
        }
    });
}

/// The first byte of an HEVC SPS's payload and its general profile, tier and level, freed of
/// emulation prevention (ISO/IEC 23008-2 §7.3.1.1); zeros where the set is too short.
fn hevc_sps_start(sps: &[u8]) -> [u8; 1 + HEVC_PROFILE_TIER_LEVEL_SIZE] {
    let mut out = [0; 1 + HEVC_PROFILE_TIER_LEVEL_SIZE];
    let mut slots = out.iter_mut();
    let mut zeros = 0;
    for &byte in sps.iter().skip(2) {
        if zeros == 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        match slots.next() {
            Some(slot) => *slot = byte,
            None => break,
        }
    }
    out
}

/// Parameter sets, each behind its 16-bit length.
fn write_parameter_sets(writer: &mut BoxWriter, sets: &[Vec<u8>]) {
    for set in sets {
        writer.u16(u16::try_from(set.len()).expect("parameter sets are at most 4 KiB"));
        writer.bytes(set);
    }
}

fn count_u8(sets: &[Vec<u8>]) -> u8 {
    u8::try_from(sets.len()).expect("parameter sets of a kind are at most 32")
}

/// `AudioSampleEntry` (ISO/IEC 14496-12 §12.2.3).
fn write_audio(
    writer: &mut BoxWriter,
    kind: [u8; 4],
    config: &CodecConfig,
    write_config: impl FnOnce(&mut BoxWriter),
) {
    writer.boxed(kind, |w| {
        write_entry_start(w);
        w.zeros(8); // reserved
        w.u16(u16::from(config.channels().unwrap_or(2)));
        w.u16(16); // samplesize
        w.zeros(4); // pre_defined, reserved
        // 16.16 fixed point; a rate that does not fit is told by the decoder's configuration.
        let rate = u16::try_from(config.timescale().per_second()).unwrap_or(0);
        w.u32(u32::from(rate) << 16);
        write_config(w);
    });
}

/// `esds` (ISO/IEC 14496-14 §6.7.2): an elementary stream descriptor around the
/// `AudioSpecificConfig` (ISO/IEC 14496-1 §7.2.6.5).
fn write_esds(writer: &mut BoxWriter, aac: &AacConfig) {
    let specific = &aac.audio_specific_config;
    // Sizes of the nested descriptors: each has a tag and a one-byte length before it.
    let specific_size = u8::try_from(specific.len()).expect("an AudioSpecificConfig is short");
    let decoder_size = 13 + 2 + specific_size;
    let stream_size = 3 + 2 + decoder_size + 2 + 1;
    assert!(stream_size < 0x80, "one-byte lengths have seven bits");
    writer.full_box(*b"esds", 0, 0, |w| {
        w.bytes(&[0x03, stream_size, 0, 0, 0]); // ES_Descriptor: ES_ID 0 in files, no flags
        w.bytes(&[0x04, decoder_size]); // DecoderConfigDescriptor
        w.bytes(&[0x40, 0x05 << 2 | 1]); // MPEG-4 audio, an audio stream
        w.zeros(3 + 4 + 4); // bufferSizeDB, maxBitrate, avgBitrate: not told
        w.bytes(&[0x05, specific_size]); // DecoderSpecificInfo
        w.bytes(specific);
        w.bytes(&[0x06, 1, 2]); // SLConfigDescriptor: as MP4 files use it
    });
}

#[cfg(test)]
mod tests;
