//! One record per request, from the shards to the log.
//!
//! A shard pushes and never waits; the control thread drains. What does not fit is counted.

use crate::http::request::Method;
use crate::limits::ACCESS_RECORD_COUNT_MAX;
use crate::units::WallClock;
use crossbeam::queue::ArrayQueue;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A request that has ended, well or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRecord {
    /// When its head was complete.
    pub at: WallClock,
    /// From then until the response had been handed to the kernel.
    pub lasted: Duration,
    /// The client's address.
    pub peer: SocketAddr,
    /// The method.
    pub method: Method,
    /// The target as it came.
    pub target: String,
    /// The User-Agent field.
    pub user_agent: Option<String>,
    /// The status sent.
    pub status: u16,
    /// Bytes of the request's body that were read, as decoded.
    pub received: u64,
    /// Bytes of the response, head included; those promised where it was cut.
    pub sent: u64,
    /// Why the response was cut.
    pub cut: Option<String>,
}

/// The queue between one shard and the log.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: ArrayQueue<AccessRecord>,
    dropped: AtomicU64,
}

impl Default for AccessLog {
    fn default() -> Self {
        let queue = ArrayQueue::new(ACCESS_RECORD_COUNT_MAX);
        Self(Arc::new(Shared { queue, dropped: AtomicU64::new(0) }))
    }
}

impl AccessLog {
    /// Queues a record, or counts it as dropped where the queue is full.
    pub fn push(&self, record: AccessRecord) {
        if self.0.queue.push(record).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The oldest record.
    #[must_use]
    pub fn pop(&self) -> Option<AccessRecord> {
        self.0.queue.pop()
    }

    /// Records that found the queue full.
    #[must_use]
    pub fn dropped_count(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}
