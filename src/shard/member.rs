//! One shard as the others see it: its heartbeat, how it stands, and what another thread needs of
//! it where it cannot act for itself.
//!
//! ```text
//!           serves              lost               swept
//! starting ────────► serving ─────────► lost ──────────────► vacant
//!                       ▲      (judged stalled, or its         │
//!                       │       thread has panicked)           │ thread back, or started again
//!                       └───────────────────────────────────────┘
//! ```
//!
//! The shard itself makes the steps to `serving`, its thread's starter the one to `lost` after a
//! panic, and [`super::succession`] the others.

use crate::shard::moving::Role;
use crate::shard::rt::{self, Activity, OpenSockets, Slot};
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a shard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// It has not served yet, or has drained.
    Away,
    /// It serves.
    Serving,
    /// It has been lost, and what it had has no other owner yet.
    Lost,
    /// What it had is others'. It may serve again, with nothing.
    Vacant,
}

impl Standing {
    const ALL: [Self; 4] = [Self::Away, Self::Serving, Self::Lost, Self::Vacant];
}

/// Why a shard was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its thread was silent for too long.
    Stall,
    /// It panicked, and its thread has ended.
    Panic,
}

impl Cause {
    /// The word for it in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stall => "stall",
            Self::Panic => "panic",
        }
    }
}

/// What a test has a shard do, with its next tick or a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Panic.
    Panic,
    /// Sleep for so long.
    Stall(Duration),
    /// End the process.
    Abort,
}

impl Fault {
    /// Does it.
    ///
    /// # Panics
    ///
    /// Where that is what it is.
    pub(super) fn suffer(self) {
        match self {
            Self::Panic => panic!("a test asked for it"),
            Self::Stall(span) => std::thread::sleep(span),
            Self::Abort => std::process::abort(),
        }
    }
}

const NOBODY: usize = usize::MAX;

/// One shard.
#[derive(Debug)]
#[repr(align(128))]
pub struct Member {
    beats: AtomicU64,
    standing: AtomicU8,
    /// True where the shard was lost to a panic last.
    panicked: AtomicBool,
    stand_in: AtomicUsize,
    thread: AtomicI32,
    last_words: Mutex<Option<&'static Slot>>,
    sockets: Mutex<Arc<OpenSockets>>,
    fault: Mutex<Option<Fault>>,
    listeners: Mutex<Vec<(Role, TcpListener)>>,
}

impl Member {
    /// A shard that has not served yet, with its listening sockets.
    #[must_use]
    pub fn new(listeners: Vec<(Role, TcpListener)>) -> Self {
        Self {
            beats: AtomicU64::new(0),
            standing: AtomicU8::new(Standing::Away as u8),
            panicked: AtomicBool::new(false),
            stand_in: AtomicUsize::new(NOBODY),
            thread: AtomicI32::new(0),
            last_words: Mutex::new(None),
            sockets: Mutex::default(),
            fault: Mutex::new(None),
            listeners: Mutex::new(listeners),
        }
    }

    /// Its listening sockets, whoever accepts on them, as descriptors of the caller's own.
    ///
    /// # Errors
    ///
    /// Where the process is out of descriptors.
    pub fn listeners(&self) -> io::Result<Vec<(Role, TcpListener)>> {
        let listeners = lock(&self.listeners);
        listeners.iter().map(|(role, listener)| Ok((*role, listener.try_clone()?))).collect()
    }

    /// Gives its listening sockets up; those who accept on them have their own descriptors.
    pub(super) fn close_listeners(&self) {
        lock(&self.listeners).clear();
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing::ALL[usize::from(self.standing.load(Ordering::Acquire))]
    }

    /// Whether it serves.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.standing() == Standing::Serving
    }

    /// Makes a step, unless another was made before it.
    pub(super) fn step(&self, from: Standing, to: Standing) -> bool {
        let (from, to) = (from as u8, to as u8);
        self.standing.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Its thread, which calls this, serves from here on.
    pub(super) fn serve(&self) {
        self.thread.store(rt::thread_id(), Ordering::Relaxed);
        *lock(&self.sockets) = rt::open_sockets();
        *lock(&self.last_words) = Some(rt::own_slot());
        self.stand_in.store(NOBODY, Ordering::Release);
        // It was silent until now: the judge begins anew.
        self.beat();
        self.standing.store(Standing::Serving as u8, Ordering::Release);
    }

    /// It has drained, or does not run again.
    pub fn leave(&self) {
        self.standing.store(Standing::Away as u8, Ordering::Release);
    }

    /// Its thread has ended in a panic, its sockets are shut down, and no operation is in flight.
    pub fn on_panic(&self) {
        self.panicked.store(true, Ordering::Relaxed);
        // One that took long to panic may have been judged and succeeded already.
        self.step(Standing::Serving, Standing::Lost);
    }

    /// It has been silent for too long. False where it was lost already.
    pub(super) fn on_stall(&self) -> bool {
        let is_lost = self.step(Standing::Serving, Standing::Lost);
        if is_lost {
            self.panicked.store(false, Ordering::Relaxed);
        }
        is_lost
    }

    /// Why it was lost last.
    #[must_use]
    pub fn cause(&self) -> Cause {
        if self.panicked.load(Ordering::Relaxed) { Cause::Panic } else { Cause::Stall }
    }

    /// It lives.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has said that it lives.
    pub(super) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// What its thread does, by what the kernel says.
    pub(super) fn activity(&self) -> Option<Activity> {
        rt::activity(self.thread.load(Ordering::Relaxed))
    }

    /// Writes down what it is at, where it does not come back and the process ends for it.
    pub(super) fn write_last_words(&self) {
        if let Some(slot) = *lock(&self.last_words) {
            slot.write_down();
        }
    }

    /// Ends its connections.
    pub(super) fn shut_down(&self) {
        let sockets = Arc::clone(&lock(&self.sockets));
        sockets.shut_down_all();
    }

    /// The shard that accepts on its listeners in its place.
    pub(super) fn stand_in(&self) -> Option<usize> {
        Some(self.stand_in.load(Ordering::Acquire)).filter(|&shard| shard != NOBODY)
    }

    pub(super) fn set_stand_in(&self, shard: usize) {
        self.stand_in.store(shard, Ordering::Release);
    }

    /// Has it do this with its next tick. For tests.
    pub fn inject(&self, fault: Fault) {
        *lock(&self.fault) = Some(fault);
    }

    /// Does what a test asked for.
    ///
    /// # Panics
    ///
    /// Where that is what was asked for.
    pub(super) fn suffer(&self) {
        let fault = lock(&self.fault).take();
        if let Some(fault) = fault {
            fault.suffer();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
