//! Entry points of the parsers below a segment's body: packets, parameter sets, frames.

use crate::{Entry, MULTIVARIANT, take_in};
use headwater::engine::body::SegmentParser;
use headwater::engine::codec::aac::contents::AacContents;
use headwater::engine::codec::{aac, avc, dolby, hevc};
use headwater::engine::mpegts::pes::parse_pes_header;
use headwater::engine::playlist::parse_playlist;
use std::hint::black_box;

const PAT: &[u8] = &[0, 0, 0xb0, 0x0d, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0, 0x2a, 0xb1, 4, 0xb2];
/// H.264, AAC, SCTE-35 and ID3 on PIDs 0x100 to 0x103.
const PMT: &[u8] = &[
    0, 0x02, 0xb0, 0x21, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0, 0x1b, 0xe1, 0, 0xf0, 0, 0x0f, 0xe1, 1,
    0xf0, 0, 0x86, 0xe1, 2, 0xf0, 0, 0x15, 0xe1, 3, 0xf0, 0, 0x51, 0xb8, 0x1d, 0x53,
];
const AVC_SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x0a, 0xac, 0xd9, 0x44, 0x26, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00,
    0x00, 0x03, 0x00, 0xc8, 0x3c, 0x48, 0x96, 0x58,
];
const AVC_PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
const HEVC_VPS: &[u8] = &[
    0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03,
    0x00, 0x00, 0x03, 0x00, 0x1e, 0x95, 0x98, 0x09,
];
const HEVC_SPS: &[u8] = &[
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
    0x00, 0x1e, 0xa0, 0x20, 0x81, 0x05, 0x96, 0x56, 0x69, 0x24, 0xca, 0xf0, 0x16, 0x80, 0x80, 0x00,
    0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x0c, 0x84,
];
const HEVC_PPS: &[u8] = &[0x44, 0x01, 0xc1, 0x72, 0xb4, 0x22, 0x40];
const ADTS: &[u8] = &[0xff, 0xf1, 0x4c, 0x80, 0x01, 0x7f, 0xfc, 1, 2, 3, 4];
/// Streams of frames with extensions, of which the first frame is read.
const HE_AAC: &[u8] = include_bytes!("../fixtures/he-aac-blocks.aac");
const HE_AAC_MONO: &[u8] = include_bytes!("../fixtures/he-aac-mono.aac");
const AC3: &[u8] = &[0x0b, 0x77, 0, 0, 0x1e, 0x40, 0xe1, 0xff];
const EAC3: &[u8] = &[
    0x0b, 0x77, 0x00, 0x44, 0x72, 0x87, 0xc0, 0x00, 0x21, 0x03, 0xf8, 0x00, 0xc3, 0xbd, 0xc3, 0xae,
];
/// PES headers with PTS 90,000; pictures with a decode time, too.
const SOUND_PES: &[u8] = &[
    0, 0, 1, 0xc0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 0x05, 0xbf, 0x21, 0xff, 0xf1, 0x4c, 0x80, 0x01,
    0x7f, 0xfc, 1, 2, 3, 4,
];
const PICTURE_PES: &[u8] = &[
    0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10, 0x31, 0, 0x05, 0xbf, 0x21, 0x11, 0, 0x05, 0xbf, 0x21, 0,
    0, 0, 1, 0x67, 0x64, 0x00, 0x0a, 0xac, 0xd9, 0x44, 0x26, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00,
    0x04, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x48, 0x96, 0x58, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb,
    0x22, 0xc0, 0, 0, 1, 0x65, 0x88, 0x84, 0x00, 0x2d, 0xff, 0xda, 0x5b,
];
const MESSAGE_PES: &[u8] =
    &[0, 0, 1, 0xbd, 0, 0, 0x80, 0x80, 5, 0x21, 0, 0x05, 0xbf, 0x21, b'I', b'D', b'3', 4, 0, 0];
const STREAM: &[[u8; 188]] = &[
    packet(0, PAT),
    packet(0x1000, PMT),
    packet(0x100, PICTURE_PES),
    packet(0x101, SOUND_PES),
    packet(0x103, MESSAGE_PES),
    packet(0x102, &[0, 0xfc, 0x30, 8, 0, 0, 0, 0]),
];

/// One packet of `pid` that begins a unit, filled up by an adaptation field.
#[allow(clippy::cast_possible_truncation, reason = "both fit their fields, in a constant")]
const fn packet(pid: u16, payload: &[u8]) -> [u8; 188] {
    let [high, low] = pid.to_be_bytes();
    let mut packet = [0xff; 188];
    (packet[0], packet[1], packet[2], packet[3]) = (0x47, 0x40 | high, low, 0x30);
    (packet[4], packet[5]) = (183 - payload.len() as u8, 0);
    let mut at = 0;
    while at < payload.len() {
        packet[188 - payload.len() + at] = payload[at];
        at += 1;
    }
    packet
}

pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "PES header",
        seeds: &[PICTURE_PES, SOUND_PES],
        run: |bytes| {
            let _ = black_box(parse_pes_header(bytes));
        },
    },
    Entry { name: "H.264 parameter sets", seeds: &[AVC_SPS, AVC_PPS], run: avc_sets },
    Entry { name: "H.265 parameter sets", seeds: &[HEVC_VPS, HEVC_SPS, HEVC_PPS], run: hevc_sets },
    Entry { name: "ADTS frame", seeds: &[ADTS, HE_AAC, HE_AAC_MONO], run: adts },
    Entry { name: "syncframe", seeds: &[AC3, EAC3], run: syncframe },
    Entry { name: "transport stream", seeds: &[STREAM.as_flattened()], run: take_in },
    Entry {
        name: "attribute list",
        seeds: &[
            MULTIVARIANT,
            b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,X=\"a,b=\\\"\",RESOLUTION=0x0\nx.m3u8\n",
        ],
        run: |bytes| drop(black_box(parse_playlist(bytes))),
    },
];

fn avc_sets(bytes: &[u8]) {
    drop(black_box((avc::parse_sps(bytes), avc::parse_pps_id(bytes))));
}

fn hevc_sets(bytes: &[u8]) {
    let sets = (hevc::parse_vps_id(bytes), hevc::parse_sps(bytes), hevc::parse_pps_id(bytes));
    drop(black_box(sets));
}

fn adts(bytes: &[u8]) {
    if let Some(header) = bytes.first_chunk() {
        let Ok(header) = black_box(aac::parse_adts(header)) else { return };
        let mut contents = AacContents::default();
        for block in header.blocks(bytes).into_iter().flatten() {
            header.inspect(&bytes[block], &mut contents);
        }
        drop(black_box(header.config(&contents)));
    }
}

fn syncframe(bytes: &[u8]) {
    if let Ok(frame) = dolby::parse_syncframe(bytes) {
        drop(black_box((dolby::ac3_config(&frame), dolby::eac3_config(&[frame, frame]))));
    }
}

#[test]
fn seeds_are_what_they_are_called() {
    let mut parser = SegmentParser::new();
    parser.push(STREAM.as_flattened()).unwrap();
    assert_eq!(parser.finish().unwrap().tracks.len(), 2);
    assert!(avc::parse_sps(AVC_SPS).is_ok() && avc::parse_pps_id(AVC_PPS).is_ok());
    assert!(hevc::parse_vps_id(HEVC_VPS).is_ok() && hevc::parse_sps(HEVC_SPS).is_ok());
    assert!(hevc::parse_pps_id(HEVC_PPS).is_ok() && parse_pes_header(PICTURE_PES).is_ok());
    assert!(aac::parse_adts(ADTS.first_chunk().unwrap()).is_ok());
    assert!(dolby::parse_syncframe(AC3).is_ok() && dolby::parse_syncframe(EAC3).is_ok());
}
