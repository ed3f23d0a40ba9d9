//! What is reported as written, and when, where syncs take their time or fail.

use super::*;
use crate::ring::script::{Script, Step};
use std::path::PathBuf;
use std::sync::mpsc::Sender;

fn strict(dir: &Path) -> RingConfig {
    RingConfig { durability: Durability::Strict, ..config(dir, 8) }
}

fn is_sync(step: &Step) -> bool {
    matches!(step, Step::SyncBegun(_))
}

/// Syncs of the file with this number.
fn syncs_of(script: &Script, sequence: u64) -> usize {
    let sync = Step::SyncBegun(RingFile::name(sequence).into());
    script.steps().iter().filter(|step| **step == sync).count()
}

/// Waits until all that was appended is in the page cache.
fn all_written(ring: &Ring) {
    let (told, done) = channel();
    let tell = Box::new(move || told.send(()).unwrap());
    ring.storage.write(ring.shared.claim.number, tell).unwrap();
    done.recv_timeout(PATIENCE).unwrap();
}

/// Waits until the syncs asked for are done.
fn all_kept_up(ring: &Ring) {
    let (told, done) = channel();
    let tell = Box::new(move || told.send(()).unwrap());
    ring.storage.keep_up(ring.shared.claim.number, tell).unwrap();
    done.recv_timeout(PATIENCE).unwrap();
}

/// Keeps the disk busy, as far as records are concerned that wait to be synced, until what is
/// returned is dropped.
fn busy(ring: &Ring) -> Sender<()> {
    let (free, busy) = channel::<()>();
    let job = Box::new(move || assert!(busy.recv().is_err(), "ends with the sender"));
    ring.shared.commits.give(job).map_err(drop).unwrap();
    free
}

#[test]
fn st_05_what_a_strict_ring_reports_is_on_the_disk() {
    let dir = TempDir::new().unwrap();
    let script = Script::of(dir.path());
    let (mut ring, _) = open(&strict(dir.path()), BOOT);
    for number in 0..10 {
        let (sender, receiver) = channel();
        let of_done = Arc::clone(&script);
        let done = move |result| {
            of_done.note("reported".to_owned());
            drop(sender.send(result));
        };
        ring.append(media(number, 1000), Vec::new, done).unwrap();
        assert!(receiver.recv_timeout(PATIENCE).unwrap().is_ok());
        assert_eq!(ring.fill().unsynced_bytes, 0);
        let steps = script.steps();
        let reported = steps.len() - 1;
        let written = steps.iter().rposition(|step| matches!(step, Step::Written(..))).unwrap();
        let synced = steps.iter().rposition(|step| matches!(step, Step::Synced(_))).unwrap();
        assert!(written < synced && synced < reported, "{steps:?}");
    }
    assert_eq!(ring.fill().syncs, 10, "nobody else waited");
    // With the next configuration it is as any other.
    ring.set_durability(Durability::Process);
    store(&mut ring, &media(10, 1000));
    assert!(ring.fill().unsynced_bytes > 1000);
    assert_eq!(ring.fill().syncs, 10);
}

#[test]
fn st_05_one_sync_serves_all_who_wait_for_it() {
    const WAITING: u64 = 50;
    let dir = TempDir::new().unwrap();
    let (mut ring, _) = open(&strict(dir.path()), BOOT);
    let free = busy(&ring);
    let replies: Vec<Reply> =
        (0..WAITING).map(|number| append(&mut ring, &media(number, 100)).1).collect();
    all_written(&ring);
    assert!(replies.iter().all(|reply| reply.try_recv().is_err()), "nothing is reported yet");
    assert!(ring.fill().queued_bytes >= WAITING * 100, "it counts as under way");
    drop(free);
    for reply in replies {
        assert!(reply.recv_timeout(PATIENCE).unwrap().is_ok());
    }
    assert_eq!(ring.fill().syncs, 1);
    assert_eq!(ring.fill().queued_bytes, 0);
}

#[test]
fn a_record_written_while_a_sync_runs_waits_for_the_next() {
    let dir = TempDir::new().unwrap();
    let script = Script::of(dir.path());
    let (mut ring, _) = open(&strict(dir.path()), BOOT);
    let (is_held, end) = script.hold_sync();
    let (_, first) = append(&mut ring, &media(1, 1000));
    is_held.recv_timeout(PATIENCE).unwrap();
    let later: Vec<Reply> =
        (2..5).map(|number| append(&mut ring, &media(number, 1000)).1).collect();
    all_written(&ring);
    drop(end);
    for reply in [first].into_iter().chain(later) {
        assert!(reply.recv_timeout(PATIENCE).unwrap().is_ok());
    }
    assert_eq!(ring.fill().syncs, 2, "one for the first, one for the others");
}

#[test]
fn st_05_where_syncs_pile_up_writes_wait() {
    let dir = TempDir::new().unwrap();
    let (mut ring, _) = open(&strict(dir.path()), BOOT);
    let free = busy(&ring);
    // More than the queue of syncs has room for: the writing thread does what is beyond.
    let count = 2 * crate::limits::STORAGE_QUEUE_LENGTH as u64;
    let mut replies = Vec::new();
    for number in 0..count {
        replies.push(append(&mut ring, &media(number, 10)).1);
    }
    drop(free);
    for reply in replies {
        assert!(reply.recv_timeout(PATIENCE).unwrap().is_ok());
    }
    assert!(ring.fill().syncs < count / 2);
}

#[test]
fn st_15_a_disk_that_does_not_keep_up_is_told_to_who_appends() {
    let dir = TempDir::new().unwrap();
    let (mut ring, _) = open(&config(dir.path(), 8), BOOT);
    // Full files are synced, and fresh ones made, by a thread that waits for the disk.
    let (free, busy) = channel::<()>();
    let job = Box::new(move || assert!(busy.recv().is_err(), "ends with the sender"));
    ring.storage.keep_up(ring.shared.claim.number, job).unwrap();
    let mut stored = 0;
    let refused = loop {
        let (sender, receiver) = channel();
        let done = move |result| drop(sender.send(result));
        match ring.append(media(stored, 128 << 10), Vec::new, done) {
            Ok(_) => assert!(receiver.recv_timeout(PATIENCE).unwrap().is_ok()),
            Err(refused) => break refused,
        }
        stored += 1;
        assert!(stored < 1000, "it takes more than it has files for");
    };
    assert_eq!(refused, Refused::Busy);
    assert_eq!((ring.fill().spares, ring.fill().is_failing), (0, false));
    assert!(ring.fill().unsynced_bytes > 6 * BODY_SIZE_MAX, "nothing of it is on the disk");
    let newest = ring.files().last().unwrap().clone();
    assert!(newest.is_own() && newest.has_resident_ends(0, 4096), "and all of it can be read");
    drop(free);
    store(&mut ring, &media(stored, 128 << 10));
    wait_until(&mut ring, |fill| fill.unsynced_bytes == 0);
}

#[test]
fn st_13_a_record_that_cannot_be_synced_is_not_reported_and_its_file_is_left() {
    let dir = TempDir::new().unwrap();
    let script = Script::of(dir.path());
    let (mut ring, _) = open(&strict(dir.path()), BOOT);
    let (placed, _) = store(&mut ring, &media(1, 1000));
    let failed = placed.location.payload.file;
    let synced = syncs_of(&script, failed);
    // The file, and the first look whether the disk takes anything again.
    script.fail_syncs(2);
    let (placed, reply) = append(&mut ring, &media(2, 1000));
    let offset = placed.location.header.offset - crate::ring::format::HEAD_SIZE;
    let refused = reply.recv_timeout(PATIENCE).unwrap();
    assert_eq!(refused, Err(WriteError::Unsynced { file: failed, offset }));
    let refused = ring.append(media(3, 10), Vec::new, drop).err();
    assert_eq!(refused, Some(Refused::Failing));
    let fill = ring.fill();
    assert!(fill.stranded_bytes >= 1000 && fill.stranded_bytes == fill.unsynced_bytes, "{fill:?}");
    assert_eq!((fill.sync_failures, fill.is_failing), (1, true));
    wait_until(&mut ring, |fill| !fill.is_failing);
    let (placed, _) = store(&mut ring, &media(3, 1000));
    assert!(placed.began_file.is_some_and(|begun| begun > failed), "a fresh one");
    assert_eq!(ring.fill().unsynced_bytes, ring.fill().stranded_bytes, "it stays said to be lost");
    while ring.file(failed).is_some() {
        store(&mut ring, &media(4, 200_000));
    }
    assert!(ring.storage.flush(PATIENCE));
    assert_eq!(syncs_of(&script, failed), synced + 1, "it is never tried again");
    let steps = script.steps();
    let failure = steps.iter().position(|step| matches!(step, Step::SyncFailed(_))).unwrap();
    let name = PathBuf::from(RingFile::name(failed));
    let written = |step: &&Step| matches!(step, Step::Written(path, ..) if *path == name);
    let after = steps[failure..].iter().filter(written).count();
    assert_eq!(after, 1, "the note that it failed; it is not sealed");
    assert_eq!(ring.fill().stranded_bytes, 0, "gone with the file");
}

#[test]
fn st_13_a_restart_does_not_take_what_could_not_be_synced_for_kept() {
    for durability in [Durability::Process, Durability::Strict] {
        let dir = TempDir::new().unwrap();
        let config = RingConfig { durability, ..config(dir.path(), 8) };
        let (mut ring, _) = open(&config, BOOT);
        store(&mut ring, &media(1, 1000));
        ring.sync();
        all_kept_up(&ring);
        let script = Script::of(dir.path());
        script.fail_syncs(1);
        let (placed, reply) = append(&mut ring, &media(2, 1000));
        let is_reported = reply.recv_timeout(PATIENCE).unwrap().is_ok();
        ring.sync();
        all_kept_up(&ring);
        assert_eq!(is_reported, durability == Durability::Process);
        let failed = placed.location.payload.file;
        let stranded = ring.fill().stranded_bytes;
        drop(ring);

        let numbers = |recovered: &Recovered| -> Vec<u64> {
            let media = recovered.records.iter().filter(|it| it.kind == RecordKind::Media);
            media.map(|it| u64::from_le_bytes(it.header.clone().try_into().unwrap())).collect()
        };
        let syncs = syncs_of(&script, failed);
        for _ in 0..2 {
            let (ring, recovered) = open(&config, BOOT);
            // What was reported is there. What was not is none, for it to be written when it comes
            // again.
            let expected: &[u64] = if is_reported { &[1, 2] } else { &[1] };
            assert_eq!(numbers(&recovered), expected, "{durability:?}");
            assert_eq!(recovered.damage, Damage::default());
            let told = ring.fill().stranded_bytes;
            assert!(told > 1000 && (!is_reported || told >= stranded), "{told} of {stranded}");
            let file = ring.file(failed).unwrap();
            assert!(!file.is_own() && !file.is_known(placed.location.payload.offset));
        }
        let (mut ring, _) = open(&config, BOOT);
        let (placed, _) = store(&mut ring, &media(3, 1000));
        assert!(placed.began_file.is_some_and(|begun| begun > failed), "in a fresh file");
        ring.sync();
        all_kept_up(&ring);
        assert_eq!(syncs_of(&script, failed), syncs, "a sync would tell of success");
        drop(ring);
        // After a start of the machine, what is in the file has come from the disk.
        let (ring, recovered) = open(&config, NEXT_BOOT);
        let expected: &[u64] = if is_reported { &[1, 2, 3] } else { &[1, 3] };
        assert_eq!(numbers(&recovered), expected, "{durability:?}");
        all_kept_up(&ring);
        assert_eq!(ring.fill().stranded_bytes, 0);
    }
}

#[test]
fn st_13_a_note_that_a_file_could_not_be_synced_holds_for_that_file_and_ring() {
    use crate::ring::format::{Footer, Identity, Stranded};
    let identity = Identity::fresh().unwrap();
    let stranded = Stranded { boot: BOOT, kept_end: 4096 };
    let block = stranded.to_bytes(7, &identity);
    assert_eq!(Stranded::parse(&block, 7, &identity), Some(stranded));
    assert_eq!(Stranded::parse(&block, 8, &identity), None);
    assert_eq!(Stranded::parse(&block, 7, &Identity::fresh().unwrap()), None);
    assert_eq!(Footer::parse(&block, 7, &identity), None);
    for at in 0..block.len() {
        let mut damaged = block;
        damaged[at] ^= 1;
        assert_eq!(Stranded::parse(&damaged, 7, &identity), None, "{at}");
    }
}

#[test]
fn st_13_one_of_two_who_sync_at_a_time_does_not_take_the_failure_for_both() {
    let dir = TempDir::new().unwrap();
    let script = Script::of(dir.path());
    let (mut ring, _) = open(&strict(dir.path()), BOOT);
    store(&mut ring, &media(1, 1000));
    let free = busy(&ring);
    let (_, reply) = append(&mut ring, &media(2, 1000));
    all_written(&ring);
    ring.sync();
    all_kept_up(&ring);
    assert_eq!(ring.fill().unsynced_bytes, 0);
    let (_, unsynced) = append(&mut ring, &media(3, 1000));
    all_written(&ring);
    script.fail_syncs(1);
    // The sync of the interval fails; the next one would be told of success.
    ring.sync();
    all_kept_up(&ring);
    assert_eq!(ring.fill().sync_failures, 1);
    drop(free);
    assert!(reply.recv_timeout(PATIENCE).unwrap().is_ok(), "it was synced before");
    let refused = unsynced.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(refused, Err(WriteError::Unsynced { .. })), "{refused:?}");
}

#[test]
fn st_13_what_only_memory_has_is_looked_at_before_it_is_sent() {
    let dir = TempDir::new().unwrap();
    let script = Script::of(dir.path());
    let (mut ring, _) = open(&config(dir.path(), 8), BOOT);
    let (placed, stored) = store(&mut ring, &media(1, 100_000));
    let Location { table, payload, .. } = placed.location;
    let file = ring.file(payload.file).unwrap();
    assert!(file.is_own() && file.is_known(payload.offset));
    script.fail_syncs(1);
    wait_until(&mut ring, |fill| fill.sync_failures == 1);
    assert!(ring.fill().stranded_bytes >= 100_000, "it was reported, and is said to be lost");
    assert!(!file.is_own() && !file.is_known(payload.offset));
    let content = Content { table, payload, hash: stored.hash };
    file.warm(&content);
    assert!(!file.is_known(payload.offset), "nor the next time");
    assert!(!file.is_unsound(payload.offset), "memory still has it");
    // It lets go of it, and what was there before comes back from the disk.
    file.write_at(payload.offset, &[0; 4096]).unwrap();
    file.warm(&content);
    assert!(file.is_unsound(payload.offset));
}

#[test]
fn what_a_crash_left_unsynced_is_synced_at_the_start() {
    for durability in [Durability::Process, Durability::Strict] {
        let dir = TempDir::new().unwrap();
        let (mut ring, _) = open(&config(dir.path(), 8), BOOT);
        let (placed, _) = store(&mut ring, &media(1, 1000));
        let end = ring.live.back().unwrap().end;
        drop(ring);
        // The beginning of a record, as the end of a process leaves it.
        let path = dir.path().join(RingFile::name(placed.location.payload.file));
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(b"torn", end).unwrap();
        let script = Script::of(dir.path());
        let config = RingConfig { durability, ..config(dir.path(), 8) };
        let (mut ring, recovered) = open(&config, BOOT);
        assert_eq!(recovered.damage.torn_records, 1);
        if durability == Durability::Strict {
            assert_eq!(ring.fill().unsynced_bytes, 0, "before anything is reported");
        }
        wait_until(&mut ring, |fill| fill.unsynced_bytes == 0);
        assert_eq!(script.steps().iter().filter(|step| is_sync(step)).count(), 1);
    }
}
