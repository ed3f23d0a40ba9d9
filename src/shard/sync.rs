//! What the mailbox shares memory by. It stands in one place so that `tests/models` can put types
//! in place of these that try every order in which threads may meet.

pub(super) use crossbeam::queue::ArrayQueue;
pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
pub(super) use std::sync::{Arc, Mutex};
