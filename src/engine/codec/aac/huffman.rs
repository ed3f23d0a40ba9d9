//! The prefix codes of AAC and of its bandwidth extension, as far as passing over them takes.
//!
//! ISO/IEC 14496-3 annex 4.A tells each code word. All of these codes are complete and canonical:
//! words of one length follow each other as numbers, and longer ones follow shorter ones. So the
//! number of words of each length is the whole code. Which value a word stands for is kept only
//! where its sign bits and escapes depend on it.

use crate::engine::bits::{BitError, BitReader};

/// The most ones in front of an escape (ISO/IEC 14496-3 §4.6.3.3): values have 13 bits.
const ESCAPE_PREFIX_MAX: usize = 8;

/// A complete canonical prefix code: how many words there are of 1 bit, of 2 bits, and so on.
#[derive(Clone, Copy, Debug)]
pub(super) struct PrefixCode(pub(super) &'static [u8]);

impl PrefixCode {
    /// Reads a word; returns how many words come before it in the order of the code.
    pub(super) fn read(self, bits: &mut BitReader<'_>) -> Result<usize, BitError> {
        let begin = bits.position();
        let (mut word, mut first, mut before) = (0_u32, 0_u32, 0_usize);
        for &count in self.0 {
            word = word << 1 | bits.bits(1)?;
            if word < first + u32::from(count) {
                return Ok(before + usize::try_from(word - first).unwrap_or(0));
            }
            before += usize::from(count);
            first = (first + u32::from(count)) << 1;
        }
        Err(BitError { bit: begin })
    }
}

/// Differences of scale factors.
pub(super) const SCALE_FACTORS: PrefixCode =
    PrefixCode(&[1, 0, 1, 3, 2, 4, 3, 5, 4, 6, 6, 6, 5, 8, 4, 7, 3, 7, 46]);

/// A codebook of spectral coefficients (ISO/IEC 14496-3 table 4.A.2 and those behind it).
#[derive(Clone, Copy, Debug)]
pub(super) struct Spectral {
    code: PrefixCode,
    /// For each word a digit: coefficients that have a sign bit behind it, and three more for each
    /// of a pair that has an escape. Empty where the words tell signs themselves.
    signs: &'static [u8],
    /// Coefficients that a word stands for.
    pub(super) dimension: usize,
}

impl Spectral {
    /// The codebook with this number; `None` for those without coefficients.
    pub(super) fn numbered(number: u8) -> Option<&'static Self> {
        SPECTRAL.get(usize::from(number).checked_sub(1)?)
    }

    /// Passes over one word, with its signs and escapes.
    pub(super) fn skip(&self, bits: &mut BitReader<'_>) -> Result<(), BitError> {
        let word = self.code.read(bits)?;
        let digit = self.signs.get(word).map_or(0, |digit| usize::from(digit - b'0'));
        let (signs, escapes) =
            if self.dimension == 4 { (digit, 0) } else { (digit % 3, digit / 3) };
        bits.skip(signs)?;
        for _ in 0..escapes {
            let begin = bits.position();
            let mut prefix = 0;
            while bits.flag()? {
                prefix += 1;
                if prefix > ESCAPE_PREFIX_MAX {
                    return Err(BitError { bit: begin });
                }
            }
            bits.skip(prefix + 4)?;
        }
        Ok(())
    }
}

const SPECTRAL: [Spectral; 11] = [
    Spectral { code: PrefixCode(&[1, 0, 0, 0, 8, 0, 24, 0, 24, 8, 16]), signs: b"", dimension: 4 },
    Spectral { code: PrefixCode(&[0, 0, 1, 1, 7, 24, 15, 19, 14]), signs: b"", dimension: 4 },
    Spectral {
        code: PrefixCode(&[1, 0, 0, 4, 2, 6, 3, 5, 15, 15, 8, 9, 3, 3, 5, 2]),
        signs: b"011112222232343311223232331221224334323244332333223243344233333344442233434443233",
        dimension: 4,
    },
    Spectral {
        code: PrefixCode(&[0, 0, 0, 10, 6, 0, 9, 21, 8, 14, 11, 2]),
        signs: b"433331202222121144443333333333332222222222221111444444333333333433344422222243333",
        dimension: 4,
    },
    Spectral {
        code: PrefixCode(&[1, 0, 0, 4, 4, 0, 4, 12, 12, 12, 18, 10, 4]),
        signs: b"",
        dimension: 2,
    },
    Spectral { code: PrefixCode(&[0, 0, 0, 9, 0, 16, 13, 8, 23, 8, 4]), signs: b"", dimension: 2 },
    Spectral {
        code: PrefixCode(&[1, 0, 2, 1, 0, 4, 5, 10, 14, 15, 8, 4]),
        signs: b"0112221122211222222221122212122222222211222222222222112222222222",
        dimension: 2,
    },
    Spectral {
        code: PrefixCode(&[0, 0, 1, 5, 7, 10, 14, 15, 8, 4]),
        signs: b"2212120112222222221122222222221212222222121222222222221212222112",
        dimension: 2,
    },
    Spectral {
        code: PrefixCode(&[1, 0, 2, 1, 0, 4, 3, 8, 11, 20, 31, 38, 32, 14, 4]),
        signs: b"01122211222112222222211222222212122222222122222222122212222122221122222222222221\
              22212222222222222222222212212222222122222222222222212212222122222222222222222222\
              222222222",
        dimension: 2,
    },
    Spectral {
        code: PrefixCode(&[0, 0, 0, 3, 8, 14, 17, 25, 31, 41, 22, 8]),
        signs: b"22221122222112222022112222222222221212222222222221212222222222222222221222221222\
              22222222222222121222222212222221222222222222222221212122222222222222212122212221\
              222222122",
        dimension: 2,
    },
    Spectral {
        code: PrefixCode(&[0, 0, 0, 2, 6, 7, 16, 59, 55, 95, 43, 6]),
        signs: b"02811222222121222222211222222222222222555552512152555522222552255522525552522552\
              22155222212552252522222225221222222122222222222222122222222222422222242122222222\
              22222222222222222222221222222222222222222122222222222222222222222222211222222222\
              2222222222222222212212122212222211222212212112112",
        dimension: 2,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Words and values that ISO/IEC 14496-3 annex 4.A gives each codebook.
    #[test]
    fn codebooks_are_complete_and_of_their_size() {
        let of = |book: &Spectral| (book.code, book.signs.len());
        let sizes = [81, 81, 81, 81, 81, 81, 64, 64, 169, 169, 289];
        for ((code, signs), size) in SPECTRAL.iter().map(of).zip(sizes) {
            assert!(signs == 0 || signs == size);
            assert_complete(code, size);
        }
        assert_complete(SCALE_FACTORS, 121);
    }

    fn assert_complete(code: PrefixCode, size: usize) {
        let words: usize = code.0.iter().copied().map(usize::from).sum();
        assert_eq!(words, size);
        let free = code.0.iter().fold(1_u32, |free, &count| free * 2 - u32::from(count));
        assert_eq!(free, 0, "no word is left over");
    }

    #[test]
    fn signs_and_escapes_are_passed_over_with_their_word() {
        for (number, bytes, size) in [
            (1, [0b0000_0000, 0, 0], 1),             // all zero
            (3, [0b1000_1000, 0, 0], 5),             // 1000: one coefficient, one sign
            (7, [0b1010_0000, 0, 0], 4),             // 101: one coefficient, one sign
            (11, [0b0000_0000, 0, 0], 4),            // 0000: both zero
            (11, [0b0010_0110, 0b0000_0000, 0], 17), // 00100: both escape; two signs, two of 5 bits
        ] {
            let mut bits = BitReader::new(&bytes);
            Spectral::numbered(number).expect("a codebook").skip(&mut bits).expect("enough bits");
            assert_eq!(bits.position(), size, "codebook {number}");
        }
    }
}
