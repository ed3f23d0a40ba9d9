//! How fast a pushed body becomes samples, in bytes of transport stream per second.

#![allow(missing_docs, reason = "made by criterion's macros")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headwater::engine::body::SegmentParser;
use std::hint::black_box;
use std::process::Command;

/// Bytes that arrive at a time.
const PIECE_SIZE: usize = 64 << 10;

fn demux(criterion: &mut Criterion) {
    let video = "-f lavfi -i testsrc2=size=1280x720:rate=25:duration=4,noise=alls=20:allf=t \
                 -f lavfi -i sine=duration=4 -c:v libx264 -preset ultrafast -b:v 6M -maxrate 6M \
                 -bufsize 6M -c:a aac -f mpegts -";
    let arguments = video.split_whitespace();
    let output = Command::new("ffmpeg").args(["-v", "error"]).args(arguments).output();
    let body = output.expect("ffmpeg runs").stdout;
    let mut group = criterion.benchmark_group("demux");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("h264 and aac at 6 Mbit/s", |bencher| {
        bencher.iter(|| {
            let mut parser = SegmentParser::new();
            for piece in body.chunks(PIECE_SIZE) {
                parser.push(black_box(piece)).expect("valid");
            }
            black_box(parser.finish().expect("valid"))
        });
    });
    group.finish();
}

criterion_group!(benches, demux);
criterion_main!(benches);
