//! What becomes of transport streams that are cut, damaged or oddly made.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

mod support;

use headwater::engine::body::{BodyError, SegmentParser};
use headwater::engine::mpegts::crc::crc32;
use headwater::engine::mpegts::error::TsError;
use headwater::engine::segment::{Damage, MetadataKind, SegmentBody};
use headwater::units::MediaTime;
use proptest::prelude::*;
use support::{packed, pid, small_ts};

const VIDEO: u16 = 256;
const MAP: u16 = 4096;

fn parse_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<SegmentBody, BodyError> {
    let mut parser = SegmentParser::new();
    for piece in pieces {
        parser.push(piece)?;
    }
    parser.finish()
}

fn parse(bytes: &[u8]) -> Result<SegmentBody, BodyError> {
    parse_pieces([bytes])
}

fn packets(bytes: &[u8]) -> Vec<[u8; 188]> {
    bytes.as_chunks().0.to_vec()
}

/// `body` as if nothing had been lost.
fn undamaged(mut body: SegmentBody) -> SegmentBody {
    for track in &mut body.tracks {
        track.damage = Damage::default();
    }
    body
}

#[test]
fn tables_that_come_late_explain_what_came_before() {
    let bytes = small_ts().bytes;
    let whole = parse(&bytes).unwrap();
    let mut late = packets(&bytes);
    let first_media = late.iter().position(|packet| pid(packet) == VIDEO).unwrap();
    let tables: Vec<_> = late.drain(..first_media).collect();
    assert!(parse(late.as_flattened()) == Ok(whole.clone()), "at the next repetition");
    late.retain(|packet| pid(packet) >= VIDEO && pid(packet) != MAP);
    late.extend(tables.iter().rev());
    assert!(parse(late.as_flattened()) == Ok(whole), "at the very end, map before association");
}

#[test]
fn a_stream_without_tables_is_refused() {
    let mut bare = packets(&small_ts().bytes);
    bare.retain(|packet| pid(packet) != MAP);
    let refused = parse(bare.as_flattened());
    assert!(matches!(refused, Err(BodyError::TransportStream(TsError::NoProgram { .. }))));
}

#[test]
fn a_new_version_of_the_same_map_changes_nothing() {
    let bytes = small_ts().bytes;
    let mut bumped = packets(&bytes);
    let middle = bumped.len() / 2;
    for packet in bumped[middle..].iter_mut().filter(|packet| pid(*packet) == MAP) {
        let size = 3 + usize::from(packet[7]);
        let section = &mut packet[5..5 + size];
        section[5] ^= 0b10;
        let crc = crc32(&section[..size - 4]).to_be_bytes();
        section[size - 4..].copy_from_slice(&crc);
    }
    assert!(bumped.as_flattened() != bytes);
    assert!(parse(bumped.as_flattened()) == parse(&bytes));
}

#[test]
fn packets_sent_twice_are_one() {
    let bytes = small_ts().bytes;
    let twice: Vec<_> = packets(&bytes)
        .into_iter()
        .enumerate()
        .flat_map(|(at, packet)| vec![packet; 1 + usize::from(at % 7 == 0)])
        .collect();
    assert!(parse(twice.as_flattened()) == parse(&bytes));
}

#[test]
fn a_lost_packet_damages_its_own_track_only() {
    let bytes = small_ts().bytes;
    let whole = parse(&bytes).unwrap();
    let mut lossy = packets(&bytes);
    let is_inner = |packet: &[u8; 188]| pid(packet) == VIDEO && packet[1] & 0x40 == 0;
    let inner: Vec<usize> = (0..lossy.len()).filter(|&at| is_inner(&lossy[at])).collect();
    lossy[inner[inner.len() / 2]][3] |= 0x80;
    lossy.remove(inner[inner.len() * 3 / 4]);
    let body = parse(lossy.as_flattened()).unwrap();
    assert!(body.tracks[1] == whole.tracks[1], "sound is as it was");
    let (video, original) = (&body.tracks[0], &whole.tracks[0]);
    assert!(video.damage.lost_packets >= 2, "{:?}", video.damage);
    assert_eq!(video.samples.len(), original.samples.len());
    assert_eq!(video.presentation_end, original.presentation_end);
    assert!(video.payload.len() < original.payload.len());
}

#[test]
fn lost_sound_leaves_a_hole_and_what_follows_in_its_place() {
    let bytes = small_ts().bytes;
    let whole = parse(&bytes).unwrap();
    let mut lossy = packets(&bytes);
    let starts = |packet: &[u8; 188]| pid(packet) == VIDEO + 1 && packet[1] & 0x40 != 0;
    let begins: Vec<usize> = (0..lossy.len()).filter(|&at| starts(&lossy[at])).collect();
    let (from, to) = (begins[1], begins[2]);
    let mut at = 0;
    lossy.retain(|packet| {
        at += 1;
        !(from..to).contains(&(at - 1)) || pid(packet) != VIDEO + 1
    });
    let body = parse(lossy.as_flattened()).unwrap();
    let (sound, original) = (&body.tracks[1], &whole.tracks[1]);
    assert!(sound.samples.len() < original.samples.len());
    assert!(sound.damage.dropped_units > 0);
    assert!((sound.presentation_end - original.presentation_end).ticks().abs() <= 1);
}

#[test]
fn foreign_bytes_are_passed_over_and_counted() {
    let bytes = small_ts().bytes;
    let whole = undamaged(parse(&bytes).unwrap());
    let (head, tail) = bytes.split_at(188 * 20);
    for junk in [&[0x47_u8][..], &[0; 5], &[0x47; 150], &[1; 1000]] {
        for (damaged, in_front) in
            [([junk, head, tail].concat(), true), ([head, junk, tail].concat(), false)]
        {
            let body = parse(&damaged).unwrap();
            assert!(body.tracks.iter().all(|track| track.damage.lost_packets > 0));
            // A sync byte where a packet is expected takes a packet's worth of bytes with it.
            if in_front || junk[0] != 0x47 {
                assert!(undamaged(body) == whole, "{} bytes, in front: {in_front}", junk.len());
            }
        }
    }
    let foreign = vec![0; 100_000];
    let refused = parse(&[&foreign[..], &bytes].concat());
    assert!(matches!(refused, Err(BodyError::TransportStream(TsError::NoSync { .. }))));
}

#[test]
fn a_cut_body_is_refused_at_its_last_packet() {
    let bytes = small_ts().bytes;
    for size in (188 * 30 + 1..188 * 31).chain([bytes.len() - 1]) {
        let offset = (size / 188 * 188) as u64;
        let cut = TsError::Truncated { offset, size: size % 188 };
        assert_eq!(parse(&bytes[..size]), Err(BodyError::TransportStream(cut)));
    }
    assert_eq!(parse(&[]), Err(BodyError::Empty));
}

#[test]
fn bodies_of_other_formats_are_refused() {
    for body in [&b"<html></html>"[..], b"\0\0\0\x18ftypisom", b"G", b"ID3", &[0xff; 3000]] {
        assert!(parse(body).is_err(), "{body:?}");
    }
}

#[test]
fn text_is_placed_by_its_timestamp_map() {
    let text = b"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:10.000,MPEGTS:900090\n\n\
                 00:12.000 --> 00:13.500\nHello\n";
    let body = parse(text).unwrap();
    let [track] = &body.tracks[..] else { panic!("one track") };
    assert_eq!(track.first_decode_time.ticks(), 90);
    assert_eq!(track.samples[0].duration, 135_000);
    assert_eq!(track.presentation_end.ticks(), 90 + 1_215_000);
    assert_eq!(track.payload, text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// However a body is cut into pieces, the result is the same.
    #[test]
    fn pieces_do_not_matter(cuts in prop::collection::vec(0..5_000_usize, 0..60)) {
        static BODIES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
        let bodies = BODIES.get_or_init(|| {
            let ts = small_ts().bytes;
            let (head, tail) = ts.split_at(188 * 9);
            let frames = support::Fixture::made("a.aac", "-f lavfi -i sine=duration=1 -c:a aac");
            let audio = packed(5, &frames.bytes);
            let mut damaged = audio.clone();
            damaged[2000] ^= 0xff;
            damaged.drain(4000..4100);
            let text = b"\xef\xbb\xbfWEBVTT\n\n00:01.000 --> 00:02.000\nHi\n".to_vec();
            vec![ts.clone(), [head, &[0x47; 40], tail].concat(), audio, damaged, text]
        });
        for body in bodies {
            let mut rest = &body[..];
            let mut pieces = Vec::new();
            for &cut in &cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert!(parse_pieces(pieces) == parse(body));
        }
    }
}

/// One packet of `pid` that begins a unit, filled up by an adaptation field.
fn packet(pid: u16, payload: &[u8]) -> [u8; 188] {
    let [high, low] = pid.to_be_bytes();
    let mut packet = [0xff; 188];
    packet[..4].copy_from_slice(&[0x47, 0x40 | high, low, 0x30]);
    packet[4] = u8::try_from(183 - payload.len()).unwrap();
    packet[5] = 0;
    packet[188 - payload.len()..].copy_from_slice(payload);
    packet
}

/// A section behind its pointer field, with its checksum.
fn section(content: &[u8]) -> Vec<u8> {
    [&[0][..], content, &crc32(content).to_be_bytes()].concat()
}

fn pes(stream_id: u8, payload: &[u8]) -> Vec<u8> {
    // PTS 90,000.
    [&[0, 0, 1, stream_id, 0, 0, 0x80, 0x80, 5, 0x21, 0, 0x05, 0xbf, 0x21], payload].concat()
}

#[test]
fn messages_are_kept_beside_the_media() {
    let map = [
        &[2, 0xb0, 33, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0][..],
        &[0x0f, 0xe1, 0, 0xf0, 0],
        &[0x15, 0xe1, 1, 0xf0, 0],
        &[0x86, 0xe1, 2, 0xf0, 0],
        &[0x11, 0xe1, 3, 0xf0, 0],
    ]
    .concat();
    let splice = [0xfc, 0x30, 8, 0, 0, 0, 0];
    let frame = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x7f, 0xfc, 1, 2, 3, 4];
    let stream = [
        packet(0, &section(&[0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0])),
        packet(MAP, &section(&map)),
        packet(0x100, &pes(0xc0, &frame)),
        packet(0x101, &pes(0xbd, b"ID3...")),
        packet(0x102, &section(&splice)),
    ];
    let body = parse(stream.as_flattened()).unwrap();
    let kept: Vec<_> =
        body.metadata.iter().map(|m| (m.kind, m.pid, m.time.map(MediaTime::ticks))).collect();
    let at = Some(90_000);
    assert!(kept.contains(&(MetadataKind::Id3, 0x101, at)), "{kept:?}");
    assert!(kept.contains(&(MetadataKind::Scte35, 0x102, at)), "as it arrived: {kept:?}");
    assert_eq!(body.unknown_streams, [(0x103, 0x11)]);
    assert_eq!(body.tracks[0].payload, [1, 2, 3, 4]);
    assert_eq!(body.tracks[0].first_decode_time.ticks(), 90_000);
}

/// A PES packet of `size` bytes of payload on `pid`, in as many packets as it takes.
fn long_pes(pid: u16, size: usize, continuity: &mut u8) -> Vec<[u8; 188]> {
    let whole = pes(0xbd, &vec![7; size]);
    let pieces = whole.chunks(150).enumerate().map(|(at, piece)| {
        let mut packet = packet(pid, piece);
        if at > 0 {
            packet[1] &= 0x1f;
        }
        packet[3] |= *continuity;
        *continuity = (*continuity + 1) & 0x0f;
        packet
    });
    pieces.collect()
}

#[test]
fn messages_are_bounded_by_their_bytes() {
    let map = [
        &[2, 0xb0, 23, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0][..],
        &[0x0f, 0xe1, 0, 0xf0, 0],
        &[0x15, 0xe1, 1, 0xf0, 0],
    ]
    .concat();
    let frame = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x7f, 0xfc, 1, 2, 3, 4];
    let mut stream = vec![
        packet(0, &section(&[0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0])),
        packet(MAP, &section(&map)),
        packet(0x100, &pes(0xc0, &frame)),
    ];
    let mut continuity = 0;
    for size in [60_000, 70_000, 60_000, 60_000, 60_000, 60_000, 10] {
        stream.extend(long_pes(0x101, size, &mut continuity));
    }
    let body = parse(stream.as_flattened()).unwrap();
    let kept: Vec<usize> = body.metadata.iter().map(|message| message.data.len()).collect();
    assert_eq!(kept, [60_000, 60_000, 60_000, 60_000, 10]);
    assert_eq!(body.dropped_messages, 2);
    assert!(body.tracks[0].damage.is_none());
}
