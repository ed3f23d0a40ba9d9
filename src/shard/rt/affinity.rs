//! How many shards to run, and on which processors.

use super::sys;
use std::num::NonZeroUsize;
use std::{io, thread};

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
