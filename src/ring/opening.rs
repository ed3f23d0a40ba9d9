//! Opening a ring: the lock, what an earlier run or owner left, and the space for the rest.
//!
//! An owner who takes a ring over from another one of the same process reads the folder just as a
//! process does that starts, and goes on in fresh files: nothing that the one before may still
//! write to is written to again.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use crate::ring::error::RingError;
use crate::ring::file::RingFile;
use crate::ring::format::{BootId, FORMAT_VERSION, Identity};
use crate::ring::jobs::{Shared, sync_folder};
use crate::ring::layout::{FileLayout, plan_files};
use crate::ring::recovery::{
    Damage, FileRecords, FoundFile, FoundFolder, Recovered, read_records, survey,
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

    /// Opens a ring of this process for its next owner, whose `tenure` has just begun. Runs after
    /// whatever the owner before has asked of the ring's upkeep thread, there, and calls `done`.
    /// Of the files that are found, those of `known` are not opened again.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] where that thread has a full queue; `done` is dropped.
    pub fn take_over(
        config: RingConfig,
        storage: &Arc<Storage>,
        tenure: Tenure,
        known: Arc<[Arc<RingFile>]>,
        done: impl FnOnce(Result<(Self, Recovered), RingError>) + Send + 'static,
    ) -> Result<(), QueueFull> {
        let claim = tenure.placement().claim();
        let number = claim.as_ref().map_or_else(|| storage.assign_ring(), |claim| claim.number);
        let of_job = Arc::clone(storage);
        let job = move || {
            let claim = claim.map_or_else(|| Claim::take(&config.dir, number), Ok);
            let opened = claim.and_then(|claim| {
                let boot = current_boot()?;
                Self::open_claimed(&config, &of_job, claim, tenure, boot, Some(&known))
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
        // A size that cannot be is told before a folder is made.
        plan_files(config.size, config.body_size_max)?;
        let claim = Claim::take(&config.dir, storage.assign_ring())?;
        let (mut ring, recovered) = Self::open_claimed(config, storage, claim, tenure, boot, None)?;
        let folder = &config.dir;
        ring.make_all_spares().map_err(|error| {
            let needed = ring.layout.size() - ring.allocated_size();
            for spare in ring.spares.drain(..) {
                let _kept_for_the_next_open = spare.unlink();
            }
            RingError::NoSpace { dir: folder.clone(), needed, kind: error.kind() }
        })?;
        sync_folder(folder)
            .map_err(|error| RingError::Io { path: folder.clone(), kind: error.kind() })?;
        Ok((ring, recovered))
    }

    /// `known` are the files of the owner before, where there is one who may still write.
    fn open_claimed(
        config: &RingConfig,
        storage: &Arc<Storage>,
        claim: Arc<Claim>,
        tenure: Tenure,
        boot: BootId,
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
        };
        let recovered = ring.adopt(found, known.is_none());
        ring.reuse_spares(&blank)?;
        ring.set_durability(config.durability);
        ring.sync_recovered();
        Ok((ring, recovered))
    }

    /// Takes over the files of an earlier run or owner, and `goes_on` in the newest of them where
    /// that can be.
    fn adopt(&mut self, found: FoundFolder, goes_on: bool) -> Recovered {
        let mut recovered = Recovered::default();
        let lost_files = found.damaged.len() as u64;
        recovered.damage = Damage { lost_files, ..Damage::default() };
        let last = found.files.last().map(|found| found.superblock.sequence);
        for found in found.files {
            let held = read_records(&found, &self.shared.identity, self.shared.boot);
            let is_sound = held.damage == Damage::default();
            let is_fit = goes_on
                && found.superblock.size == self.layout.file_size
                && found.superblock.version == FORMAT_VERSION
                && found.superblock.content_version == self.shared.content_version
                && held.records.first().is_some_and(|first| first.kind.is_state());
            // A process that ends again and again must not cost a file each time.
            self.is_begun =
                last == Some(found.superblock.sequence) && is_sound && is_fit && !held.is_sealed;
            recovered.records.extend(held.records);
            recovered.damage.torn_records += held.damage.torn_records;
            recovered.damage.corrupt_records += held.damage.corrupt_records;
            recovered.damage.short_files += held.damage.short_files;
            let file = found.file;
            if !held.is_sealed && !file.is_broken() {
                file.mark_unsynced(held.end);
            }
            let FileRecords { end, index_size, .. } = held;
            if is_sound && !held.is_sealed && !self.is_begun {
                let file = Arc::clone(&file);
                self.unsealed.push_back(LiveFile { file, end, index_size });
            }
            self.live.push_back(LiveFile { file, end, index_size });
        }
        let first_state = recovered.records.iter().position(|record| record.kind.is_state());
        recovered.records.drain(..first_state.unwrap_or(recovered.records.len()));
        self.publish_files();
        recovered
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
