//! Bit rates and ages for the console, from counters that only grow.

use crate::control::status::ChannelStatus;
use crate::shard::counters::ChannelCounters;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long a rate is measured over.
const SPAN: Duration = Duration::from_secs(4);

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
    /// Forgets the channels that are not to be kept.
    pub fn retain(&self, is_kept: impl Fn(&str) -> bool) {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.retain(|(channel, _), _| is_kept(channel));
    }

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
            shown.alive = input.alive.value() == 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::status::InputStatus;

    fn shown(id: &str) -> ChannelStatus {
        let inputs = [1, 2].map(|input| InputStatus { input, ..InputStatus::default() });
        ChannelStatus { id: id.to_owned(), inputs: inputs.into(), ..ChannelStatus::default() }
    }

    #[test]
    fn an_input_is_alive_by_its_health_whatever_it_pushes() {
        let counters = ChannelCounters::default();
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        counters.inputs[0].segment_at_us.set_span(wall);
        counters.inputs[1].alive.set(1);
        let mut channel = shown("a");
        Rates::default().fill(&mut channel, &counters);
        let alive = channel.inputs.iter().map(|input| input.alive);
        assert_eq!(alive.collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn channels_that_were_taken_away_are_forgotten() {
        let rates = Rates::default();
        for id in ["a", "b"] {
            rates.fill(&mut shown(id), &ChannelCounters::default());
        }
        rates.retain(|id| id == "b");
        let inputs = rates.inputs.lock().unwrap();
        let mut kept: Vec<_> = inputs.keys().map(|(id, index)| (id.as_str(), *index)).collect();
        kept.sort_unstable();
        assert_eq!(kept, [("b", 0), ("b", 1)]);
    }
}
