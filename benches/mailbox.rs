//! A message to another shard and its answer, both shards asleep in between.

#![allow(missing_docs, reason = "made by criterion's macros")]

use criterion::{Criterion, criterion_group, criterion_main};
use headwater::shard::mailbox::{Receiver, Sender, mailbox};
use headwater::shard::rt::{DriverChoice, run_shard};
use std::thread;
use std::time::{Duration, Instant};

/// Answers every number with itself, until it is told to stop.
async fn echo(mut receiver: Receiver<Option<u64>>, sender: Sender<u64>) {
    let mut messages = Vec::new();
    loop {
        receiver.receive(&mut messages).await;
        for message in messages.drain(..) {
            let Some(number) = message else { return };
            sender.try_send(number).expect("one is under way");
        }
    }
}

fn round_trips(count: u64) -> Duration {
    let (there, arrivals) = mailbox(16);
    let (back, mut answers) = mailbox(16);
    let other = thread::spawn(|| {
        run_shard(1, None, DriverChoice::Best, async |_| echo(arrivals, back).await)
    });
    let lasted = run_shard(0, None, DriverChoice::Best, async |_| {
        let mut messages = Vec::new();
        let started = Instant::now();
        for number in 0..count {
            there.try_send(Some(number)).expect("one is under way");
            messages.clear();
            answers.receive(&mut messages).await;
            assert_eq!(messages, [number]);
        }
        let lasted = started.elapsed();
        there.try_send(None).expect("none is under way");
        lasted
    });
    other.join().expect("did not panic").expect("ran");
    lasted.expect("ran")
}

fn round_trip(criterion: &mut Criterion) {
    criterion.bench_function("mailbox round trip between two shards", |bencher| {
        bencher.iter_custom(round_trips);
    });
}

criterion_group!(benches, round_trip);
criterion_main!(benches);
