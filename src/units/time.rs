//! Time on the media timeline. Wall-clock and monotonic time have types of their own, and none of
//! them reads a clock: values come in from the shard.

use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::time::Duration;

/// Ticks per second of a track: 90 000 for video, the sample rate for audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timescale(NonZeroU32);

impl Timescale {
    /// The system clock of MPEG-TS timestamps: 90 kHz (ISO/IEC 13818-1 §2.4.3.7).
    pub const MPEG_TS: Self = Self(NonZeroU32::new(90_000).unwrap());

    /// A timescale of `ticks_per_second`, or `None` for zero, which no track may declare.
    #[must_use]
    pub const fn new(ticks_per_second: u32) -> Option<Self> {
        match NonZeroU32::new(ticks_per_second) {
            Some(ticks) => Some(Self(ticks)),
            None => None,
        }
    }

    /// Ticks per second.
    #[must_use]
    pub const fn per_second(self) -> u32 {
        self.0.get()
    }
}

/// An instant of a channel's media timeline, or a span of it, in 90 kHz ticks.
///
/// Source timestamps (33 bits) become media time once unwrapped and moved by the session's offset;
/// from then on nothing wraps. Present-day values are near 1.6e14 and so stay under 2^53.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct MediaTime(pub i64);

impl MediaTime {
    /// The 90 kHz tick count.
    #[must_use]
    pub const fn ticks(self) -> i64 {
        self.0
    }

    /// This instant in ticks of `to`, rounded to the nearest, halves up.
    #[must_use]
    pub fn rescale_nearest(self, to: Timescale) -> i64 {
        let doubled = 2 * i128::from(self.0) * i128::from(to.per_second()) + 90_000;
        i64::try_from(doubled.div_euclid(180_000)).unwrap_or(i64::MAX)
    }

    /// `ticks` of `from` in 90 kHz, rounded to the nearest, halves up.
    #[must_use]
    pub fn from_ticks_nearest(ticks: i64, from: Timescale) -> Self {
        let scale = i128::from(from.per_second());
        let doubled = 2 * i128::from(ticks) * 90_000 + scale;
        Self(i64::try_from(doubled.div_euclid(2 * scale)).unwrap_or(i64::MAX))
    }

    /// Seconds, for printing only.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "printed with three to six decimals")]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 90_000.0
    }
}

impl std::ops::Add for MediaTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for MediaTime {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

/// Monotonic time since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl std::ops::Add<Duration> for Monotonic {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0 + span)
    }
}

impl Monotonic {
    /// Time since `earlier`; zero where that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct WallClock(pub i64);

impl WallClock {
    /// This instant in 90 kHz ticks since 1970, floored.
    #[must_use]
    pub const fn ticks_90k(self) -> i64 {
        // 90 ticks are 1000 µs.
        self.0.div_euclid(1000) * 90 + self.0.rem_euclid(1000) * 90 / 1000
    }

    /// The instant `ticks` of 90 kHz after 1970, floored to a microsecond.
    #[must_use]
    pub const fn from_ticks_90k(ticks: i64) -> Self {
        Self(ticks.div_euclid(90) * 1000 + ticks.rem_euclid(90) * 1000 / 90)
    }
}
