//! What a source does to its timeline: rows IN-10 to IN-12, IN-14, IN-18, IN-20, IN-34 and
//! IN-50 of the fault matrix, wrong dates, and rungs that leave their ladder.

use super::*;

const T: i64 = 2 * SECOND;
const BASE: i64 = 900_000;

fn date_at(at: i64) -> i64 {
    EPOCH_US + at * 2_000_000
}

fn flags(bench: &mut Bench, name: &str) -> Vec<(bool, bool)> {
    let presentation = bench.channel.present();
    let track = presentation.track(name).expect("track");
    check_laws(&presentation, track);
    track.segments.iter().map(|it| (it.media.is_some(), it.discontinuity)).collect()
}

/// Media, gaps and discontinuities of the video.
fn counts(bench: &mut Bench) -> (usize, usize, usize) {
    let flags = flags(bench, "v1");
    let media = flags.iter().filter(|it| it.0).count();
    (media, flags.len() - media, flags.iter().filter(|it| it.1).count())
}

impl Bench {
    /// Segment `at` of an encoder whose timestamps are ahead by `jump`, and its playlist.
    fn dated(&mut self, name: &str, at: i64, jump: i64, date_us: Option<i64>) {
        self.picture(ONE, name, BASE + at * T + jump, T);
        self.wait(0.05);
        self.lone(ONE, &[(name, T, date_us)]);
        self.wait(1.9);
    }
}

#[test]
fn in_10_a_restart_with_names_and_timestamps_reset_is_one_discontinuity_at_most() {
    for dated in [true, false] {
        for (jump, breaks) in [(0, 0), (-5 * T, 1), (3_000_000_000, 1)] {
            let mut bench = Bench::new(&[2]);
            for at in 0..12 {
                let (life, jump) = if at < 5 { (0, 0) } else { (1, jump) };
                let name = format!("a{}.ts", at - life * 5);
                bench.dated(&name, at, jump, dated.then(|| date_at(at)));
            }
            bench.wait(4.0);
            assert_eq!(counts(&mut bench), (12, 0, breaks), "{dated} {jump}");
            let reused =
                bench.events().iter().filter(|it| matches!(it, Event::NameReused(_))).count();
            assert!(reused >= 3, "{dated} {jump}: {reused}");
        }
    }
}

#[test]
fn in_12_a_wrap_is_unnoticed_wherever_it_falls() {
    for before in [0, 1, 3_600, T / 2, T - 3_600, T - 1] {
        let mut bench = Bench::new(&[2]);
        bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
        for at in 0..8 {
            let start = grid::SOURCE_TIME_MODULUS - 3 * T - before + at * T;
            bench.muxed(ONE, &format!("a{at}.ts"), start, T);
            bench.wait(2.0);
        }
        for name in ["v1", "a1"] {
            assert_eq!(flags(&mut bench, name), [(true, false); 8], "{before} {name}");
        }
    }
}

#[test]
fn in_14_timestamps_that_jump_are_one_discontinuity() {
    for dated in [true, false] {
        for jump in [10 * SECOND, -3 * SECOND, 100 * SECOND, -1_000 * SECOND] {
            let mut bench = Bench::new(&[2]);
            for at in 0..12 {
                let jump = if at < 5 { 0 } else { jump };
                bench.dated(&format!("a{at}.ts"), at, jump, dated.then(|| date_at(at)));
            }
            bench.wait(4.0);
            assert_eq!(counts(&mut bench), (12, 0, 1), "{dated} {jump}");
        }
    }
}

#[test]
fn in_17_media_that_is_missing_is_no_jump() {
    for dated in [true, false] {
        for missing in [1, 5, 20] {
            let mut bench = Bench::new(&[2]);
            for at in (0..5).chain(5 + missing..10 + missing) {
                if at == 5 + missing {
                    bench.wait(2.0 * f64::from(i32::try_from(missing).expect("few")));
                }
                bench.dated(&format!("a{at}.ts"), at, 0, dated.then(|| date_at(at)));
            }
            bench.wait(4.0);
            let gaps = usize::try_from(missing).expect("few");
            assert_eq!(counts(&mut bench), (10, gaps, 0), "{dated} {missing}");
        }
    }
}

#[test]
fn in_18_a_segment_that_is_20_seconds_late_takes_its_gaps_place() {
    let mut bench = Bench::new(&[2]);
    for at in (0..15).filter(|at| *at != 4) {
        bench.dated(&format!("a{at}.ts"), at, 0, Some(date_at(at)));
    }
    assert_eq!(counts(&mut bench), (14, 1, 0));
    bench.picture(ONE, "a4.ts", BASE + 4 * T, T);
    bench.wait(0.1);
    assert_eq!(counts(&mut bench), (15, 0, 0));
}

#[test]
fn in_18_late_sound_and_pictures_take_their_gaps_places_together() {
    let picture = |at: i64| track(video(1), BASE + at * T, T, 50);
    let sound = |at: i64| track(audio(), BASE + at * T, T, 94);
    let begun = || {
        let mut bench = Bench::new(&[2]);
        bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
        for at in (0..10).filter(|at| *at != 4) {
            bench.put(ONE, &format!("a{at}.ts"), vec![picture(at), sound(at)]);
            bench.wait(2.0);
        }
        assert_eq!((flags(&mut bench, "v1")[4].0, flags(&mut bench, "a1")[4].0), (false, false));
        bench
    };

    let mut bench = begun();
    bench.put(ONE, "a4.ts", vec![picture(4), sound(4)]);
    bench.wait(0.1);
    assert_eq!((flags(&mut bench, "v1")[4].0, flags(&mut bench, "a1")[4].0), (true, true));

    // Pictures wait for their sound half a target, and no longer.
    for (sound_after, is_in_time) in [(0.5, true), (1.5, false)] {
        let mut bench = begun();
        bench.put(ONE, "a4v.ts", vec![picture(4)]);
        bench.wait(sound_after);
        assert_ne!(flags(&mut bench, "v1")[4].0, is_in_time);
        bench.put(ONE, "a4s.ts", vec![sound(4)]);
        bench.wait(2.0);
        let filled = (flags(&mut bench, "v1")[4].0, flags(&mut bench, "a1")[4].0);
        assert_eq!(filled, (true, is_in_time));
    }
}

#[test]
fn in_20_a_playlist_that_never_comes_holds_nothing_up_and_is_told() {
    let mut bench = Bench::new(&[2]);
    bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
    bench.run(0, 3, BASE);
    bench.events();
    for at in 3..8 {
        bench.picture(ONE, &format!("a{at}.ts"), BASE + at * T, T);
        let newest = usize::try_from(at + 1).expect("few");
        assert_eq!(flags(&mut bench, "v1").len(), newest, "listed with its commit");
        bench.wait(2.0);
    }
    let told = bench.events();
    assert_eq!(told.iter().filter(|it| **it == Event::PlaylistLate(ONE)).count(), 5);
}

#[test]
fn in_34_another_configuration_is_one_discontinuity_on_every_track() {
    let mut bench = Bench::new(&[2]);
    bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
    for at in 0..9 {
        let picture = track(video(if at < 4 { 1 } else { 7 }), BASE + at * T, T, 50);
        let sound = track(audio(), BASE + at * T - 1_000, T, 94);
        for input in InputNumber::BOTH {
            let body = vec![picture.clone(), sound.clone()];
            bench.put(input, &format!("{input}_{at}.ts"), body);
            bench.wait(1.0);
        }
    }
    for name in ["v1", "a1"] {
        let breaks: Vec<_> = flags(&mut bench, name).iter().map(|it| it.1).collect();
        let expected: Vec<_> = (0..9).map(|at| at == 4).collect();
        assert_eq!(breaks, expected, "{name}");
    }
}

#[test]
fn in_50_a_step_of_the_wall_clock_changes_no_byte() {
    let world = |step_us: i64| {
        let mut bench = Bench::new(&[2]);
        for at in 0..20 {
            // The step comes while a hole is open and a playlist is late.
            bench.step_us = if at < 6 { 0 } else { step_us };
            if at != 7 {
                bench.dated(&format!("a{at}.ts"), at, 0, Some(date_at(at)));
            }
        }
        bench.wait(4.0);
        let presentation = bench.channel.present();
        presentation.tracks[0].segments.iter().cloned().collect::<Vec<_>>()
    };
    let calm = world(0);
    assert_eq!(calm.len(), 20);
    for step_us in [3_600_000_000, -3_600_000_000, 1_000_000] {
        assert_eq!(world(step_us), calm, "{step_us}");
    }
}

#[test]
fn dates_that_are_wrong_neither_stop_nor_break_the_channel() {
    let year = 365 * 86_400 * 1_000_000;
    let ways: [(&str, &dyn Fn(i64) -> i64); 5] = [
        ("years ahead", &|at| date_at(at) + 10 * year),
        ("years behind", &|at| date_at(at) - 10 * year),
        ("drifting", &|at| date_at(at) + at * 100_000),
        ("jumping", &|at| date_at(at) + (at % 4) * 3_600_000_000),
        ("standing", &|_| date_at(0)),
    ];
    for (way, date) in ways {
        let mut bench = Bench::new(&[2]);
        for at in 0..20 {
            bench.dated(&format!("a{at}.ts"), at, 0, Some(date(at)));
        }
        assert_eq!(counts(&mut bench), (20, 0, 0), "{way}");
        // A restart with such dates is one discontinuity, and no leap of the timeline.
        let before = bench.channel.present().edge().expect("listed");
        for at in 20..26 {
            bench.dated(&format!("b{at}.ts"), at, 2_000_000_000, Some(date(at)));
        }
        bench.wait(4.0);
        assert_eq!(counts(&mut bench).2, 1, "{way}");
        let after = bench.channel.present().edge().expect("listed") - before;
        assert!(after <= MediaTime(3_600 * SECOND + 10 * T), "{way}: {}", after.seconds());
    }
}

#[test]
fn another_inputs_wrong_dates_do_not_carry_the_timeline_away() {
    let year = 365 * 86_400 * 1_000_000;
    let mut bench = Bench::new(&[2]);
    for at in 0..5 {
        bench.dated(&format!("a{at}.ts"), at, 0, Some(date_at(at)));
    }
    let before = bench.channel.present().edge().expect("listed");
    for at in 5..12 {
        let name = format!("b{at}.ts");
        bench.picture(TWO, &name, 4_000_000_000 + at * T, T);
        bench.lone(TWO, &[(&name, T, Some(date_at(at) + 5 * year))]);
        bench.wait(2.0);
    }
    let (media, _, breaks) = counts(&mut bench);
    assert!(media >= 10 && breaks == 1, "{media} {breaks}");
    let after = bench.channel.present().edge().expect("listed") - before;
    assert!(after <= MediaTime(10 * T), "{}", after.seconds());
}

#[test]
fn a_copy_from_an_encoders_former_life_is_no_media_of_the_future() {
    for dated in [true, false] {
        let mut bench = Bench::new(&[2]);
        for at in 0..5 {
            bench.dated(&format!("a{at}.ts"), at + 20, 0, dated.then(|| date_at(at)));
        }
        for at in 5..20 {
            bench.dated(&format!("b{at}.ts"), at - 5, 0, dated.then(|| date_at(at)));
            if at % 4 == 3 && at < 17 {
                // The old timestamps are 25 and more ahead, or lie where something is listed.
                bench.picture(ONE, &format!("a{}.ts", at % 5), BASE + (20 + at % 5) * T, T);
            }
        }
        bench.wait(8.0);
        assert_eq!(counts(&mut bench), (20, 0, 1), "{dated}");
    }
}

fn ladder(rungs: i64) -> Multivariant {
    let variant = |at: i64| Variant {
        uri: format!("channel_{at}.m3u8"),
        bandwidth: Some(900_000 * at.unsigned_abs()),
        ..Variant::default()
    };
    Multivariant { variants: (1..=rungs).map(variant).collect(), ..Multivariant::default() }
}

#[test]
fn a_rung_that_leaves_the_ladder_holds_nobody_up() {
    for leaves in [1, 2] {
        let mut bench = Bench::new(&[2]);
        bench.list(ONE, "channel.m3u8", &Playlist::Multivariant(ladder(2)));
        let mut held_up = 0;
        for at in 0..20 {
            for rung in (1..=2).filter(|rung| *rung != leaves || at < 6) {
                let segment = track(video(u8::try_from(rung).expect("few")), BASE + at * T, T, 50);
                bench.put(ONE, &format!("channel_{rung}_{at}.ts"), vec![segment]);
            }
            let presentation = bench.channel.present();
            let other = if leaves == 1 { "v2" } else { "v1" };
            if let Some(track) = presentation.track(other) {
                let next = track.segments.last().expect("listed").number + 1;
                held_up += i32::from(presentation.set_edges[&(TrackKind::Video, 0)] < next);
            }
            bench.wait(2.0);
        }
        assert!(held_up <= 4, "{leaves}: {held_up}");
        let other = if leaves == 1 { "v2" } else { "v1" };
        assert_eq!(flags(&mut bench, other), [(true, false); 20], "{leaves}");
    }
}

#[test]
fn sound_of_an_odd_length_is_told_where_it_leaves_a_hole() {
    const FRAMES: i64 = 20 * 1_920;
    for (cut, told) in [(None, 0), (Some(4), 1), (Some(9), 0)] {
        let mut bench = Bench::new(&[2]);
        bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
        for at in 0..10 {
            // The source begins with its pictures, and its last sound may be short.
            let start = BASE + at * T - 3_000 + if at == 0 { FRAMES } else { 0 };
            let end = BASE + (at + 1) * T - 3_000 - if Some(at) == cut { FRAMES } else { 0 };
            let sound = track(audio(), start, end - start, (end - start) / 1_920);
            let picture = track(video(1), BASE + at * T, T, 50);
            bench.put(ONE, &format!("a{at}.ts"), vec![picture, sound]);
            bench.wait(2.0);
        }
        let presentation = bench.channel.present();
        assert_eq!(presentation.track("a1").expect("sound").segments.len(), 10);
        let flawed = bench.events().iter().filter(|it| it.kind() == "flawed").count();
        assert_eq!(flawed, told, "{cut:?}");
    }
}

#[test]
fn a_backlog_sent_faster_than_time_without_playlists_has_no_break() {
    for rungs in [1, 3] {
        let mut bench = Bench::new(&[2]);
        if rungs > 1 {
            bench.list(ONE, "channel.m3u8", &Playlist::Multivariant(ladder(rungs)));
        }
        for at in 0..90 {
            for rung in 1..=rungs {
                let picture = track(video(u8::try_from(rung).expect("few")), BASE + at * T, T, 50);
                let sound = track(audio(), BASE + at * T - 1_000, T, 94);
                bench.put(ONE, &format!("channel_{rung}_{at}.ts"), vec![picture, sound]);
            }
            bench.wait(0.1);
        }
        bench.wait(8.0);
        let presentation = bench.channel.present();
        let names: Vec<_> = presentation.tracks.iter().map(|it| it.info.name.clone()).collect();
        for name in names {
            assert_eq!(flags(&mut bench, &name), [(true, false); 90], "{rungs} {name}");
        }
    }
}
