//! Headwater: a live video origin.

pub mod control;
pub mod engine;
pub mod http;
pub mod limits;
pub mod ring;
pub mod shard;
pub mod units;
