//! Raw system calls that neither the standard library nor socket2 has. Each is one call and turns
//! its result into an `io::Result`; retries and waiting are the caller's.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Sends up to `size` bytes of `file` from `offset` to `socket`, through the page cache
/// (sendfile(2)). Returns the bytes that the socket took; 0 where the file ends at `offset`.
pub fn sendfile(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    size: usize,
) -> io::Result<usize> {
    let mut position = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: both descriptors are borrowed and so open; `position` outlives the call.
    let sent =
        unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &raw mut position, size) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A nonblocking event counter (eventfd(2)) at zero.
pub fn event_counter() -> io::Result<File> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor and nobody else has it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Processor time that this thread has used (clock_gettime(2)).
///
/// # Errors
///
/// The system's.
pub fn thread_time() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    match (code, seconds, nanoseconds) {
        (0, Ok(seconds), Ok(nanoseconds)) => Ok(Duration::new(seconds, nanoseconds)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Raises the number of descriptors that this process may have to what it may raise it to, and
/// returns it (getrlimit(2), RLIMIT_NOFILE).
///
/// # Errors
///
/// The system's.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: `raised` outlives the call.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } {
        0 => Ok(raised.rlim_cur),
        _ => Ok(limit.rlim_cur),
    }
}

/// The number by which the kernel knows this thread (gettid(2)).
#[must_use]
pub fn thread_id() -> i32 {
    // SAFETY: takes no pointers, and cannot fail.
    unsafe { libc::gettid() }
}

/// The processors that this thread may run on, ascending (sched_getaffinity(2)).
pub fn affinity() -> io::Result<Vec<usize>> {
    // SAFETY: a cpu_set_t is an array of integers, for which all zeroes is a value.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the size given is that of `set`, which outlives the call.
    let code = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    let count = 8 * size_of_val(&set);
    // SAFETY: every index is below the number of bits in `set`.
    Ok((0..count).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

/// Borrows the descriptor of a type of the runtime, which lends only its number.
pub fn borrow<T: AsRawFd>(owner: &T) -> BorrowedFd<'_> {
    // SAFETY: `owner` holds the descriptor open for as long as the borrow lasts.
    unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) }
}

/// Takes the descriptor out of a type of the runtime, which gives only its number.
pub fn take<T: IntoRawFd>(owner: T) -> OwnedFd {
    // SAFETY: `into_raw_fd` has given ownership away, to us alone.
    unsafe { OwnedFd::from_raw_fd(owner.into_raw_fd()) }
}

/// Bytes that wait in a socket to be sent or acknowledged (tcp(7), SIOCOUTQ); 0 where the kernel
/// does not say.
pub fn queued_size(socket: RawFd) -> u64 {
    let mut size: libc::c_int = 0;
    // SAFETY: the request writes one int to `size`, which outlives the call; callers name a
    // descriptor that they hold open.
    let code = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut size) };
    if code == 0 { u64::try_from(size).unwrap_or(0) } else { 0 }
}

/// Ends the receiving half of a socket (`how` = SHUT_RD) or all of it (SHUT_RDWR). A socket that
/// is not connected any more is as good as shut down.
pub fn shut_down(socket: RawFd, how: libc::c_int) {
    // SAFETY: takes no pointers; callers name a descriptor that they hold open.
    let _ = unsafe { libc::shutdown(socket, how) };
}
