//! A shard's mailbox: a bounded lock-free queue and one wake-up.
//!
//! Any thread sends, without waiting: where the queue is full the message comes back and the
//! sender decides. One task receives, and empties the queue wholly each time it wakes. Messages of
//! one sender arrive in its order.

use crate::shard::sync::{Arc, ArrayQueue, AtomicBool, Mutex, Ordering, fence};
use std::future::poll_fn;
use std::sync::PoisonError;
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

impl<T> Shared<T> {
    /// True for the one sender that has to wake the receiver.
    fn take_sleeper(&self) -> bool {
        let (taken, free) = (Ordering::AcqRel, Ordering::Relaxed);
        self.asleep.load(Ordering::Relaxed)
            && self.asleep.compare_exchange(true, false, taken, free).is_ok()
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
        if self.0.take_sleeper() {
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
