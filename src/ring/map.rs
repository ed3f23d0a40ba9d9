//! A ring file's pages as memory: read-only, and asked which of them are in the page cache.
//!
//! Reading a cold page waits for the disk, so a shard never reads through a mapping; storage
//! threads do. A page that cannot be had is dealt with in [`super::fault`].

#![allow(unsafe_code)] // mmap and mincore work on addresses

use crate::ring::fault::Guarded;
use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};

const PAGE_SIZE: usize = 4096;
/// Pages asked about in one call: 4 MiB.
const PAGES_ASKED: usize = 1024;

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub struct PageMap {
    /// Before the mapping, so that it is dropped first.
    guarded: Guarded,
    pages: Mmap,
}

impl PageMap {
    /// Maps the first `size` bytes of `file`.
    ///
    /// # Errors
    ///
    /// What the kernel says, such as too many mappings; [`ErrorKind::OutOfMemory`] where the table
    /// of guarded mappings is full.
    pub fn new(file: &File, size: usize) -> Result<Self> {
        // SAFETY: published bytes of a ring file never change, and only published ranges are
        // read; a stranger's truncation is met by the guard.
        let pages = unsafe { MmapOptions::new().len(size).map(file) }?;
        let start = pages.as_ptr().expose_provenance();
        let guarded = Guarded::new(start, size).ok_or(Error::from(ErrorKind::OutOfMemory))?;
        Ok(Self { guarded, pages })
    }

    /// A range of the file; `None` outside of it. Reading it may wait for the disk. What was made
    /// from it is worthless where [`is_lost`](Self::is_lost) is true afterwards.
    pub fn bytes(&self, offset: u64, size: usize) -> Option<&[u8]> {
        let offset = usize::try_from(offset).ok()?;
        self.pages.get(offset..offset.checked_add(size)?)
    }

    /// True once a page could not be had.
    pub fn is_lost(&self) -> bool {
        self.guarded.is_lost()
    }

    /// True where every page of a range is in the page cache; false for a range outside the file.
    pub fn is_resident(&self, offset: u64, size: usize) -> bool {
        let Some(range) = self.bytes(offset, size) else { return false };
        let before = range.as_ptr().addr() % PAGE_SIZE;
        let end = before + size;
        let mut pages = [0_u8; PAGES_ASKED];
        let mut at = 0;
        while at < end {
            let asked = (end - at).div_ceil(PAGE_SIZE).min(PAGES_ASKED);
            let address = range.as_ptr().wrapping_sub(before).wrapping_add(at);
            let length = (asked * PAGE_SIZE).min(end - at);
            // SAFETY: the range lies inside our mapping, its start is page-aligned, and `pages`
            // has a byte for each of its pages.
            let told =
                unsafe { libc::mincore(address.cast_mut().cast(), length, pages.as_mut_ptr()) };
            if told != 0 || pages[..asked].iter().any(|page| page & 1 == 0) {
                return false;
            }
            at += asked * PAGE_SIZE;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn mapped(content: &[u8]) -> (File, PageMap) {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("written");
        let map = PageMap::new(&file, content.len()).expect("mapped");
        (file, map)
    }

    #[test]
    fn ranges_are_those_of_the_file() {
        let content: Vec<u8> =
            (0..3 * PAGE_SIZE).map(|at| u8::try_from(at % 251).expect("small")).collect();
        let (_file, map) = mapped(&content);
        for (offset, size) in [(0, 1), (4095, 2), (100, 8000), (0, content.len())] {
            let start = usize::try_from(offset).expect("small");
            assert_eq!(map.bytes(offset, size), Some(&content[start..start + size]));
            assert!(map.is_resident(offset, size), "just written");
        }
        for (offset, size) in [(0, content.len() + 1), (u64::MAX, 1), (1, usize::MAX)] {
            assert_eq!(map.bytes(offset, size), None);
            assert!(!map.is_resident(offset, size));
        }
        assert!(!map.is_lost());
    }

    #[test]
    fn a_truncated_file_is_lost_and_the_process_lives() {
        let (file, map) = mapped(&vec![7; 4 * PAGE_SIZE]);
        let (whole, other) = mapped(&vec![9; PAGE_SIZE]);
        file.set_len(0).expect("truncated");
        let range = map.bytes(5000, 8000).expect("mapped");
        assert_eq!(range.iter().map(|&byte| u64::from(byte)).sum::<u64>(), 0);
        assert!(map.is_lost());
        assert_eq!(other.bytes(0, 1), Some(&[9][..]));
        assert!(!other.is_lost());
        drop(whole);
    }
}
