//! Tests of transport packets: adaptation fields, stuffing, counters.

use super::*;
use proptest::prelude::*;

const TIMES: Timestamps = Timestamps { presentation: 90_000, decode: 90_000, clock: None };

fn pes(times: Timestamps, random_access: bool, elementary: &[u8]) -> Vec<u8> {
    let mut writer = PacketWriter::new(1, 0);
    writer.write_pes(0, 0xe0, times, random_access, elementary);
    writer.finish()
}

/// The payloads of all packets, joined, and the counters.
fn unpack(stream: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut payload = Vec::new();
    let mut counters = Vec::new();
    for (index, packet) in stream.chunks(PACKET_SIZE).enumerate() {
        assert_eq!(packet.len(), PACKET_SIZE);
        assert_eq!(packet[..3], [0x47, if index == 0 { 0x41 } else { 0x01 }, 0]);
        let field = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
        payload.extend(&packet[4 + field..]);
        counters.push(packet[3] & 0x0f);
    }
    (payload, counters)
}

#[test]
fn a_short_unit_is_stuffed_in_the_adaptation_field() {
    let stream = pes(TIMES, false, &[0xaa; 10]);
    // 184 bytes less a header of 14 and 10 of content: 160, of which one is the length.
    assert_eq!(stream[..8], [0x47, 0x41, 0, 0x30, 159, DISCONTINUITY, 0xff, 0xff]);
    assert_eq!(stream[164..178], *b"\0\0\x01\xe0\0\x12\x84\x80\x05\x21\0\x05\xbf\x21");
    assert_eq!(stream[178..], [0xaa; 10]);
}

#[test]
fn clock_reference_and_random_access_flag() {
    let times = Timestamps { clock: Some((1 << 33) + 0x1_2345_6789), ..TIMES };
    let stream = pes(times, true, &[0xaa; 184 - 8 - 14]);
    let field = [7, DISCONTINUITY | RANDOM_ACCESS | CLOCK_REFERENCE];
    assert_eq!(stream[4..6], field);
    assert_eq!(stream[6..12], (0x1_2345_6789_u64 << 15 | 0x7e00).to_be_bytes()[2..]);
    assert_eq!(stream.len(), PACKET_SIZE);
}

#[test]
fn both_time_stamps_where_they_differ() {
    let mut out = Vec::new();
    let times = Timestamps { presentation: -1, decode: 1 << 33 | 1, clock: None };
    write_pes_header(&mut out, 0xe0, times, 0x1_0000);
    assert_eq!(out[..9], [0, 0, 1, 0xe0, 0, 0, 0x84, 0xc0, 10], "too long for a length");
    assert_eq!(out[9..], [0x3f, 0xff, 0xff, 0xff, 0xff, 0x11, 0, 1, 0, 3]);
}

#[test]
fn sections_fill_their_packets() {
    let mut writer = PacketWriter::new(0, 0);
    writer.write_pat(&[1; 13]);
    writer.write_pat(&[2; 13]);
    let stream = writer.finish();
    assert_eq!(stream.len(), 2 * PACKET_SIZE);
    assert_eq!(stream[..8], [0x47, 0x40, 0, 0x30, 1, DISCONTINUITY, 0, 1]);
    assert_eq!(stream[PACKET_SIZE..][..6], [0x47, 0x40, 0, 0x11, 0, 2]);
    assert!(stream[6 + 14..PACKET_SIZE].iter().all(|&byte| byte == 0xff));
}

proptest! {
    #[test]
    fn a_unit_of_any_size_comes_back(
        size in 0..1200_usize,
        clock in any::<bool>(),
        key in any::<bool>(),
    ) {
        let elementary: Vec<u8> = (0..=250).cycle().take(size).collect();
        let times = Timestamps { clock: clock.then_some(5), ..TIMES };
        let (payload, counters) = unpack(&pes(times, key, &elementary));
        prop_assert_eq!(&payload[14..], &elementary[..]);
        prop_assert!((0..16).cycle().zip(counters).all(|(want, found)| want == found));
    }
}
