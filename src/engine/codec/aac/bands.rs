//! Widths of the scale factor bands of AAC (ISO/IEC 14496-3 §4.5.4, tables 4.129 to 4.147).

/// Bands of equal width that follow each other: how many, and coefficients of each.
type Run = (u8, u8);

/// Bands of one window of 1024 coefficients, by sampling frequency index.
const LONG: [&[Run]; 13] = [
    LONG_96, LONG_96, LONG_64, LONG_48, LONG_48, LONG_32, LONG_24, LONG_24, LONG_16, LONG_16,
    LONG_16, LONG_8, LONG_8,
];
/// Bands of one of eight windows of 128 coefficients.
const SHORT: [&[Run]; 13] = [
    SHORT_96, SHORT_96, SHORT_96, SHORT_48, SHORT_48, SHORT_48, SHORT_24, SHORT_24, SHORT_16,
    SHORT_16, SHORT_16, SHORT_8, SHORT_8,
];

const LONG_96: &[Run] =
    &[(14, 4), (5, 8), (5, 12), (2, 16), (1, 24), (1, 28), (1, 36), (1, 44), (11, 64)];
const LONG_64: &[Run] =
    &[(14, 4), (4, 8), (3, 12), (3, 16), (1, 20), (2, 24), (1, 28), (1, 36), (18, 40)];
const LONG_48: &[Run] =
    &[(10, 4), (7, 8), (4, 12), (2, 16), (2, 20), (2, 24), (2, 28), (19, 32), (1, 96)];
const LONG_32: &[Run] = &[(10, 4), (7, 8), (4, 12), (2, 16), (2, 20), (2, 24), (2, 28), (22, 32)];
const LONG_24: &[Run] = &[
    (11, 4),
    (10, 8),
    (4, 12),
    (3, 16),
    (2, 20),
    (2, 24),
    (2, 28),
    (1, 32),
    (2, 36),
    (1, 40),
    (1, 44),
    (1, 48),
    (2, 52),
    (5, 64),
];
const LONG_16: &[Run] = &[
    (11, 8),
    (9, 12),
    (4, 16),
    (3, 20),
    (2, 24),
    (2, 28),
    (1, 32),
    (1, 36),
    (2, 40),
    (1, 44),
    (1, 48),
    (1, 52),
    (1, 56),
    (1, 60),
    (3, 64),
];
const LONG_8: &[Run] = &[
    (13, 12),
    (7, 16),
    (4, 20),
    (3, 24),
    (2, 28),
    (1, 32),
    (2, 36),
    (1, 40),
    (1, 44),
    (1, 48),
    (1, 52),
    (1, 56),
    (1, 60),
    (1, 64),
    (1, 80),
];
const SHORT_96: &[Run] = &[(6, 4), (3, 8), (1, 16), (1, 28), (1, 36)];
const SHORT_48: &[Run] = &[(5, 4), (3, 8), (3, 12), (3, 16)];
const SHORT_24: &[Run] = &[(7, 4), (3, 8), (2, 12), (2, 16), (1, 20)];
const SHORT_16: &[Run] = &[(8, 4), (2, 8), (2, 12), (1, 16), (2, 20)];
const SHORT_8: &[Run] = &[(7, 4), (4, 8), (1, 12), (1, 16), (2, 20)];

/// The widths of one window's bands, lowest first; none where the index has no table.
pub(super) fn widths(rate_index: u8, short: bool) -> impl Iterator<Item = usize> {
    let table = if short { &SHORT } else { &LONG };
    let runs = table.get(usize::from(rate_index)).copied().unwrap_or_default();
    runs.iter().flat_map(|&(count, width)| (0..count).map(move |_| usize::from(width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_fill_their_window() {
        let long = [41, 41, 47, 49, 49, 51, 47, 47, 43, 43, 43, 40, 40];
        let short = [12, 12, 12, 14, 14, 14, 15, 15, 15, 15, 15, 15, 15];
        for (index, (long, short)) in (0..).zip(long.into_iter().zip(short)) {
            assert_eq!(widths(index, false).sum::<usize>(), 1024, "index {index}");
            assert_eq!(widths(index, true).sum::<usize>(), 128, "index {index}");
            assert_eq!(widths(index, false).count(), long, "index {index}");
            assert_eq!(widths(index, true).count(), short, "index {index}");
        }
        assert_eq!(widths(13, false).count(), 0);
    }
}
