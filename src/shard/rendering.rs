//! Long manifests, made on a making thread: a day's list takes tens of milliseconds to write and
//! compress, for which no shard's other answers wait. Each is made once for a shard and
//! publication, however many ask.

use crate::limits::MADE_WAITER_COUNT_MAX;
use crate::ring::Storage;
use crate::shard::rt::{self, oneshot};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A flight's waiters.
type Waiters<T> = Vec<oneshot::Sender<Option<T>>>;

/// What one shard has making threads write now; `T` is what comes out.
pub struct Renderings<T> {
    flights: Rc<RefCell<HashMap<String, Waiters<T>>>>,
}

impl<T> Default for Renderings<T> {
    fn default() -> Self {
        Self { flights: Rc::default() }
    }
}

impl<T: Clone + Send + 'static> Renderings<T> {
    /// What `make` gives, made once for all who ask for `key` meanwhile. `None` where there is no
    /// room for it, or it panicked.
    pub async fn value(
        &self,
        storage: &Storage,
        key: String,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (told, waiting) = oneshot::channel();
        if let Some(waiters) = self.flights.borrow_mut().get_mut(&key) {
            if waiters.len() >= MADE_WAITER_COUNT_MAX {
                return None;
            }
            waiters.push(told);
        } else {
            self.begin(storage, key, make, told)?;
        }
        waiting.await.ok().flatten()
    }

    /// Gives the job away. Who asked first may go: the flight ends in a task of its own.
    fn begin(
        &self,
        storage: &Storage,
        key: String,
        make: impl FnOnce() -> T + Send + 'static,
        first: oneshot::Sender<Option<T>>,
    ) -> Option<()> {
        let (done, made) = oneshot::channel();
        storage.make(Box::new(move || done.complete(make()))).ok()?;
        self.flights.borrow_mut().insert(key.clone(), vec![first]);
        let flights = Rc::clone(&self.flights);
        rt::spawn(async move {
            let made = made.await.ok();
            let waiters = flights.borrow_mut().remove(&key).unwrap_or_default();
            for waiter in waiters {
                waiter.complete(made.clone());
            }
        });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::rt::{DriverChoice, run_shard};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn all_who_ask_meanwhile_get_one_rendering() {
        let storage = Storage::start(1).expect("threads");
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        run_shard(0, None, DriverChoice::Best, async move |_| {
            let renderings = Renderings::default();
            let (open, gate) = std::sync::mpsc::channel::<()>();
            let ask = |gate: Option<std::sync::mpsc::Receiver<()>>| {
                let count = Arc::clone(&counted);
                renderings.value(&storage, "a".to_owned(), move || {
                    gate.map(|gate| gate.recv());
                    count.fetch_add(1, Ordering::Relaxed)
                })
            };
            let mut first = Box::pin(ask(Some(gate)));
            let mut second = Box::pin(ask(None));
            // Both have asked before the first one's job may end.
            std::future::poll_fn(|context| {
                assert!(first.as_mut().poll(context).is_pending());
                assert!(second.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            open.send(()).expect("it waits");
            assert_eq!((first.await, second.await), (Some(0), Some(0)));
            assert_eq!(ask(None).await, Some(1), "made anew once it is over");
            let panicked = renderings.value(&storage, "b".to_owned(), || panic!("a test's panic"));
            assert_eq!(panicked.await, None);
        })
        .expect("a driver");
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
