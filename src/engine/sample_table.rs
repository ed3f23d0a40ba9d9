//! The sample table of a ring record: what `trun` needs, packed.
//!
//! ```text
//! count varint · flags u8 · [duration varint, if constant]
//! per sample: size varint · [duration varint] · [composition offset zigzag varint] · [key bits]
//! ```
//! flags: 1 durations are constant, 2 composition offsets are all zero, 4 all random access.
//! Without flag 4 the random-access bit is the lowest bit of the size field.
//! Varints are LEB128, at most ten bytes.

use crate::engine::segment::Sample;
use crate::units::ContentHash;

const CONSTANT_DURATION: u8 = 1;
const NO_COMPOSITION: u8 = 2;
const ALL_RANDOM_ACCESS: u8 = 4;

/// A table that [`decode`] cannot read: cut short, or its counts do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sample table is not readable at byte {offset}")]
pub struct TableError {
    /// Byte at which reading failed.
    pub offset: usize,
}

/// Names the content of a track's segment, as the ring's record of it is named.
#[must_use]
pub fn content_hash(samples: &[Sample], payload: &[u8]) -> u64 {
    ContentHash::of(&encode(samples), payload).low()
}

/// Packs `samples`.
#[must_use]
pub fn encode(samples: &[Sample]) -> Vec<u8> {
    let duration = samples.first().map_or(0, |sample| sample.duration);
    let constant = samples.iter().all(|sample| sample.duration == duration);
    let no_composition = samples.iter().all(|sample| sample.composition_offset == 0);
    let all_random_access = samples.iter().all(|sample| sample.random_access);

    let mut out = Vec::with_capacity(16 + samples.len() * 6);
    put(&mut out, samples.len() as u64);
    out.push(
        u8::from(constant) * CONSTANT_DURATION
            + u8::from(no_composition) * NO_COMPOSITION
            + u8::from(all_random_access) * ALL_RANDOM_ACCESS,
    );
    if constant {
        put(&mut out, u64::from(duration));
    }
    for sample in samples {
        let size = u64::from(sample.size);
        put(
            &mut out,
            if all_random_access { size } else { size << 1 | u64::from(sample.random_access) },
        );
        if !constant {
            put(&mut out, u64::from(sample.duration));
        }
        if !no_composition {
            let offset = i64::from(sample.composition_offset);
            put(&mut out, ((offset << 1) ^ (offset >> 63)).cast_unsigned());
        }
    }
    out
}

/// Unpacks a table made by [`encode`].
///
/// # Errors
///
/// [`TableError`] where the bytes end early or a field does not fit.
pub fn decode(table: &[u8]) -> Result<Vec<Sample>, TableError> {
    let mut reader = Reader { table, offset: 0 };
    let count = usize::try_from(reader.varint()?).map_err(|_| reader.error())?;
    let flags = reader.byte()?;
    let constant = flags & CONSTANT_DURATION != 0;
    let duration = if constant { reader.field()? } else { 0 };
    // A sample takes a byte at least, so a forged count cannot ask for more than the table's size.
    let mut samples = Vec::with_capacity(count.min(table.len()));
    for _ in 0..count {
        let mut size = reader.varint()?;
        let mut random_access = true;
        if flags & ALL_RANDOM_ACCESS == 0 {
            random_access = size & 1 == 1;
            size >>= 1;
        }
        let duration = if constant { duration } else { reader.field()? };
        let composition_offset = if flags & NO_COMPOSITION == 0 {
            let zigzag = reader.field()?;
            (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()
        } else {
            0
        };
        let size = u32::try_from(size).map_err(|_| reader.error())?;
        samples.push(Sample { size, duration, composition_offset, random_access });
    }
    if reader.offset == table.len() { Ok(samples) } else { Err(reader.error()) }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

struct Reader<'a> {
    table: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn error(&self) -> TableError {
        TableError { offset: self.offset }
    }

    fn byte(&mut self) -> Result<u8, TableError> {
        let byte = *self.table.get(self.offset).ok_or(self.error())?;
        self.offset += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, TableError> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error())
    }

    fn field(&mut self) -> Result<u32, TableError> {
        u32::try_from(self.varint()?).map_err(|_| self.error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_sample() -> impl Strategy<Value = Sample> {
        (any::<u32>(), 0..100_000_u32, -90_000..90_000_i32, any::<bool>()).prop_map(
            |(size, duration, composition_offset, random_access)| Sample {
                size,
                duration,
                composition_offset,
                random_access,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out(samples in prop::collection::vec(any_sample(), 0..200)) {
            prop_assert_eq!(decode(&encode(&samples)), Ok(samples));
        }

        #[test]
        fn every_truncation_is_refused(samples in prop::collection::vec(any_sample(), 1..20)) {
            let table = encode(&samples);
            for size in 0..table.len() {
                prop_assert!(decode(&table[..size]).is_err());
            }
        }

        #[test]
        fn a_strangers_bytes_never_panic(table in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&table);
        }
    }

    #[test]
    fn an_audio_table_takes_two_bytes_a_sample() {
        let frame =
            Sample { size: 300, duration: 1024, composition_offset: 0, random_access: true };
        assert_eq!(encode(&[frame; 100]).len(), 1 + 1 + 2 + 200);
    }
}
