//! Judging heartbeats: times in, verdicts out.
//!
//! One judge looks at all shards, so that no two decide on one shard at once, and a shard without
//! neighbours is watched too. A look adds to a shard's silence what has passed since the look
//! before it, as far as the silence is the shard's own: not where the judge comes late himself (the
//! machine was paused, or is starved), not while the shard's thread waits for a disk, and not for
//! the time in which it could run and was given no processor.

use crate::limits::{SHARD_SILENCE_MAX, SHARD_STUCK_SPAN_MAX, SHARD_TICK_SPAN};
use crate::shard::rt::Activity;
use std::time::Duration;

/// What the judge sees of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sign {
    /// How often it has said that it lives.
    pub beats: u64,
    /// What its thread does, where that was asked for.
    pub activity: Option<Activity>,
}

/// What the judge thinks of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lives, or has not been silent for long.
    Well,
    /// It has been silent for longer than it may: its channels and connections are given up.
    Stalled,
    /// It does not come back: the process ends, for the service manager to start anew.
    Stuck,
}

/// How long one shard has been silent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judge {
    seen: Sign,
    silence: Duration,
}

impl Judge {
    /// Looks at the shard, `elapsed` after the last look.
    pub fn look(&mut self, elapsed: Duration, sign: Sign) -> Verdict {
        if sign.beats != self.seen.beats {
            self.silence = Duration::ZERO;
        } else if elapsed < 2 * SHARD_TICK_SPAN {
            self.silence += self.own_part(elapsed, sign);
        }
        self.seen = sign;
        match self.silence {
            silence if silence >= SHARD_STUCK_SPAN_MAX => Verdict::Stuck,
            silence if silence >= SHARD_SILENCE_MAX => Verdict::Stalled,
            _ => Verdict::Well,
        }
    }

    /// The part of `elapsed` in which nobody but the shard kept its thread from going on.
    fn own_part(&self, elapsed: Duration, sign: Sign) -> Duration {
        match (sign.activity, self.seen.activity) {
            (Some(now), _) if now.state == 'D' => Duration::ZERO,
            // What it waits for now is known later: it has run, or waits still.
            (Some(now), Some(before)) if now.state == 'R' => {
                elapsed.min(now.ran.saturating_sub(before.ran))
            }
            (Some(now), Some(before)) => {
                elapsed.saturating_sub(now.waited.saturating_sub(before.waited))
            }
            _ => elapsed,
        }
    }

    /// Since when nothing has been heard of the shard, in the judge's time.
    #[must_use]
    pub const fn silence(&self) -> Duration {
        self.silence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOOK: Duration = SHARD_TICK_SPAN;

    fn sign(beats: u64) -> Sign {
        Sign { beats, activity: None }
    }

    fn doing(state: char, ran_ms: u64) -> Sign {
        waiting(state, ran_ms, 0)
    }

    fn waiting(state: char, ran_ms: u64, waited_ms: u64) -> Sign {
        let [ran, waited] = [ran_ms, waited_ms].map(Duration::from_millis);
        Sign { beats: 0, activity: Some(Activity { state, ran, waited }) }
    }

    /// Looks until it is no longer `verdict`; how many looks that took.
    fn looks_while(judge: &mut Judge, verdict: Verdict, elapsed: Duration, sign: Sign) -> usize {
        let mut looks = 0;
        while looks < 10_000 && judge.look(elapsed, sign) == verdict {
            looks += 1;
        }
        looks
    }

    #[test]
    fn silence_leads_from_one_verdict_to_the_next() {
        let mut judge = Judge::default();
        assert_eq!(judge.look(LOOK, sign(1)), Verdict::Well);
        assert_eq!(looks_while(&mut judge, Verdict::Well, LOOK, sign(1)), 9);
        assert_eq!(judge.silence(), SHARD_SILENCE_MAX);
        assert_eq!(looks_while(&mut judge, Verdict::Stalled, LOOK, sign(1)), 89);
        assert_eq!(judge.look(LOOK, sign(1)), Verdict::Stuck);
        assert_eq!(judge.look(LOOK, sign(2)), Verdict::Well, "it is back");
        assert_eq!(judge.silence(), Duration::ZERO);
    }

    #[test]
    fn a_pause_of_the_machine_is_nobodys_silence() {
        let mut judge = Judge::default();
        judge.look(LOOK, sign(1));
        assert_eq!(judge.look(Duration::from_mins(10), sign(1)), Verdict::Well);
        assert_eq!(judge.look(LOOK, sign(2)), Verdict::Well);
        // Starved: every look comes late, and every beat too.
        for beats in 3..100 {
            assert_eq!(judge.look(Duration::from_secs(3), sign(beats / 4)), Verdict::Well);
        }
    }

    #[test]
    fn whom_the_kernel_holds_is_not_judged() {
        for held in [doing('D', 7), doing('R', 7)] {
            let mut judge = Judge::default();
            judge.look(Duration::ZERO, held);
            assert_eq!(looks_while(&mut judge, Verdict::Well, LOOK, held), 10_000);
            assert_eq!(looks_while(&mut judge, Verdict::Well, LOOK, doing('S', 7)), 9);
            judge.look(Duration::ZERO, held);
            assert_eq!(looks_while(&mut judge, Verdict::Stalled, LOOK, held), 10_000);
        }
    }

    #[test]
    fn who_spins_sleeps_or_is_stopped_is_judged() {
        let spins = |look| doing('R', 100 * look);
        let cases: [fn(u64) -> Sign; 3] = [spins, |_| doing('S', 7), |_| doing('T', 7)];
        for case in cases {
            let mut judge = Judge::default();
            let verdicts = (1..=10).map(|look| judge.look(LOOK, case(look)));
            let verdicts: Vec<Verdict> = verdicts.collect();
            assert_eq!(verdicts[8..], [Verdict::Well, Verdict::Stalled]);
        }
    }

    #[test]
    fn who_is_given_little_time_is_judged_by_that() {
        // A fifth of a processor: seen on it or waiting for it, or asleep for a moment.
        let cases: [fn(u64) -> Sign; 2] =
            [|look| waiting('R', 20 * look, 0), |look| waiting('S', 20 * look, 80 * look)];
        for case in cases {
            let mut judge = Judge::default();
            judge.look(Duration::ZERO, case(0));
            let looks = (1..).take_while(|&look| judge.look(LOOK, case(look)) == Verdict::Well);
            assert_eq!(looks.count(), 49, "a second of its own takes five");
        }
    }

    proptest! {
        /// Who beats at least once in four looks is well, whenever the looks come.
        #[test]
        fn who_beats_is_well(looks in prop::collection::vec((0_u64..20_000, 0_u64..4), 1..200)) {
            let mut judge = Judge::default();
            let (mut beats, mut silent) = (0, 0);
            for (elapsed, beaten) in looks {
                silent = if beaten == 0 { silent + 1 } else { 0 };
                beats += beaten + u64::from(silent == 4);
                silent %= 4;
                let verdict = judge.look(Duration::from_millis(elapsed), sign(beats));
                prop_assert_eq!(verdict, Verdict::Well);
            }
        }
    }
}
