//! Tests of the mailbox, beside it and not in it: `tests/models` takes the file for itself.

use crate::shard::mailbox::{Receiver, mailbox};
use proptest::prelude::*;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

#[derive(Default)]
struct CountedWakes(AtomicUsize);

impl Wake for CountedWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll_once(receiver: &mut Receiver<u32>, waker: &Waker) -> Poll<Vec<u32>> {
    let mut messages = Vec::new();
    let polled = pin!(receiver.receive(&mut messages)).poll(&mut Context::from_waker(waker));
    polled.map(|()| messages)
}

#[test]
fn full_mailbox_gives_the_message_back() {
    let (sender, mut receiver) = mailbox(2);
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.try_send(2), Ok(()));
    assert_eq!(sender.try_send(3), Err(3));
    assert_eq!(poll_once(&mut receiver, Waker::noop()), Poll::Ready(vec![1, 2]));
    assert_eq!(sender.try_send(3), Ok(()));
}

#[test]
fn gone_receiver_gives_the_message_back() {
    let (sender, receiver) = mailbox(2);
    drop(receiver);
    assert_eq!(sender.try_send(1), Err(1));
}

#[test]
fn a_mailbox_goes_on_with_the_next_receiver() {
    let (sender, receiver) = mailbox(2);
    drop(receiver);
    let mut receiver = sender.reopen();
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(poll_once(&mut receiver, Waker::noop()), Poll::Ready(vec![1]));
}

#[test]
fn what_a_receiver_does_not_come_for_can_be_taken() {
    let (sender, mut receiver) = mailbox(2);
    assert_eq!((sender.try_send(1), sender.try_send(2)), (Ok(()), Ok(())));
    assert_eq!(sender.take_waiting(), [1, 2]);
    assert_eq!(poll_once(&mut receiver, Waker::noop()), Poll::Pending);
    assert_eq!(sender.try_send(3), Ok(()));
    assert_eq!(poll_once(&mut receiver, Waker::noop()), Poll::Ready(vec![3]));
}

#[test]
fn one_wake_for_many_messages() {
    let (sender, mut receiver) = mailbox(8);
    let wakes = Arc::new(CountedWakes::default());
    assert_eq!(poll_once(&mut receiver, &Arc::clone(&wakes).into()), Poll::Pending);
    for message in 0..5 {
        sender.try_send(message).expect("room for eight");
    }
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(poll_once(&mut receiver, Waker::noop()), Poll::Ready(vec![0, 1, 2, 3, 4]));
}

#[test]
fn threads_lose_nothing_and_keep_their_order() {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    const SENDERS: u32 = 3;
    const EACH: u32 = 5_000;
    let (sender, mut receiver) = mailbox(16);
    for who in 0..SENDERS {
        let sender = sender.clone();
        thread::spawn(move || {
            for number in 0..EACH {
                let mut message = who * EACH + number;
                while let Err(back) = sender.try_send(message) {
                    message = back;
                    thread::yield_now();
                }
            }
        });
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut next = [0; SENDERS as usize];
    while next.iter().sum::<u32>() < SENDERS * EACH {
        match poll_once(&mut receiver, &waker) {
            Poll::Pending => thread::park(),
            Poll::Ready(messages) => {
                for message in messages {
                    let who = usize::try_from(message / EACH).expect("three senders");
                    assert_eq!(message % EACH, next[who], "order of sender {who}");
                    next[who] += 1;
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_a_bounded_queue(
        capacity in 1_usize..5,
        operations in prop::collection::vec(any::<Option<u32>>(), 0..64),
    ) {
        let (sender, mut receiver) = mailbox(capacity);
        let mut model = Vec::new();
        for operation in operations {
            match operation {
                Some(message) if model.len() < capacity => {
                    prop_assert_eq!(sender.try_send(message), Ok(()));
                    model.push(message);
                }
                Some(message) => prop_assert_eq!(sender.try_send(message), Err(message)),
                None => match poll_once(&mut receiver, Waker::noop()) {
                    Poll::Ready(messages) => {
                        prop_assert_eq!(messages, std::mem::take(&mut model));
                    }
                    Poll::Pending => prop_assert!(model.is_empty()),
                },
            }
        }
    }
}
