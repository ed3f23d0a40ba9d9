//! Program-specific information: sections, and the two tables that say what a stream holds.
//!
//! ISO/IEC 13818-1 §2.4.4 (sections, program association and program map), §2.6 (descriptors);
//! ETSI EN 300 468 annex D (AC-3 descriptors).

use super::crc::crc32;
use crate::limits::{TS_PID_COUNT_MAX, TS_PROGRAM_COUNT_MAX, TS_SECTION_SIZE_MAX};

const TABLE_PAT: u8 = 0;
const TABLE_PMT: u8 = 2;
const DESCRIPTOR_REGISTRATION: u8 = 0x05;
const DESCRIPTOR_LANGUAGE: u8 = 0x0a;
const DESCRIPTOR_DVB_AC3: u8 = 0x6a;
const DESCRIPTOR_DVB_EAC3: u8 = 0x7a;

/// A section that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// It ends before a field of it.
    #[error("section ends at byte {0}, within a field")]
    Short(usize),
    /// Its checksum does not match.
    #[error("section's checksum is wrong")]
    Checksum,
    /// Another table than the one expected.
    #[error("section of table {found} where {expected} is expected")]
    Table {
        /// What was expected.
        expected: u8,
        /// What came.
        found: u8,
    },
    /// More entries than the limits allow.
    #[error("section with more than {0} entries")]
    TooMany(usize),
}

/// Puts sections together from packet payloads.
#[derive(Clone, Debug, Default)]
pub struct SectionAssembler {
    section: Vec<u8>,
    /// False until a packet has told where a section begins.
    begun: bool,
}

impl SectionAssembler {
    /// Takes a packet's payload and calls `complete` with every section that ends in it.
    pub fn on_payload(
        &mut self,
        unit_start: bool,
        payload: &[u8],
        mut complete: impl FnMut(&[u8]),
    ) {
        let mut rest = payload;
        if unit_start {
            let Some((&pointer, after)) = rest.split_first() else { return };
            let Some((tail, sections)) = after.split_at_checked(usize::from(pointer)) else {
                self.reset();
                return;
            };
            self.append(tail, &mut complete);
            self.section.clear();
            self.begun = true;
            rest = sections;
        }
        self.append(rest, &mut complete);
    }

    /// Forgets a section that was begun.
    pub fn reset(&mut self) {
        self.section.clear();
        self.begun = false;
    }

    fn append(&mut self, mut bytes: &[u8], complete: &mut impl FnMut(&[u8])) {
        // A byte 0xFF where a section would begin is stuffing up to the packet's end.
        while self.begun && !bytes.is_empty() && !(self.section.is_empty() && bytes[0] == 0xff) {
            let wanted = match self.section[..] {
                [_, high, low, ..] => 3 + field_size(high, low),
                _ => 3,
            };
            if wanted == self.section.len() {
                // A section of no bytes: nothing sensible follows.
                return self.reset();
            }
            if wanted > TS_SECTION_SIZE_MAX {
                return self.reset();
            }
            let take = (wanted - self.section.len()).min(bytes.len());
            self.section.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.section.len() == wanted && wanted > 3 {
                complete(&self.section);
                self.section.clear();
            }
        }
    }
}

/// The body of a long-form section of table `expected`, between its header and its checksum.
fn table_body(section: &[u8], expected: u8) -> Result<&[u8], SectionError> {
    let found = *section.first().ok_or(SectionError::Short(0))?;
    if found != expected {
        return Err(SectionError::Table { expected, found });
    }
    let end = section.len().checked_sub(4).ok_or(SectionError::Short(section.len()))?;
    let body = section.get(8..end).ok_or(SectionError::Short(section.len()))?;
    if crc32(section) != 0 {
        return Err(SectionError::Checksum);
    }
    Ok(body)
}

/// PIDs of the program map tables in a program association section, in its order.
///
/// # Errors
///
/// [`SectionError`] where it is damaged or lists more than [`TS_PROGRAM_COUNT_MAX`] programs.
pub fn parse_pat(section: &[u8]) -> Result<Vec<u16>, SectionError> {
    let mut pids = Vec::new();
    for entry in table_body(section, TABLE_PAT)?.chunks_exact(4) {
        let (program, pid) = ([entry[0], entry[1]], [entry[2] & 0x1f, entry[3]]);
        // Program 0 is the network information table.
        if program != [0, 0] {
            if pids.len() == TS_PROGRAM_COUNT_MAX {
                return Err(SectionError::TooMany(TS_PROGRAM_COUNT_MAX));
            }
            pids.push(u16::from_be_bytes(pid));
        }
    }
    Ok(pids)
}

/// What carries an elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    /// H.264 (stream type 0x1B).
    Avc,
    /// H.265 (0x24).
    Hevc,
    /// AAC in ADTS (0x0F).
    Adts,
    /// AC-3 or E-AC-3 (0x81, 0x87, or 0x06 with a descriptor that says so).
    Dolby,
    /// ID3 in PES packets (0x15).
    Id3,
    /// `splice_info_section` (0x86).
    Scte35,
    /// Anything else.
    Unknown,
}

/// One elementary stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementaryStream {
    /// Its PID.
    pub pid: u16,
    /// `stream_type`.
    pub stream_type: u8,
    /// What that, together with descriptors, means.
    pub format: StreamFormat,
    /// ISO 639-2 code of its language descriptor.
    pub language: Option<[u8; 3]>,
}

/// The elementary streams of a program map section, in its order.
///
/// # Errors
///
/// [`SectionError`] where it is damaged or lists more than [`TS_PID_COUNT_MAX`] streams.
pub fn parse_pmt(section: &[u8]) -> Result<Vec<ElementaryStream>, SectionError> {
    let body = table_body(section, TABLE_PMT)?;
    let short = SectionError::Short(section.len());
    let [_, _, high, low, rest @ ..] = body else { return Err(short) };
    let (_, mut rest) = rest.split_at_checked(field_size(*high, *low)).ok_or(short)?;
    let mut streams = Vec::new();
    while let [stream_type, pid_high, pid_low, high, low, after @ ..] = rest {
        let (descriptors, next) = after.split_at_checked(field_size(*high, *low)).ok_or(short)?;
        if streams.len() == TS_PID_COUNT_MAX {
            return Err(SectionError::TooMany(TS_PID_COUNT_MAX));
        }
        streams.push(ElementaryStream {
            pid: u16::from_be_bytes([pid_high & 0x1f, *pid_low]),
            stream_type: *stream_type,
            format: stream_format(*stream_type, descriptors),
            language: language(descriptors),
        });
        rest = next;
    }
    Ok(streams)
}

/// A 12-bit size behind four reserved bits.
fn field_size(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high & 0x0f, low]))
}

/// (tag, content) of each descriptor, up to one that does not fit.
fn descriptors(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [tag, size, after @ ..] = rest else { return None };
        let (content, next) = after.split_at_checked(usize::from(*size))?;
        rest = next;
        Some((*tag, content))
    })
}

fn stream_format(stream_type: u8, loop_: &[u8]) -> StreamFormat {
    let says_dolby = |(tag, content): (u8, &[u8])| match tag {
        DESCRIPTOR_REGISTRATION => content.starts_with(b"AC-3") || content.starts_with(b"EAC3"),
        DESCRIPTOR_DVB_AC3 | DESCRIPTOR_DVB_EAC3 => true,
        _ => false,
    };
    match stream_type {
        0x1b => StreamFormat::Avc,
        0x24 => StreamFormat::Hevc,
        0x0f => StreamFormat::Adts,
        0x81 | 0x87 => StreamFormat::Dolby,
        0x06 if descriptors(loop_).any(says_dolby) => StreamFormat::Dolby,
        0x15 => StreamFormat::Id3,
        0x86 => StreamFormat::Scte35,
        _ => StreamFormat::Unknown,
    }
}

fn language(loop_: &[u8]) -> Option<[u8; 3]> {
    descriptors(loop_)
        .filter(|(tag, _)| *tag == DESCRIPTOR_LANGUAGE)
        .find_map(|(_, content)| content.first_chunk().copied())
        .filter(|code: &[u8; 3]| code.iter().all(u8::is_ascii_alphabetic))
        .map(|code| code.map(|letter| letter.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section of `table` with `body`, its length and checksum put in.
    fn section(table: u8, body: &[u8]) -> Vec<u8> {
        let size = u8::try_from(5 + body.len() + 4).expect("short");
        let mut section = vec![table, 0xb0, size, 0, 1, 0xc1, 0, 0];
        section.extend_from_slice(body);
        let crc = crc32(&section).to_be_bytes();
        section.extend_from_slice(&crc);
        section
    }

    #[test]
    fn programs_without_the_network_table() {
        let pat = section(TABLE_PAT, &[0, 0, 0xe0, 16, 0, 1, 0xf0, 0, 0, 2, 0xe1, 1]);
        assert_eq!(parse_pat(&pat), Ok(vec![0x1000, 0x101]));
        let wrong = SectionError::Table { expected: TABLE_PMT, found: TABLE_PAT };
        assert_eq!(parse_pmt(&pat), Err(wrong));
        let many: Vec<u8> = (1..6).flat_map(|n| [0, n, 0xe1, n]).collect();
        let many = section(TABLE_PAT, &many);
        assert_eq!(parse_pat(&many), Err(SectionError::TooMany(TS_PROGRAM_COUNT_MAX)));
    }

    #[test]
    fn descriptors_tell_format_and_language() {
        let pmt = section(
            TABLE_PMT,
            &[
                &[0xe1, 0, 0xf0, 0][..],
                &[0x1b, 0xe1, 0, 0xf0, 0],
                &[0x06, 0xe1, 1, 0xf0, 9, 0x6a, 1, 0, 0x0a, 4, b'D', b'e', b'u', 0],
                &[0x06, 0xe1, 2, 0xf0, 6, 0x05, 4, b'E', b'A', b'C', b'3'],
                &[0x06, 0xe1, 3, 0xf0, 3, 0x59, 1, 0],
            ]
            .concat(),
        );
        let streams = parse_pmt(&pmt).expect("valid");
        let formats: Vec<_> = streams.iter().map(|stream| stream.format).collect();
        let (dolby, unknown) = (StreamFormat::Dolby, StreamFormat::Unknown);
        assert_eq!(formats, [StreamFormat::Avc, dolby, dolby, unknown]);
        assert_eq!(streams[1].language, Some(*b"deu"));
        for at in 0..pmt.len() {
            let mut damaged = pmt.clone();
            damaged[at] ^= 1;
            assert!(parse_pmt(&damaged).is_err(), "byte {at}");
            assert!(parse_pmt(&pmt[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn sections_are_put_together_however_they_are_cut() {
        let (first, second) = (section(TABLE_PAT, &[0; 40]), section(TABLE_PMT, &[1; 20]));
        for cut in 1..first.len() {
            let mut sections = SectionAssembler::default();
            let mut found = Vec::new();
            let start = [&[0][..], &first[..cut]].concat();
            sections.on_payload(true, &start, |section| found.push(section.to_vec()));
            let size = u8::try_from(first.len() - cut).expect("short");
            let rest = [&[size][..], &first[cut..], &second, &[0xff; 9]].concat();
            sections.on_payload(true, &rest, |section| found.push(section.to_vec()));
            assert_eq!(found, [first.clone(), second.clone()]);
        }
    }

    #[test]
    fn impossible_sections_are_given_up() {
        let mut sections = SectionAssembler::default();
        for payload in [&[0, 2, 0, 0, 7, 7, 7][..], &[200, 1, 2], &[], &[0, 2, 0x0f, 0xff, 1]] {
            sections.on_payload(true, payload, |section| panic!("{section:?}"));
            sections.on_payload(false, &[9; 180], |section| panic!("{section:?}"));
        }
    }
}
