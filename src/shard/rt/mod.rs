//! The runtime, and the only place that names monoio, io_uring or a raw system call.
//!
//! Rules that the rest of the shard may rely on, each held by a test here:
//!
//! - **No task wakes itself.** monoio puts a task woken during its own poll at the front of the
//!   run queue, where it starves timers and completions for ever. Giving the turn away is
//!   [`Turnstile::pass`], an operation that completes on the next trip through the driver.
//! - **No read is dropped in flight**, because its bytes would be lost. A read that meets its
//!   deadline ends the receiving half of its socket, and is awaited ([`Socket::read_before`]).
//! - **A panic ends its task**, not the shard ([`spawn`]).
//! - **A crash is put down to what was being polled** ([`put_down_to`]).
//! - **A runtime is dropped only when no task is left**; else it is leaked, since the kernel may
//!   still write to the buffers of operations in flight ([`run_shard`]).

mod affinity;
mod clock;
mod driver;
mod last_words;
mod listener;
pub mod oneshot;
mod socket;
mod sys;
mod task;
mod turnstile;

pub use affinity::{Activity, activity, cpus, shard_count};
pub use clock::{Elapsed, now, sleep_until, timeout_at, wall};
pub use driver::{Driver, DriverChoice, ShardError, run_shard};
pub use last_words::{LastWords, Slot, own_slot, put_down_to, write_last_words_to};
pub use listener::{AcceptError, Listener};
pub use socket::{OpenSockets, Socket, SocketOptions, end_idle, open_sockets};
pub use sys::{raise_descriptor_limit, thread_id, thread_time};
pub use task::{guarded, spawn, task_panic_count, until};
pub use turnstile::Turnstile;

#[cfg(test)]
mod tests;
