//! Tests of `inspect`: what is printed of playlists, containers and damaged bytes.

use super::*;
use crate::engine::codec::AacConfig;
use crate::engine::isobmff::{FragmentPart, write_fragment_heads, write_init_segment};
use crate::engine::mpegts::mux::{MuxPart, MuxTrack, mux_segment};
use crate::engine::segment::Sample;
use crate::units::MediaTime;
use proptest::prelude::*;

fn config() -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x11, 0x90],
        object_type: 2,
        sample_rate: 48_000,
        channels: 2,
        frame_samples: 1024,
    })
}

const FRAMES: [Sample; 3] =
    [Sample { size: 10, duration: 1024, composition_offset: 0, random_access: true }; 3];

fn segment() -> Vec<u8> {
    let part = FragmentPart { samples: &FRAMES, decode_start: MediaTime(90_000), payload_size: 30 };
    [&write_fragment_heads(&config(), 7, &[part])[0][..], &[0x21; 30]].concat()
}

fn transport_stream() -> Vec<u8> {
    let part = MuxPart { samples: &FRAMES, decode_start: MediaTime(90_000), payload: &[0x21; 30] };
    mux_segment(&[MuxTrack { config: &config(), language: Some("fr"), parts: vec![part] }])
}

#[test]
fn a_fragment_is_a_tree() {
    let want = "\
styp 24 major msdh compatible msdh cmfs
moof 100
  mfhd 16 sequence 7
  traf 76
    tfhd 28 flags 0x020038 track 1
    tfdt 20 decode time 48000
    trun 20 flags 0x000001 samples 3
mdat 38
";
    assert_eq!(describe(&segment()).as_deref(), Ok(want));
}

#[test]
fn an_init_segment_names_its_track() {
    let text = describe(&write_init_segment(&config(), Some("en"))).unwrap();
    let head = "track 1: aac, 0x0, timescale 48000, eng\nftyp 24 major iso6 compatible iso6 cmfc\n";
    assert_eq!(text.get(..head.len()), Some(head));
    assert!(text.contains("\n      hdlr 33 soun\n") && text.contains("elng 15 en\n"));
}

#[test]
fn a_transport_stream_is_read_as_ingest_does() {
    let text = describe(&transport_stream()).unwrap();
    let want = "\
segment: 1 tracks, 0 messages
track PID 256, mp4a.40.2, 48000 Hz, 2 channels, fra, 3 samples (3 random access points), 30 bytes
  decode from 1.000000 s, presented 1.000000 s to 1.064000 s
";
    assert_eq!(text, want);
}

#[test]
fn playlists_are_summed_up() {
    let media = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:2.0,\na.ts\n\
        #EXT-X-DISCONTINUITY\n#EXTINF:1.5,\nb.ts\n#EXT-X-ENDLIST\n";
    let want = "\
media playlist: 2 segments, 3.500 s, target 2 s, sequence 5, discontinuity sequence 0, ended
5 a.ts 2.000000 s
6 b.ts 1.500000 s, after a discontinuity
";
    assert_eq!(describe(media.as_bytes()).as_deref(), Ok(want));
    let multivariant = "#EXTM3U\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",URI=\"a.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=900,RESOLUTION=16x9,CODECS=\"avc1.64001f\",AUDIO=\"a\"\n\
        v.m3u8\n";
    let want = "\
multivariant playlist: 1 variants, 1 renditions
variant v.m3u8, 900 bit/s, 16x9, codecs avc1.64001f, audio a
audio group a, \"English\", en, a.m3u8
";
    assert_eq!(describe(multivariant.as_bytes()).as_deref(), Ok(want));
}

#[test]
fn what_cannot_be_had_is_named() {
    let missing =
        InspectError::File { path: "no/such/file".to_owned(), kind: std::io::ErrorKind::NotFound };
    assert_eq!(inspect("no/such/file"), Err(missing));
    let scheme = InspectError::Scheme { url: "https://localhost/".to_owned() };
    assert_eq!(inspect("https://localhost/"), Err(scheme));
    assert_eq!(describe(b""), Err(InspectError::Body(BodyError::Empty)));
    assert_eq!(describe(b"\0\0\0\x30stypmsdh"), Err(InspectError::Box { offset: 0 }));
}

#[test]
fn every_truncation_is_refused_or_ends_between_boxes() {
    let whole = segment();
    for size in 0..whole.len() {
        let ends_between = [24, 124].contains(&size);
        assert_eq!(describe(&whole[..size]).is_ok(), ends_between, "{size}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_never_panics(at in 0..700_usize, byte in any::<u8>()) {
        for mut bytes in [segment(), transport_stream(), write_init_segment(&config(), None)] {
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = describe(&bytes);
        }
    }
}

#[test]
fn an_mpd_is_refused_by_name() {
    for text in ["<?xml version=\"1.0\"?><MPD/>", "\u{feff}<MPD/>", "\n <MPD/>"] {
        assert!(matches!(describe(text.as_bytes()), Err(InspectError::Xml)), "{text}");
    }
}
