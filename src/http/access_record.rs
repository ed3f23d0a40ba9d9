//! What is told about a request once it is over, and the bounded queue that takes it away.
//!
//! A shard fills an [`AccessRecord`] and pushes it; somebody else writes it down. Pushing never
//! waits and makes no system call: a full queue loses the record and counts it. Where nobody
//! writes them down, records need not be made at all.

use crate::limits::ACCESS_RECORD_COUNT_MAX;
use crate::units::{InputNumber, WallClock};
use crossbeam::queue::ArrayQueue;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// One finished request. Texts are as the client sent them, control characters and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRecord {
    /// When its head was complete.
    pub event_timestamp: WallClock,
    /// The peer's address.
    pub client_ip: IpAddr,
    /// From the request's last byte to the response's first.
    pub time_to_first_byte: Duration,
    /// Status of the response.
    pub status_code: u16,
    /// Why, where the status alone does not tell.
    pub reason: Option<&'static str>,
    /// Bytes of the request's body.
    pub received_bytes: u64,
    /// Bytes of the response's body.
    pub sent_bytes: u64,
    /// The request's method; `-`, like path and protocol, where what came was no request.
    pub method: Box<str>,
    /// Its path, without the query.
    pub request: Box<str>,
    /// Its query, without the question mark.
    pub request_query_params: Option<Box<str>>,
    /// `HTTP/1.1`.
    pub protocol: &'static str,
    /// The `User-Agent` field.
    pub user_agent: Option<Box<str>>,
    /// The name in the TLS handshake.
    pub domain_name: Option<Box<str>>,
    /// Unique within the process.
    pub request_id: u64,
    /// What it was for.
    pub target: AccessTarget,
}

/// What a request was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    /// Nothing that is configured.
    Unknown,
    /// A push to a channel's input.
    Ingest {
        /// The channel.
        channel_id: Arc<str>,
        /// Its input.
        input_index: InputNumber,
    },
    /// Playback of an endpoint.
    Egress {
        /// The endpoint's channel.
        channel_id: Arc<str>,
        /// The endpoint.
        endpoint_id: Arc<str>,
        /// Name of the manifest; `None` for segments.
        manifest_name: Option<Box<str>>,
        /// What kind of manifest; `None` for segments.
        manifest_type: Option<&'static str>,
    },
}

/// A shard's records on their way to the log.
#[derive(Debug)]
pub struct AccessQueue {
    records: ArrayQueue<AccessRecord>,
    lost: AtomicU64,
    is_open: AtomicBool,
}

impl Default for AccessQueue {
    fn default() -> Self {
        let records = ArrayQueue::new(ACCESS_RECORD_COUNT_MAX);
        Self { records, lost: AtomicU64::new(0), is_open: AtomicBool::new(false) }
    }
}

impl AccessQueue {
    /// Somebody takes records away from now on.
    pub fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// Whether somebody takes records away.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Hands `record` over, or counts it as lost where the queue is full.
    pub fn push(&self, record: AccessRecord) {
        if self.records.push(record).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The oldest record.
    #[must_use]
    pub fn pop(&self) -> Option<AccessRecord> {
        self.records.pop()
    }

    /// Records lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}
