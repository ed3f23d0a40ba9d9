//! A source without an end, pushed as fast as it is taken.
//!
//! Pictures of 29.97 Hz and audio frames of 44.1 kHz never line up, segments of 2.002 s hold 86 or
//! 87 of them. Twelve encoded seconds are repeated with new timestamps, which pass 2^33 after half
//! an hour.

use crate::client::Encoder;
use crate::origin::eventually;
use crate::source::Source;
use headwater::engine::body::SegmentParser;
use headwater::engine::mpegts::mux::{MuxPart, MuxTrack, mux_segment};
use headwater::engine::segment::{Sample, TrackSegment};
use headwater::units::{MediaTime, Timescale};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::LazyLock;

pub const SEGMENT_TICKS: i64 = 180_180;
pub const FRAME_SAMPLES: i64 = 1024;
const SAMPLE_RATE: i64 = 44_100;
/// PTS of the first segment: 2^33 comes after half an hour.
pub const FIRST_TIME: i64 = (1 << 33) - 1800 * 90_000;
/// Pictures of a segment, and of the stump that a dying encoder leaves: a whole number of groups of
/// a reference picture and what is shown before it.
const PICTURE_COUNT: usize = 60;
const STUMP_PICTURE_COUNT: usize = 31;

/// The material that is repeated.
struct Material {
    multivariant: String,
    /// Pictures of one segment each.
    video: Vec<TrackSegment>,
    audio: TrackSegment,
    /// Audio frames with their bytes.
    frames: Vec<(Sample, Vec<u8>)>,
}

static MATERIAL: LazyLock<Material> = LazyLock::new(Material::encoded);

impl Material {
    fn encoded() -> Self {
        let source = Source::encoded(
            "-f lavfi -i testsrc2=size=160x90:rate=30000/1001 \
             -f lavfi -i sine=frequency=440:sample_rate=44100 -map 0:v -map 1:a \
             -c:v libx264 -preset ultrafast -pix_fmt yuv420p -qp 16 -bf 2 -b_strategy 0 -g 60 \
             -keyint_min 60 -sc_threshold 0 -c:a aac -b:a 48k",
            "v:0,a:0",
        );
        let (mut video, mut audio) = (Vec::new(), Vec::new());
        for segment in &source.variants[0].segments {
            let mut parser = SegmentParser::new();
            parser.push(&segment.body).unwrap();
            let [picture, sound] = <[_; 2]>::try_from(parser.finish().unwrap().tracks).unwrap();
            assert_eq!(picture.samples.len(), PICTURE_COUNT);
            video.push(picture);
            audio.push(sound);
        }
        let frames = audio.iter().flat_map(|track| {
            let mut rest = &track.payload[..];
            track.samples.iter().map(move |sample| {
                let (bytes, after) = rest.split_at(usize::try_from(sample.size).unwrap());
                rest = after;
                (*sample, bytes.to_vec())
            })
        });
        let multivariant = source.multivariant;
        Self { multivariant, video, frames: frames.collect(), audio: audio[0].clone() }
    }

    /// The first pictures of segment `number`, and their sound.
    fn segment(&self, number: i64, pictures: usize) -> Vec<u8> {
        let repeated = |count: usize, index: i64| {
            usize::try_from(index.rem_euclid(i64::try_from(count).unwrap())).unwrap()
        };
        let start = MediaTime(FIRST_TIME + number * SEGMENT_TICKS);
        let picture = &self.video[repeated(self.video.len(), number)];
        let lead = picture.earliest_presentation_time - picture.first_decode_time;
        let part = |all: i64| all * i64::try_from(pictures).unwrap() / 60;
        let mut frames = audio_frames(number);
        frames.end = frames.start + part(frames.end - frames.start);
        let taken = frames.clone().map(|index| &self.frames[repeated(self.frames.len(), index)]);
        let samples: Vec<Sample> = taken.clone().map(|(sample, _)| *sample).collect();
        let payload: Vec<u8> = taken.flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let rate = Timescale::new(u32::try_from(SAMPLE_RATE).unwrap()).unwrap();
        let elapsed = MediaTime::from_ticks_nearest(frames.start * FRAME_SAMPLES, rate);
        let shown = picture.samples[..pictures].iter();
        let picture_size: usize = shown.map(|it| usize::try_from(it.size).unwrap()).sum();
        mux_segment(&[
            MuxTrack {
                config: &picture.config,
                language: None,
                parts: vec![MuxPart {
                    samples: &picture.samples[..pictures],
                    decode_start: start - lead,
                    payload: &picture.payload[..picture_size],
                }],
            },
            MuxTrack {
                config: &self.audio.config,
                language: None,
                parts: vec![MuxPart {
                    samples: &samples,
                    decode_start: MediaTime(FIRST_TIME) + elapsed,
                    payload: &payload,
                }],
            },
        ])
    }
}

/// The audio frames that begin in segment `number`.
pub fn audio_frames(number: i64) -> Range<i64> {
    let first = |number: i64| {
        let samples = number * SEGMENT_TICKS * SAMPLE_RATE;
        -(-samples).div_euclid(FRAME_SAMPLES * 90_000)
    };
    first(number)..first(number + 1)
}

/// One life of an encoder. Its names go on with the clock's, as ffmpeg numbers by epoch.
#[derive(Clone, Copy)]
pub struct Life {
    /// The first segment that it sends.
    pub first: i64,
}

impl Life {
    pub fn name(number: i64) -> String {
        format!("channel_0_{number}.ts")
    }

    /// The playlist once segment `newest` is there.
    pub fn playlist(self, newest: i64) -> String {
        let oldest = (newest - 9).max(self.first);
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{oldest}\n"
        );
        let epoch: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for number in oldest..=newest {
            let date = epoch + jiff::SignedDuration::from_millis(number * 2002);
            let name = Self::name(number);
            write!(text, "#EXT-X-PROGRAM-DATE-TIME:{date:.3}\n#EXTINF:2.002,\n{name}\n").unwrap();
        }
        text
    }

    /// Pushes segment `number` and its playlist, before a life's first the multivariant one.
    pub fn push(self, encoder: &mut Encoder, number: i64) {
        if number == self.first {
            put(encoder, "channel.m3u8", MATERIAL.multivariant.as_bytes());
        }
        put(encoder, &Self::name(number), &segment(number));
        put(encoder, "channel_0.m3u8", self.playlist(number).as_bytes());
    }
}

/// Segment `number`.
pub fn segment(number: i64) -> Vec<u8> {
    MATERIAL.segment(number, PICTURE_COUNT)
}

/// What an encoder that is told to end in the middle of segment `number` makes of it: well formed.
pub fn stump(number: i64) -> Vec<u8> {
    MATERIAL.segment(number, STUMP_PICTURE_COUNT)
}

/// Pushes a body. Storage may ask for patience: this is many times faster than real time.
pub fn put(encoder: &mut Encoder, name: &str, body: &[u8]) {
    eventually("storage keeps up", || match encoder.put(name, body).status {
        201 | 204 => Some(()),
        503 => None,
        status => panic!("{status} for {name}"),
    });
}
