//! The shards' threads: started, started again after a panic, and waited for.
//!
//! A shard that has panicked is given up first ([`crate::shard::succession`]) and starts again on a
//! thread of its own with nothing, as its old one may keep what the kernel still writes to. Where
//! panics come too often, or a shard cannot run at all, the process drains.

use crate::limits::{SHARD_RESTART_COUNT_MAX, SHARD_RESTART_SPAN};
use crate::shard::node;
use crate::shard::rt::{self, DriverChoice, ShardError, run_shard};
use crate::shard::shared::Shared;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Instant;
use std::{io, process, thread};

/// How a shard's thread ended.
enum End {
    Drained,
    Panicked(String),
    Failed(String),
}

/// The shards' threads.
pub struct Shards {
    shared: Arc<Shared>,
    cpus: Vec<usize>,
    ends: mpsc::Receiver<(usize, End)>,
    ending: mpsc::Sender<(usize, End)>,
    running: usize,
    restarts: VecDeque<Instant>,
}

impl Shards {
    /// Starts them all.
    ///
    /// # Errors
    ///
    /// Where the system gives no thread.
    pub fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (ending, ends) = mpsc::channel();
        let cpus = rt::cpus().unwrap_or_default();
        let restarts = VecDeque::new();
        let mut shards = Self { shared, cpus, ends, ending, running: 0, restarts };
        for shard in 0..shards.shared.shard_count() {
            shards.start_one(shard)?;
        }
        Ok(shards)
    }

    fn start_one(&mut self, shard: usize) -> io::Result<()> {
        // More shards than cores, as a test may want, share them unpinned.
        let is_pinned = self.shared.shard_count() <= self.cpus.len();
        let cpu = self.cpus.get(shard).copied().filter(|_| is_pinned);
        let (shared, ending) = (Arc::clone(&self.shared), self.ending.clone());
        let thread = thread::Builder::new().name(format!("shard-{shard}"));
        thread.spawn(move || {
            let end = catch_unwind(AssertUnwindSafe(|| run(shard, &shared, cpu)));
            // Beyond the shard's own guard nothing says what is in flight still.
            let end = end.unwrap_or_else(|_| process::abort());
            // Nobody waits only where the process ends.
            let _ = ending.send((shard, end));
        })?;
        self.running += 1;
        Ok(())
    }

    /// Waits for all of them to drain. Returns whether each did so in order.
    pub fn wait(mut self) -> bool {
        let mut is_well = true;
        while self.running > 0 {
            let Ok((shard, end)) = self.ends.recv() else { break };
            self.running -= 1;
            let failure = match end {
                End::Drained => continue,
                End::Panicked(failure) if self.may_restart() => {
                    tracing::error!(shard, failure, "a shard panicked; it starts again");
                    self.shared.members[shard].on_panic();
                    match self.start_one(shard) {
                        Ok(()) => continue,
                        Err(error) => error.to_string(),
                    }
                }
                End::Panicked(failure) | End::Failed(failure) => failure,
            };
            is_well = false;
            self.shared.members[shard].leave();
            tracing::error!(shard, failure, "a shard failed; the process drains");
            self.shared.draining.store(true, Ordering::Release);
        }
        is_well
    }

    /// Counts a restart, unless there were too many lately or the process ends.
    fn may_restart(&mut self) -> bool {
        let is_old = |at: &Instant| at.elapsed() >= SHARD_RESTART_SPAN;
        while self.restarts.front().is_some_and(is_old) {
            self.restarts.pop_front();
        }
        let may = self.restarts.len() < SHARD_RESTART_COUNT_MAX
            && !self.shared.draining.load(Ordering::Acquire);
        if may {
            self.restarts.push_back(Instant::now());
        }
        may
    }
}

fn run(shard: usize, shared: &Arc<Shared>, cpu: Option<usize>) -> End {
    let ended = run_shard(shard, cpu, DriverChoice::Best, async |driver| {
        node::run(shard, Arc::clone(shared), driver).await
    });
    match ended {
        Ok(Ok(())) => End::Drained,
        Ok(Err(error)) => End::Failed(error.to_string()),
        Err(error @ ShardError::Panicked { .. }) => End::Panicked(error.to_string()),
        Err(error @ ShardError::NoDriver { .. }) => End::Failed(error.to_string()),
    }
}
