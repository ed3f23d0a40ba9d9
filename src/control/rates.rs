//! Bit rates and ages for the console, from counters that only grow.

use crate::control::status::ChannelStatus;
use crate::shard::counters::ChannelCounters;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long a rate is measured over.
const SPAN: Duration = Duration::from_secs(4);

/// An input without a segment for so long is shown as not alive.
const SILENCE: Duration = Duration::from_secs(15);

/// What was seen of each input lately.
#[derive(Debug, Default)]
pub struct Rates {
    inputs: Mutex<HashMap<(String, usize), Seen>>,
}

#[derive(Debug)]
struct Seen {
    since: Instant,
    bytes: u64,
    bits_per_second: u64,
}

impl Rates {
    /// Fills in what a channel's counters say.
    pub fn fill(&self, channel: &mut ChannelStatus, counters: &ChannelCounters) {
        let active = counters.active_input.value();
        channel.active_input = u8::try_from(active).ok().filter(|&input| input > 0);
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let window_seconds = counters.window_us.value() as f64 / 1e6;
        channel.window_seconds = window_seconds;
        let now = Instant::now();
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, shown) in channel.inputs.iter_mut().enumerate() {
            let Some(input) = counters.inputs.get(index) else { continue };
            let bytes = input.received_bytes.value();
            let seen = inputs.entry((channel.id.clone(), index)).or_insert(Seen {
                since: now,
                bytes,
                bits_per_second: 0,
            });
            let span = now.duration_since(seen.since);
            if span >= SPAN {
                let milliseconds = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
                seen.bits_per_second =
                    bytes.saturating_sub(seen.bytes) * 8_000 / milliseconds.max(1);
                (seen.since, seen.bytes) = (now, bytes);
            }
            shown.bits_per_second = seen.bits_per_second;
            let newest = Duration::from_micros(input.segment_at_us.value());
            let age = (!newest.is_zero()).then(|| wall.saturating_sub(newest));
            shown.last_segment_age_seconds = age.map(|age| age.as_secs_f64());
            shown.alive = age.is_some_and(|age| age < SILENCE);
        }
    }
}
