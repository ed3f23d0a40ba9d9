//! The system calls on files that the standard library doesn't offer.

#![allow(unsafe_code)] // system calls that take raw descriptors and pointers

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;

fn offset_of(value: u64) -> Result<libc::off_t> {
    libc::off_t::try_from(value).map_err(|_| Error::from(ErrorKind::InvalidInput))
}

/// Allocates the first `size` bytes of `file` on its disk and makes it that long.
///
/// # Errors
///
/// [`ErrorKind::StorageFull`] where the disk has no room; else what the kernel says.
pub fn allocate(file: &File, size: u64) -> Result<()> {
    let size = offset_of(size)?;
    loop {
        // SAFETY: takes no pointer; the descriptor is open as long as `file` is borrowed.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size) } == 0 {
            return Ok(());
        }
        let error = Error::last_os_error();
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Where from `offset` on the file has been written to next; `None` where nowhere, or where the
/// filesystem doesn't tell and `offset` is behind the end.
///
/// # Errors
///
/// What the kernel says.
pub fn next_data(file: &File, offset: u64) -> Result<Option<u64>> {
    // SAFETY: takes no pointer; the descriptor is open as long as `file` is borrowed. Its position
    // moves, which nobody uses.
    let found = unsafe { libc::lseek(file.as_raw_fd(), offset_of(offset)?, libc::SEEK_DATA) };
    match u64::try_from(found) {
        Ok(found) => Ok(Some(found)),
        Err(_) => match Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            error => Err(error),
        },
    }
}

/// Says that `file` is read in no order, so that reading one range doesn't bring in what follows.
///
/// # Errors
///
/// What the kernel says.
pub fn expect_no_order(file: &File) -> Result<()> {
    // SAFETY: takes no pointer; the descriptor is open as long as `file` is borrowed.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) } {
        0 => Ok(()),
        error => Err(Error::from_raw_os_error(error)),
    }
}

/// Starts reading a range into the page cache; may wait for the disk.
///
/// # Errors
///
/// What the kernel says.
pub fn read_ahead(file: &File, offset: u64, size: usize) -> Result<()> {
    let offset = offset_of(offset)?;
    // SAFETY: takes no pointer; the descriptor is open as long as `file` is borrowed.
    if unsafe { libc::readahead(file.as_raw_fd(), offset, size) } == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}

/// Reads what the page cache holds of a range, without waiting for the disk.
///
/// # Errors
///
/// [`ErrorKind::WouldBlock`] where the first byte isn't in the page cache; else what the kernel
/// says.
pub fn read_cached(file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let offset = offset_of(offset)?;
    let piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `piece` describes `buffer`, which is borrowed mutably until the call returns, and
    // the count says that there is one piece.
    let read =
        unsafe { libc::preadv2(file.as_raw_fd(), &raw const piece, 1, offset, libc::RWF_NOWAIT) };
    usize::try_from(read).map_err(|_| Error::last_os_error())
}
