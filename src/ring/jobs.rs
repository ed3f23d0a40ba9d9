//! What a ring has done on storage threads: writing, syncing, sealing, making spares.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use crate::limits::RING_SPARE_REQUEST_MAX;
use crate::ring::file::RingFile;
use crate::ring::format::{BootId, Head, Identity, Superblock, footer_bytes};
use crate::ring::record::{Record, Stored, WriteError, write_record};

/// What a ring has in common with its jobs on storage threads.
pub struct Shared {
    /// Held until the last job has ended, and with it the right to write into the folder.
    _lock: File,
    /// The ring's folder.
    pub folder: PathBuf,
    /// Who the ring is.
    pub identity: Identity,
    /// The owner's, as noted in every record.
    pub epoch: u64,
    /// This start of the machine.
    pub boot: BootId,
    /// Spares made, or why not, until the ring takes them.
    pub spares_made: ArrayQueue<std::io::Result<RingFile>>,
    /// Unlinked files without readers, to be closed.
    pub unread: ArrayQueue<Arc<RingFile>>,
    /// Bytes of records that wait to be written.
    pub queued_size: AtomicU64,
    /// Records that could not be written.
    pub write_failures: AtomicU64,
    /// Files that could not be synced.
    pub sync_failures: AtomicU64,
    /// Spares that could not be made.
    pub spare_failures: AtomicU64,
}

/// A write to be done.
pub struct Work {
    /// The file.
    pub file: Arc<RingFile>,
    /// Where in it.
    pub head: Head,
    /// What.
    pub record: Record,
    /// Where it begins the file: the state record that goes before it.
    pub opening: Option<(Head, Record)>,
}

impl Work {
    /// Writes it, and gives the file up where that fails.
    pub fn write(&self, shared: &Shared) -> Result<Stored, WriteError> {
        let (file, offset) = (self.file.sequence(), self.head.offset);
        if self.file.is_broken() || !self.file.is_whole() {
            return Err(WriteError::Broken { file, offset });
        }
        self.write_parts(shared).map_err(|error| {
            self.file.mark_broken();
            shared.write_failures.fetch_add(1, Ordering::Relaxed);
            match error.kind() {
                ErrorKind::StorageFull => WriteError::NoSpace { file, offset },
                kind => WriteError::Io { file, offset, kind },
            }
        })
    }

    fn write_parts(&self, shared: &Shared) -> std::io::Result<Stored> {
        if let Some((head, state)) = &self.opening {
            let superblock = Superblock {
                sequence: self.file.sequence(),
                size: self.file.size(),
                epoch: shared.epoch,
                boot: shared.boot,
            };
            self.file.write_at(0, &superblock.to_bytes(&shared.identity))?;
            write_record(&self.file, *head, state, &shared.identity)?;
        }
        write_record(&self.file, self.head, &self.record, &shared.identity)
    }
}

impl Shared {
    /// What the jobs of a ring need.
    pub fn new(lock: File, folder: PathBuf, identity: Identity, epoch: u64, boot: BootId) -> Self {
        Self {
            _lock: lock,
            folder,
            identity,
            epoch,
            boot,
            spares_made: ArrayQueue::new(RING_SPARE_REQUEST_MAX),
            unread: ArrayQueue::new(RING_SPARE_REQUEST_MAX),
            queued_size: AtomicU64::new(0),
            write_failures: AtomicU64::new(0),
            sync_failures: AtomicU64::new(0),
            spare_failures: AtomicU64::new(0),
        }
    }

    /// Puts a file on the disk; one for which that fails is broken.
    pub fn sync(&self, file: &RingFile) {
        if file.sync().is_err() {
            self.sync_failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes in the file that its records are on the disk and where they end.
    pub fn seal(&self, file: &RingFile, end: u64) {
        self.sync(file);
        if file.is_broken() || !file.is_whole() {
            return;
        }
        let footer = footer_bytes(file.sequence(), end, &self.identity);
        if file.write_at(file.footer_offset(), &footer).is_err() {
            file.mark_broken();
            self.write_failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes a file and puts it, or why there is none, where the ring finds it.
    pub fn make_spare(&self, sequence: u64, size: u64) {
        let made = RingFile::create(&self.folder, sequence, size)
            .and_then(|file| sync_folder(&self.folder).map(|()| file));
        if made.is_err() {
            self.spare_failures.fetch_add(1, Ordering::Relaxed);
        }
        let kept = self.spares_made.push(made);
        assert!(kept.is_ok(), "no more spares are asked for than there is room to give back");
    }
}

/// Makes sure that names made in a folder outlast a power cut.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
