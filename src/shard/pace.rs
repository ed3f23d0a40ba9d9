//! How much an encoder may send: bodies and bytes per second of one input.
//!
//! A generic cell rate: each body moves the time at which all would be paid for, and is refused
//! while that lies too far ahead. What an encoder has kept back for a minute passes at once; one
//! that runs wild costs no more than its share.

use crate::limits::INGEST_BURST_SPAN;
use crate::units::Monotonic;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What an input may send per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceLimits {
    /// Bodies, of whatever kind.
    pub bodies_per_second: u32,
    /// Bits of bodies.
    pub bits_per_second: u64,
}

/// What an input has sent lately.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Debts>);

#[derive(Debug, Default)]
struct Debts {
    bodies_paid_at: Duration,
    bits_paid_at: Duration,
}

impl Pace {
    /// Whether one more body may come now; it then counts.
    #[must_use]
    pub fn admits(&self, now: Monotonic, limits: PaceLimits) -> bool {
        let mut debts = self.lock();
        let latest = now.0 + INGEST_BURST_SPAN;
        if debts.bodies_paid_at.max(debts.bits_paid_at) > latest {
            return false;
        }
        let each = Duration::from_secs(1) / limits.bodies_per_second.max(1);
        debts.bodies_paid_at = debts.bodies_paid_at.max(now.0) + each;
        true
    }

    /// A body of `size` bytes was received, whole or not.
    pub fn on_bytes(&self, now: Monotonic, size: u64, limits: PaceLimits) {
        let micros = u128::from(size) * 8_000_000 / u128::from(limits.bits_per_second.max(1));
        let cost = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let mut debts = self.lock();
        debts.bits_paid_at = debts.bits_paid_at.max(now.0).saturating_add(cost);
    }

    fn lock(&self) -> MutexGuard<'_, Debts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Monotonic {
        Monotonic(Duration::from_hours(1) + Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_backlog_passes_and_a_flood_is_held_to_its_rate() {
        let limits = PaceLimits { bodies_per_second: 10, bits_per_second: u64::MAX };
        let pace = Pace::default();
        let burst = 10 * INGEST_BURST_SPAN.as_secs();
        let admitted = (0..2 * burst).filter(|_| pace.admits(at(0), limits)).count() as u64;
        assert_eq!(admitted, burst + 1);
        let later = (0..100_000).filter(|ms| pace.admits(at(*ms), limits)).count();
        assert_eq!(later, 999, "ten a second for a hundred seconds");
    }

    #[test]
    fn bytes_count_however_they_came() {
        let limits = PaceLimits { bodies_per_second: u32::MAX, bits_per_second: 8_000_000 };
        let pace = Pace::default();
        let megabytes = INGEST_BURST_SPAN.as_secs() + 10;
        assert!(pace.admits(at(0), limits));
        pace.on_bytes(at(0), megabytes * 1_000_000, limits);
        assert!(!pace.admits(at(9_990), limits));
        assert!(pace.admits(at(10_010), limits), "paid for down to the burst");
        pace.on_bytes(at(10_010), u64::MAX, limits);
        assert!(!pace.admits(at(1_000_000), limits));
    }

    #[test]
    fn silence_saves_nothing_up() {
        let limits = PaceLimits { bodies_per_second: 10, bits_per_second: u64::MAX };
        let pace = Pace::default();
        assert!(pace.admits(at(0), limits));
        let now = at(100_000_000);
        let admitted = (0..100_000).filter(|_| pace.admits(now, limits)).count() as u64;
        assert_eq!(admitted, 10 * INGEST_BURST_SPAN.as_secs() + 1);
    }
}
