//! Slows down who guesses passwords: after ten wrong digests for a user from one address, one
//! guess a second is judged.
//!
//! The table has a fixed size. Whose slot is taken by another is forgotten, which costs a guesser
//! thousands of guesses and an encoder nothing. Nobody is held up for more than a minute, since an
//! encoder may share its address with a guesser.

use crate::limits::BACKOFF_SLOT_COUNT;
use crate::shard::listener::address_key;
use crate::units::Monotonic;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Wrong digests that are free.
const FREE_FAILURE_COUNT: u32 = 10;
/// Between two guesses after that.
const GUESS_SPAN: Duration = Duration::from_secs(1);
/// How long anyone is slowed down, and after what time a failure is forgotten.
const BACKOFF_SPAN_MAX: Duration = Duration::from_mins(1);

/// Who has failed lately; shared by all shards.
#[derive(Debug)]
pub struct Backoff {
    /// Keyed at random, so that nobody can aim at another's slot.
    hasher: RandomState,
    slots: Mutex<Vec<Slot>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    failures: u32,
    failed: Monotonic,
    slowed: Monotonic,
    guess_due: Monotonic,
}

impl Default for Backoff {
    fn default() -> Self {
        let slots = vec![Slot::default(); BACKOFF_SLOT_COUNT];
        Self { hasher: RandomState::new(), slots: Mutex::new(slots) }
    }
}

impl Backoff {
    /// Whether credentials of `user` from `address` are to be judged now.
    #[must_use]
    pub fn admits(&self, address: IpAddr, user: &str, now: Monotonic) -> bool {
        let key = self.key(address, user);
        let mut slots = self.lock();
        let slot = slot_of(&mut slots, key);
        if slot.key != key || slot.failures < FREE_FAILURE_COUNT {
            return true;
        }
        if now >= slot.failed + BACKOFF_SPAN_MAX || now >= slot.slowed + BACKOFF_SPAN_MAX {
            *slot = Slot::default();
            return true;
        }
        let is_due = now >= slot.guess_due;
        if is_due {
            slot.guess_due = now + GUESS_SPAN;
        }
        is_due
    }

    /// A digest was wrong.
    pub fn on_failure(&self, address: IpAddr, user: &str, now: Monotonic) {
        let key = self.key(address, user);
        let mut slots = self.lock();
        let slot = slot_of(&mut slots, key);
        if slot.key != key || now >= slot.failed + BACKOFF_SPAN_MAX {
            *slot = Slot { key, ..Slot::default() };
        }
        slot.failures += 1;
        slot.failed = now;
        if slot.failures == FREE_FAILURE_COUNT {
            slot.slowed = now;
            slot.guess_due = now + GUESS_SPAN;
        }
    }

    /// A digest was right.
    pub fn on_success(&self, address: IpAddr, user: &str) {
        let key = self.key(address, user);
        let mut slots = self.lock();
        let slot = slot_of(&mut slots, key);
        if slot.key == key {
            *slot = Slot::default();
        }
    }

    fn key(&self, address: IpAddr, user: &str) -> u64 {
        self.hasher.hash_one((address_key(address), user))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot_of(slots: &mut [Slot], key: u64) -> &mut Slot {
    let index = usize::try_from(key % BACKOFF_SLOT_COUNT as u64).expect("below a usize");
    &mut slots[index]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn at(milliseconds: u64) -> Monotonic {
        Monotonic(Duration::from_hours(1) + Duration::from_millis(milliseconds))
    }

    #[test]
    fn guesses_are_slowed_down_and_nobody_for_long() {
        let backoff = Backoff::default();
        let (guesser, other) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        for guess in 0..10 {
            assert!(backoff.admits(guesser.into(), "a", at(guess)), "{guess} is free");
            backoff.on_failure(guesser.into(), "a", at(guess));
        }
        assert!(!backoff.admits(guesser.into(), "a", at(10)));
        assert!(backoff.admits(guesser.into(), "b", at(10)), "another user");
        assert!(backoff.admits(other.into(), "a", at(10)), "another address");
        let mut judged = 0;
        for milliseconds in (10..60_000).step_by(10) {
            if backoff.admits(guesser.into(), "a", at(milliseconds)) {
                judged += 1;
                backoff.on_failure(guesser.into(), "a", at(milliseconds));
            }
        }
        assert!((58..=60).contains(&judged), "{judged} in a minute");
        assert!(backoff.admits(guesser.into(), "a", at(60_100)), "never for more than a minute");
        assert!(backoff.admits(guesser.into(), "a", at(60_101)));
    }

    #[test]
    fn the_right_password_ends_it() {
        let backoff = Backoff::default();
        let address = Ipv4Addr::LOCALHOST.into();
        for _ in 0..20 {
            backoff.on_failure(address, "a", at(0));
        }
        assert!(!backoff.admits(address, "a", at(1)));
        assert!(backoff.admits(address, "a", at(1_100)));
        backoff.on_success(address, "a");
        assert!(backoff.admits(address, "a", at(1_101)));
    }
}
