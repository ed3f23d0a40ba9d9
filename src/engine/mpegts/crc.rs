//! CRC-32/MPEG-2 of program-specific information (ISO/IEC 13818-1 annex A).

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    // The index as the polynomial's high byte: constants convert no integers.
    let mut high: u32 = 0;
    while index < table.len() {
        let mut crc = high;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { crc << 1 ^ 0x04c1_1db7 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
        high = high.wrapping_add(1 << 24);
    }
    table
};

/// The checksum of `section`; zero over a section that includes its own.
#[must_use]
pub fn crc32(section: &[u8]) -> u32 {
    section.iter().fold(u32::MAX, |crc, &byte| {
        let [high, ..] = crc.to_be_bytes();
        crc << 8 ^ TABLE[usize::from(high ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }
}
