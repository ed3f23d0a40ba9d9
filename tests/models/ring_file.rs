//! The life of a ring file: a storage thread appends, the owner publishes, viewers send from it,
//! the ring drops it, and its space comes back once, with the last reader. Stands for `RingFile`
//! and what `Ring` does with it, in `src/ring`.

use crate::try_all;
use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// Where the space of files comes from.
#[derive(Default)]
struct Disk {
    freed: AtomicUsize,
}

struct File {
    disk: Arc<Disk>,
    /// Written once, by a storage thread.
    bytes: AtomicU64,
    writes_pending: AtomicUsize,
    /// Records written so far, and how many of them are on the disk.
    written: AtomicU64,
    synced: AtomicU64,
    broken: AtomicBool,
}

impl File {
    fn new(disk: &Arc<Disk>) -> Arc<Self> {
        Arc::new(Self {
            disk: Arc::clone(disk),
            bytes: AtomicU64::new(0),
            writes_pending: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        })
    }

    /// A write job: the bytes, then the count of what must be synced, then its end.
    fn write(&self, record: u64) {
        self.bytes.store(record, Ordering::Relaxed);
        self.written.fetch_add(1, Ordering::AcqRel);
        self.writes_pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// A sync job. Returns what is on the disk afterwards, where it succeeded.
    fn sync(&self, fails: bool) -> Option<u64> {
        let written = self.written.load(Ordering::Acquire);
        if self.broken.load(Ordering::Acquire) {
            return None;
        }
        if written != self.synced.load(Ordering::Acquire) {
            if fails {
                self.broken.store(true, Ordering::Release);
                return None;
            }
            let on_disk = self.bytes.load(Ordering::Relaxed);
            self.synced.store(written, Ordering::Release);
            assert!(on_disk >= written, "counted as on the disk, and not there");
        }
        Some(written)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.disk.freed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The snapshot that viewers load.
type Shown = Arc<Mutex<Option<Arc<File>>>>;

#[test]
fn a_reader_keeps_the_bytes_and_the_last_one_gives_the_space_back() {
    try_all(3, || {
        let disk = Arc::new(Disk::default());
        let shown: Shown = Arc::default();
        let file = File::new(&disk);
        file.writes_pending.store(1, Ordering::Relaxed);
        let storage = {
            let (file, shown) = (Arc::clone(&file), Arc::clone(&shown));
            thread::spawn(move || {
                file.write(7);
                *shown.lock().unwrap() = Some(file);
            })
        };
        let viewer = {
            let (shown, disk) = (Arc::clone(&shown), Arc::clone(&disk));
            thread::spawn(move || {
                let held = shown.lock().unwrap().clone();
                if let Some(held) = held {
                    thread::yield_now();
                    assert_eq!(held.bytes.load(Ordering::Relaxed), 7, "published before written");
                    assert_eq!(disk.freed.load(Ordering::Relaxed), 0, "sent from freed space");
                }
            })
        };
        // The ring drops the file: only once nothing is on its way into it.
        if file.writes_pending.load(Ordering::Acquire) == 0 {
            shown.lock().unwrap().take();
        }
        drop(file);
        storage.join().unwrap();
        viewer.join().unwrap();
        let left = shown.lock().unwrap().take();
        assert_eq!(disk.freed.load(Ordering::Relaxed), usize::from(left.is_none()));
        drop(left);
        assert_eq!(disk.freed.load(Ordering::Relaxed), 1, "its space comes back once");
    });
}

/// What a viewer has of a segment: the number of its file, and what he will find there.
#[derive(Clone, Copy)]
struct Extent {
    sequence: u64,
    content: u64,
}

#[test]
fn co_06_an_extent_that_outlives_its_file_meets_no_other_content() {
    try_all(3, || {
        let disk = Arc::new(Disk::default());
        // Files by number; numbers only rise. The snapshot is replaced whole.
        let shown = Arc::new(Mutex::new(Vec::<(u64, Arc<File>)>::new()));
        let published = Arc::new(Mutex::new(None));
        let owner = {
            let (shown, published) = (Arc::clone(&shown), Arc::clone(&published));
            thread::spawn(move || {
                for sequence in 1..=2 {
                    let file = File::new(&disk);
                    file.writes_pending.store(1, Ordering::Relaxed);
                    file.write(10 * sequence);
                    // The ring has room for one: the oldest leaves with the newest's coming.
                    *shown.lock().unwrap() = vec![(sequence, file)];
                    *published.lock().unwrap() = Some(Extent { sequence, content: 10 * sequence });
                }
            })
        };
        let known: Option<Extent> = *published.lock().unwrap();
        if let Some(extent) = known {
            let files = shown.lock().unwrap().clone();
            let found = files.binary_search_by_key(&extent.sequence, |(sequence, _)| *sequence);
            // Not found is a 404: the file has left the ring.
            if let Ok(at) = found {
                assert_eq!(files[at].1.bytes.load(Ordering::Relaxed), extent.content);
            }
        }
        owner.join().unwrap();
    });
}

#[test]
fn what_counts_as_synced_is_on_the_disk() {
    try_all(4, || {
        let file = File::new(&Arc::new(Disk::default()));
        file.writes_pending.store(2, Ordering::Relaxed);
        let storage = {
            let file = Arc::clone(&file);
            thread::spawn(move || {
                file.write(1);
                file.write(2);
            })
        };
        let _some = file.sync(false);
        storage.join().unwrap();
        assert_eq!(file.writes_pending.load(Ordering::Acquire), 0);
        assert_eq!(file.sync(false), Some(2), "the seal comes after all of it");
    });
}

#[test]
fn a_sync_that_failed_is_never_reported_done() {
    try_all(4, || {
        let file = File::new(&Arc::new(Disk::default()));
        file.writes_pending.store(1, Ordering::Relaxed);
        let storage = {
            let file = Arc::clone(&file);
            thread::spawn(move || file.write(1))
        };
        let first = file.sync(true);
        storage.join().unwrap();
        let second = file.sync(false);
        // The kernel has forgotten what it could not write: only a fresh file will do.
        assert!(first.is_some() || second.is_none(), "retried: {first:?}, {second:?}");
    });
}
