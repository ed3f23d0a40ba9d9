//! Headwater: a live video origin.

pub mod control;
pub mod engine;
pub mod limits;
pub mod units;
