//! What Smooth Streaming says of a decoder's configuration: `FourCC`, `AudioTag` and
//! `CodecPrivateData` ([MS-SSTR] §2.2.2.5, and its amendment for HEVC).

use crate::engine::codec::{CodecConfig, DolbyConfig, VideoConfig};

/// `AudioTag` of raw AAC, and of what a `WAVEFORMATEXTENSIBLE` describes.
const TAG_AAC: u16 = 0x00ff;
const TAG_EXTENSIBLE: u16 = 0xfffe;

/// `SubFormat` of `WAVEFORMATEXTENSIBLE`, in the byte order of a GUID in memory: Dolby Digital,
/// e06d802c-db46-11cf-b4d1-00805f6cbbea, and Dolby Digital Plus,
/// a7fb87af-2d02-42fb-a4d4-05cd93843bdd.
const DOLBY_DIGITAL: [u8; 16] = 0x2c80_6de0_46db_cf11_b4d1_0080_5f6c_bbea_u128.to_be_bytes();
const DOLBY_DIGITAL_PLUS: [u8; 16] = 0xaf87_fba7_022d_fb42_a4d4_05cd_9384_3bdd_u128.to_be_bytes();

/// The start code before each parameter set (ISO/IEC 14496-10 annex B).
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// A `QualityLevel`'s codec.
pub(super) struct SmoothCodec {
    pub(super) four_cc: &'static str,
    /// `CodecPrivateData` before it is written in hex.
    pub(super) private_data: Vec<u8>,
    /// `AudioTag`, of sound alone.
    pub(super) audio_tag: Option<u16>,
}

/// What is said of `config`; `None` for what it has no word for.
pub(super) fn smooth_codec(config: &CodecConfig) -> Option<SmoothCodec> {
    let (four_cc, private_data, audio_tag) = match config {
        CodecConfig::Avc(video) => ("H264", parameter_sets(video), None),
        CodecConfig::Hevc(video) => ("HVC1", parameter_sets(video), None),
        CodecConfig::Aac(aac) => {
            let four_cc = if aac.object_type == 2 { "AACL" } else { "AACH" };
            (four_cc, aac.audio_specific_config.clone(), Some(TAG_AAC))
        }
        CodecConfig::Ac3(dolby) => ("AC-3", extensible(dolby, DOLBY_DIGITAL), Some(TAG_EXTENSIBLE)),
        CodecConfig::Eac3(dolby) => {
            ("EC-3", extensible(dolby, DOLBY_DIGITAL_PLUS), Some(TAG_EXTENSIBLE))
        }
        CodecConfig::Ttml(_) => ("TTML", Vec::new(), None),
        CodecConfig::WebVtt => return None,
    };
    Some(SmoothCodec { four_cc, private_data, audio_tag })
}

/// All parameter sets as a byte stream.
fn parameter_sets(video: &VideoConfig) -> Vec<u8> {
    let sets = video.vps.iter().chain(&video.sps).chain(&video.pps);
    sets.flat_map(|set| START_CODE.iter().chain(set)).copied().collect()
}

/// `WAVEFORMATEXTENSIBLE` from `wSamplesPerBlock` on, little-endian, and then what the sample
/// entry's codec box holds.
fn extensible(dolby: &DolbyConfig, sub_format: [u8; 16]) -> Vec<u8> {
    let samples = u16::try_from(dolby.frame_samples).unwrap_or(u16::MAX);
    let mut out = samples.to_le_bytes().to_vec();
    out.extend(speakers(dolby.channels).to_le_bytes());
    out.extend(sub_format);
    out.extend(&dolby.specific_box);
    out
}

/// `dwChannelMask` of the usual layout of so many channels.
const fn speakers(channels: u8) -> u32 {
    match channels {
        1 => 0x4,
        2 => 0x3,
        3 => 0x7,
        4 => 0x33,
        5 => 0x37,
        6 => 0x3f,
        7 => 0x13f,
        _ => 0x63f,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dolby_digital_plus_is_a_wave_format_and_dec3() {
        let dolby = DolbyConfig {
            specific_box: vec![0x07, 0x00, 0x20, 0x0f, 0x00],
            sample_rate: 48_000,
            channels: 6,
            frame_samples: 1536,
        };
        let codec = smooth_codec(&CodecConfig::Eac3(dolby.clone())).expect("sound");
        let mut expected = vec![0x00, 0x06, 0x3f, 0x00, 0x00, 0x00];
        expected.extend([0xaf, 0x87, 0xfb, 0xa7, 0x02, 0x2d, 0xfb, 0x42]);
        expected.extend([0xa4, 0xd4, 0x05, 0xcd, 0x93, 0x84, 0x3b, 0xdd]);
        expected.extend([0x07, 0x00, 0x20, 0x0f, 0x00]);
        assert_eq!(codec.private_data, expected);
        assert_eq!((codec.four_cc, codec.audio_tag), ("EC-3", Some(0xfffe)));
        let codec = smooth_codec(&CodecConfig::Ac3(dolby)).expect("sound");
        assert_eq!(codec.four_cc, "AC-3");
        assert_eq!(codec.private_data[6..10], [0x2c, 0x80, 0x6d, 0xe0]);
        assert!(smooth_codec(&CodecConfig::WebVtt).is_none());
    }
}
