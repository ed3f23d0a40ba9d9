//! PES packet headers (ISO/IEC 13818-1 §2.4.3.6 and §2.4.3.7).

use crate::engine::elementary::Timestamps;

/// A PES packet that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PesError {
    /// It does not begin with `00 00 01`.
    #[error("PES packet's start code expected")]
    NoStartCode,
    /// A stream id whose packets have no header fields: padding, private data, system messages.
    #[error("PES packet of stream {0:#04x}, which carries no media")]
    StreamId(u8),
    /// It ends before its header.
    #[error("PES packet ends at byte {0}, within its header")]
    Short(usize),
    /// The payload is scrambled.
    #[error("PES packet is scrambled")]
    Scrambled,
}

/// A PES packet's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PesHeader {
    /// Times of the first access unit that begins in it.
    pub times: Timestamps,
    /// Where the payload begins.
    pub payload_start: usize,
    /// Where the packet ends; `None` where it has no length.
    pub end: Option<usize>,
}

/// Reads the header at the front of `packet`.
///
/// # Errors
///
/// [`PesError`] where there is none, or it is of no use.
pub fn parse_pes_header(packet: &[u8]) -> Result<PesHeader, PesError> {
    let short = PesError::Short(packet.len());
    let [0, 0, 1, stream_id, size @ ..] = packet else {
        return Err(if packet.len() < 4 { short } else { PesError::NoStartCode });
    };
    // §2.4.3.7: program_stream_map, padding, private_stream_2, ECM, EMM, DSM-CC, H.222.1 type E,
    // program_stream_directory.
    if matches!(stream_id, 0xbc | 0xbe | 0xbf | 0xf0..=0xf2 | 0xf8 | 0xff) {
        return Err(PesError::StreamId(*stream_id));
    }
    let [size_high, size_low, marker, flags, header_size, fields @ ..] = size else {
        return Err(short);
    };
    if marker & 0x30 != 0 {
        return Err(PesError::Scrambled);
    }
    let fields = fields.get(..usize::from(*header_size)).ok_or(short)?;
    let stamp = |at: usize| fields.get(at..at + 5).map(parse_timestamp);
    let times = Timestamps {
        pts: if flags & 0x80 == 0 { None } else { stamp(0) },
        dts: if flags & 0xc0 == 0xc0 { stamp(5) } else { None },
    };
    let size = usize::from(u16::from_be_bytes([*size_high, *size_low]));
    let payload_start = 9 + usize::from(*header_size);
    let end = (size > 0).then(|| (6 + size).max(payload_start));
    Ok(PesHeader { times, payload_start, end })
}

/// A 33-bit time in its five bytes: 3, 15 and 15 bits, each followed by a marker bit.
fn parse_timestamp(field: &[u8]) -> u64 {
    let value = field.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
    value >> 3 & 0x1_c000_0000 | value >> 2 & 0x3fff_8000 | value >> 1 & 0x7fff
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [u8; 19] =
        [0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10, 0x3f, 0xff, 0xff, 0xff, 0xff, 0x11, 0, 1, 0, 3];

    #[test]
    fn times_of_all_ones_and_of_one() {
        let header = parse_pes_header(&HEADER).expect("valid");
        assert_eq!(header.times, Timestamps { pts: Some((1 << 33) - 1), dts: Some(1) });
        assert_eq!((header.payload_start, header.end), (19, None));
    }

    #[test]
    fn every_truncation_is_told() {
        for size in 0..HEADER.len() {
            assert_eq!(parse_pes_header(&HEADER[..size]), Err(PesError::Short(size)));
        }
    }

    #[test]
    fn packets_without_media() {
        let mut packet = HEADER;
        packet[3] = 0xbe;
        assert_eq!(parse_pes_header(&packet), Err(PesError::StreamId(0xbe)));
        packet[3] = 0xe0;
        packet[6] = 0x90;
        assert_eq!(parse_pes_header(&packet), Err(PesError::Scrambled));
        packet[2] = 2;
        assert_eq!(parse_pes_header(&packet), Err(PesError::NoStartCode));
    }
}
