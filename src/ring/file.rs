//! One file of a ring, as its readers and the storage threads see it.
//!
//! Whoever plans to send from a file holds its `Arc`; the descriptor closes with the last one,
//! and only then does the disk get an unlinked file's space back.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::ring::format::{Content, FOOTER_SIZE};
use crate::ring::map::PageMap;
#[cfg(test)]
use crate::ring::script::{self, Step};
use crate::ring::sys;
use crate::units::ContentHash;

use xxhash_rust::xxh3::Xxh3;

/// What stat(2) counts blocks in.
const ALLOCATION_UNIT: u64 = 512;

/// Read from at once by [`RingFile::warm`]: what one job brings in before the next has its turn.
const WARM_PIECE: usize = 128 << 10;

/// A file whose published bytes never change.
#[derive(Debug)]
pub struct RingFile {
    sequence: u64,
    size: u64,
    path: PathBuf,
    file: File,
    pages: OnceLock<Option<PageMap>>,
    lost: AtomicBool,
    /// Begun by this process.
    is_own: bool,
    wanted_back: AtomicBool,
    broken: AtomicBool,
    /// Bytes written by this process, and how many of them are known to be on the disk.
    written: AtomicU64,
    synced: AtomicU64,
    /// Where what was written ends, and where what is known to be on the disk does, in bytes.
    written_end: AtomicU64,
    synced_end: AtomicU64,
    /// Held while syncing: the kernel tells of a failure once, and one of two who sync at a time
    /// would be told of success.
    syncing: Mutex<()>,
    writes_pending: AtomicU32,
    /// What reading a record, by its payload's offset, came to: whether it is as it was written.
    verdicts: Mutex<BTreeMap<u64, bool>>,
    unsound_count: AtomicUsize,
}

impl RingFile {
    /// The name of a file in its ring's folder.
    pub(super) fn name(sequence: u64) -> String {
        format!("{sequence:020}.ring")
    }

    /// The number of a file with this name; `None` where it isn't a ring file's.
    pub(super) fn sequence_of(name: &str) -> Option<u64> {
        let sequence = name.strip_suffix(".ring")?.parse().ok()?;
        (Self::name(sequence) == name).then_some(sequence)
    }

    /// Makes a blank file of `size` bytes, all of them allocated on the disk.
    pub(super) fn create(folder: &Path, sequence: u64, size: u64) -> Result<Self> {
        let path = folder.join(Self::name(sequence));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        if let Err(error) = sys::allocate(&file, size) {
            std::fs::remove_file(&path)?;
            return Err(error);
        }
        #[cfg(test)]
        script::on_step(&path, |name| Step::Made(name, size));
        Ok(Self { is_own: true, ..Self::new(file, path, sequence, size) })
    }

    /// Makes a spare of an earlier process one of ours, under a number of its own: whatever a power
    /// cut left in it is of another file then. `None` where it is not of `size` bytes, all of them
    /// allocated.
    pub(super) fn reuse(
        old: &Path,
        folder: &Path,
        sequence: u64,
        size: u64,
    ) -> Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(old)?;
        let metadata = file.metadata()?;
        if metadata.len() != size || metadata.blocks() * ALLOCATION_UNIT < size {
            return Ok(None);
        }
        let path = folder.join(Self::name(sequence));
        std::fs::rename(old, &path)?;
        Ok(Some(Self { is_own: true, ..Self::new(file, path, sequence, size) }))
    }

    /// Where from `offset` on the file has been written to next, as far as the filesystem tells.
    pub(super) fn next_data(&self, offset: u64) -> Option<u64> {
        sys::next_data(&self.file, offset).unwrap_or(Some(offset))
    }

    pub(super) fn new(file: File, path: PathBuf, sequence: u64, size: u64) -> Self {
        // A hint: where it isn't taken, neighbours come in with what is read.
        let _hint = sys::expect_no_order(&file);
        Self {
            sequence,
            size,
            path,
            file,
            pages: OnceLock::new(),
            lost: AtomicBool::new(false),
            is_own: false,
            wanted_back: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            written_end: AtomicU64::new(0),
            synced_end: AtomicU64::new(0),
            syncing: Mutex::default(),
            writes_pending: AtomicU32::new(0),
            verdicts: Mutex::default(),
            unsound_count: AtomicUsize::new(0),
        }
    }

    /// Number of the file in its ring; rises, and is never used again.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Bytes allocated.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The descriptor to send from; valid as long as this file is held.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// True where all of a range is in the page cache, so that reading or sending it doesn't wait
    /// for the disk. Costs about 30 µs for 2 MiB.
    #[must_use]
    pub fn is_resident(&self, offset: u64, size: usize) -> bool {
        self.pages().is_some_and(|pages| pages.is_resident(offset, size))
    }

    /// True where the first and the last page of a range are in the page cache. The kernel lets go
    /// of pages in the order in which they were written and read: where a range was just written,
    /// that is the whole of it. Costs 2 µs.
    #[must_use]
    pub fn has_resident_ends(&self, offset: u64, size: usize) -> bool {
        let last = u64::try_from(size).map_or(u64::MAX, |size| offset + size.saturating_sub(1));
        self.is_resident(offset, 1) && self.is_resident(last, 1)
    }

    /// A range through the file's mapping, for storage threads: reading it may wait for the disk.
    /// What was made from it is worthless where the file [is lost](Self::is_lost) afterwards.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedEof`] for a range outside the file, [`ErrorKind::OutOfMemory`] where
    /// it cannot be mapped.
    pub fn bytes(&self, offset: u64, size: usize) -> Result<&[u8]> {
        let pages = self.pages().ok_or(ErrorKind::OutOfMemory)?;
        Ok(pages.bytes(offset, size).ok_or(ErrorKind::UnexpectedEof)?)
    }

    /// The mapping, made when first asked for.
    fn pages(&self) -> Option<&PageMap> {
        let map = || PageMap::new(&self.file, usize::try_from(self.size).ok()?).ok();
        self.pages.get_or_init(map).as_ref()
    }

    /// Fills `buffer` from `offset`; may wait for the disk.
    ///
    /// # Errors
    ///
    /// What the kernel says; the file then counts as [lost](Self::is_lost).
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).inspect_err(|_| self.mark_lost())
    }

    /// Reads from `offset` on what there is, up to the size of `buffer`: bytes read. May wait for
    /// the disk.
    pub(super) fn read_up_to(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.file.read_at(buffer, offset).inspect_err(|_| self.mark_lost())
    }

    /// Reads what the page cache holds from `offset` on, never waiting for the disk: bytes read,
    /// at least one unless `buffer` is empty. Of a cold range the kernel begins to read the first
    /// page: ask whether it [is resident](Self::is_resident) where that matters.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] where the range is cold and must be [warmed](Self::warm) or
    /// [read](Self::read_at) on a storage thread; [`ErrorKind::UnexpectedEof`] where a stranger
    /// has truncated the file; else what the kernel says.
    pub fn read_cached_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match sys::read_cached(&self.file, offset, buffer) {
            Ok(0) if !buffer.is_empty() => {
                self.mark_lost();
                Err(ErrorKind::UnexpectedEof.into())
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Err(ErrorKind::WouldBlock.into())
            }
            other => other,
        }
    }

    /// Brings a record into the page cache and waits for it: a job for a storage thread. Where it
    /// cannot be read, or isn't what was written, it is [unsound](Self::is_unsound) from now on.
    pub fn warm(&self, content: &Content) {
        let Content { table, payload, hash } = content;
        let mut hasher = Xxh3::new();
        let mut buffer = vec![0; WARM_PIECE];
        let read = [table, payload].into_iter().try_for_each(|part| {
            // Only a hint: what it doesn't bring in, the reads below do.
            let _hint = sys::read_ahead(&self.file, part.offset, part.size as usize);
            let mut at = part.offset;
            let mut left = part.size as usize;
            while left > 0 {
                let piece = &mut buffer[..left.min(WARM_PIECE)];
                self.file.read_exact_at(piece, at)?;
                hasher.update(piece);
                at += piece.len() as u64;
                left -= piece.len();
            }
            Result::Ok(())
        });
        let is_sound = read.is_ok() && ContentHash::from_hasher(&hasher).low() == *hash;
        self.note_verdict(payload.offset, is_sound);
    }

    /// True where the record whose payload begins at `offset` was found not to be what was
    /// written: it is not to be sent.
    #[must_use]
    pub fn is_unsound(&self, offset: u64) -> bool {
        self.unsound_count() > 0 && self.verdict(offset) == Some(false)
    }

    /// True where the record needs no look before it is sent from the page cache: this process has
    /// written it, or has found it to be what was written. Never in a broken file: what the page
    /// cache lets go of it comes back from the disk otherwise.
    #[must_use]
    pub fn is_known(&self, offset: u64) -> bool {
        !self.is_broken() && (self.is_own || self.verdict(offset).is_some())
    }

    fn verdict(&self, offset: u64) -> Option<bool> {
        self.verdicts().get(&offset).copied()
    }

    /// Notes what reading a record, or writing it, came to. A bad one stays bad.
    pub fn note_verdict(&self, offset: u64, is_sound: bool) {
        let mut verdicts = self.verdicts();
        let before = verdicts.get(&offset).copied();
        if before != Some(false) && !is_sound {
            self.unsound_count.fetch_add(1, Ordering::AcqRel);
        }
        if before.is_none() || !is_sound {
            verdicts.insert(offset, is_sound);
        }
    }

    /// Records found unsound so far.
    #[must_use]
    pub fn unsound_count(&self) -> usize {
        self.unsound_count.load(Ordering::Acquire)
    }

    fn verdicts(&self) -> MutexGuard<'_, BTreeMap<u64, bool>> {
        // Nothing that can panic runs under the lock.
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True once a read failed: the disk is failing, or a stranger truncated the file.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let mapped = self.pages.get().and_then(Option::as_ref);
        self.lost.load(Ordering::Relaxed) || mapped.is_some_and(PageMap::is_lost)
    }

    /// Marks the file lost, as who sends from it does when the kernel reports an error or an end.
    pub fn mark_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// True where this process has written all of the file's records, so that the newest of them
    /// are in the page cache, and will be on the disk as well.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.is_own && !self.is_broken()
    }

    /// True where the file has left the ring and its space is needed now: who still sends from it
    /// closes the connection.
    #[must_use]
    pub fn is_wanted_back(&self) -> bool {
        self.wanted_back.load(Ordering::Relaxed)
    }

    pub(super) fn want_back(&self) {
        self.wanted_back.store(true, Ordering::Relaxed);
    }

    /// True once a write or a sync failed: nothing is appended any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn mark_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    pub(super) fn has_pending_writes(&self) -> bool {
        self.writes_pending.load(Ordering::Acquire) > 0
    }

    pub(super) fn begin_write(&self) {
        self.writes_pending.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn end_write(&self) {
        let pending = self.writes_pending.fetch_sub(1, Ordering::AcqRel);
        assert!(pending > 0, "a write ended that had not begun");
    }

    /// Where the footer is; records end before it.
    pub(super) fn footer_offset(&self) -> u64 {
        self.size - FOOTER_SIZE
    }

    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.write_dispensable_at(offset, bytes)?;
        self.written_end.fetch_max(offset + bytes.len() as u64, Ordering::AcqRel);
        self.written.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        Ok(())
    }

    /// Writes what need not get to the disk: it repeats what is there.
    pub(super) fn write_dispensable_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset)?;
        #[cfg(test)]
        script::on_step(&self.path, |name| Step::Written(name, offset, bytes.to_vec()));
        Ok(())
    }

    /// Puts what was written on the disk. Returns whether there was anything to put there.
    ///
    /// A failed sync is never tried again: the kernel has marked the pages clean, and a second
    /// one would report success. The file is broken instead.
    pub(super) fn sync(&self) -> Result<bool> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (written, end) = (self.written_size(), self.written_end.load(Ordering::Acquire));
        if self.is_broken() || self.is_synced(written) {
            return Ok(false);
        }
        self.sync_data().inspect_err(|_| self.mark_broken())?;
        self.synced_end.store(end, Ordering::Release);
        self.synced.store(written, Ordering::Release);
        Ok(true)
    }

    #[cfg(not(test))]
    fn sync_data(&self) -> Result<()> {
        self.file.sync_data()
    }

    #[cfg(test)]
    fn sync_data(&self) -> Result<()> {
        script::on_sync(&self.path)?;
        self.file.sync_data().inspect(|()| script::on_step(&self.path, Step::Synced))
    }

    /// Bytes written so far: a mark for [`is_synced`](Self::is_synced).
    pub(super) fn written_size(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// True where all that was written when the mark was taken is on the disk.
    pub(super) fn is_synced(&self, mark: u64) -> bool {
        self.synced.load(Ordering::Acquire) >= mark
    }

    /// What an earlier run wrote, up to `end`, may not be on the disk. It may have been reported
    /// all the same.
    pub(super) fn mark_unsynced(&self, end: u64) {
        self.written.fetch_add(end, Ordering::AcqRel);
        self.synced_end.fetch_max(end, Ordering::AcqRel);
    }

    /// Where the records end that are on the disk, or that an earlier run had reported as written.
    pub(super) fn kept_end(&self) -> u64 {
        self.synced_end.load(Ordering::Acquire)
    }

    /// Bytes written that may not be on the disk.
    pub(super) fn unsynced_size(&self) -> u64 {
        self.written_size().saturating_sub(self.synced.load(Ordering::Acquire))
    }

    /// Takes the name away; the bytes stay for as long as the file is held.
    pub(super) fn unlink(&self) -> Result<()> {
        #[cfg(test)]
        script::on_step(&self.path, Step::Unlinked);
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// False where a stranger has truncated the file: to write to it would make it long again, with
    /// zeros for what was in it.
    pub(super) fn is_whole(&self) -> bool {
        let is_whole = self.file.metadata().is_ok_and(|metadata| metadata.len() >= self.size);
        if !is_whole {
            self.mark_broken();
            self.mark_lost();
        }
        is_whole
    }
}
