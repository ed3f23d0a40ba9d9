//! What a record costs: its place in the ring, and the whole way until it is written.

#![allow(missing_docs, reason = "made by criterion's macros")]

mod fixture;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fixture::OwnRing;
use headwater::ring::{Record, RecordKind};
use std::cell::RefCell;

fn append(criterion: &mut Criterion) {
    let mut ring = OwnRing::new();
    let mut group = criterion.benchmark_group("ring append until written");
    for size in [32 << 10, 1_600_000] {
        group.throughput(Throughput::Bytes(size as u64));
        let record = || Record {
            kind: RecordKind::Media,
            header: vec![1; 200],
            table: vec![2; 300],
            payload: vec![3; size],
        };
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            let ring = RefCell::new(&mut ring);
            let prepare = || {
                ring.borrow_mut().await_spares();
                record()
            };
            let append = |record| {
                let written = ring.borrow_mut().append(record).recv();
                written.expect("is told").expect("is written")
            };
            bencher.iter_batched(prepare, append, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
