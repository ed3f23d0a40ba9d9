//! Records: what is appended, where it goes, and how it is written.
//!
//! Writing happens on a storage thread: head, header and table in one write, the payload in a
//! second one, and the trailer, which makes the record one, when both have returned.

use std::io::ErrorKind;

use crate::limits::{RING_HEADER_SIZE_MAX, RING_TABLE_SIZE_MAX};
use crate::ring::file::RingFile;
use crate::ring::format::{Head, Identity, RecordKind, trailer_bytes};
use crate::units::{ContentHash, Extent};

/// What is appended. The ring looks into none of the three parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is for.
    pub kind: RecordKind,
    /// Given back by recovery; up to [`RING_HEADER_SIZE_MAX`] bytes.
    pub header: Vec<u8>,
    /// Read back when needed; up to [`RING_TABLE_SIZE_MAX`] bytes.
    pub table: Vec<u8>,
    /// Sent from the file.
    pub payload: Vec<u8>,
}

impl Record {
    /// A state record.
    pub(super) fn state(header: Vec<u8>) -> Self {
        Self { kind: RecordKind::State, header, table: Vec::new(), payload: Vec::new() }
    }

    /// Bytes of the three parts.
    pub(super) fn size(&self) -> u64 {
        (self.header.len() + self.table.len() + self.payload.len()) as u64
    }

    /// The head of this record at an offset; `None` where a part is larger than is allowed.
    pub(super) fn head_at(
        &self,
        sequence: u64,
        offset: u64,
        epoch: u64,
        following: u8,
    ) -> Option<Head> {
        if self.header.len() > RING_HEADER_SIZE_MAX || self.table.len() > RING_TABLE_SIZE_MAX {
            return None;
        }
        Some(Head {
            kind: self.kind,
            following,
            header_size: u32::try_from(self.header.len()).ok()?,
            table_size: u32::try_from(self.table.len()).ok()?,
            payload_size: u32::try_from(self.payload.len()).ok()?,
            sequence,
            offset,
            epoch,
        })
    }
}

/// Where a record's parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The opaque header.
    pub header: Extent,
    /// The table.
    pub table: Extent,
    /// The payload.
    pub payload: Extent,
}

impl From<&Head> for Location {
    fn from(head: &Head) -> Self {
        let part = |offset, size| Extent { file: head.sequence, offset, size };
        Self {
            header: part(head.header_offset(), head.header_size),
            table: part(head.table_offset(), head.table_size),
            payload: part(head.payload_offset(), head.payload_size),
        }
    }
}

/// A record is in its file, trailer included, and as durable as the ring's records are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Names the content: [`ContentHash::low`].
    pub hash: u64,
}

/// Why a placed record isn't in its file. The ring goes on in a fresh one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The disk had no room after all, as it may on filesystems that copy on write.
    #[error("no space for the record at offset {offset} of ring file {file}")]
    NoSpace {
        /// Number of the file.
        file: u64,
        /// Where the record was to begin, in bytes.
        offset: u64,
    },
    /// The write failed.
    #[error("writing the record at offset {offset} of ring file {file}: {kind}")]
    Io {
        /// Number of the file.
        file: u64,
        /// Where the record was to begin, in bytes.
        offset: u64,
        /// What the kernel said.
        kind: ErrorKind,
    },
    /// The ring has another owner by now; whether the record is in the file is not known.
    #[error(
        "the ring was taken over before the record at offset {offset} of file {file} was in it"
    )]
    Stale {
        /// Number of the file.
        file: u64,
        /// Where the record was to begin, in bytes.
        offset: u64,
    },
    /// It is in the page cache and could not be put on the disk, where it was to be.
    #[error("the record at offset {offset} of ring file {file} could not be synced")]
    Unsynced {
        /// Number of the file.
        file: u64,
        /// Where the record begins, in bytes.
        offset: u64,
    },
    /// An earlier write or sync of the same file failed.
    #[error("ring file {file} failed before the record at offset {offset} was written")]
    Broken {
        /// Number of the file.
        file: u64,
        /// Where the record was to begin, in bytes.
        offset: u64,
    },
}

/// Writes a record where its head says.
///
/// # Errors
///
/// What the kernel says; the record then isn't one, whatever part of it is in the file.
pub fn write_record(
    file: &RingFile,
    head: Head,
    record: &Record,
    identity: &Identity,
) -> std::io::Result<Stored> {
    let head_block = head.to_bytes(identity);
    let front = [&head_block, record.header.as_slice(), record.table.as_slice()].concat();
    file.write_at(head.offset, &front)?;
    if !record.payload.is_empty() {
        file.write_at(head.payload_offset(), &record.payload)?;
    }
    let content = ContentHash::of(&record.table, &record.payload);
    let trailer = trailer_bytes(&head_block, &record.header, content, identity);
    file.write_at(head.trailer_offset(), &trailer)?;
    Ok(Stored { hash: content.low() })
}
