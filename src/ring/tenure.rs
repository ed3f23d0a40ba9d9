//! Who may write into a ring: one word for owner and epoch, and the lock of the folder.
//!
//! Whoever takes a ring over raises the epoch first. From then on the storage threads refuse what
//! the owner before it asks for, and report nothing of it as written, however late that owner
//! notices. They look before a write, so that little is written in vain, and after it, so that what
//! is reported was whole before the epoch rose: who reads the ring after raising it finds it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::ring::error::RingError;

/// Name of the file whose lock says that a process owns the ring.
const LOCK_NAME: &str = "ring.lock";

/// Low bits of the word that hold the owner's number; the others hold the epoch.
const OWNER_BITS: u32 = 16;

/// A process's right to a ring's folder, and the storage threads that the ring keeps to. It passes
/// from one owner within the process to the next, and ends with the last job of the last of them.
#[derive(Debug)]
pub(super) struct Claim {
    _lock: File,
    /// By this number the ring keeps to its storage threads, whoever owns it.
    pub number: usize,
}

impl Claim {
    /// Makes the folder and takes its lock, which is held as long as the file is open.
    pub fn take(folder: &Path, number: usize) -> Result<Arc<Self>, RingError> {
        let io = |error: std::io::Error| RingError::Io { path: folder.into(), kind: error.kind() };
        std::fs::create_dir_all(folder).map_err(io)?;
        let lock = File::create(folder.join(LOCK_NAME)).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Arc::new(Self { _lock: lock, number })),
            Err(TryLockError::WouldBlock) => Err(RingError::Locked { dir: folder.into() }),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

/// Which owner a ring has, by number, and how often that has changed: one word, so that two who
/// would take it over at once cannot both.
#[derive(Debug)]
pub struct Placement {
    word: AtomicU64,
    /// Writes of earlier owners that were refused.
    refused: AtomicU64,
    claim: Mutex<Weak<Claim>>,
}

/// The time between two changes of a ring's owner, as who owns it holds it.
#[derive(Clone, Debug)]
pub struct Tenure {
    placement: Arc<Placement>,
    epoch: u64,
}

impl Placement {
    /// The first tenure is that of `owner`.
    ///
    /// # Panics
    ///
    /// If `owner` is 65,536 or more.
    #[must_use]
    pub fn new(owner: usize) -> Arc<Self> {
        let (word, refused) = (AtomicU64::new(pack(owner, 0)), AtomicU64::new(0));
        Arc::new(Self { word, refused, claim: Mutex::default() })
    }

    /// The owner now.
    #[must_use]
    pub fn owner(&self) -> usize {
        unpack(self.word.load(Ordering::Acquire)).0
    }

    /// The tenure now.
    #[must_use]
    pub fn tenure(self: &Arc<Self>) -> Tenure {
        let (_, epoch) = unpack(self.word.load(Ordering::Acquire));
        Tenure { placement: Arc::clone(self), epoch }
    }

    /// Writes of earlier owners that were refused.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn claim(&self) -> Option<Arc<Claim>> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

impl Tenure {
    /// Of a ring that has one owner for ever.
    #[must_use]
    pub fn sole() -> Self {
        Placement::new(0).tenure()
    }

    /// Ends this tenure and begins that of `owner`. `None` where it has ended already.
    ///
    /// # Panics
    ///
    /// If `owner` is 65,536 or more.
    #[must_use]
    pub fn pass_to(&self, owner: usize) -> Option<Self> {
        let word = self.placement.word.load(Ordering::Acquire);
        if unpack(word).1 != self.epoch {
            return None;
        }
        let next = pack(owner, self.epoch + 1);
        let (taken, lost) = (Ordering::AcqRel, Ordering::Relaxed);
        let swapped = self.placement.word.compare_exchange(word, next, taken, lost);
        // See `is_current`: what the next owner reads of the ring, it reads after this.
        fence(Ordering::SeqCst);
        swapped.ok().map(|_| Self { placement: Arc::clone(&self.placement), epoch: self.epoch + 1 })
    }

    /// True until the ring is passed on.
    #[must_use]
    pub fn is_current(&self) -> bool {
        // Either this sees the raised epoch, or who raised it sees what was written before this.
        fence(Ordering::SeqCst);
        unpack(self.placement.word.load(Ordering::Acquire)).1 == self.epoch
    }

    /// How often the ring had changed its owner when this tenure began.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn placement(&self) -> &Placement {
        &self.placement
    }

    /// [`is_current`](Self::is_current), counting a write that is refused for it.
    pub(super) fn may_write(&self) -> bool {
        let may = self.is_current();
        self.placement.refused.fetch_add(u64::from(!may), Ordering::Relaxed);
        may
    }

    pub(super) fn note_claim(&self, claim: &Arc<Claim>) {
        let mut known = self.placement.claim.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::downgrade(claim);
    }
}

fn pack(owner: usize, epoch: u64) -> u64 {
    let owner = u64::try_from(owner).unwrap_or(u64::MAX);
    assert!(owner < 1 << OWNER_BITS, "owners are numbered from 0");
    epoch << OWNER_BITS | owner
}

fn unpack(word: u64) -> (usize, u64) {
    let owner = word & ((1 << OWNER_BITS) - 1);
    (usize::try_from(owner).expect("16 bits"), word >> OWNER_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_tenure_ends_when_it_is_passed_on() {
        let placement = Placement::new(3);
        let first = placement.tenure();
        assert_eq!((placement.owner(), first.epoch(), first.is_current()), (3, 0, true));
        let second = first.pass_to(1).expect("it is the present one");
        assert_eq!((placement.owner(), second.epoch()), (1, 1));
        assert_eq!((first.is_current(), second.is_current()), (false, true));
        assert!(first.pass_to(2).is_none(), "it has ended");
        assert_eq!(placement.owner(), 1);
        assert!(!first.may_write() && second.may_write());
        assert_eq!(placement.refused_count(), 1);
        let third = second.pass_to(1).expect("to itself");
        assert!(!second.is_current() && third.is_current(), "the epoch counts, not the owner");
    }

    #[test]
    fn of_many_who_take_over_at_once_one_does() {
        for _ in 0..100 {
            let placement = Placement::new(0);
            let tenure = placement.tenure();
            let taken: Vec<usize> = thread::scope(|scope| {
                let takers = (1..5).map(|taker| {
                    let tenure = tenure.clone();
                    scope.spawn(move || tenure.pass_to(taker).map(|_| taker))
                });
                let takers: Vec<_> = takers.collect();
                takers.into_iter().filter_map(|taker| taker.join().expect("ends")).collect()
            });
            assert_eq!(taken, [placement.owner()]);
        }
    }
}
