//! One value from any thread to a task: how storage threads and other shards answer.
//!
//! The lock is held for the move of one value and never while waking. Waking a task of another
//! shard goes through its driver's event counter, written only where that shard sleeps.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A pair whose halves may live on different threads.
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Arc::new(Slot(Mutex::new(State { value: None, waker: None, sender_gone: false })));
    (Sender(Arc::clone(&slot)), Receiver(slot))
}

/// The half that answers.
#[derive(Debug)]
pub struct Sender<T>(Arc<Slot<T>>);

/// The half that waits; a future.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Slot<T>>);

/// The sender was dropped without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answering side is gone")]
pub struct Abandoned;

#[derive(Debug)]
struct Slot<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
    sender_gone: bool,
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Hands `value` over and wakes the receiver; where that is gone, drops the value.
    pub fn complete(self, value: T) {
        self.0.lock().value = Some(value);
        // Dropping the sender wakes.
    }

    /// True where nobody waits any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.0.lock();
            state.sender_gone = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Abandoned>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let Some(value) = state.value.take() {
            return Poll::Ready(Ok(value));
        }
        if state.sender_gone {
            return Poll::Ready(Err(Abandoned));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
