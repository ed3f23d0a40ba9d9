//! A byte range of a ring file, by number. Says where bytes are without holding them.

use serde::{Deserialize, Serialize};

/// A range of the ring file `file`, which never changes once published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Extent {
    /// Sequence number of the ring file within its channel; never reused.
    pub file: u64,
    /// Offset of the first byte in that file.
    pub offset: u64,
    /// Bytes.
    pub size: u32,
}

impl Extent {
    /// The part of this extent that begins `skip` bytes in and is `size` bytes long.
    ///
    /// # Panics
    ///
    /// If the part is not inside the extent: extents are our own state, not a stranger's.
    #[must_use]
    pub fn part(self, skip: u32, size: u32) -> Self {
        assert!(u64::from(skip) + u64::from(size) <= u64::from(self.size));
        Self { file: self.file, offset: self.offset + u64::from(skip), size }
    }
}
