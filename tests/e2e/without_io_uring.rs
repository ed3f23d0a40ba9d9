//! Where io_uring is refused, as container runtimes do, the origin serves on epoll and says so.

#![allow(unsafe_code, reason = "a system call filter is set between fork and exec")]

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, demo};
use crate::playback::{CMAF, DASH, HLS, listed_with};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::io::{Error, Result};
use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// System call numbers of io_uring, the same on every architecture.
const FIRST_URING_CALL: u32 = 425;
const LAST_URING_CALL: u32 = 427;

/// All of them: to make a ring, to use it, to register things with it.
pub const URING_CALLS: RangeInclusive<u32> = FIRST_URING_CALL..=LAST_URING_CALL;

/// Has `command` run with these system calls refused.
pub fn refuse(calls: &RangeInclusive<u32>, command: &mut Command) {
    let (first, last) = (*calls.start(), *calls.end());
    // SAFETY: between fork and exec the closure makes system calls on values of its own, and
    // allocates nothing.
    unsafe { command.pre_exec(move || set_filter(first, last)) };
}

/// Answers system calls of these numbers with EPERM and lets all others pass (seccomp(2)).
fn set_filter(first: u32, last: u32) -> Result<()> {
    let line = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt,
        jf,
        k,
    };
    let eperm = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPERM).unwrap_or_default();
    let mut filter = [
        line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        line(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 2, first),
        line(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 1, 0, last),
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
fn co_18_everything_plays_on_epoll() {
    let origin = Origin::start_refused(URING_CALLS, &demo());
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

#[test]
fn co_19_half_of_io_uring_is_as_good_as_none() {
    for call in URING_CALLS {
        let origin = Origin::start_refused(call..=call, &demo());
        let ready = Connection::open(origin.control()).request("GET", "/readyz", &[], b"");
        assert!(ready.text().contains("epoll"), "{call}: {}", ready.text());
        MUXED.push(&mut Encoder::new(&origin, "demo", 1), 0..2);
        for rendition in listed_with(&origin, CMAF, 2) {
            assert!(!rendition.fetched(&origin).is_empty(), "{call}");
        }
    }
}
