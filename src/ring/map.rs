//! A file's pages as addresses, to ask which of them are in the page cache.
//!
//! The mapping is made without any access right: nothing is ever read through it, so a file that
//! is truncated by a stranger, or a disk that fails, gives an error of `pread` or `sendfile` and
//! never a SIGBUS.

#![allow(unsafe_code)] // mmap, munmap and mincore work on addresses

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

const PAGE_SIZE: usize = 4096;
/// Pages asked about in one call: 4 MiB.
const PAGES_ASKED: usize = 1024;

/// A mapping of a whole file that can't be dereferenced.
#[derive(Debug)]
pub struct PageMap {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: the addresses are never dereferenced; the kernel's calls on them are thread-safe.
unsafe impl Send for PageMap {}
// SAFETY: as above; no method changes the mapping.
unsafe impl Sync for PageMap {}

impl PageMap {
    /// Maps the first `size` bytes of `file`.
    ///
    /// # Errors
    ///
    /// What the kernel says, such as too many mappings.
    pub fn new(file: &File, size: usize) -> Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice, with no access right, takes
        // nothing from anyone.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_NONE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(Error::last_os_error)?;
        Ok(Self { base, size })
    }

    /// True where every page of a range is in the page cache; false for a range outside the file.
    pub fn is_resident(&self, offset: u64, size: usize) -> bool {
        let Ok(offset) = usize::try_from(offset) else { return false };
        let Some(end) = offset.checked_add(size).filter(|end| *end <= self.size) else {
            return false;
        };
        let mut at = offset - offset % PAGE_SIZE;
        let mut pages = [0_u8; PAGES_ASKED];
        while at < end {
            let asked = (end - at).div_ceil(PAGE_SIZE).min(PAGES_ASKED);
            // SAFETY: `at` is under `size`, so the address lies inside our mapping.
            let address = unsafe { self.base.as_ptr().add(at) };
            let length = (asked * PAGE_SIZE).min(self.size - at);
            // SAFETY: the range lies inside our mapping, its start is page-aligned because `base`
            // and `at` are, and `pages` has a byte for each of its pages.
            if unsafe { libc::mincore(address.cast(), length, pages.as_mut_ptr()) } != 0 {
                return false;
            }
            if pages[..asked].iter().any(|page| page & 1 == 0) {
                return false;
            }
            at += asked * PAGE_SIZE;
        }
        true
    }
}

impl Drop for PageMap {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this size, and no address of it has been given away.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size) };
    }
}
