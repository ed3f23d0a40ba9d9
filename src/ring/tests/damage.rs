//! Files as crashes, power cuts and failing disks leave them, and of other versions.

use super::*;
use crate::ring::format::{
    FORMAT_VERSION, HEAD_MAGIC, Identity, SUPERBLOCK_SIZE, Superblock, footer_bytes_1,
};
use crate::ring::record::write_record;
use crate::ring::recovery::{FoundFile, read_for_index, read_records, survey};

/// A ring file of three records in a folder of its own, 16 KiB long.
struct SmallFile {
    dir: TempDir,
    bytes: Vec<u8>,
    records: Vec<Record>,
    ends: Vec<u64>,
}

impl SmallFile {
    const SIZE: u64 = 16 << 10;
    const NAME: &str = "00000000000000000001.ring";

    fn new(sealed: bool) -> Self {
        Self::made(FORMAT_VERSION, [0; 3], sealed)
    }

    fn made(version: u32, following: [u8; 3], sealed: bool) -> Self {
        let dir = TempDir::new().unwrap();
        let identity = Identity::fresh().unwrap();
        let superblock = Superblock {
            version,
            content_version: 1,
            sequence: 1,
            size: Self::SIZE,
            epoch: 1,
            boot: BOOT,
            predecessor: None,
        };
        let file = RingFile::create(dir.path(), 1, Self::SIZE).unwrap();
        file.write_at(0, &superblock.to_bytes(&identity)).unwrap();
        let state = Record::state(b"all that is needed".to_vec());
        // The second one imitates a head, which must not be taken for one.
        let imitation = Record { payload: HEAD_MAGIC.repeat(10), ..media(8, 0) };
        let records = vec![state, imitation, media(9, 70)];
        let mut at = SUPERBLOCK_SIZE;
        let mut ends = Vec::new();
        for (record, following) in records.iter().zip(following) {
            let head = record.head_at(1, at, 1, following).unwrap();
            write_record(&file, head, record, &identity).unwrap();
            at = head.end();
            ends.push(at);
        }
        if sealed && version == 1 {
            file.write_at(file.footer_offset(), &footer_bytes_1(1, at, &identity)).unwrap();
        } else if sealed {
            let index = read_for_index(&file, &identity, at);
            let offset = file.footer_offset() - index.size() as u64;
            file.write_at(offset, &index.into_file_end(1, at, &identity)).unwrap();
        }
        let bytes = std::fs::read(dir.path().join(Self::NAME)).unwrap();
        Self { dir, bytes, records, ends }
    }

    /// The indices of the records found in these bytes; the file that was written first gives
    /// what they must be.
    fn found_in(&self, bytes: &[u8], boot: BootId) -> Option<(Vec<usize>, Damage)> {
        let path = self.dir.path().join(Self::NAME);
        let file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let mut found = survey(self.dir.path(), 1, &[]).ok()?;
        let (file, identity): (FoundFile, _) = (found.files.pop()?, found.identity?);
        let held = read_records(&file, &identity, boot);
        let indices = held.records.iter().map(|record| {
            let part = |extent: crate::units::Extent| {
                let mut part = vec![0; extent.size as usize];
                file.file.read_at(extent.offset, &mut part).unwrap();
                part
            };
            let record = Record {
                kind: record.kind,
                header: record.header.clone(),
                table: part(record.location.table),
                payload: part(record.location.payload),
            };
            self.records.iter().position(|known| *known == record).expect("a record as written")
        });
        Some((indices.collect(), held.damage))
    }
}

#[test]
fn a_record_torn_at_any_byte_is_left_out() {
    let small = SmallFile::new(false);
    assert_eq!(small.found_in(&small.bytes, BOOT), Some((vec![0, 1, 2], Damage::default())));
    let (begins, ends) = (small.ends[1] as usize, small.ends[2] as usize);
    // The trailer ends in padding, which isn't missed.
    let last = small.bytes[..ends].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for written in begins..last {
        let mut bytes = small.bytes.clone();
        bytes[written..].fill(0);
        for boot in [BOOT, NEXT_BOOT] {
            let (found, damage) = small.found_in(&bytes, boot).unwrap();
            assert_eq!(found, [0, 1], "{written} bytes written");
            assert_eq!(damage.torn_records, u64::from(written > begins));
        }
        let (found, _) = small.found_in(&bytes[..written], BOOT).unwrap();
        assert_eq!(found, [0, 1], "cut after {written} bytes");
    }
}

#[test]
fn st_06_a_group_torn_at_any_byte_is_left_out_whole() {
    let small = SmallFile::made(FORMAT_VERSION, [0, 1, 0], false);
    assert_eq!(small.found_in(&small.bytes, BOOT), Some((vec![0, 1, 2], Damage::default())));
    let (begins, ends) = (small.ends[0] as usize, small.ends[2] as usize);
    let last = small.bytes[..ends].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for written in begins..last {
        let mut bytes = small.bytes.clone();
        bytes[written..].fill(0);
        for boot in [BOOT, NEXT_BOOT] {
            let (found, damage) = small.found_in(&bytes, boot).unwrap();
            assert_eq!(found, [0], "{written} bytes written");
            assert_eq!(damage.torn_records > 0, written > begins, "{written} bytes written");
        }
    }
    // Pages that reached the disk out of order: the first of the two is missing.
    let mut bytes = small.bytes.clone();
    bytes[begins..small.ends[1] as usize].fill(0);
    assert_eq!(small.found_in(&bytes, NEXT_BOOT).unwrap().0, [0, 2]);
    // A payload that was whole once and is rotten now takes nothing else along.
    let mut bytes = small.bytes.clone();
    bytes[begins + 64 + 8 + 3] ^= 1;
    assert_eq!(small.found_in(&bytes, NEXT_BOOT).unwrap().0, [0, 2]);
}

#[test]
fn a_sealed_file_is_read_from_its_index() {
    let small = SmallFile::new(true);
    let first = SUPERBLOCK_SIZE as usize;
    let mut bytes = small.bytes.clone();
    // Heads and trailers are not looked at, since the index repeats them.
    for at in [first, small.ends[1] as usize] {
        bytes[at..at + 64].fill(0);
    }
    let (found, damage) = small.found_in(&bytes, NEXT_BOOT).unwrap();
    assert_eq!((found, damage), (vec![0, 1, 2], Damage::default()));
    // An index that isn't what was written is none: the file is read from place to place.
    let index = bytes.len() - 64 - 10;
    bytes[index] ^= 1;
    let (found, damage) = small.found_in(&bytes, NEXT_BOOT).unwrap();
    assert_eq!((found, damage.torn_records), (vec![1], 1));
}

#[test]
fn st_22_files_of_the_first_version_are_read() {
    for (sealed, boot) in [(false, BOOT), (false, NEXT_BOOT), (true, BOOT), (true, NEXT_BOOT)] {
        let small = SmallFile::made(1, [0; 3], sealed);
        let found = small.found_in(&small.bytes, boot);
        assert_eq!(found, Some((vec![0, 1, 2], Damage::default())), "{sealed} {boot:?}");
    }
}

#[test]
fn st_22_a_newer_content_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let newer = RingConfig { content_version: 2, ..config(dir.path(), 8) };
    let (mut ring, _) = open(&newer, BOOT);
    let (placed, _) = store(&mut ring, &media(1, 10));
    drop(ring);
    let path = dir.path().join(RingFile::name(placed.location.header.file));
    let before = std::fs::read(&path).unwrap();
    let storage = Storage::start(1).unwrap();
    let refused = Ring::open_in_boot(&config(dir.path(), 8), &storage, Tenure::sole(), BOOT).err();
    assert_eq!(refused, Some(RingError::NewerFormat { path: path.clone(), version: 2 }));
    assert!(std::fs::read(&path).unwrap() == before);
    let (ring, recovered) = open(&newer, BOOT);
    assert_eq!(media_of(&ring, &recovered), [media(1, 10)]);
}

#[test]
fn st_01_a_file_is_gone_on_with_after_a_crash_and_its_records_count_once() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let mut expected = Vec::new();
    for start in 0..20 {
        let (mut ring, recovered) = open(&config, BootId([start; 16]));
        assert_eq!(media_of(&ring, &recovered), expected, "start {start}");
        let record = media(u64::from(start), 1000);
        let (placed, _) = store(&mut ring, &record);
        assert_eq!(placed.began_file.is_some(), start == 0);
        expected.push(record);
    }
}

#[test]
fn a_failing_disk_is_tried_before_anything_goes_to_it() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 8);
    let (mut ring, _) = open(&config, BOOT);
    store(&mut ring, &media(1, 1000));
    let shared = Arc::clone(&ring.shared);
    shared.is_failing.store(true, Ordering::Release);
    let refused = ring.append(media(2, 10), Vec::new, drop).err();
    assert_eq!(refused, Some(Refused::Failing));
    shared.is_full.store(true, Ordering::Release);
    let refused = ring.append(media(2, 10), Vec::new, drop).err();
    assert_eq!(refused, Some(Refused::NoSpace));
    wait_until(&mut ring, |fill| !fill.is_failing);
    let (placed, _) = store(&mut ring, &media(2, 10));
    assert_eq!(placed.began_file, None, "nothing was wrong with the file");
}

#[test]
fn st_08_what_comes_back_otherwise_than_it_was_written_is_unsound() {
    let dir = TempDir::new().unwrap();
    let (mut ring, _) = open(&config(dir.path(), 8), BOOT);
    let (placed, stored) = store(&mut ring, &media(1, 200_000));
    let Location { table, payload, .. } = placed.location;
    let file = ring.file(payload.file).unwrap();
    let content = Content { table, payload, hash: stored.hash };
    file.warm(&content);
    assert!(!file.is_unsound(payload.offset));
    assert_eq!(ring.loss_count(), 0);
    file.write_at(payload.offset + 1000, &[0; 8]).unwrap();
    file.warm(&content);
    assert!(file.is_unsound(payload.offset) && !file.is_unsound(0));
    assert_eq!(ring.loss_count(), 1);
    // Once wrong, it is not trusted again.
    file.note_verdict(payload.offset, true);
    assert!(file.is_unsound(payload.offset));
}

#[test]
fn a_flipped_bit_costs_one_record_at_most() {
    let small = SmallFile::new(false);
    for at in SUPERBLOCK_SIZE as usize..small.ends[2] as usize {
        let mut bytes = small.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        // Padding isn't covered by anything, and nobody reads it.
        let (found, damage) = small.found_in(&bytes, NEXT_BOOT).unwrap();
        let hit = small.ends.iter().position(|end| (at as u64) < *end).unwrap();
        let others: Vec<_> = (0..3).filter(|index| *index != hit).collect();
        if found != [0, 1, 2] {
            assert_eq!(found, others, "byte {at}");
            assert_eq!(damage.torn_records + damage.corrupt_records, 1, "byte {at}");
        }
    }
    for at in 0..SUPERBLOCK_SIZE as usize {
        let mut bytes = small.bytes.clone();
        bytes[at] ^= 0x80;
        if let Some((found, _)) = small.found_in(&bytes, NEXT_BOOT) {
            assert_eq!(found, [0, 1, 2], "byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Whatever a file is overwritten with, only records as they were written are found.
    #[test]
    fn garbage_is_never_taken_for_a_record(
        patches in prop::collection::vec(
            (0..SmallFile::SIZE as usize, prop::collection::vec(any::<u8>(), 1..300)), 1..6),
        length in 0..=SmallFile::SIZE as usize,
    ) {
        let small = SmallFile::new(false);
        let mut bytes = small.bytes.clone();
        for (at, patch) in patches {
            let end = (at + patch.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&patch[..end - at]);
        }
        bytes.truncate(length);
        if let Some((found, _)) = small.found_in(&bytes, NEXT_BOOT) {
            prop_assert!(found.is_sorted());
        }
    }
}

#[test]
fn payloads_are_verified_after_a_reboot_unless_the_file_is_sealed() {
    for (sealed, boot, found) in [
        (false, BOOT, vec![0, 1, 2]),
        (false, NEXT_BOOT, vec![0, 2]),
        (true, NEXT_BOOT, vec![0, 1, 2]),
    ] {
        let mut small = SmallFile::new(sealed);
        let at = small.bytes.windows(8).rposition(|bytes| bytes == HEAD_MAGIC);
        let imitation = small.ends[0] as usize + 64 + 8;
        assert!(at.unwrap() > imitation);
        small.bytes[imitation + 3] ^= 1;
        small.records[1].payload[3] ^= 1;
        let (indices, damage) = small.found_in(&small.bytes, boot).unwrap();
        assert_eq!(indices, found);
        assert_eq!(damage.corrupt_records, u64::from(found.len() == 2));
    }
}
