//! Which nonce counts were used already (RFC 7616 §3.4, nc): a table of fixed size that all
//! shards share.
//!
//! Locking costs some 20 ns once per authenticated request head, never per byte of a body; the
//! locks are one per set, and nothing is called while one is held.

use super::nonce::Nonce;
use crate::limits::{REPLAY_SET_COUNT, REPLAY_SET_SIZE};
use crate::units::WallClock;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// The counts of one nonce: the highest, and which of the 64 up to it were used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    nonce: Nonce,
    highest: u32,
    /// Bit i stands for `highest - i`.
    used: u64,
}

impl Entry {
    /// Marks a count as used, unless it was or is too far below the highest to know.
    fn admit(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.used = self.used.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let Some(bit) = 1_u64.checked_shl(self.highest - count) else { return false };
        let first_use = self.used & bit == 0;
        self.used |= bit;
        first_use
    }
}

/// One part of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Set {
    entries: Vec<Entry>,
    /// The latest issue time of a nonce dropped from here. One not in the table and issued no
    /// later may have been used: it is refused as stale.
    dropped: Option<WallClock>,
}

impl Set {
    fn admit(&mut self, nonce: Nonce, count: u32, now: WallClock, in_use: bool) -> bool {
        // The clock was set back: what was dropped tells nothing about nonces issued from now on.
        if self.dropped.is_some_and(|dropped| dropped > now) {
            *self = Self::default();
        }
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.nonce == nonce) {
            return entry.admit(count);
        }
        // On its own connection a dropped nonce goes on without an entry: elsewhere it is stale.
        if self.dropped.is_some_and(|dropped| nonce.issued <= dropped) {
            return in_use;
        }
        self.entries.push(Entry { nonce, highest: count, used: 1 });
        if self.entries.len() > REPLAY_SET_SIZE {
            self.drop_oldest();
        }
        true
    }

    fn drop_oldest(&mut self) {
        let oldest = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.nonce.issued);
        if let Some((index, _)) = oldest {
            let entry = self.entries.swap_remove(index);
            self.dropped = self.dropped.max(Some(entry.nonce.issued));
        }
    }
}

/// The counts used with the latest nonces, [`REPLAY_SET_COUNT`] × [`REPLAY_SET_SIZE`] of them.
#[derive(Debug)]
pub struct ReplayWindow {
    sets: Box<[Mutex<Set>]>,
}

/// The counts used up to one moment, for the process that accepts the same nonces from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replays(Vec<Set>);

impl Default for ReplayWindow {
    fn default() -> Self {
        Self { sets: (0..REPLAY_SET_COUNT).map(|_| Mutex::default()).collect() }
    }
}

impl ReplayWindow {
    /// Marks `count` as used with `nonce`; false if it was used before, or can no longer be told
    /// from one that was. Only what a right digest came with belongs here: a stranger must not
    /// push other nonces out. `in_use` says that the nonce was accepted on this very connection
    /// before, which keeps it alive there after it was pushed out.
    pub fn admit(&self, nonce: Nonce, count: u32, now: WallClock, in_use: bool) -> bool {
        let sets = self.sets.len() as u64;
        let index = usize::try_from(nonce.serial % sets).unwrap_or(0);
        // A set is whole between any two statements, so a poisoned lock changes nothing.
        let mut set = self.sets[index].lock().unwrap_or_else(PoisonError::into_inner);
        set.admit(nonce, count, now, in_use)
    }

    /// The counts used so far.
    #[must_use]
    pub fn replays(&self) -> Replays {
        let copy = |set: &Mutex<Set>| set.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Replays(self.sets.iter().map(copy).collect())
    }

    /// Goes on from the counts that another process has seen. Those of a table of another size
    /// are left: `false`.
    #[must_use]
    pub fn go_on_from(&self, replays: Replays) -> bool {
        let fits = |set: &Set| set.entries.len() <= REPLAY_SET_SIZE;
        let is_of_this_size = replays.0.len() == self.sets.len() && replays.0.iter().all(fits);
        if is_of_this_size {
            for (own, other) in self.sets.iter().zip(replays.0) {
                *own.lock().unwrap_or_else(PoisonError::into_inner) = other;
            }
        }
        is_of_this_size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const NOW: WallClock = WallClock(1_000_000);

    fn nonce(issued: i64, serial: u64) -> Nonce {
        Nonce { issued: WallClock(issued), serial }
    }

    #[test]
    fn a_count_is_admitted_once_and_in_any_order_within_the_window() {
        let window = ReplayWindow::default();
        let counts = [
            (1, true),
            (1, false),
            (3, true),
            (2, true),
            (2, false),
            (66, true),
            (3, false),
            (4, true),
            (2, false),
            (u32::MAX, true),
            (u32::MAX, false),
            (66, false),
        ];
        for (count, admitted) in counts {
            assert_eq!(window.admit(nonce(1, 1), count, NOW, false), admitted, "{count}");
        }
        assert!(window.admit(nonce(1, 2), 1, NOW, false), "another nonce");
    }

    #[test]
    fn a_nonce_pushed_out_is_stale_and_newer_ones_are_not() {
        let window = ReplayWindow::default();
        let stride = REPLAY_SET_COUNT as u64;
        let size = REPLAY_SET_SIZE as u64;
        let in_one_set = |n: u64| nonce(1000 + i64::try_from(n).unwrap(), n * stride);
        for n in 0..=size {
            assert!(window.admit(in_one_set(n), 1, NOW, false));
        }
        assert!(!window.admit(in_one_set(0), 1, NOW, false), "replayed after being pushed out");
        assert!(!window.admit(in_one_set(0), 2, NOW, false), "cannot be told from a replay");
        assert!(window.admit(in_one_set(0), 2, NOW, true), "on its connection");
        assert!(window.admit(in_one_set(1), 2, NOW, false), "still known");
        assert!(!window.admit(in_one_set(1), 2, NOW, true), "replayed on its connection");
        assert!(!window.admit(in_one_set(1), 1, NOW, false));
        assert!(window.admit(in_one_set(size + 1), 1, NOW, false));
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out() {
        let window = ReplayWindow::default();
        let stride = REPLAY_SET_COUNT as u64;
        for n in 0..=REPLAY_SET_SIZE as u64 {
            assert!(window.admit(nonce(1_000_000, n * stride), 1, NOW, false));
        }
        assert!(window.admit(nonce(500, 99 * stride), 1, WallClock(500), false));
    }

    #[test]
    fn another_process_goes_on_from_it() {
        let (before, after) = (ReplayWindow::default(), ReplayWindow::default());
        for (serial, count) in [(1, 1), (1, 3), (2, 7), (1 + REPLAY_SET_COUNT as u64, 1)] {
            assert!(before.admit(nonce(1, serial), count, NOW, false));
        }
        let written = postcard::to_stdvec(&before.replays()).unwrap();
        assert!(after.go_on_from(postcard::from_bytes(&written).unwrap()));
        assert_eq!(after.replays(), before.replays());
        for (serial, count, admitted) in [(1, 3, false), (1, 2, true), (2, 7, false), (2, 8, true)]
        {
            assert_eq!(after.admit(nonce(1, serial), count, NOW, false), admitted, "{serial}");
        }
        assert!(!after.go_on_from(Replays(Vec::new())), "a table of another size");
        assert!(!after.admit(nonce(1, 1), 3, NOW, false), "which changes nothing");
    }

    #[test]
    fn shards_share_it() {
        let window = ReplayWindow::default();
        let admitted: usize = std::thread::scope(|scope| {
            let count_admitted =
                || (1..=64).filter(|count| window.admit(nonce(1, 1), *count, NOW, false)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count_admitted)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(admitted, 64);
    }

    proptest! {
        #[test]
        fn nothing_is_admitted_twice(
            uses in prop::collection::vec((0_i64..60, 1_u32..200), 0..400),
        ) {
            let window = ReplayWindow::default();
            let mut admitted = BTreeSet::new();
            for (n, count) in uses {
                let serial = u64::try_from(n).unwrap() * REPLAY_SET_COUNT as u64;
                if window.admit(nonce(n, serial), count, NOW, false) {
                    prop_assert!(admitted.insert((n, count)));
                }
            }
        }
    }
}
