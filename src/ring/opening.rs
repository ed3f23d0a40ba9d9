//! Opening a ring: the lock, what an earlier run or owner left, and the space for the rest.
//!
//! An owner who takes a ring over from another one of the same process reads the folder just as a
//! process does that starts, and goes on in fresh files: nothing that the one before may still
//! write to is written to again.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::ring::error::RingError;
use crate::ring::file::RingFile;
use crate::ring::format::{BootId, FORMAT_VERSION, Identity};
use crate::ring::jobs::{Shared, sync_folder};
use crate::ring::layout::{FileLayout, plan_files};
use crate::ring::recovery::{
    Damage, FileRecords, FoundFile, FoundFolder, Recovered, read_first_state, read_records, survey,
};
use crate::ring::rotation::{LiveFile, Ring, RingConfig};
use crate::ring::storage::{QueueFull, Storage};
use crate::ring::tenure::{Claim, Tenure};

impl Ring {
    /// Opens the ring of a folder, with what is in it, or makes a new one. All of its space is
    /// allocated here. Reads and writes files: not for a shard that has started.
    ///
    /// What is appended is written while `tenure` lasts.
    ///
    /// # Errors
    ///
    /// See [`RingError`]. Files with records are left as they are.
    pub fn open(
        config: &RingConfig,
        storage: &Arc<Storage>,
        tenure: Tenure,
    ) -> Result<(Self, Recovered), RingError> {
        Self::open_in_boot(config, storage, tenure, current_boot()?)
    }

    /// The same, reading the newest file first, and older ones until `is_enough` says so of one:
    /// the others are for [`Ring::read_older`].
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_newest(
        config: &RingConfig,
        storage: &Arc<Storage>,
        tenure: Tenure,
        is_enough: impl FnMut(&FileRecords) -> bool,
    ) -> Result<(Self, Recovered), RingError> {
        Self::open_whole(config, storage, tenure, (current_boot()?, is_enough))
    }

    /// Opens a ring of this process for its next owner, whose `tenure` has just begun, as
    /// [`open_newest`](Self::open_newest) does. Runs after whatever the owner before has asked of
    /// the ring's upkeep thread, there, and calls `done`. Of the files that are found, those of
    /// `known` are not opened again.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] where that thread has a full queue; `done` is dropped.
    pub fn take_over(
        config: RingConfig,
        storage: &Arc<Storage>,
        tenure: Tenure,
        (known, is_enough): (
            Arc<[Arc<RingFile>]>,
            impl FnMut(&FileRecords) -> bool + Send + 'static,
        ),
        done: impl FnOnce(Result<(Self, Recovered), RingError>) + Send + 'static,
    ) -> Result<(), QueueFull> {
        let claim = tenure.placement().claim();
        let number = claim.as_ref().map_or_else(|| storage.assign_ring(), |claim| claim.number);
        let of_job = Arc::clone(storage);
        let job = move || {
            let claim = claim.map_or_else(|| Claim::take(&config.dir, number), Ok);
            let opened = claim.and_then(|claim| {
                let how = (current_boot()?, is_enough);
                Self::open_claimed(&config, &of_job, claim, tenure, how, Some(&known))
            });
            // Whoever waits for this may be about to end the storage threads.
            drop(of_job);
            done(opened.map(|(mut ring, recovered)| {
                // The owner before may hold the space of its spares for a while yet.
                ring.disk_is_full = ring.make_all_spares().is_err();
                (ring, recovered)
            }));
        };
        storage.keep_up(number, Box::new(job))
    }

    /// [`open`](Self::open) in a given start of the machine.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_in_boot(
        config: &RingConfig,
        storage: &Arc<Storage>,
        tenure: Tenure,
        boot: BootId,
    ) -> Result<(Self, Recovered), RingError> {
        Self::open_whole(config, storage, tenure, (boot, |_: &_| false))
    }

    fn open_whole(
        config: &RingConfig,
        storage: &Arc<Storage>,
        tenure: Tenure,
        how: (BootId, impl FnMut(&FileRecords) -> bool),
    ) -> Result<(Self, Recovered), RingError> {
        // A size that cannot be is told before a folder is made.
        plan_files(config.size, config.body_size_max)?;
        let claim = Claim::take(&config.dir, storage.assign_ring())?;
        let (mut ring, recovered) = Self::open_claimed(config, storage, claim, tenure, how, None)?;
        let folder = &config.dir;
        ring.make_all_spares().map_err(|error| {
            let needed = ring.layout.size() - ring.allocated_size();
            for spare in ring.spares.drain(..) {
                let _kept_for_the_next_open = spare.unlink();
            }
            RingError::NoSpace { dir: folder.clone(), needed, kind: error.kind() }
        })?;
        ring.sync_names()
            .map_err(|error| RingError::Io { path: folder.clone(), kind: error.kind() })?;
        Ok((ring, recovered))
    }

    /// Makes sure that the names of new and reused files outlast a power cut, before what is
    /// written to them counts as synced. Of a ring with records that is not strict, the storage
    /// thread does so that will sync them: a start does not wait for the disk.
    fn sync_names(&self) -> std::io::Result<()> {
        let is_strict = self.shared.is_strict.load(Ordering::Acquire);
        if self.live.is_empty() || is_strict {
            return sync_folder(&self.shared.folder);
        }
        let shared = Arc::clone(&self.shared);
        let job = move || {
            if let Err(error) = sync_folder(&shared.folder) {
                shared.note_failure(&error);
            }
        };
        match self.storage.keep_up(self.number(), Box::new(job)) {
            Ok(()) => Ok(()),
            Err(QueueFull) => sync_folder(&self.shared.folder),
        }
    }

    /// `known` are the files of the owner before, where there is one who may still write.
    fn open_claimed(
        config: &RingConfig,
        storage: &Arc<Storage>,
        claim: Arc<Claim>,
        tenure: Tenure,
        (boot, is_enough): (BootId, impl FnMut(&FileRecords) -> bool),
        known: Option<&[Arc<RingFile>]>,
    ) -> Result<(Self, Recovered), RingError> {
        let layout = plan_files(config.size, config.body_size_max)?;
        let folder = &config.dir;
        tenure.note_claim(&claim);
        let mut found = survey(folder, config.content_version, known.unwrap_or_default())?;
        let identity = match found.identity.take() {
            Some(identity) => identity,
            None => Identity::fresh().map_err(|_| RingError::Io {
                path: "/dev/urandom".into(),
                kind: ErrorKind::Unsupported,
            })?,
        };
        if known.is_some() {
            // The owner before may still write to its spares.
            found.damaged.append(&mut found.blank);
        }
        let blank = std::mem::take(&mut found.blank);
        remove_useless(&mut found, layout)?;
        let commits = storage.committing(claim.number);
        let mut ring = Self {
            storage: Arc::clone(storage),
            shared: Arc::new(Shared::new(
                claim,
                tenure,
                folder.clone(),
                identity,
                (boot, config.content_version),
                commits,
            )),
            layout,
            live: VecDeque::new(),
            is_begun: false,
            snapshot: Arc::new([]),
            spares: VecDeque::new(),
            spares_asked: 0,
            disk_is_full: false,
            failures: 0,
            syncs_before_probe: 0,
            next_sequence: found.last_sequence + 1,
            unsealed: VecDeque::new(),
            dropped: VecDeque::new(),
            lingering: Vec::new(),
            unread: VecDeque::new(),
        };
        let recovered = ring.adopt(found, known.is_none(), is_enough);
        ring.reuse_spares(&blank)?;
        ring.set_durability(config.durability);
        ring.sync_recovered();
        Ok((ring, recovered))
    }

    /// Takes over the files of an earlier run or owner, and `goes_on` in the newest of them where
    /// that can be. Reads the newest ones, until that `is_enough`.
    fn adopt(
        &mut self,
        mut found: FoundFolder,
        goes_on: bool,
        mut is_enough: impl FnMut(&FileRecords) -> bool,
    ) -> Recovered {
        let lost_files = found.damaged.len() as u64;
        let damage = Damage { lost_files, ..Damage::default() };
        let mut recovered = Recovered { damage, ..Recovered::default() };
        self.live = found.files.iter().map(LiveFile::unread).collect();
        let mut read = Vec::new();
        while let Some(newest) = found.files.pop() {
            let held = read_found(&newest, &self.shared);
            recovered.damage.add(held.damage);
            recovered.oldest_read = held.file;
            if read.is_empty() {
                // A process that ends again and again must not cost a file each time.
                self.is_begun = goes_on
                    && held.is_sound()
                    && !held.is_sealed
                    && newest.superblock.size == self.layout.file_size
                    && newest.superblock.version == FORMAT_VERSION
                    && newest.superblock.content_version == self.shared.content_version
                    && held.begins_with_state();
            }
            self.take_read(&held, self.is_begun && read.is_empty());
            let ends = is_enough(&held) && held.begins_with_state();
            read.push(held.records);
            if ends {
                break;
            }
        }
        recovered.records = read.into_iter().rev().flatten().collect();
        let first_state = recovered.records.iter().position(|record| record.kind.is_state());
        recovered.records.drain(..first_state.unwrap_or(recovered.records.len()));
        let oldest = found.files.first();
        recovered.oldest_state =
            oldest.and_then(|oldest| read_first_state(oldest, &self.shared.identity));
        self.unread = found.files.into();
        self.publish_files();
        recovered
    }

    /// Notes what is in a file that was just read, and has it sealed unless it `goes_on`.
    fn take_read(&mut self, held: &FileRecords, goes_on: bool) {
        let at = self.live.binary_search_by_key(&held.file, |live| live.file.sequence());
        let Some(live) = at.ok().and_then(|at| self.live.get_mut(at)) else { return };
        (live.end, live.index_size) = (held.end, held.index_size);
        if !held.is_sound() || held.is_sealed {
            return;
        }
        if !goes_on {
            let LiveFile { file, end, index_size } = live;
            let (file, end, index_size) = (Arc::clone(file), *end, *index_size);
            self.unsealed.push_front(LiveFile { file, end, index_size });
        }
    }

    /// Ring files that have not been read since the ring was opened.
    #[must_use]
    pub fn unread_count(&self) -> usize {
        self.unread.len()
    }

    /// Reads the newest file that has not been read, on the storage thread for that, and calls
    /// `done` there with what is in it. It is [told](Self::on_older_read) to the ring then, before
    /// the next one is asked for. `false` where there is none.
    ///
    /// # Errors
    ///
    /// [`QueueFull`]: `done` is dropped, and nothing was asked.
    pub fn read_older(
        &self,
        done: impl FnOnce(FileRecords) + Send + 'static,
    ) -> Result<bool, QueueFull> {
        let Some(newest) = self.unread.back().cloned() else { return Ok(false) };
        let shared = Arc::clone(&self.shared);
        let job = move || {
            if shared.tenure.is_current() {
                let held = read_found(&newest, &shared);
                if shared.is_strict.load(Ordering::Acquire) {
                    // As when the ring was opened: its records count as kept from now on.
                    shared.sync(&newest.file);
                }
                done(held);
            }
        };
        self.storage.read_older(Box::new(job)).map(|()| true)
    }

    /// What [`read_older`](Self::read_older) found is known. Returns whether the file is still in
    /// the ring.
    pub fn on_older_read(&mut self, held: &FileRecords) -> bool {
        let newest = self.unread.back().map(|newest| newest.file.sequence());
        let is_there = newest == Some(held.file);
        if is_there {
            self.unread.pop_back();
            self.take_read(held, false);
        }
        is_there
    }

    /// What has not been read by now will not be.
    pub fn give_up_unread(&mut self) {
        self.unread.clear();
    }

    /// Takes over the spares of an earlier process that fit, and removes the others.
    fn reuse_spares(&mut self, blank: &[PathBuf]) -> Result<(), RingError> {
        for path in blank {
            let io =
                |error: std::io::Error| RingError::Io { path: path.clone(), kind: error.kind() };
            let reused = if self.has_room_for_spare() {
                let size = self.layout.file_size;
                RingFile::reuse(path, &self.shared.folder, self.next_sequence, size).map_err(io)?
            } else {
                None
            };
            match reused {
                Some(file) => {
                    self.next_sequence += 1;
                    self.spares.push_back(Arc::new(file));
                }
                None => std::fs::remove_file(path).map_err(io)?,
            }
        }
        Ok(())
    }

    /// Makes the files that the ring's size has room for, or as many as the disk has.
    fn make_all_spares(&mut self) -> std::io::Result<()> {
        let folder = self.shared.folder.clone();
        while self.has_room_for_spare() {
            let made = RingFile::create(&folder, self.next_sequence, self.layout.file_size);
            self.next_sequence += 1;
            self.spares.push_back(Arc::new(made?));
        }
        Ok(())
    }
}

/// Reads a file. What is in it may not be on the disk, unless it is sealed; where an earlier run
/// could not sync it, it is not, and no sync will change that.
fn read_found(found: &FoundFile, shared: &Shared) -> FileRecords {
    let held = read_records(found, &shared.identity, shared.boot);
    if !held.is_sealed && !found.file.is_broken() {
        found.file.mark_unsynced(held.end);
        if held.is_stranded {
            found.file.mark_broken();
        }
    }
    held
}

fn current_boot() -> Result<BootId, RingError> {
    BootId::current().map_err(|error| RingError::Io {
        path: "/proc/sys/kernel/random/boot_id".into(),
        kind: error.kind(),
    })
}

/// Removes files that can't be read, those of an owner who had
/// been replaced, and the oldest files of a ring that has become smaller.
fn remove_useless(found: &mut FoundFolder, layout: FileLayout) -> Result<(), RingError> {
    for path in &found.damaged {
        std::fs::remove_file(path)
            .map_err(|error| RingError::Io { path: path.clone(), kind: error.kind() })?;
    }
    let unlink = |found: &FoundFile| {
        let path = RingFile::name(found.superblock.sequence).into();
        found.file.unlink().map_err(|error| RingError::Io { path, kind: error.kind() })
    };
    found.stale.iter().try_for_each(unlink)?;
    let mut size: u64 = found.files.iter().map(|found| found.superblock.size).sum();
    let mut excess = 0;
    for oldest in &found.files {
        if size <= layout.live_size() {
            break;
        }
        unlink(oldest)?;
        size -= oldest.superblock.size;
        excess += 1;
    }
    found.files.drain(..excess);
    Ok(())
}
