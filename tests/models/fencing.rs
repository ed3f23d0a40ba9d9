//! Placement: one word of owner and epoch. Whoever takes a ring over raises the epoch and then
//! reads the ring; a storage thread looks at the epoch before it writes, and again before it
//! reports. Stands for `Placement`, `Tenure` and `Work::write` in `src/ring`.

use crate::try_all;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use loom::thread;

#[derive(Default)]
struct World {
    epoch: AtomicU64,
    /// A record of the old owner, in a file: ordered by nothing.
    record: AtomicBool,
}

impl World {
    fn is_current(&self, epoch: u64) -> bool {
        // Either this sees the raised epoch, or who raised it sees what was written before this.
        fence(Ordering::SeqCst);
        self.epoch.load(Ordering::Relaxed) == epoch
    }

    /// A storage thread's job. Returns whether the encoder gets its 2xx.
    fn write(&self, epoch: u64) -> bool {
        if !self.is_current(epoch) {
            return false;
        }
        self.record.store(true, Ordering::Relaxed);
        self.is_current(epoch)
    }

    /// Ends the tenure `epoch`: `None` where somebody else did.
    fn take_over(&self, epoch: u64) -> Option<u64> {
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        let raised = self.epoch.compare_exchange(epoch, epoch + 1, success, failure);
        fence(Ordering::SeqCst);
        raised.ok().map(|_| epoch + 1)
    }
}

#[test]
fn what_a_replaced_owner_was_told_is_written_is_found_by_the_next() {
    try_all(4, || {
        let world = Arc::new(World::default());
        let writing = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.write(0))
        };
        world.take_over(0).expect("nobody else takes over");
        let found = world.record.load(Ordering::Relaxed);
        let told = writing.join().unwrap();
        assert!(found || !told, "a 2xx for a record that the next owner does not know");
    });
}

#[test]
fn co_07_of_two_who_take_over_at_once_one_does() {
    try_all(4, || {
        let world = Arc::new(World::default());
        let owners = Arc::new(AtomicUsize::new(0));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (world, owners) = (Arc::clone(&world), Arc::clone(&owners));
                thread::spawn(move || {
                    if world.take_over(0).is_some() {
                        owners.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(owners.load(Ordering::Relaxed), 1);
        assert_eq!(world.epoch.load(Ordering::Relaxed), 1, "one decision, one epoch");
    });
}
