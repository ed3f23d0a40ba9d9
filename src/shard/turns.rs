//! Fairness among a shard's bulk senders.
//!
//! All of them together send [`BULK_TURN_SIZE`] bytes between two trips through the driver, so
//! that short answers, timers and mailboxes wait for that long at most. Who finds the turn spent
//! queues, first come first served, and goes on after the next trip. The trip is made only when
//! somebody waits for it: one event for a mebibyte sent.

use super::rt::{self, Turnstile};
use crate::limits::BULK_TURN_SIZE;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// A shard's turns, shared by its connections.
#[derive(Clone)]
pub struct Turns(Rc<Shared>);

struct Shared {
    spent: Cell<u64>,
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
    /// Present while nobody makes a trip.
    turnstile: RefCell<Option<Turnstile>>,
}

struct Waiter {
    size: u64,
    admitted: Cell<bool>,
    waker: RefCell<Waker>,
}

impl Turns {
    /// The turns of this thread's shard.
    ///
    /// # Errors
    ///
    /// Where the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Rc::new(Shared {
            spent: Cell::new(0),
            waiting: RefCell::default(),
            turnstile: RefCell::new(Some(Turnstile::new()?)),
        })))
    }

    /// Waits until `size` more bytes may be sent, in this turn or a later one, and counts them.
    pub async fn spend(&self, size: u64) {
        if self.0.spent.get() < BULK_TURN_SIZE && self.0.waiting.borrow().is_empty() {
            self.0.spent.set(self.0.spent.get() + size);
            return;
        }
        let mut entry: Option<Rc<Waiter>> = None;
        poll_fn(|context| {
            let Some(waiter) = &entry else {
                let waker = RefCell::new(context.waker().clone());
                let waiter = Rc::new(Waiter { size, admitted: Cell::new(false), waker });
                self.0.waiting.borrow_mut().push_back(Rc::clone(&waiter));
                entry = Some(waiter);
                self.begin_trips();
                return Poll::Pending;
            };
            if waiter.admitted.get() {
                return Poll::Ready(());
            }
            waiter.waker.borrow_mut().clone_from(context.waker());
            Poll::Pending
        })
        .await;
    }

    /// Gives back `size` bytes that were counted and that the socket did not take.
    pub fn refund(&self, size: u64) {
        self.0.spent.set(self.0.spent.get().saturating_sub(size));
    }

    fn begin_trips(&self) {
        // Bound to a name, so that the cell is free again while the task runs.
        let turnstile = self.0.turnstile.borrow_mut().take();
        if let Some(turnstile) = turnstile {
            rt::spawn(self.clone().make_trips(turnstile));
        }
    }

    async fn make_trips(self, mut turnstile: Turnstile) {
        while !self.0.waiting.borrow().is_empty() {
            if let Err(error) = turnstile.pass().await {
                // Bulk is then unfair, which is better than stuck.
                tracing::error!(%error, "no turns");
            }
            self.admit();
        }
        *self.0.turnstile.borrow_mut() = Some(turnstile);
    }

    fn admit(&self) {
        let mut spent = 0;
        while spent < BULK_TURN_SIZE {
            let Some(waiter) = self.0.waiting.borrow_mut().pop_front() else { break };
            // One whose connection is gone has no other holder and takes no share.
            if Rc::strong_count(&waiter) > 1 {
                spent += waiter.size;
                waiter.admitted.set(true);
                waiter.waker.borrow().wake_by_ref();
            }
        }
        self.0.spent.set(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::rt::{Driver, DriverChoice, oneshot, run_shard};

    /// Senders that could each fill a turn alternate, and one that has gone away holds up nobody.
    #[test]
    fn turns_go_round() {
        for driver in [DriverChoice::Best, DriverChoice::Only(Driver::Epoll)] {
            let order = run_shard(0, None, driver, async |_| {
                let turns = Turns::new().expect("a descriptor");
                let order = Rc::new(RefCell::new(Vec::new()));
                let mut ends = Vec::new();
                for sender in 0..3 {
                    let (turns, order) = (turns.clone(), Rc::clone(&order));
                    let (end, ended) = oneshot::channel();
                    ends.push(ended);
                    rt::spawn(async move {
                        for _ in 0..4 {
                            turns.spend(BULK_TURN_SIZE).await;
                            order.borrow_mut().push(sender);
                        }
                        end.complete(());
                    });
                }
                let mut gone = Box::pin(turns.spend(BULK_TURN_SIZE));
                poll_fn(|context| Poll::Ready(gone.as_mut().poll(context).is_ready())).await;
                drop(gone);
                for ended in ends {
                    ended.await.expect("completed");
                }
                order.take()
            });
            let order = order.expect("runs");
            for round in order.chunks(3) {
                let mut round = round.to_vec();
                round.sort_unstable();
                assert_eq!(round, [0, 1, 2], "{order:?}");
            }
        }
    }
}
