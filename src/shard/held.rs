//! Requests held until their channel publishes: players whose clock tells them of a segment ask for
//! it as soon as it is over, which is before an encoder has sent it.
//!
//! Each is woken by the next publication and looks again. The lock is held for the move of a list,
//! and never while waking.

use crate::limits::HELD_REQUEST_COUNT_MAX;
use crate::shard::rt::oneshot;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who waits for a channel's next publication, on any shard.
#[derive(Debug, Default)]
pub struct Held(Mutex<Vec<oneshot::Sender<()>>>);

impl Held {
    /// Completes with the next publication; `None` where too many wait. What was published before
    /// the call does not count: whoever waits looks again first.
    #[must_use]
    pub fn wait(&self) -> Option<oneshot::Receiver<()>> {
        let mut waiting = self.lock();
        if waiting.len() >= HELD_REQUEST_COUNT_MAX {
            waiting.retain(|waiter| !waiter.is_abandoned());
        }
        if waiting.len() >= HELD_REQUEST_COUNT_MAX {
            return None;
        }
        let (told, published) = oneshot::channel();
        waiting.push(told);
        Some(published)
    }

    /// Wakes all who wait.
    pub fn release(&self) {
        let waiting = std::mem::take(&mut *self.lock());
        for waiter in waiting {
            waiter.complete(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<oneshot::Sender<()>>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_publication_wakes_all_and_those_who_went_leave_room() {
        let held = Held::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = pin!(held.wait().expect("room"));
        assert!(first.as_mut().poll(&mut context).is_pending());
        held.release();
        assert_eq!(first.as_mut().poll(&mut context), Poll::Ready(Ok(())));

        let waiting: Vec<_> = (0..HELD_REQUEST_COUNT_MAX).map(|_| held.wait()).collect();
        assert!(waiting.iter().all(Option::is_some));
        assert!(held.wait().is_none(), "the bound");
        drop(waiting);
        assert!(held.wait().is_some(), "nobody waits any more");
    }
}
