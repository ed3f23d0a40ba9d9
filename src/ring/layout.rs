//! How a ring's bytes are divided into files.
//!
//! Many small files keep the window even when the oldest is dropped; but a record never spans
//! files, and one that doesn't fit leaves the rest of a file unused, so files have a least size.

use crate::limits::{
    RING_FILE_COUNT_MIN, RING_FILE_COUNT_TARGET, RING_HEADER_SIZE_MAX, RING_TABLE_SIZE_MAX,
};
use crate::ring::format::{
    FOOTER_SIZE, INDEX_ENTRY_SIZE_MAX, RECORD_OVERHEAD_MAX, SUPERBLOCK_SIZE,
};

/// File sizes are whole pages, so that no page belongs to two files.
const FILE_SIZE_UNIT: u64 = 4096;

/// Number and size of a ring's files, spares included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLayout {
    /// Files, those kept ready as spares included.
    pub count: u64,
    /// Bytes of each.
    pub file_size: u64,
}

impl FileLayout {
    /// Bytes of all files.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.count * self.file_size
    }

    /// Files that are kept empty, ready to be begun: one of 16, at least two.
    #[must_use]
    pub const fn spare_count(self) -> u64 {
        if self.count / 16 > 2 { self.count / 16 } else { 2 }
    }

    /// Bytes that files with records may take.
    #[must_use]
    pub const fn live_size(self) -> u64 {
        (self.count - self.spare_count()) * self.file_size
    }
}

/// A ring too small for its bodies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a ring of {size} bytes gives {count} files of {file_size} bytes, each large enough for bodies \
     of {body_size_max} bytes; at least {RING_FILE_COUNT_MIN} are needed ({size_min} bytes)"
)]
pub struct LayoutError {
    /// Bytes asked for.
    pub size: u64,
    /// Bytes of the largest body.
    pub body_size_max: u64,
    /// Files this would make.
    pub count: u64,
    /// Bytes of each.
    pub file_size: u64,
    /// Bytes that would do.
    pub size_min: u64,
}

/// Divides `size` bytes into files that each hold two bodies of `body_size_max` bytes: 64 files,
/// or fewer where they would be too small.
///
/// # Errors
///
/// If fewer than [`RING_FILE_COUNT_MIN`] files would result.
pub fn plan_files(size: u64, body_size_max: u64) -> Result<FileLayout, LayoutError> {
    let largest_headers = (RING_HEADER_SIZE_MAX + RING_TABLE_SIZE_MAX) as u64;
    let state = RING_HEADER_SIZE_MAX as u64 + RECORD_OVERHEAD_MAX;
    let one_body = body_size_max
        .saturating_add(largest_headers + RECORD_OVERHEAD_MAX + state)
        .saturating_add(SUPERBLOCK_SIZE + 2 * INDEX_ENTRY_SIZE_MAX + FOOTER_SIZE);
    let least = body_size_max.saturating_mul(2).max(one_body).div_ceil(FILE_SIZE_UNIT);
    let even = size / RING_FILE_COUNT_TARGET / FILE_SIZE_UNIT;
    let file_size = even.max(least).saturating_mul(FILE_SIZE_UNIT);
    let count = size / file_size;
    if count < RING_FILE_COUNT_MIN {
        let size_min = file_size.saturating_mul(RING_FILE_COUNT_MIN);
        return Err(LayoutError { size, body_size_max, count, file_size, size_min });
    }
    Ok(FileLayout { count: count.min(RING_FILE_COUNT_TARGET), file_size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layouts() {
        let gib = 1 << 30;
        assert_eq!(
            plan_files(gib, 64 << 20),
            Ok(FileLayout { count: 8, file_size: 128 << 20 }),
            "the default ring with the default largest body"
        );
        assert_eq!(plan_files(gib, 4 << 20), Ok(FileLayout { count: 64, file_size: 16 << 20 }));
        let error = plan_files(gib, 65 << 20).unwrap_err();
        assert_eq!((error.count, error.file_size), (7, 130 << 20));
        assert_eq!(error.size_min, 8 * (130 << 20));
        assert_eq!(plan_files(error.size_min, 65 << 20).map(|l| l.count), Ok(8));
    }

    proptest! {
        #[test]
        fn a_layout_holds_what_it_promises(size: u64, body: u64) {
            match plan_files(size, body) {
                Ok(layout) => {
                    prop_assert!(layout.size() <= size);
                    prop_assert!(layout.file_size / 2 >= body);
                    prop_assert!((RING_FILE_COUNT_MIN..=RING_FILE_COUNT_TARGET)
                        .contains(&layout.count));
                    prop_assert!(layout.spare_count() < layout.count);
                }
                Err(error) => prop_assert!(error.count < RING_FILE_COUNT_MIN),
            }
        }
    }
}
