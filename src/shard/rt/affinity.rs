//! How many shards to run, on which processors, and what the kernel says of their threads.

use super::sys;
use std::num::NonZeroUsize;
use std::{fs, io, thread};

/// Shards for this machine: processors in the affinity mask, or what the cgroup's quota amounts to
/// where that is less; at least one.
#[must_use]
pub fn shard_count() -> usize {
    // The standard library reads both the mask and the quotas of cgroup v1 and v2.
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The processors that the process may run on, ascending. Shard `i` is pinned to the one at
/// `i mod len`.
///
/// # Errors
///
/// Whatever sched_getaffinity(2) reports; shards then run unpinned.
pub fn cpus() -> io::Result<Vec<usize>> {
    sys::affinity()
}

/// Whether a thread of this process is in an uninterruptible wait, as for a disk that hangs: state
/// `D` of proc_pid_stat(5).
#[must_use]
pub fn waits_for_disk(thread: i32) -> bool {
    let line = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything.
    let state = line.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().next());
    state == Some("D")
}
