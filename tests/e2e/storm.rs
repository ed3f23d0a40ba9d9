//! Connections that are reset at random moments, with operations of every kind under way: who stays
//! gets the right bytes, and nothing of those who went is left.

use crate::client::{Connection, Encoder};
use crate::crash::Random;
use crate::origin::{Origin, demo, eventually};
use crate::playback::served;
use crate::source::{MUXED, SEGMENT_COUNT};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Connections of each of the threads that reset theirs.
const RESET_COUNT: usize = 400;

/// Opens connections, gets each somewhere, and resets it.
fn reset_again_and_again(origin: &Origin, seed: u64, paths: &[&String]) {
    let mut random = Random(seed);
    let mut encoder = Encoder::new(origin, "demo", 2);
    encoder.authenticate();
    for _ in 0..RESET_COUNT {
        let mut connection = Connection::open(origin.data());
        let one = random.below(paths.len() as u64);
        let path = paths[usize::try_from(one).unwrap()];
        let get = format!("GET {path} HTTP/1.1\r\nHost: origin\r\n\r\n").into_bytes();
        let message = match random.below(3) {
            0 => get,
            // Answers that nobody reads, one behind the other.
            1 => get.repeat(8),
            _ => {
                let segment = &MUXED.variants[0].segments[0];
                encoder.message("PUT", &segment.name, &segment.body)
            }
        };
        let cut = random.below(message.len() as u64 + 1);
        // It may have been refused and closed meanwhile.
        let _ = connection.send(&message[..usize::try_from(cut).unwrap()]);
        random.pause(3);
        connection.reset();
    }
}

#[test]
fn co_11_co_12_connections_reset_under_operations_leave_nothing_behind() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..3);
    let (_, bytes) = served(&origin, 3);
    let segments: BTreeMap<_, _> =
        bytes.iter().filter(|(path, _)| !path.contains("/index.")).collect();
    let paths: Vec<&String> = segments.keys().copied().collect();
    let connections = || origin.metric("headwater_shard_connections", "");
    eventually("nobody but this looks", || (connections() <= 1).then_some(()));
    let socket_count = origin.socket_count();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (origin, paths) = (&origin, &paths);
        let resetting = [0x71, 0x72, 0x73]
            .map(|seed| scope.spawn(move || reset_again_and_again(origin, seed, paths)));
        let reading = scope.spawn(|| {
            let mut viewer = Connection::open(origin.data());
            while !is_over.load(Ordering::Relaxed) {
                for (path, expected) in &segments {
                    let response = viewer.request("GET", path, &[], b"");
                    assert_eq!(response.status, 200, "{path}");
                    assert!(response.body == **expected, "{path}: other bytes");
                }
            }
        });
        MUXED.push(&mut encoder, 3..SEGMENT_COUNT);
        for thread in resetting {
            thread.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        reading.join().unwrap();
    });
    eventually("no connection is left but the encoder's", || (connections() <= 1).then_some(()));
    eventually("no socket is left", || (origin.socket_count() <= socket_count).then_some(()));
    assert_eq!(origin.metric("headwater_task_panics_total", ""), 0);
    served(&origin, SEGMENT_COUNT);
}
