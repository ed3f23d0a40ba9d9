//! Numbers from media time, and media time from source time: a session's offset unwraps the
//! source's 33-bit clock, and a grid of equal periods numbers what begins near its lines.
//!
//! Everything here is arithmetic on values that are passed in.

use crate::engine::presentation::Grid;
use crate::units::{MediaTime, WallClock};
use std::collections::BTreeMap;

/// Source timestamps are counted modulo this (ISO/IEC 13818-1 §2.4.3.7).
pub const SOURCE_TIME_MODULUS: i64 = 1 << 33;

/// W is kept in multiples of this many ticks: 100 ms.
const CLOCK_STEP: i64 = 9_000;

/// The instant nearest to `reference` that is `source + shift` modulo 2^33.
///
/// `source` may lie outside `0..2^33`: it counts on from its segment's first decode time.
#[must_use]
pub fn unwrap_near(source: MediaTime, shift: MediaTime, reference: MediaTime) -> MediaTime {
    let target = source.0.wrapping_add(shift.0);
    let half = SOURCE_TIME_MODULUS / 2;
    let ahead = (target - reference.0 + half).rem_euclid(SOURCE_TIME_MODULUS) - half;
    MediaTime(reference.0 + ahead)
}

/// The first session's clock: where the source time `start` lies on the media timeline, and W.
///
/// The offset is the multiple of 2^33 that puts W = wall − EPT into `[0, 2^33)`; W is rounded to
/// 100 ms, so that two origins whose encoders stamp a little apart agree.
#[must_use]
pub fn first_clock(start: MediaTime, wall: WallClock) -> (MediaTime, MediaTime) {
    let wall = wall.ticks_90k();
    let offset = (wall - start.0).div_euclid(SOURCE_TIME_MODULUS) * SOURCE_TIME_MODULUS;
    let w = wall - start.0 - offset;
    let rounded = (w + CLOCK_STEP / 2).div_euclid(CLOCK_STEP) * CLOCK_STEP;
    (MediaTime(start.0 + offset), MediaTime(rounded))
}

/// A period with its phase: where segments of a grid begin.
#[must_use]
pub fn phase_of(start: MediaTime, period: (u64, u32)) -> MediaTime {
    let (numerator, denominator) = wide(period);
    let scaled = i128::from(start.0) * denominator;
    MediaTime(narrow(scaled.rem_euclid(numerator).div_euclid(denominator)))
}

/// (EPT − phase) ÷ P, to the nearest whole number.
#[must_use]
pub fn index_of(start: MediaTime, phase: MediaTime, period: (u64, u32)) -> i64 {
    let (numerator, denominator) = wide(period);
    let scaled = i128::from(start.0 - phase.0) * denominator;
    narrow((2 * scaled + numerator).div_euclid(2 * numerator))
}

/// Where the segment with `index` begins, floored to a tick.
#[must_use]
pub fn start_of(index: i64, phase: MediaTime, period: (u64, u32)) -> MediaTime {
    let (numerator, denominator) = wide(period);
    MediaTime(phase.0 + narrow((i128::from(index) * numerator).div_euclid(denominator)))
}

fn wide((numerator, denominator): (u64, u32)) -> (i128, i128) {
    (i128::from(numerator.max(1)), i128::from(denominator.max(1)))
}

fn narrow(value: i128) -> i64 {
    i64::try_from(value).expect("quotients of 64-bit times by positive periods fit 64 bits")
}

impl Grid {
    /// The base number of a segment that begins at `start`; `None` before the grid.
    #[must_use]
    pub fn number_at(&self, start: MediaTime) -> Option<u64> {
        let index = index_of(start, self.phase, self.period);
        self.first_number.checked_add_signed(index - self.first_index)
    }

    /// Where base number `number` begins on the grid.
    #[must_use]
    pub fn start_at(&self, number: u64) -> MediaTime {
        let beyond = i64::try_from(number.saturating_sub(self.first_number)).unwrap_or(i64::MAX);
        start_of(self.first_index.saturating_add(beyond), self.phase, self.period)
    }

    /// True where `start` is no farther than a quarter of the period from `number`'s place.
    #[must_use]
    pub fn is_near(&self, number: u64, start: MediaTime) -> bool {
        (self.start_at(number) - start).0.abs() * 4 <= self.period_ticks().0
    }

    /// What follows this grid: the same cadence from base number `first_number` on.
    ///
    /// `start` is the first segment's EPT. For each joined duration the numbers go on from the one
    /// that the last base number belonged to.
    #[must_use]
    pub fn successor(
        &self,
        id: u32,
        first_number: u64,
        start: MediaTime,
        period: (u64, u32),
    ) -> Self {
        assert!(first_number > 0, "a grid has a predecessor's number before it");
        let phase = phase_of(start, period);
        // Nothing of this grid was listed where its successor begins with it.
        let begun = u64::from(first_number > self.first_number);
        let follow = |seconds: u32| self.joined_number(first_number - 1, seconds) + begun;
        Self {
            id,
            cadence: self.cadence,
            session: self.session,
            session_start: self.session_start,
            period,
            phase,
            first_number,
            first_index: index_of(start, phase, period),
            last_number: None,
            breaks: false,
            joined_first: self.joined_first.keys().map(|&key| (key, follow(key))).collect(),
        }
    }

    /// The first grid of a cadence, whose numbers count from 1970.
    #[must_use]
    pub fn first(start: MediaTime, period: (u64, u32), join_seconds: &[u32]) -> Self {
        Self {
            id: 0,
            cadence: 0,
            session: 0,
            session_start: MediaTime(0),
            period,
            phase: phase_of(start, period),
            first_number: 0,
            first_index: 0,
            last_number: None,
            breaks: false,
            joined_first: join_seconds.iter().map(|&key| (key, 0)).collect::<BTreeMap<_, _>>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TWO_SECONDS: (u64, u32) = (180_000, 1);

    fn any_period() -> impl Strategy<Value = (u64, u32)> {
        (45_000..900_000_u64, 1..5_u32)
            .prop_map(|(ticks, parts)| (ticks * u64::from(parts) + 1, parts))
    }

    proptest! {
        #[test]
        fn unwrapping_is_the_inverse_of_wrapping(
            time in 0..200_000_000_000_000_i64,
            shift in 0..SOURCE_TIME_MODULUS,
            off in -SOURCE_TIME_MODULUS / 2 + 1..SOURCE_TIME_MODULUS / 2,
        ) {
            let source = MediaTime((time - shift).rem_euclid(SOURCE_TIME_MODULUS));
            let near = unwrap_near(source, MediaTime(shift), MediaTime(time + off));
            prop_assert_eq!(near, MediaTime(time));
        }

        #[test]
        fn the_first_clock_is_near_the_wall_clock(
            start in 0..SOURCE_TIME_MODULUS,
            wall in 1_500_000_000_000_000..2_000_000_000_000_000_i64,
        ) {
            let wall = WallClock(wall);
            let (media, w) = first_clock(MediaTime(start), wall);
            prop_assert_eq!((media.0 - start).rem_euclid(SOURCE_TIME_MODULUS), 0);
            prop_assert!((0..=SOURCE_TIME_MODULUS).contains(&w.0));
            prop_assert_eq!(w.0 % CLOCK_STEP, 0);
            prop_assert!((media.0 + w.0 - wall.ticks_90k()).abs() <= CLOCK_STEP / 2);
        }

        #[test]
        fn a_segment_is_at_its_own_number(
            start in 100_000_000_000_000..200_000_000_000_000_i64,
            period in any_period(),
            ahead in 0..100_000_u64,
        ) {
            let grid = Grid::first(MediaTime(start), period, &[1]);
            let number = grid.number_at(MediaTime(start)).expect("after 1970");
            prop_assert!((grid.start_at(number) - MediaTime(start)).0.abs() <= 1);
            prop_assert_eq!(grid.number_at(grid.start_at(number + ahead)), Some(number + ahead));
            prop_assert!(grid.is_near(number + ahead, grid.start_at(number + ahead)));
        }

        #[test]
        fn joined_numbers_never_fall_or_skip(
            first in 1..10_000_u64, length in 1..50_u64, seconds in 1..14_u32,
        ) {
            let start = MediaTime(160_000_000_000_000);
            let mut grid = Grid::first(start, TWO_SECONDS, &[seconds]);
            let base = grid.number_at(start).expect("after 1970");
            let mut previous = grid.joined_number(base + first - 1, seconds);
            for step in 0..4 {
                let at = base + first + step * length;
                let id = grid.id + 1;
                    grid = grid.successor(id, at, MediaTime(start.0 + 77_777), TWO_SECONDS);
                for number in at..at + length {
                    let joined = grid.joined_number(number, seconds);
                    prop_assert!(joined == previous || joined == previous + 1);
                    let base = grid.base_numbers(joined, seconds).expect("on the grid");
                    prop_assert!(base.contains(&number));
                    previous = joined;
                }
            }
        }
    }

    #[test]
    fn a_quarter_of_a_period_is_near() {
        let start = MediaTime(180_000 * 1000);
        let grid = Grid::first(start, TWO_SECONDS, &[1]);
        for (offset, near) in [(0, true), (45_000, true), (-45_000, true), (45_001, false)] {
            assert_eq!(grid.is_near(1000, MediaTime(start.0 + offset)), near, "{offset}");
        }
    }

    #[test]
    fn fractional_periods_stay_on_the_grid_for_a_day() {
        // 47 pictures at 24000/1001: 47 × 3753.75 ticks.
        let period = (47 * 15_015, 4);
        let grid = Grid::first(MediaTime(1_000), period, &[1]);
        for number in 0..44_000_u64 {
            let exact = 1_000 + i64::try_from(number).expect("small") * 47 * 15_015 / 4;
            assert!(grid.is_near(number, MediaTime(exact)));
            assert_eq!(grid.number_at(MediaTime(exact)), Some(number));
        }
    }
}
