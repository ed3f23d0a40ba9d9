//! Origins that start on the rings of channels that ran for long, pushed in seconds.

use crate::client::Response;
use crate::history::History;
use crate::origin::{Origin, channel_with, eventually};
use headwater::ring::{Durability, RingConfig, Storage};
use headwater::shard::reopen::RECORD_VERSION;
use headwater::units::WallClock;
use std::time::{SystemTime, UNIX_EPOCH};

const BODY_SIZE_MAX: u64 = 256 << 10;

/// What the channel `demo` has had pushed, up to now.
pub struct Past {
    /// Seconds of a segment.
    pub segment_seconds: u32,
    /// Segments of each of its three variants.
    pub count: u32,
    /// Bytes of a second of each track, a multiple of 4.
    pub sample_size: u32,
    /// What the ring holds.
    pub ring_mib: u64,
}

impl Past {
    /// A stopped origin with the channel and `endpoints`.
    pub fn origin(&self, endpoints: &str) -> Origin {
        let (ring, size_max) = (format!("{}MiB", self.ring_mib), BODY_SIZE_MAX >> 10);
        let channel = channel_with("demo", &ring, &format!("{size_max}KiB"));
        let origin = Origin::stopped(&(channel + endpoints));
        let config = RingConfig {
            dir: origin.storage().join("demo"),
            size: self.ring_mib << 20,
            body_size_max: BODY_SIZE_MAX,
            content_version: RECORD_VERSION,
            durability: Durability::default(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let lasted = i64::from(self.count) * i64::from(self.segment_seconds) * 1_000_000;
        let history = History {
            segment_seconds: self.segment_seconds,
            count: self.count,
            start: WallClock(i64::try_from(now).unwrap() - lasted),
            sample_size: self.sample_size,
        };
        history.write(&config, &Storage::start(1).unwrap());
        origin
    }
}

/// What a player gets that asks again for as long as it is told to: never that there is nothing.
pub fn awaited(origin: &Origin, path: &str) -> Response {
    eventually(&format!("{path} is read back"), || {
        let response = origin.get(path);
        if response.status == 503 {
            assert_eq!(response.field("retry-after"), Some("1"), "{response:?}");
            return None;
        }
        assert_eq!(response.status, 200, "{path}: {response:?}");
        Some(response)
    })
}
