//! A channel's ring: which file is appended to, which ones are spare, which one goes next.
//!
//! Everything here runs on the channel's shard and never waits: places are computed, and the
//! writing, syncing, making and unlinking of files is given to [`Storage`].
//!
//! The ring's size is what all its files take together: those with records, spares, and unlinked
//! ones that still have readers.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::limits::{RING_QUEUED_SIZE_MAX, RING_SPARE_REQUEST_MAX};
use crate::ring::commit::Durability;
use crate::ring::error::Refused;
use crate::ring::file::RingFile;
use crate::ring::format::{FOOTER_SIZE, FileEnd, Head, Index, SUPERBLOCK_SIZE};
use crate::ring::jobs::{Opening, Shared, Work};
use crate::ring::layout::{FileLayout, LayoutError, plan_files};
use crate::ring::record::{Location, Record, Stored, WriteError};
use crate::ring::recovery::FoundFile;
use crate::ring::storage::Storage;
use crate::ring::tenure::Tenure;

/// Doublings of the span between two probes of a disk that fails: 64 sync intervals at most.
const PROBE_DOUBLINGS_MAX: u32 = 6;

/// Where a ring is and how large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Its folder, made where missing; nothing else should be in it.
    pub dir: PathBuf,
    /// Bytes of all its files together.
    pub size: u64,
    /// Bytes of the largest body that will be appended.
    pub body_size_max: u64,
    /// What the records' headers are: who appends counts it up where who came before cannot read
    /// them. Files of a larger number are refused.
    pub content_version: u32,
    /// When a record is reported as written.
    pub durability: Durability,
}

/// Where a record will be, or each one of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<L = Location> {
    /// Where its parts will be once it is stored.
    pub location: L,
    /// The file that was begun for it.
    pub began_file: Option<u64>,
    /// Files that left the ring to make room, oldest first.
    pub dropped_files: Vec<u64>,
}

/// How full a ring is and how it fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Bytes of records and their overhead.
    pub bytes_used: u64,
    /// Bytes of the ring as configured.
    pub bytes_total: u64,
    /// Files with records.
    pub files: usize,
    /// Files ready to be begun.
    pub spares: usize,
    /// Files that have left the ring and still have readers.
    pub lingering_files: usize,
    /// Bytes that wait to be written, and in a strict ring to be synced.
    pub queued_bytes: u64,
    /// Bytes written that may not be on the disk: what a power cut would cost.
    pub unsynced_bytes: u64,
    /// Those of them in files that could not be written or synced: they never will be on the disk.
    pub stranded_bytes: u64,
    /// Records that could not be written, since the ring was opened.
    pub write_failures: u64,
    /// True while the disk fails to take writes.
    pub is_failing: bool,
    /// Syncs of files since the ring was opened, and microseconds that they took.
    pub syncs: u64,
    /// See [`syncs`](Self::syncs).
    pub sync_us: u64,
    /// Files that could not be synced, since the ring was opened.
    pub sync_failures: u64,
    /// Spares that could not be made, since the ring was opened.
    pub spare_failures: u64,
    /// Writes of earlier owners that were refused, since the process began.
    pub stale_writes: u64,
}

/// A file and where its records end.
pub(super) struct LiveFile {
    pub(super) file: Arc<RingFile>,
    pub(super) end: u64,
    /// Bytes that its index will take.
    pub(super) index_size: u64,
}

impl LiveFile {
    /// A file whose records are still to be read; as a rule it is full.
    pub(super) fn unread(found: &FoundFile) -> Self {
        let file = Arc::clone(&found.file);
        let end = found.end.unwrap_or(file.size());
        Self { file, end, index_size: 0 }
    }
}

/// A channel's ring, owned by the channel's shard.
pub struct Ring {
    pub(super) storage: Arc<Storage>,
    pub(super) shared: Arc<Shared>,
    pub(super) layout: FileLayout,
    /// Files with records, oldest first.
    pub(super) live: VecDeque<LiveFile>,
    /// Whether the newest of them is appended to. One that an earlier process left is, where it is
    /// sound: that process is dead, or the ring's lock would not be ours.
    pub(super) is_begun: bool,
    pub(super) snapshot: Arc<[Arc<RingFile>]>,
    pub(super) spares: VecDeque<Arc<RingFile>>,
    pub(super) spares_asked: usize,
    pub(super) disk_is_full: bool,
    /// Failures of the disk since a file was last filled, and syncs to come before the next probe.
    pub(super) failures: u32,
    pub(super) syncs_before_probe: u32,
    pub(super) next_sequence: u64,
    /// Full files, not yet given to be sealed.
    pub(super) unsealed: VecDeque<LiveFile>,
    /// Dropped files, not yet given to be unlinked.
    pub(super) dropped: VecDeque<Arc<RingFile>>,
    /// Unlinked files that may still have readers. Ours is the last reference, see
    /// [`Ring::close_unread`].
    pub(super) lingering: Vec<Arc<RingFile>>,
    /// Files that have not been read since the ring was opened, oldest first.
    pub(super) unread: VecDeque<FoundFile>,
}

impl Ring {
    /// Gives a record its place and queues the write; never waits.
    ///
    /// `done` is called on a storage thread when the record is in its file, with its trailer, and
    /// in a [strict](Durability::Strict) ring on the disk.
    /// Where the record begins a new file, what `state` returns is written before it, as that
    /// file's first record.
    ///
    /// # Errors
    ///
    /// See [`Refused`]; `done` is dropped and the ring is as before.
    pub fn append(
        &mut self,
        record: Record,
        state: impl FnOnce() -> Vec<u8>,
        done: impl FnOnce(Result<Stored, WriteError>) + Send + 'static,
    ) -> Result<Placed, Refused> {
        let first = |stored: Vec<Stored>| *stored.first().expect("one for each record");
        let placed =
            self.append_group(vec![record], state, move |stored| done(stored.map(first)))?;
        let Placed { location, began_file, dropped_files } = placed;
        let location = *location.first().expect("one for each record");
        Ok(Placed { location, began_file, dropped_files })
    }

    /// The same for records that count together or not at all, also after a crash: at least one.
    ///
    /// # Errors
    ///
    /// See [`Refused`]; `done` is dropped and the ring is as before.
    pub fn append_group(
        &mut self,
        records: Vec<Record>,
        state: impl FnOnce() -> Vec<u8>,
        done: impl FnOnce(Result<Vec<Stored>, WriteError>) + Send + 'static,
    ) -> Result<Placed<Vec<Location>>, Refused> {
        assert!(!records.is_empty(), "a group has records");
        self.keep_up();
        if !self.shared.tenure.is_current() {
            return Err(Refused::Stale);
        }
        let size = records.iter().map(Record::size).sum();
        if !self.can_hold(&records) {
            return Err(Refused::TooLarge { size, file_size: self.layout.file_size });
        }
        if self.shared.is_failing.load(Ordering::Acquire) {
            let is_full = self.shared.is_full.load(Ordering::Acquire);
            return Err(if is_full { Refused::NoSpace } else { Refused::Failing });
        }
        let queued = self.shared.queued_size.load(Ordering::Acquire);
        if queued > 0 && queued + size > RING_QUEUED_SIZE_MAX {
            return Err(Refused::Busy);
        }
        let (work, begun) = match self.place_in_newest(records) {
            Ok(work) => (work, None),
            Err(records) => {
                let work = self.place_in_spare(records, state)?;
                let state_size = work.opening.as_ref().map_or(0, |begun| begun.state.header.len());
                (work, Some(Index::entry_size(state_size)))
            }
        };
        let file = Arc::clone(&work.file);
        let heads: Vec<Head> = work.records.iter().map(|(head, _)| *head).collect();
        self.give(work, size, done)?;
        let end = heads.last().map_or(0, Head::end);
        let index_sizes = heads.iter().map(|head| Index::entry_size(head.header_size as usize));
        let index_size: u64 = index_sizes.sum();
        let location = heads.iter().map(Location::from).collect();
        let Some(state_entry) = begun else {
            let newest = self.live.back_mut().expect("the newest file was written to");
            newest.end = end;
            newest.index_size += index_size;
            return Ok(Placed { location, began_file: None, dropped_files: Vec::new() });
        };
        let began_file = Some(file.sequence());
        let index_size = state_entry + index_size;
        let dropped_files = self.begin_file(LiveFile { file, end, index_size });
        Ok(Placed { location, began_file, dropped_files })
    }

    /// Queues a write of `size` bytes.
    fn give(
        &self,
        work: Work,
        size: u64,
        done: impl FnOnce(Result<Vec<Stored>, WriteError>) + Send + 'static,
    ) -> Result<(), Refused> {
        let (file, shared) = (Arc::clone(&work.file), Arc::clone(&self.shared));
        file.begin_write();
        shared.queued_size.fetch_add(size, Ordering::AcqRel);
        let job = Box::new(move || {
            let (file, of_done) = (Arc::clone(&work.file), Arc::clone(&shared));
            shared.write(&work, move |result| {
                file.end_write();
                of_done.queued_size.fetch_sub(size, Ordering::AcqRel);
                done(result);
            });
        });
        self.storage.write(self.number(), job).map_err(|_| {
            file.end_write();
            self.shared.queued_size.fetch_sub(size, Ordering::AcqRel);
            Refused::Busy
        })
    }

    /// The heads of records that lie one behind the other from `offset` on, and what they take of
    /// a file, their part of the index included; `None` where a part is larger than is allowed.
    fn heads_at(&self, records: &[Record], sequence: u64, offset: u64) -> Option<(Vec<Head>, u64)> {
        let (mut at, mut size) = (offset, 0);
        let mut heads = Vec::with_capacity(records.len());
        for (record, following) in records.iter().zip((0..records.len()).rev()) {
            let following = u8::try_from(following).ok()?;
            let head = record.head_at(sequence, at, self.epoch(), following)?;
            size += head.end() - at + Index::entry_size(record.header.len());
            at = head.end();
            heads.push(head);
        }
        Some((heads, size))
    }

    /// Has the next record begin a file, so that what lies before it doesn't matter any more.
    pub fn begin_file_next(&mut self) {
        if std::mem::take(&mut self.is_begun)
            && let Some(LiveFile { file, end, index_size }) = self.live.back()
        {
            let (file, end, index_size) = (Arc::clone(file), *end, *index_size);
            self.unsealed.push_back(LiveFile { file, end, index_size });
        }
    }

    /// True where a file with nothing else in it has room for the records.
    fn can_hold(&self, records: &[Record]) -> bool {
        let room = self.layout.file_size - FOOTER_SIZE - SUPERBLOCK_SIZE;
        self.heads_at(records, 0, SUPERBLOCK_SIZE).is_some_and(|(_, size)| size <= room)
    }

    /// Places the records in the newest file, or gives them back.
    fn place_in_newest(&self, records: Vec<Record>) -> Result<Work, Vec<Record>> {
        let newest = self.live.back().filter(|newest| self.is_begun && !newest.file.is_broken());
        let Some(LiveFile { file, end, index_size }) = newest else { return Err(records) };
        match self.heads_at(&records, file.sequence(), *end) {
            Some((heads, size)) if end + index_size + size <= file.footer_offset() => {
                let records = heads.into_iter().zip(records).collect();
                Ok(Work { file: Arc::clone(file), records, opening: None })
            }
            _ => Err(records),
        }
    }

    fn place_in_spare(
        &self,
        records: Vec<Record>,
        state: impl FnOnce() -> Vec<u8>,
    ) -> Result<Work, Refused> {
        let size = records.iter().map(Record::size).sum();
        let too_large = Refused::TooLarge { size, file_size: self.layout.file_size };
        let none_ready = if self.disk_is_full { Refused::NoSpace } else { Refused::Busy };
        let spare = self.spares.front().ok_or(none_ready)?;
        if self.would_drop_unwritten(spare.size()) {
            return Err(Refused::Busy);
        }
        let sequence = spare.sequence();
        let state = Record::state(state());
        let state_head =
            state.head_at(sequence, SUPERBLOCK_SIZE, self.epoch(), 0).ok_or(too_large)?;
        let begin = state_head.end() + Index::entry_size(state.header.len());
        let (heads, size) = self.heads_at(&records, sequence, state_head.end()).ok_or(too_large)?;
        if begin + size > spare.footer_offset() {
            return Err(too_large);
        }
        let newest = self.live.back();
        let predecessor =
            newest.map(|newest| FileEnd { sequence: newest.file.sequence(), end: newest.end });
        let records = heads.into_iter().zip(records).collect();
        let opening = Some(Opening { predecessor, head: state_head, state });
        Ok(Work { file: Arc::clone(spare), records, opening })
    }

    /// True where making room for a file would drop one whose records aren't written yet.
    fn would_drop_unwritten(&self, size: u64) -> bool {
        let mut excess = (self.live_size() + size).saturating_sub(self.layout.live_size());
        self.live.iter().any(|oldest| {
            let goes = excess > 0;
            excess = excess.saturating_sub(oldest.file.size());
            goes && oldest.file.has_pending_writes()
        })
    }

    /// The first spare has become the newest file.
    fn begin_file(&mut self, begun: LiveFile) -> Vec<u64> {
        let spare = self.spares.pop_front();
        assert_eq!(spare.map(|file| file.sequence()), Some(begun.file.sequence()));
        if self.live.back().is_some_and(|full| !full.file.is_broken()) {
            self.failures = 0;
        }
        self.begin_file_next();
        self.live.push_back(begun);
        self.is_begun = true;
        let dropped = self.drop_excess();
        self.publish_files();
        self.keep_up();
        dropped
    }

    /// Drops the oldest files until the others leave room for the spares.
    fn drop_excess(&mut self) -> Vec<u64> {
        let mut sequences = Vec::new();
        while self.live.len() > 1 && self.live_size() > self.layout.live_size() {
            if let Some(oldest) = self.live.pop_front() {
                sequences.push(oldest.file.sequence());
                self.unsealed.retain(|full| full.file.sequence() != oldest.file.sequence());
                self.unread.retain(|unread| unread.file.sequence() != oldest.file.sequence());
                self.dropped.push_back(oldest.file);
            }
        }
        sequences
    }

    /// Syncs what was appended, on a storage thread, and looks after spares: to be called every
    /// sync interval. A file that can't be synced is given up for a fresh one, and counted, once a
    /// spare could be written and synced.
    pub fn sync(&mut self) {
        self.keep_up();
        if self.shared.is_failing.load(Ordering::Acquire) {
            self.probe();
        }
        let newest = self.live.back().filter(|newest| newest.file.unsynced_size() > 0);
        let Some(newest) = newest.filter(|newest| !newest.file.is_broken()) else { return };
        let (file, shared) = (Arc::clone(&newest.file), Arc::clone(&self.shared));
        // Where the queue is full, an earlier sync is still in it.
        let _queue_full = self.storage.keep_up(self.number(), Box::new(move || shared.sync(&file)));
    }

    /// Has what is appended from now on reported when it is so durable.
    pub fn set_durability(&self, durability: Durability) {
        self.shared.is_strict.store(durability == Durability::Strict, Ordering::Release);
    }

    /// Syncs what the ring was opened with. A strict ring's records count as kept from then on,
    /// whoever has written them, so that it waits for the disk.
    pub(super) fn sync_recovered(&self) {
        let is_strict = self.shared.is_strict.load(Ordering::Acquire);
        for live in self.live.iter().filter(|live| live.file.unsynced_size() > 0) {
            let (file, shared) = (Arc::clone(&live.file), Arc::clone(&self.shared));
            if is_strict {
                shared.sync(&file);
            } else {
                // Where the queue is full, it is synced when it is sealed.
                let job = Box::new(move || shared.sync(&file));
                let _queue_full = self.storage.keep_up(self.number(), job);
            }
        }
    }

    /// Tries the disk on a spare, more and more seldom where it goes on failing: each failure that
    /// a probe doesn't foresee costs a file.
    fn probe(&mut self) {
        let Some(spare) = self.spares.front().filter(|spare| !spare.is_broken()) else { return };
        if self.syncs_before_probe > 0 {
            self.syncs_before_probe -= 1;
            return;
        }
        if self.shared.is_probing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (spare, shared) = (Arc::clone(spare), Arc::clone(&self.shared));
        let job = Box::new(move || shared.probe(&spare));
        if self.storage.keep_up(self.number(), job).is_err() {
            self.shared.is_probing.store(false, Ordering::Release);
            return;
        }
        self.syncs_before_probe = (1 << self.failures) - 1;
        self.failures = (self.failures + 1).min(PROBE_DOUBLINGS_MAX);
    }

    /// Changes the ring's size by whole files, and the size of those to come to what bodies of
    /// `body_size_max` bytes need. Returns the numbers of files dropped, oldest first.
    ///
    /// # Errors
    ///
    /// If the size is too small for such bodies; all then stays as it is.
    pub fn resize(&mut self, size: u64, body_size_max: u64) -> Result<Vec<u64>, LayoutError> {
        self.layout = plan_files(size, body_size_max)?;
        let dropped = self.drop_excess();
        let file_size = self.layout.file_size;
        let (fitting, others) = self.spares.drain(..).partition(|spare| spare.size() == file_size);
        self.spares = fitting;
        let others: VecDeque<_> = others;
        self.dropped.extend(others);
        while self.live_size() + self.spare_size() > self.layout.size() {
            let Some(spare) = self.spares.pop_back() else { break };
            self.dropped.push_back(spare);
        }
        self.publish_files();
        self.keep_up();
        Ok(dropped)
    }

    /// How much of the ring has been found lost: whole files, and single records.
    #[must_use]
    pub fn loss_count(&self) -> usize {
        let lost = self.live.iter().map(|live| &live.file);
        lost.map(|file| usize::from(file.is_lost()) + file.unsound_count()).sum()
    }

    /// The file of a number, unless it has left the ring.
    #[must_use]
    pub fn file(&self, sequence: u64) -> Option<Arc<RingFile>> {
        let index = self.snapshot.binary_search_by_key(&sequence, |file| file.sequence()).ok()?;
        Some(Arc::clone(&self.snapshot[index]))
    }

    /// As whose owner what is appended is written.
    #[must_use]
    pub fn tenure(&self) -> &Tenure {
        &self.shared.tenure
    }

    fn epoch(&self) -> u64 {
        self.shared.tenure.epoch()
    }

    pub(super) fn number(&self) -> usize {
        self.shared.claim.number
    }

    /// The files with records, oldest first. It is another one after each
    /// [`Placed::began_file`] and [`resize`](Self::resize).
    #[must_use]
    pub fn files(&self) -> Arc<[Arc<RingFile>]> {
        Arc::clone(&self.snapshot)
    }

    /// How full the ring is and how it fares.
    #[must_use]
    pub fn fill(&self) -> Fill {
        let unsynced = |counts: fn(&RingFile) -> bool| {
            let files = self.live.iter().map(|live| &*live.file).filter(|file| counts(file));
            files.map(RingFile::unsynced_size).sum()
        };
        Fill {
            bytes_used: self.live.iter().map(|live| live.end).sum(),
            bytes_total: self.layout.size(),
            files: self.live.len(),
            spares: self.spares.len(),
            lingering_files: self.dropped.len() + self.lingering.len(),
            unsynced_bytes: unsynced(|_| true),
            stranded_bytes: unsynced(RingFile::is_broken),
            queued_bytes: self.shared.queued_size.load(Ordering::Relaxed),
            is_failing: self.shared.is_failing.load(Ordering::Relaxed),
            write_failures: self.shared.write_failures.load(Ordering::Relaxed),
            syncs: self.shared.syncs.load(Ordering::Relaxed),
            sync_us: self.shared.sync_us.load(Ordering::Relaxed),
            sync_failures: self.shared.sync_failures.load(Ordering::Relaxed),
            spare_failures: self.shared.spare_failures.load(Ordering::Relaxed),
            stale_writes: self.shared.tenure.placement().refused_count(),
        }
    }

    /// Gives the storage threads what is due, and takes what they have made.
    fn keep_up(&mut self) {
        while let Some(made) = self.shared.spares_made.pop() {
            self.spares_asked -= 1;
            self.take_spare(made);
        }
        // A spare that failed a probe is no spare.
        let (broken, sound) = self.spares.drain(..).partition(|spare| spare.is_broken());
        self.spares = sound;
        let broken: VecDeque<_> = broken;
        self.dropped.extend(broken);
        self.unlink_dropped();
        self.seal_full();
        self.close_unread();
        self.ask_for_spares();
        // Readers take a while to let go: they are asked before the last spare is needed.
        if self.spares.len() <= 1 && self.spares_asked == 0 {
            self.lingering.iter().for_each(|file| file.want_back());
        }
    }

    fn take_spare(&mut self, made: std::io::Result<RingFile>) {
        match made {
            Ok(file) if file.size() == self.layout.file_size => {
                self.disk_is_full = false;
                self.spares.push_back(Arc::new(file));
            }
            Ok(file) => self.dropped.push_back(Arc::new(file)),
            Err(error) => {
                self.disk_is_full = matches!(
                    error.kind(),
                    ErrorKind::StorageFull
                        | ErrorKind::QuotaExceeded
                        | ErrorKind::ReadOnlyFilesystem
                );
            }
        }
    }

    fn unlink_dropped(&mut self) {
        while let Some(file) = self.dropped.front() {
            let (shared, unlinked) = (Arc::clone(&self.shared), Arc::clone(file));
            let job = Box::new(move || shared.unlink(&unlinked));
            if self.storage.keep_up(self.number(), job).is_err() {
                return;
            }
            self.lingering.extend(self.dropped.pop_front());
        }
    }

    /// Files that nobody reads any more are closed on the storage thread: the kernel frees an
    /// unlinked file's space with its last descriptor, which takes milliseconds.
    fn close_unread(&mut self) {
        // None but its readers can pass a file on, and the last of them has gone.
        let is_unread = |file: &Arc<RingFile>| Arc::strong_count(file) == 1;
        while let Some(at) = self.lingering.iter().position(is_unread) {
            if let Err(file) = self.shared.unread.push(self.lingering.swap_remove(at)) {
                self.lingering.push(file);
                return;
            }
            // As many jobs as files wait, whichever takes which.
            let shared = Arc::clone(&self.shared);
            if self
                .storage
                .keep_up(self.number(), Box::new(move || drop(shared.unread.pop())))
                .is_err()
            {
                self.lingering.extend(self.shared.unread.pop());
                return;
            }
        }
    }

    fn seal_full(&mut self) {
        while let Some(full) = self.unsealed.front() {
            if full.file.has_pending_writes() {
                return;
            }
            let (file, end, shared) = (Arc::clone(&full.file), full.end, Arc::clone(&self.shared));
            let job = Box::new(move || shared.seal(&file, end));
            if self.storage.keep_up(self.number(), job).is_err() {
                return;
            }
            self.unsealed.pop_front();
        }
    }

    fn ask_for_spares(&mut self) {
        let at_once = if self.disk_is_full { 1 } else { RING_SPARE_REQUEST_MAX };
        while self.spares_asked < at_once && self.has_room_for_spare() {
            let (sequence, size) = (self.next_sequence, self.layout.file_size);
            let shared = Arc::clone(&self.shared);
            let job = Box::new(move || shared.make_spare(sequence, size));
            if self.storage.keep_up(self.number(), job).is_err() {
                return;
            }
            self.spares_asked += 1;
            self.next_sequence += 1;
        }
    }

    pub(super) fn has_room_for_spare(&self) -> bool {
        self.allocated_size() + self.layout.file_size <= self.layout.size()
    }

    /// Bytes of all files that take space, those asked for included.
    pub(super) fn allocated_size(&self) -> u64 {
        let dropped: u64 = self.dropped.iter().map(|file| file.size()).sum();
        let lingering: u64 = self.lingering.iter().map(|file| file.size()).sum();
        let asked = self.spares_asked as u64 * self.layout.file_size;
        self.live_size() + self.spare_size() + dropped + lingering + asked
    }

    fn live_size(&self) -> u64 {
        self.live.iter().map(|live| live.file.size()).sum()
    }

    fn spare_size(&self) -> u64 {
        self.spares.iter().map(|file| file.size()).sum()
    }

    pub(super) fn publish_files(&mut self) {
        self.snapshot = self.live.iter().map(|live| Arc::clone(&live.file)).collect();
    }
}

/// What has left the ring, or never was in it, is closed on a storage thread: the kernel frees an
/// unlinked file's space with its last descriptor.
impl Drop for Ring {
    fn drop(&mut self) {
        let spares = std::mem::take(&mut self.spares);
        let left = (std::mem::take(&mut self.dropped), std::mem::take(&mut self.lingering));
        // Where the queue is full, they are closed here.
        let _queue_full =
            self.storage.keep_up(self.number(), Box::new(move || drop((spares, left))));
    }
}
