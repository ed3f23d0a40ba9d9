//! Opening a ring: the lock, what an earlier run left, and the space for the rest.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::ring::error::RingError;
use crate::ring::file::RingFile;
use crate::ring::format::{BootId, Identity};
use crate::ring::jobs::{Shared, sync_folder};
use crate::ring::layout::{FileLayout, plan_files};
use crate::ring::recovery::{Damage, FoundFolder, Recovered, read_records, survey};
use crate::ring::rotation::{LiveFile, Ring, RingConfig};
use crate::ring::storage::Storage;

/// Name of the file whose lock says that a process owns the ring.
const LOCK_NAME: &str = "ring.lock";

impl Ring {
    /// Opens the ring of a folder, with what is in it, or makes a new one. All of its space is
    /// allocated here. Reads and writes files: not for a shard that has started.
    ///
    /// `epoch` is the owner's; it is noted in every record.
    ///
    /// # Errors
    ///
    /// See [`RingError`]. Files with records are left as they are.
    pub fn open(
        config: &RingConfig,
        storage: &Arc<Storage>,
        epoch: u64,
    ) -> Result<(Self, Recovered), RingError> {
        let boot = BootId::current().map_err(|error| RingError::Io {
            path: "/proc/sys/kernel/random/boot_id".into(),
            kind: error.kind(),
        })?;
        Self::open_in_boot(config, storage, epoch, boot)
    }

    /// [`open`](Self::open) in a given start of the machine.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_in_boot(
        config: &RingConfig,
        storage: &Arc<Storage>,
        epoch: u64,
        boot: BootId,
    ) -> Result<(Self, Recovered), RingError> {
        let layout = plan_files(config.size, config.body_size_max)?;
        let folder = &config.dir;
        let lock = lock_folder(folder)?;
        let mut found = survey(folder, config.content_version)?;
        let identity = match found.identity.take() {
            Some(identity) => identity,
            None => Identity::fresh().map_err(|_| RingError::Io {
                path: "/dev/urandom".into(),
                kind: ErrorKind::Unsupported,
            })?,
        };
        remove_useless(&mut found, layout)?;
        let mut ring = Self {
            storage: Arc::clone(storage),
            number: storage.assign_ring(),
            shared: Arc::new(Shared::new(
                lock,
                folder.clone(),
                identity,
                (epoch, boot, config.content_version),
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
        let recovered = ring.adopt(found);
        ring.make_all_spares()?;
        Ok((ring, recovered))
    }

    /// Takes over the files of an earlier run.
    fn adopt(&mut self, found: FoundFolder) -> Recovered {
        let mut recovered = Recovered::default();
        let lost_files = found.damaged.len() as u64;
        recovered.damage = Damage { lost_files, ..Damage::default() };
        for found in found.files {
            let held = read_records(&found, &self.shared.identity, self.shared.boot);
            let is_sound = held.damage == Damage::default();
            recovered.records.extend(held.records);
            recovered.damage.torn_records += held.damage.torn_records;
            recovered.damage.corrupt_records += held.damage.corrupt_records;
            recovered.damage.short_files += held.damage.short_files;
            let file = Arc::new(found.file);
            if is_sound && !held.is_sealed {
                file.mark_unsynced(held.end);
                let file = Arc::clone(&file);
                self.unsealed.push_back(LiveFile { file, end: held.end, index_size: 0 });
            }
            self.live.push_back(LiveFile { file, end: held.end, index_size: 0 });
        }
        let first_state = recovered.records.iter().position(|record| record.kind.is_state());
        recovered.records.drain(..first_state.unwrap_or(recovered.records.len()));
        self.publish_files();
        recovered
    }

    /// Makes the files that the ring's size has room for.
    fn make_all_spares(&mut self) -> Result<(), RingError> {
        let folder = self.shared.folder.clone();
        while self.has_room_for_spare() {
            let made = RingFile::create(&folder, self.next_sequence, self.layout.file_size);
            self.next_sequence += 1;
            match made {
                Ok(file) => self.spares.push_back(Arc::new(file)),
                Err(error) => {
                    let needed = self.layout.size() - self.allocated_size();
                    for spare in self.spares.drain(..) {
                        let _kept_for_the_next_open = spare.unlink();
                    }
                    return Err(RingError::NoSpace { dir: folder, needed, kind: error.kind() });
                }
            }
        }
        sync_folder(&folder)
            .map_err(|error| RingError::Io { path: folder.clone(), kind: error.kind() })
    }
}

/// Makes the folder and takes its lock, which is held as long as the file is open.
fn lock_folder(folder: &Path) -> Result<File, RingError> {
    let io = |error: std::io::Error| RingError::Io { path: folder.into(), kind: error.kind() };
    std::fs::create_dir_all(folder).map_err(io)?;
    let lock = File::create(folder.join(LOCK_NAME)).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(RingError::Locked { dir: folder.into() }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Removes spares of an earlier run, files that can't be read, and the oldest files of a ring
/// that has become smaller.
fn remove_useless(found: &mut FoundFolder, layout: FileLayout) -> Result<(), RingError> {
    for path in found.blank.iter().chain(&found.damaged) {
        std::fs::remove_file(path)
            .map_err(|error| RingError::Io { path: path.clone(), kind: error.kind() })?;
    }
    let mut size: u64 = found.files.iter().map(|found| found.superblock.size).sum();
    let mut excess = 0;
    for oldest in &found.files {
        if size <= layout.live_size() {
            break;
        }
        let io = |error: std::io::Error| RingError::Io {
            path: RingFile::name(oldest.superblock.sequence).into(),
            kind: error.kind(),
        };
        oldest.file.unlink().map_err(io)?;
        size -= oldest.superblock.size;
        excess += 1;
    }
    found.files.drain(..excess);
    Ok(())
}
