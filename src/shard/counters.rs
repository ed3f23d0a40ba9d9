//! What is counted on the data plane: plain relaxed atomics in blocks of their own cache lines.
//!
//! Each block has one writing shard at a time, so that counting costs an uncontended add; readers
//! add the blocks up. Names, units and help texts belong to whoever shows them. Blocks are found
//! by configured ids only, so that no client can make one.

use crate::engine::channel::event::{Cause, SwitchReason};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that grows, or a gauge that is set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `amount` more.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Takes `amount` away from a gauge that had it added.
    pub fn sub(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Counts a time span, in whole microseconds.
    pub fn add_span(&self, span: Duration) {
        self.add(micros(span));
    }

    /// Sets a gauge to a time span, in whole microseconds.
    pub fn set_span(&self, span: Duration) {
        self.set(micros(span));
    }

    /// The number now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Buckets of a [`Histogram`] with an upper bound; one more takes the rest.
pub const BUCKET_COUNT: usize = 21;

/// Time spans in buckets whose bounds double from 64 µs to 67 s.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKET_COUNT + 1],
    sum_us: Counter,
}

impl Histogram {
    /// Upper bound of bucket `index`, inclusive, in microseconds.
    #[must_use]
    pub const fn bound_us(index: usize) -> u64 {
        64 << index
    }

    /// Counts one span.
    pub fn observe(&self, span: Duration) {
        let span = micros(span);
        let bounds = (0..BUCKET_COUNT).map(Self::bound_us);
        let index = bounds.take_while(|bound| *bound < span).count();
        self.buckets[index].add(1);
        self.sum_us.add(span);
    }

    /// Spans per bucket, not cumulated, and the sum of all spans in microseconds.
    #[must_use]
    pub fn values(&self) -> ([u64; BUCKET_COUNT + 1], u64) {
        (std::array::from_fn(|index| self.buckets[index].value()), self.sum_us.value())
    }
}

/// Responses by the first digit of their status.
#[derive(Debug, Default)]
pub struct StatusClasses([Counter; 4]);

impl StatusClasses {
    /// Labels of the classes, in order.
    pub const NAMES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

    /// Counts a response of `status`; below 200 is no response yet.
    pub fn count(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(2);
        if let Some(counter) = class.and_then(|class| self.0.get(class)) {
            counter.add(1);
        }
    }

    /// Responses of each class.
    #[must_use]
    pub fn values(&self) -> [u64; 4] {
        std::array::from_fn(|class| self.0[class].value())
    }
}

macro_rules! limits {
    ($($variant:ident $name:literal $what:literal,)*) => {
        /// A bound of [`crate::limits`] that traffic can hit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Limit {
            $(#[doc = $what] $variant,)*
        }

        impl Limit {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The constant's name in lower case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        const LIMIT_COUNT: usize = Limit::ALL.len();
    };
}

limits! {
    RequestLineSize "request_line_size" "A request line was too long.",
    HeaderFieldSize "header_field_size" "A header field was too long.",
    RequestHeadSize "request_head_size" "A request head was too long.",
    HeaderCount "header_count" "A request had too many header fields.",
    QuerySize "query_size" "A query, or one parameter of it, was too long.",
    TimeShift "time_shift_seconds" "A manifest was asked for too long a span.",
    HeldRequests "held_request_count" "Too many requests waited for a channel's next segment.",
    ResponseCache "response_cache" "A manifest was not kept for who asks next.",
    LoginGuesses "login_guesses" "Too many wrong digests came from one address.",
    RefusedBodyDrained "refused_body_drained" "A refused body went on for too long.",
    SegmentSize "segment_size" "A pushed segment was too big.",
    PlaylistSize "playlist_size" "A pushed playlist was too big.",
    GzipRatio "gzip_ratio" "A coded playlist was out of proportion.",
    RefusalLines "refusal_line_count" "A log line of a refused push was left out.",
    IngestPace "ingest_pace" "An input sent more than it may.",
    IngestMemory "ingest_memory" "No memory was left for a pushed body.",
    Connections "connections" "A connection was turned away.",
    SocketsQueued "sockets_queued_size" "Sockets held too much for a long response.",
    StorageQueue "storage_queue" "A storage queue was full.",
    ShardMailbox "shard_mailbox" "A shard's mailbox was full.",
    RingSpares "ring_spares" "No spare ring file was left.",
    Quarantine "quarantine_count" "A body that had failed was forgotten for another one.",
}

/// Counters of one shard.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Gauge: open connections.
    pub connections: Counter,
    /// Connections handed over to another shard.
    pub handed_over: Counter,
    /// Microseconds of a processor that the shard's thread used.
    pub busy_us: Counter,
    /// Requests that named nothing configured, or were no HTTP.
    pub stray_requests: Counter,
    /// Bytes that left by `sendfile`.
    pub spliced_bytes: Counter,
    /// Bytes that were copied from memory into sockets, heads included.
    pub copied_bytes: Counter,
    /// Gauge: bytes that wait in sockets to be sent or acknowledged.
    pub queued_bytes: Counter,
    /// Gauge: requests waiting for a storage thread.
    pub storage_queue: Counter,
    /// Answers whose manifest a making thread wrote, as it was too long for the shard.
    pub written_aside: Counter,
    /// Gauge: microseconds since the shard was last heard of.
    pub heartbeat_age_us: Counter,
    /// Times the shard was silent for too long and others took over.
    pub stalls: Counter,
    /// Times the shard panicked and others took over.
    pub panics: Counter,
    limits: [Counter; LIMIT_COUNT],
}

impl ShardCounters {
    /// Counts one hit of `limit`.
    pub fn hit(&self, limit: Limit) {
        self.add_hits(limit, 1);
    }

    /// Counts `hits` of `limit`.
    pub fn add_hits(&self, limit: Limit, hits: u64) {
        self.limits[limit as usize].add(hits);
    }

    /// Sets the hits of a limit that is counted elsewhere.
    pub fn set_hits(&self, limit: Limit, hits: u64) {
        self.limits[limit as usize].set(hits);
    }

    /// Hits of `limit`.
    #[must_use]
    pub fn hits(&self, limit: Limit) -> u64 {
        self.limits[limit as usize].value()
    }
}

/// Counters of one channel; its owner writes them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ChannelCounters {
    /// Its inputs, 1 and 2.
    pub inputs: [InputCounters; 2],
    /// Gauge: the input in use, 1 or 2; 0 for none.
    pub active_input: Counter,
    /// Times the input in use changed, by reason.
    pub input_switches: [Counter; SwitchReason::ALL.len()],
    /// Gauge: bytes of the ring that hold records.
    pub ring_used_bytes: Counter,
    /// Gauge: bytes of the ring.
    pub ring_bytes: Counter,
    /// Gauge: microseconds of media that can be played.
    pub window_us: Counter,
    /// Gauge: microseconds since the live edge moved.
    pub edge_age_us: Counter,
    /// Segments published.
    pub published_segments: Counter,
    /// From when a segment's copy was whole until it was shown to viewers.
    pub publication: Histogram,
    /// Segments published without media.
    pub gaps: Counter,
    /// Discontinuities published, by cause.
    pub discontinuities: [Counter; Cause::ALL.len()],
    /// Splice messages that were not known before.
    pub splices: Counter,
    /// Times the inputs' copies of a track were found to be apart.
    pub misaligned: Counter,
    /// Segments published with flaws, for want of a better copy.
    pub flawed: Counter,
    /// Restarts after a panic in its media state.
    pub restarts: Counter,
    /// Gauge: bytes of the ring that may not be on the disk.
    pub ring_unsynced_bytes: Counter,
    /// Gauge: those of them that never will be.
    pub ring_stranded_bytes: Counter,
    /// Gauge: files that have left the ring and still have readers.
    pub ring_lingering_files: Counter,
    /// Gauge: 1 while the ring's disk fails.
    pub ring_failing: Counter,
    /// Gauge: records that could not be written.
    pub ring_write_failures: Counter,
    /// Gauge: syncs of its files.
    pub ring_syncs: Counter,
    /// Gauge: microseconds that they took.
    pub ring_sync_us: Counter,
    /// Gauge: files that could not be synced.
    pub ring_sync_failures: Counter,
    /// Gauge: files that could not be made.
    pub ring_spare_failures: Counter,
    /// Records that were not given back as they were written.
    pub ring_checksum_failures: Counter,
    /// Records that a crash had left half written, when the ring was read back.
    pub ring_torn_records: Counter,
    /// Files that were unreadable or too short when the ring was read back.
    pub ring_lost_files: Counter,
    /// Gauge: microseconds that it took to read the ring back.
    pub ring_recovery_us: Counter,
    /// Gauge: 1 where the ring could not be read at the start.
    pub ring_refused: Counter,
    /// Gauge: files of the ring that are still to be read.
    pub ring_unread_files: Counter,
    /// Gauge: microseconds that it took to read the older files, once they are read.
    pub ring_fill_us: Counter,
    /// Writes of owners that had been replaced, refused.
    pub stale_writes: Counter,
    /// Times it went from a shard that was lost to another.
    pub adoptions: Counter,
    /// Gauge: microseconds from there until it went on, the last time.
    pub adoption_us: Counter,
}

/// Counters of one input of a channel.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct InputCounters {
    /// Bytes of bodies received.
    pub received_bytes: Counter,
    /// Requests answered.
    pub responses: StatusClasses,
    /// Requests refused for missing or wrong credentials.
    pub unauthorized: Counter,
    /// Segments committed.
    pub segments: Counter,
    /// Segments that were there already, with the same bytes.
    pub duplicates: Counter,
    /// Segments that were there already, with other bytes.
    pub divergent: Counter,
    /// Segments that were sent again with other bytes once they were published.
    pub overwritten: Counter,
    /// Segments of the input that is not in use, unlike those of the one that is.
    pub standby: Counter,
    /// Gauge: 1 while it delivers sound media by its deadlines.
    pub alive: Counter,
    /// Gauge: microseconds of Unix time when the newest segment was whole.
    pub segment_at_us: Counter,
    /// Segments that came damaged, refused or not.
    pub damaged: Counter,
    /// Bodies refused because one like them had made the process fail.
    pub quarantined: Counter,
    /// Segments under a name that another listed one has.
    pub names_reused: Counter,
    /// Listed segments that no playlist named in time.
    pub playlists_late: Counter,
    /// Splice messages that could not be read, or whose time is absurd.
    pub splices_refused: Counter,
    /// Discontinuities declared before a segment that was listed already.
    pub declared_late: Counter,
    /// Committed segments that came too late to be listed.
    pub unlisted: Counter,
    /// Listed segments whose media it brought.
    pub listed: Counter,
    /// How long after its due time a segment came.
    pub lateness: Histogram,
}

/// Counters of one endpoint on one shard.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct EndpointCounters {
    /// Requests answered.
    pub responses: StatusClasses,
    /// Bytes of bodies sent.
    pub sent_bytes: Counter,
    /// Manifests refused because no media came for too long.
    pub stale: Counter,
    /// From a request's last byte to its response's first, per status class.
    pub latency: [Histogram; 4],
}

impl EndpointCounters {
    /// Counts one response.
    pub fn count(&self, status: u16, sent_bytes: u64, latency: Duration) {
        self.responses.count(status);
        self.sent_bytes.add(sent_bytes);
        let class = usize::from(status / 100).checked_sub(2);
        if let Some(histogram) = class.and_then(|class| self.latency.get(class)) {
            histogram.observe(latency);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_fall_into_buckets() {
        let cases = [(0, 0), (64, 0), (65, 1), (128, 1), (129, 2), (67_108_864, 20)];
        for (us, bucket) in cases {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_micros(us));
            let (buckets, sum) = histogram.values();
            assert_eq!(buckets.iter().position(|count| *count == 1), Some(bucket), "{us}");
            assert_eq!(sum, us);
        }
        let histogram = Histogram::default();
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.values().0[BUCKET_COUNT], 1);
    }

    #[test]
    fn statuses_fall_into_classes() {
        let classes = StatusClasses::default();
        for status in [0, 100, 200, 206, 304, 404, 416, 499, 503, 600, u16::MAX] {
            classes.count(status);
        }
        assert_eq!(classes.values(), [2, 1, 3, 1]);
    }

    #[test]
    fn every_limit_has_a_counter_of_its_own() {
        let shard = ShardCounters::default();
        for limit in Limit::ALL {
            shard.hit(*limit);
        }
        for limit in Limit::ALL {
            assert_eq!(shard.hits(*limit), 1, "{}", limit.name());
        }
    }
}
