//! Syncframes made by hand, for what no encoder at hand produces, and holes between packets.

use super::*;
use crate::engine::bits::BitWriter;

/// An E-AC-3 syncframe of `blocks` audio blocks (1, 2, 3 or 6) at 48 kHz, 64 bytes.
fn syncframe(stream_type: u32, substream: u32, blocks: u32, chanmap: Option<u32>) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.put(0x0b77, 16);
    bits.put(stream_type, 2);
    bits.put(substream, 3);
    bits.put(31, 11); // 32 words
    bits.put(0, 2); // 48 kHz
    bits.put(if blocks == 6 { 3 } else { blocks - 1 }, 2);
    bits.put(if chanmap.is_some() { 2 } else { 7 }, 3);
    bits.put(u32::from(chanmap.is_none()), 1);
    bits.put(16, 5);
    bits.put(0, 6); // dialnorm, compre
    if let Some(map) = chanmap {
        bits.put(1, 1);
        bits.put(map, 16);
    }
    let mut frame = bits.finish();
    frame.resize(64, 0);
    frame
}

fn assemble(packets: &[(Option<u64>, Vec<u8>)]) -> TrackSegment {
    let mut track = AudioAssembler::new(AudioFraming::Syncframe);
    for (pts, packet) in packets {
        track.on_bytes(*pts, packet).expect("few samples");
    }
    track.finish(1, None).expect("few samples").expect("a track")
}

/// (size, duration) of each sample.
fn shape(track: &TrackSegment) -> Vec<(u32, u32)> {
    track.samples.iter().map(|sample| (sample.size, sample.duration)).collect()
}

#[test]
fn dependent_substreams_belong_to_the_independent_one() {
    let unit = [syncframe(0, 0, 6, None), syncframe(1, 0, 6, Some(0x0200))].concat();
    let track = assemble(&[(Some(0), unit.clone()), (Some(2880), unit.clone())]);
    assert_eq!(shape(&track), [(128, 1536); 2]);
    assert_eq!(track.payload, [unit.clone(), unit].concat());
    assert!(track.damage.is_none());
    let CodecConfig::Eac3(config) = &track.config else { panic!("E-AC-3") };
    assert_eq!(config.channels, 8);
    // 32 kbit/s, one program of 5.1 with a dependent substream that brings the rear pair.
    assert_eq!(config.specific_box, [0x01, 0x00, 0x20, 0x0f, 0x02, 0x02]);
}

#[test]
fn short_frames_are_grouped_to_six_blocks() {
    let frames: Vec<_> = (0..7).map(|_| syncframe(0, 0, 2, None)).collect();
    let track = assemble(&[(Some(5), frames.concat())]);
    assert_eq!(shape(&track), [(192, 1536), (192, 1536), (64, 512)]);
    assert_eq!(track.config.frame_samples(), Some(1536));
    let one_by_one: Vec<_> = (0..).step_by(960).map(|ticks| Some(5 + ticks)).zip(frames).collect();
    assert_eq!(assemble(&one_by_one), track);
}

#[test]
fn holes_last_and_repetitions_are_dropped() {
    let frame = || syncframe(0, 0, 6, None);
    let hole = assemble(&[(Some(0), frame()), (Some(2 * 2880), frame())]);
    assert_eq!(shape(&hole), [(64, 3072), (64, 1536)]);
    assert_eq!(hole.presentation_end, MediaTime(3 * 2880));
    assert_eq!(hole.damage.dropped_units, 1);
    let again = assemble(&[(Some(9000), frame()), (Some(9000), frame()), (Some(11_880), frame())]);
    assert_eq!(shape(&again), [(64, 1536), (64, 1536)]);
    assert_eq!(again.presentation_end, MediaTime(9000 + 2 * 2880));
    assert!(again.damage.dropped_units > 0);
    let wrapped = assemble(&[(Some((1 << 33) - 2880), frame()), (Some(0), frame())]);
    assert_eq!(shape(&wrapped), [(64, 1536), (64, 1536)]);
    assert_eq!(wrapped.presentation_end, MediaTime((1 << 33) + 2880));
}

#[test]
fn frames_before_the_first_time_and_of_another_format_are_dropped() {
    let frame = || syncframe(0, 0, 6, None);
    let mut stereo = frame();
    stereo[4] = stereo[4] & 0xf0 | 0x04;
    let track = assemble(&[(None, frame()), (Some(0), frame()), (Some(2880), stereo)]);
    assert_eq!(shape(&track), [(64, 1536)]);
    assert_eq!(track.damage.dropped_units, 2);
}

#[test]
fn foreign_bytes_between_frames_are_passed_over() {
    let frame = || syncframe(0, 0, 6, None);
    let stream = [&frame()[..], &[0x0b, 0x77, 0xff], &[0x0b; 90], &frame(), &frame()].concat();
    let whole = assemble(&[(Some(0), stream.clone())]);
    assert_eq!(shape(&whole), [(64, 1536); 3]);
    assert_eq!(whole.damage.dropped_units, 1);
    for cut in 1..stream.len() {
        let mut track = AudioAssembler::new(AudioFraming::Syncframe);
        track.on_bytes(Some(0), &stream[..cut]).expect("few samples");
        track.on_bytes(None, &stream[cut..]).expect("few samples");
        assert_eq!(track.finish(1, None), Ok(Some(whole.clone())), "cut at {cut}");
    }
}
