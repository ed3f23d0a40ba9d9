//! How fast a pushed body becomes samples, and samples in a ring, in bytes of transport stream per
//! second.

#![allow(missing_docs, reason = "made by criterion's macros")]

mod fixture;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fixture::OwnRing;
use headwater::engine::body::SegmentParser;
use headwater::engine::sample_table;
use headwater::engine::segment::SegmentBody;
use headwater::ring::{Record, RecordKind};
use std::cell::RefCell;
use std::hint::black_box;

/// Bytes that arrive at a time.
const PIECE_SIZE: usize = 64 << 10;

fn parse(body: &[u8]) -> SegmentBody {
    let mut parser = SegmentParser::with_expected_size(body.len());
    for piece in body.chunks(PIECE_SIZE) {
        parser.push(black_box(piece)).expect("valid");
    }
    parser.finish().expect("valid")
}

/// Appends every track, and waits until all of them are written.
fn commit(ring: &mut OwnRing, body: SegmentBody) {
    let appended = body.tracks.into_iter().map(|track| {
        ring.append(Record {
            kind: RecordKind::Media,
            header: vec![0; 200],
            table: sample_table::encode(&track.samples),
            payload: track.payload,
        })
    });
    for written in appended.collect::<Vec<_>>() {
        written.recv().expect("is told").expect("is written");
    }
}

fn demux(criterion: &mut Criterion) {
    let body = fixture::transport_stream();
    let mut group = criterion.benchmark_group("demux");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("H.264 and AAC", |bencher| bencher.iter(|| parse(&body)));
    let mut ring = OwnRing::new();
    group.bench_function("H.264 and AAC to ring", |bencher| {
        let ring = RefCell::new(&mut ring);
        bencher.iter_batched(
            || ring.borrow_mut().await_spares(),
            |()| commit(&mut ring.borrow_mut(), parse(&body)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, demux);
criterion_main!(benches);
