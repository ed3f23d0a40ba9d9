//! Bytes that are not a view of a ring: made once however many ask, kept while there is room.
//!
//! The first who asks for a key makes the value; the others wait for it. Making reads files and
//! works through megabytes, so it runs on a storage thread and no shard waits for it.

use crate::limits::MADE_WAITER_COUNT_MAX;
use crate::ring::Storage;
use crate::shard::rt::oneshot;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a value could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// Too many wait, or storage has no room for the job: try again.
    #[error("no room to make it now")]
    Busy,
    /// Making failed.
    #[error("{0}")]
    Failed(String),
}

type Outcome = Result<Bytes, MakeError>;

/// The values made, shared by all shards.
#[derive(Debug)]
pub struct Made {
    shelf: Mutex<Shelf>,
    storage: Arc<Storage>,
}

#[derive(Debug)]
struct Shelf {
    entries: HashMap<String, Entry>,
    /// Keys of finished values, oldest first.
    order: VecDeque<String>,
    size: u64,
    size_max: u64,
    made_count: u64,
}

#[derive(Debug)]
enum Entry {
    Making(Vec<oneshot::Sender<Outcome>>),
    Ready(Bytes),
}

impl Made {
    /// An empty shelf for `size_max` bytes.
    #[must_use]
    pub fn new(storage: Arc<Storage>, size_max: u64) -> Self {
        let shelf = Shelf {
            entries: HashMap::new(),
            order: VecDeque::new(),
            size: 0,
            size_max,
            made_count: 0,
        };
        Self { shelf: Mutex::new(shelf), storage }
    }

    /// Values made so far.
    #[must_use]
    pub fn made_count(&self) -> u64 {
        self.lock().made_count
    }

    /// The value of `key`, made by `make` on a storage thread if nobody has made it yet.
    ///
    /// # Errors
    ///
    /// [`MakeError`], which all who wait get; the next one tries again.
    pub async fn value(
        self: &Arc<Self>,
        key: &str,
        make: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
    ) -> Outcome {
        let pending = match self.join(key)? {
            Joined::Ready(bytes) => return Ok(bytes),
            Joined::Waiting(pending) => pending,
            Joined::First(pending) => {
                let job = Unfinished { made: Arc::clone(self), key: Some(key.to_owned()) };
                // A refused job is dropped, which tells everyone who waits.
                let _told = self.storage.read(Box::new(move || job.finish(make())));
                pending
            }
        };
        pending.await.unwrap_or(Err(MakeError::Busy))
    }

    fn join(&self, key: &str) -> Result<Joined, MakeError> {
        let mut shelf = self.lock();
        match shelf.entries.get_mut(key) {
            Some(Entry::Ready(bytes)) => Ok(Joined::Ready(bytes.clone())),
            Some(Entry::Making(waiters)) if waiters.len() >= MADE_WAITER_COUNT_MAX => {
                Err(MakeError::Busy)
            }
            Some(Entry::Making(waiters)) => {
                let (sender, receiver) = oneshot::channel();
                waiters.push(sender);
                Ok(Joined::Waiting(receiver))
            }
            None => {
                let (sender, receiver) = oneshot::channel();
                shelf.entries.insert(key.to_owned(), Entry::Making(vec![sender]));
                Ok(Joined::First(receiver))
            }
        }
    }

    fn settle(&self, key: &str, outcome: &Outcome) {
        let mut shelf = self.lock();
        let waiters = match shelf.entries.remove(key) {
            Some(Entry::Making(waiters)) => waiters,
            Some(Entry::Ready(_)) | None => Vec::new(),
        };
        if let Ok(bytes) = outcome {
            shelf.keep(key, bytes.clone());
        }
        drop(shelf);
        for waiter in waiters {
            waiter.complete(outcome.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // Nothing that can panic runs under the lock.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn keep(&mut self, key: &str, bytes: Bytes) {
        self.made_count += 1;
        self.size += bytes.len() as u64;
        self.order.push_back(key.to_owned());
        self.entries.insert(key.to_owned(), Entry::Ready(bytes));
        while self.size > self.size_max {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(Entry::Ready(bytes)) = self.entries.remove(&oldest) {
                self.size -= bytes.len() as u64;
            }
        }
    }
}

enum Joined {
    Ready(Bytes),
    Waiting(oneshot::Receiver<Outcome>),
    First(oneshot::Receiver<Outcome>),
}

/// A value that somebody has promised to make; dropped unmade, it tells those who wait.
struct Unfinished {
    made: Arc<Made>,
    key: Option<String>,
}

impl Unfinished {
    fn finish(mut self, result: Result<Vec<u8>, String>) {
        if let Some(key) = self.key.take() {
            let outcome = result.map(Bytes::from).map_err(MakeError::Failed);
            self.made.settle(&key, &outcome);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.made.settle(&key, &Err(MakeError::Busy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::rt::{DriverChoice, run_shard};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn with_shelf(size_max: u64, test: impl AsyncFnOnce(Arc<Made>)) {
        let storage = Storage::start(1).expect("threads");
        let made = Arc::new(Made::new(storage, size_max));
        run_shard(0, None, DriverChoice::Best, async |_| test(made).await).expect("a driver");
    }

    #[test]
    fn a_value_is_made_once_and_forgotten_for_room() {
        with_shelf(10, async |made| {
            let count = Arc::new(AtomicUsize::new(0));
            for key in ["a", "a", "b", "b", "a"] {
                let count = Arc::clone(&count);
                let value = made.value(key, move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    Ok(vec![0; 6])
                });
                assert_eq!(value.await.map(|bytes| bytes.len()), Ok(6));
            }
            assert_eq!(count.load(Ordering::Relaxed), 3, "a, b, and a again");
        });
    }

    #[test]
    fn a_failure_is_told_and_tried_again() {
        with_shelf(10, async |made| {
            let failed = made.value("a", || Err("no".to_owned())).await;
            assert_eq!(failed, Err(MakeError::Failed("no".to_owned())));
            let panicked = made.value("a", || panic!("a test's panic")).await;
            assert_eq!(panicked, Err(MakeError::Busy));
            assert!(made.value("a", || Ok(vec![1])).await.is_ok());
        });
    }
}
