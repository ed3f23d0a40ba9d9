//! Tests of multiplexing: which frames share a PES packet, and where packets end.

use super::*;
use crate::engine::codec::AacConfig;

fn aac() -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x12, 0x10],
        object_type: 2,
        sample_rate: 44_100,
        channels: 2,
        frame_samples: 1024,
    })
}

fn frames(count: usize, size: u32) -> Vec<Sample> {
    vec![Sample { size, duration: 1024, composition_offset: 0, random_access: true }; count]
}

/// Decode times and sample counts of the PES packets of one audio track.
fn units(parts: &[(&[Sample], i64)], carries_clock: bool) -> Vec<(i64, usize)> {
    let payload = vec![0; 1 << 16];
    let config = aac();
    let parts = parts.iter().map(|&(samples, decode_start)| MuxPart {
        samples,
        decode_start: MediaTime(decode_start),
        payload: &payload,
    });
    let track = MuxTrack { config: &config, language: None, parts: parts.collect() };
    let mut units = Vec::new();
    append_units(&mut units, 0, &track, carries_clock);
    units.iter().map(|unit| (unit.decode_time, unit.samples.len())).collect()
}

#[test]
fn audio_is_gathered_and_each_packets_time_is_rounded_by_itself() {
    // 2,930 bytes hold nine frames of 307 and their headers; a frame is 2,089.8 ticks.
    let samples = frames(20, 307);
    assert_eq!(units(&[(&samples, 0)], false), [(0, 9), (18_808, 9), (37_616, 2)]);
}

#[test]
fn audio_with_the_clock_is_gathered_for_its_interval() {
    let samples = frames(10, 20);
    assert_eq!(units(&[(&samples, 0)], true), [(0, 4), (8_359, 4), (16_718, 2)]);
}

#[test]
fn packets_end_where_parts_do_and_take_a_frame_at_least() {
    let (small, large) = (frames(2, 20), frames(2, 8_000));
    let times = units(&[(&small, 100), (&large, 90_000)], false);
    assert_eq!(times, [(100, 2), (90_000, 1), (92_090, 1)]);
}

#[test]
fn text_is_left_out_and_no_media_is_no_packet() {
    let samples = frames(1, 3);
    let part = MuxPart { samples: &samples, decode_start: MediaTime(0), payload: b"abc" };
    let text = MuxTrack { config: &CodecConfig::WebVtt, language: None, parts: vec![part] };
    let config = aac();
    let audio = MuxTrack { config: &config, language: None, parts: vec![part] };
    assert_eq!(mux_segment(std::slice::from_ref(&text)), b"");
    assert_eq!(mux_segment(&[text, audio.clone()]), mux_segment(&[audio]));
}
