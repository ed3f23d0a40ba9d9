//! The gzip coding of a request's body (RFC 9110 §8.4.1.3, RFC 1952), undone within bounds: what
//! comes out is kept, so that it has a size of its own and may not be out of proportion to what
//! came in.

use crate::limits::GZIP_RATIO_MAX;
use flate2::write::GzDecoder;
use std::io::{self, Write};

/// Why a coded body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GunzipError {
    /// It is larger than its kind may be.
    #[error("more than {size_max} bytes once decoded")]
    TooLarge {
        /// The bound.
        size_max: usize,
    },
    /// It expands as no honest text does.
    #[error("a body that gzip makes more than {GZIP_RATIO_MAX} times smaller")]
    Ratio,
    /// It is no gzip member, a damaged one, or one with something behind it.
    #[error("not gzip, or damaged, near byte {offset} of the coded body")]
    Corrupt {
        /// Bytes that had been received.
        offset: u64,
    },
}

/// A body on its way out of its coding.
#[derive(Debug)]
pub struct Gunzip {
    decoder: GzDecoder<Bounded>,
    received: u64,
    size_max: usize,
}

/// Bytes in memory up to a bound, which the decoder runs into before it makes more.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room - self.bytes.len();
        if bytes.len() > room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Gunzip {
    /// A body of up to `size_max` bytes once decoded.
    #[must_use]
    pub fn new(size_max: usize) -> Self {
        let decoder = GzDecoder::new(Bounded { bytes: Vec::new(), room: 0 });
        Self { decoder, received: 0, size_max }
    }

    /// Takes the next bytes of the coded body.
    ///
    /// # Errors
    ///
    /// [`GunzipError`]; the body is of no use then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), GunzipError> {
        self.received += bytes.len() as u64;
        let in_proportion = self.received.saturating_mul(GZIP_RATIO_MAX);
        let room = usize::try_from(in_proportion).unwrap_or(usize::MAX).min(self.size_max);
        self.decoder.get_mut().room = room;
        self.decoder.write_all(bytes).map_err(|error| self.refused(&error))
    }

    /// The decoded body.
    ///
    /// # Errors
    ///
    /// [`GunzipError`], also where the end is missing.
    pub fn finish(mut self) -> Result<Vec<u8>, GunzipError> {
        let ended = self.decoder.try_finish();
        ended.map_err(|error| self.refused(&error))?;
        let corrupt = GunzipError::Corrupt { offset: self.received };
        self.decoder.finish().map(|out| out.bytes).map_err(|_| corrupt)
    }

    fn refused(&self, error: &io::Error) -> GunzipError {
        let room = self.decoder.get_ref().room;
        match error.kind() {
            io::ErrorKind::StorageFull if room == self.size_max => {
                GunzipError::TooLarge { size_max: room }
            }
            io::ErrorKind::StorageFull => GunzipError::Ratio,
            _ => GunzipError::Corrupt { offset: self.received },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    fn coded(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(coded: &[u8], piece: usize, size_max: usize) -> Result<Vec<u8>, GunzipError> {
        let mut gunzip = Gunzip::new(size_max);
        coded.chunks(piece).try_for_each(|bytes| gunzip.push(bytes))?;
        gunzip.finish()
    }

    #[test]
    fn bombs_and_rests_are_refused() {
        let bomb = coded(&vec![0; 1 << 20]);
        let text: Vec<u8> = (0..4_000_u32).flat_map(|at| at.to_string().into_bytes()).collect();
        let behind = [coded(&text), b"more".to_vec()].concat();
        for piece in [1, 100, 1 << 20] {
            assert_eq!(decoded(&bomb, piece, 2 << 20), Err(GunzipError::Ratio), "{piece}");
            let large = GunzipError::TooLarge { size_max: 1_000 };
            assert_eq!(decoded(&coded(&text), piece, 1_000), Err(large), "{piece}");
            let rest = decoded(&behind, piece, 1 << 20);
            assert!(matches!(rest, Err(GunzipError::Corrupt { .. })), "{piece}: {rest:?}");
            let plain = decoded(b"#EXTM3U\n", piece, 1 << 20);
            assert!(matches!(plain, Err(GunzipError::Corrupt { .. })), "{piece}");
        }
        assert!(matches!(decoded(b"", 1, 10), Err(GunzipError::Corrupt { offset: 0 })));
    }

    proptest! {
        #[test]
        fn what_was_coded_comes_back_and_damage_never_panics(
            text in "[a-z0-9#\n]{1,2000}",
            piece in 1_usize..500,
            cut in any::<prop::sample::Index>(),
            flip in any::<u8>(),
        ) {
            let whole = coded(text.as_bytes());
            prop_assert_eq!(decoded(&whole, piece, 4_000), Ok(text.into_bytes()));
            prop_assert!(decoded(&whole[..cut.index(whole.len())], piece, 4_000).is_err());
            let mut damaged = whole;
            let at = cut.index(damaged.len());
            damaged[at] ^= flip;
            let _refused_or_not = decoded(&damaged, piece, 4_000);
        }
    }
}
