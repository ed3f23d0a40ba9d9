//! One process follows another: encoders and players are connected all the time, and nobody fails.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, Process, channel_with, demo, eventually};
use crate::playback::{CMAF, DASH, HLS, listed_with, resolve, served};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Command;
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

/// How often the one test that is about many of them is done.
fn rounds() -> usize {
    std::env::var("TEST_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
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
        let counts = [1, 3, 2, 2].into_iter().cycle().take(4 * rounds());
        for (takeovers, count) in counts.enumerate() {
            // The encoders are at it while the channels change hands.
            traffic.due.store(SEGMENT_COUNT.min(3 + takeovers), Ordering::Release);
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

/// What the process says once it has pushes end for another one.
const ENDS_PUSHES: &str = "another process takes over";

/// A push of segment `at` of which most has been sent, and the rest.
fn mostly_pushed(origin: &Origin, encoder: &mut Encoder, at: usize) -> (Connection, Vec<u8>) {
    let segment = &MUXED.variants[0].segments[at];
    let mut connection = Connection::open(origin.data());
    connection.send(&encoder.expecting(&segment.name, &segment.body)).unwrap();
    assert_eq!(connection.one_response(false).unwrap().status, 100, "the body is waited for");
    let (first, rest) = segment.body.split_at(segment.body.len() - 4096);
    connection.send(first).unwrap();
    (connection, rest.to_vec())
}

/// Waits until the failure of a takeover is counted.
fn counted_failure(origin: &Origin, count: u64) {
    eventually("the failure is counted", || {
        let failed = origin.metric("headwater_takeovers_failed_total", "");
        (failed >= count).then(|| assert_eq!(failed, count))
    });
}

#[test]
fn who_fails_to_take_over_changes_nothing() {
    let mut origin = Origin::start(&demo());
    under_traffic(&mut origin, |origin, traffic| {
        let before = served(origin, 2);

        origin.configure("colour = \"blue\"", &demo());
        let refused = origin.begin_takeover(&[]).wait().unwrap();
        assert_eq!(refused.code(), Some(2), "a wrong configuration");
        origin.configure("", &demo());

        let mut other_version =
            UnixStream::connect(origin.storage().join("takeover.sock")).unwrap();
        other_version.write_all(b"HWFOLLOW\0\0\0\x63").unwrap();
        let mut said = Vec::new();
        other_version.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"HWFOLLOW\0\0\0\x01", "its own version and no more");
        counted_failure(origin, 1);
        eventually("both versions are named", || {
            (origin.logged("speaks version 99 of the takeover, this one 1") == 1).then_some(())
        });

        // Killed while it waits for a body to end.
        let mut encoder = Encoder::new(origin, "demo", 1);
        encoder.authenticate();
        let (mut upload, rest) = mostly_pushed(origin, &mut encoder, 1);
        drop(encoder);
        let mut killed = origin.begin_takeover(&[]);
        eventually("pushes end", || (origin.logged(ENDS_PUSHES) == 1).then_some(()));
        killed.kill().unwrap();
        killed.wait().unwrap();
        counted_failure(origin, 2);
        assert!(!origin.storage().join(".cache-1").exists(), "its cache takes no space");
        upload.send(&rest).unwrap();
        assert_eq!(upload.try_response(false).unwrap().status, 204, "it is known");
        drop(upload);
        traffic.goes_on();

        // It has the channels when it finds that it cannot have all that it is configured for.
        let too_large = channel_with("other", "1000000GiB", "1MiB");
        origin.configure("", &(demo() + &too_large));
        let failed = origin.begin_takeover(&[]).wait().unwrap();
        assert_eq!(failed.code(), Some(1));
        counted_failure(origin, 3);
        assert_eq!(origin.logged(ENDS_PUSHES), 2);
        traffic.goes_on();
        for (path, bytes) in before.1.iter().filter(|(path, _)| !path.contains("/index")) {
            assert!(origin.get(path).body == *bytes, "{path} is what it was");
        }

        origin.configure("", &demo());
        assert!(origin.take_over(&[]).ended_well());
        traffic.due.store(SEGMENT_COUNT, Ordering::Release);
        traffic.goes_on();
    });
    assert_seamless(&origin);
    assert_eq!(origin.metric("headwater_takeovers_total", ""), 1);
}

#[test]
fn who_hangs_with_the_channels_in_hand_is_ended() {
    let mut origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..2);
    // Nobody reads from this pipe, so that whoever opens it to write waits for ever.
    let pipe = origin.storage().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let environment = [("HEADWATER_ACCESS_LOG__PATH", pipe.to_str().unwrap().to_owned())];
    let mut hung = origin.begin_takeover(&environment);
    counted_failure(&origin, 1);
    assert!(!hung.wait().unwrap().success());
    MUXED.push(&mut encoder, 2..4);
    assert_eq!(encoder.challenge_count, 1, "nonces stay valid");
    drop(encoder);
    assert!(origin.take_over(&[]).ended_well());
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 4..SEGMENT_COUNT);
    assert_seamless(&origin);
}

#[test]
fn without_a_process_there_is_nothing_to_take_over() {
    let mut origin = Origin::start(&demo());
    origin.signal("TERM");
    assert!(origin.ends_well());
    let status = origin.begin_takeover(&[]).wait().unwrap();
    assert_eq!(status.code(), Some(1), "{}", origin.log());
    assert!(origin.log().contains("no process to take over from"), "{}", origin.log());
}

#[test]
fn a_body_under_way_ends_first_and_its_connection_goes_on() {
    let mut origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..2);
    let (mut upload, rest) = mostly_pushed(&origin, &mut encoder, 2);
    let before = thread::scope(|scope| {
        let taken_over = scope.spawn(|| origin.take_over(&[]));
        upload.send(&rest).unwrap();
        assert_eq!(upload.try_response(false).unwrap().status, 201);
        taken_over.join().unwrap()
    });
    let segment = &MUXED.variants[0].segments[3];
    upload.send(&encoder.message("PUT", &segment.name, &segment.body)).unwrap();
    assert_eq!(upload.try_response(false).unwrap().status, 201, "of the other process");
    MUXED.push(&mut encoder, 4..SEGMENT_COUNT);
    assert!(before.ended_well(), "every connection has moved");
    assert_seamless(&origin);
}

#[test]
fn a_body_that_lasts_too_long_is_refused_and_comes_again() {
    let mut origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..2);
    let (mut upload, rest) = mostly_pushed(&origin, &mut encoder, 2);
    let mut rest = rest.as_slice();
    let before = thread::scope(|scope| {
        let taken_over = scope.spawn(|| origin.take_over(&[]));
        eventually("it is not waited for for ever", || {
            // Never silent for long, and not done before the channels have changed hands.
            upload.send(rest.split_off(..1).expect("4 KiB last long")).unwrap();
            taken_over.is_finished().then_some(())
        });
        taken_over.join().unwrap()
    });
    upload.send(rest).unwrap();
    let refused = upload.try_response(false).unwrap();
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    let segment = &MUXED.variants[0].segments[2];
    upload.send(&encoder.message("PUT", &segment.name, &segment.body)).unwrap();
    assert_eq!(upload.try_response(false).unwrap().status, 201);
    MUXED.push(&mut encoder, 3..SEGMENT_COUNT);
    assert!(before.ended_well(), "every connection has moved");
    assert_seamless(&origin);
}

#[test]
fn responses_under_way_end_and_pipelined_requests_are_answered() {
    const REQUEST_COUNT: usize = 400;
    let mut origin = Origin::start(&demo());
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    let renditions = listed_with(&origin, CMAF, SEGMENT_COUNT);
    let largest = renditions.iter().flat_map(|rendition| &rendition.segments);
    let (path, bytes) = largest
        .map(|path| (path, origin.get(path).body))
        .max_by_key(|(_, bytes)| bytes.len())
        .unwrap();
    // More than the sockets' buffers hold, and nobody reads yet.
    assert!(bytes.len() * REQUEST_COUNT > 16 << 20, "{} bytes each", bytes.len());
    let mut player = Connection::open(origin.data());
    for _ in 0..REQUEST_COUNT {
        player.send_request("GET", path, &[], b"").unwrap();
    }
    assert!(player.try_response(false).unwrap().body == bytes);
    let before = origin.take_over(&[]);
    for number in 1..REQUEST_COUNT {
        let response = player.try_response(false).unwrap();
        assert!(response.status == 200 && response.body == bytes, "response {number}");
    }
    assert!(before.ended_well());
}

#[test]
fn a_rolling_restart_tells_encoders_to_come_again() {
    let mut origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..2);
    let (mut upload, rest) = mostly_pushed(&origin, &mut encoder, 2);
    let segment = &MUXED.variants[0].segments[3];
    let message = encoder.message("PUT", &segment.name, &segment.body);
    origin.signal("TERM");
    let refused = eventually("a push that comes late is refused for now", || {
        let mut late = Connection::try_open(origin.data()).ok()?;
        late.send(&message).ok()?;
        late.try_response(false).ok().filter(|response| response.status == 503)
    });
    assert_eq!(refused.field("retry-after"), Some("1"));
    upload.send(&rest).unwrap();
    assert_eq!(upload.try_response(false).unwrap().status, 201, "what had begun ends");
    assert!(origin.ends_well());
    origin.restart();
    // It may have got in before the door was shut.
    let mut encoder = Encoder::new(&origin, "demo", 1);
    (3..SEGMENT_COUNT).for_each(|at| push(&mut encoder, at));
    assert_seamless(&origin);
}
