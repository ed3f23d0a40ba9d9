//! Storage that fails under a running origin: what is there stays served, what comes is refused,
//! other channels notice nothing, and all goes on without a restart once the storage does.
//!
//! Names begin with the row of the fault matrix that they show.

use crate::client::{Connection, Encoder, Response};
use crate::disk::{Direction, Disk};
use crate::origin::{Origin, eventually, lasting, strict};
use crate::playback::{Rendition, listed, listed_with};
use crate::report::skipped;
use crate::source::LONG;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Segments pushed before anything happens.
const BEFORE: usize = 4;
/// Room for the ring, the journal, and what the filesystem needs.
const DISK_MIB: u64 = 72;
/// A segment takes a disk as slow as this longer than a shard may be silent.
const SLOW_BYTES_PER_SECOND: u64 = 8 << 10;
/// Bytes of a block of such a filesystem.
const BLOCK_SIZE: u64 = 4096;

fn manifest(id: &str) -> String {
    format!("/out/v1/{id}/hls/index.m3u8")
}

/// Two channels, the first of them on a disk of its own.
struct Faulty {
    /// Before the origin: what waits for it can end then.
    disk: Disk,
    origin: Origin,
    encoders: [Encoder; 2],
}

impl Faulty {
    fn start(disk: impl FnOnce(PathBuf, u64) -> Option<Disk>) -> Option<Self> {
        Self::start_with(&(lasting("demo") + &lasting("other")), disk)
    }

    /// The same where the first channel is strict.
    fn start_strict(disk: impl FnOnce(PathBuf, u64) -> Option<Disk>) -> Option<Self> {
        Self::start_with(&(strict(&lasting("demo")) + &lasting("other")), disk)
    }

    fn start_with(tables: &str, disk: impl FnOnce(PathBuf, u64) -> Option<Disk>) -> Option<Self> {
        let mut origin = Origin::stopped(tables);
        let disk = disk(origin.storage().join("demo"), DISK_MIB)?;
        origin.set("HEADWATER_STORAGE__SYNC_INTERVAL", "100ms");
        origin.restart();
        let encoders = ["demo", "other"].map(|id| Encoder::new(&origin, id, 1));
        let mut faulty = Self { disk, origin, encoders };
        for (encoder, id) in faulty.encoders.iter_mut().zip(["demo", "other"]) {
            LONG.push(encoder, 0..BEFORE);
            listed_with(&faulty.origin, &manifest(id), BEFORE);
        }
        faulty.synced();
        Some(faulty)
    }

    /// Waits until nothing would be lost.
    fn synced(&self) {
        eventually("synced", || {
            (self.origin.metric("headwater_ring_unsynced_bytes", "demo") == 0).then_some(())
        });
    }

    fn put(&mut self, channel: usize, at: usize) -> Response {
        let segment = &LONG.variants[0].segments[at];
        self.encoders[channel].put(&segment.name, &segment.body)
    }

    /// Pushes again and again until the origin answers so.
    fn put_until(&mut self, at: usize, statuses: &[u16]) -> Response {
        eventually(&format!("segment {at} is answered with {statuses:?}"), || {
            let response = self.put(0, at);
            let known = matches!(response.status, 201 | 204 | 503 | 507);
            assert!(known, "{response:?}");
            statuses.contains(&response.status).then_some(response)
        })
    }

    fn metric(&self, name: &str) -> u64 {
        self.origin.metric(name, "demo")
    }

    /// All that the channel lists, with its bytes.
    fn served(&self, id: &str) -> Vec<(Rendition, Vec<u8>)> {
        let renditions = listed_with(&self.origin, &manifest(id), BEFORE);
        renditions.into_iter().map(|one| (one.clone(), one.fetched(&self.origin))).collect()
    }

    /// The other channel takes what it is given.
    fn other_goes_on(&mut self, at: usize) {
        LONG.push(&mut self.encoders[1], at..at + 1);
        listed_with(&self.origin, &manifest("other"), at + 1);
    }

    /// The channel takes what it is given from `at` on, and lists it.
    fn goes_on(&mut self, at: usize) {
        let refused = self.put_until(at, &[201, 204]);
        assert!(refused.status < 300);
        LONG.push(&mut self.encoders[0], at + 1..at + 3);
        listed_with(&self.origin, &manifest("demo"), at + 3);
    }

    fn ring_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.origin.storage().join("demo")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "ring"));
        paths.sort();
        paths
    }
}

#[test]
fn st_11_a_disk_filled_by_others_costs_nothing() {
    let Some(mut faulty) = Faulty::start(Disk::mounted) else { return };
    let before = faulty.served("demo");
    let mut other = File::create(faulty.origin.storage().join("demo/other")).unwrap();
    let block = vec![1; 1 << 20];
    while other.write_all(&block).is_ok() {}
    faulty.goes_on(BEFORE);
    for ((one, _), known) in faulty.served("demo").iter().zip(&before) {
        assert_eq!(one.segments[..BEFORE], known.0.segments);
    }
    faulty.other_goes_on(BEFORE);
}

#[test]
fn st_12_what_a_disk_does_not_give_back_is_an_error_of_its_own() {
    let Some(mut faulty) = Faulty::start(Disk::mounted) else { return };
    let paths = listed_with(&faulty.origin, &manifest("demo"), BEFORE);
    // The device ends before the ring's first file does, and what was read of it is forgotten.
    let files = faulty.ring_files();
    let map = Command::new("filefrag").arg("-v").arg(&files[0]).output().unwrap();
    let map = String::from_utf8(map.stdout).unwrap();
    let first = map.lines().find(|line| line.trim_start().starts_with("0:")).unwrap();
    let block = first.split(':').nth(2).unwrap().split("..").next().unwrap();
    let block: u64 = block.trim().parse().unwrap();
    let image = File::options().write(true).open(faulty.disk.image()).unwrap();
    image.set_len(block * BLOCK_SIZE).unwrap();
    for path in faulty.ring_files() {
        forget(&path);
    }
    for segment in paths.iter().flat_map(|one| &one.segments) {
        eventually("an error", || {
            let mut connection = Connection::open(faulty.origin.data());
            // The first response may have begun, and is cut then.
            let response = connection.try_request("GET", segment, &[], b"").ok()?;
            (response.status != 200).then(|| assert!(matches!(response.status, 404 | 502)))
        });
    }
    eventually("it is counted", || {
        (faulty.metric("headwater_ring_checksum_fail_total") > 0).then_some(())
    });
    faulty.other_goes_on(BEFORE);
}

/// Has the page cache forget a file.
fn forget(path: &Path) {
    let status = Command::new("dd")
        .arg(format!("of={}", path.display()))
        .args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0"])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn st_13_a_file_that_cannot_be_synced_is_left_for_a_fresh_one() {
    let Some(mut faulty) = Faulty::start(Disk::without_journal) else { return };
    let before = faulty.served("demo");
    let failures = |faulty: &Faulty| faulty.metric("headwater_ring_sync_failures_total");
    assert_eq!(failures(&faulty), 0);
    // What the device has is all it gets: blocks that were never written have no room.
    let used =
        fs::metadata(faulty.disk.image()).map(|it| std::os::unix::fs::MetadataExt::blocks(&it));
    faulty.disk.resize_device(used.unwrap() / 2048 + 1);
    let mut at = BEFORE;
    eventually("a sync fails", || {
        if faulty.put(0, at).status == 201 {
            at += 1;
        }
        (failures(&faulty) > 0).then_some(())
    });
    let refused = faulty.put_until(at, &[503, 507]);
    assert!(refused.status == 507 || refused.field("retry-after").is_some());
    assert_eq!(faulty.metric("headwater_ring_failing"), 1);
    // There is no room for a fresh file.
    faulty.put_until(at, &[507]);
    let lost = faulty.metric("headwater_ring_unsynced_bytes");
    assert!(lost > 0);
    for ((now, bytes), (known, known_bytes)) in faulty.served("demo").iter().zip(&before) {
        assert_eq!(now.segments[..BEFORE], known.segments);
        assert!(bytes.starts_with(known_bytes));
    }
    faulty.other_goes_on(BEFORE);
    faulty.disk.resize_device(DISK_MIB + 1);
    faulty.goes_on(at);
    assert_eq!(faulty.metric("headwater_ring_failing"), 0);
    // What is appended now gets to the disk; what was in the file that was left never will.
    let before = failures(&faulty);
    eventually("the newest file is synced", || {
        (faulty.metric("headwater_ring_unsynced_bytes") <= lost).then_some(())
    });
    assert_eq!(failures(&faulty), before);
}

#[test]
fn st_14_a_hung_disk_holds_up_pushes_alone() {
    let Some(mut faulty) = Faulty::start(Disk::mounted) else { return };
    let before = faulty.served("demo");
    faulty.disk.freeze();
    let segment = &LONG.variants[0].segments[BEFORE];
    let message = faulty.encoders[0].message("PUT", &segment.name, &segment.body);
    let mut upload = Connection::open(faulty.origin.data());
    upload.send(&message).unwrap();
    for _ in 0..10 {
        assert!(faulty.served("demo") == before, "viewers get what is there");
    }
    faulty.disk.thaw();
    assert_eq!(upload.try_response(false).unwrap().status, 201);
    let adoptions = faulty.origin.metric("headwater_shard_adoptions_total", "");
    assert_eq!(adoptions, 0, "no shard was held up");
    faulty.goes_on(BEFORE + 1);
}

#[test]
fn st_15_a_slow_disk_holds_up_those_who_wait_for_it_alone() {
    let Some(mut faulty) = Faulty::start_strict(Disk::mounted) else { return };
    let before = faulty.served("demo");
    if !faulty.disk.slow_down(Direction::Writing, SLOW_BYTES_PER_SECOND) {
        return;
    }
    let segment = &LONG.variants[0].segments[BEFORE];
    let message = faulty.encoders[0].message("PUT", &segment.name, &segment.body);
    let mut upload = Connection::open(faulty.origin.data());
    upload.send(&message).unwrap();
    eventually("it waits for the disk", || {
        (faulty.metric("headwater_ring_unsynced_bytes") > 0).then_some(())
    });
    for _ in 0..10 {
        assert!(faulty.served("demo") == before, "viewers get what is acknowledged");
    }
    faulty.other_goes_on(BEFORE);
    faulty.disk.speed_up();
    assert_eq!(upload.try_response(false).unwrap().status, 201);
    let adoptions = faulty.origin.metric("headwater_shard_adoptions_total", "");
    assert_eq!(adoptions, 0, "no shard was held up");
    faulty.goes_on(BEFORE + 1);
}

/// All that the first channel lists, fetched at once after memory has let go of it, from a disk so
/// slow that everything else comes first.
fn fetch_cold(faulty: &mut Faulty, before: &[(Rendition, Vec<u8>)], at: usize) {
    for path in faulty.ring_files() {
        forget(&path);
    }
    assert!(faulty.disk.slow_down(Direction::Reading, SLOW_BYTES_PER_SECOND));
    let cold = before.iter().flat_map(|(one, _)| &one.segments).map(|path| {
        let mut connection = Connection::open(faulty.origin.data());
        connection.send_request("GET", path, &[], b"").unwrap();
        (path, connection)
    });
    let cold: Vec<_> = cold.collect();
    faulty.other_goes_on(at);
    assert!(!faulty.served("other").is_empty());
    faulty.disk.speed_up();
    for (path, mut connection) in cold {
        let response = connection.try_response(false).unwrap();
        assert_eq!(response.status, 200, "{path}");
        let (_, bytes) = before.iter().find(|(one, _)| one.segments.contains(path)).unwrap();
        let mut parts = bytes.windows(response.body.len());
        assert!(parts.any(|part| part == response.body), "{path}");
    }
}

#[test]
fn st_26_what_memory_has_let_go_of_is_read_by_storage_threads_alone() {
    let Some(mut faulty) = Faulty::start(Disk::mounted) else { return };
    let before = faulty.served("demo");
    if !faulty.disk.slow_down(Direction::Reading, 0) {
        return;
    }
    // The program's own pages are read from a disk as well, the first time that they are needed.
    fetch_cold(&mut faulty, &before, BEFORE);
    let [shards, readers] = ["shard", "read"].map(|threads| faulty.origin.disk_reads(threads));
    fetch_cold(&mut faulty, &before, BEFORE + 1);
    assert_eq!(faulty.origin.disk_reads("shard"), shards, "a shard has read from the disk");
    assert!(faulty.origin.disk_reads("read") > readers);
    assert_eq!(faulty.origin.metric("headwater_shard_adoptions_total", ""), 0);
    assert!(faulty.served("demo") == before);
    faulty.goes_on(BEFORE);
}

#[test]
fn st_16_files_deleted_and_truncated_cost_what_was_in_them() {
    let Some(mut faulty) = Faulty::start(Disk::mounted) else { return };
    let before = listed_with(&faulty.origin, &manifest("demo"), BEFORE);
    let files = faulty.ring_files();
    File::options().write(true).open(&files[0]).unwrap().set_len(0).unwrap();
    fs::remove_file(&files[1]).unwrap();
    faulty.goes_on(BEFORE);
    for segment in before.iter().flat_map(|one| &one.segments) {
        let answer = eventually("an answer", || {
            let mut connection = Connection::open(faulty.origin.data());
            connection.try_request("GET", segment, &[], b"").ok()
        });
        assert!(matches!(answer.status, 404 | 502), "{segment}: {answer:?}");
    }
    eventually("gaps", || {
        let now = listed(&faulty.origin, &manifest("demo"));
        let gaps = |one: &Rendition| one.playlist.matches("#EXT-X-GAP").count();
        (!now.is_empty() && now.iter().all(|one| gaps(one) >= BEFORE)).then_some(())
    });
    faulty.other_goes_on(BEFORE);
}

#[test]
fn st_17_a_disk_that_turns_read_only_serves() {
    let Some(mut faulty) = Faulty::start(Disk::mounted) else { return };
    let before = faulty.served("demo");
    faulty.disk.turn_read_only();
    let refused = faulty.put_until(BEFORE, &[503, 507]);
    assert!(matches!(refused.status, 503 | 507));
    assert!(faulty.served("demo") == before);
    faulty.other_goes_on(BEFORE);
}

#[test]
fn st_24_a_ring_in_memory_is_a_ring() {
    let mut origin = Origin::stopped(&lasting("demo"));
    let shm = tempfile::TempDir::new_in("/dev/shm");
    let Ok(folder) = shm else {
        skipped("no filesystem in memory at /dev/shm");
        return;
    };
    origin.set("HEADWATER_STORAGE__DIR", folder.path().to_str().unwrap());
    origin.restart();
    LONG.push(&mut Encoder::new(&origin, "demo", 1), 0..BEFORE);
    let before = listed_with(&origin, &manifest("demo"), BEFORE);
    origin.kill();
    origin.restart();
    let after = listed_with(&origin, &manifest("demo"), BEFORE);
    assert_eq!(after, before);
    assert!(after.iter().all(|one| !one.fetched(&origin).is_empty()));
}

#[test]
fn st_08_rotten_media_is_never_served() {
    let Some(mut faulty) = Faulty::start(Disk::mounted) else { return };
    let paths = [manifest("demo"), "/out/v1/demo-ts/index.m3u8".to_owned()];
    let [before, ts] = paths.each_ref().map(|path| listed_with(&faulty.origin, path, BEFORE));
    let bodies: Vec<Vec<u8>> =
        before.iter().map(|one| faulty.origin.get(&one.segments[1]).body).collect();
    faulty.origin.kill();
    faulty.disk.unmount();
    // One bit of the payload of each rendition's second segment.
    let mut image = fs::read(faulty.disk.image()).unwrap();
    for body in &bodies {
        let tail = &body[body.len() - 64..];
        let at = image.windows(64).position(|bytes| bytes == tail).unwrap();
        image[at + 32] ^= 4;
    }
    let file = File::options().write(true).open(faulty.disk.image()).unwrap();
    file.write_all_at(&image, 0).unwrap();
    drop(image);
    assert!(faulty.disk.mount());
    faulty.origin.restart();
    for one in before.iter().chain(&ts) {
        for (at, path) in one.segments.iter().enumerate() {
            let response = faulty.origin.get(path);
            let expected = if at == 1 { [404, 502, 503] } else { [200; 3] };
            assert!(expected.contains(&response.status), "{path}: {}", response.status);
        }
    }
    eventually("each is a gap", || {
        let now = listed(&faulty.origin, &manifest("demo"));
        let gaps = |one: &Rendition| one.playlist.matches("#EXT-X-GAP").count();
        (!now.is_empty() && now.iter().all(|one| gaps(one) == 1)).then_some(())
    });
    assert_eq!(faulty.metric("headwater_ring_checksum_fail_total"), bodies.len() as u64);
    faulty.encoders = ["demo", "other"].map(|id| Encoder::new(&faulty.origin, id, 1));
    faulty.goes_on(BEFORE);
}
