//! Where io_uring is refused, as container runtimes do, the origin serves on epoll and says so.

#![allow(unsafe_code, reason = "a system call filter is set between fork and exec")]

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, demo};
use crate::playback::{CMAF, DASH, HLS, listed_with};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::io::{Error, Result};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// System call numbers of io_uring, the same on every architecture.
const FIRST_URING_CALL: u32 = 425;
const LAST_URING_CALL: u32 = 427;

/// Has `command` run with io_uring's system calls refused.
pub fn refuse_io_uring(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes system calls on values of its own, and
    // allocates nothing.
    unsafe { command.pre_exec(set_filter) };
}

/// Answers io_uring's system calls with EPERM and lets all others pass (seccomp(2)).
fn set_filter() -> Result<()> {
    let line = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt,
        jf,
        k,
    };
    let eperm = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPERM).unwrap_or_default();
    let mut filter = [
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        line(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 2, FIRST_URING_CALL),
        line(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 1, 0, LAST_URING_CALL),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, eperm),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 5, filter: filter.as_mut_ptr() };
    // SAFETY: sets a flag of this process.
    let confined = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let filtered =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if confined == 0 && filtered == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

#[test]
fn everything_plays_on_epoll() {
    let origin = Origin::start_without_io_uring(&demo());
    let ready = Connection::open(origin.control()).request("GET", "/readyz", &[], b"");
    assert!(ready.text().contains("epoll"), "{}", ready.text());
    assert!(origin.log().contains("epoll"));
    MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..SEGMENT_COUNT);
    for path in [HLS, CMAF, DASH] {
        for rendition in listed_with(&origin, path, SEGMENT_COUNT) {
            assert!(!rendition.fetched(&origin).is_empty(), "{path}");
        }
    }
}
