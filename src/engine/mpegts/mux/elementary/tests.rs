//! Tests of elementary streams as the multiplexer writes them.

use super::*;
use crate::engine::codec::DolbyConfig;

fn video() -> VideoConfig {
    VideoConfig {
        vps: vec![vec![0x40]],
        sps: vec![vec![0x42, 1], vec![0x42, 2]],
        pps: vec![vec![0x44]],
        rfc6381: String::new(),
        width: 320,
        height: 180,
        aspect: (1, 1),
        frame_rate: (30, 1),
        interlaced: false,
        chroma_format: 1,
        bit_depth_luma: 8,
        bit_depth_chroma: 8,
        colour: None,
    }
}

fn appended(config: &CodecConfig, sample: &[u8], random_access: bool) -> Vec<u8> {
    let mut out = Vec::new();
    append_access_unit(&mut out, config, sample, random_access);
    out
}

fn aac(audio_specific_config: &[u8]) -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: audio_specific_config.to_vec(),
        object_type: 2,
        sample_rate: 48_000,
        channels: 2,
        frame_samples: 1024,
    })
}

#[test]
fn pictures_get_start_codes_and_sets_at_random_access_points() {
    let sample = b"\0\0\0\x02\x26\x01\0\0\0\x03\x27\x02\x03";
    let media = b"\0\0\x01\x26\x01\0\0\x01\x27\x02\x03";
    let sets = b"\0\0\0\x01\x40\0\0\0\x01\x42\x01\0\0\0\x01\x42\x02\0\0\0\x01\x44";
    let avc = CodecConfig::Avc(video());
    let hevc = CodecConfig::Hevc(video());
    assert_eq!(appended(&avc, sample, false), [AVC_DELIMITER, media].concat());
    assert_eq!(appended(&avc, sample, true), [AVC_DELIMITER, sets, media].concat());
    assert_eq!(appended(&hevc, sample, true), [HEVC_DELIMITER, sets, media].concat());
}

#[test]
fn adts_headers() {
    // Config; what bytes 2 and 3 say of object type, rate index and channels.
    let table: [(&[u8], [u8; 2]); 4] = [
        (&[0x11, 0x90], [0x4c, 0x80]),       // LC, 48 kHz, stereo
        (&[0x12, 0x30], [0x51, 0x80]),       // LC, 44.1 kHz, 5.1
        (&[0x2b, 0x11, 0x88], [0x58, 0x80]), // explicit SBR over LC at 24 kHz, stereo
        (&[], [0x40, 0x00]),
    ];
    for (config, [profile, channels]) in table {
        let frame = appended(&aac(config), &[0xaa; 0x0123], true);
        // 0x123 + 7 bytes: 0x12a.
        let want = [0xff, 0xf1, profile, channels, 0x25, 0x5f, 0xfc];
        assert_eq!(frame[..7], want, "{config:?}");
        assert_eq!(frame[7..], [0xaa; 0x0123]);
    }
}

#[test]
fn dolby_frames_stay_as_they_are() {
    let config = CodecConfig::Ac3(DolbyConfig {
        specific_box: Vec::new(),
        sample_rate: 48_000,
        channels: 2,
        frame_samples: 1536,
    });
    assert_eq!(appended(&config, b"\x0b\x77", true), b"\x0b\x77");
    assert_eq!((overhead(&config), overhead(&aac(&[]))), (0, 7));
}

#[test]
#[should_panic(expected = "whole NAL units")]
fn half_a_length_is_a_mistake_of_ours() {
    let _ = appended(&CodecConfig::Avc(video()), &[0, 0, 0], false);
}
