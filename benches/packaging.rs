//! What a segment costs once it is asked for: the head of a CMAF fragment, and a transport stream.

#![allow(missing_docs, reason = "made by criterion's macros")]

mod fixture;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headwater::engine::isobmff::{FragmentPart, write_fragment_heads};
use headwater::engine::mpegts::mux::{MuxPart, MuxTrack, mux_segment};
use headwater::engine::sample_table;
use headwater::engine::segment::{SegmentBody, TrackSegment};
use std::hint::black_box;

fn fragment_head(criterion: &mut Criterion, video: &TrackSegment) {
    let table = sample_table::encode(&video.samples);
    let payload_size = u32::try_from(video.payload.len()).expect("a segment is small");
    let name = format!("fragment head of {} samples from their table", video.samples.len());
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            let samples = sample_table::decode(black_box(&table)).expect("as encoded");
            let decode_start = video.first_decode_time;
            let part = FragmentPart { samples: &samples, decode_start, payload_size };
            write_fragment_heads(&video.config, 1, &[part])
        });
    });
}

fn transport_stream(criterion: &mut Criterion, body: &SegmentBody) {
    let tracks = body.tracks.iter().map(|track| MuxTrack {
        config: &track.config,
        language: None,
        parts: vec![MuxPart {
            samples: &track.samples,
            decode_start: track.first_decode_time,
            payload: &track.payload,
        }],
    });
    let tracks: Vec<MuxTrack<'_>> = tracks.collect();
    let mut group = criterion.benchmark_group("mux");
    group.throughput(Throughput::Bytes(mux_segment(&tracks).len() as u64));
    group.bench_function("H.264 and AAC", |bencher| {
        bencher.iter(|| mux_segment(black_box(&tracks)));
    });
    group.finish();
}

fn packaging(criterion: &mut Criterion) {
    let body = fixture::parse(&fixture::transport_stream());
    let video = body.tracks.first().expect("a picture");
    fragment_head(criterion, video);
    transport_stream(criterion, &body);
}

criterion_group!(benches, packaging);
criterion_main!(benches);
