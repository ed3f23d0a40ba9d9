//! Scenarios: an encoder's segments and playlists in, listed numbers and times out.

mod declared;
mod merge;
mod returns;
mod splices;
mod timeline;

use super::*;
use crate::engine::codec::{AacConfig, CodecConfig, TrackKind, VideoConfig};
use crate::engine::endpoint::{
    Endpoint, HeaderRule, HlsListSettings, HlsPackage, Package, StaleRule, StreamSelection,
};
use crate::engine::manifest::{Resource, SegmentPlan, plan_segment, render, resolve};
use crate::engine::playlist::{MediaPlaylist, Multivariant, PlaylistSegment, Variant};
use crate::engine::presentation::{Joined, Track};
use crate::engine::sample_table::content_hash;
use crate::engine::segment::{Damage, Sample, TrackSegment};

const SECOND: i64 = 90_000;
/// 2026-01-01T00:00:00Z.
const EPOCH_US: i64 = 1_767_225_600_000_000;

pub(super) fn video(tag: u8) -> CodecConfig {
    CodecConfig::Avc(VideoConfig {
        vps: Vec::new(),
        sps: vec![vec![0x67, tag]],
        pps: vec![vec![0x68]],
        rfc6381: "avc1.64001f".into(),
        width: 1280,
        height: 720,
        aspect: (1, 1),
        frame_rate: (25, 1),
        interlaced: false,
        chroma_format: 1,
        bit_depth_luma: 8,
        bit_depth_chroma: 8,
        colour: None,
    })
}

pub(super) fn audio() -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x11, 0x90],
        object_type: 2,
        sample_rate: 48_000,
        channels: 2,
        frame_samples: 1024,
    })
}

pub(super) fn track(config: CodecConfig, start: i64, duration: i64, count: i64) -> TrackSegment {
    let sample = Sample { size: 100, duration: 1, composition_offset: 0, random_access: true };
    let modulus = grid::SOURCE_TIME_MODULUS;
    let wrapped = MediaTime(start.rem_euclid(modulus));
    // Every segment has bytes of its own, and twins have the same.
    let mut payload = vec![0; usize::try_from(count * 100).expect("small")];
    payload.iter_mut().zip(wrapped.0.to_be_bytes()).for_each(|(byte, from)| *byte = from);
    TrackSegment {
        pid: 256,
        config,
        language: None,
        first_decode_time: wrapped,
        earliest_presentation_time: wrapped,
        presentation_end: wrapped + MediaTime(duration),
        samples: vec![sample; usize::try_from(count).expect("small")],
        payload,
        damage: Damage::default(),
    }
}

/// A channel, its ring reduced to a list, and a clock.
struct Bench {
    channel: Channel,
    config: ChannelConfig,
    ring: Vec<Entry>,
    seconds: f64,
    /// How far the machine's wall clock is off.
    step_us: i64,
    offset: u64,
}

#[derive(Clone)]
enum Entry {
    Change(Change),
    Media(RecordMeta, Extent, Extent, u64),
}

impl Bench {
    fn new(join_seconds: &[u32]) -> Self {
        let window = MediaTime(60 * SECOND);
        let config =
            ChannelConfig { join_seconds: join_seconds.into(), window, ..ChannelConfig::default() };
        let channel = Channel::new(config.clone());
        Self { channel, config, ring: Vec::new(), seconds: 0.0, step_us: 0, offset: 0 }
    }

    fn now(&self) -> Now {
        let since = Duration::from_secs_f64(self.seconds);
        let since_us = i64::try_from(since.as_micros()).expect("small");
        Now { monotonic: Monotonic(since), wall: WallClock(EPOCH_US + since_us + self.step_us) }
    }

    fn sync(&mut self) {
        self.ring.extend(self.channel.take_changes().into_iter().map(Entry::Change));
    }

    fn put(&mut self, input: InputNumber, name: &str, tracks: Vec<TrackSegment>) -> Verdict {
        self.put_body(input, name, &SegmentBody { tracks, ..SegmentBody::default() })
    }

    fn put_body(&mut self, input: InputNumber, name: &str, body: &SegmentBody) -> Verdict {
        let verdict = self.channel.on_segment(self.now(), input, name, body);
        if let Verdict::Store(metas) = &verdict {
            for (at, meta) in metas.clone() {
                let TrackSegment { samples, payload, .. } = &body.tracks[at];
                let hash = content_hash(samples, payload);
                let table = Extent { file: 0, offset: self.offset, size: 10 };
                let payload = Extent { file: 0, offset: self.offset + 10, size: meta.payload_size };
                self.offset += 10 + u64::from(meta.payload_size);
                let entry = Entry::Media(meta.clone(), table, payload, hash);
                self.sync();
                self.ring.push(entry);
                self.channel.on_stored(self.now(), meta, (table, payload), hash);
            }
            self.channel.on_body_stored(self.now());
        }
        self.sync();
        verdict
    }

    /// One muxed segment of picture and sound.
    fn muxed(&mut self, input: InputNumber, name: &str, start: i64, duration: i64) -> Verdict {
        let frames = duration / 3600;
        let sound = track(audio(), start - 3_000, duration, duration * 48 / 90 / 1024);
        self.put(input, name, vec![track(video(1), start, duration, frames), sound])
    }

    fn picture(&mut self, input: InputNumber, name: &str, start: i64, duration: i64) -> Verdict {
        self.put(input, name, vec![track(video(1), start, duration, duration / 3600)])
    }

    fn lone(&mut self, input: InputNumber, names: &[(&str, i64, Option<i64>)]) {
        let segments = names.iter().map(|&(uri, duration, date_us)| PlaylistSegment {
            uri: uri.into(),
            duration: MediaTime(duration),
            date: date_us.map(WallClock),
            ..PlaylistSegment::default()
        });
        let list = MediaPlaylist {
            target_duration: 2,
            segments: segments.collect(),
            ..MediaPlaylist::default()
        };
        self.list(input, "channel.m3u8", &Playlist::Media(list));
    }

    fn list(&mut self, input: InputNumber, name: &str, playlist: &Playlist) {
        self.channel.on_playlist(self.now(), input, name, playlist);
        self.sync();
    }

    fn wait(&mut self, seconds: f64) {
        let until = self.seconds + seconds;
        while self.seconds < until {
            self.seconds += 0.1;
            self.channel.on_tick(self.now());
        }
        self.sync();
    }

    /// Segments `from..to` of 2 s from input 1, in real time.
    fn run(&mut self, from: i64, to: i64, base: i64) {
        for at in from..to {
            self.picture(ONE, &format!("a{at}.ts"), base + at * 2 * SECOND, 2 * SECOND);
            self.wait(2.0);
        }
    }

    fn restart(&mut self) {
        let mut recovery = Recovery::new(State::default());
        for entry in &self.ring {
            match entry.clone() {
                Entry::Change(change) => {
                    // As they come back from disk.
                    let bytes = postcard::to_stdvec(&change).expect("changes serialise");
                    recovery.on_change(&postcard::from_bytes(&bytes).expect("and come back"));
                }
                Entry::Media(meta, table, payload, hash) => {
                    recovery.on_media(meta, (table, payload), hash);
                }
            }
        }
        assert_eq!(recovery.drop_lost(|_| true), 0);
        self.channel = recovery.finish(self.config.clone(), self.now());
        self.sync();
    }

    fn events(&mut self) -> Vec<Event> {
        self.channel.take_events()
    }
}

const ONE: InputNumber = InputNumber::ONE;
const TWO: InputNumber = InputNumber::TWO;

fn listed(presentation: &Presentation, name: &str) -> Vec<(u64, i64, i64, bool)> {
    let track = presentation.track(name).expect("track is there");
    let first = track.segments.first().expect("something is listed");
    let (number, start) = (first.number, first.start);
    let relative = |it: &Listed| {
        let media = it.media.is_some();
        (it.number - number, (it.start - start).0, (it.end - it.start).0, media)
    };
    check_laws(presentation, track);
    track.segments.iter().map(relative).collect()
}

/// What holds of every track: numbers are consecutive and time never falls, and there is one
/// configuration in a DASH Period.
pub(super) fn check_laws(presentation: &Presentation, track: &Track) {
    let mut inits = BTreeMap::new();
    for listed in track.segments.iter() {
        let Some(media) = &listed.media else { continue };
        let period = presentation.grid(listed.grid).expect("listed segments' grids stay");
        let first = *inits.entry(period.session_start).or_insert(media.init);
        assert_eq!(first, media.init, "{} in {:?}", listed.number, period.session_start);
    }
    let all: Vec<&Listed> = track.segments.iter().collect();
    for pair in all.windows(2) {
        assert_eq!(pair[0].number + 1, pair[1].number);
        // Segments may overlap by a frame: 3,600 ticks at 25 pictures a second.
        assert!(pair[1].start.0 - pair[0].end.0 >= -3_600, "{pair:?}");
    }
    for &seconds in presentation.grids[0].joined_first.keys() {
        let joined: Vec<Joined> =
            presentation.joined(track, seconds, MediaTime(i64::MIN)).collect();
        for pair in joined.windows(2) {
            assert_eq!(pair[0].number + 1, pair[1].number);
            assert_eq!(pair[0].position + pair[0].count, pair[1].position);
        }
        for one in &joined {
            assert_eq!(presentation.joined_number(track, seconds, one.number).as_ref(), Some(one));
        }
    }
}

fn media(count: i64) -> Vec<(u64, i64, i64, bool)> {
    let two = 2 * SECOND;
    (0..count).map(|at| (at.cast_unsigned(), at * two, two, true)).collect()
}

fn started() -> Bench {
    let mut bench = Bench::new(&[2, 6]);
    bench.lone(ONE, &[("a0.ts", 2 * SECOND, Some(EPOCH_US))]);
    bench.run(0, 3, 900_000);
    bench
}

#[test]
fn goes_on_air_with_the_second_equal_segment() {
    let mut bench = Bench::new(&[2]);
    bench.picture(ONE, "a0.ts", 900_000, 2 * SECOND);
    bench.lone(ONE, &[("a0.ts", 2 * SECOND, Some(EPOCH_US))]);
    assert!(bench.channel.present().tracks.is_empty());
    bench.picture(ONE, "a1.ts", 900_000 + 2 * SECOND, 2 * SECOND);
    let presentation = bench.channel.present();
    assert_eq!(listed(&presentation, "v1"), media(2));
    let first = presentation.tracks[0].segments.first().expect("listed").clone();
    let wall = first.start + presentation.clock_offset;
    assert!((wall.0 - WallClock(EPOCH_US).ticks_90k()).abs() <= 4_500, "near Unix time");
    assert_eq!(presentation.clock_offset.0 % 9_000, 0);
    assert_eq!(first.number, u64::try_from(first.start.0 / (2 * SECOND)).expect("positive"));
}

#[test]
fn origins_that_started_at_different_times_number_alike() {
    let mut early = started();
    early.run(3, 10, 900_000);
    let mut late = Bench::new(&[2, 6]);
    late.seconds = 10.0;
    let date = EPOCH_US + 10_000_000;
    late.lone(ONE, &[("a5.ts", 2 * SECOND, Some(date))]);
    late.run(5, 10, 900_000);
    let (early, late) = (early.channel.present(), late.channel.present());
    let newest: Vec<Listed> = early.tracks[0].segments.iter_from(5).cloned().collect();
    let same: Vec<Listed> = late.tracks[0].segments.iter().cloned().collect();
    let times = |all: &[Listed]| all.iter().map(|it| (it.number, it.start)).collect::<Vec<_>>();
    assert_eq!(times(&newest), times(&same));
    for seconds in [2, 6] {
        let tail = |of: &Presentation| of.joined(&of.tracks[0], seconds, MediaTime(0)).last();
        assert_eq!(tail(&early).map(|it| it.number), tail(&late).map(|it| it.number));
    }
}

#[test]
fn a_short_first_segment_comes_before_the_grid() {
    let mut bench = Bench::new(&[2]);
    bench.lone(ONE, &[("a0.ts", SECOND / 2, Some(EPOCH_US))]);
    bench.picture(ONE, "a0.ts", 900_000 - 36_000, 36_000);
    bench.run(1, 4, 900_000 - 2 * SECOND);
    let two = 2 * SECOND;
    let presentation = bench.channel.present();
    let expected = [(0, 0, 36_000, true), (1, 36_000, two, true), (2, 36_000 + two, two, true)];
    assert_eq!(listed(&presentation, "v1")[..3], expected);
}

#[test]
fn a_change_of_cadence_moves_the_grid_without_a_discontinuity() {
    let mut bench = started();
    let four = 4 * SECOND;
    for at in 0..5 {
        bench.picture(ONE, &format!("b{at}.ts"), 900_000 + 6 * SECOND + at * four, four);
        bench.wait(4.0);
    }
    let presentation = bench.channel.present();
    assert_eq!(listed(&presentation, "v1").len(), 8);
    assert!(presentation.tracks[0].segments.iter().all(|it| !it.discontinuity));
    assert_eq!(
        presentation.grids.last().expect("a grid").period.0 / 90_000,
        4 * u64::from(presentation.grids.last().expect("a grid").period.1)
    );
    assert_eq!(bench.events().iter().filter(|it| **it == Event::GridMoved).count(), 1);
}

#[test]
fn a_hole_is_listed_as_gaps_half_a_target_after_later_media() {
    let mut bench = started();
    bench.picture(ONE, "a5.ts", 900_000 + 10 * SECOND, 2 * SECOND);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(3));
    bench.wait(1.2);
    let mut expected = media(6);
    expected[3].3 = false;
    expected[4].3 = false;
    let presentation = bench.channel.present();
    assert_eq!(listed(&presentation, "v1"), expected);
    assert!(presentation.tracks[0].segments.iter().all(|it| !it.discontinuity));
}

#[test]
fn a_missing_segment_that_comes_in_time_leaves_no_gap() {
    let mut bench = started();
    bench.picture(ONE, "a4.ts", 900_000 + 8 * SECOND, 2 * SECOND);
    bench.wait(0.5);
    bench.picture(ONE, "a3.ts", 900_000 + 6 * SECOND, 2 * SECOND);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(5));
}

#[test]
fn late_media_takes_a_gaps_place_unless_a_joined_segment_was_made_with_it() {
    for (join_seconds, filled) in [(2, true), (6, false)] {
        let mut bench = Bench::new(&[join_seconds]);
        bench.lone(ONE, &[("a0.ts", 2 * SECOND, Some(EPOCH_US))]);
        bench.run(0, 3, 900_000);
        bench.picture(ONE, "a4.ts", 900_000 + 8 * SECOND, 2 * SECOND);
        bench.wait(1.2);
        bench.run(5, 9, 900_000);
        let verdict = bench.picture(ONE, "a3.ts", 900_000 + 6 * SECOND, 2 * SECOND);
        assert!(matches!(verdict, Verdict::Store(_)));
        assert_eq!(listed(&bench.channel.present(), "v1")[3].3, filled, "{join_seconds}");
    }
}

#[test]
fn twins_give_one_stream_and_either_may_die() {
    let mut bench = started();
    let base = 900_000;
    for at in 3..8 {
        let name = format!("a{at}.ts");
        bench.picture(ONE, &name, base + at * 2 * SECOND, 2 * SECOND);
        let copy = bench.picture(TWO, &name, base + at * 2 * SECOND, 2 * SECOND);
        assert_eq!(copy, Verdict::Drop(DropReason::Duplicate));
        bench.wait(2.0);
    }
    for at in 8..12 {
        bench.picture(TWO, &format!("a{at}.ts"), base + at * 2 * SECOND, 2 * SECOND);
        bench.wait(2.0);
    }
    let presentation = bench.channel.present();
    assert_eq!(listed(&presentation, "v1"), media(12));
    assert!(presentation.tracks[0].segments.iter().all(|it| !it.discontinuity));
    assert_eq!(bench.channel.active_input(), Some(TWO));
}

#[test]
fn a_dying_encoders_stump_waits_for_the_whole_copy() {
    let mut bench = started();
    bench.picture(TWO, "a2.ts", 900_000 + 4 * SECOND, 2 * SECOND);
    bench.picture(ONE, "a3.ts", 900_000 + 6 * SECOND, SECOND);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(3));
    bench.picture(TWO, "a3.ts", 900_000 + 6 * SECOND, 2 * SECOND);
    bench.picture(TWO, "a4.ts", 900_000 + 8 * SECOND, 2 * SECOND);
    bench.wait(3.0);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(5));
}

#[test]
fn an_encoder_that_restarts_elsewhere_in_time_is_one_discontinuity() {
    for (restart, gap) in [(7 * SECOND, 10.0), (grid::SOURCE_TIME_MODULUS / 3, 0.0)] {
        let mut bench = started();
        bench.wait(gap);
        let date = EPOCH_US
            + i64::try_from(Duration::from_secs_f64(bench.seconds).as_micros()).expect("small");
        bench.lone(ONE, &[("b0.ts", 2 * SECOND, Some(date))]);
        for at in 0..4 {
            bench.picture(ONE, &format!("b{at}.ts"), restart + at * 2 * SECOND, 2 * SECOND);
            bench.wait(2.0);
        }
        let presentation = bench.channel.present();
        let track = presentation.track("v1").expect("video");
        check_laws(&presentation, track);
        let breaks: Vec<bool> = track.segments.iter().map(|it| it.discontinuity).collect();
        assert_eq!(breaks, [false, false, false, true, false, false, false], "{restart}");
        let first = track.segments.get(3).expect("listed");
        let wall = first.start + presentation.clock_offset;
        assert!((wall.0 - WallClock(date).ticks_90k()).abs() <= 9_000, "{restart}");
    }
}

#[test]
fn timestamps_wrap_unnoticed() {
    let mut bench = Bench::new(&[2]);
    bench.lone(ONE, &[("a0.ts", 2 * SECOND, Some(EPOCH_US))]);
    bench.run(0, 8, grid::SOURCE_TIME_MODULUS - 5 * SECOND);
    let presentation = bench.channel.present();
    assert_eq!(listed(&presentation, "v1"), media(8));
    assert!(presentation.tracks[0].segments.iter().all(|it| !it.discontinuity));
}

#[test]
fn muxed_sound_that_starts_early_has_the_pictures_numbers() {
    let mut bench = Bench::new(&[2]);
    bench.lone(ONE, &[("a0.ts", 2 * SECOND, Some(EPOCH_US))]);
    for at in 0..4 {
        bench.muxed(ONE, &format!("a{at}.ts"), 900_000 + at * 2 * SECOND, 2 * SECOND);
        bench.wait(2.0);
    }
    let presentation = bench.channel.present();
    let numbers = |name: &str| {
        let track = presentation.track(name).expect("track");
        track.segments.iter().map(|it| it.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers("v1"), numbers("a1"));
    assert_eq!(numbers("a1").len(), 4);
}

#[test]
fn a_ladder_has_one_copy_of_its_muxed_sound() {
    let mut bench = Bench::new(&[2]);
    let variant = |uri: &str, bandwidth| Variant {
        uri: uri.into(),
        bandwidth: Some(bandwidth),
        ..Variant::default()
    };
    let variants = vec![variant("channel_1.m3u8", 5_000_000), variant("channel_2.m3u8", 900_000)];
    let list = Multivariant { variants, ..Multivariant::default() };
    for at in 0..3 {
        for rung in ["channel_1", "channel_2"] {
            let name = format!("{rung}_{at:05}.ts");
            bench.muxed(ONE, &name, 900_000 + at * 2 * SECOND, 2 * SECOND);
        }
        if at == 0 {
            bench.list(ONE, "channel.m3u8", &Playlist::Multivariant(list.clone()));
        }
        bench.wait(2.0);
    }
    bench.wait(6.0);
    let presentation = bench.channel.present();
    let names: Vec<&str> = presentation.tracks.iter().map(|it| it.info.name.as_str()).collect();
    assert_eq!(names, ["v1", "v2", "a1"]);
    for track in &presentation.tracks {
        assert_eq!(track.segments.len(), 3, "{}", track.info.name);
    }
    let shares = |name: &str| presentation.track(name).expect("track").info.bandwidth;
    assert_eq!(shares("v1") + shares("a1"), 5_000_000);
    assert_eq!(
        presentation.set_edges[&(TrackKind::Video, 0)],
        presentation.set_edges[&(TrackKind::Audio, 0)]
    );
}

#[test]
fn a_new_configuration_is_one_discontinuity() {
    let mut bench = started();
    for at in 3..6 {
        let segment = track(video(2), 900_000 + at * 2 * SECOND, 2 * SECOND, 50);
        bench.put(ONE, &format!("a{at}.ts"), vec![segment]);
        bench.wait(2.0);
    }
    let presentation = bench.channel.present();
    assert_eq!(listed(&presentation, "v1"), media(6));
    let breaks: Vec<bool> =
        presentation.tracks[0].segments.iter().map(|it| it.discontinuity).collect();
    assert_eq!(breaks, [false, false, false, true, false, false]);
    assert_eq!(presentation.inits.len(), 2);
}

#[test]
fn a_restart_continues_the_numbers_without_a_trace() {
    let mut whole = started();
    whole.run(3, 12, 900_000);
    for restart_after in 0..12 {
        let mut bench = Bench::new(&[2, 6]);
        bench.lone(ONE, &[("a0.ts", 2 * SECOND, Some(EPOCH_US))]);
        bench.run(0, restart_after, 900_000);
        bench.restart();
        if restart_after == 0 {
            bench.lone(ONE, &[("a0.ts", 2 * SECOND, Some(EPOCH_US))]);
        }
        bench.run(restart_after, 12, 900_000);
        let (one, other) = (whole.channel.present(), bench.channel.present());
        assert_eq!(
            one.tracks[0]
                .segments
                .iter()
                .map(|it| (it.number, it.start, it.end))
                .collect::<Vec<_>>(),
            other.tracks[0]
                .segments
                .iter()
                .map(|it| (it.number, it.start, it.end))
                .collect::<Vec<_>>(),
            "{restart_after}"
        );
    }
}

#[test]
fn a_dropped_file_takes_its_segments_and_their_discontinuities() {
    let mut bench = started();
    bench.lone(ONE, &[("b0.ts", 2 * SECOND, Some(EPOCH_US + 6_000_000))]);
    for at in 0..3 {
        bench.picture(ONE, &format!("b{at}.ts"), 500 * SECOND * 90 + at * 2 * SECOND, 2 * SECOND);
        bench.wait(2.0);
    }
    bench.channel.on_file_dropped(0);
    assert!(bench.channel.present().tracks[0].segments.is_empty());
    assert_eq!(bench.channel.present().tracks[0].discontinuity_count, 1);
}

#[test]
fn endlist_of_every_live_input_ends_the_presentation_and_media_resumes_it() {
    let mut bench = started();
    let ended = MediaPlaylist { target_duration: 2, ended: true, ..MediaPlaylist::default() };
    bench.picture(TWO, "a2.ts", 900_000 + 4 * SECOND, 2 * SECOND);
    bench.list(ONE, "channel.m3u8", &Playlist::Media(ended.clone()));
    assert!(!bench.channel.present().ended, "the other input is alive");
    bench.list(TWO, "channel.m3u8", &Playlist::Media(ended));
    bench.wait(1.2);
    assert!(bench.channel.present().ended);
    bench.run(3, 4, 900_000);
    assert!(!bench.channel.present().ended);
}

#[test]
fn without_any_playlist_the_channel_starts_after_three_targets() {
    let mut bench = Bench::new(&[2]);
    bench.run(0, 5, 900_000);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(5));
}

#[test]
fn an_encoder_that_begins_anew_with_its_old_names_is_one_discontinuity() {
    for dated in [true, false] {
        let mut bench = Bench::new(&[2]);
        let date = |bench: &Bench| {
            let since = Duration::from_secs_f64(bench.seconds).as_micros();
            dated.then(|| EPOCH_US + i64::try_from(since).expect("small"))
        };
        for life in 0..2 {
            for at in 0..6 {
                let name = format!("a{at}.ts");
                bench.picture(ONE, &name, 126_000 + at * 2 * SECOND, 2 * SECOND);
                bench.lone(ONE, &[(&name, 2 * SECOND, date(&bench))]);
                bench.wait(2.0);
            }
            let presentation = bench.channel.present();
            let segments = &presentation.track("v1").expect("video").segments;
            assert_eq!(segments.iter().filter(|it| it.media.is_some()).count(), 6 * (life + 1));
            assert_eq!(segments.iter().filter(|it| it.discontinuity).count(), life, "{dated}");
        }
    }
}

#[test]
fn a_retry_of_an_older_segment_is_no_new_beginning() {
    let mut bench = started();
    bench.lone(ONE, &[("a1.ts", 2 * SECOND, None), ("a2.ts", 2 * SECOND, None)]);
    bench.picture(ONE, "a1.ts", 900_000 + 2 * SECOND, 2 * SECOND);
    bench.wait(3.0);
    bench.run(3, 6, 900_000);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(6));
    assert_eq!(bench.channel.present().tracks[0].discontinuity_count, 0);
}

#[test]
fn what_was_dropped_is_not_judged_again_after_a_restart() {
    let mut bench = started();
    bench.lone(ONE, &[("a1.ts", 2 * SECOND, None), ("a2.ts", 2 * SECOND, None)]);
    let verdict = bench.picture(ONE, "a1.ts", 900_000 + 2 * SECOND, 2 * SECOND);
    assert!(matches!(verdict, Verdict::Store(_)), "its playlist might tell of a new beginning");
    bench.wait(3.0);
    assert!(bench.channel.candidates.is_empty());
    bench.restart();
    assert!(bench.channel.candidates.is_empty());
}

#[test]
fn a_later_hole_does_not_close_before_what_waits_in_front_of_it() {
    let mut bench = started();
    bench.picture(ONE, "a5.ts", 900_000 + 10 * SECOND, 2 * SECOND);
    bench.wait(0.6);
    bench.picture(ONE, "a4.ts", 900_000 + 8 * SECOND, 2 * SECOND);
    bench.wait(0.6);
    let mut expected = media(6);
    expected[3].3 = false;
    assert_eq!(listed(&bench.channel.present(), "v1"), expected);
}

#[test]
fn a_clock_that_was_never_set_is_not_believed() {
    let mut bench = Bench::new(&[2]);
    bench.lone(ONE, &[("a0.ts", 2 * SECOND, Some(1_000_000))]);
    bench.run(0, 5, 5_000_000_000);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(5));
}

#[test]
fn a_short_join_at_the_streams_end_stays_as_it_was() {
    let mut bench = Bench::new(&[6]);
    bench.lone(ONE, &[("a0.ts", 2 * SECOND, Some(EPOCH_US))]);
    bench.run(0, 10, 900_000);
    let ended = MediaPlaylist { target_duration: 2, ended: true, ..MediaPlaylist::default() };
    bench.list(ONE, "channel.m3u8", &Playlist::Media(ended));
    bench.wait(1.5);
    let joined = |bench: &mut Bench| -> Vec<Joined> {
        let presentation = bench.channel.present();
        presentation.joined(&presentation.tracks[0], 6, MediaTime(0)).collect()
    };
    assert!(bench.channel.present().ended);
    let before = joined(&mut bench);
    bench.run(10, 16, 900_000);
    assert!(!bench.channel.present().ended);
    assert_eq!(joined(&mut bench)[..before.len()], before);
}

/// Sound in segments of a second beside pictures of two: what of it goes into each transport
/// stream, by URL, however late the sound comes.
#[test]
fn a_transport_stream_waits_for_sound_of_another_cadence_and_never_changes() {
    // Tenths of a second that sound comes late after a while, and a segment that never comes.
    for (late, lost) in [(0, 99), (7, 99), (16, 99), (35, 99), (55, 99), (0, 7), (16, 7)] {
        let mut bench = Bench::new(&[2]);
        bench.list(ONE, "channel.m3u8", &Playlist::Multivariant(picture_and_sound()));
        let mut urls = BTreeMap::new();
        for tenth in 1..=240 {
            if tenth % 20 == 0 {
                let at = tenth / 20 - 1;
                let start = 900_000 + at * 2 * SECOND;
                bench.picture(ONE, &format!("channel_1_{at}.ts"), start, 2 * SECOND);
            }
            let due = |at: &i64| 10 * (at + 1) + if *at < 6 { 0 } else { late } == tenth;
            for at in (0..24).filter(due).filter(|&at| at != lost) {
                let segment = track(audio(), 900_000 + at * SECOND - 1_000, SECOND, 47);
                bench.put(ONE, &format!("sound_{at}.aac"), vec![segment]);
            }
            bench.wait(0.1);
            offered(&mut bench, &mut urls);
        }
        let presentation = bench.channel.present();
        let last = presentation.tracks[0].segments.last().expect("listed").end;
        let newest = urls.values().map(|plan| plan.end).max().expect("streams are offered");
        assert!(last - newest <= MediaTime(4 * SECOND), "{late} {lost}: {newest:?} of {last:?}");
        let whole = |plan: &&SegmentPlan| plan.tracks.get(1).is_some_and(|it| it.parts.len() == 2);
        let given_up = urls.values().any(|plan| !whole(&plan));
        assert_eq!(given_up, late >= 35 || lost == 7, "{late} {lost}");
        let whole = urls.values().filter(whole).count();
        assert!(whole >= 8, "{late} {lost}: {whole} of {}", urls.len());
    }
}

fn picture_and_sound() -> Multivariant {
    let variant =
        Variant { uri: "channel_1.m3u8".into(), audio: Some("sound".into()), ..Variant::default() };
    let sound = crate::engine::playlist::Rendition {
        kind: crate::engine::playlist::RenditionKind::Audio,
        group_id: "sound".into(),
        name: "Sound".into(),
        language: None,
        uri: Some("sound.m3u8".into()),
        default: true,
        autoselect: true,
        forced: false,
        characteristics: None,
        channels: None,
        instream_id: None,
    };
    Multivariant { variants: vec![variant], renditions: vec![sound] }
}

fn transport_streams() -> Endpoint {
    Endpoint {
        id: "e".to_owned(),
        channel: "c".to_owned(),
        startover_window_seconds: 0,
        time_delay_seconds: 0,
        manifest_name: "index".to_owned(),
        package: Package::Hls(HlsPackage {
            segment_duration_seconds: 2,
            use_audio_rendition_group: false,
            list: HlsListSettings {
                playlist_window_seconds: 60,
                program_date_time_interval_seconds: 0,
                ..HlsListSettings::default()
            },
        }),
        stream_selection: StreamSelection::default(),
        stale: StaleRule::default(),
        headers: HeaderRule::default(),
    }
}

/// Adds the transport streams that are offered now to `urls`: a URL keeps its bytes.
fn offered(bench: &mut Bench, urls: &mut BTreeMap<String, SegmentPlan>) {
    let presentation = bench.channel.present();
    let endpoint = transport_streams();
    let Ok(Resource::Manifest(manifest)) = resolve(&endpoint, &presentation, "index_v1.m3u8")
    else {
        return;
    };
    let Ok(rendered) = render(&endpoint, &presentation, &manifest) else { return };
    let text = String::from_utf8(rendered.body).expect("manifests are UTF-8");
    for uri in text.lines().filter(|line| !line.starts_with('#')) {
        let Ok(Resource::Segment(id)) = resolve(&endpoint, &presentation, uri) else {
            panic!("{uri} is listed")
        };
        let plan = plan_segment(&endpoint, &presentation, &id).expect("listed");
        if let Some(before) = urls.insert(uri.to_owned(), plan.clone()) {
            assert_eq!(before, plan, "{uri}");
        }
    }
}

#[test]
fn a_backlog_without_playlists_goes_on_air() {
    for count in [2, 5, 40, 144] {
        let mut bench = Bench::new(&[2]);
        for at in 0..count {
            bench.muxed(ONE, &format!("channel_0_{at}.ts"), 900_000 + at * 2 * SECOND, 2 * SECOND);
        }
        bench.wait(8.0);
        let presentation = bench.channel.present();
        assert_eq!(listed(&presentation, "v1"), media(count), "{count}");
        for track in &presentation.tracks {
            assert!(track.segments.iter().all(|it| !it.discontinuity), "{count}");
        }
    }
}
