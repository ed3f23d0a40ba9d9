//! A shard's mailbox: a bounded lock-free queue and one wake-up.
//!
//! Any thread sends, without waiting: where the queue is full the message comes back and the
//! sender decides. One task receives, and empties the queue wholly each time it wakes. Messages of
//! one sender arrive in its order.

use crossbeam::queue::ArrayQueue;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// A mailbox for `capacity` messages.
///
/// # Panics
///
/// If `capacity` is zero.
#[must_use]
pub fn mailbox<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity),
        asleep: AtomicBool::new(false),
        closed: AtomicBool::new(false),
        waker: Mutex::new(None),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// A sender; every shard has one for each of its neighbours.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// The receiving shard's half.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    queue: ArrayQueue<T>,
    /// The receiver found the queue empty and waits to be woken.
    asleep: AtomicBool,
    closed: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Sender<T> {
    /// Puts `message` into the mailbox and wakes the receiver where it sleeps.
    ///
    /// # Errors
    ///
    /// The message back, where the mailbox is full or its receiver gone.
    pub fn try_send(&self, message: T) -> Result<(), T> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(message);
        }
        self.0.queue.push(message)?;
        // Pairs with the fence in `receive`: either this load sees the receiver asleep, or the
        // receiver's second look at the queue sees the message.
        fence(Ordering::SeqCst);
        if self.0.asleep.load(Ordering::Relaxed) && self.0.asleep.swap(false, Ordering::AcqRel) {
            let waker = self.0.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        Ok(())
    }

    /// The other half, of a mailbox whose receiver is gone: a shard that was started again goes on
    /// with its mailbox.
    ///
    /// # Panics
    ///
    /// If there is a receiver.
    #[must_use]
    pub fn reopen(&self) -> Receiver<T> {
        let was_closed = self.0.closed.swap(false, Ordering::AcqRel);
        assert!(was_closed, "a mailbox has one receiver");
        Receiver(Arc::clone(&self.0))
    }

    /// Takes what waits from a receiver that does not come for it.
    #[must_use]
    pub fn take_waiting(&self) -> Vec<T> {
        (0..self.0.queue.capacity()).map_while(|_| self.0.queue.pop()).collect()
    }

    /// Messages waiting.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.queue.len()
    }
}

impl<T> Receiver<T> {
    /// Waits for at least one message and appends all that are there to `messages`.
    pub async fn receive(&mut self, messages: &mut Vec<T>) {
        let before = messages.len();
        poll_fn(|context| {
            self.drain(messages);
            if messages.len() == before {
                *self.0.waker.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(context.waker().clone());
                self.0.asleep.store(true, Ordering::Release);
                fence(Ordering::SeqCst);
                self.drain(messages);
            }
            if messages.len() == before {
                return Poll::Pending;
            }
            self.0.asleep.store(false, Ordering::Release);
            Poll::Ready(())
        })
        .await;
    }

    /// At most one queue's worth, so that busy senders cannot hold the receiver here.
    fn drain(&self, messages: &mut Vec<T>) {
        messages.extend((0..self.0.queue.capacity()).map_while(|_| self.0.queue.pop()));
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        // What was sent meanwhile owns things (sockets), which close here.
        while self.0.queue.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake};
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
}
