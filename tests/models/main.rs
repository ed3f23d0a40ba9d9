//! Models of what threads share: loom tries every order in which they may meet, and every value
//! that the memory model lets them see.
//!
//! The mailbox is the program's own file, built here of loom's types (`shard::sync` stands for
//! `src/shard/sync.rs`). The others are models of a few lines each, which name the code that they
//! stand for: what that does with files, these do with relaxed stores, which promise no more.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

mod fencing;
mod ring_file;
mod shard;
mod snapshot;
mod wake_up;

/// Tries every order, up to `preemptions` switches of threads that are not forced: enough for every
/// bug that two or three of them make together.
fn try_all(preemptions: usize, world: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(world);
}
