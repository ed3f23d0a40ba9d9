//! Tests of fragment heads: which fields a run carries, and what its times come to.

use super::*;
use crate::engine::codec::AacConfig;
use proptest::prelude::*;

fn audio(sample_rate: u32) -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x11, 0x90],
        object_type: 2,
        sample_rate,
        channels: 2,
        frame_samples: 1024,
    })
}

fn frame(size: u32) -> Sample {
    Sample { size, duration: 1024, composition_offset: 0, random_access: true }
}

fn picture(size: u32, composition_offset: i32, random_access: bool) -> Sample {
    Sample { size, duration: 3000, composition_offset, random_access }
}

fn part(samples: &[Sample], decode_start: i64) -> FragmentPart<'_> {
    FragmentPart {
        samples,
        decode_start: MediaTime(decode_start),
        payload_size: samples.iter().map(|sample| sample.size).sum(),
    }
}

/// The content of the first box of this kind, at any depth.
fn content(bytes: &[u8], kind: [u8; 4]) -> &[u8] {
    let at = bytes.windows(4).position(|window| *window == kind).expect("the box is there");
    let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap());
    let end = (at - 4 + usize::try_from(size).unwrap()).min(bytes.len());
    &bytes[at + 4..end]
}

fn decode_time(head: &[u8]) -> u64 {
    u64::from_be_bytes(content(head, *b"tfdt")[4..].try_into().unwrap())
}

#[test]
fn one_picture_and_its_successors() {
    let samples = [picture(900, 6000, true), picture(20, -3000, false), picture(30, 0, false)];
    let heads = write_fragment_heads(&CodecConfig::WebVtt, 7, &[part(&samples, 0x1_0000_0002)]);

    let mut want = b"\0\0\0\x18stypmsdh\0\0\0\0msdhcmfs".to_vec();
    want.extend(b"\0\0\0\x7cmoof");
    want.extend(b"\0\0\0\x10mfhd\0\0\0\0\0\0\0\x07");
    want.extend(b"\0\0\0\x64traf");
    want.extend(b"\0\0\0\x18tfhd\0\x02\0\x28\0\0\0\x01\0\0\x0b\xb8\x01\x01\0\0");
    want.extend(b"\0\0\0\x14tfdt\x01\0\0\0\0\0\0\x01\0\0\0\x02");
    want.extend(b"\0\0\0\x30trun\x01\0\x0a\x05\0\0\0\x03\0\0\0\x84\x02\0\0\0");
    want.extend(b"\0\0\x03\x84\0\0\x17\x70\0\0\0\x14\xff\xff\xf4\x48\0\0\0\x1e\0\0\0\0");
    want.extend(b"\0\0\x03\xbemdat");
    assert_eq!(heads, [want]);
}

#[test]
fn what_all_samples_share_stands_once() {
    let samples = [frame(300); 3];
    let heads = write_fragment_heads(&audio(48_000), 1, &[part(&samples, 90_000)]);
    assert_eq!(decode_time(&heads[0]), 48_000);
    let tfhd = b"\0\x02\0\x38\0\0\0\x01\0\0\x04\0\0\0\x01\x2c\x02\0\0\0";
    assert_eq!(content(&heads[0], *b"tfhd"), tfhd);
    // Version, flags, count and data offset; no rows.
    assert_eq!(content(&heads[0], *b"trun"), b"\x01\0\0\x01\0\0\0\x03\0\0\0\x6c");
}

#[test]
fn flags_take_a_column_only_where_two_values_do_not_do() {
    let key = picture(1, 0, true);
    let other = picture(1, 0, false);
    let table: [(&[Sample], u32, u32); 6] = [
        (&[key], FLAGS_RANDOM_ACCESS, DATA_OFFSET),
        (&[other], FLAGS_DEPENDENT, DATA_OFFSET),
        (&[key, key, key], FLAGS_RANDOM_ACCESS, DATA_OFFSET),
        (&[key, other, other], FLAGS_DEPENDENT, DATA_OFFSET | FIRST_SAMPLE_FLAGS),
        (&[other, key, key], FLAGS_RANDOM_ACCESS, DATA_OFFSET | FIRST_SAMPLE_FLAGS),
        (&[key, other, key], FLAGS_DEPENDENT, DATA_OFFSET | SAMPLE_FLAGS),
    ];
    for (samples, default_flags, trun_flags) in table {
        let rows = Rows::of(samples);
        assert_eq!((rows.default_flags, rows.trun_flags()), (default_flags, trun_flags));
    }
}

#[test]
fn parts_are_numbered_and_only_the_first_has_a_segment_type() {
    let samples = [frame(10)];
    let parts = [part(&samples, 0), part(&samples, 1920), part(&samples, 3840)];
    let heads = write_fragment_heads(&audio(48_000), u32::MAX, &parts);
    assert_eq!(&heads[0][4..8], b"styp");
    assert!(heads[1..].iter().all(|head| &head[4..8] == b"moof"));
    let numbers: Vec<&[u8]> = heads.iter().map(|head| &content(head, *b"mfhd")[4..]).collect();
    assert_eq!(numbers, [[255; 4], [0, 0, 0, 0], [0, 0, 0, 1]]);
}

#[test]
fn audio_is_rounded_once_and_a_hole_stays_a_hole() {
    let samples = [frame(10); 43];
    // 43 frames of 44.1 kHz are 89,861.2 ticks: sources round that either way.
    let starts = [100, 89_961, 179_823, 179_823 + 89_862 + 90_000];
    let parts = starts.map(|start| part(&samples, start));
    let times: Vec<u64> = write_fragment_heads(&audio(44_100), 0, &parts)
        .iter()
        .map(|head| decode_time(head))
        .collect();
    let first = 49;
    let length = 43 * 1024;
    assert_eq!(times[..3], [first, first + length, first + 2 * length]);
    assert_eq!(times[3], (2 * (179_823_u64 + 179_862) * 44_100 + 90_000) / 180_000);
}

#[test]
fn times_before_the_epoch_begin_at_it() {
    let samples = [frame(10)];
    let heads = write_fragment_heads(&audio(48_000), 0, &[part(&samples, -90_000)]);
    assert_eq!(decode_time(&heads[0]), 0);
}

#[test]
#[should_panic(expected = "samples are the payload")]
fn a_payload_of_another_size_is_a_mistake_of_ours() {
    let samples = [frame(10)];
    let mut wrong = part(&samples, 0);
    wrong.payload_size = 11;
    let _ = write_fragment_heads(&audio(48_000), 0, &[wrong]);
}

fn any_sample() -> impl Strategy<Value = Sample> {
    (0..9_u32, 1..4_u32, -2..2_i32, any::<bool>()).prop_map(
        |(size, duration, composition_offset, random_access)| Sample {
            size,
            duration,
            composition_offset,
            random_access,
        },
    )
}

/// Reads a head's run back, as ISO/IEC 14496-12 §8.8.7 and §8.8.8 say.
fn read_run(head: &[u8]) -> Vec<Sample> {
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let tfhd = content(head, *b"tfhd");
    let mut at = 8;
    let mut default = |flag: u32| {
        (word(tfhd, 0) & flag != 0).then(|| {
            at += 4;
            word(tfhd, at - 4)
        })
    };
    let [duration, size, flags] = [DEFAULT_DURATION, DEFAULT_SIZE, DEFAULT_FLAGS].map(&mut default);

    let trun = content(head, *b"trun");
    let mut at = 12;
    let mut field = |flag: u32| {
        (word(trun, 0) & flag != 0).then(|| {
            at += 4;
            word(trun, at - 4)
        })
    };
    let mut first_flags = field(FIRST_SAMPLE_FLAGS);
    (0..word(trun, 4))
        .map(|_| Sample {
            duration: field(SAMPLE_DURATION).or(duration).unwrap(),
            size: field(SAMPLE_SIZE).or(size).unwrap(),
            random_access: field(SAMPLE_FLAGS).or(first_flags.take()).or(flags).unwrap() >> 16 & 1
                == 0,
            composition_offset: field(SAMPLE_COMPOSITION_OFFSET).unwrap_or(0).cast_signed(),
        })
        .collect()
}

proptest! {
    #[test]
    fn a_run_reads_back(
        samples in prop::collection::vec(any_sample(), 1..12),
        start in any::<u32>(),
    ) {
        let heads = write_fragment_heads(&CodecConfig::WebVtt, 0, &[part(&samples, start.into())]);
        prop_assert_eq!(read_run(&heads[0]), samples.clone());
        prop_assert_eq!(decode_time(&heads[0]), u64::from(start));
        prop_assert!(heads[0].len() <= HEAD_SIZE_WITHOUT_ROWS + 16 * samples.len());
        // The data offset, counted from `moof`, is where the payload begins.
        let offset = u32::from_be_bytes(content(&heads[0], *b"trun")[8..12].try_into().unwrap());
        prop_assert_eq!(usize::try_from(offset).unwrap() + 24, heads[0].len());
    }
}
