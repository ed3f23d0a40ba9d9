//! What a ring has done on storage threads: writing, syncing, sealing, making spares.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crossbeam::queue::ArrayQueue;

use crate::limits::RING_SPARE_REQUEST_MAX;
use crate::ring::file::RingFile;
use crate::ring::format::{
    BootId, FORMAT_VERSION, FileEnd, Head, Identity, Index, Stranded, Superblock,
};
use crate::ring::record::{Record, Stored, WriteError, write_record};
use crate::ring::recovery::read_for_index;
use crate::ring::storage::Desk;
use crate::ring::tenure::{Claim, Tenure};

/// Written to a spare, and synced, before a ring goes on after its disk has failed.
const PROBE_SIZE: usize = 1 << 20;

/// What a ring has in common with its jobs on storage threads.
pub struct Shared {
    /// Held until the last job has ended, and with it the right to write into the folder.
    pub claim: Arc<Claim>,
    /// The owner's; what it asks for is done while it lasts.
    pub tenure: Tenure,
    /// The ring's folder.
    pub folder: PathBuf,
    /// Who the ring is.
    pub identity: Identity,
    /// This start of the machine.
    pub boot: BootId,
    /// What the records' headers are.
    pub content_version: u32,
    /// Where records are synced that are reported only then.
    pub commits: Desk,
    /// Whether records are: see [`Durability`](crate::ring::Durability).
    pub is_strict: AtomicBool,
    /// A write or a sync has failed, and no probe has succeeded since.
    pub is_failing: AtomicBool,
    /// It failed for want of room.
    pub is_full: AtomicBool,
    /// A probe is on its way.
    pub is_probing: AtomicBool,
    /// Spares made, or why not, until the ring takes them.
    pub spares_made: ArrayQueue<std::io::Result<RingFile>>,
    /// Unlinked files without readers, to be closed.
    pub unread: ArrayQueue<Arc<RingFile>>,
    /// Bytes of records that wait to be written.
    pub queued_size: AtomicU64,
    /// Records that could not be written.
    pub write_failures: AtomicU64,
    /// Syncs of files, and microseconds that they took.
    pub syncs: AtomicU64,
    /// See [`syncs`](Self::syncs).
    pub sync_us: AtomicU64,
    /// Files that could not be synced.
    pub sync_failures: AtomicU64,
    /// Spares that could not be made.
    pub spare_failures: AtomicU64,
}

/// A write to be done.
pub struct Work {
    /// The file.
    pub file: Arc<RingFile>,
    /// What: one record, or several that count together or not at all.
    pub records: Vec<(Head, Record)>,
    /// Where it begins the file: what goes before it.
    pub opening: Option<Opening>,
}

/// What a file begins with.
pub struct Opening {
    /// Where the records of the file before it end.
    pub predecessor: Option<FileEnd>,
    /// Where the state record is.
    pub head: Head,
    /// The state record.
    pub state: Record,
}

impl Work {
    /// Where the first record begins.
    pub fn offset(&self) -> u64 {
        self.records.first().map_or(0, |(head, _)| head.offset)
    }

    /// Writes it, and gives the file up where that fails.
    pub fn write(&self, shared: &Shared) -> Result<Vec<Stored>, WriteError> {
        let (file, offset) = (self.file.sequence(), self.offset());
        if !shared.tenure.may_write() {
            return Err(WriteError::Stale { file, offset });
        }
        if self.file.is_broken() || !self.file.is_whole() {
            return Err(WriteError::Broken { file, offset });
        }
        let written = self.write_parts(shared).map_err(|error| {
            self.file.mark_broken();
            shared.write_failures.fetch_add(1, Ordering::Relaxed);
            shared.note_failure(&error);
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    WriteError::NoSpace { file, offset }
                }
                kind => WriteError::Io { file, offset, kind },
            }
        })?;
        // What is reported was in the file before the ring could be taken over.
        if shared.tenure.may_write() {
            Ok(written)
        } else {
            Err(WriteError::Stale { file, offset })
        }
    }

    fn write_parts(&self, shared: &Shared) -> std::io::Result<Vec<Stored>> {
        if let Some(Opening { predecessor, head, state }) = &self.opening {
            let superblock = Superblock {
                version: FORMAT_VERSION,
                content_version: shared.content_version,
                sequence: self.file.sequence(),
                size: self.file.size(),
                epoch: shared.tenure.epoch(),
                boot: shared.boot,
                predecessor: *predecessor,
            };
            self.file.write_at(0, &superblock.to_bytes(&shared.identity))?;
            write_record(&self.file, *head, state, &shared.identity)?;
        }
        let write = |(head, record): &(Head, Record)| {
            let stored = write_record(&self.file, *head, record, &shared.identity)?;
            if !self.file.is_own() {
                self.file.note_verdict(head.payload_offset(), true);
            }
            Ok(stored)
        };
        self.records.iter().map(write).collect()
    }
}

impl Shared {
    /// What the jobs of a ring need.
    pub fn new(
        claim: Arc<Claim>,
        tenure: Tenure,
        folder: PathBuf,
        identity: Identity,
        (boot, content_version): (BootId, u32),
        commits: Desk,
    ) -> Self {
        Self {
            claim,
            tenure,
            folder,
            identity,
            boot,
            content_version,
            commits,
            is_strict: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            is_probing: AtomicBool::new(false),
            spares_made: ArrayQueue::new(RING_SPARE_REQUEST_MAX),
            unread: ArrayQueue::new(RING_SPARE_REQUEST_MAX),
            queued_size: AtomicU64::new(0),
            write_failures: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            sync_us: AtomicU64::new(0),
            sync_failures: AtomicU64::new(0),
            spare_failures: AtomicU64::new(0),
        }
    }

    /// The disk has failed so: what is appended is refused until a probe succeeds.
    pub fn note_failure(&self, error: &std::io::Error) {
        let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        self.is_full.store(is_full, Ordering::Release);
        self.is_failing.store(true, Ordering::Release);
    }

    /// Puts a file on the disk; one for which that fails is broken.
    pub fn sync(&self, file: &RingFile) {
        let begun = Instant::now();
        match file.sync() {
            Ok(false) => {}
            Ok(true) => {
                let span = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.sync_us.fetch_add(span, Ordering::Relaxed);
                self.syncs.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.sync_failures.fetch_add(1, Ordering::Relaxed);
                self.note_failure(&error);
                self.strand(file);
            }
        }
    }

    /// Notes in a file that it could not be synced. In a strict ring nothing beyond what was synced
    /// has been reported, and it is to come again.
    fn strand(&self, file: &RingFile) {
        if !self.tenure.is_current() || !file.is_whole() {
            return;
        }
        let is_strict = self.is_strict.load(Ordering::Acquire);
        let kept_end = if is_strict { file.kept_end() } else { u64::MAX };
        let block = Stranded { boot: self.boot, kept_end };
        let block = block.to_bytes(file.sequence(), &self.identity);
        // It need not get to the disk, only to who opens the file while memory has it.
        if file.write_dispensable_at(file.footer_offset(), &block).is_err() {
            self.write_failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tries whether the disk takes writes again, on a spare, so that nothing is lost by it.
    pub fn probe(&self, spare: &RingFile) {
        let block = vec![0; PROBE_SIZE.min(usize::try_from(spare.size()).unwrap_or(PROBE_SIZE))];
        match spare.write_at(0, &block).and_then(|()| spare.sync()) {
            Ok(_) => self.is_failing.store(false, Ordering::Release),
            Err(error) => self.note_failure(&error),
        }
        self.is_probing.store(false, Ordering::Release);
    }

    /// Notes in the file that its records are on the disk, where they end and what they are.
    pub fn seal(&self, file: &RingFile, end: u64) {
        self.sync(file);
        if !self.tenure.is_current() || file.is_broken() || !file.is_whole() {
            return;
        }
        let mut index = read_for_index(file, &self.identity, end);
        if end + index.size() as u64 > file.footer_offset() {
            // A file of version 1 kept no room for it.
            index = Index::default();
        }
        let at = file.footer_offset() - index.size() as u64;
        let bytes = index.into_file_end(file.sequence(), end, &self.identity);
        if let Err(error) = file.write_dispensable_at(at, &bytes) {
            file.mark_broken();
            self.write_failures.fetch_add(1, Ordering::Relaxed);
            self.note_failure(&error);
        }
    }

    /// Takes the name of a file away that has left the ring.
    pub fn unlink(&self, file: &RingFile) {
        if self.tenure.is_current() {
            let _stays_until_the_next_open = file.unlink();
        }
    }

    /// Makes a file and puts it, or why there is none, where the ring finds it.
    pub fn make_spare(&self, sequence: u64, size: u64) {
        if !self.tenure.is_current() {
            return;
        }
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
