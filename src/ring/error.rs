//! Why a ring can't be opened, and why it takes no record.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::ring::layout::LayoutError;

/// Why a ring can't be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// Too small for its bodies.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Another process, or another channel of this one, has it open.
    #[error("{} is in use by another process of headwater", .dir.display())]
    Locked {
        /// The ring's folder.
        dir: PathBuf,
    },
    /// The disk has no room for all files.
    #[error("{}: no space for {needed} more bytes of ring files: {kind}", .dir.display())]
    NoSpace {
        /// The ring's folder.
        dir: PathBuf,
        /// Bytes of the files that were still to be made.
        needed: u64,
        /// What the kernel said.
        kind: ErrorKind,
    },
    /// Written by a later release; nothing was touched.
    #[error(
        "{} was written by a later release (format {version}): go on with that one, or move the \
         folder away", .path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// A file that another ring made; nothing was touched.
    #[error("{} belongs to another ring than the files before it", .path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// Any other failure of a file or folder.
    #[error("{}: {kind}", .path.display())]
    Io {
        /// What failed.
        path: PathBuf,
        /// What the kernel said.
        kind: ErrorKind,
    },
}

/// Why a record is not taken. Nothing has changed; it may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The storage threads don't keep up: the queue is full, or no spare is ready.
    #[error("the ring's storage doesn't keep up")]
    Busy,
    /// The disk has failed to take a write or a sync, and is tried every sync interval.
    #[error("the ring's disk fails")]
    Failing,
    /// No spare is left, because the disk has no room for one.
    #[error("the ring's disk is full")]
    NoSpace,
    /// The ring has another owner by now.
    #[error("the ring was taken over")]
    Stale,
    /// No file can ever hold it.
    #[error("a record of {size} bytes doesn't fit into a ring file of {file_size}")]
    TooLarge {
        /// Bytes of the record's three parts.
        size: u64,
        /// Bytes of a file.
        file_size: u64,
    },
}
