//! One process follows another: encoders and players are connected all the time, and nobody fails.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, Process, demo, eventually};
use crate::playback::{CMAF, DASH, HLS, listed_with, resolve, served};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Scope};

/// Pushes a segment and the playlist with it, which the twin may have done before.
fn push(encoder: &mut Encoder, at: usize) {
    let variant = &MUXED.variants[0];
    let (segment, playlist) = (&variant.segments[at], variant.playlist_of(0..at + 1));
    for (name, body) in
        [(&segment.name, segment.body.as_slice()), (&variant.playlist, playlist.as_bytes())]
    {
        let stored = encoder.put(name, body);
        assert!(matches!(stored.status, 201 | 204), "{name}: {stored:?}");
    }
}

/// What players and encoders that run beside the test have met.
#[derive(Default)]
struct Traffic {
    /// Segments that encoders may push by now.
    due: AtomicUsize,
    is_over: AtomicBool,
    fetched: AtomicU64,
    pushed: AtomicU64,
}

impl Traffic {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Waits until there was more of everything.
    fn goes_on(&self) {
        for (what, count) in [("fetched", &self.fetched), ("pushed", &self.pushed)] {
            let wanted = count.load(Ordering::Relaxed) + 20;
            eventually(what, || (count.load(Ordering::Relaxed) >= wanted).then_some(()));
        }
    }

    /// Pushes what is due, and between that the newest again, on one kept connection.
    fn push<'s>(&'s self, scope: &'s Scope<'s, '_>, mut encoder: Encoder) {
        scope.spawn(move || {
            let mut pushed = 2;
            while !self.is_over() {
                let due = self.due.load(Ordering::Acquire);
                // Where nothing is due, the newest again.
                for at in pushed.min(due - 1)..due {
                    push(&mut encoder, at);
                }
                pushed = due;
                self.pushed.fetch_add(1, Ordering::Relaxed);
            }
            assert_eq!(encoder.challenge_count, 1, "nonces stay valid");
        });
    }

    /// Fetches manifests and the newest segment, on one connection or always on new ones.
    fn play<'s>(&'s self, scope: &'s Scope<'s, '_>, address: SocketAddr, keeps: bool) {
        scope.spawn(move || {
            let mut connection = Connection::open(address);
            let mut fetch = |path: &str| {
                if !keeps {
                    connection = Connection::open(address);
                }
                let response = connection.request("GET", path, &[], b"");
                assert_eq!(response.status, 200, "{path}: {response:?}");
                self.fetched.fetch_add(1, Ordering::Relaxed);
                response
            };
            while !self.is_over() {
                fetch(DASH);
                let multivariant = fetch(CMAF).text();
                let media = multivariant.lines().find(|line| !line.starts_with('#'));
                let media = resolve(CMAF, media.expect("a variant"));
                let playlist = fetch(&media).text();
                let newest = playlist.lines().rfind(|line| !line.starts_with('#'));
                fetch(&resolve(&media, newest.expect("a segment")));
            }
        });
    }
}

/// Twins push and players fetch while `change` does what it does; ends with six segments.
fn under_traffic(origin: &mut Origin, change: impl FnOnce(&mut Origin, &Traffic)) {
    let mut twins = [1, 2].map(|input| Encoder::new(origin, "demo", input));
    for encoder in &mut twins {
        (0..2).for_each(|at| push(encoder, at));
        let stored = encoder.put("channel.m3u8", MUXED.multivariant.as_bytes());
        assert!(matches!(stored.status, 201 | 204), "{stored:?}");
    }
    for path in [HLS, CMAF, DASH] {
        listed_with(origin, path, 2);
    }
    let traffic = Traffic::default();
    traffic.due.store(2, Ordering::Release);
    let address = origin.data();
    thread::scope(|scope| {
        for encoder in twins {
            traffic.push(scope, encoder);
        }
        for keeps in [true, false, true] {
            traffic.play(scope, address, keeps);
        }
        let _ends = End(&traffic);
        traffic.goes_on();
        change(origin, &traffic);
    });
}

/// Ends the traffic, also where the test fails.
struct End<'a>(&'a Traffic);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

/// What players see of all of it: nothing is missing, nothing breaks.
fn assert_seamless(origin: &Origin) {
    for rendition in served(origin, SEGMENT_COUNT).0 {
        assert_eq!(rendition.segments.len(), SEGMENT_COUNT, "{}", rendition.name);
        rendition.assert_consecutive();
        for tag in ["#EXT-X-DISCONTINUITY\n", "#EXT-X-GAP"] {
            assert!(!rendition.playlist.contains(tag), "{}", rendition.playlist);
        }
    }
}

/// As many shards as this, whatever the file says.
fn shards(count: usize) -> [(&'static str, String); 1] {
    [("HEADWATER_SERVER__SHARDS", count.to_string())]
}

#[test]
fn processes_follow_one_another_and_nobody_notices() {
    let mut origin = Origin::start(&demo());
    let mut before: Vec<Process> = Vec::new();
    under_traffic(&mut origin, |origin, traffic| {
        let first = served(origin, 2);
        for (takeovers, count) in [1, 3, 2, 2].into_iter().enumerate() {
            // The encoders are at it while the channels change hands.
            traffic.due.fetch_add(1, Ordering::AcqRel);
            before.push(origin.take_over(&shards(count)));
            traffic.goes_on();
            let counted = origin.metric("headwater_takeovers_total", "");
            assert_eq!(counted, takeovers as u64 + 1);
        }
        for path in [HLS, CMAF, DASH] {
            listed_with(origin, path, SEGMENT_COUNT);
        }
        for (path, bytes) in first.1.iter().filter(|(path, _)| !path.contains("/index")) {
            assert!(origin.get(path).body == *bytes, "{path} is what it was");
        }
    });
    assert!(before.into_iter().all(Process::ended_well));
    assert_seamless(&origin);
    assert_eq!(origin.metric("headwater_takeovers_failed_total", ""), 0);
    let socket = fs::metadata(origin.storage().join("takeover.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let caches = fs::read_dir(origin.storage()).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().as_encoded_bytes().starts_with(b".cache")
    });
    assert_eq!(caches.count(), 1, "who has gone has left no cache");
}

#[test]
fn sigusr2_starts_the_program_anew() {
    let mut origin = Origin::start(&demo());
    under_traffic(&mut origin, |origin, traffic| {
        for _ in 0..2 {
            traffic.due.fetch_add(2, Ordering::AcqRel);
            let before = origin.upgrade();
            traffic.goes_on();
            assert!(before.ended_well());
        }
    });
    assert_seamless(&origin);
    assert_eq!(origin.metric("headwater_takeovers_total", ""), 2);
}
