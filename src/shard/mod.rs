//! Threads that serve: one per core, nothing shared but what is counted and published.

pub mod counters;
