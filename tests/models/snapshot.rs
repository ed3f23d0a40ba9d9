//! Publication: a channel's snapshot behind an atomic pointer, as `src/shard/site.rs` has it
//! behind an `ArcSwap`. A viewer who sees a snapshot sees all that it names; an owner that was
//! replaced does not take the pointer back.

use crate::try_all;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// Snapshots are numbered `epoch * 10 + version`; `media[n]` is written before snapshot n is shown.
struct Site {
    shown: AtomicU64,
    media: [AtomicU64; 3],
}

impl Site {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            shown: AtomicU64::new(0),
            media: std::array::from_fn(|_| AtomicU64::new(0)),
        })
    }

    /// Writes media and shows the snapshot that names it, unless a later owner has shown one.
    fn publish(&self, slot: usize, number: u64) {
        self.media[slot].store(number, Ordering::Relaxed);
        let newer = |shown: u64| (shown / 10 <= number / 10).then_some(number);
        let _stale = self.shown.fetch_update(Ordering::AcqRel, Ordering::Acquire, newer);
    }

    /// What a viewer sees: the snapshot's number, having found all that it names.
    fn view(&self) -> u64 {
        let shown = self.shown.load(Ordering::Acquire);
        let slot = match shown {
            0 => return 0,
            1 => 0,
            2 => 1,
            _ => 2,
        };
        assert_eq!(self.media[slot].load(Ordering::Relaxed), shown, "listed and not there");
        shown
    }
}

#[test]
fn viewers_see_whole_snapshots_in_their_order() {
    try_all(3, || {
        let site = Site::new();
        let owner = {
            let site = Arc::clone(&site);
            thread::spawn(move || {
                site.publish(0, 1);
                site.publish(1, 2);
            })
        };
        let first = site.view();
        let second = site.view();
        assert!(second >= first, "a viewer goes back in time");
        owner.join().unwrap();
        assert_eq!(site.view(), 2);
    });
}

#[test]
fn a_replaced_owner_does_not_take_the_snapshot_back() {
    try_all(4, || {
        let site = Site::new();
        let stale = {
            let site = Arc::clone(&site);
            thread::spawn(move || site.publish(0, 1))
        };
        let next = {
            let site = Arc::clone(&site);
            thread::spawn(move || site.publish(2, 11))
        };
        let seen = site.view();
        stale.join().unwrap();
        next.join().unwrap();
        assert_eq!(site.view(), 11, "seen before: {seen}");
    });
}
