//! Bytes that are not a view of a ring: made once however many ask, and kept in a ring of their
//! own.
//!
//! The first who asks for a key makes the value; the others wait for it. Making reads files and
//! works through megabytes, so it runs on a storage thread and no shard waits for it. A value is
//! served from memory until it is in the cache ring, and from there by `sendfile` like anything
//! else. A cache ring starts empty and forgets what its oldest file held.

use crate::limits::{MADE_WAITER_COUNT_MAX, RING_FILE_COUNT_MIN};
use crate::ring::{
    Content, Durability, Location, QueueFull, Record, RecordKind, Ring, RingConfig, RingError,
    RingFile, Storage, Stored, Tenure, WriteError,
};
use crate::shard::rt::oneshot;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
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

/// A value that was made.
#[derive(Clone, Debug)]
pub enum Value {
    /// In memory, on its way to the cache ring or too large for it.
    Memory(Bytes),
    /// In the cache ring.
    Kept(Arc<RingFile>, Content),
}

type Outcome = Result<Value, MakeError>;

/// Gives a job to a kind of storage threads: [`Storage::make`] or [`Storage::read`].
pub type Give = fn(&Storage, Box<dyn FnOnce() + Send>) -> Result<(), QueueFull>;

/// The values made, shared by all shards.
pub struct Made {
    shelf: Mutex<Shelf>,
    storage: Arc<Storage>,
    give: Give,
    /// Bytes of the largest value that is kept.
    value_size_max: u64,
}

struct Shelf {
    entries: HashMap<String, Entry>,
    ring: Ring,
    /// Keys by the ring file that holds their values.
    keys: BTreeMap<u64, Vec<String>>,
    made_count: u64,
}

enum Entry {
    Making(Vec<oneshot::Sender<Outcome>>),
    /// On its way to this place of the ring.
    Writing(Bytes, Location),
    Ready(Arc<RingFile>, Content),
}

impl Made {
    /// An empty shelf whose ring takes `size` bytes in folder `dir`; what was there is removed.
    /// Values are made where `give` says.
    ///
    /// # Errors
    ///
    /// [`RingError`] where the folder cannot be emptied or the space not be had.
    pub fn open(
        dir: &Path,
        size: u64,
        storage: &Arc<Storage>,
        give: Give,
    ) -> Result<Self, RingError> {
        if dir.exists() {
            let kept =
                |error: std::io::Error| RingError::Io { path: dir.to_owned(), kind: error.kind() };
            std::fs::remove_dir_all(dir).map_err(kept)?;
        }
        let value_size_max = Self::value_size_max(size);
        let (dir, body_size_max) = (dir.to_owned(), value_size_max);
        let durability = Durability::Process;
        let config = RingConfig { dir, size, body_size_max, content_version: 0, durability };
        let (ring, _empty) = Ring::open(&config, storage, Tenure::sole())?;
        let (entries, keys) = (HashMap::new(), BTreeMap::new());
        let shelf = Mutex::new(Shelf { entries, ring, keys, made_count: 0 });
        Ok(Self { shelf, storage: Arc::clone(storage), give, value_size_max })
    }

    /// Bytes of the largest value that a ring of `size` bytes keeps: four to a file, and as many
    /// files as a ring must have.
    #[must_use]
    pub const fn value_size_max(size: u64) -> u64 {
        size / RING_FILE_COUNT_MIN / 4
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
        let waiting = match self.join(key)? {
            Joined::Ready(value) => return Ok(value),
            Joined::Waiting(waiting) => waiting,
            Joined::First(waiting) => {
                let (made, key) = (Arc::clone(self), key.to_owned());
                let job = Unfinished { made, key: Some(key) };
                // A refused job is dropped, which tells everyone who waits.
                let _told = (self.give)(&self.storage, Box::new(move || job.finish(make())));
                waiting
            }
        };
        waiting.await.unwrap_or(Err(MakeError::Busy))
    }

    fn join(&self, key: &str) -> Result<Joined, MakeError> {
        let mut shelf = self.lock();
        match shelf.entries.get_mut(key) {
            Some(Entry::Writing(bytes, _)) => Ok(Joined::Ready(Value::Memory(bytes.clone()))),
            Some(Entry::Ready(file, content)) if !file.is_unsound(content.payload.offset) => {
                Ok(Joined::Ready(Value::Kept(Arc::clone(file), *content)))
            }
            Some(Entry::Making(waiters)) if waiters.len() >= MADE_WAITER_COUNT_MAX => {
                Err(MakeError::Busy)
            }
            Some(Entry::Making(waiters)) => {
                let (sender, receiver) = oneshot::channel();
                waiters.push(sender);
                Ok(Joined::Waiting(receiver))
            }
            None | Some(Entry::Ready(..)) => {
                let (sender, receiver) = oneshot::channel();
                shelf.entries.insert(key.to_owned(), Entry::Making(vec![sender]));
                Ok(Joined::First(receiver))
            }
        }
    }

    /// Tells those who wait, and writes a value behind their back.
    fn settle(self: &Arc<Self>, key: String, outcome: Result<Bytes, MakeError>) {
        let mut shelf = self.lock();
        let waiters = match shelf.entries.remove(&key) {
            Some(Entry::Making(waiters)) => waiters,
            _ => Vec::new(),
        };
        if let Ok(bytes) = &outcome {
            shelf.made_count += 1;
            if bytes.len() as u64 <= self.value_size_max {
                self.keep(&mut shelf, key, bytes);
            }
        }
        drop(shelf);
        let outcome = outcome.map(Value::Memory);
        for waiter in waiters {
            waiter.complete(outcome.clone());
        }
    }

    fn keep(self: &Arc<Self>, shelf: &mut Shelf, key: String, bytes: &Bytes) {
        let record = Record {
            kind: RecordKind::Media,
            header: Vec::new(),
            table: Vec::new(),
            payload: bytes.to_vec(),
        };
        let (made, written) = (Arc::clone(self), key.clone());
        let done = move |result: Result<Stored, WriteError>| made.on_written(&written, &result);
        match shelf.ring.append(record, Vec::new, done) {
            Ok(placed) => {
                for file in placed.dropped_files {
                    for key in shelf.keys.remove(&file).unwrap_or_default() {
                        shelf.entries.remove(&key);
                    }
                }
                let place = placed.location;
                shelf.keys.entry(place.payload.file).or_default().push(key.clone());
                shelf.entries.insert(key, Entry::Writing(bytes.clone(), place));
            }
            // Made anew for the next one who asks.
            Err(error) => tracing::debug!(%error, "a made value was not kept"),
        }
    }

    /// A value is in the ring: its memory can go. Called on a storage thread.
    fn on_written(&self, key: &str, result: &Result<Stored, WriteError>) {
        let mut shelf = self.lock();
        let Some(Entry::Writing(_, place)) = shelf.entries.get(key) else { return };
        let Location { table, payload, .. } = *place;
        match (shelf.ring.file(payload.file), result) {
            (Some(file), Ok(Stored { hash })) => {
                let content = Content { table, payload, hash: *hash };
                shelf.entries.insert(key.to_owned(), Entry::Ready(file, content))
            }
            _ => shelf.entries.remove(key),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // Nothing that can panic runs under the lock.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Joined {
    Ready(Value),
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
            self.made.settle(key, outcome);
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.made.settle(key, Err(MakeError::Busy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CACHE_SIZE_MIN;
    use crate::ring::plan_files;
    use crate::shard::rt::{DriverChoice, run_shard};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn with_shelf(test: impl AsyncFnOnce(Arc<Made>)) {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::start(1).expect("threads");
        let dir = folder.path().join("cache");
        let made = Made::open(&dir, 64 << 20, &storage, Storage::make).expect("opened");
        let made = Arc::new(made);
        run_shard(0, None, DriverChoice::Best, async |_| test(made).await).expect("a driver");
    }

    fn content(value: &Value) -> Vec<u8> {
        match value {
            Value::Memory(bytes) => bytes.to_vec(),
            Value::Kept(file, Content { payload: at, .. }) => {
                let mut bytes = vec![0; usize::try_from(at.size).expect("small")];
                file.read_at(at.offset, &mut bytes).expect("read");
                bytes
            }
        }
    }

    #[test]
    fn a_value_is_made_once_and_forgotten_for_room() {
        with_shelf(async |made| {
            let count = Arc::new(AtomicUsize::new(0));
            let value = async |key: u8| {
                let count = Arc::clone(&count);
                let make = move || {
                    count.fetch_add(1, Ordering::Relaxed);
                    Ok(vec![key; 1_500_000])
                };
                let value = made.value(&key.to_string(), make).await.expect("made");
                assert_eq!(content(&value), vec![key; 1_500_000]);
            };
            for key in [1, 1, 2, 2, 1] {
                value(key).await;
            }
            assert_eq!(count.load(Ordering::Relaxed), 2);
            // More than the ring holds: the first ones are gone, and made anew.
            let mut key = 2;
            while count.load(Ordering::Relaxed) < 60 {
                key += 1;
                value(key).await;
            }
            assert_eq!(made.made_count(), 60);
            value(1).await;
            assert_eq!(count.load(Ordering::Relaxed), 61);
        });
    }

    #[test]
    fn the_smallest_cache_makes_two_rings() {
        let size = CACHE_SIZE_MIN / 2;
        assert!(plan_files(size, size / RING_FILE_COUNT_MIN / 4).is_ok());
    }

    #[test]
    fn a_kept_value_comes_from_the_ring() {
        with_shelf(async |made| {
            let mut from_ring = false;
            while !from_ring {
                let value = made.value("a", || Ok(vec![7; 1000])).await.expect("made");
                assert_eq!(content(&value), vec![7; 1000]);
                from_ring = matches!(value, Value::Kept(..));
            }
            assert_eq!(made.made_count(), 1);
        });
    }

    #[test]
    fn a_value_too_large_to_keep_is_made_each_time() {
        with_shelf(async |made| {
            for _ in 0..2 {
                let value = made.value("a", || Ok(vec![7; 3 << 20])).await.expect("made");
                assert!(matches!(value, Value::Memory(_)));
            }
            assert_eq!(made.made_count(), 2);
        });
    }

    #[test]
    fn a_failure_is_told_and_tried_again() {
        with_shelf(async |made| {
            let failed = made.value("a", || Err("no".to_owned())).await;
            assert_eq!(failed.err(), Some(MakeError::Failed("no".to_owned())));
            let panicked = made.value("a", || panic!("a test's panic")).await;
            assert_eq!(panicked.err(), Some(MakeError::Busy));
            assert!(made.value("a", || Ok(vec![1])).await.is_ok());
        });
    }
}
