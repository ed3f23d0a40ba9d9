//! Two processes that each receive both of two identical inputs, with different losses, orders
//! and start times, serve the same bytes once both have run a window.

use crate::client::Encoder;
use crate::origin::{Origin, channel, endpoints};
use crate::playback::{CMAF, DASH, HLS, listed_with, number_of, served};
use crate::source::{Source, Variant};
use std::process::Command;
use std::sync::LazyLock;

/// One segment more than is pushed: the last one's sound is longer than the others'.
const SECONDS: u32 = 46;
/// A window of 30 s and what comes before it.
const SEGMENT_COUNT: usize = 22;
/// Segments of a window of 30 s, one missing.
const WINDOW_SEGMENT_COUNT: usize = 14;

/// Two rungs, each with the sound.
static LADDER: LazyLock<Source> = LazyLock::new(|| {
    Source::encoded_for(
        SECONDS,
        "-f lavfi -i testsrc2=size=160x90:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 \
         -map 0:v -map 1:a -map 0:v -map 1:a -s:v:1 96x54 -b:v:0 300k -b:v:1 100k \
         -c:v libx264 -preset ultrafast -pix_fmt yuv420p -bf 2 -g 50 -keyint_min 50 \
         -sc_threshold 0 -c:a aac -b:a 48k",
        "v:0,a:0 v:1,a:1",
    )
});

fn tables() -> String {
    let windows = [
        ("[endpoint.hls_package]\n", "playlist_window_seconds = 30\n"),
        ("[endpoint.dash_package]\n", "manifest_window_seconds = 30\n"),
        ("[[endpoint.cmaf_package.hls_manifests]]\n", "playlist_window_seconds = 30\n"),
    ];
    let mut text = channel("demo") + &endpoints("demo", 2);
    for (table, window) in windows {
        text = text.replace(table, &format!("{table}{window}"));
    }
    text
}

/// A sequence of numbers that is the same in every run (Knuth's MMIX constants).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// One encoder process: it counts its segments from its own first one.
struct Life {
    encoder: Encoder,
    /// The source's segment that is its first.
    first: usize,
    /// Segments by which its programme is ahead in the source, whose beginning follows its end.
    ahead: usize,
}

impl Life {
    fn new(origin: &Origin, input: usize, first: usize) -> Self {
        Self { encoder: Encoder::new(origin, "demo", input), first, ahead: 0 }
    }

    fn name(&self, variant: usize, at: usize) -> String {
        format!("channel_{variant}_{:05}.ts", at - self.first)
    }

    fn push_segment(&mut self, variant: usize, at: usize) {
        let name = self.name(variant, at);
        let body = &LADDER.variants[variant].segments[(at + self.ahead) % SEGMENT_COUNT].body;
        let stored = self.encoder.put(&name, body);
        assert!(matches!(stored.status, 201 | 204), "{name}: {stored:?}");
    }

    /// The playlist that lists all up to `at`, whether it got through or not.
    fn push_playlist(&mut self, variant: usize, at: usize) {
        let listed: &Variant = &LADDER.variants[variant];
        let text = listed.playlist_of(self.first..at + 1);
        let text = text.replace(
            &format!("#EXT-X-MEDIA-SEQUENCE:{}\n", self.first),
            "#EXT-X-MEDIA-SEQUENCE:0\n",
        );
        let lines = text.lines().map(|line| {
            let known = listed.segments.iter().position(|segment| segment.name == line);
            known.map_or_else(|| line.to_owned(), |known| self.name(variant, known)) + "\n"
        });
        let text: String = lines.collect();
        let stored = self.encoder.put(&listed.playlist, text.as_bytes());
        assert!(matches!(stored.status, 201 | 204), "{}: {stored:?}", listed.playlist);
    }

    fn push_top(&mut self) {
        let stored = self.encoder.put("channel.m3u8", LADDER.multivariant.as_bytes());
        assert!(matches!(stored.status, 201 | 204), "{stored:?}");
    }
}

/// An origin with both of its encoders.
struct Site {
    origin: Origin,
    lives: [Life; 2],
    draw: Draw,
}

impl Site {
    /// An origin that is started when segment `first` is about to come.
    fn new(first: usize, seed: u64) -> Self {
        let origin = Origin::start(&tables());
        let mut lives = [1, 2].map(|input| Life::new(&origin, input, first));
        lives.iter_mut().for_each(Life::push_top);
        Self { origin, lives, draw: Draw(seed) }
    }

    /// Pushes segment `at` of every variant through one input or both, in some order.
    fn push(&mut self, at: usize) {
        for variant in 0..LADDER.variants.len() {
            let (fate, leader) = (self.draw.below(4), self.draw.below(2));
            let leader = usize::from(leader == 1);
            // One copy is lost half of the time; which one is drawn with the leader.
            let inputs: &[usize] = if fate < 2 { &[leader] } else { &[leader, 1 - leader] };
            for &input in inputs {
                self.lives[input].push_segment(variant, at);
            }
            for life in &mut self.lives {
                life.push_playlist(variant, at);
            }
        }
    }

    /// Both encoders end, and others take their places at segment `at`, where the source begins
    /// anew. What tells that comes through both inputs, in some order, once what is
    /// before it is listed; what is behind it waits for it, as it does with live encoders.
    fn restart_clocks(&mut self, at: usize) {
        listed_with(&self.origin, HLS, at);
        for input in 0..2 {
            self.restart_encoder(input, at);
        }
        for told in at..at + 2 {
            for variant in 0..LADDER.variants.len() {
                let leader = usize::from(self.draw.below(2) == 1);
                for input in [leader, 1 - leader] {
                    self.lives[input].push_segment(variant, told);
                    self.lives[input].push_playlist(variant, told);
                }
            }
        }
        listed_with(&self.origin, HLS, at + 2);
    }

    /// An encoder process ends, and another takes its place at segment `at`, on the same clock.
    fn restart_encoder(&mut self, input: usize, at: usize) {
        let ahead = self.lives[input].ahead;
        self.lives[input] = Life { ahead, ..Life::new(&self.origin, input + 1, at) };
        self.lives[input].push_top();
    }

    /// Waits until every list ends with the same segment, by number. Returns that number.
    fn newest(&self, path: &str) -> u64 {
        let renditions = listed_with(&self.origin, path, WINDOW_SEGMENT_COUNT);
        renditions.iter().map(|it| number_of(it.segments.last().unwrap())).min().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.origin.data())
    }
}

/// Both serve the same, with as many discontinuities before what is listed: bytes and ETags, and
/// by what `headwater diff` says.
fn assert_same(a: &Site, b: &Site, breaks: usize) {
    for path in [HLS, CMAF, DASH] {
        crate::origin::eventually("both have published the same", || {
            (a.newest(path) == b.newest(path)).then_some(())
        });
        let output = Command::new(env!("CARGO_BIN_EXE_headwater"))
            .args(["diff", &a.url(path), &b.url(path)])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{path}: {told}");
        assert!(!told.contains("note:"), "{path}: {told}");
    }
    let (of_a, of_b) =
        (served(&a.origin, WINDOW_SEGMENT_COUNT), served(&b.origin, WINDOW_SEGMENT_COUNT));
    assert!(of_a == of_b, "what diff calls the same is the same");
    for path in of_a.1.keys() {
        let etags = [a, b].map(|site| site.origin.get(path).field("etag").map(str::to_owned));
        assert!(etags[0].is_some() && etags[0] == etags[1], "{path}: {etags:?}");
    }
    for playlist in of_a.0.iter().map(|rendition| &rendition.playlist) {
        assert!(!playlist.contains("#EXT-X-GAP"), "each segment came once: {playlist}");
        assert!(!playlist.contains("#EXT-X-DISCONTINUITY\n"), "one timeline: {playlist}");
        let mut lines = playlist.lines();
        let count = lines.find_map(|line| line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:"));
        let count = count.map_or(0, |count| count.parse().unwrap());
        assert!(count == breaks || !playlist.starts_with("#EXTM3U"), "{breaks}: {playlist}");
    }
}

#[test]
fn two_processes_serve_the_same_bytes_whatever_was_lost_on_the_way() {
    let mut first = Site::new(0, 1);
    let mut second = None;
    for at in 0..SEGMENT_COUNT {
        first.push(at);
        if at >= 4 {
            second.get_or_insert_with(|| Site::new(4, 2)).push(at);
        }
    }
    assert_same(&first, &second.unwrap(), 0);
}

#[test]
fn an_encoder_that_resumes_its_clock_is_no_difference() {
    let (mut first, mut second) = (Site::new(0, 3), Site::new(0, 4));
    for at in 0..SEGMENT_COUNT {
        if at == 9 {
            first.restart_encoder(0, at);
        }
        if at == 13 {
            second.restart_encoder(1, at);
            first.restart_encoder(1, at);
        }
        first.push(at);
        second.push(at);
    }
    assert_same(&first, &second, 0);
}

#[test]
fn encoders_that_begin_anew_out_of_clock_break_both_origins_alike() {
    const BREAK: usize = 6;
    let (mut first, mut second) = (Site::new(0, 7), Site::new(0, 8));
    for life in first.lives.iter_mut().chain(&mut second.lives) {
        life.ahead = SEGMENT_COUNT - BREAK;
    }
    for at in 0..SEGMENT_COUNT {
        for site in [&mut first, &mut second] {
            match at {
                BREAK => site.restart_clocks(at),
                _ if at == BREAK + 1 => {}
                _ => site.push(at),
            }
        }
    }
    assert_same(&first, &second, 1);
}

#[test]
fn diff_tells_of_an_origin_that_lacks_a_segment() {
    let (mut first, mut second) = (Site::new(0, 5), Site::new(0, 6));
    for at in 0..SEGMENT_COUNT {
        first.push(at);
        if at != 15 {
            second.push(at);
        }
    }
    for path in [HLS, CMAF, DASH] {
        // With a hole, DASH counts by time: what HLS lists is there as well.
        crate::origin::eventually("both have published the same", || {
            (first.newest(CMAF) == second.newest(CMAF)).then_some(())
        });
        let output = Command::new(env!("CARGO_BIN_EXE_headwater"))
            .args(["diff", &first.url(path), &second.url(path)])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.starts_with("different: "), "{told}");
    }
}
