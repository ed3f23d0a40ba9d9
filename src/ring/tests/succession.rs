//! A ring that goes from one owner to the next within the process, while the first one still acts.

use super::*;
use crate::ring::format::Head;
use crate::ring::format::{FORMAT_VERSION, Superblock};
use crate::ring::record::write_record;
use crate::ring::rotation::LiveFile;
use crate::ring::tenure::Placement;

/// Takes a ring over from `ring`, whose storage and placement these are.
fn take_over(ring: &Ring, config: &RingConfig, tenure: Tenure) -> (Ring, Recovered) {
    let (sender, receiver) = channel();
    let storage = Arc::clone(&ring.storage);
    let done = move |opened| drop(sender.send(opened));
    Ring::take_over(config.clone(), &storage, tenure, (ring.files(), |_: &_| false), done).unwrap();
    receiver.recv_timeout(PATIENCE).unwrap().unwrap()
}

fn numbers(ring: &Ring, recovered: &Recovered) -> Vec<u64> {
    let number = |record: Record| u64::from_le_bytes(record.header.try_into().unwrap());
    media_of(ring, recovered).into_iter().map(number).collect()
}

#[test]
fn what_an_earlier_owner_still_writes_is_refused_and_no_part_of_the_ring() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let placement = Placement::new(0);
    let storage = Storage::start(1).unwrap();
    let (mut first, _) = Ring::open_in_boot(&config, &storage, placement.tenure(), BOOT).unwrap();
    for number in 0..3 {
        store(&mut first, &media(number, 1_000));
    }
    // Asked for in time, and not begun when the ring is taken over.
    let barrier = Arc::new(Barrier::new(2));
    let held = Arc::clone(&barrier);
    storage.write(first.shared.claim.number, Box::new(move || _ = held.wait())).unwrap();
    let (_, late) = append(&mut first, &media(3, 1_000));
    let tenure = placement.tenure().pass_to(1).unwrap();
    let (mut second, recovered) = take_over(&first, &config, tenure);
    assert_eq!(numbers(&second, &recovered), [0, 1, 2]);
    for (old, new) in first.files().iter().zip(second.files().iter()) {
        assert!(Arc::ptr_eq(old, new), "readers and owners share a file");
    }
    barrier.wait();
    let stale = late.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert!(matches!(stale, WriteError::Stale { .. }), "{stale}");
    let refused = first.append(media(4, 10), Vec::new, |_| ());
    assert_eq!(refused.err(), Some(Refused::Stale));
    assert_eq!(second.fill().stale_writes, 1);

    let (placed, _) = store(&mut second, &media(5, 1_000));
    let newest = first.files().last().unwrap().sequence();
    assert!(placed.began_file.is_some_and(|file| file > newest), "in a fresh file");
    // The worst that can happen: a write that had been begun ends after the new owner has read.
    let LiveFile { file, end, .. } = first.live.back().unwrap();
    let record = media(6, 1_000);
    let head: Head = record.head_at(file.sequence(), *end, 0, 0).unwrap();
    write_record(file, head, &record, &first.shared.identity).unwrap();
    drop((first, second, storage));
    let (ring, recovered) = open(&config, NEXT_BOOT);
    assert_eq!(numbers(&ring, &recovered), [0, 1, 2, 5]);
}

#[test]
fn files_of_an_earlier_owner_begun_too_late_are_removed() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let placement = Placement::new(0);
    let storage = Storage::start(1).unwrap();
    let (mut first, _) = Ring::open_in_boot(&config, &storage, placement.tenure(), BOOT).unwrap();
    store(&mut first, &media(0, 1_000));
    let (newest, spare) = (first.files()[0].sequence(), Arc::clone(&first.spares[0]));
    let tenure = placement.tenure().pass_to(1).unwrap();
    let (mut second, _) = take_over(&first, &config, tenure);
    let (placed, _) = store(&mut second, &media(1, 1_000));
    assert!((newest + 1..placed.began_file.unwrap()).contains(&spare.sequence()));
    // As if its name were back, and the first owner had begun it.
    let path = dir.path().join(RingFile::name(spare.sequence()));
    assert!(!path.exists());
    let superblock = Superblock {
        version: FORMAT_VERSION,
        content_version: 1,
        sequence: spare.sequence(),
        size: spare.size(),
        epoch: 0,
        boot: BOOT,
        predecessor: None,
    };
    std::fs::write(&path, superblock.to_bytes(&first.shared.identity)).unwrap();
    drop((first, second, storage));
    let (ring, recovered) = open(&config, NEXT_BOOT);
    assert_eq!(numbers(&ring, &recovered), [0, 1]);
    assert!(!path.exists());
}

#[test]
fn a_ring_passes_on_while_it_is_written_to() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let placement = Placement::new(0);
    let storage = Storage::start(1).unwrap();
    let (mut ring, _) = Ring::open_in_boot(&config, &storage, placement.tenure(), BOOT).unwrap();
    let mut replies = Vec::new();
    let mut number = 0;
    for _ in 0..20 {
        for _ in 0..3 {
            let (placed, reply) = append(&mut ring, &media(number, 20_000));
            replies.push((number, placed.location.payload.file, reply));
            number += 1;
        }
        let tenure = ring.tenure().pass_to(0).unwrap();
        ring = take_over(&ring, &config, tenure).0;
    }
    drop(ring);
    drop(storage);
    let (ring, recovered) = open(&config, NEXT_BOOT);
    let found = numbers(&ring, &recovered);
    let oldest = ring.files()[0].sequence();
    for (number, file, reply) in replies {
        let stored = reply.recv_timeout(PATIENCE).unwrap();
        assert!(stored.is_err() || file < oldest || found.contains(&number), "{number} is gone");
    }
    assert!(found.is_sorted(), "{found:?}");
}
