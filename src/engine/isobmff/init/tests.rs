//! Tests of init segments: their boxes in order, and what stands in them.

use super::*;
use crate::engine::codec::{AacConfig, VideoConfig};

fn audio() -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x11, 0x90],
        object_type: 2,
        sample_rate: 44_100,
        channels: 2,
        frame_samples: 1024,
    })
}

fn video() -> CodecConfig {
    CodecConfig::Avc(VideoConfig {
        vps: Vec::new(),
        sps: vec![vec![0x67, 66, 0, 10]],
        pps: vec![vec![0x68]],
        rfc6381: String::new(),
        width: 720,
        height: 576,
        aspect: (64, 45),
        frame_rate: (25, 1),
        interlaced: false,
        chroma_format: 1,
        bit_depth_luma: 8,
        bit_depth_chroma: 8,
        colour: None,
    })
}

/// Paths of all boxes, in order; `stsd` and what is in it is the sample entry's affair.
fn tree(bytes: &[u8], path: &str, out: &mut Vec<String>) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let size = usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
        let kind = std::str::from_utf8(&rest[4..8]).unwrap();
        let path = format!("{path}/{kind}");
        let containers = ["moov", "trak", "mdia", "minf", "stbl", "dinf", "mvex"];
        let content = &rest[8..size];
        out.push(path.clone());
        if containers.contains(&kind) {
            tree(content, &path, out);
        }
        rest = &rest[size..];
    }
}

/// The content of the first box of this kind, at any depth.
fn content(bytes: &[u8], kind: [u8; 4]) -> &[u8] {
    let at = bytes.windows(4).position(|window| *window == kind).expect("the box is there");
    let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap());
    &bytes[at + 4..at - 4 + usize::try_from(size).unwrap()]
}

#[test]
fn boxes_stand_in_the_order_of_the_specification() {
    let mut paths = Vec::new();
    tree(&write_init_segment(&audio(), Some("de-AT")), "", &mut paths);
    let want = [
        "/ftyp",
        "/moov",
        "/moov/mvhd",
        "/moov/trak",
        "/moov/trak/tkhd",
        "/moov/trak/mdia",
        "/moov/trak/mdia/mdhd",
        "/moov/trak/mdia/hdlr",
        "/moov/trak/mdia/elng",
        "/moov/trak/mdia/minf",
        "/moov/trak/mdia/minf/smhd",
        "/moov/trak/mdia/minf/dinf",
        "/moov/trak/mdia/minf/dinf/dref",
        "/moov/trak/mdia/minf/stbl",
        "/moov/trak/mdia/minf/stbl/stsd",
        "/moov/trak/mdia/minf/stbl/stts",
        "/moov/trak/mdia/minf/stbl/stsc",
        "/moov/trak/mdia/minf/stbl/stsz",
        "/moov/trak/mdia/minf/stbl/stco",
        "/moov/mvex",
        "/moov/mvex/trex",
    ];
    assert_eq!(paths, want);
}

#[test]
fn box_contents() {
    let init = write_init_segment(&audio(), Some("de-AT"));
    let zeros = |count: usize| vec![0_u8; count];
    let matrix: Vec<u8> = UNITY_MATRIX.iter().flat_map(|value| value.to_be_bytes()).collect();
    let mvhd = [
        zeros(12),
        b"\0\0\xac\x44\0\0\0\0\0\x01\0\0\x01\0".to_vec(),
        zeros(10),
        matrix.clone(),
        zeros(24),
        b"\0\0\0\x02".to_vec(),
    ];
    let tkhd = [
        b"\0\0\0\x07".to_vec(),
        zeros(8),
        b"\0\0\0\x01".to_vec(),
        zeros(20),
        b"\x01\0\0\0".to_vec(),
        matrix,
        zeros(8),
    ];
    let table: [(&[u8; 4], Vec<u8>); 12] = [
        (b"ftyp", b"iso6\0\0\0\0iso6cmfc".to_vec()),
        (b"mvhd", mvhd.concat()),
        (b"tkhd", tkhd.concat()),
        (b"mdhd", [zeros(12), b"\0\0\xac\x44\0\0\0\0\x10\xb5\0\0".to_vec()].concat()),
        (b"elng", b"\0\0\0\0de-AT\0".to_vec()),
        (b"hdlr", [zeros(8), b"soun".to_vec(), zeros(13)].concat()),
        (b"smhd", zeros(8)),
        (b"dref", b"\0\0\0\0\0\0\0\x01\0\0\0\x0curl \0\0\0\x01".to_vec()),
        (b"stts", zeros(8)),
        (b"stsz", zeros(12)),
        (b"stco", zeros(8)),
        (b"trex", b"\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\x02\0\0\0".to_vec()),
    ];
    for (kind, want) in table {
        assert_eq!(content(&init, *kind), want, "{}", String::from_utf8_lossy(kind));
    }
}

#[test]
fn pictures_are_shown_in_their_aspect() {
    let init = write_init_segment(&video(), None);
    assert_eq!(content(&init, *b"tkhd")[76..], *b"\x04\0\0\0\x02\x40\0\0", "1024 by 576");
    assert_eq!(content(&init, *b"vmhd"), b"\0\0\0\x01\0\0\0\0\0\0\0\0");
    assert_eq!(content(&init, *b"mdhd")[12..], *b"\0\x01\x5f\x90\0\0\0\0\x55\xc4\0\0", "und");
    assert!(!init.windows(4).any(|window| window == b"elng"));
    assert_eq!(content(&init, *b"trex")[20..], *b"\x01\x01\0\0");
}

#[test]
fn text_has_a_null_media_header() {
    let init = write_init_segment(&CodecConfig::WebVtt, Some("en"));
    assert_eq!(content(&init, *b"hdlr")[8..12], *b"text");
    assert_eq!(content(&init, *b"nmhd"), [0; 4]);
}
