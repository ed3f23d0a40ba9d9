//! Fragments box by box, and what joined records come to.

use super::*;
use crate::engine::codec::AacConfig;

fn audio(sample_rate: u32) -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x11, 0x90],
        object_type: 2,
        sample_rate,
        channels: 2,
        frame_samples: 1024,
    })
}

fn part(samples: &[Sample], decode_start: i64) -> FragmentPart<'_> {
    FragmentPart {
        samples,
        decode_start: MediaTime(decode_start),
        payload_size: samples.iter().map(|sample| sample.size).sum(),
    }
}

fn picture(duration: u32) -> Sample {
    Sample { size: 900, duration, composition_offset: 6000, random_access: true }
}

fn fragment<'a>(
    config: &'a CodecConfig,
    parts: &'a [FragmentPart<'a>],
    next: &'a [(MediaTime, MediaTime)],
) -> SmoothFragment<'a> {
    let (start, end) = (MediaTime(0x1_0000_1772), MediaTime(0x1_0000_232a));
    SmoothFragment { config, sequence_number: 7, parts, start, end, next }
}

#[test]
fn a_fragment_box_by_box() {
    let samples = [picture(3000)];
    let next = [
        (MediaTime(0x1_0000_232a), MediaTime(0x1_0000_2ee2)),
        (MediaTime(0x1_0000_2ee3), MediaTime(0x1_0000_2ee4)),
    ];
    let parts = [part(&samples, 0x1_0000_0002)];
    let fragment = fragment(&CodecConfig::WebVtt, &parts, &next);
    let heads = fragment.write_heads().expect("it is small");

    let mut want = b"\0\0\0\xd1moof".to_vec();
    want.extend(b"\0\0\0\x10mfhd\0\0\0\0\0\0\0\x07");
    want.extend(b"\0\0\0\xb9traf");
    want.extend(b"\0\0\0\x1ctfhd\0\x02\0\x38\0\0\0\x01\0\0\x0b\xb8\0\0\x03\x84\x02\0\0\0");
    want.extend(b"\0\0\0\x14tfdt\x01\0\0\0\0\0\0\x01\0\0\0\x02");
    want.extend(b"\0\0\0\x18trun\x01\0\x08\x01\0\0\0\x01\0\0\0\xd9\0\0\x17\x70");
    want.extend(b"\0\0\0\x2cuuid\x6d\x1d\x9b\x05\x42\xd5\x44\xe6\x80\xe2\x14\x1d\xaf\xf7\x57\xb2");
    want.extend(b"\x01\0\0\0\0\0\0\x01\0\0\x17\x72\0\0\0\0\0\0\x0b\xb8");
    want.extend(b"\0\0\0\x3duuid\xd4\x80\x7e\xf2\xca\x39\x46\x95\x8e\x54\x26\xcb\x9e\x46\xa7\x9f");
    want.extend(b"\x01\0\0\0\x02\0\0\0\x01\0\0\x23\x2a\0\0\0\0\0\0\x0b\xb8");
    want.extend(b"\0\0\0\x01\0\0\x2e\xe3\0\0\0\0\0\0\0\x01");
    assert_eq!(fragment.write_moof(), want);
    want.extend(b"\0\0\x03\x8cmdat");
    assert_eq!(heads, [want]);
}

#[test]
fn nothing_follows_the_last_fragment() {
    let samples = [picture(3000)];
    let parts = [part(&samples, 0)];
    let moof = fragment(&CodecConfig::WebVtt, &parts, &[]).write_moof();
    assert!(moof.windows(16).any(|window| window == TFXD));
    assert!(!moof.windows(16).any(|window| window == TFRF));
}

#[test]
fn joined_records_share_a_run_and_a_hole_is_the_last_samples_duration() {
    let samples = [picture(3000), picture(3000)];
    for (second_start, duration) in [(6000, 3000), (96_000, 93_000), (5000, 2000), (1000, 0)] {
        let parts = [part(&samples, 0), part(&samples, second_start)];
        let (begin, joined) = join(&CodecConfig::WebVtt, &parts);
        let durations: Vec<u32> = joined.iter().map(|sample| sample.duration).collect();
        assert_eq!((begin, durations), (0, vec![3000, duration, 3000, 3000]));
        let heads = fragment(&CodecConfig::WebVtt, &parts, &[]).write_heads().expect("small");
        assert_eq!(heads.len(), 2);
        assert!(heads[0].ends_with(b"\0\0\x0e\x18mdat") && heads[1].is_empty());
    }
}

#[test]
fn rounding_of_sound_moves_nothing() {
    let frames =
        [Sample { size: 9, duration: 1024, composition_offset: 0, random_access: true }; 3];
    // 3 frames of 44.1 kHz last 6269.4 ticks of 90 kHz.
    let parts = [part(&frames, 10), part(&frames, 6279), part(&frames, 12_549)];
    let (begin, joined) = join(&audio(44_100), &parts);
    assert_eq!(begin, 5);
    assert!(joined.iter().all(|sample| sample.duration == 1024));
}

#[test]
fn what_one_mdat_cannot_hold_is_refused() {
    let samples = [Sample { size: u32::MAX - 7, ..picture(3000) }];
    let parts = [part(&samples, 0), part(&samples, 3000)];
    let refused =
        |parts: &[FragmentPart<'_>]| fragment(&CodecConfig::WebVtt, parts, &[]).write_heads().err();
    assert_eq!(refused(&parts), Some(2 * (u64::from(u32::MAX) - 7)));
    assert_eq!(refused(&parts[..1]), Some(u64::from(u32::MAX) - 7));
}
