//! Spectral band replication data of one channel, walked up to its extensions: whether it comes
//! with parametric stereo.
//!
//! ISO/IEC 14496-3 §4.4.2.8 (syntax) and §4.6.18.3 (frequency bands). Parametric stereo makes two
//! channels of one, so that pairs of channels need not be read.

use super::huffman::PrefixCode;
use super::replication_bands::{BandCounts, Header};
use crate::engine::bits::{BitError, BitReader};

/// `bs_extension_id` of parametric stereo (ISO/IEC 14496-3 table 4.112).
const EXTENSION_PARAMETRIC_STEREO: u8 = 2;

/// The most envelopes of a frame (ISO/IEC 14496-3 §4.6.18.3.6).
const ENVELOPE_COUNT_MAX: usize = 5;

/// Differences of envelopes and noise floors, in time and in frequency (ISO/IEC 14496-3 §4.A.6).
const ENVELOPE_FINE_TIME: PrefixCode =
    PrefixCode(&[0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 2, 3, 4, 2, 7, 4, 8, 72]);
const ENVELOPE_FINE_FREQUENCY: PrefixCode =
    PrefixCode(&[0, 2, 2, 2, 2, 2, 1, 3, 3, 2, 4, 4, 4, 3, 2, 5, 6, 13, 15, 46]);
const ENVELOPE_COARSE_TIME: PrefixCode =
    PrefixCode(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2, 1, 2, 5, 1, 4, 2, 3, 34]);
const ENVELOPE_COARSE_FREQUENCY: PrefixCode =
    PrefixCode(&[1, 1, 1, 1, 1, 1, 0, 2, 2, 2, 2, 2, 1, 2, 3, 4, 4, 7, 10, 16]);
const NOISE_TIME: PrefixCode = PrefixCode(&[1, 1, 1, 1, 1, 1, 0, 2, 0, 1, 1, 0, 51, 2]);

/// Spectral band replication data that cannot be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicationError {
    /// It ends within a field, or has a code word that there is none of.
    #[error(transparent)]
    Bits(#[from] BitError),
    /// No header has come yet, or one whose bands make no sense.
    #[error("spectral band replication data without a usable header")]
    NoHeader,
    /// More envelopes than a frame may have.
    #[error("spectral band replication with {0} envelopes, at most 5 are allowed")]
    Envelopes(usize),
    /// Its end is not where it should be.
    #[error("{0} bits behind spectral band replication data, at most 7 are allowed")]
    Trailing(usize),
}

/// Walks one channel's data from frame to frame: headers are not in each.
#[derive(Clone, Debug, Default)]
pub struct ReplicationReader {
    bands: Option<(Header, BandCounts)>,
}

impl ReplicationReader {
    /// Reads `sbr_extension_data` of a single channel; `sample_rate` is the output's. True where it
    /// has parametric stereo.
    ///
    /// # Errors
    ///
    /// [`ReplicationError`] where it cannot be walked to its end.
    pub fn has_parametric_stereo(
        &mut self,
        bits: &mut BitReader<'_>,
        has_checksum: bool,
        sample_rate: u32,
    ) -> Result<bool, ReplicationError> {
        bits.skip(if has_checksum { 10 } else { 0 })?;
        if bits.flag()? {
            let header = Header::parse(bits)?;
            self.bands = header.band_counts(sample_rate).map(|counts| (header, counts));
        }
        let (header, counts) = self.bands.ok_or(ReplicationError::NoHeader)?;
        skip_channel(bits, header, counts)?;
        let mut found = false;
        if bits.flag()? {
            let size = match usize::from(bits.small(4)?) {
                15 => 15 + usize::from(bits.small(8)?),
                size => size,
            };
            // What follows the first extension is of no interest, and told by it alone.
            found = size > 0 && bits.clone().small(2)? == EXTENSION_PARAMETRIC_STEREO;
            bits.skip(size * 8)?;
        }
        if bits.remaining() > 7 {
            Err(ReplicationError::Trailing(bits.remaining()))
        } else {
            Ok(found)
        }
    }
}

/// `sbr_single_channel_element` up to the extensions (ISO/IEC 14496-3 table 4.66).
fn skip_channel(
    bits: &mut BitReader<'_>,
    header: Header,
    counts: BandCounts,
) -> Result<(), ReplicationError> {
    if bits.flag()? {
        bits.skip(4)?; // bs_data_extra
    }
    let (envelopes, is_fixed) = parse_grid(bits)?;
    let noise_floors = if envelopes.len() > 1 { 2 } else { 1 };
    let mut in_time = Vec::with_capacity(ENVELOPE_COUNT_MAX + 2);
    for _ in 0..envelopes.len() + noise_floors {
        in_time.push(bits.flag()?);
    }
    let (envelopes_in_time, noise_in_time) = in_time.split_at(envelopes.len());
    bits.skip(counts.noise * 2)?; // sbr_invf

    let coarse = header.coarse && !(is_fixed && envelopes.len() == 1);
    let (time, frequency, first_size) = if coarse {
        (ENVELOPE_COARSE_TIME, ENVELOPE_COARSE_FREQUENCY, 6)
    } else {
        (ENVELOPE_FINE_TIME, ENVELOPE_FINE_FREQUENCY, 7)
    };
    for (&high, &in_time) in envelopes.iter().zip(envelopes_in_time) {
        let bands = if high { counts.high } else { counts.low };
        skip_differences(bits, bands, in_time.then_some(time).ok_or((frequency, first_size)))?;
    }
    for &in_time in noise_in_time {
        let code = in_time.then_some(NOISE_TIME).ok_or((ENVELOPE_COARSE_FREQUENCY, 5));
        skip_differences(bits, counts.noise, code)?;
    }
    if bits.flag()? {
        bits.skip(counts.high)?; // bs_add_harmonic
    }
    Ok(())
}

/// `sbr_grid` (ISO/IEC 14496-3 table 4.69): for each envelope, whether it has the high frequency
/// resolution, and whether all have the same length.
fn parse_grid(bits: &mut BitReader<'_>) -> Result<(Vec<bool>, bool), ReplicationError> {
    let class = bits.small(2)?;
    if class == 0 {
        let count = 1 << bits.small(2)?;
        if count > ENVELOPE_COUNT_MAX {
            return Err(ReplicationError::Envelopes(count));
        }
        return Ok((vec![bits.flag()?; count], true));
    }
    let (leading, trailing) = (class & 2 != 0, class & 1 != 0);
    bits.skip(if leading && trailing { 4 } else { 2 })?; // bs_var_bord
    let mut relative = 0;
    if leading && trailing {
        relative = usize::from(bits.small(2)?) + usize::from(bits.small(2)?);
    } else {
        relative += usize::from(bits.small(2)?);
    }
    bits.skip(relative * 2)?; // bs_rel_bord
    let count = relative + 1;
    if count > ENVELOPE_COUNT_MAX {
        return Err(ReplicationError::Envelopes(count));
    }
    // bs_pointer has as many bits as it takes to count the envelopes and none.
    bits.skip(match count {
        1 => 1,
        2 | 3 => 2,
        _ => 3,
    })?;
    let mut high = Vec::with_capacity(count);
    for _ in 0..count {
        high.push(bits.flag()?);
    }
    if !leading {
        high.reverse();
    }
    Ok((high, false))
}

/// The values of one envelope or noise floor: all as differences in time, or the first one as it is
/// and the others as differences in frequency.
fn skip_differences(
    bits: &mut BitReader<'_>,
    bands: usize,
    code: Result<PrefixCode, (PrefixCode, usize)>,
) -> Result<(), BitError> {
    let (code, count) = match code {
        Ok(in_time) => (in_time, bands),
        Err((in_frequency, first_size)) => {
            bits.skip(first_size)?;
            (in_frequency, bands - 1)
        }
    };
    for _ in 0..count {
        code.read(bits)?;
    }
    Ok(())
}
