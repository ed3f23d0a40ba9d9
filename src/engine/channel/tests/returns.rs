//! Copies of times gone by: late ones cost nothing (row IN-18 of the fault matrix), encoders that
//! begin anew are told from them (IN-10, IN-11), also by a process that has just begun.

use super::*;

const T: i64 = 2 * SECOND;
const BASE: i64 = 900_000;

fn seconds_us(at: i64) -> i64 {
    EPOCH_US + at * 2_000_000
}

fn push(bench: &mut Bench, input: InputNumber, name: &str, at: i64) -> Verdict {
    bench.picture(input, name, BASE + at * T, T)
}

/// On air with `count` segments of both inputs.
fn twins(count: i64) -> Bench {
    let mut bench = Bench::new(&[2, 6]);
    bench.lone(ONE, &[("a0.ts", T, Some(EPOCH_US))]);
    for at in 0..count {
        push(&mut bench, ONE, &format!("a{at}.ts"), at);
        push(&mut bench, TWO, &format!("b{at}.ts"), at);
        bench.wait(2.0);
    }
    bench.events();
    bench
}

/// Nothing is missing of `count` segments, and nothing breaks.
fn assert_whole(bench: &mut Bench, count: i64) {
    let presentation = bench.channel.present();
    assert_eq!(listed(&presentation, "v1"), media(count));
    assert_eq!(presentation.tracks[0].discontinuity_count, 0);
    let told = bench.events();
    let cost = |it: &&Event| matches!(it, Event::Discontinuity(_) | Event::Gaps(..));
    assert_eq!(told.iter().find(cost), None);
}

#[test]
fn in_18_late_copies_of_the_input_that_leads_are_no_new_beginning() {
    for dated in [true, false] {
        let mut bench = twins(5);
        for at in 5..8 {
            push(&mut bench, TWO, &format!("b{at}.ts"), at);
            bench.wait(2.0);
        }
        push(&mut bench, ONE, "a8.ts", 8);
        // Its backlog comes behind its newest, and one of it as the last of a playlist.
        for late in 5..7 {
            let name = format!("a{late}.ts");
            push(&mut bench, ONE, &name, late);
            bench.lone(ONE, &[(&name, T, dated.then(|| seconds_us(late)))]);
            bench.wait(1.0);
        }
        for at in 9..12 {
            push(&mut bench, ONE, &format!("a{at}.ts"), at);
            bench.wait(2.0);
        }
        assert_whole(&mut bench, 12);
    }
}

#[test]
fn in_11_a_late_copy_is_not_taken_for_the_newer_segment_of_its_name() {
    let mut bench = twins(6);
    // A new process counts from 0 again, and its playlists come first.
    for at in 6..10 {
        let name = format!("a{}.ts", at - 6);
        bench.lone(ONE, &[(&name, T, Some(seconds_us(at)))]);
        if at == 9 {
            // What the former one called so comes now.
            push(&mut bench, ONE, &name, 3);
            bench.wait(0.3);
        }
        push(&mut bench, ONE, &name, at);
        bench.wait(2.0);
    }
    assert_whole(&mut bench, 10);
}

#[test]
fn in_11_a_copy_from_before_the_window_is_no_new_beginning_under_a_newer_name() {
    let mut bench = twins(12);
    bench.config.window = MediaTime(6 * T);
    bench.channel.reconfigure(bench.config.clone());
    // A new process counts from 0 again. What the former one called like its newest comes now, and
    // the next playlist dates that name as the newest.
    for at in 12..20 {
        let name = |at: i64| format!("a{}.ts", at - 12);
        push(&mut bench, ONE, &name(at), at);
        if at == 15 {
            push(&mut bench, ONE, &name(at), 3);
        }
        let listed = [name(at.max(13) - 1), name(at)];
        let dated: Vec<_> = (at.max(13) - 1..).zip(&listed).collect();
        let dated: Vec<_> =
            dated.iter().map(|(at, name)| (name.as_str(), T, Some(seconds_us(*at)))).collect();
        bench.lone(ONE, &dated);
        bench.wait(2.0);
    }
    assert_whole(&mut bench, 20);
}

#[test]
fn in_18_a_rungs_copy_from_before_a_break_is_no_part_of_what_follows() {
    let mut bench = Bench::new(&[2]);
    bench.config.window = MediaTime(6 * T);
    bench.channel.reconfigure(bench.config.clone());
    let variants = (1..=2).map(|at| Variant {
        uri: format!("channel_{at}.m3u8"),
        bandwidth: Some(1_000_000),
        ..Variant::default()
    });
    let top = Multivariant { variants: variants.collect(), ..Multivariant::default() };
    bench.list(ONE, "channel.m3u8", &Playlist::Multivariant(top));
    let rung = |bench: &mut Bench, rung: u8, at: i64| {
        let name = format!("channel_{rung}_{at}.ts");
        let segment = PlaylistSegment { uri: name.clone(), ..PlaylistSegment::default() };
        let list = MediaPlaylist {
            target_duration: 2,
            segments: vec![segment],
            ..MediaPlaylist::default()
        };
        bench.list(ONE, &format!("channel_{rung}.m3u8"), &Playlist::Media(list));
        bench.put(ONE, &name, vec![track(video(rung), BASE + at * T, T, 50)]);
    };
    for at in (0..4).chain(13..18) {
        if at == 13 {
            // Silent for longer than a window: a break, and the copy is of before it.
            bench.wait(18.0);
            rung(&mut bench, 2, 8);
        }
        rung(&mut bench, 1, at);
        rung(&mut bench, 2, at);
        bench.wait(2.0);
    }
    let presentation = bench.channel.present();
    for name in ["v1", "v2"] {
        let segments = &presentation.track(name).expect("video").segments;
        assert!(segments.iter().all(|it| it.media.is_some()), "{name}");
        assert_eq!(listed(&presentation, name).len(), 9, "{name}");
    }
    assert_eq!(presentation.tracks[0].discontinuity_count, 1);
}

#[test]
fn both_encoders_that_begin_anew_without_dates_lose_nothing() {
    let mut bench = twins(6);
    for at in 0..6 {
        push(&mut bench, TWO, &format!("b{}.ts", at + 6), at);
        push(&mut bench, ONE, &format!("a{}.ts", at + 6), at);
        bench.wait(2.0);
    }
    bench.wait(2.0);
    let presentation = bench.channel.present();
    let segments = &presentation.track("v1").expect("video").segments;
    assert_eq!(segments.iter().filter(|it| it.media.is_some()).count(), 12);
    assert_eq!(presentation.tracks[0].discontinuity_count, 1);
}

#[test]
fn media_that_goes_on_takes_endlist_back_without_a_playlist() {
    let mut bench = twins(4);
    let segment = PlaylistSegment { uri: "a3.ts".into(), ..PlaylistSegment::default() };
    let list = MediaPlaylist {
        target_duration: 2,
        ended: true,
        segments: vec![segment],
        ..MediaPlaylist::default()
    };
    bench.list(ONE, "channel.m3u8", &Playlist::Media(list));
    for at in 4..6 {
        push(&mut bench, TWO, &format!("b{at}.ts"), at);
        bench.wait(2.0);
    }
    for at in 6..12 {
        push(&mut bench, ONE, &format!("c{at}.ts"), at);
        bench.wait(2.0);
    }
    assert!(!bench.channel.present().ended, "its playlist ended, its encoder did not");
    assert_whole(&mut bench, 12);
}

#[test]
fn after_a_restart_a_stump_waits_for_the_twin_that_never_served() {
    let mut bench = twins(4);
    bench.list(TWO, "channel.m3u8", &Playlist::Media(MediaPlaylist::default()));
    bench.restart();
    bench.picture(ONE, "a4.ts", BASE + 4 * T, SECOND);
    bench.wait(0.3);
    push(&mut bench, TWO, "b4.ts", 4);
    bench.wait(2.0);
    assert_whole(&mut bench, 5);
}

/// Media and discontinuities of the pictures.
fn counts(bench: &mut Bench) -> (usize, u64) {
    let presentation = bench.channel.present();
    let track = presentation.track("v1").expect("video");
    let media = track.segments.iter().filter(|it| it.media.is_some()).count();
    (media, track.discontinuity_count)
}

#[test]
fn both_encoders_that_begin_anew_while_the_process_dies_lose_nothing() {
    for dies in 0..6 {
        let mut bench = twins(8);
        for at in 0..6 {
            push(&mut bench, TWO, &format!("b{}.ts", at + 8), at);
            if at == dies {
                bench.restart();
            }
            push(&mut bench, ONE, &format!("a{}.ts", at + 8), at);
            bench.wait(2.0);
        }
        bench.wait(2.0);
        assert_eq!(counts(&mut bench), (14, 1), "it dies at {dies}");
    }
}

#[test]
fn what_the_session_before_has_listed_begins_no_other() {
    let jump = 100 * SECOND;
    for again in [ONE, TWO] {
        let mut bench = twins(6);
        for at in 6..12 {
            for (input, name) in [(ONE, "a"), (TWO, "b")] {
                bench.picture(input, &format!("{name}{at}.ts"), BASE + at * T + jump, T);
            }
            bench.wait(0.5);
            if at < 9 {
                let name = if again == ONE { "a5.ts" } else { "b5.ts" };
                push(&mut bench, again, name, 5);
            }
            bench.wait(1.5);
        }
        assert_eq!(counts(&mut bench), (12, 1), "{again}");
    }
}
