//! The clocks, read here and handed on as values.

use crate::units::{Monotonic, WallClock};
use monoio::time::Instant;
use std::sync::LazyLock;
use std::time::SystemTime;

static PROCESS_START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// A deadline passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// Time since the process first asked for it.
#[must_use]
pub fn now() -> Monotonic {
    Monotonic(PROCESS_START.elapsed())
}

/// The wall clock, in microseconds since 1970.
#[must_use]
pub fn wall() -> WallClock {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallClock(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}

/// Completes at `deadline` or up to a few milliseconds later (the timer wheel's granularity).
pub async fn sleep_until(deadline: Monotonic) {
    monoio::time::sleep_until(instant(deadline)).await;
}

/// Runs `future` until `deadline`, then drops it. Not for reads, which must not be dropped: see
/// [`super::Socket::read_before`].
///
/// # Errors
///
/// [`Elapsed`] where the deadline came first.
pub async fn timeout_at<F: Future>(deadline: Monotonic, future: F) -> Result<F::Output, Elapsed> {
    monoio::time::timeout_at(instant(deadline), future).await.map_err(|_| Elapsed)
}

fn instant(at: Monotonic) -> Instant {
    Instant::from_std(*PROCESS_START + at.0)
}
