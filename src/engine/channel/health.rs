//! Whether an input delivers. Judged by sound media that goes on and comes by its deadline, never
//! by connections or arrivals: an encoder that sends the same instant again and again is dead.

use crate::units::{MediaTime, Monotonic};
use std::collections::VecDeque;
use std::time::Duration;

/// Starts remembered, to tell media that goes on from media that stands still. An encoder's
/// variants begin together, so that this is about as many targets.
const START_COUNT_MAX: usize = 8;

/// One input's health.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Source times at which its newest sound segments of the leading kind began.
    starts: VecDeque<MediaTime>,
    /// Until when it counts as healthy without another one.
    until: Option<Monotonic>,
    /// Since when it has been healthy without a break.
    since: Option<Monotonic>,
}

impl Health {
    /// A sound segment that begins at source time `start` is here. The next one is due after
    /// `span`, and half of that is its grace.
    pub fn on_sound(&mut self, now: Monotonic, start: MediaTime, span: Duration) {
        if self.starts.contains(&start) {
            return;
        }
        if self.starts.len() == START_COUNT_MAX {
            self.starts.pop_front();
        }
        self.starts.push_back(start);
        self.presume(now, span);
    }

    /// Counts as healthy for want of a memory from before a restart of ours.
    pub fn presume(&mut self, now: Monotonic, span: Duration) {
        if !self.is_healthy(now) {
            self.since = Some(now);
        }
        let until = now + span * 3 / 2;
        self.until = self.until.max(Some(until));
    }

    /// Nobody was looking for `pause`: deadlines move by as much.
    pub fn excuse(&mut self, pause: Duration) {
        self.until = self.until.map(|until| until + pause);
    }

    /// True while no deadline has passed.
    pub fn is_healthy(&self, now: Monotonic) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// How long it has been healthy without a break; zero where it is not.
    pub fn healthy_for(&self, now: Monotonic) -> Duration {
        let since = self.since.filter(|_| self.is_healthy(now));
        since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(2);

    fn at(halves: u32) -> Monotonic {
        Monotonic(Duration::from_millis(500) * halves)
    }

    /// Every sequence of what can happen in half a second, up to eight of them.
    #[test]
    fn it_is_healthy_for_a_span_and_a_half_after_media_that_goes_on() {
        #[derive(Clone, Copy, PartialEq)]
        enum Step {
            Nothing,
            Fresh,
            Frozen,
        }
        let steps = [Step::Nothing, Step::Fresh, Step::Frozen];
        for sequence in 0..3_usize.pow(8) {
            let mut health = Health::default();
            let (mut newest, mut begun, mut start) = (None, None, 0);
            for half in 0..8 {
                let step = steps[sequence / 3_usize.pow(half) % 3];
                let now = at(half);
                let was = newest.is_some_and(|it| half < it + 6);
                match step {
                    Step::Nothing => {}
                    Step::Fresh => {
                        start += 1;
                        begun = if was { begun } else { Some(half) };
                        newest = Some(half);
                        health.on_sound(now, MediaTime(start), SPAN);
                    }
                    // What never came before is fresh.
                    Step::Frozen if start == 0 => {}
                    Step::Frozen => health.on_sound(now, MediaTime(start), SPAN),
                }
                let is = newest.is_some_and(|it| half < it + 6);
                assert_eq!(health.is_healthy(now), is, "{sequence} {half}");
                let span = begun.filter(|_| is).map_or(0, |begun| half - begun);
                assert_eq!(health.healthy_for(now), at(span).0, "{sequence} {half}");
            }
        }
    }

    #[test]
    fn a_pause_of_the_machine_is_nobodys_fault() {
        let mut health = Health::default();
        health.on_sound(at(0), MediaTime(1), SPAN);
        assert!(!health.is_healthy(at(20)));
        health.excuse(at(20).0);
        assert!(health.is_healthy(at(20)));
    }
}
