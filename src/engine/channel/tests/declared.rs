//! Discontinuities that an encoder declares: row IN-15 of the fault matrix.

use super::*;

const T: i64 = 2 * SECOND;

impl Bench {
    /// A media playlist of input 1 with segments `from..=to`, and a discontinuity before each of
    /// `tagged`.
    fn declare(&mut self, from: i64, to: i64, tagged: &[i64]) {
        let segments = (from..=to).map(|at| PlaylistSegment {
            uri: format!("a{at}.ts"),
            duration: MediaTime(T),
            discontinuity: tagged.contains(&at),
            ..PlaylistSegment::default()
        });
        let list = MediaPlaylist {
            target_duration: 2,
            media_sequence: from.unsigned_abs(),
            segments: segments.collect(),
            ..MediaPlaylist::default()
        };
        self.list(ONE, "channel.m3u8", &Playlist::Media(list));
    }

    /// Segment `at`, and `late` seconds behind it the playlist that lists it.
    fn pushed(&mut self, at: i64, jump: i64, tagged: &[i64], late: f64) {
        self.picture(ONE, &format!("a{at}.ts"), 900_000 + at * T + jump, T);
        self.wait(late);
        self.declare((at - 4).max(0), at, tagged);
        self.wait(2.0 - late);
    }

    fn broken_at(&mut self) -> Vec<u64> {
        let presentation = self.channel.present();
        check_laws(&presentation, &presentation.tracks[0]);
        let segments = &presentation.tracks[0].segments;
        let first = segments.first().expect("something is listed").number;
        let breaks = segments.iter().filter(|it| it.discontinuity);
        breaks.map(|it| it.number - first).collect()
    }

    fn late_declarations(&mut self) -> usize {
        self.events().iter().filter(|it| matches!(it, Event::DeclaredLate(ONE))).count()
    }
}

#[test]
fn in_15_what_is_declared_before_the_segment_comes_is_carried() {
    let mut bench = started();
    bench.declare(0, 3, &[3]);
    bench.run(3, 6, 900_000);
    assert_eq!(bench.broken_at(), [3]);
    assert_eq!(bench.late_declarations(), 0);
}

#[test]
fn in_15_timestamps_that_jump_wait_for_the_playlist_that_declares_it() {
    for jump in [10 * SECOND, -3 * SECOND, 1_000 * SECOND] {
        let mut bench = Bench::new(&[2]);
        for at in 0..10 {
            bench.pushed(at, if at < 5 { 0 } else { jump }, &[5], 0.2);
        }
        bench.wait(4.0);
        assert_eq!(bench.broken_at(), [5], "{jump}: one, where it was declared");
        assert_eq!(listed(&bench.channel.present(), "v1").len(), 10, "{jump}: without a gap");
        assert_eq!(bench.late_declarations(), 0, "{jump}");
    }
}

#[test]
fn in_15_what_is_declared_too_late_changes_nothing_and_teaches_to_wait() {
    let mut bench = Bench::new(&[2]);
    let declared = [4, 7, 9];
    for at in 0..12 {
        bench.pushed(at, 0, &declared, 0.2);
        // Neither the tag in playlists that follow, nor one that was waited for, is late.
        assert_eq!(bench.late_declarations(), usize::from(at == 4), "{at}");
    }
    assert_eq!(bench.broken_at(), [7, 9], "the first one was listed already");
    assert_eq!(listed(&bench.channel.present(), "v1"), media(12));
}

#[test]
fn in_15_a_declaration_that_never_comes_is_waited_for_half_a_target() {
    let mut bench = Bench::new(&[2]);
    for at in 0..6 {
        bench.pushed(at, 0, &[4], 0.2);
    }
    let count = |bench: &mut Bench| listed(&bench.channel.present(), "v1").len();
    bench.picture(ONE, "a6.ts", 900_000 + 6 * T, T);
    bench.wait(0.7);
    assert_eq!(count(&mut bench), 6, "it may be declared yet");
    bench.wait(0.5);
    assert_eq!(count(&mut bench), 7);
}

#[test]
fn in_15_the_beginning_of_a_source_may_be_declared_and_its_names_come_again() {
    let mut bench = Bench::new(&[2]);
    for at in 0..5 {
        bench.pushed(at, 0, &[0], 0.2);
    }
    // An encoder that began anew has its playlist here first, with names of its former life.
    bench.declare(0, 1, &[1]);
    assert_eq!((bench.late_declarations(), bench.broken_at()), (0, Vec::new()));
}
