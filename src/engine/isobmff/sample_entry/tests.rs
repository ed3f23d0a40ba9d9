//! Tests of sample entries and their configuration records.

use super::*;
use crate::engine::codec::DolbyConfig;

fn video(vps: &[&[u8]], sps: &[&[u8]], pps: &[&[u8]]) -> VideoConfig {
    let own = |sets: &[&[u8]]| sets.iter().map(|set| set.to_vec()).collect();
    VideoConfig {
        vps: own(vps),
        sps: own(sps),
        pps: own(pps),
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

fn entry(config: &CodecConfig) -> Vec<u8> {
    let mut writer = BoxWriter::default();
    write_sample_entry(&mut writer, config);
    writer.finish()
}

const VISUAL_SIZE: usize = 8 + 78;
const AUDIO_SIZE: usize = 8 + 28;

#[test]
fn visual_entry_fields() {
    let bytes = entry(&CodecConfig::Avc(video(&[], &[&[0x67, 66, 0, 10]], &[&[0x68]])));
    let mut want = b"\0\0\0\x6eavc1\0\0\0\0\0\0\0\x01".to_vec();
    want.extend([0; 16]);
    want.extend(b"\x01\x40\0\xb4\0\x48\0\0\0\x48\0\0\0\0\0\0\0\x01");
    want.extend([0; 32]);
    want.extend(b"\0\x18\xff\xff");
    assert_eq!(bytes[..VISUAL_SIZE], want);
    let avcc = b"\0\0\0\x18avcC\x01\x42\0\x0a\xff\xe1\0\x04\x67\x42\0\x0a\x01\0\x01\x68";
    assert_eq!(bytes[VISUAL_SIZE..], avcc[..]);
}

#[test]
fn high_profile_tells_chroma_and_depth() {
    let mut config = video(&[], &[&[0x67, 110, 0, 10], &[0x67, 110, 0, 10, 1]], &[]);
    config.chroma_format = 2;
    config.bit_depth_luma = 10;
    config.bit_depth_chroma = 9;
    let bytes = entry(&CodecConfig::Avc(config));
    assert!(bytes.ends_with(&[0, 5, 0x67, 110, 0, 10, 1, 0, 0xfe, 0xfa, 0xf9, 0]));
    assert_eq!(bytes[VISUAL_SIZE + 13], 0xe0 | 2);
}

#[test]
fn sets_beyond_the_counters_range_are_left_out() {
    let set: &[u8] = &[0x67, 66, 0, 10];
    let bytes = entry(&CodecConfig::Avc(video(&[], &[set; 32], &[])));
    assert_eq!(bytes.len(), VISUAL_SIZE + 8 + 6 + 31 * 6 + 1);
    assert_eq!(bytes[VISUAL_SIZE + 13], 0xff);
}

#[test]
fn hevc_record_frees_the_profile_of_emulation_prevention() {
    let sps: &[u8] =
        &[0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3c, 0xa0, 0x0a];
    let bytes = entry(&CodecConfig::Hevc(video(&[&[0x40, 1]], &[sps], &[&[0x44, 1]])));
    let mut want = b"\0\0\0\x4ehvcC\x01".to_vec();
    want.extend(b"\x01\x60\0\0\0\x90\0\0\0\0\0\x3c\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\x03");
    want.extend(b"\xa0\0\x01\0\x02\x40\x01\xa1\0\x01\0\x14");
    want.extend(sps);
    want.extend(b"\xa2\0\x01\0\x02\x44\x01");
    want[3] = u8::try_from(want.len()).unwrap();
    assert_eq!(bytes[4..8], *b"hvc1");
    assert_eq!(bytes[VISUAL_SIZE..], want);
}

#[test]
fn short_parameter_sets_are_written_as_they_are() {
    for size in 0..15 {
        let set: &[u8] = &[0x42; 15][..size];
        let config = video(&[], &[set], &[]);
        assert!(entry(&CodecConfig::Avc(config.clone())).len() > VISUAL_SIZE);
        assert!(entry(&CodecConfig::Hevc(config)).len() > VISUAL_SIZE);
    }
}

#[test]
fn colour_and_aspect_follow_the_decoder_configuration() {
    let mut config = video(&[], &[&[0x67, 66, 0, 10]], &[]);
    config.colour = Some((9, 16, 9, true));
    config.aspect = (4, 3);
    let bytes = entry(&CodecConfig::Avc(config));
    let mut want = b"\0\0\0\x13colrnclx\0\x09\0\x10\0\x09\x80".to_vec();
    want.extend(b"\0\0\0\x10pasp\0\0\0\x04\0\0\0\x03");
    assert!(bytes.ends_with(&want));
}

#[test]
fn aac_descriptors() {
    let bytes = entry(&CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x11, 0x90],
        object_type: 2,
        sample_rate: 48_000,
        channels: 2,
        frame_samples: 1024,
    }));
    let mut want = b"\0\0\0\x4bmp4a\0\0\0\0\0\0\0\x01".to_vec();
    want.extend(b"\0\0\0\0\0\0\0\0\0\x02\0\x10\0\0\0\0\xbb\x80\0\0");
    assert_eq!(bytes[..AUDIO_SIZE], want);
    let mut want = b"\0\0\0\x27esds\0\0\0\0\x03\x19\0\0\0\x04\x11\x40\x15".to_vec();
    want.extend([0; 11]);
    want.extend(b"\x05\x02\x11\x90\x06\x01\x02");
    assert_eq!(bytes[AUDIO_SIZE..], want);
}

#[test]
fn dolby_and_text_entries() {
    let dolby = DolbyConfig {
        specific_box: vec![1, 2, 3],
        sample_rate: 96_000,
        channels: 6,
        frame_samples: 1536,
    };
    let ac3 = entry(&CodecConfig::Ac3(dolby.clone()));
    assert_eq!(ac3[..8], *b"\0\0\0\x2fac-3");
    assert_eq!(ac3[24..36], *b"\0\x06\0\x10\0\0\0\0\0\0\0\0", "96 kHz does not fit");
    assert!(ac3.ends_with(b"\0\0\0\x0bdac3\x01\x02\x03"));
    let eac3 = entry(&CodecConfig::Eac3(dolby));
    assert_eq!(eac3[..8], *b"\0\0\0\x2fec-3");
    assert!(eac3.ends_with(b"\0\0\0\x0bdec3\x01\x02\x03"));
    let text = b"\0\0\0\x1ewvtt\0\0\0\0\0\0\0\x01\0\0\0\x0evttCWEBVTT";
    assert_eq!(entry(&CodecConfig::WebVtt), text);
}
