//! Bodies as ffmpeg writes them, read by `SegmentParser` and compared with ffprobe's reading,
//! packet by packet.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

mod support;

use headwater::engine::body::{BodyError, SegmentParser};
use headwater::engine::codec::CodecConfig;
use headwater::engine::elementary::audio::{AudioAssembler, AudioFraming};
use headwater::engine::segment::{SegmentBody, TrackSegment};
use headwater::units::MediaTime;
use md5::{Digest, Md5};
use serde_json::Value;
use support::{Fixture, number, packed, text};

fn parse(bytes: &[u8]) -> Result<SegmentBody, BodyError> {
    let mut parser = SegmentParser::new();
    parser.push(bytes)?;
    parser.finish()
}

/// (PTS, DTS) in 90 kHz of every sample.
fn times(track: &TrackSegment) -> Vec<(i64, i64)> {
    let scale = track.config.timescale();
    let first = track.first_decode_time.ticks();
    let mut elapsed = 0;
    let mut times = Vec::new();
    for sample in &track.samples {
        let dts = first + MediaTime::from_ticks_nearest(elapsed, scale).ticks();
        let offset = i64::from(sample.composition_offset);
        times.push((dts + MediaTime::from_ticks_nearest(offset, scale).ticks(), dts));
        elapsed += i64::from(sample.duration);
    }
    times
}

/// The NAL units of an Annex B byte stream that a sample keeps.
fn wanted_units(stream: &[u8], hevc: bool) -> Vec<Vec<u8>> {
    let starts: Vec<usize> = (0..stream.len().saturating_sub(3))
        .filter(|&at| stream[at..].starts_with(&[0, 0, 1]))
        .collect();
    let mut units = Vec::new();
    for (at, &start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(stream.len());
        let mut unit = &stream[start + 3..end];
        while let [rest @ .., 0] = unit {
            unit = rest;
        }
        let kind = if hevc { unit[0] >> 1 & 0x3f } else { unit[0] & 0x1f };
        let dropped = if hevc { 32..=38 } else { 7..=12 };
        if !dropped.contains(&kind) {
            units.push(unit.to_vec());
        }
    }
    units
}

fn samples(track: &TrackSegment) -> Vec<&[u8]> {
    let mut rest = &track.payload[..];
    let samples = track
        .samples
        .iter()
        .map(|sample| {
            let (head, tail) = rest.split_at(sample.size as usize);
            rest = tail;
            head
        })
        .collect();
    assert!(rest.is_empty(), "payload is exactly the samples");
    samples
}

fn split_sample(mut sample: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    while let Some((size, rest)) = sample.split_first_chunk() {
        let (unit, rest) = rest.split_at(u32::from_be_bytes(*size) as usize);
        units.push(unit.to_vec());
        sample = rest;
    }
    units
}

/// Everything ffprobe says of each packet of stream `index`, against `track`.
fn compare(fixture: &Fixture, index: usize, track: &TrackSegment) {
    let packets: Vec<Value> = fixture.packets(index);
    assert!(track.damage.is_none(), "{:?}", track.damage);
    assert_eq!(track.samples.len(), packets.len(), "packets of stream {index}");
    let hevc = matches!(track.config, CodecConfig::Hevc(_));
    for (at, ((sample, (pts, dts)), packet)) in
        track.samples.iter().zip(times(track)).zip(&packets).enumerate()
    {
        let about = format!("packet {at} of stream {index}: {packet}");
        // ffprobe may tell times before a wrap as negative, or beyond it.
        let modulo = |time: i64| time.rem_euclid(1 << 33);
        let tolerance = i64::from(track.config.frame_samples().is_some());
        assert!((modulo(pts) - modulo(number(&packet["pts"]))).abs() <= tolerance, "{pts} {about}");
        assert!((modulo(dts) - modulo(number(&packet["dts"]))).abs() <= tolerance, "{dts} {about}");
        // ffprobe also flags recovery points of H.264, at which leading pictures do not decode.
        let key = text(&packet["flags"]).starts_with('K');
        assert!(key || !sample.random_access, "{about}");
        let recovery_point = matches!(track.config, CodecConfig::Avc(_)) && !sample.random_access;
        assert!(sample.random_access || !key || recovery_point, "{about}");
    }
    let flags = track.samples.iter().map(|sample| sample.random_access);
    for ((sample, random_access), packet) in
        samples(track).into_iter().zip(flags).zip(fixture.packet_bytes(index))
    {
        match track.config {
            CodecConfig::Avc(_) | CodecConfig::Hevc(_) => {
                let units = split_sample(sample);
                assert_eq!(units, wanted_units(&packet, hevc));
                let idr = units.iter().any(|unit| unit[0] & 0x1f == 5);
                assert!(hevc || idr == random_access);
            }
            CodecConfig::Aac(_) => {
                let header = if packet[1] & 1 == 1 { 7 } else { 9 };
                assert_eq!(Md5::digest(sample), Md5::digest(&packet[header..]));
            }
            _ => assert_eq!(Md5::digest(sample), Md5::digest(&packet)),
        }
    }
}

fn compare_config(stream: &Value, config: &CodecConfig) {
    match config {
        CodecConfig::Avc(video) | CodecConfig::Hevc(video) => {
            assert_eq!(i64::from(video.width), number(&stream["width"]));
            assert_eq!(i64::from(video.height), number(&stream["height"]));
            let level = match config {
                CodecConfig::Avc(_) => i64::from_str_radix(&video.rfc6381[9..], 16).unwrap(),
                _ => video.rfc6381.split('.').nth(3).unwrap()[1..].parse().unwrap(),
            };
            assert_eq!(level, number(&stream["level"]));
            let profile = match &video.rfc6381[..7] {
                "avc1.64" => "High",
                "avc1.4d" | "hvc1.1." => "Main",
                other => panic!("{other}"),
            };
            assert_eq!(profile, text(&stream["profile"]));
            let rate = format!("{}/{}", video.frame_rate.0, video.frame_rate.1);
            assert_eq!(rate, text(&stream["r_frame_rate"]));
            let aspect = text(&stream["sample_aspect_ratio"]);
            assert_eq!(format!("{}:{}", video.aspect.0, video.aspect.1), aspect);
        }
        _ => {
            assert_eq!(i64::from(config.timescale().per_second()), number(&stream["sample_rate"]));
            assert_eq!(config.channels().map(i64::from), Some(number(&stream["channels"])));
        }
    }
}

/// Reads the fixture and compares all of its streams, in order.
fn check(fixture: &Fixture) -> SegmentBody {
    let body = parse(&fixture.bytes).unwrap();
    let streams = fixture.streams();
    assert_eq!(body.tracks.len(), streams.len());
    for (index, track) in body.tracks.iter().enumerate() {
        compare_config(&streams[index], &track.config);
        compare(fixture, index, track);
        let ept = times(track).iter().map(|(pts, _)| *pts).min().unwrap();
        assert_eq!(track.earliest_presentation_time.ticks(), ept);
    }
    body
}

const VIDEO: &str = "-f lavfi -i testsrc2=size=322x182:rate=30000/1001:duration=3";
const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=3";

#[test]
fn h264_with_b_frames_and_aac() {
    let body = check(&Fixture::ts(&format!(
        "{VIDEO} {SOUND} -c:v libx264 -bf 3 -g 30 -c:a aac -ac 2 -shortest"
    )));
    let CodecConfig::Avc(video) = &body.tracks[0].config else { panic!("video first") };
    assert!(video.rfc6381.starts_with("avc1.64"), "{}", video.rfc6381);
    assert_eq!(body.tracks[1].config.rfc6381(), "mp4a.40.2");
}

#[test]
fn h264_colour_aspect_and_interlacing() {
    let body = check(&Fixture::ts(
        "-f lavfi -i testsrc2=size=720x576:rate=25:duration=2 -c:v libx264 -flags +ildct+ilme \
         -x264opts tff=1:colorprim=bt709:transfer=bt709:colormatrix=bt709 -aspect 16:9",
    ));
    let CodecConfig::Avc(video) = &body.tracks[0].config else { panic!("video first") };
    assert!(video.interlaced);
    assert_eq!(video.colour, Some((1, 1, 1, false)));
    assert_eq!(video.aspect, (64, 45));
}

#[test]
fn hevc_with_b_frames() {
    let body = check(&Fixture::ts(&format!(
        "{VIDEO} -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=30:bframes=3"
    )));
    assert!(body.tracks[0].config.rfc6381().starts_with("hvc1.1.6.L"));
}

#[test]
fn dolby_and_several_languages() {
    let body = check(&Fixture::ts(&format!(
        "{VIDEO} {SOUND} -map 0 -map 1 -map 1 -map 1 -c:v libx264 -c:a:0 ac3 -ac:a:0 6 \
         -c:a:1 eac3 -ac:a:1 6 -c:a:2 aac -ar:a:2 44100 -ac:a:2 1 \
         -metadata:s:a:0 language=deu -metadata:s:a:1 language=fra"
    )));
    let codecs: Vec<_> = body.tracks[1..].iter().map(|track| track.config.rfc6381()).collect();
    assert_eq!(codecs, ["ac-3", "ec-3", "mp4a.40.2"]);
    let languages: Vec<_> = body.tracks.iter().map(|track| track.language).collect();
    assert_eq!(languages, [None, Some(*b"deu"), Some(*b"fra"), None]);
}

#[test]
fn channels_that_only_a_program_config_element_tells() {
    let body = check(&Fixture::ts(&format!("{SOUND} -af pan=2.1|c0=c0|c1=c0|c2=c0 -c:a aac")));
    assert_eq!(body.tracks[0].config.channels(), Some(3));
}

#[test]
fn dolby_in_private_streams_with_dvb_descriptors() {
    let body = check(&Fixture::ts(&format!(
        "{SOUND} -map 0 -map 0 -c:a:0 ac3 -ac:a:0 2 -c:a:1 eac3 -ar:a:1 44100 -ac:a:1 1 \
         -mpegts_flags system_b -pes_payload_size 1"
    )));
    let codecs: Vec<_> = body.tracks.iter().map(|track| track.config.rfc6381()).collect();
    assert_eq!(codecs, ["ac-3", "ec-3"]);
}

#[test]
fn h264_open_group_of_pictures_main_profile() {
    let body = check(&Fixture::ts(
        "-f lavfi -i testsrc2=size=320x180:rate=50:duration=2 -c:v libx264 -profile:v main \
         -x264opts open-gop=1:keyint=25:bframes=2:slices=4 -output_ts_offset 3600",
    ));
    assert_eq!(body.tracks[0].damage.leading_units, 0);
}

#[test]
fn timestamps_wrap_inside_a_segment() {
    let body = check(&Fixture::ts(&format!(
        "{VIDEO} {SOUND} -c:v libx264 -c:a aac -output_ts_offset 95441.5"
    )));
    for track in &body.tracks {
        assert!(track.first_decode_time.ticks() < 1 << 33);
        assert!(track.presentation_end.ticks() > 1 << 33, "the fixture does wrap");
    }
}

#[test]
fn packed_audio_is_the_frames_behind_a_timestamp() {
    for (name, codec, rfc6381) in
        [("a.aac", "aac", "mp4a.40.2"), ("a.ac3", "ac3", "ac-3"), ("a.eac3", "eac3", "ec-3")]
    {
        let bare = Fixture::made(name, &format!("{SOUND} -c:a {codec}"));
        let body = parse(&packed((1 << 33) - 1000, &bare.bytes)).unwrap();
        let [track] = &body.tracks[..] else { panic!("one track") };
        assert_eq!(track.config.rfc6381(), rfc6381);
        assert_eq!(track.first_decode_time, MediaTime((1 << 33) - 1000));
        assert!(track.damage.is_none());
        let packets = bare.packet_bytes(0);
        assert_eq!(track.samples.len(), packets.len());
        for (sample, packet) in samples(track).into_iter().zip(packets) {
            // ffprobe leaves the ADTS header in place.
            assert!(packet.ends_with(sample) && packet.len() - sample.len() <= 7);
        }
        let whole = packed(0, &bare.bytes);
        let cut = parse(&whole[..whole.len() - 3]);
        assert!(matches!(cut, Err(BodyError::PackedAudio(_))), "{cut:?}");
        assert!(parse(&bare.bytes).is_err(), "no timestamp");
    }
}

#[test]
fn several_audio_frames_cut_anywhere_into_packets() {
    let bare = Fixture::made("a.aac", &format!("{SOUND} -c:a aac"));
    let frames = bare.packet_bytes(0);
    // Frame n begins at starts[n] and at n × 1920 ticks.
    let starts: Vec<usize> =
        frames.iter().scan(0, |at, frame| Some(std::mem::replace(at, *at + frame.len()))).collect();
    let whole = parse(&packed(0, &bare.bytes)).unwrap();
    for size in [100, 333, 1000, 2999] {
        let mut track = AudioAssembler::new(AudioFraming::Adts);
        for (index, piece) in bare.bytes.chunks(size).enumerate() {
            let range = index * size..index * size + piece.len();
            let first = starts.iter().position(|start| range.contains(start));
            track.on_bytes(first.map(|first| first as u64 * 1920), piece).unwrap();
        }
        let track = track.finish(0, None).unwrap().unwrap();
        assert_eq!(track, whole.tracks[0], "pieces of {size}");
    }
}
