//! Whether the two inputs' copies of a track can take each other's place, from comparing them.
//!
//! *Aligned* is equal boundaries, equal phase of the audio frames and equal parameter sets over
//! three segments; *identical* is equal bytes over as many. Timestamps are compared as
//! they are: inputs whose clocks have different bases are apart even where PROGRAM-DATE-TIME would
//! map one on the other, because which of them came first would then decide output bytes.

use crate::engine::codec::CodecConfig;
use crate::units::MediaTime;
use serde::{Deserialize, Serialize};

/// Segments in a row that must agree.
const ALIGNED_COUNT: u8 = 3;

/// Ticks of 90 kHz by which a boundary may differ: timestamps are rounded.
const ROUNDING: i64 = 2;

/// How the inputs' copies of a track are apart, so that they are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Apart {
    /// The timestamps are those of another timeline.
    Timestamps,
    /// A segment begins where the other input has none begin. How far after the nearest boundary:
    /// what the clocks have drifted, or what was cut elsewhere.
    Boundaries(MediaTime),
    /// The frames lie between the other input's: within one frame, by so much.
    Phase(MediaTime),
    /// Parameter sets differ.
    ParameterSets,
}

impl Apart {
    /// True where the other is of the same kind, by however much.
    #[must_use]
    pub fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// What comparing two copies of a segment came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same bytes.
    Identical,
    /// Coded differently, cut alike.
    Diverse,
    /// They cannot take each other's place.
    Apart(Apart),
}

/// A copy of a segment as it is compared. Both of one comparison are sound.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    /// Media time of its start.
    pub start: MediaTime,
    /// Media time of its end.
    pub end: MediaTime,
    /// Decoder configuration.
    pub config: &'a CodecConfig,
    /// Names its content.
    pub hash: u64,
}

impl Copied<'_> {
    /// Compares this with the `other` input's copy that is accepted where this one begins. A frame
    /// of it lasts `frame`, a segment of the track `period`.
    #[must_use]
    pub fn compare(&self, other: &Copied<'_>, frame: MediaTime, period: MediaTime) -> Comparison {
        let near = |one: MediaTime, two: MediaTime, by: i64| (one - two).0.abs() <= by;
        let ahead = self.start - other.start;
        if !near(self.start, other.start, ROUNDING) {
            if near(self.start, other.start, frame.0) {
                return Comparison::Apart(Apart::Phase(ahead));
            }
            let beyond = if ahead.0 * 2 > period.0 { ahead - period } else { ahead };
            return Comparison::Apart(Apart::Boundaries(beyond));
        }
        if !near(self.end, other.end, ROUNDING) {
            return Comparison::Apart(Apart::Boundaries(self.end - other.end));
        }
        match (self.config == other.config, self.hash == other.hash) {
            (true, true) => Comparison::Identical,
            (true, false) => Comparison::Diverse,
            (false, _) => Comparison::Apart(Apart::ParameterSets),
        }
    }
}

/// What comparing has come to on one track, as far as it is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alignment {
    /// Segments in a row that were cut alike.
    agreed: u8,
    /// Segments in a row that were the same.
    identical: u8,
    apart: Option<Apart>,
}

impl Alignment {
    /// Takes the next comparison.
    pub fn on_comparison(&mut self, comparison: Comparison) {
        let more = |count: u8| (count + 1).min(ALIGNED_COUNT);
        match comparison {
            Comparison::Identical => {
                (self.agreed, self.identical) = (more(self.agreed), more(self.identical));
            }
            Comparison::Diverse => (self.agreed, self.identical) = (more(self.agreed), 0),
            Comparison::Apart(apart) => {
                // A drift goes on: by how much it was first seen is what is remembered.
                let known = self.apart.filter(|known| known.is_like(apart));
                *self = Self { apart: known.or(Some(apart)), ..Self::default() };
            }
        }
        // The same media at the same time is of one timeline, without a second look.
        let is_stranger = self.apart == Some(Apart::Timestamps);
        if self.agreed == ALIGNED_COUNT || (is_stranger && self.agreed > 0) {
            self.apart = None;
        }
    }

    /// How the inputs are apart, unless they have agreed since. Before anything was compared they
    /// are not.
    #[must_use]
    pub const fn apart(self) -> Option<Apart> {
        self.apart
    }

    /// True where boundaries, phase and parameter sets agree.
    #[must_use]
    pub const fn is_aligned(self) -> bool {
        self.agreed == ALIGNED_COUNT
    }

    /// True where the bytes agree.
    #[must_use]
    pub const fn is_identical(self) -> bool {
        self.identical == ALIGNED_COUNT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::channel::tests::{audio, video};

    const FRAME: MediaTime = MediaTime(3_600);
    const PERIOD: MediaTime = MediaTime(180_000);

    #[test]
    fn copies_are_compared_by_start_end_configuration_and_bytes() {
        let (one, two) = (video(1), video(2));
        let copy = |start: i64, end: i64, config, hash| Copied {
            start: MediaTime(start),
            end: MediaTime(end),
            config,
            hash,
        };
        let accepted = copy(0, 180_000, &one, 7);
        let boundaries = |ticks| Comparison::Apart(Apart::Boundaries(MediaTime(ticks)));
        let phase = |ticks| Comparison::Apart(Apart::Phase(MediaTime(ticks)));
        for (other, expected) in [
            (copy(0, 180_000, &one, 7), Comparison::Identical),
            (copy(-2, 180_002, &one, 7), Comparison::Identical),
            (copy(0, 180_000, &one, 8), Comparison::Diverse),
            (copy(0, 180_000, &two, 7), Comparison::Apart(Apart::ParameterSets)),
            (copy(3, 180_003, &one, 7), phase(3)),
            (copy(-3_600, 176_400, &one, 7), phase(-3_600)),
            (copy(3_601, 183_601, &one, 7), boundaries(3_601)),
            (copy(90_000, 270_000, &one, 7), boundaries(90_000)),
            (copy(170_000, 350_000, &one, 7), boundaries(-10_000)),
            (copy(0, 90_000, &one, 7), boundaries(-90_000)),
        ] {
            assert_eq!(other.compare(&accepted, FRAME, PERIOD), expected, "{other:?}");
        }
        let sound = audio();
        let odd = Copied { config: &sound, ..accepted };
        let comparison = odd.compare(&accepted, FRAME, PERIOD);
        assert_eq!(comparison, Comparison::Apart(Apart::ParameterSets));
    }

    /// Every sequence of seven comparisons, against what the last ones say.
    #[test]
    fn three_in_a_row_decide_and_one_that_is_apart_does_at_once() {
        let apart = Comparison::Apart(Apart::ParameterSets);
        let all = [Comparison::Identical, Comparison::Diverse, apart];
        for sequence in 0..3_usize.pow(7) {
            let mut alignment = Alignment::default();
            let mut taken = Vec::new();
            for at in 0..7 {
                let comparison = all[sequence / 3_usize.pow(at) % 3];
                alignment.on_comparison(comparison);
                taken.push(comparison);
                let run = |of: &dyn Fn(&Comparison) -> bool| {
                    taken.iter().rev().take_while(|it| of(it)).count()
                };
                let agreed = run(&|it| *it != apart);
                assert_eq!(alignment.is_aligned(), agreed >= 3, "{taken:?}");
                let same = run(&|it| *it == Comparison::Identical);
                assert_eq!(alignment.is_identical(), same >= 3, "{taken:?}");
                let is_apart = taken.contains(&apart) && agreed < 3;
                assert_eq!(alignment.apart().is_some(), is_apart, "{taken:?}");
            }
        }
    }
}
