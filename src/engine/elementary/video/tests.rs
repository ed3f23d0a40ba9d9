//! Access units made by hand, for what no encoder at hand produces.

use super::*;
use crate::engine::bits::BitWriter;

fn golomb(bits: &mut BitWriter, value: u32) {
    let code = value + 1;
    let size = u8::try_from(code.ilog2()).expect("below 32");
    bits.put(0, size);
    bits.put(code, size + 1);
}

/// An H.264 sequence parameter set of 320×192, fields allowed, without a VUI.
fn sps(reference_frames: u32) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.put(0x674d_401e, 32); // Main profile, level 3
    golomb(&mut bits, 0); // id
    golomb(&mut bits, 0); // frame_num of 4 bits
    golomb(&mut bits, 2); // pic_order_cnt_type
    golomb(&mut bits, reference_frames);
    bits.put(0, 1);
    golomb(&mut bits, 19);
    golomb(&mut bits, 5);
    bits.put(0b00_1001, 6); // fields, no MBAFF, direct 8×8, no cropping, no VUI, stop bit
    bits.finish()
}

const PPS: [u8; 3] = [0x68, 0xee, 0x3c];
const DELIMITER: [u8; 2] = [9, 0xf0];

fn field(kind: u8, frame_num: u32, bottom: bool) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.put(u32::from(kind) | 0x60, 8);
    golomb(&mut bits, 0); // first_mb_in_slice
    golomb(&mut bits, 7); // slice_type
    golomb(&mut bits, 0); // PPS
    bits.put(frame_num, 4);
    bits.put(1, 1);
    bits.put(u32::from(bottom), 1);
    bits.put(0xabcd, 16);
    bits.put(1, 1);
    bits.finish()
}

fn stream(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
}

fn assemble(packets: &[(Option<u64>, Vec<u8>)]) -> TrackSegment {
    let mut track = VideoAssembler::new(VideoCodec::Avc);
    for (pts, packet) in packets {
        let times = Timestamps { pts: *pts, dts: None };
        track.on_packet(times, &mut packet.clone(), 0).expect("few samples");
    }
    track.finish(1, None).expect("few samples").expect("a track")
}

/// (size, duration, random access) of each sample.
fn shape(track: &TrackSegment) -> Vec<(u32, u32, bool)> {
    track.samples.iter().map(|s| (s.size, s.duration, s.random_access)).collect()
}

#[test]
fn both_fields_of_a_frame_are_one_sample() {
    let (top, bottom) = (field(5, 0, false), field(1, 0, true));
    let (next_top, next_bottom) = (field(1, 1, false), field(1, 1, true));
    let size = u32::try_from(8 + top.len() + bottom.len()).expect("small");
    let expected = [(size, 3600, true), (size, 3600, false)];
    let sets = sps(1);
    let one_packet_a_frame = assemble(&[
        (Some(0), stream(&[&DELIMITER, &sets, &PPS, &top, &DELIMITER, &bottom])),
        (Some(3600), stream(&[&DELIMITER, &next_top, &next_bottom])),
    ]);
    assert_eq!(shape(&one_packet_a_frame), expected);
    let one_packet_a_field = assemble(&[
        (Some(0), stream(&[&DELIMITER, &sets, &PPS, &top])),
        (Some(1800), stream(&[&DELIMITER, &bottom])),
        (Some(3600), stream(&[&DELIMITER, &next_top])),
        (Some(5400), stream(&[&DELIMITER, &next_bottom])),
    ]);
    assert_eq!(one_packet_a_field, one_packet_a_frame);
    let CodecConfig::Avc(config) = &one_packet_a_field.config else { panic!("H.264") };
    assert!(config.interlaced);
    assert_eq!((config.width, config.height), (320, 192));
    assert!(one_packet_a_field.damage.is_none());
}

#[test]
fn units_are_told_apart_by_delimiters_and_joined_across_packets() {
    let pictures: Vec<_> = (0..4).map(|n| field(if n == 0 { 5 } else { 1 }, n, false)).collect();
    let sets = sps(1);
    let whole = stream(&[
        &DELIMITER,
        &sets,
        &PPS,
        &pictures[0],
        &DELIMITER,
        &pictures[1],
        &DELIMITER,
        &pictures[2],
    ]);
    let last = stream(&[&DELIMITER, &pictures[3]]);
    let track = assemble(&[(Some(9000), whole.clone()), (Some(9000 + 3 * 3600), last.clone())]);
    assert_eq!(track.samples.iter().map(|s| s.duration).collect::<Vec<_>>(), [3600; 4]);
    assert_eq!(track.first_decode_time, MediaTime(9000));
    for cut in 1..whole.len() {
        let (head, tail) = whole.split_at(cut);
        let again = assemble(&[
            (Some(9000), head.to_vec()),
            (None, tail.to_vec()),
            (Some(9000 + 3 * 3600), last.clone()),
        ]);
        assert!(again == track, "cut at {cut}");
    }
}

#[test]
fn a_changed_parameter_set_ends_the_configuration() {
    let picture = |n| field(if n == 0 { 5 } else { 1 }, n, false);
    let (first, other) = (sps(1), sps(2));
    let track = assemble(&[
        (Some(0), stream(&[&DELIMITER, &first, &PPS, &picture(0)])),
        (Some(3600), stream(&[&DELIMITER, &first, &PPS, &picture(1)])),
        (Some(7200), stream(&[&DELIMITER, &other, &PPS, &picture(0)])),
        (Some(10_800), stream(&[&DELIMITER, &picture(1)])),
    ]);
    assert_eq!(track.samples.len(), 2);
    assert_eq!(track.damage.dropped_units, 2);
    let CodecConfig::Avc(config) = &track.config else { panic!("H.264") };
    assert_eq!(config.sps, [first]);
}

#[test]
fn decode_time_never_runs_backwards() {
    let picture = |n| stream(&[&DELIMITER, &field(1, n, false)]);
    let start = stream(&[&DELIMITER, &sps(1), &PPS, &field(1, 0, false)]);
    let track = assemble(&[
        (Some(7200), start),
        (Some(10_800), picture(1)),
        (Some(3600), picture(2)),
        (Some(14_400), picture(3)),
    ]);
    assert_eq!(track.samples.iter().map(|s| s.duration).collect::<Vec<_>>(), [3600; 3]);
    let damage = Damage { lost_packets: 0, dropped_units: 1, leading_units: 3 };
    assert_eq!(track.damage, damage);
}
