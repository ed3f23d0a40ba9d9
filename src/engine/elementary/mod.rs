//! Elementary streams: from the bytes of PES packets to the samples of a track.
//!
//! Knows codecs, but not the container they came in. Times come in as the 33-bit values of
//! ISO/IEC 13818-1 §2.4.3.7 and leave unwrapped as [`crate::engine::segment`] says.

pub mod audio;
mod nal;
mod parameter_sets;
pub mod video;

use crate::limits::SEGMENT_SAMPLE_COUNT_MAX;

/// A track that goes beyond what one segment may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrackError {
    /// More access units than [`SEGMENT_SAMPLE_COUNT_MAX`].
    #[error("more than {SEGMENT_SAMPLE_COUNT_MAX} access units in one segment")]
    TooManySamples,
}

/// The times of a PES packet's first access unit, 33 bits of 90 kHz each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// Presentation time; `None` where the packet has none.
    pub pts: Option<u64>,
    /// Decode time; `None` where it equals the presentation time.
    pub dts: Option<u64>,
}

/// The value that is `wrapped` modulo 2^33 and nearest to `near`.
#[must_use]
pub fn unwrap_near(wrapped: u64, near: i64) -> i64 {
    const MODULUS: i64 = 1 << 33;
    let wrapped = (wrapped & (MODULUS.cast_unsigned() - 1)).cast_signed();
    let ahead = (wrapped - near).rem_euclid(MODULUS);
    near + if ahead >= MODULUS / 2 { ahead - MODULUS } else { ahead }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_unwrap_to_the_nearest() {
        const WRAP: i64 = 1 << 33;
        for (wrapped, near, unwrapped) in [
            (5, 0, 5),
            (3, WRAP - 3000, WRAP + 3),
            (WRAP.cast_unsigned() - 1, 4, -1),
            (7, 3 * WRAP, 3 * WRAP + 7),
            (0, WRAP / 2 - 1, 0),
        ] {
            assert_eq!(unwrap_near(wrapped, near), unwrapped, "{wrapped} near {near}");
        }
    }
}
