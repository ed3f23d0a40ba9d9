//! Rings of which the newest files are read at first, and the others while they are written to.

use super::*;

const RECORD_COUNT: u64 = 90;

/// A ring of several full files, with a record of each number up to [`RECORD_COUNT`].
fn written(config: &RingConfig) {
    let (mut ring, _) = open(config, BOOT);
    for number in 0..RECORD_COUNT {
        store(&mut ring, &media(number, BODY_SIZE_MAX as usize));
    }
    assert!(ring.files().len() > 4, "{:?}", ring.fill());
    ring.sync();
    assert!(ring.storage.flush(PATIENCE));
}

fn open_newest(config: &RingConfig) -> (Ring, Recovered) {
    let storage = Storage::start(1).unwrap();
    Ring::open_newest(config, &storage, Tenure::sole(), |_| true).unwrap()
}

fn read_next(ring: &Ring) -> Option<FileRecords> {
    let (sender, receiver) = channel();
    let asked = ring.read_older(move |held| drop(sender.send(held))).unwrap();
    asked.then(|| receiver.recv_timeout(PATIENCE).unwrap())
}

fn sequences(ring: &Ring) -> Vec<u64> {
    ring.files().iter().map(|file| file.sequence()).collect()
}

#[test]
fn files_are_read_from_the_newest_to_the_oldest_and_make_up_the_whole() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 12);
    written(&config);
    let (whole, expected) = open(&config, BOOT);
    let files = sequences(&whole);
    drop(whole);
    let (mut ring, recovered) = open_newest(&config);
    assert_eq!(sequences(&ring), files, "all of them are the ring's");
    assert_eq!(recovered.oldest_read, *files.last().unwrap());
    assert_eq!(recovered.oldest_state.as_deref(), Some(b"state".as_slice()));
    assert_eq!(ring.unread_count(), files.len() - 1);
    let mut records = vec![recovered.records];
    for &file in files.iter().rev().skip(1) {
        let held = read_next(&ring).expect("there is another");
        assert_eq!((held.file, held.damage), (file, Damage::default()));
        assert!(ring.on_older_read(&held));
        records.push(held.records);
    }
    assert_eq!(read_next(&ring), None);
    let records: Vec<RecoveredRecord> = records.into_iter().rev().flatten().collect();
    assert_eq!(records, expected.records);
}

#[test]
fn what_leaves_the_ring_unread_is_not_read() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 12);
    written(&config);
    let (mut ring, recovered) = open_newest(&config);
    let before = sequences(&ring);
    let asked = read_next(&ring).expect("there is another");
    // All that was there goes while it is on its way.
    let mut number = RECORD_COUNT;
    while sequences(&ring).contains(&recovered.oldest_read) {
        store(&mut ring, &media(number, BODY_SIZE_MAX as usize));
        number += 1;
    }
    assert!(before.iter().all(|file| !sequences(&ring).contains(file)));
    assert!(!ring.on_older_read(&asked), "it has gone");
    assert_eq!((ring.unread_count(), read_next(&ring)), (0, None));

    let (mut ring, _) = {
        drop(ring);
        open_newest(&config)
    };
    let unread = ring.unread_count();
    let dropped = ring.resize(config.size / 12 * 9, BODY_SIZE_MAX).unwrap();
    assert!(!dropped.is_empty());
    assert_eq!(ring.unread_count(), unread - dropped.len(), "a smaller ring has fewer to read");
}

#[test]
fn a_file_that_was_not_sealed_is_once_it_has_been_read() {
    let dir = TempDir::new().unwrap();
    let config = config(dir.path(), 12);
    written(&config);
    let files = sequences(&open(&config, BOOT).0);
    let second = dir.path().join(format!("{:020}.ring", files[1]));
    let file = OpenOptions::new().write(true).open(second).unwrap();
    let footer = file.metadata().unwrap().len() - super::super::format::FOOTER_SIZE;
    file.write_all_at(&[0; 64], footer).unwrap();
    for is_sealed in [false, true] {
        let (mut ring, _) = open_newest(&config);
        while let Some(held) = read_next(&ring) {
            assert_eq!(held.is_sealed, is_sealed || held.file != files[1]);
            assert!(ring.on_older_read(&held));
        }
        ring.sync();
        assert!(ring.storage.flush(PATIENCE));
    }
}
