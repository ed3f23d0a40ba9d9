//! How many shards to run, on which processors, and what the kernel says of their threads.

use super::sys;
use std::num::NonZeroUsize;
use std::time::Duration;
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

/// What a thread does, as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// State of proc_pid_stat(5): `R` runs or could run, `D` waits for a disk.
    pub state: char,
    /// Processor time that it has had so far.
    pub ran: Duration,
    /// How long it could have run so far, and was given no processor; known when it is given one.
    pub waited: Duration,
}

/// What a thread of this process does; `None` where the kernel does not say.
#[must_use]
pub fn activity(thread: i32) -> Option<Activity> {
    let folder = format!("/proc/self/task/{thread}");
    let line = fs::read_to_string(format!("{folder}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let state = line.rsplit_once(") ")?.1.chars().next()?;
    let times = fs::read_to_string(format!("{folder}/schedstat")).ok()?;
    let mut times = times.split(' ').map_while(|time| time.parse().ok().map(Duration::from_nanos));
    Some(Activity { state, ran: times.next()?, waited: times.next()? })
}
