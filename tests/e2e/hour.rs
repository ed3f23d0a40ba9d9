//! An hour of media, pushed as fast as it is taken: on the grid, in sync, in bounded memory.

use crate::client::Encoder;
use crate::endless::{FIRST_TIME, FRAME_SAMPLES, Life, SEGMENT_TICKS, audio_frames};
use crate::origin::{Origin, channel_with, demo, endpoints, eventually};
use crate::playback::{CMAF, DASH, HLS, Rendition, listed, listed_with, number_of, served};

const LIFE: Life = Life { first: 0 };
const HOUR_SEGMENT_COUNT: i64 = 3600 * 90_000 / SEGMENT_TICKS;
/// Segments between two looks at what is served.
const LOOK_INTERVAL: i64 = 90;

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
        LIFE.push(&mut encoder, number);
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
            LIFE.push(&mut encoder, number);
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
        LIFE.push(&mut encoder, number);
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
