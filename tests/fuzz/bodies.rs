//! Mutated bodies: whatever comes, no panic, and no more kept than came. Seeded, so that a failure
//! repeats.

use crate::bound::measured;
use crate::random::{Random, rounds};
use crate::support::{Fixture, packed, small_ts};
use headwater::engine::body::SegmentParser;
use headwater::engine::codec::{aac, avc, dolby, hevc};
use headwater::engine::mpegts::{pes, psi};
use headwater::engine::webvtt::parse_webvtt;

/// Mutations of each body.
const ROUNDS: usize = 200;

fn bodies() -> Vec<Vec<u8>> {
    let sound = "-f lavfi -i sine=duration=1 -ac 6";
    let picture = "-f lavfi -i testsrc2=size=160x90:rate=25:duration=1";
    let hevc = Fixture::ts(&format!(
        "{picture} {sound} -c:v libx265 -preset ultrafast -x265-params log-level=none -c:a eac3"
    ));
    let aac = Fixture::made("a.aac", &format!("{sound} -c:a aac"));
    let ac3 = Fixture::made("a.ac3", &format!("{sound} -c:a ac3"));
    let text = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:1,LOCAL:00:00.000\n\nSTYLE\na\n\n\
                1\n00:01.000 --> 00:02.000 line:0\nHi\n\n";
    vec![
        small_ts().bytes,
        hevc.bytes,
        packed(7, &aac.bytes),
        packed(7, &ac3.bytes),
        text.repeat(3).into_bytes(),
    ]
}

#[test]
fn mutated_bodies_never_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for original in bodies() {
        for _ in 0..rounds(ROUNDS) {
            let bytes = random.mutate(&original);
            let size = 1 + random.below(5000);
            let mut parsed = None;
            measured("body", bytes.len(), || {
                let mut parser = SegmentParser::new();
                if bytes.chunks(size).all(|piece| parser.push(piece).is_ok()) {
                    parsed = parser.finish().ok();
                }
            });
            let Some(body) = parsed else { continue };
            accepted += 1;
            for track in &body.tracks {
                let sizes: u64 = track.samples.iter().map(|s| u64::from(s.size)).sum();
                assert_eq!(sizes, track.payload.len() as u64);
                assert!(track.payload.capacity() <= 4 * bytes.len());
                assert!(!track.samples.is_empty());
                assert!((0..1 << 33).contains(&track.first_decode_time.ticks()));
                assert!(track.earliest_presentation_time <= track.presentation_end);
            }
        }
    }
    assert!(accepted > ROUNDS, "damage is survived, {accepted} times");
}

#[test]
fn every_parser_takes_any_bytes() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> =
            (0..random.below(80)).map(|_| random.next().to_le_bytes()[0]).collect();
        let _ = (avc::parse_sps(&bytes), avc::parse_pps_id(&bytes));
        let _ = (hevc::parse_sps(&bytes), hevc::parse_pps_id(&bytes), hevc::parse_vps_id(&bytes));
        let _ = (psi::parse_pat(&bytes), psi::parse_pmt(&bytes), parse_webvtt(&bytes));
        if let Some(header) = bytes.first_chunk() {
            let _ = aac::parse_adts(header);
        }
        if let [first, second, third, ..] = &mut bytes[..] {
            (*first, *second) = (0x0b, 0x77);
            *third &= 7;
            let _ = dolby::parse_syncframe(&bytes).map(|f| dolby::eac3_config(&[f, f]));
            bytes[..3].copy_from_slice(&[0, 0, 1]);
            let _ = pes::parse_pes_header(&bytes);
        }
    }
}
