//! A shard: one pinned thread with its runtime, listeners, connections and mailbox.
//!
//! Everything that a shard owns stays on its thread. What crosses threads is owned by the message
//! that carries it ([`mailbox`]). This layer knows sockets, requests and plans; it knows no codec,
//! container or playlist.

pub mod backoff;
pub mod changeover;
pub mod connection;
pub mod counters;
pub mod fields;
pub mod held;
pub mod history;
pub mod incoming;
pub mod ingest;
pub mod listener;
pub mod log_gate;
pub mod made;
pub mod mailbox;
#[cfg(test)]
mod mailbox_tests;
pub mod member;
pub mod moving;
pub mod node;
pub mod outgoing;
pub mod owner;
pub mod pace;
pub mod playback;
pub mod quarantine;
pub mod rendering;
pub mod reopen;
pub mod rt;
pub mod shared;
pub mod site;
pub mod succession;
mod sync;
pub mod turns;
pub mod watch;

#[cfg(test)]
mod tests;
