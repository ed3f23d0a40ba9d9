//! Storage threads: all that may wait for a disk happens here, never on a shard.
//!
//! Six kinds of threads, so that none waits behind another's work: those that write records,
//! those that sync records before they are acknowledged, those that sync, make and unlink files,
//! those that read cold ranges, those that make what is live from what was just written, and one
//! that reads what a start left for later. A ring keeps to one thread of each of the first three
//! kinds, so its jobs are done in the order they were given.
//!
//! They are the threads of one disk: a `storage.dir` is one filesystem, and where that hangs, all
//! rings in it wait.
//!
//! Queues are bounded; to give a job never waits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use crossbeam::queue::ArrayQueue;

use crate::limits::{
    COMMITTING_THREAD_COUNT, MAKING_THREAD_COUNT, STORAGE_QUEUE_LENGTH, STORAGE_THREAD_COUNT_MAX,
};
use crate::ring::file::RingFile;
use crate::ring::format::Content;

/// Between two tries to give a job to a full queue, at the process's end.
const FULL_QUEUE_PAUSE_SPAN: Duration = Duration::from_millis(5);

/// Done on a storage thread.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The queue of a storage thread is full: the disk doesn't keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{STORAGE_QUEUE_LENGTH} jobs wait for a storage thread")]
pub struct QueueFull;

/// What a storage thread has to do. Whoever holds it may give it jobs, and doesn't keep the thread:
/// storage threads give jobs to one another.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    jobs: Arc<ArrayQueue<Job>>,
    /// Jobs given and not done.
    open: Arc<AtomicUsize>,
    thread: Thread,
}

impl Desk {
    /// # Errors
    ///
    /// The job, where the queue is full.
    pub(super) fn give(&self, job: Job) -> Result<(), Job> {
        self.open.fetch_add(1, Ordering::Relaxed);
        if let Err(job) = self.jobs.push(job) {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(job);
        }
        self.thread.unpark();
        Ok(())
    }
}

/// One thread and its desk.
#[derive(Debug)]
struct Lane {
    desk: Desk,
    closing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Lane {
    fn start(name: String, panics: Arc<AtomicU64>) -> std::io::Result<Self> {
        let jobs = Arc::new(ArrayQueue::<Job>::new(STORAGE_QUEUE_LENGTH));
        let queue = Arc::clone(&jobs);
        let open = Arc::new(AtomicUsize::new(0));
        let undone = Arc::clone(&open);
        let closing = Arc::new(AtomicBool::new(false));
        let is_closing = Arc::clone(&closing);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            loop {
                // Asked before the queue is found empty, so that the last job isn't left behind.
                let closing = is_closing.load(Ordering::Acquire);
                if let Some(job) = queue.pop() {
                    if catch_unwind(AssertUnwindSafe(job)).is_err() {
                        panics.fetch_add(1, Ordering::Relaxed);
                    }
                    undone.fetch_sub(1, Ordering::Relaxed);
                } else if closing {
                    break;
                } else {
                    std::thread::park();
                }
            }
        })?;
        let desk = Desk { jobs, open, thread: thread.thread().clone() };
        Ok(Self { desk, closing, thread })
    }

    fn give(&self, job: Job) -> Result<(), QueueFull> {
        self.desk.give(job).map_err(|_| QueueFull)
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.desk.thread.unpark();
    }
}

/// Gives a job to the lane with the fewest.
fn give_any(lanes: &[Lane], job: Job) -> Result<(), QueueFull> {
    let idlest = lanes.iter().min_by_key(|lane| lane.desk.open.load(Ordering::Relaxed));
    idlest.ok_or(QueueFull)?.give(job)
}

/// The storage threads of one device. Dropping it does the waiting jobs, then ends the threads.
#[derive(Debug)]
pub struct Storage {
    writing: Vec<Lane>,
    committing: Vec<Lane>,
    upkeep: Vec<Lane>,
    reading: Vec<Lane>,
    making: Vec<Lane>,
    /// One: after a start there is as much to read as disks and cores can give, and all else goes
    /// before it.
    older: Vec<Lane>,
    panics: Arc<AtomicU64>,
    next_ring: AtomicUsize,
}

impl Storage {
    /// Starts `threads` threads of each kind, at least one, but [`COMMITTING_THREAD_COUNT`] that
    /// sync records and [`MAKING_THREAD_COUNT`] that make.
    ///
    /// # Errors
    ///
    /// If the kernel doesn't give the threads.
    pub fn start(threads: usize) -> std::io::Result<Arc<Self>> {
        let panics = Arc::new(AtomicU64::new(0));
        let count = threads.clamp(1, STORAGE_THREAD_COUNT_MAX);
        let lanes = |kind: &str, count: usize| {
            (0..count)
                .map(|number| Lane::start(format!("{kind}-{number}"), Arc::clone(&panics)))
                .collect::<std::io::Result<Vec<_>>>()
        };
        Ok(Arc::new(Self {
            writing: lanes("write", count)?,
            committing: lanes("commit", COMMITTING_THREAD_COUNT)?,
            upkeep: lanes("upkeep", count)?,
            reading: lanes("read", count)?,
            making: lanes("make", MAKING_THREAD_COUNT)?,
            older: lanes("older", 1)?,
            panics: Arc::clone(&panics),
            next_ring: AtomicUsize::new(0),
        }))
    }

    /// Brings a record of a file into the page cache, then calls `done` on the storage thread.
    /// Where that failed, [`RingFile::is_unsound`] is true.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] where the reading threads have full queues; `done` is dropped.
    pub fn warm(
        &self,
        file: Arc<RingFile>,
        content: Content,
        done: Box<dyn FnOnce() + Send>,
    ) -> Result<(), QueueFull> {
        self.read(Box::new(move || {
            file.warm(&content);
            done();
        }))
    }

    /// Does a job that reads files, on any reading thread.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] where the reading threads have full queues; the job is dropped.
    pub fn read(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), QueueFull> {
        give_any(&self.reading, job)
    }

    /// Does a job that makes something live of what is in the page cache, on any making thread:
    /// it never waits behind a cold range.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] where the making threads have full queues; the job is dropped.
    pub fn make(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), QueueFull> {
        give_any(&self.making, job)
    }

    /// Reads what a start left for later.
    pub(super) fn read_older(&self, job: Job) -> Result<(), QueueFull> {
        give_any(&self.older, job)
    }

    /// Has every thread that writes records do nothing for `span`, as a disk that hangs does. For
    /// tests.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] where one of them has a full queue.
    pub fn stall_writing(&self, span: Duration) -> Result<(), QueueFull> {
        self.writing
            .iter()
            .try_for_each(|lane| lane.give(Box::new(move || std::thread::sleep(span))))
    }

    /// Waits until all jobs given so far are done, and those that they gave, up to `patience`.
    /// Returns whether they are.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        // Those that write give jobs to the others.
        flush(self.writing.iter(), deadline) && flush(self.lanes(), deadline)
    }

    /// Jobs that panicked, which they never should.
    #[must_use]
    pub fn panic_count(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Jobs that wait for a thread.
    #[must_use]
    pub fn queued_jobs(&self) -> usize {
        self.lanes().map(|lane| lane.desk.jobs.len()).sum()
    }

    /// The number by which a ring keeps to its threads.
    pub(super) fn assign_ring(&self) -> usize {
        self.next_ring.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives a ring's writing thread a job.
    pub(super) fn write(&self, ring: usize, job: Job) -> Result<(), QueueFull> {
        self.writing[ring % self.writing.len()].give(job)
    }

    /// Where a ring has its records synced before they are acknowledged.
    pub(super) fn committing(&self, ring: usize) -> Desk {
        self.committing[ring % self.committing.len()].desk.clone()
    }

    /// Gives a ring's upkeep thread a job.
    pub(super) fn keep_up(&self, ring: usize, job: Job) -> Result<(), QueueFull> {
        self.upkeep[ring % self.upkeep.len()].give(job)
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        let to_disk = self.writing.iter().chain(&self.committing).chain(&self.upkeep);
        to_disk.chain(&self.reading).chain(&self.making).chain(&self.older)
    }
}

/// Waits until what these lanes have been given is done, until `deadline`. Returns whether it is.
fn flush<'a>(lanes: impl Iterator<Item = &'a Lane>, deadline: Instant) -> bool {
    let (done, all_done) = mpsc::channel::<()>();
    for lane in lanes {
        loop {
            let done = done.clone();
            if lane.give(Box::new(move || drop(done))).is_ok() {
                break;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(FULL_QUEUE_PAUSE_SPAN);
        }
    }
    drop(done);
    // Nothing is ever sent: the channel ends when every lane has dropped its end.
    let left = deadline.saturating_duration_since(Instant::now());
    all_done.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Disconnected)
}

impl Drop for Storage {
    fn drop(&mut self) {
        let Self { writing, committing, upkeep, reading, making, older, .. } = self;
        // Those that write first: they give jobs to the others.
        for kind in [writing, committing, upkeep, reading, making, older] {
            kind.iter().for_each(Lane::close);
            for lane in kind.drain(..) {
                // Where a job's callback held the last reference, this is that thread itself.
                if lane.thread.thread().id() != std::thread::current().id() {
                    let _panicked = lane.thread.join();
                }
            }
        }
    }
}
