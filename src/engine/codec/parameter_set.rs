//! What reading an H.264 and an H.265 parameter set have in common: bounded fields and an error.

use crate::engine::bits::{BitError, BitReader};

/// A parameter set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterSetError {
    /// It ends early or holds an invalid code.
    #[error("parameter set: {0}")]
    Bits(#[from] BitError),
    /// A field has a value that the standard does not allow.
    #[error("parameter set: {field} is {value}, at most {max} is allowed")]
    Range {
        /// The field's name in the standard.
        field: &'static str,
        /// What was found.
        value: u32,
        /// The largest value allowed.
        max: u32,
    },
}

/// Checks `value` against the largest that the standard allows.
pub(super) fn at_most(field: &'static str, value: u32, max: u32) -> Result<u32, ParameterSetError> {
    if value <= max { Ok(value) } else { Err(ParameterSetError::Range { field, value, max }) }
}

/// An Exp-Golomb field of at most `max`, which is below 256.
pub(super) fn golomb_small(
    bits: &mut BitReader<'_>,
    field: &'static str,
    max: u8,
) -> Result<u8, ParameterSetError> {
    let value = at_most(field, bits.unsigned_golomb()?, u32::from(max))?;
    let [.., low] = value.to_be_bytes();
    Ok(low)
}
