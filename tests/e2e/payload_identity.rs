//! Every coded byte that went in comes out, in order, at its time, over every container.
//!
//! ffprobe reads both sides. Compared are the VCL and SEI NAL units of each picture, the raw audio
//! frames, parameter sets by content, and PTS and DTS: the output's are the input's modulo 2^33,
//! exactly for video, within one tick of 90 kHz for audio, whose fMP4 timescale is another.

use crate::client::Encoder;
use crate::origin::{Origin, demo};
use crate::playback::{CMAF, DASH, HLS, listed_with};
use crate::probe::{FRAGMENTED, Packet, Stream, TRANSPORT_STREAM, probe};
use crate::source::{H264, MUXED, PICTURE, SEGMENT_COUNT, SOUND, Source, with_sound_of};

const HEVC: &str = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p \
    -x265-params log-level=none:keyint=50:min-keyint=50:scenecut=0:bframes=3:open-gop=0";

#[test]
fn h264_and_aac_muxed() {
    check(&MUXED);
}

#[test]
fn a_ladder_of_two_with_copies_of_one_sound() {
    check(&Source::encoded(
        &format!(
            "{PICTURE} {SOUND} -map 0:v -map 1:a -map 0:v -map 1:a {H264} -s:v:1 160x90 -c:a aac"
        ),
        "v:0,a:0 v:1,a:1",
    ));
}

#[test]
fn a_separate_audio_rendition_of_another_cadence() {
    check(&Source::encoded(
        "-f lavfi -i testsrc2=size=320x180:rate=30000/1001 \
         -f lavfi -i sine=frequency=440:sample_rate=44100:duration=11.9 -map 0:v -map 1:a \
         -c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 3 -g 60 -keyint_min 60 \
         -sc_threshold 0 -c:a aac",
        "v:0,agroup:sound a:0,agroup:sound,language:eng,default:yes",
    ));
}

#[test]
fn he_aac() {
    check(&with_sound_of("he-aac-v1.aac"));
}

#[test]
fn he_aac_with_parametric_stereo() {
    check(&with_sound_of("he-aac-v2.aac"));
}

#[test]
fn hevc_and_ac3() {
    check(&Source::encoded(&format!("{PICTURE} {SOUND} {HEVC} -c:a ac3 -ac 6"), "v:0,a:0"));
}

#[test]
fn h264_and_eac3() {
    check(&Source::encoded(&format!("{PICTURE} {SOUND} {H264} -c:a eac3 -ac 2"), "v:0,a:0"));
}

/// Pushes the source and compares every stream of every endpoint with it.
fn check(source: &Source) {
    let origin = Origin::start(&demo());
    source.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    let variants = source.variants.iter();
    let pushed: Vec<Stream> =
        variants.flat_map(|variant| probe(TRANSPORT_STREAM, &variant.concatenated())).collect();
    for (path, name) in [(HLS, TRANSPORT_STREAM), (CMAF, FRAGMENTED), (DASH, FRAGMENTED)] {
        let mut matched = vec![false; pushed.len()];
        for rendition in listed_with(&origin, path, SEGMENT_COUNT) {
            for stream in probe(name, &rendition.fetched(&origin)) {
                let about = format!("{} of {}", stream.codec, rendition.name);
                let first = units(&stream, &stream.packets[0]);
                let same = |input: &&Stream| {
                    input.codec == stream.codec && units(input, &input.packets[0]) == first
                };
                let inputs: Vec<&Stream> = pushed.iter().filter(same).collect();
                let input = inputs.first().unwrap_or_else(|| panic!("{about}: begins otherwise"));
                compare(input, &stream, &about);
                for (known, matched) in pushed.iter().zip(&mut matched) {
                    *matched |= same(&known);
                }
            }
        }
        assert_eq!(matched, vec![true; pushed.len()], "streams that {path} offers");
    }
}

fn compare(input: &Stream, output: &Stream, about: &str) {
    let tolerance = i64::from(!input.is_video());
    let sent_times = times(input);
    for (at, (sent, got)) in input.packets.iter().zip(&output.packets).enumerate() {
        let ticks = |time| modular(nearest(time, 90_000, output.timescale));
        let sent_at = sent_times[at];
        for (kind, sent, got) in [("PTS", sent_at.0, got.pts), ("DTS", sent_at.1, got.dts)] {
            let (sent, got) = (modular(sent), ticks(got));
            assert!((sent - got).abs() <= tolerance, "{kind} {got} for {sent}, {at} of {about}");
        }
        assert_eq!(got.is_key, sent.is_key, "random access point, {at} of {about}");
        let (sent, got) = (units(input, sent), units(output, got));
        assert!(sent == got, "coded bytes of sample {at} of {about}");
    }
    assert_eq!(output.packets.len(), input.packets.len(), "samples of {about}");
    let wanted = parameter_sets(&input.packets[0].bytes, &input.codec);
    if let Some(extradata) = output.extradata() {
        for set in &wanted {
            let holds = extradata.windows(set.len()).any(|window| window == set);
            assert!(holds, "parameter set {set:02x?} of {about}");
        }
    } else {
        for packet in output.packets.iter().filter(|packet| packet.is_key && output.is_video()) {
            assert_eq!(parameter_sets(&packet.bytes, &output.codec), wanted, "{about}");
        }
    }
}

/// PTS and DTS of what was pushed, in 90 kHz.
///
/// Transport streams tell the time of the first audio frame of a PES packet; ffprobe adds truncated
/// durations for the others, which is some ticks off. Frames follow one another without a gap here,
/// so that each one's time is told by the first one's and the frames between.
fn times(input: &Stream) -> Vec<(i64, i64)> {
    assert_eq!(input.timescale, 90_000);
    let frame_samples = match input.codec.as_str() {
        // Of which ffprobe tells the rate that comes out.
        "aac" if input.about["profile"].as_str().unwrap().starts_with("HE-AAC") => 2048,
        "aac" => 1024,
        "ac3" | "eac3" => 1536,
        _ => return input.packets.iter().map(|packet| (packet.pts, packet.dts)).collect(),
    };
    let rate: i64 = input.about["sample_rate"].as_str().unwrap().parse().unwrap();
    let first = input.packets[0].pts;
    let counted = (0..).zip(&input.packets).map(|(at, packet)| {
        let time = first + nearest(at * frame_samples, 90_000, rate);
        assert!((time - packet.pts).abs() < 16, "frame {at} is not where ffprobe sees it");
        (time, time)
    });
    counted.collect()
}

/// A time in another timescale, rounded to the nearest.
fn nearest(time: i64, to: i64, from: i64) -> i64 {
    let doubled = 2 * i128::from(time) * i128::from(to) + i128::from(from);
    i64::try_from(doubled.div_euclid(2 * i128::from(from))).unwrap()
}

fn modular(time: i64) -> i64 {
    time.rem_euclid(1 << 33)
}

/// What a sample's payload consists of: NAL units, or one audio frame without its ADTS header.
fn units(stream: &Stream, packet: &Packet) -> Vec<Vec<u8>> {
    let bytes = &packet.bytes;
    match (stream.codec.as_str(), stream.is_fragmented) {
        ("h264" | "hevc", true) => length_prefixed(bytes),
        ("h264" | "hevc", false) => {
            let mut units = annex_b(bytes);
            units.retain(|unit| !is_dropped(unit, &stream.codec));
            units
        }
        ("aac", false) => {
            let header = if bytes[1] & 1 == 1 { 7 } else { 9 };
            vec![bytes[header..].to_vec()]
        }
        _ => vec![bytes.clone()],
    }
}

fn parameter_sets(bytes: &[u8], codec: &str) -> Vec<Vec<u8>> {
    let is_set = |unit: &Vec<u8>| match codec {
        "h264" => matches!(unit[0] & 0x1f, 7 | 8),
        "hevc" => matches!(unit[0] >> 1 & 0x3f, 32..=34),
        _ => false,
    };
    annex_b(bytes).into_iter().filter(is_set).collect()
}

/// Parameter sets, access unit delimiters, ends and filler: the container's business.
fn is_dropped(unit: &[u8], codec: &str) -> bool {
    match codec {
        "h264" => matches!(unit[0] & 0x1f, 7..=12),
        _ => matches!(unit[0] >> 1 & 0x3f, 32..=38),
    }
}

/// The NAL units of a byte stream (ISO/IEC 14496-10 annex B).
fn annex_b(bytes: &[u8]) -> Vec<Vec<u8>> {
    let is_start = |at: &usize| bytes[*at..].starts_with(&[0, 0, 1]);
    let starts: Vec<usize> = (0..bytes.len().saturating_sub(3)).filter(is_start).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let units = starts.iter().zip(ends).map(|(start, end)| {
        let unit = &bytes[start + 3..end];
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        unit[..unit.len() - zeros].to_vec()
    });
    units.collect()
}

/// The NAL units of an fMP4 sample (ISO/IEC 14496-15 §4.3.3), sizes of four bytes.
fn length_prefixed(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    while let Some((size, rest)) = bytes.split_first_chunk() {
        let (unit, rest) = rest.split_at(usize::try_from(u32::from_be_bytes(*size)).unwrap());
        units.push(unit.to_vec());
        bytes = rest;
    }
    units
}
