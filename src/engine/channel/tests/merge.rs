//! Two inputs, one output: rows IN-01 to IN-09, IN-13, IN-16 to IN-18, IN-21 to IN-24, IN-32 and
//! IN-33 of the fault matrix, and the choice between inputs that are apart.

use super::*;
use crate::engine::channel::alignment::Apart;

const T: i64 = 2 * SECOND;
const BASE: i64 = 900_000;

/// A picture segment whose bytes are told apart by `salt`.
fn coded(start: i64, salt: u8) -> TrackSegment {
    let mut segment = track(video(1), start, T, 50);
    segment.payload[20] = salt;
    segment
}

impl Bench {
    /// On air with `count` segments from input 1, and as many from input 2, `phase` ticks apart and
    /// coded with `salt`; each push a moment after its media.
    fn pair(count: i64, phase: i64, salt: u8) -> Self {
        let mut bench = Self::new(&[2, 6]);
        bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
        (0..count).for_each(|at| bench.both(at, phase, salt));
        bench.events();
        bench
    }

    /// The next two seconds: input 1 at once, input 2 once its media is there.
    fn both(&mut self, at: i64, phase: i64, salt: u8) {
        self.one(at);
        let apart = seconds(phase.rem_euclid(T));
        self.wait(apart);
        self.two(at, phase, salt);
        self.wait(2.0 - apart);
    }

    fn one(&mut self, at: i64) -> Verdict {
        self.put(ONE, &format!("a{at}.ts"), vec![coded(BASE + at * T, 0)])
    }

    fn two(&mut self, at: i64, phase: i64, salt: u8) -> Verdict {
        self.put(TWO, &format!("b{at}.ts"), vec![coded(BASE + at * T + phase, salt)])
    }

    fn breaks(&mut self) -> usize {
        let presentation = self.channel.present();
        let track = presentation.track("v1").expect("video");
        check_laws(&presentation, track);
        track.segments.iter().filter(|it| it.discontinuity).count()
    }

    fn gaps(&mut self) -> usize {
        let presentation = self.channel.present();
        let segments = &presentation.track("v1").expect("video").segments;
        segments.iter().filter(|it| it.media.is_none()).count()
    }

    fn servers(&mut self) -> Vec<u8> {
        let presentation = self.channel.present();
        let segments = &presentation.track("v1").expect("video").segments;
        segments.iter().filter_map(|it| Some(it.media.as_ref()?.input.number())).collect()
    }

    fn switches(&mut self) -> Vec<(u8, SwitchReason)> {
        let told = self.events();
        let switches = told.iter().filter_map(|event| match event {
            Event::InputSwitched { to, reason } => Some((to.number(), *reason)),
            _ => None,
        });
        switches.collect()
    }
}

fn seconds(ticks: i64) -> f64 {
    Duration::from_micros(u64::try_from(ticks * 100 / 9).expect("positive")).as_secs_f64()
}

#[test]
fn in_01_the_next_segment_of_a_dead_inputs_twin_is_listed_at_once() {
    for dead_after in 4..8 {
        let mut bench = Bench::pair(dead_after, 0, 0);
        for at in dead_after..dead_after + 6 {
            assert!(matches!(bench.two(at, 0, 0), Verdict::Store(_)), "{dead_after} {at}");
            let newest = usize::try_from(at + 1).expect("few");
            let listed = bench.channel.present().tracks[0].segments.len();
            assert_eq!(listed, newest, "listed with its commit");
            bench.wait(2.0);
        }
        assert_eq!(listed(&bench.channel.present(), "v1"), media(dead_after + 6));
        assert_eq!(bench.breaks(), 0);
        assert_eq!(bench.switches(), [(2, SwitchReason::Missing)]);
    }
}

#[test]
fn in_02_a_deadline_decides_not_a_connection() {
    // Nothing tells that input 1 is gone but that its media does not come.
    let mut bench = Bench::pair(4, SECOND, 0);
    assert_eq!(bench.channel.active_input(), Some(ONE));
    let due = bench.seconds;
    let mut listed_at = None;
    for tenth in 0..45 {
        if tenth % 20 == 10 {
            bench.two(4 + tenth / 20, SECOND, 0);
        }
        bench.wait(0.1);
        if bench.servers().last() == Some(&2) && listed_at.is_none() {
            listed_at = Some(bench.seconds);
        }
    }
    let listed_at = listed_at.expect("input 2 leads");
    assert!(listed_at - due <= 2.0 + 0.25 + 0.11, "{}", listed_at - due);
    assert_eq!(bench.switches(), [(2, SwitchReason::Missing)]);
    assert_eq!(bench.breaks(), 1);
}

#[test]
fn in_03_both_gone_and_back_is_no_discontinuity_where_time_goes_on() {
    let mut bench = Bench::pair(4, 0, 0);
    bench.wait(20.0);
    (14..18).for_each(|at| bench.both(at, 0, 0));
    assert_eq!((bench.breaks(), bench.gaps()), (0, 10));
    assert_eq!(bench.servers().len(), 8);
}

#[test]
fn in_04_an_input_that_flaps_is_left_once() {
    let mut bench = Bench::pair(4, SECOND, 0);
    for at in 4..34 {
        // Input 1 is there for one segment of three.
        if at % 3 == 0 {
            bench.one(at);
        }
        bench.wait(1.0);
        bench.two(at, SECOND, 0);
        bench.wait(1.0);
    }
    assert_eq!(bench.breaks(), 1);
    assert_eq!(bench.switches(), [(2, SwitchReason::Missing)]);
}

#[test]
fn in_05_an_input_that_is_always_late_holds_nobody_up() {
    let mut bench = Bench::pair(4, 0, 0);
    for at in 4..10 {
        bench.two(at, 0, 0);
        let newest = bench.channel.present().tracks[0].segments.len();
        assert_eq!(newest, usize::try_from(at + 1).expect("few"), "nobody waits for input 1");
        bench.wait(1.8);
        assert_eq!(bench.one(at), Verdict::Drop(DropReason::Duplicate));
        bench.wait(0.2);
    }
    assert_eq!((bench.breaks(), bench.gaps()), (0, 0));
}

#[test]
fn in_06_identical_copies_are_dropped_and_told() {
    let mut bench = Bench::pair(4, 0, 0);
    for at in 4..8 {
        let inputs = if at % 2 == 0 { [ONE, TWO] } else { [TWO, ONE] };
        let verdicts =
            inputs.map(|input| if input == ONE { bench.one(at) } else { bench.two(at, 0, 0) });
        assert!(matches!(verdicts[0], Verdict::Store(_)));
        assert_eq!(verdicts[1], Verdict::Drop(DropReason::Duplicate));
        bench.wait(2.0);
    }
    assert_eq!(listed(&bench.channel.present(), "v1"), media(8));
    assert_eq!(bench.servers()[4..], [1, 2, 1, 2], "the first copy wins");
}

#[test]
fn in_07_other_bytes_of_the_same_time_are_told_and_one_input_serves() {
    let mut bench = Bench::pair(4, 0, 9);
    for at in 4..8 {
        if at % 2 == 0 {
            bench.one(at);
            assert_eq!(bench.two(at, 0, 9), Verdict::Drop(DropReason::Divergent));
        } else {
            // Early, it waits for the copy of the input that leads.
            assert!(matches!(bench.two(at, 0, 9), Verdict::Store(_)));
            bench.one(at);
        }
        bench.wait(2.0);
    }
    assert_eq!(bench.servers(), [1; 8]);
    // What is late comes from the other input, without a trace in the timeline.
    bench.two(8, 0, 9);
    bench.wait(2.0);
    bench.both(9, 0, 9);
    assert_eq!(bench.servers()[8..], [2, 2]);
    assert_eq!((bench.breaks(), bench.gaps()), (0, 0));
    assert_eq!(bench.switches(), [(2, SwitchReason::Missing)]);
}

#[test]
fn in_08_an_input_that_drifts_is_not_mixed() {
    let mut bench = Bench::pair(4, 0, 0);
    for at in 4..20 {
        bench.one(at);
        bench.two(at, (at - 3) * 450, 0);
        bench.wait(2.0);
    }
    let apart = |event: &Event| match event {
        Event::Misaligned { input, apart, .. } => Some((input.number(), *apart)),
        _ => None,
    };
    let told: Vec<_> = bench.events().iter().filter_map(apart).collect();
    assert_eq!(told[0], (2, Apart::Phase(MediaTime(450))));
    assert!(matches!(told[1], (2, Apart::Boundaries(MediaTime(4_050)))), "{told:?}");
    // Not even where something is missing for a while.
    bench.two(20, 17 * 450, 0);
    bench.wait(0.8);
    bench.one(20);
    bench.wait(1.2);
    bench.one(21);
    bench.wait(2.0);
    assert!(bench.servers().iter().all(|it| *it == 1));
    assert_eq!((bench.breaks(), bench.gaps()), (0, 0));
}

#[test]
fn in_09_copies_are_found_by_media_time_not_by_number() {
    let mut bench = Bench::pair(4, 0, 0);
    for at in 4..9 {
        // Input 2 numbers its names one ahead.
        bench.one(at);
        let segment = vec![coded(BASE + at * T, 0)];
        let copy = bench.put(TWO, &format!("b{}.ts", at + 1), segment);
        assert_eq!(copy, Verdict::Drop(DropReason::Duplicate), "{at}");
        bench.wait(2.0);
    }
    bench.put(TWO, "b10.ts", vec![coded(BASE + 9 * T, 0)]);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(10));
    assert_eq!(bench.breaks(), 0);
}

#[test]
fn in_13_timestamps_wrap_on_either_side_of_a_failover() {
    for wraps_at in 1..8 {
        let mut bench = Bench::new(&[2]);
        bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
        let start = |at: i64| grid::SOURCE_TIME_MODULUS - wraps_at * T + SECOND + at * T;
        for at in 0..10 {
            if at < 5 {
                bench.put(ONE, &format!("a{at}.ts"), vec![coded(start(at), 0)]);
                bench.wait(0.5);
            }
            bench.put(TWO, &format!("b{at}.ts"), vec![coded(start(at), 0)]);
            bench.wait(1.5);
        }
        assert_eq!(listed(&bench.channel.present(), "v1"), media(10), "{wraps_at}");
        assert_eq!(bench.breaks(), 0);
    }
}

#[test]
fn in_16_a_segment_missing_on_one_input_comes_from_the_other() {
    for missing_on in [ONE, TWO] {
        let mut bench = Bench::pair(4, 0, 0);
        for at in 4..8 {
            for input in InputNumber::BOTH.into_iter().filter(|it| at != 5 || *it != missing_on) {
                if input == ONE {
                    bench.one(at)
                } else {
                    bench.two(at, 0, 0)
                };
            }
            bench.wait(2.0);
        }
        assert_eq!(listed(&bench.channel.present(), "v1"), media(8));
        assert_eq!(bench.breaks(), 0);
        let missed = if missing_on == ONE { vec![(2, SwitchReason::Missing)] } else { vec![] };
        assert_eq!(bench.switches(), missed);
    }
}

#[test]
fn in_17_a_segment_missing_on_both_is_a_gap_and_the_edge_moves_on() {
    let mut bench = Bench::pair(4, 0, 0);
    bench.wait(2.0);
    bench.one(5);
    bench.two(5, 0, 0);
    assert_eq!(bench.gaps(), 0, "it may still come");
    bench.wait(1.1);
    assert_eq!(bench.gaps(), 1);
    assert_eq!(bench.channel.present().tracks[0].segments.len(), 6);
    assert_eq!(bench.breaks(), 0);
    // IN-18: it comes after all, from either.
    bench.two(4, 0, 0);
    assert_eq!(bench.gaps(), 1, "a joined segment was made with the hole inside");
}

#[test]
fn in_21_a_later_segment_waits_half_a_target_for_the_one_before_it() {
    let mut bench = Bench::pair(4, 0, 0);
    bench.one(5);
    bench.wait(0.5);
    bench.two(4, 0, 0);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(6));
}

#[test]
fn in_22_23_24_the_newest_upload_counts_until_it_is_published() {
    let mut bench = Bench::pair(4, 0, 0);
    // Waits for the one before it.
    let mut other = coded(BASE + 5 * T, 0);
    other.payload[30] = 7;
    bench.one(5);
    assert_eq!(bench.one(5), Verdict::Drop(DropReason::Duplicate));
    let again = bench.put(ONE, "a5.ts", vec![other.clone()]);
    assert!(matches!(again, Verdict::Store(_)), "other bytes");
    bench.one(4);
    let newest = content_hash(&other.samples, &other.payload);
    let hash = |bench: &mut Bench| {
        let presentation = bench.channel.present();
        let last = presentation.tracks[0].segments.last().and_then(|it| it.media.clone());
        last.expect("media").hash
    };
    assert_eq!(hash(&mut bench), newest);
    assert_eq!(bench.put(ONE, "a5.ts", vec![other]), Verdict::Drop(DropReason::Duplicate));
    assert_eq!(bench.one(5), Verdict::Drop(DropReason::Overwritten));
    bench.wait(2.0);
    assert_eq!(hash(&mut bench), newest, "what is published stays");
}

#[test]
fn in_32_33_a_flawed_copy_waits_for_a_sound_one_and_is_better_than_nothing() {
    let no_start = |mut segment: TrackSegment| {
        segment.samples[0].random_access = false;
        segment
    };
    let lost = |mut segment: TrackSegment| {
        segment.damage.lost_packets = 1;
        segment.payload[40] = 1;
        segment
    };
    let short = |mut segment: TrackSegment| {
        segment.presentation_end = segment.presentation_end - MediaTime(10 * 3_600);
        segment.payload[40] = 2;
        segment
    };
    let flaws: [&dyn Fn(TrackSegment) -> TrackSegment; 3] = [&no_start, &lost, &short];
    for (flaw, spoil) in flaws.into_iter().enumerate() {
        let mut bench = Bench::pair(4, 0, 0);
        bench.put(ONE, "a4.ts", vec![spoil(coded(BASE + 4 * T, 0))]);
        assert_eq!(bench.servers().len(), 4, "{flaw}: waits");
        bench.wait(0.5);
        bench.two(4, 0, 0);
        assert_eq!(bench.servers(), [1, 1, 1, 1, 2], "{flaw}");
        bench.wait(1.5);
        // The other has nothing better: at once; or nothing at all: after half a target.
        bench.put(ONE, "a5.ts", vec![spoil(coded(BASE + 5 * T, 0))]);
        bench.put(TWO, "b5.ts", vec![spoil(coded(BASE + 5 * T, 0))]);
        assert_eq!(bench.servers().len(), 6, "{flaw}: nobody has a better one");
        bench.wait(2.0);
        bench.put(ONE, "a6.ts", vec![spoil(coded(BASE + 6 * T, 0))]);
        bench.wait(1.1);
        let presentation = bench.channel.present();
        let segments = &presentation.tracks[0].segments;
        let flawed: Vec<bool> =
            segments.iter().filter_map(|it| Some(!it.media.as_ref()?.flaws.is_none())).collect();
        assert_eq!(flawed, [false, false, false, false, false, true, true], "{flaw}");
        let told = bench.events();
        assert_eq!(told.iter().filter(|it| matches!(it, Event::Flawed { .. })).count(), 2);
        let track = presentation.track("v1").expect("video");
        check_laws(&presentation, track);
    }
}

#[test]
fn a_restart_keeps_what_is_known_of_the_two_inputs() {
    let mut bench = Bench::pair(4, 0, 0);
    bench.restart();
    bench.two(4, 0, 0);
    assert_eq!(bench.servers(), [1, 1, 1, 1, 2], "its bytes are the same: nothing is waited for");
    let mut bench = Bench::pair(4, SECOND, 0);
    bench.restart();
    assert_eq!(bench.two(4, SECOND, 0), Verdict::Drop(DropReason::Standby));
}

#[test]
fn dead_but_pushing_is_dead() {
    // The same instant again and again; sound without pictures; nothing to begin with.
    for way in 0..3 {
        let mut bench = Bench::pair(4, SECOND, 0);
        for at in 4..9 {
            let name = format!("x{at}.ts");
            let _ = match way {
                0 => bench.put(ONE, &name, vec![coded(BASE + 3 * T, 0)]),
                1 => bench.put(ONE, &name, vec![track(audio(), BASE + at * T, T, 94)]),
                _ => {
                    let mut segment = coded(BASE + at * T, 0);
                    segment.damage.lost_packets = 50;
                    segment.samples[0].random_access = false;
                    bench.put(ONE, &name, vec![segment])
                }
            };
            bench.wait(1.0);
            bench.two(at, SECOND, 0);
            bench.wait(1.0);
        }
        assert_eq!(bench.channel.active_input(), Some(TWO), "{way}");
        assert_eq!(bench.breaks(), 1, "{way}");
        assert_eq!(bench.servers().last(), Some(&2), "{way}");
    }
}

#[test]
fn an_encoder_that_begins_anew_beside_a_healthy_twin_is_no_discontinuity() {
    for jump in [-3 * SECOND, 40 * SECOND, grid::SOURCE_TIME_MODULUS / 2] {
        for dated in [true, false] {
            let mut bench = Bench::pair(5, 0, 0);
            for at in 5..12 {
                let name = format!("c{at}.ts");
                let date = dated.then_some(EPOCH_US + at * 2_000_000);
                bench.put(ONE, &name, vec![coded(BASE + at * T + jump, 3)]);
                bench.lone(ONE, &[(&name, T, date)]);
                bench.wait(0.3);
                bench.two(at, 0, 0);
                bench.wait(1.7);
            }
            assert_eq!(listed(&bench.channel.present(), "v1"), media(12), "{jump} {dated}");
            assert_eq!(bench.breaks(), 0, "{jump} {dated}");
            assert_eq!(bench.channel.active_input(), Some(TWO), "{jump} {dated}");
        }
    }
}

#[test]
fn both_encoders_that_jump_together_are_one_discontinuity() {
    for first in InputNumber::BOTH {
        let mut bench = Bench::pair(5, 0, 0);
        for at in 5..12 {
            let jump = 40 * SECOND;
            let date = Some(EPOCH_US + at * 2_000_000);
            for input in [first, first.other()] {
                let name = format!("c{at}.ts");
                bench.put(input, &name, vec![coded(BASE + at * T + jump, 0)]);
                bench.lone(input, &[(&name, T, date)]);
                bench.wait(0.3);
            }
            bench.wait(1.4);
        }
        assert_eq!((bench.breaks(), bench.gaps()), (1, 0), "{first}");
        assert_eq!(bench.servers().len(), 12, "{first}");
    }
}

#[test]
fn a_switch_by_hand_is_without_a_trace_between_twins_and_one_break_otherwise() {
    for (phase, breaks) in [(0, 0), (SECOND, 1), (1_000, 1)] {
        let mut bench = Bench::pair(4, phase, 0);
        bench.channel.switch_to(TWO);
        (4..8).for_each(|at| bench.both(at, phase, 0));
        assert_eq!(bench.channel.active_input(), Some(TWO), "{phase}");
        assert_eq!(bench.switches(), [(2, SwitchReason::Manual)]);
        assert_eq!((bench.breaks(), bench.gaps()), (breaks, 0), "{phase}");
        // Nobody goes back by himself.
        (8..30).for_each(|at| bench.both(at, phase, 0));
        assert_eq!((bench.breaks(), bench.switches()), (breaks, Vec::new()), "{phase}");
    }
}

#[test]
fn the_preferred_input_leads_at_the_start_where_both_deliver() {
    let cases = [(None, ONE), (Some(ONE), ONE), (Some(TWO), TWO)];
    for ((preferred, leads), salt) in cases.into_iter().flat_map(|it| [(it, 0), (it, 9)]) {
        let mut bench = Bench::new(&[2]);
        let preference = switching::Preference { input: preferred, fail_back: false };
        bench.channel.reconfigure(ChannelConfig { preference, ..bench.config.clone() });
        bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
        bench.lone(TWO, &[("b0.ts", T, Some(EPOCH_US))]);
        (0..3).for_each(|at| bench.both(at, 0, salt));
        assert_eq!(bench.channel.active_input(), Some(leads), "{preferred:?} {salt}");
        assert_eq!((bench.breaks(), bench.gaps()), (0, 0), "{preferred:?} {salt}");
    }
}

#[test]
fn an_input_that_was_late_three_times_in_a_row_leads_no_longer() {
    let mut bench = Bench::pair(4, 0, 9);
    // Ever later, and never so late that it counts as missing.
    for (at, late) in [(4, 0.5), (5, 1.2), (6, 1.2), (7, 0.5), (8, 1.2), (9, 1.2)] {
        bench.two(at, 0, 9);
        bench.wait(late);
        bench.one(at);
        bench.wait(2.0 - late);
    }
    assert_eq!(bench.switches(), [], "twice, and twice again");
    bench.two(10, 0, 9);
    bench.wait(1.2);
    assert_eq!(bench.switches(), [(2, SwitchReason::Late)]);
    assert_eq!(bench.servers(), [1, 1, 1, 1, 1, 2, 2, 1, 2, 2, 2]);
    assert_eq!((bench.breaks(), bench.gaps()), (0, 0));
}

#[test]
fn a_switch_to_a_dead_input_is_refused() {
    let mut bench = Bench::pair(4, 0, 0);
    bench.wait(10.0);
    (9..12).for_each(|at| drop((bench.one(at), bench.wait(2.0))));
    bench.events();
    bench.channel.switch_to(TWO);
    bench.wait(0.2);
    assert!(bench.events().contains(&Event::SwitchRefused(TWO)));
    assert_eq!(bench.channel.active_input(), Some(ONE));
}

#[test]
fn the_preferred_input_leads_again_once_it_was_sound_for_the_hold_down() {
    for fail_back in [true, false] {
        let mut bench = Bench::pair(4, SECOND, 0);
        let preference = switching::Preference { input: Some(ONE), fail_back };
        let config = ChannelConfig { preference, ..bench.config.clone() };
        bench.channel.reconfigure(config);
        for at in 4..8 {
            bench.wait(1.0);
            bench.two(at, SECOND, 0);
            bench.wait(1.0);
        }
        assert_eq!(bench.switches(), [(2, SwitchReason::Missing)]);
        (8..22).for_each(|at| bench.both(at, SECOND, 0));
        assert_eq!(bench.switches(), [], "{fail_back}: the hold-down");
        (22..30).for_each(|at| bench.both(at, SECOND, 0));
        let back = bench.switches();
        if fail_back {
            assert_eq!(back, [(1, SwitchReason::FailBack)]);
        } else {
            assert_eq!(back, []);
        }
        assert_eq!(bench.breaks(), 1 + usize::from(fail_back));
    }
}

#[test]
fn sound_whose_frames_lie_between_the_others_is_not_mixed() {
    let mut bench = Bench::new(&[2]);
    bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
    let body = |at: i64, phase: i64| {
        vec![coded(BASE + at * T, 0), track(audio(), BASE + at * T - 1_000 + phase, T, 94)]
    };
    for at in 0..5 {
        bench.put(ONE, &format!("a{at}.ts"), body(at, 0));
        bench.put(TWO, &format!("b{at}.ts"), body(at, 700));
        bench.wait(2.0);
    }
    // Input 1 is late with one: nothing of input 2 stands in, as its sound would not fit.
    bench.put(TWO, "b5.ts", body(5, 700));
    bench.wait(0.6);
    bench.put(ONE, "a5.ts", body(5, 0));
    bench.wait(1.4);
    let presentation = bench.channel.present();
    let segments = &presentation.track("a1").expect("track").segments;
    let inputs: Vec<_> = segments.iter().filter_map(|it| Some(it.media.as_ref()?.input)).collect();
    assert_eq!(inputs, [ONE; 6]);
    assert!(
        bench
            .events()
            .iter()
            .any(|it| matches!(it, Event::Misaligned { apart: Apart::Phase(MediaTime(700)), .. }))
    );
}

#[test]
fn endlist_of_a_dying_encoder_ends_nothing_while_its_twin_lives() {
    let mut bench = Bench::pair(4, 0, 0);
    let stump = track(video(1), BASE + 4 * T, SECOND, 25);
    bench.put(ONE, "a4.ts", vec![stump]);
    let segment = PlaylistSegment {
        uri: "a4.ts".into(),
        duration: MediaTime(SECOND),
        ..PlaylistSegment::default()
    };
    let list = MediaPlaylist {
        target_duration: 2,
        ended: true,
        segments: vec![segment],
        ..MediaPlaylist::default()
    };
    bench.list(ONE, "channel.m3u8", &Playlist::Media(list));
    bench.wait(0.3);
    for at in 4..9 {
        bench.two(at, 0, 0);
        bench.wait(2.0);
    }
    assert!(!bench.channel.present().ended);
    assert_eq!(listed(&bench.channel.present(), "v1"), media(9));
    assert_eq!(bench.breaks(), 0);
}

#[test]
fn a_pause_of_the_machine_switches_nothing() {
    let mut bench = Bench::pair(4, SECOND, 0);
    bench.seconds += 30.0;
    for at in 4..8 {
        // What the encoders kept for the time being comes at once, the other input's first.
        bench.two(at, SECOND, 0);
        bench.one(at);
        bench.wait(if at < 7 { 0.0 } else { 2.0 });
    }
    assert_eq!(bench.switches(), []);
    assert_eq!((bench.breaks(), bench.gaps()), (0, 0));
}
