//! How many frequency bands spectral band replication works on, as its header tells.
//!
//! ISO/IEC 14496-3 §4.4.2.8 (table 4.63) and §4.6.18.3.2. Only counts are kept: they say how many
//! values a frame has.

use crate::engine::bits::{BitError, BitReader};

/// Subbands of the filter bank.
const SUBBAND_COUNT: i64 = 64;
/// The most noise floor bands (ISO/IEC 14496-3 §4.6.18.3.6).
const NOISE_BAND_COUNT_MAX: usize = 5;

/// What `sbr_header` says of bands and of the resolution of envelopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Envelopes are in steps of 3 dB, not 1.5 dB.
    pub(super) coarse: bool,
    start: u8,
    stop: u8,
    crossover: u8,
    scale: u8,
    alter_scale: bool,
    noise_bands: u8,
}

/// Bands of envelopes of high and low frequency resolution, and of noise floors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BandCounts {
    pub(super) high: usize,
    pub(super) low: usize,
    pub(super) noise: usize,
}

impl Header {
    pub(super) fn parse(bits: &mut BitReader<'_>) -> Result<Self, BitError> {
        let coarse = bits.flag()?;
        let (start, stop, crossover) = (bits.small(4)?, bits.small(4)?, bits.small(3)?);
        bits.skip(2)?; // reserved
        let (of_bands, of_limiter) = (bits.flag()?, bits.flag()?);
        let (scale, alter_scale, noise_bands) =
            if of_bands { (bits.small(2)?, bits.flag()?, bits.small(2)?) } else { (2, true, 2) };
        bits.skip(if of_limiter { 6 } else { 0 })?;
        Ok(Self { coarse, start, stop, crossover, scale, alter_scale, noise_bands })
    }

    /// The bands for an output of `sample_rate`; `None` for a header that allows none.
    pub(super) fn band_counts(self, sample_rate: u32) -> Option<BandCounts> {
        let rate = i64::from(sample_rate);
        let first = self.first_subband(rate)?;
        let end = self.end_subband(rate, first);
        let span_max = match sample_rate {
            ..=32_000 => 48,
            32_001..=44_100 => 35,
            _ => 32,
        };
        if first < 1 || end <= first || end - first > span_max {
            return None;
        }
        let master =
            if self.scale == 0 { self.linear(first, end) } else { self.octaves(first, end) };
        let crossover = usize::from(self.crossover);
        let begin = *master.get(crossover)?;
        let high = (master.len() - 1).checked_sub(crossover).filter(|&high| high > 0)?;
        let noise = match self.noise_bands {
            0 => 1,
            per_octave => count(f64::from(per_octave) * octaves(begin, end)).max(1),
        };
        let ascending = master.windows(2).all(|pair| pair[0] < pair[1]);
        let valid = ascending && noise <= NOISE_BAND_COUNT_MAX;
        valid.then_some(BandCounts { high, low: high.div_ceil(2), noise })
    }

    /// k0, the first subband of the master table.
    fn first_subband(self, rate: i64) -> Option<i64> {
        let offsets: [i64; 16] = match rate {
            ..16_000 | 96_001.. => return None,
            16_000..22_050 => [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7],
            22_050..24_000 => [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13],
            24_000..32_000 => [-5, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16],
            32_000..44_100 => [-6, -4, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16],
            44_100..=64_000 => [-4, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16, 20],
            _ => [-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16, 20, 24],
        };
        Some(subband(base_frequency(rate), rate) + offsets[usize::from(self.start)])
    }

    /// k2, behind the last subband of the master table.
    fn end_subband(self, rate: i64, first: i64) -> i64 {
        let end = match self.stop {
            14 => 2 * first,
            15 => 3 * first,
            steps => {
                let least = subband(2 * base_frequency(rate), rate);
                let mut widths = geometric(least, SUBBAND_COUNT, 13);
                widths.sort_unstable();
                least + widths[..usize::from(steps)].iter().sum::<i64>()
            }
        };
        end.min(SUBBAND_COUNT)
    }

    /// Bands of equal width.
    fn linear(self, first: i64, end: i64) -> Vec<i64> {
        let width = if self.alter_scale { 2 } else { 1 };
        let count =
            if self.alter_scale { (end - first + 2) / 4 * 2 } else { (end - first) / 2 * 2 };
        let mut widths = vec![width; usize::try_from(count).unwrap_or(0)];
        let rest = end - first - count * width;
        if rest < 0 {
            let narrowed = usize::try_from(-rest).unwrap_or(0);
            widths.iter_mut().take(narrowed).for_each(|width| *width -= 1);
        } else if rest > 0 {
            let wide = widths.len().saturating_sub(usize::try_from(rest).unwrap_or(0));
            widths[wide..].iter_mut().for_each(|width| *width += 1);
        }
        boundaries(first, &widths)
    }

    /// So many bands to an octave, fewer of them above the first octave where that is wished.
    fn octaves(self, first: i64, end: i64) -> Vec<i64> {
        let half_bands = f64::from(7 - self.scale);
        let two_regions = 49 * end > 110 * first;
        let middle = if two_regions { 2 * first } else { end };
        let bands = 2 * count(half_bands * octaves(first, middle));
        let mut widths = geometric(first, middle, bands);
        widths.sort_unstable();
        if two_regions {
            let warp = if self.alter_scale { 1.0 / 1.3 } else { 1.0 };
            let bands = 2 * count(half_bands * warp * octaves(middle, end));
            let mut above = geometric(middle, end, bands);
            above.sort_unstable();
            if let (Some(&widest), [narrowest, .., last]) = (widths.last(), above.as_mut_slice()) {
                let change = (widest - *narrowest).min((*last - *narrowest) / 2).max(0);
                *narrowest += change;
                *last -= change;
                above.sort_unstable();
            }
            widths.extend(above);
        }
        boundaries(first, &widths)
    }
}

/// The frequency, in Hz, that a sampling rate's lowest subbands are counted from.
const fn base_frequency(rate: i64) -> i64 {
    match rate {
        ..32_000 => 3_000,
        32_000..64_000 => 4_000,
        _ => 5_000,
    }
}

/// The subband that `frequency` lies in, to the nearest.
const fn subband(frequency: i64, rate: i64) -> i64 {
    (frequency * 2 * SUBBAND_COUNT + rate / 2) / rate
}

/// Octaves from one subband to another.
#[expect(clippy::cast_precision_loss, reason = "there are 64 subbands")]
fn octaves(from: i64, to: i64) -> f64 {
    (to as f64 / from as f64).log2()
}

/// A number of bands, to the nearest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most 6 octaves of 12 bands; negative ones become none"
)]
fn count(bands: f64) -> usize {
    bands.round_ties_even() as usize
}

/// Widths of `bands` bands from one subband to another, each wider than the one before by about the
/// same factor.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "there are 64 subbands"
)]
fn geometric(from: i64, to: i64, bands: usize) -> Vec<i64> {
    let factor = (to as f64 / from as f64).powf(1.0 / bands as f64);
    let mut reached = from as f64;
    let mut previous = from;
    let mut widths = Vec::with_capacity(bands);
    for _ in 1..bands {
        reached *= factor;
        let next = reached.round_ties_even() as i64;
        widths.push(next - previous);
        previous = next;
    }
    if bands > 0 {
        widths.push(to - previous);
    }
    widths
}

fn boundaries(first: i64, widths: &[i64]) -> Vec<i64> {
    let ends = widths.iter().scan(first, |end, width| {
        *end += width;
        Some(*end)
    });
    std::iter::once(first).chain(ends).collect()
}
