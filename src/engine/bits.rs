//! Reading bit fields, most significant bit first, and the raw bytes of NAL units.
//!
//! Exp-Golomb codes are those of ISO/IEC 14496-10 §9.1 and ISO/IEC 23008-2 §9.2; emulation
//! prevention is §7.4.1 of both. Knows nothing of what the fields mean.

/// The field that was asked for reaches past the end of the data, or is no valid code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bit field at bit {bit} runs past the end or is no valid code")]
pub struct BitError {
    /// Position of the field's first bit.
    pub bit: usize,
}

/// A cursor over the bits of a slice.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    data: &'a [u8],
    bit: usize,
    end: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit of `data`.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, bit: 0, end: data.len() * 8 }
    }

    /// This reader, with no bit left from `end` on, which is counted from the first.
    #[must_use]
    pub fn until(self, end: usize) -> Self {
        Self { end: end.clamp(self.bit, self.end), ..self }
    }

    /// Bits read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.bit
    }

    /// Bits that are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.end - self.bit
    }

    /// An unsigned field of `count` bits, at most 32 (`u(n)`).
    ///
    /// # Errors
    ///
    /// [`BitError`] where fewer bits are left; the position does not change then.
    pub fn bits(&mut self, count: u8) -> Result<u32, BitError> {
        debug_assert!(count <= 32);
        let end = self.bit + usize::from(count);
        if end > self.end {
            return Err(BitError { bit: self.bit });
        }
        let mut value = 0_u32;
        while self.bit < end {
            let left_in_byte = 8 - self.bit % 8;
            let take = left_in_byte.min(end - self.bit);
            let byte = u32::from(self.data[self.bit / 8]);
            let field = byte >> (left_in_byte - take) & ((1 << take) - 1);
            value = value << take | field;
            self.bit += take;
        }
        Ok(value)
    }

    /// A field of at most 8 bits.
    ///
    /// # Errors
    ///
    /// As [`Self::bits`].
    pub fn small(&mut self, count: u8) -> Result<u8, BitError> {
        debug_assert!(count <= 8);
        let [.., low] = self.bits(count)?.to_be_bytes();
        Ok(low)
    }

    /// One bit (`u(1)`).
    ///
    /// # Errors
    ///
    /// As [`Self::bits`].
    pub fn flag(&mut self) -> Result<bool, BitError> {
        Ok(self.bits(1)? == 1)
    }

    /// Passes over `count` bits.
    ///
    /// # Errors
    ///
    /// As [`Self::bits`].
    pub fn skip(&mut self, count: usize) -> Result<(), BitError> {
        if count > self.remaining() {
            return Err(BitError { bit: self.bit });
        }
        self.bit += count;
        Ok(())
    }

    /// An unsigned Exp-Golomb code (`ue(v)`).
    ///
    /// # Errors
    ///
    /// [`BitError`] where the data ends, or for a code of more than 31 leading zeros.
    pub fn unsigned_golomb(&mut self) -> Result<u32, BitError> {
        let start = self.bit;
        let mut zeros = 0_u8;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(BitError { bit: start });
            }
        }
        Ok((1_u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// A signed Exp-Golomb code (`se(v)`).
    ///
    /// # Errors
    ///
    /// As [`Self::unsigned_golomb`].
    pub fn signed_golomb(&mut self) -> Result<i32, BitError> {
        let code = self.unsigned_golomb()?;
        let magnitude = code.div_ceil(2).cast_signed();
        Ok(if code % 2 == 1 { magnitude } else { -magnitude })
    }
}

/// A NAL unit's bytes without its emulation prevention bytes (`00 00 03` becomes `00 00`).
#[must_use]
pub fn without_emulation_prevention(nal: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        raw.push(byte);
    }
    raw
}

/// Writes bit fields, most significant bit first.
#[derive(Clone, Debug, Default)]
pub struct BitWriter {
    data: Vec<u8>,
    free: u8,
}

impl BitWriter {
    /// Appends the lowest `count` bits of `value`.
    pub fn put(&mut self, value: u32, count: u8) {
        for shift in (0..count).rev() {
            if self.free == 0 {
                self.data.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let (1, Some(last)) = (value >> shift & 1, self.data.last_mut()) {
                *last |= 1 << self.free;
            }
        }
    }

    /// The bytes, the last one filled up with zero bits.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golomb_codes_of_the_tables() {
        // ISO/IEC 14496-10 tables 9-2 and 9-3.
        for (bits, unsigned, signed) in [
            (0b1000_0000, 0, 0),
            (0b0100_0000, 1, 1),
            (0b0110_0000, 2, -1),
            (0b0010_0000, 3, 2),
            (0b0010_1000, 4, -2),
        ] {
            assert_eq!(BitReader::new(&[bits]).unsigned_golomb(), Ok(unsigned));
            assert_eq!(BitReader::new(&[bits]).signed_golomb(), Ok(signed));
        }
    }

    #[test]
    fn a_golomb_code_of_only_zeros_is_refused() {
        assert_eq!(BitReader::new(&[0; 8]).unsigned_golomb(), Err(BitError { bit: 0 }));
        assert!(BitReader::new(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).unsigned_golomb().is_ok());
    }

    #[test]
    fn emulation_prevention_is_removed() {
        let raw = without_emulation_prevention(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]);
        assert_eq!(raw, [0, 0, 1, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn fields_read_as_they_were_written(
            fields in prop::collection::vec((any::<u32>(), 1..=32_u8), 0..40),
        ) {
            let mut writer = BitWriter::default();
            for &(value, count) in &fields {
                writer.put(value, count);
            }
            let data = writer.finish();
            let mut reader = BitReader::new(&data);
            for &(value, count) in &fields {
                let mask = u32::MAX >> (32 - count);
                prop_assert_eq!(reader.bits(count), Ok(value & mask));
            }
            prop_assert!(reader.remaining() < 8);
        }

        #[test]
        fn no_bytes_panic(data in prop::collection::vec(any::<u8>(), 0..32)) {
            let mut reader = BitReader::new(&data);
            while reader.signed_golomb().is_ok() {}
            let _ = reader.skip(usize::MAX);
            prop_assert!(reader.position() <= data.len() * 8);
        }
    }
}
