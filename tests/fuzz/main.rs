//! Strangers' bytes: every parser takes whatever comes, without a panic, and within a bound on
//! memory and time per byte. Seeded, so that a failure repeats; each entry point is a plain
//! function of bytes, ready for a coverage-guided fuzzer too.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "an allocator that counts, and the thread's clock")]

#[path = "../support/heap.rs"]
mod heap;
#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod bound;
mod media;
mod random;

use bound::measured;
use headwater::engine::intake::IntakeParser;
use headwater::engine::mpegts::psi::SectionAssembler;
use headwater::engine::playlist::parse_playlist;
use headwater::engine::sample_table;
use headwater::engine::webvtt::parse_webvtt;
use headwater::http::body::BodyDecoder;
use headwater::http::digest::parse_authorization;
use headwater::http::range::evaluate;
use headwater::http::request::{Framing, parse_head};
use random::{Random, rounds};
use std::hint::black_box;

/// Inputs of each entry point.
const ROUNDS: usize = 2_000;

/// A parser by name, what it is meant to read, and how it is called.
struct Entry {
    name: &'static str,
    seeds: &'static [&'static [u8]],
    run: fn(&[u8]),
}

const HEAD: &[u8] = b"PUT /in/v2/demo/1/channel_1_00042.ts HTTP/1.1\r\nHost: a:8080\r\n\
    Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n\
    Authorization: Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"/x\"\r\n\r\n\
    5\r\nhello\r\n";
const GET: &[u8] = b"GET http://a/out/v1/demo-hls/index.m3u8?a=b HTTP/1.1\r\nHost: a\r\n\
    Range: bytes=0-1,5-\r\nIf-None-Match: \"x\", W/\"y\"\r\nAccept-Encoding: gzip;q=0.5, *\r\n\r\n";
const DIGEST: &[u8] = b"Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
    uri=\"/dir/index.html\", algorithm=SHA-256, \
    nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
    cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=\"auth\", \
    response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\", opaque=\"x\"";
const MEDIA: &[u8] = b"#EXTM3U\r\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n\
    #EXT-X-MEDIA-SEQUENCE:42\n#EXT-X-DISCONTINUITY\n#EXTINF:2.002000,title\n\
    #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.123+0000\nchannel_1_00042.ts?m=1\n\
    #EXT-X-GAP\n#EXTINF:1e308,\n../x.ts\n#EXT-X-ENDLIST\n";
const MULTIVARIANT: &[u8] = b"\xef\xbb\xbf#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",\
    NAME=\"x\",DEFAULT=YES,URI=\"a.m3u8\",CHANNELS=\"2\"\n#EXT-X-STREAM-INF:BANDWIDTH=1280000,\
    AVERAGE-BANDWIDTH=1000000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,\
    FRAME-RATE=29.970,AUDIO=\"a\"\nchannel_1.m3u8\n";
const TEXT: &[u8] = b"WEBVTT - x\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n\
    NOTE a\n\nSTYLE\n::cue{}\n\n1\n00:01.000 --> 100:00:02.500 line:0 align:start\n\
    Hi <b>you</b>\n\n";
const CHUNKS: &[u8] = b"5;x=\"y\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
const TABLE: &[u8] = &[3, 3, 128, 8, 100, 101, 102, 103, 104, 105];
const SECTION: &[u8] = &[0, 0, 0xb0, 0x0d, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0, 0x2a, 0xb1, 4, 0xb2];

const ENTRIES: &[Entry] = &[
    Entry {
        name: "request head",
        seeds: &[HEAD, GET],
        run: |bytes| drop(black_box(parse_head(bytes))),
    },
    Entry { name: "chunked body", seeds: &[CHUNKS], run: decode_chunked },
    Entry {
        name: "digest fields",
        seeds: &[DIGEST],
        run: |bytes| on_text(bytes, |text| drop(black_box(parse_authorization(text)))),
    },
    Entry {
        name: "ranges",
        seeds: &[b"bytes=0-1,5-,-7,100-200"],
        run: |bytes| {
            on_text(bytes, |text| drop(black_box(evaluate(Some(text), None, "\"e\"", 1000))));
        },
    },
    Entry {
        name: "playlist",
        seeds: &[MEDIA, MULTIVARIANT],
        run: |bytes| drop(black_box(parse_playlist(bytes))),
    },
    Entry { name: "webvtt", seeds: &[TEXT], run: |bytes| drop(black_box(parse_webvtt(bytes))) },
    Entry {
        name: "sample table",
        seeds: &[TABLE],
        run: |bytes| drop(black_box(sample_table::decode(bytes))),
    },
    Entry { name: "table section", seeds: &[SECTION], run: assemble_section },
    Entry { name: "pushed body", seeds: &[MEDIA, TEXT, &[0x47; 376]], run: take_in },
];

fn on_text(bytes: &[u8], run: impl FnOnce(&str)) {
    run(&String::from_utf8_lossy(bytes));
}

fn decode_chunked(mut bytes: &[u8]) {
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    while let Ok(decoded) = decoder.decode(bytes) {
        if decoded.done || decoded.consumed == 0 {
            break;
        }
        bytes = &bytes[decoded.consumed..];
    }
}

fn assemble_section(bytes: &[u8]) {
    let mut assembler = SectionAssembler::default();
    for (at, piece) in bytes.chunks(20).enumerate() {
        assembler.on_payload(at == 0, piece, |section| {
            black_box(section.len());
        });
    }
}

fn take_in(bytes: &[u8]) {
    let mut parser = IntakeParser::new();
    if bytes.chunks(7).all(|piece| parser.push(piece).is_ok()) {
        let _ = black_box(parser.finish());
    }
}

#[test]
fn every_parser_takes_any_bytes_within_its_bounds() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for entry in ENTRIES.iter().chain(media::ENTRIES) {
        for round in 0..rounds(ROUNDS) {
            let seed = entry.seeds[random.below(entry.seeds.len())];
            // Now and then a long one, so that what grows faster than its input shows.
            let original = if round % 50 == 0 { seed.repeat(200) } else { seed.to_vec() };
            let bytes = random.mutate(&original);
            measured(entry.name, bytes.len(), || (entry.run)(&bytes));
        }
    }
}
