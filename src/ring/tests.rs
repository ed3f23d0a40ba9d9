//! Rings on real files: what was reported as written is found again, whatever happens to the
//! files in between.

#![allow(clippy::cast_possible_truncation)] // sizes here are small and known

mod crash_images;
mod damage;
mod durability;
mod newest;
mod succession;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use super::format::SUPERBLOCK_SIZE;
use super::*;

const BODY_SIZE_MAX: u64 = 256 << 10;
const BOOT: BootId = BootId([1; 16]);
const NEXT_BOOT: BootId = BootId([2; 16]);
/// Long enough for any machine; reached only where something is broken.
const PATIENCE: Duration = Duration::from_mins(1);

fn config(dir: &Path, files: u64) -> RingConfig {
    let file_size = plan_files(1, BODY_SIZE_MAX).unwrap_err().file_size;
    let size = files * file_size;
    RingConfig {
        dir: dir.into(),
        size,
        body_size_max: BODY_SIZE_MAX,
        content_version: 1,
        durability: Durability::Process,
    }
}

fn media(number: u64, size: usize) -> Record {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let payload = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    Record {
        kind: RecordKind::Media,
        header: number.to_le_bytes().to_vec(),
        table: vec![7; size % 100],
        payload: payload.take(size).collect(),
    }
}

type Reply = Receiver<Result<Stored, WriteError>>;

/// Appends as soon as the ring takes the record.
fn append(ring: &mut Ring, record: &Record) -> (Placed, Reply) {
    let started = Instant::now();
    loop {
        let (sender, receiver) = channel();
        let done = move |result| drop(sender.send(result));
        match ring.append(record.clone(), || b"state".to_vec(), done) {
            Ok(placed) => return (placed, receiver),
            Err(refused) => {
                assert_eq!(refused, Refused::Busy);
                assert!(started.elapsed() < PATIENCE, "{:?}", ring.fill());
                std::thread::yield_now();
            }
        }
    }
}

fn store(ring: &mut Ring, record: &Record) -> (Placed, Stored) {
    let (placed, reply) = append(ring, record);
    (placed, reply.recv_timeout(PATIENCE).unwrap().unwrap())
}

fn wait_until(ring: &mut Ring, what: impl Fn(&Fill) -> bool) {
    let started = Instant::now();
    while !what(&ring.fill()) {
        assert!(started.elapsed() < PATIENCE, "{:?}", ring.fill());
        ring.sync();
        std::thread::yield_now();
    }
}

fn open(config: &RingConfig, boot: BootId) -> (Ring, Recovered) {
    Ring::open_in_boot(config, &Storage::start(1).unwrap(), Tenure::sole(), boot).unwrap()
}

fn read(ring: &Ring, extent: crate::units::Extent) -> Vec<u8> {
    let mut bytes = vec![0; extent.size as usize];
    ring.file(extent.file).unwrap().read_at(extent.offset, &mut bytes).unwrap();
    bytes
}

/// Media records among those recovered, with all of their bytes.
fn media_of(ring: &Ring, recovered: &Recovered) -> Vec<Record> {
    let media = recovered.records.iter().filter(|record| record.kind == RecordKind::Media);
    media
        .map(|record| Record {
            kind: record.kind,
            header: record.header.clone(),
            table: read(ring, record.location.table),
            payload: read(ring, record.location.payload),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..Default::default()
    })]

    /// Runs of appends, each ended without any clean-up, some by a reboot: what is found is what
    /// was stored in the files that are still there, in order, and nothing else.
    #[test]
    fn what_was_stored_is_found_again(
        runs in prop::collection::vec(
            (prop::collection::vec(0_usize..=BODY_SIZE_MAX as usize, 0..60), any::<bool>()), 1..5),
    ) {
        let dir = TempDir::new().unwrap();
        let config = config(dir.path(), 8);
        let mut stored = Vec::new();
        let mut boot = 1;
        for (sizes, reboots) in runs {
            boot += u8::from(reboots);
            let (mut ring, recovered) = open(&config, BootId([boot; 16]));
            prop_assert_eq!(recovered.damage, Damage::default());
            let first = recovered.records.first().map_or(0, |record| record.location.header.file);
            stored.retain(|(file, _)| *file >= first);
            let expected: Vec<Record> =
                stored.iter().map(|(_, record): &(u64, Record)| record.clone()).collect();
            prop_assert_eq!(media_of(&ring, &recovered), expected);
            for size in sizes {
                let record = media(stored.len() as u64, size);
                let (placed, reply) = append(&mut ring, &record);
                prop_assert!(reply.recv_timeout(PATIENCE).unwrap().is_ok());
                if placed.began_file.is_some() {
                    ring.sync();
                }
                stored.retain(|(file, _)| !placed.dropped_files.contains(file));
                stored.push((placed.location.payload.file, record));
            }
        }
    }
}

#[test]
fn a_file_begins_with_the_state_and_the_oldest_one_is_dropped() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let (mut ring, recovered) = open(&config, BOOT);
    assert_eq!(recovered, Recovered::default());
    assert_eq!((ring.fill().files, ring.fill().spares), (0, 8));
    let mut dropped = Vec::new();
    let mut begun = Vec::new();
    for number in 0..400 {
        let (placed, stored) = store(&mut ring, &media(number, 128 << 10));
        let record = media(number, 128 << 10);
        let content = [record.table, record.payload].concat();
        assert_eq!(stored.hash, xxhash_rust::xxh3::xxh3_64(&content));
        begun.extend(placed.began_file);
        dropped.extend(placed.dropped_files);
    }
    assert!(dropped.len() > 8, "the ring has turned over");
    assert!(begun.starts_with(&dropped), "oldest first");
    assert_eq!(ring.fill().files, 6);
    assert!(ring.file(dropped[0]).is_none());
    wait_until(&mut ring, |fill| fill.spares == 2 && fill.lingering_files == 0);
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 8 + 1, "six with records, two spares and the lock");
    drop(ring);
    let (ring, recovered) = open(&config, BOOT);
    let of_file =
        recovered.records.chunk_by(|a, b| a.location.header.file == b.location.header.file);
    for records in of_file {
        assert_eq!(
            (records[0].kind, records[0].header.as_slice()),
            (RecordKind::State, &b"state"[..])
        );
        assert!(records[1..].iter().all(|record| record.kind == RecordKind::Media));
    }
    assert_eq!(media_of(&ring, &recovered).last(), Some(&media(399, 128 << 10)));
}

#[test]
fn a_file_with_readers_keeps_its_bytes_and_counts_against_the_spares() {
    let dir = TempDir::new().unwrap();
    let (mut ring, _) = open(&config(dir.path(), 8), BOOT);
    let record = media(1, 100_000);
    let (placed, _) = store(&mut ring, &record);
    let held = ring.file(placed.location.payload.file).unwrap();
    while ring.file(held.sequence()).is_some() {
        store(&mut ring, &media(2, 128 << 10));
    }
    wait_until(&mut ring, |fill| fill.spares == 1);
    // Nor does another one come, in the place of the file that is held.
    for _ in 0..3 {
        assert!(ring.storage.flush(PATIENCE));
        ring.sync();
    }
    assert_eq!((ring.fill().spares, ring.fill().lingering_files), (1, 1));
    let begun = ring.files().last().unwrap().sequence();
    while ring.files().last().unwrap().sequence() == begun {
        store(&mut ring, &media(3, 128 << 10));
    }
    let mut bytes = vec![0; record.payload.len()];
    held.read_at(placed.location.payload.offset, &mut bytes).unwrap();
    assert_eq!(bytes, record.payload);
    drop(held);
    wait_until(&mut ring, |fill| fill.spares == 2 && fill.lingering_files == 0);
}

#[test]
fn readers_are_asked_for_files_when_no_spare_is_left() {
    let dir = TempDir::new().unwrap();
    let (mut ring, _) = open(&config(dir.path(), 8), BOOT);
    store(&mut ring, &media(1, 1));
    let mut held = BTreeMap::new();
    let refused = loop {
        held.extend(ring.files().iter().map(|file| (file.sequence(), file.clone())));
        let (sender, receiver) = channel();
        match ring.append(media(2, 128 << 10), Vec::new, move |result| drop(sender.send(result))) {
            Ok(_) => assert!(receiver.recv_timeout(PATIENCE).unwrap().is_ok()),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, Refused::Busy);
    let fill = ring.fill();
    assert_eq!((fill.spares, fill.lingering_files), (0, 2));
    ring.sync();
    for (sequence, file) in &held {
        assert_eq!(file.is_wanted_back(), ring.file(*sequence).is_none());
    }
    held.clear();
    wait_until(&mut ring, |fill| fill.spares == 2);
    store(&mut ring, &media(3, 1));
}

#[test]
fn a_newer_format_and_a_foreign_file_are_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let (mut ring, _) = open(&config, BOOT);
    let (placed, _) = store(&mut ring, &media(1, 10));
    drop(ring);
    let path = dir.path().join(RingFile::name(placed.location.header.file));
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[3], 8).unwrap();
    let storage = Storage::start(1).unwrap();
    let refused = Ring::open_in_boot(&config, &storage, Tenure::sole(), BOOT).err();
    assert_eq!(refused, Some(RingError::NewerFormat { path: path.clone(), version: 3 }));
    file.write_all_at(&[2], 8).unwrap();
    let other = TempDir::new().unwrap();
    let (mut other_ring, _) = open(&self::config(other.path(), 8), BOOT);
    while other_ring.files().len() < 2 {
        store(&mut other_ring, &media(2, 200_000));
    }
    let second = RingFile::name(other_ring.files()[1].sequence());
    let path = dir.path().join(&second);
    let spare = std::fs::read(&path).unwrap();
    std::fs::copy(other.path().join(&second), &path).unwrap();
    let refused = Ring::open_in_boot(&config, &storage, Tenure::sole(), BOOT).err();
    assert_eq!(refused, Some(RingError::ForeignFile { path: path.clone() }));
    std::fs::write(&path, spare).unwrap();
    let misnamed = dir.path().join(RingFile::name(1000));
    std::fs::copy(other.path().join(&second), &misnamed).unwrap();
    let (_, recovered) = Ring::open_in_boot(&config, &storage, Tenure::sole(), BOOT).unwrap();
    assert_eq!(recovered.damage.lost_files, 1, "it says another number than its name");
    assert_eq!(recovered.records.len(), 2);
    assert!(!misnamed.exists());
}

#[test]
fn a_ring_is_opened_once() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let storage = Storage::start(1).unwrap();
    let (ring, _) = Ring::open(&config, &storage, Tenure::sole()).unwrap();
    let refused = Ring::open(&config, &storage, Tenure::sole()).err();
    assert_eq!(refused, Some(RingError::Locked { dir: dir.path().into() }));
    drop(ring);
    assert!(Ring::open(&config, &storage, Tenure::sole()).is_ok());
}

#[test]
fn files_deleted_and_truncated_under_us_cost_their_own_records_only() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let (mut ring, _) = open(&config, BOOT);
    let mut places = Vec::new();
    while ring.fill().files < 4 {
        places.push(store(&mut ring, &media(places.len() as u64, 200_000)).0.location);
    }
    let files = ring.files();
    let path = |index: usize| dir.path().join(RingFile::name(files[index].sequence()));
    let is_sealed = || !std::fs::read(path(2)).unwrap().ends_with(&[0; 64]);
    wait_until(&mut ring, |_| is_sealed());
    std::fs::remove_file(path(1)).unwrap();
    OpenOptions::new().write(true).open(path(2)).unwrap().set_len(SUPERBLOCK_SIZE + 100).unwrap();
    let of_file = |index: usize| {
        places.iter().find(|place| place.payload.file == files[index].sequence()).unwrap().payload
    };
    assert_eq!(read(&ring, of_file(1)).len(), 200_000, "the descriptor still has the bytes");
    let mut buffer = [0; 10];
    assert!(files[2].read_at(of_file(2).offset, &mut buffer).is_err());
    assert!(files[2].is_lost() && !files[0].is_lost());
    assert!(files[2].read_cached_at(of_file(2).offset, &mut buffer).is_err());
    let (first, last) = (files[0].sequence(), files[3].sequence());
    drop(ring);
    let (_, recovered) = open(&config, BOOT);
    assert_eq!(recovered.damage.short_files, 1);
    let media = recovered.records.iter().filter(|record| record.kind == RecordKind::Media);
    let found: Vec<_> = media.map(|record| record.location).collect();
    let kept = |place: &&Location| [first, last].contains(&place.payload.file);
    assert_eq!(found, places.iter().filter(kept).copied().collect::<Vec<_>>());
}

#[test]
fn resizing_adds_and_drops_whole_files() {
    let dir = TempDir::new().unwrap();
    let twelve = config(dir.path(), 12);
    let eight = config(dir.path(), 8);
    let (mut ring, _) = open(&twelve, BOOT);
    while ring.fill().files < 10 {
        store(&mut ring, &media(0, 200_000));
    }
    let before: Vec<_> = ring.files().iter().map(|file| file.sequence()).collect();
    assert_eq!(ring.resize(eight.size, BODY_SIZE_MAX), Ok(before[..4].to_vec()));
    wait_until(&mut ring, |fill| fill.spares == 2 && fill.lingering_files == 0);
    assert_eq!((ring.fill().files, ring.fill().bytes_total), (6, eight.size));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 8 + 1);
    assert_eq!(ring.resize(twelve.size, BODY_SIZE_MAX), Ok(Vec::new()));
    wait_until(&mut ring, |fill| fill.spares == 6);
    assert!(ring.resize(eight.size - 1, BODY_SIZE_MAX).is_err());
    assert_eq!(ring.fill().bytes_total, twelve.size);
    drop(ring);
    let (ring, recovered) = open(&eight, BOOT);
    assert_eq!(ring.fill().files, 6);
    assert_eq!(recovered.records[0].location.header.file, before[4]);
}

#[test]
fn what_no_file_can_hold_is_refused() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let (mut ring, _) = open(&config, BOOT);
    let file_size = config.size / 8;
    for (record, fits) in [
        (Record { header: vec![0; crate::limits::RING_HEADER_SIZE_MAX], ..media(0, 0) }, true),
        (Record { header: vec![0; crate::limits::RING_HEADER_SIZE_MAX + 1], ..media(0, 0) }, false),
        (Record { table: vec![0; crate::limits::RING_TABLE_SIZE_MAX + 1], ..media(0, 0) }, false),
        (media(0, BODY_SIZE_MAX as usize), true),
        (media(0, file_size as usize), false),
    ] {
        let size = record.size();
        let result = ring.append(record, Vec::new, drop);
        assert_eq!(result.err(), (!fits).then_some(Refused::TooLarge { size, file_size }));
    }
}

#[test]
fn a_failed_file_is_given_up_for_a_fresh_one() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let (mut ring, _) = open(&config, BOOT);
    store(&mut ring, &media(1, 1000));
    let broken = ring.files()[0].clone();
    broken.mark_broken();
    let (placed, _) = store(&mut ring, &media(2, 1000));
    assert!(placed.began_file.is_some_and(|begun| begun > broken.sequence()));
    drop(ring);
    let (ring, recovered) = open(&config, BOOT);
    assert_eq!(media_of(&ring, &recovered), [media(1, 1000), media(2, 1000)]);
}

#[test]
fn a_sync_that_failed_is_not_tried_again() {
    // A pipe has no disk to be synced to.
    let (_reader, pipe) = std::io::pipe().unwrap();
    let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(pipe));
    let file = RingFile::new(pipe, "pipe".into(), 1, 1 << 20);
    file.mark_unsynced(10);
    assert!(file.sync().is_err());
    assert!(file.is_broken(), "nothing is appended any more");
    // The kernel would now report success for pages that it has dropped.
    assert!(!file.sync().unwrap() && file.unsynced_size() == 10, "it was not asked again");
}

#[test]
fn the_live_tail_is_resident() {
    let dir = TempDir::new().unwrap();
    let (mut ring, _) = open(&config(dir.path(), 8), BOOT);
    let (placed, stored) = store(&mut ring, &media(1, 200_000));
    let payload = placed.location.payload;
    let file = ring.file(payload.file).unwrap();
    assert!(file.is_resident(payload.offset, 200_000));
    assert!(!file.is_resident(file.size() - 1, 2), "beyond the file");
    let mut buffer = vec![0; 200_000];
    assert_eq!(file.read_cached_at(payload.offset, &mut buffer).unwrap(), buffer.len());
    assert_eq!(buffer, media(1, 200_000).payload);
    let storage = Storage::start(1).unwrap();
    let (sender, receiver) = channel();
    let content = Content { table: placed.location.table, payload, hash: stored.hash };
    let done = Box::new(move || sender.send(()).unwrap());
    storage.warm(file.clone(), content, done).unwrap();
    receiver.recv_timeout(PATIENCE).unwrap();
    assert!(!file.is_lost() && !file.is_unsound(payload.offset));
}

#[test]
fn rings_move_between_threads_and_files_are_shared() {
    const fn is_send<T: Send>() {}
    const fn is_shared<T: Send + Sync>() {}
    is_send::<Ring>();
    is_shared::<RingFile>();
    is_shared::<Storage>();
}

#[test]
fn waiting_jobs_are_done_before_the_threads_end() {
    let storage = Storage::start(2).unwrap();
    let (sender, receiver) = channel();
    for number in 0..50 {
        let sender = sender.clone();
        storage.read(Box::new(move || sender.send(number).unwrap())).unwrap();
    }
    storage.read(Box::new(|| panic!("a job that fails"))).unwrap();
    drop((storage, sender));
    assert_eq!(receiver.iter().count(), 50);
}

/// A filesystem of its own in memory, which only root can make.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(size: u64) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        crate::report::skipped("a disk that is full needs the right to mount");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left_for_the_system =
            std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_too_small_is_an_error_at_once() {
    let Some(disk) = SmallDisk::mount(8 << 20) else { return };
    let config = config(&disk.0.path().join("ring"), 8);
    let storage = Storage::start(1).unwrap();
    let error = Ring::open(&config, &storage, Tenure::sole()).err().unwrap();
    assert!(
        matches!(&error, RingError::NoSpace { dir, needed, kind: std::io::ErrorKind::StorageFull }
            if *dir == config.dir && *needed > config.size - (8 << 20)),
        "{error}"
    );
    let left = std::fs::read_dir(&config.dir).unwrap().count();
    assert_eq!(left, 1, "nothing but the lock stays behind");
}

#[test]
fn a_disk_that_fills_up_costs_appends_until_there_is_room_again() {
    let size = config(Path::new(""), 8).size;
    let Some(disk) = SmallDisk::mount(size + (1 << 20)) else { return };
    let config = config(&disk.0.path().join("ring"), 8);
    let (mut ring, _) = open(&config, BOOT);
    let held = store(&mut ring, &media(0, 1)).0.location.payload;
    let other = disk.0.path().join("other");
    let started = Instant::now();
    let refused = loop {
        let (sender, receiver) = channel();
        match ring.append(media(1, 200_000), Vec::new, move |result| drop(sender.send(result))) {
            Ok(_) => assert!(receiver.recv_timeout(PATIENCE).unwrap().is_ok()),
            Err(Refused::Busy) => std::thread::yield_now(),
            Err(refused) => break refused,
        }
        if ring.file(held.file).is_none() {
            // Takes what the ring gives back before it can be had again.
            let mut file = OpenOptions::new().create(true).append(true).open(&other).unwrap();
            let _until_full = std::io::Write::write_all(&mut file, &vec![0; 4 << 20]);
        }
        assert!(started.elapsed() < PATIENCE, "{:?}", ring.fill());
    };
    assert_eq!(refused, Refused::NoSpace);
    assert!(ring.fill().spare_failures > 0);
    std::fs::remove_file(other).unwrap();
    wait_until(&mut ring, |fill| fill.spares == 2);
    store(&mut ring, &media(2, 1));
}

#[test]
fn making_waits_for_no_cold_range() {
    let storage = Storage::start(1).expect("threads");
    let (cold, reading) = channel::<()>();
    let read = move || assert!(reading.recv().is_err(), "ends with the test");
    storage.read(Box::new(read)).expect("room");
    // Each of the two waits for the other: they run at once, while the cold range is being read.
    let meeting = Arc::new(Barrier::new(2));
    let (made, all_made) = channel();
    for _ in 0..2 {
        let (meeting, made) = (Arc::clone(&meeting), made.clone());
        let job = move || {
            meeting.wait();
            made.send(()).expect("waited for");
        };
        storage.make(Box::new(job)).expect("room");
    }
    for _ in 0..2 {
        all_made.recv_timeout(PATIENCE).expect("made meanwhile");
    }
    drop(cold);
}

#[test]
fn larger_bodies_get_larger_files() {
    let dir = TempDir::new().unwrap();
    let small = config(dir.path(), 16);
    let storage = Storage::start(1).unwrap();
    let (mut ring, _) = Ring::open(&small, &storage, Tenure::sole()).unwrap();
    let body_size_max = 2 * BODY_SIZE_MAX;
    let size = plan_files(1, body_size_max).unwrap_err().size_min;
    assert!(ring.resize(small.size / 16, body_size_max).is_err(), "stays as it is");
    assert_eq!(ring.resize(size, body_size_max), Ok(Vec::new()));
    let layout = plan_files(size, body_size_max).unwrap();
    assert_eq!(ring.fill().bytes_total, layout.size());
}
