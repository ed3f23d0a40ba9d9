//! The lock of `storage.dir`: one process uses the directory, or two while one follows the other.
//!
//! The lock is of the open file (flock(2)): it goes to another process with the descriptor, and
//! ends with the last process that has it, however that ends. The file holds the number of the
//! process that serves.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Name of the file in `storage.dir`.
pub const PID_FILE_NAME: &str = "headwater.pid";
/// Bytes read of it: a number and a line's end.
const PID_TEXT_SIZE_MAX: u64 = 16;

/// The lock of a directory, held.
#[derive(Debug)]
pub struct StorageLock(File);

/// Why a directory is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum StorageLockError {
    /// Another process has it.
    #[error("storage.dir: {} is in use by process {pid}", dir.display())]
    Held {
        /// The directory.
        dir: PathBuf,
        /// The other process's number, or what it left there.
        pid: String,
    },
    /// The file cannot be made, locked or written.
    #[error("storage.dir: {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl StorageLock {
    /// Makes the directory and takes its lock.
    ///
    /// # Errors
    ///
    /// [`StorageLockError`].
    pub fn take(dir: &Path) -> Result<Self, StorageLockError> {
        let path = dir.join(PID_FILE_NAME);
        let io = |error| StorageLockError::Io { path: path.clone(), error };
        std::fs::create_dir_all(dir).map_err(io)?;
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::Error(error)) => Err(io(error)),
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // What cannot be read is not named.
                let _unnamed = file.take(PID_TEXT_SIZE_MAX).read_to_string(&mut pid);
                Err(StorageLockError::Held { dir: dir.to_owned(), pid: pid.trim().to_owned() })
            }
        }
    }

    /// The lock that another process passed.
    #[must_use]
    pub fn passed(fd: OwnedFd) -> Self {
        Self(File::from(fd))
    }

    /// Notes that this process serves.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn note_pid(&self) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)
    }
}

impl AsFd for StorageLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_until_the_last_descriptor_is_gone() {
        let dir = tempfile::TempDir::new().unwrap();
        let storage = dir.path().join("a/b");
        let lock = StorageLock::take(&storage).unwrap();
        lock.note_pid().unwrap();
        let refused = StorageLock::take(&storage).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(refused.ends_with(&format!("a/b is in use by process {pid}")), "{refused}");
        let passed = StorageLock::passed(lock.as_fd().try_clone_to_owned().unwrap());
        drop(lock);
        assert!(StorageLock::take(&storage).is_err(), "the other one has it");
        drop(passed);
        assert!(StorageLock::take(&storage).is_ok());
    }
}
