//! Stands for `src/shard`: the real mailbox over loom's types.

#[allow(dead_code, reason = "depths are for metrics")]
#[path = "../../src/shard/mailbox.rs"]
pub mod mailbox;

/// Stands for `src/shard/sync.rs`.
pub mod sync {
    pub use super::queue::ArrayQueue;
    pub use loom::sync::atomic::{AtomicBool, Ordering, fence};
    pub use loom::sync::{Arc, Mutex};
}

/// Stands for crossbeam's queue, and promises less: a message happens before its receipt, and
/// nothing else is ordered.
#[allow(dead_code, reason = "depths are for metrics")]
pub mod queue {
    use loom::sync::Mutex;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use std::cell::Cell;

    loom::thread_local! {
        /// Whether this thread ends in the middle of its next push: what it took stays taken.
        pub static ENDS_HALFWAY: Cell<bool> = Cell::new(false);
    }

    const EMPTY: usize = 0;
    const BUSY: usize = 1;
    const FULL: usize = 2;

    #[derive(Debug)]
    pub struct ArrayQueue<T> {
        slots: Vec<Slot<T>>,
    }

    #[derive(Debug)]
    struct Slot<T> {
        stage: AtomicUsize,
        /// Locked by who made the slot busy, alone.
        message: Mutex<Option<T>>,
    }

    impl<T> ArrayQueue<T> {
        pub fn new(capacity: usize) -> Self {
            let slot = |_| Slot { stage: AtomicUsize::new(EMPTY), message: Mutex::new(None) };
            Self { slots: (0..capacity).map(slot).collect() }
        }

        fn take_slot(&self, from: usize) -> Option<&Slot<T>> {
            self.slots.iter().find(|slot| {
                let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
                slot.stage.compare_exchange(from, BUSY, acquire, relaxed).is_ok()
            })
        }

        pub fn push(&self, message: T) -> Result<(), T> {
            let Some(slot) = self.take_slot(EMPTY) else { return Err(message) };
            if ENDS_HALFWAY.with(Cell::get) {
                return Ok(());
            }
            *slot.message.lock().unwrap() = Some(message);
            slot.stage.store(FULL, Ordering::Release);
            Ok(())
        }

        pub fn pop(&self) -> Option<T> {
            let slot = self.take_slot(FULL)?;
            let message = slot.message.lock().unwrap().take();
            slot.stage.store(EMPTY, Ordering::Release);
            message
        }

        pub fn capacity(&self) -> usize {
            self.slots.len()
        }

        pub fn len(&self) -> usize {
            self.slots.iter().filter(|slot| slot.stage.load(Ordering::Relaxed) == FULL).count()
        }
    }
}
