//! When a record counts as kept, and the syncs that it takes.
//!
//! Group commit: records that are written while the disk is busy with a sync wait for the next one,
//! which serves them all. None waits for others to come.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::ring::file::RingFile;
use crate::ring::jobs::{Shared, Work};
use crate::ring::record::{Stored, WriteError};

/// What a record that was reported as written survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process. It is synced within the sync interval.
    #[default]
    Process,
    /// The end of the machine's power: it is on the disk.
    Strict,
}

/// Records in their file, to be reported once they are on the disk.
struct Uncommitted {
    file: Arc<RingFile>,
    /// Where the first of them begins, in bytes.
    offset: u64,
    /// What had been written of the file when they had.
    mark: u64,
}

impl Uncommitted {
    /// Syncs the file unless a sync has begun since the records were written.
    fn commit(&self, shared: &Shared) -> Result<(), WriteError> {
        if !self.file.is_synced(self.mark) {
            shared.sync(&self.file);
        }
        if self.file.is_synced(self.mark) {
            return Ok(());
        }
        Err(WriteError::Unsynced { file: self.file.sequence(), offset: self.offset })
    }
}

impl Shared {
    /// Writes records, and calls `done` when they are as durable as they are to be.
    pub fn write(
        self: &Arc<Self>,
        work: &Work,
        done: impl FnOnce(Result<Vec<Stored>, WriteError>) + Send + 'static,
    ) {
        let written = work.write(self);
        if written.is_err() || !self.is_strict.load(Ordering::Acquire) {
            return done(written);
        }
        let file = Arc::clone(&work.file);
        let uncommitted = Uncommitted { offset: work.offset(), mark: file.written_size(), file };
        let shared = Arc::clone(self);
        let job = move || done(uncommitted.commit(&shared).and(written));
        if let Err(job) = self.commits.give(Box::new(job)) {
            // The disk doesn't keep up: nor does this thread, then, and its queue fills.
            job();
        }
    }
}
