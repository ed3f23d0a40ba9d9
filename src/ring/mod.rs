//! Rings: files that are written once, never changed, and unlinked whole.
//!
//! A channel's [`Ring`] is a row of files of one size, preallocated. Records are appended to the
//! newest one; a full file is sealed; the oldest is unlinked when the ring is full. A record that
//! was reported as written is found again after a crash.
//!
//! The rule that everything rests on: **a byte that was handed out never changes.** No range is
//! overwritten, de-allocated or truncated, because sockets share pages with the file and would
//! send the new bytes. Who reads holds an `Arc` of the [`RingFile`]: its descriptor, and with it
//! its bytes, live on after the file has left the ring.
//!
//! What a record means is not known here: its header is opaque. No socket, no protocol.

mod commit;
mod error;
mod fault;
mod file;
mod format;
mod jobs;
mod layout;
mod map;
mod opening;
mod record;
mod recovery;
mod rotation;
#[cfg(test)]
pub mod script;
mod storage;
mod sys;
mod tenure;
#[cfg(test)]
mod tests;

pub use commit::Durability;
pub use error::{Refused, RingError};
pub use file::RingFile;
pub use format::{BootId, Content, RecordKind};
pub use layout::{FileLayout, LayoutError, plan_files};
pub use record::{Location, Record, Stored, WriteError};
pub use recovery::{Damage, FileRecords, Recovered, RecoveredRecord};
pub use rotation::{Fill, Placed, Ring, RingConfig};
pub use storage::{QueueFull, Storage};
pub use tenure::{Placement, Tenure};
