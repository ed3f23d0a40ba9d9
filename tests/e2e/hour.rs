//! An hour of media, pushed as fast as it is taken: on the grid, in sync, in bounded memory.
//!
//! Pictures of 29.97 Hz and audio frames of 44.1 kHz never line up, segments of 2.002 s hold 86 or
//! 87 of them. Twelve encoded seconds are repeated with new timestamps, which pass 2^33 half-way.

use crate::client::Encoder;
use crate::origin::{Origin, channel_with, demo, endpoints, eventually};
use crate::playback::{CMAF, DASH, HLS, Rendition, listed, listed_with, number_of, served};
use crate::source::Source;
use headwater::engine::body::SegmentParser;
use headwater::engine::mpegts::mux::{MuxPart, MuxTrack, mux_segment};
use headwater::engine::segment::{Sample, TrackSegment};
use headwater::units::{MediaTime, Timescale};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::LazyLock;

const SEGMENT_TICKS: i64 = 180_180;
const HOUR_SEGMENT_COUNT: i64 = 3600 * 90_000 / SEGMENT_TICKS;
const FRAME_SAMPLES: i64 = 1024;
const SAMPLE_RATE: i64 = 44_100;
/// PTS of the first segment: 2^33 comes after half an hour.
const FIRST_TIME: i64 = (1 << 33) - 1800 * 90_000;
/// Segments between two looks at what is served.
const LOOK_INTERVAL: i64 = 90;

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
            assert_eq!(picture.samples.len(), 60);
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

    /// Segment `number` of the hour.
    fn segment(&self, number: i64) -> Vec<u8> {
        let repeated = |count: usize, index: i64| {
            usize::try_from(index.rem_euclid(i64::try_from(count).unwrap())).unwrap()
        };
        let start = MediaTime(FIRST_TIME + number * SEGMENT_TICKS);
        let picture = &self.video[repeated(self.video.len(), number)];
        let lead = picture.earliest_presentation_time - picture.first_decode_time;
        let frames = audio_frames(number);
        let taken = frames.clone().map(|index| &self.frames[repeated(self.frames.len(), index)]);
        let samples: Vec<Sample> = taken.clone().map(|(sample, _)| *sample).collect();
        let payload: Vec<u8> = taken.flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let rate = Timescale::new(u32::try_from(SAMPLE_RATE).unwrap()).unwrap();
        let elapsed = MediaTime::from_ticks_nearest(frames.start * FRAME_SAMPLES, rate);
        mux_segment(&[
            MuxTrack {
                config: &picture.config,
                language: None,
                parts: vec![MuxPart {
                    samples: &picture.samples,
                    decode_start: start - lead,
                    payload: &picture.payload,
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
fn audio_frames(number: i64) -> Range<i64> {
    let first = |number: i64| {
        let samples = number * SEGMENT_TICKS * SAMPLE_RATE;
        -(-samples).div_euclid(FRAME_SAMPLES * 90_000)
    };
    first(number)..first(number + 1)
}

/// The playlist once segment `newest` is there.
fn playlist(newest: i64) -> String {
    let oldest = (newest - 9).max(0);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{oldest}\n"
    );
    let epoch: jiff::Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    for number in oldest..=newest {
        let date = epoch + jiff::SignedDuration::from_millis(number * 2002);
        write!(text, "#EXT-X-PROGRAM-DATE-TIME:{date:.3}\n#EXTINF:2.002,\nchannel_0_{number}.ts\n")
            .unwrap();
    }
    text
}

/// Pushes segment `number` and its playlist. Storage may ask for patience: this is many times
/// faster than real time.
fn push(encoder: &mut Encoder, number: i64) {
    let name = format!("channel_0_{number}.ts");
    let (segment, playlist) = (MATERIAL.segment(number), playlist(number));
    let mut bodies = vec![(name.as_str(), &segment[..]), ("channel_0.m3u8", playlist.as_bytes())];
    if number == 0 {
        bodies.push(("channel.m3u8", MATERIAL.multivariant.as_bytes()));
    }
    for (name, body) in bodies {
        eventually("storage keeps up", || match encoder.put(name, body).status {
            201 | 204 => Some(()),
            503 => None,
            status => panic!("{status} for {name}"),
        });
    }
}

/// `tfdt` of a fragment (ISO/IEC 14496-12 §8.8.12).
fn decode_time(fragment: &[u8]) -> i64 {
    let at = fragment.windows(4).position(|window| window == b"tfdt").unwrap();
    assert_eq!(fragment[at + 4], 1, "64 bits");
    i64::from_be_bytes(fragment[at + 8..at + 16].try_into().unwrap())
}

/// What a look at the endpoint found of one track.
struct Look {
    number: u64,
    decode_time: i64,
}

/// Looks at the newest segment of each track and checks that the list is whole.
fn look(origin: &Origin, tracks: &[Rendition]) -> Vec<Look> {
    let looks = tracks.iter().map(|track| {
        for sign in ["#EXT-X-DISCONTINUITY", "#EXT-X-GAP"] {
            assert!(!track.playlist.contains(sign), "{}", track.playlist);
        }
        track.assert_consecutive();
        let newest = track.segments.last().unwrap();
        let fragment = origin.get(newest);
        assert_eq!(fragment.status, 200, "{newest}");
        Look { number: number_of(newest), decode_time: decode_time(&fragment.body) }
    });
    looks.collect()
}

/// Both tracks are where the source has them, measured from the first look.
fn check_times(first: &[Look], now: &[Look], first_segment: i64, segment: i64) {
    let [picture, sound] = [0, 1].map(|track| now[track].decode_time - first[track].decode_time);
    let passed = segment - first_segment;
    for track in 0..2 {
        let counted = now[track].number - first[track].number;
        assert_eq!(i64::try_from(counted).unwrap(), passed, "numbers of track {track}");
    }
    assert_eq!(picture, passed * SEGMENT_TICKS, "pictures after {segment} segments");
    let frames = audio_frames(segment).start - audio_frames(first_segment).start;
    let drift = sound - frames * FRAME_SAMPLES;
    assert!(drift.abs() <= 1, "sound is {drift} samples off after {segment} segments");
}

#[test]
fn an_hour_stays_on_the_grid_in_sync_and_in_memory() {
    let small = channel_with("demo", "27MiB", "256KiB");
    let origin = Origin::start(&(small + &endpoints("demo", 2)));
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let (mut first, mut memory, mut gone) = (None, Vec::new(), Vec::new());
    for number in 0..HOUR_SEGMENT_COUNT {
        push(&mut encoder, number);
        if number % LOOK_INTERVAL != LOOK_INTERVAL - 1 {
            continue;
        }
        let tracks = newest_listed(&origin, number);
        let now = look(&origin, &tracks);
        gone.extend(tracks.iter().map(|track| track.segments[0].clone()));
        let (first_segment, first) = first.get_or_insert((number, look(&origin, &tracks)));
        check_times(first, &now, *first_segment, number);
        for path in [HLS, DASH] {
            assert!(!listed(&origin, path).is_empty());
        }
        memory.push(origin.anonymous_memory());
    }
    assert_eq!(origin.get(DASH).text().matches("<Period").count(), 1);
    for path in &gone[..gone.len() / 2] {
        assert_eq!(origin.get(path).status, 404, "{path} has left the window");
    }
    for name in [
        "headwater_discontinuities_total",
        "headwater_gaps_total",
        "headwater_channel_restarts_total",
    ] {
        assert_eq!(origin.metric(name, "channel=\"demo\""), 0, "{name}");
    }
    // The ring is full and has turned over long before the second half begins.
    let (early, late) = memory.split_at(memory.len() / 2);
    let (early, late) = (early.iter().max().unwrap(), late.iter().max().unwrap());
    assert!(*late <= early + (4 << 20), "{memory:?}");
}

/// Pictures and sound of the CMAF endpoint, once both list segment `number`.
fn newest_listed(origin: &Origin, number: i64) -> Vec<Rendition> {
    eventually("the newest segment is listed", || {
        let mut tracks = listed_with(origin, CMAF, 20);
        assert_eq!(tracks.len(), 2);
        // `v1` before `a1`.
        tracks.sort_by(|a, b| b.name.cmp(&a.name));
        let newest = [0, 1].map(|track| number_of(tracks[track].segments.last().unwrap()));
        (newest[0] == newest[1] && holds(origin, &tracks[0], number)).then_some(tracks)
    })
}

/// Whether the newest fragment is segment `number` of the hour.
fn holds(origin: &Origin, track: &Rendition, number: i64) -> bool {
    let newest = track.segments.last().unwrap();
    let time = decode_time(&origin.get(newest).body);
    let expected = FIRST_TIME + number * SEGMENT_TICKS;
    // Decoding is at most a few pictures ahead of presentation.
    (expected - time).rem_euclid(1 << 33) < SEGMENT_TICKS / 2
}

#[test]
fn a_ring_turns_over_behind_players_that_left() {
    let small = channel_with("demo", "27MiB", "256KiB");
    let mut origin = Origin::start(&(small + &endpoints("demo", 2)));
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let ring_size = origin.metric("headwater_ring_bytes", "channel=\"demo\"");
    let pushed = || origin.metric("headwater_ingest_bytes_total", "input=\"1\"");
    let mut number = 0;
    // Each packager is watched for a while, in another part of the ring.
    for path in [CMAF, DASH, CMAF] {
        let begun = pushed();
        while pushed() - begun < ring_size / 6 {
            push(&mut encoder, number);
            number += 1;
        }
        for rendition in listed_with(&origin, path, 20) {
            for segment in &rendition.segments {
                assert_eq!(origin.get(segment).status, 200, "{segment}");
            }
        }
    }
    let begun = pushed();
    while pushed() - begun < ring_size * 3 / 2 {
        push(&mut encoder, number);
        number += 1;
    }
    let before = served(&origin, 20);
    origin.kill();
    origin.restart();
    assert!(served(&origin, 20) == before, "a ring that has turned over is read back");
}

#[test]
fn idle_memory() {
    const CHANNEL_COUNT: u32 = 20;
    let alone = Origin::start(&demo()).anonymous_memory();
    assert!(alone < 40 << 20, "{alone} bytes with one idle channel");
    let tables = (0..CHANNEL_COUNT).map(|number| {
        let id = format!("idle{number}");
        channel_with(&id, "26MiB", "128KiB") + &endpoints(&id, 2)
    });
    let many = Origin::start(&tables.collect::<String>()).anonymous_memory();
    let each = many.saturating_sub(alone) / u64::from(CHANNEL_COUNT - 1);
    assert!(each < 2 << 20, "{each} bytes more for each idle channel");
}
