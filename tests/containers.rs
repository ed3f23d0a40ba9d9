//! Written containers, read back by other programs: ffprobe and the `mp4` crate find the same
//! packets, times and bytes that the source had.
//!
//! The sources are encoded by ffmpeg and taken apart here by the simplest means that do.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use headwater::engine::codec::{AacConfig, CodecConfig, DolbyConfig, VideoConfig};
use headwater::engine::isobmff::{FragmentPart, write_fragment_heads, write_init_segment};
use headwater::engine::mpegts::mux::{MuxPart, MuxTrack, mux_segment};
use headwater::engine::segment::Sample;
use headwater::units::{MediaTime, Timescale};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Media time of the first decoded picture: present-day, and a while from a wrap of 33 bits.
const START: i64 = 18_626 * (1 << 33) + 1_000_000;

/// A track of the source in the ring's form.
struct Track {
    config: CodecConfig,
    samples: Vec<Sample>,
    payload: Vec<u8>,
    /// NAL units without delimiters and parameter sets, or frames.
    pieces: Vec<Vec<u8>>,
}

/// A packet as ffprobe tells of it, times in 90 kHz.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    pts: i64,
    dts: i64,
    key: bool,
}

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    assert_eq!(errors, "", "{program} {arguments:?} complains");
    output.stdout
}

fn encode(directory: &Path, name: &str, arguments: &str) -> PathBuf {
    let path = directory.join(name);
    let arguments: Vec<&str> = ["-v", "error", "-y"]
        .into_iter()
        .chain(arguments.split_whitespace())
        .chain([path.to_str().unwrap()])
        .collect();
    run("ffmpeg", &arguments);
    path
}

/// Packets of a file's stream with times as they stand in it.
fn packets(file: &Path, stream: &str) -> Vec<(i64, i64, u32, bool)> {
    let arguments = ["-v", "error", "-select_streams", stream, "-show_packets", "-of", "csv=p=0"];
    let entries = ["-show_entries", "packet=pts,dts,size,flags", file.to_str().unwrap()];
    let text = String::from_utf8(run("ffprobe", &[&arguments[..], &entries[..]].concat())).unwrap();
    let rows = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        (
            fields[0].parse().unwrap(),
            fields[1].parse().unwrap(),
            fields[2].parse().unwrap(),
            fields[3].starts_with('K'),
        )
    });
    rows.collect()
}

/// The elementary stream of a file's stream, in its raw format.
fn elementary(file: &Path, stream: &str, format: &str) -> Vec<u8> {
    let map = format!("0:{stream}");
    let file = file.to_str().unwrap();
    run("ffmpeg", &["-v", "error", "-i", file, "-map", &map, "-c", "copy", "-f", format, "-"])
}

/// NAL units of a byte stream.
fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> =
        (0..stream.len() - 2).filter(|&at| stream[at..at + 3] == [0, 0, 1]).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let units = starts.iter().zip(ends).map(|(&start, end)| {
        let mut unit = &stream[start + 3..end];
        while let Some((0, head)) = unit.split_last() {
            unit = head;
        }
        unit
    });
    units.collect()
}

/// What a NAL unit is for this program.
#[derive(PartialEq, Eq)]
enum Nal {
    Delimiter,
    Vps,
    Sps,
    Pps,
    Media,
}

fn nal_of(hevc: bool, unit: &[u8]) -> Nal {
    match (hevc, if hevc { unit[0] >> 1 & 63 } else { unit[0] & 31 }) {
        (true, 35) | (false, 9) => Nal::Delimiter,
        (true, 32) => Nal::Vps,
        (true, 33) | (false, 7) => Nal::Sps,
        (true, 34) | (false, 8) => Nal::Pps,
        _ => Nal::Media,
    }
}

fn media_units(hevc: bool, stream: &[u8]) -> Vec<Vec<u8>> {
    let units = nal_units(stream).into_iter().filter(|unit| nal_of(hevc, unit) == Nal::Media);
    units.map(<[u8]>::to_vec).collect()
}

/// The video track of a transport stream whose access units begin with delimiters.
fn video_track(file: &Path, hevc: bool) -> Track {
    let stream = elementary(file, "v", if hevc { "hevc" } else { "h264" });
    let mut sets: [Vec<Vec<u8>>; 3] = Default::default();
    let mut units: Vec<Vec<u8>> = Vec::new();
    for unit in nal_units(&stream) {
        let kind = match nal_of(hevc, unit) {
            Nal::Delimiter => {
                units.push(Vec::new());
                continue;
            }
            Nal::Media => {
                let sample = units.last_mut().unwrap();
                sample.extend(u32::try_from(unit.len()).unwrap().to_be_bytes());
                sample.extend(unit);
                continue;
            }
            Nal::Vps => 0,
            Nal::Sps => 1,
            Nal::Pps => 2,
        };
        if !sets[kind].contains(&unit.to_vec()) {
            sets[kind].push(unit.to_vec());
        }
    }
    let times = packets(file, "v");
    assert_eq!(times.len(), units.len());
    let samples = times.iter().zip(&units).map(|(&(pts, dts, _, key), unit)| Sample {
        size: u32::try_from(unit.len()).unwrap(),
        duration: 3000,
        composition_offset: i32::try_from(pts - dts).unwrap(),
        random_access: key,
    });
    let samples = samples.collect();
    let [vps, sps, pps] = sets;
    let config = VideoConfig {
        vps,
        sps,
        pps,
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
    };
    let config = if hevc { CodecConfig::Hevc(config) } else { CodecConfig::Avc(config) };
    Track { config, samples, payload: units.concat(), pieces: media_units(hevc, &stream) }
}

/// An audio track of frames that are all `duration` samples long.
fn audio_track(config: CodecConfig, frames: Vec<Vec<u8>>, duration: u32) -> Track {
    let samples = frames.iter().map(|frame| Sample {
        size: u32::try_from(frame.len()).unwrap(),
        duration,
        composition_offset: 0,
        random_access: true,
    });
    Track { config, samples: samples.collect(), payload: frames.concat(), pieces: frames }
}

/// Frames of an ADTS stream without their headers.
fn adts_frames(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while stream.len() > 7 {
        let size = usize::from(stream[3] & 3) << 11
            | usize::from(stream[4]) << 3
            | usize::from(stream[5]) >> 5;
        frames.push(stream[7..size].to_vec());
        stream = &stream[size..];
    }
    frames
}

fn aac_track(file: &Path, sample_rate: u32, audio_specific_config: [u8; 2]) -> Track {
    let config = CodecConfig::Aac(AacConfig {
        audio_specific_config: audio_specific_config.to_vec(),
        object_type: 2,
        sample_rate,
        channels: 2,
        frame_samples: 1024,
    });
    audio_track(config, adts_frames(&elementary(file, "a", "adts")), 1024)
}

/// A track of stereo Dolby frames at a constant rate, all of one size.
fn dolby_track(file: &Path, format: &str, specific_box: &[u8]) -> Track {
    let stream = elementary(file, "a", format);
    let size = packets(file, "a")[0].2;
    let dolby = DolbyConfig {
        specific_box: specific_box.to_vec(),
        sample_rate: 48_000,
        channels: 2,
        frame_samples: 1536,
    };
    let config = if format == "ac3" { CodecConfig::Ac3(dolby) } else { CodecConfig::Eac3(dolby) };
    let frames = stream.chunks_exact(usize::try_from(size).unwrap()).map(<[u8]>::to_vec);
    audio_track(config, frames.collect(), 1536)
}

impl Track {
    fn timescale(&self) -> Timescale {
        self.config.timescale()
    }

    /// The track in two parts, the second of which begins at `position` and `hole` ticks late.
    fn parts(&self, position: usize, hole: i64) -> Vec<MuxPart<'_>> {
        let (first, second) = self.samples.split_at(position);
        let size: u32 = first.iter().map(|sample| sample.size).sum();
        let elapsed: i64 = first.iter().map(|sample| i64::from(sample.duration)).sum();
        let elapsed = MediaTime::from_ticks_nearest(elapsed, self.timescale());
        let (head, tail) = self.payload.split_at(usize::try_from(size).unwrap());
        let second_start = MediaTime(START + hole) + elapsed;
        vec![
            MuxPart { samples: first, decode_start: MediaTime(START), payload: head },
            MuxPart { samples: second, decode_start: second_start, payload: tail },
        ]
    }

    /// What a reader must find, with audio's times computed in its own timescale.
    fn expected(&self, parts: &[MuxPart<'_>]) -> Vec<Packet> {
        let mut packets = Vec::new();
        for part in parts {
            let mut elapsed = 0;
            for sample in part.samples {
                let elapsed_90k = MediaTime::from_ticks_nearest(elapsed, self.timescale());
                let dts = (part.decode_start + elapsed_90k).ticks();
                let pts = dts + i64::from(sample.composition_offset);
                packets.push(Packet { pts, dts, key: sample.random_access });
                elapsed += i64::from(sample.duration);
            }
        }
        packets
    }

    fn write_fragmented(&self, path: &Path, parts: &[MuxPart<'_>]) {
        let fragment_parts: Vec<FragmentPart<'_>> = parts
            .iter()
            .map(|part| FragmentPart {
                samples: part.samples,
                decode_start: part.decode_start,
                payload_size: u32::try_from(part.payload.len()).unwrap(),
            })
            .collect();
        let mut file = write_init_segment(&self.config, Some("de"));
        let heads = write_fragment_heads(&self.config, 1, &fragment_parts);
        for (head, part) in heads.iter().zip(parts) {
            file.extend(head);
            file.extend(part.payload);
        }
        std::fs::write(path, file).unwrap();
    }
}

/// Fails where a time differs by more than `tolerance` ticks of 90 kHz.
fn assert_same(found: &[Packet], expected: &[Packet], tolerance: u64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.pts.abs_diff(expected.pts) <= tolerance, "{found:?} {expected:?}");
        assert!(found.dts.abs_diff(expected.dts) <= tolerance, "{found:?} {expected:?}");
        assert_eq!(found.key, expected.key);
    }
}

fn check_fragmented(directory: &Path, track: &Track, position: usize, hole: i64, format: &str) {
    let parts = track.parts(position, hole);
    let path = directory.join("out.mp4");
    track.write_fragmented(&path, &parts);
    let scale = track.timescale();
    let rows = packets(&path, "0");
    let sizes: Vec<u32> = rows.iter().map(|row| row.2).collect();
    assert!(sizes.iter().copied().eq(track.samples.iter().map(|sample| sample.size)));
    let found: Vec<Packet> = rows
        .iter()
        .map(|&(pts, dts, _, key)| Packet {
            pts: MediaTime::from_ticks_nearest(pts, scale).ticks(),
            dts: MediaTime::from_ticks_nearest(dts, scale).ticks(),
            key,
        })
        .collect();
    let tolerance = u64::from(scale != Timescale::MPEG_TS);
    assert_same(&found, &track.expected(&parts), tolerance);
    assert_eq!(pieces(&path, "0", format), track.pieces);
}

/// NAL units or frames of a written file, as ffmpeg copies them out.
fn pieces(path: &Path, stream: &str, format: &str) -> Vec<Vec<u8>> {
    let bytes = elementary(path, stream, format);
    match format {
        "h264" | "hevc" => media_units(format == "hevc", &bytes),
        "adts" => adts_frames(&bytes),
        _ => {
            let size = usize::try_from(packets(path, stream)[0].2).unwrap();
            bytes.chunks_exact(size).map(<[u8]>::to_vec).collect()
        }
    }
}

fn check_transport(directory: &Path, tracks: &[(&Track, usize, &str)], hole: i64) {
    let inputs: Vec<MuxTrack<'_>> = tracks
        .iter()
        .map(|(track, position, _)| MuxTrack {
            config: &track.config,
            language: Some("de"),
            parts: track.parts(*position, hole),
        })
        .collect();
    let stream = mux_segment(&inputs);
    assert_eq!(stream, mux_segment(&inputs));
    check_packets(&stream);
    let path = directory.join("out.ts");
    std::fs::write(&path, stream).unwrap();
    for (index, ((track, _, format), input)) in tracks.iter().zip(&inputs).enumerate() {
        let select = index.to_string();
        let found: Vec<Packet> = packets(&path, &select)
            .iter()
            .map(|&(pts, dts, _, key)| Packet { pts, dts, key })
            .collect();
        let mut expected = track.expected(&input.parts);
        for packet in &mut expected {
            packet.pts &= (1 << 33) - 1;
            packet.dts &= (1 << 33) - 1;
        }
        let tolerance = u64::from(track.timescale() != Timescale::MPEG_TS);
        assert_same(&found, &expected, tolerance);
        assert_eq!(pieces(&path, &select, format), track.pieces);
    }
}

/// Every PID's counter counts from zero, and the clock reference rises and comes often enough.
fn check_packets(stream: &[u8]) {
    let mut counters = std::collections::BTreeMap::new();
    let mut clocks: Vec<u64> = Vec::new();
    assert_eq!(stream.len() % 188, 0);
    for packet in stream.chunks_exact(188) {
        assert_eq!(packet[0], 0x47);
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        let next = counters.entry(pid).or_insert(0);
        assert_eq!(packet[3] & 0x0f, *next, "PID {pid}");
        *next = (*next + 1) & 0x0f;
        if packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x10 != 0 {
            let field = [0, 0, packet[6], packet[7], packet[8], packet[9], packet[10], packet[11]];
            clocks.push(u64::from_be_bytes(field) >> 15);
        }
    }
    assert!(clocks.len() > 10);
    assert!(clocks.is_sorted());
}

const PICTURES: &str = "-f lavfi -i testsrc2=s=320x180:r=30:d=2";
const TONE: &str = "-f lavfi -i aevalsrc=sin(440*2*PI*t)|sin(880*2*PI*t)";

#[test]
fn avc_and_aac() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = format!(
        "{PICTURES} {TONE}:s=48000:d=2 -c:v libx264 -preset veryfast -bf 2 -g 30 -c:a aac -f mpegts"
    );
    let source = encode(directory.path(), "in.ts", &arguments);
    let video = video_track(&source, false);
    let audio = aac_track(&source, 48_000, [0x11, 0x90]);
    assert!(video.samples.iter().any(|sample| sample.composition_offset > 3000), "B pictures");
    for hole in [0, 180_000] {
        check_fragmented(directory.path(), &video, 30, hole, "h264");
        check_fragmented(directory.path(), &audio, 47, hole, "adts");
        check_transport(directory.path(), &[(&video, 30, "h264"), (&audio, 47, "adts")], hole);
        check_transport(directory.path(), &[(&audio, 47, "adts")], hole);
    }
}

#[test]
fn hevc_and_dolby() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = format!(
        "{PICTURES} {TONE}:s=48000:d=2 -c:v libx265 -preset ultrafast \
         -x265-params log-level=none:keyint=30:scenecut=0:open-gop=0 -c:a ac3 -b:a 192k -f mpegts"
    );
    let source = encode(directory.path(), "in.ts", &arguments);
    let video = video_track(&source, true);
    // ETSI TS 102 366 §F.4: 48 kHz, bsid 8, stereo, 192 kbit/s.
    let ac3 = dolby_track(&source, "ac3", &[0x10, 0x11, 0x40]);
    let arguments = format!("{TONE}:s=48000:d=2 -c:a eac3 -b:a 192k -f mpegts");
    let source = encode(directory.path(), "in2.ts", &arguments);
    // §F.6: one independent substream, 48 kHz, bsid 16, stereo.
    let eac3 = dolby_track(&source, "eac3", &[0x06, 0x00, 0x20, 0x04, 0x00]);
    check_fragmented(directory.path(), &video, 30, 0, "hevc");
    check_fragmented(directory.path(), &ac3, 31, 0, "ac3");
    check_fragmented(directory.path(), &eac3, 31, 0, "eac3");
    let tracks = [(&video, 30, "hevc"), (&ac3, 31, "ac3"), (&eac3, 20, "eac3")];
    check_transport(directory.path(), &tracks, 0);
}

#[test]
fn aac_at_a_rate_that_does_not_divide_the_clock() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = format!("{TONE}:s=44100:d=5 -c:a aac -f mpegts");
    let source = encode(directory.path(), "in.ts", &arguments);
    let audio = aac_track(&source, 44_100, [0x12, 0x10]);
    for position in [1, 43, 86] {
        check_fragmented(directory.path(), &audio, position, 0, "adts");
        check_transport(directory.path(), &[(&audio, position, "adts")], 0);
    }
}

#[test]
fn the_mp4_crate_reads_init_and_fragments() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = format!("{PICTURES} -c:v libx264 -preset veryfast -bf 2 -g 30 -f mpegts");
    let source = encode(directory.path(), "in.ts", &arguments);
    let video = video_track(&source, false);
    let path = directory.path().join("out.mp4");
    video.write_fragmented(&path, &video.parts(30, 0));
    let bytes = std::fs::read(path).unwrap();
    let size = u64::try_from(bytes.len()).unwrap();
    let reader = mp4::Mp4Reader::read_header(Cursor::new(&bytes), size).unwrap();

    let track = &reader.tracks()[&1];
    assert_eq!(track.timescale(), 90_000);
    assert_eq!((track.width(), track.height()), (320, 180));
    assert_eq!(track.language(), "deu");
    let CodecConfig::Avc(config) = &video.config else { panic!("it is AVC") };
    assert_eq!(track.sequence_parameter_set().unwrap(), config.sps[0]);
    assert_eq!(track.picture_parameter_set().unwrap(), config.pps[0]);
    assert_eq!(reader.moofs.len(), 2);
    let start = u64::try_from(START).unwrap();
    for (index, (moof, decode_time)) in reader.moofs.iter().zip([start, start + 90_000]).enumerate()
    {
        assert_eq!(moof.mfhd.sequence_number, u32::try_from(index).unwrap() + 1);
        let [traf] = &moof.trafs[..] else { panic!("one track") };
        assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, decode_time);
        assert_eq!(traf.tfhd.default_sample_duration, Some(3000));
        let run = traf.trun.as_ref().unwrap();
        let part = &video.samples[index * 30..][..30];
        assert!(run.sample_sizes.iter().copied().eq(part.iter().map(|sample| sample.size)));
        let offsets = part.iter().map(|sample| sample.composition_offset.cast_unsigned());
        assert!(run.sample_cts.iter().copied().eq(offsets));
    }
}
