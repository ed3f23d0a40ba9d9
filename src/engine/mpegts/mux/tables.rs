//! Program-specific information: the tables that say what the PIDs carry (ISO/IEC 13818-1 §2.4.4).

use super::packets::{FIRST_STREAM_PID, PMT_PID, PacketWriter};
use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::language::iso_639_2;
use crate::engine::mpegts::crc::crc32;

/// `program_number` of the only program.
const PROGRAM_NUMBER: u16 = 1;

const REGISTRATION_DESCRIPTOR: u8 = 0x05;
const LANGUAGE_DESCRIPTOR: u8 = 0x0a;

/// How an elementary stream is announced and carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementaryStream {
    /// `stream_type` (ISO/IEC 13818-1 §2.4.4.9; 0x81 and 0x87 are those of ATSC A/53 and of HLS).
    pub stream_type: u8,
    /// `stream_id` of its PES packets (§2.4.3.7).
    pub stream_id: u8,
    /// Its descriptors in the program map, one after another.
    pub descriptors: Vec<u8>,
}

impl ElementaryStream {
    /// The stream of a track with this configuration.
    ///
    /// # Panics
    ///
    /// For text, which has no stream type.
    pub fn of(config: &CodecConfig, language: Option<&str>) -> Self {
        let (stream_type, stream_id, registration): (u8, u8, Option<&[u8; 4]>) = match config {
            CodecConfig::Avc(_) => (0x1b, 0xe0, None),
            CodecConfig::Hevc(_) => (0x24, 0xe0, Some(b"HEVC")),
            CodecConfig::Aac(_) => (0x0f, 0xc0, None),
            CodecConfig::Ac3(_) => (0x81, 0xbd, Some(b"AC-3")),
            CodecConfig::Eac3(_) => (0x87, 0xbd, Some(b"EAC3")),
            CodecConfig::WebVtt | CodecConfig::Ttml(_) => {
                unreachable!("text is not carried in transport streams")
            }
        };
        let mut descriptors = Vec::new();
        if let Some(identifier) = registration {
            descriptors.extend([REGISTRATION_DESCRIPTOR, 4]);
            descriptors.extend(identifier);
        }
        if let Some(tag) = language.filter(|_| config.kind() == TrackKind::Audio) {
            descriptors.extend([LANGUAGE_DESCRIPTOR, 4]);
            descriptors.extend(iso_639_2(Some(tag)));
            descriptors.push(0); // audio_type: undefined
        }
        Self { stream_type, stream_id, descriptors }
    }
}

/// Writes both tables; `clock` is the index of the stream that carries the clock reference.
pub fn write_tables(writer: &mut PacketWriter, streams: &[ElementaryStream], clock: usize) {
    writer.write_pat(&association_section());
    writer.write_pmt(&map_section(streams, clock));
}

/// `program_association_section` (§2.4.4.3).
fn association_section() -> Vec<u8> {
    let mut body = PROGRAM_NUMBER.to_be_bytes().to_vec();
    body.extend((0xe000 | PMT_PID).to_be_bytes());
    section(0x00, 1, &body)
}

/// `TS_program_map_section` (§2.4.4.8).
fn map_section(streams: &[ElementaryStream], clock: usize) -> Vec<u8> {
    let pids = || FIRST_STREAM_PID..PMT_PID;
    let clock_pid = pids().nth(clock).unwrap_or(FIRST_STREAM_PID);
    let mut body = (0xe000 | clock_pid).to_be_bytes().to_vec();
    body.extend([0xf0, 0]); // program_info_length
    for (stream, pid) in streams.iter().zip(pids()) {
        body.push(stream.stream_type);
        body.extend((0xe000 | pid).to_be_bytes());
        body.extend(length_field(0xf000, stream.descriptors.len()));
        body.extend(&stream.descriptors);
    }
    section(0x02, PROGRAM_NUMBER, &body)
}

/// A section of version 0, current, the only one of its table, with its checksum.
fn section(table_id: u8, extension: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![table_id];
    // Five bytes follow before the body, four after it.
    out.extend(length_field(0xb000, 5 + body.len() + 4));
    out.extend(extension.to_be_bytes());
    out.extend([0xc1, 0, 0]); // version_number, section_number, last_section_number
    out.extend_from_slice(body);
    out.extend(crc32(&out).to_be_bytes());
    out
}

/// A length of twelve bits under the four bits of `prefix`.
fn length_field(prefix: u16, length: usize) -> [u8; 2] {
    let length = u16::try_from(length).ok().filter(|&length| length < 1 << 10);
    (prefix | length.expect("sections are at most 1,021 bytes")).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::codec::{AacConfig, DolbyConfig};

    fn aac() -> CodecConfig {
        CodecConfig::Aac(AacConfig {
            audio_specific_config: vec![0x11, 0x90],
            object_type: 2,
            sample_rate: 48_000,
            channels: 2,
            frame_samples: 1024,
        })
    }

    fn dolby() -> DolbyConfig {
        DolbyConfig {
            specific_box: Vec::new(),
            sample_rate: 48_000,
            channels: 2,
            frame_samples: 1536,
        }
    }

    #[test]
    fn association() {
        let section = association_section();
        assert_eq!(section[..12], *b"\0\xb0\x0d\0\x01\xc1\0\0\0\x01\xf0\0");
        assert_eq!(crc32(&section), 0);
    }

    #[test]
    fn map_of_two_streams() {
        let streams = [
            ElementaryStream::of(&aac(), Some("de")),
            ElementaryStream::of(&CodecConfig::Ac3(dolby()), None),
        ];
        let section = map_section(&streams, 1);
        let mut want = b"\x02\xb0\x23\0\x01\xc1\0\0\xe1\x01\xf0\0".to_vec();
        want.extend(b"\x0f\xe1\0\xf0\x06\x0a\x04deu\0");
        want.extend(b"\x81\xe1\x01\xf0\x06\x05\x04AC-3");
        assert_eq!(section[..section.len() - 4], want);
        assert_eq!(crc32(&section), 0);
    }

    #[test]
    fn streams_of_codecs() {
        let eac3 = ElementaryStream::of(&CodecConfig::Eac3(dolby()), Some("en-GB"));
        assert_eq!((eac3.stream_type, eac3.stream_id), (0x87, 0xbd));
        assert_eq!(eac3.descriptors, b"\x05\x04EAC3\x0a\x04eng\0");
        assert_eq!(ElementaryStream::of(&aac(), None).descriptors, b"");
    }
}
