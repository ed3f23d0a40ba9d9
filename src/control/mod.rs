//! The control plane: configuration, command line, logs, metrics, watch page, lifecycle.
//!
//! Cold path: it may allocate and may be slow, and where it dies viewers do not notice. No media
//! byte passes here.

pub mod access_log;
pub mod apply;
pub mod cache;
pub mod cli;
pub mod config;
mod crash_journal;
pub mod diff;
mod faults;
pub mod http;
pub mod inspect;
pub mod lifecycle;
pub mod log;
pub mod metrics;
pub mod plane;
pub mod rates;
mod shards;
pub mod sockets;
pub mod start;
pub mod status;
pub mod storage_lock;
pub mod supervisor;
pub mod takeover;
pub mod timeline;
