//! Who owns the process's channels: this process, nobody for a moment, or the one that follows it.
//!
//! Whoever steers sets the phase, one atomic word; request heads ask for it at once, shards follow
//! with their tick and note that they did. A channel's state machine and its ring stay on their
//! shard to the end: a shard lets go by dropping them.

use crate::limits::DEPARTURE_COUNT_MAX;
use crate::shard::moving::Move;
use crossbeam::channel;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Whose the channels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Shards have been started and own nothing yet.
    Preparing,
    /// Shards take channels over and publish. A process that has not served yet accepts nothing;
    /// in one that has, new pushes wait.
    Adopting,
    /// The channels are this process's, and it serves.
    Owning,
    /// Pushes under way end, new ones wait for whoever owns the channels next; viewers are served.
    /// A shard has followed once nothing of its channels is under way.
    Quiescing,
    /// The same, and shards drop their channels, whatever is under way still.
    LettingGo,
    /// Another process has the channels. Nothing is accepted any more, and every connection goes
    /// there with its next request.
    HandedOn,
}

impl Phase {
    const ALL: [Self; 6] = [
        Self::Preparing,
        Self::Adopting,
        Self::Owning,
        Self::Quiescing,
        Self::LettingGo,
        Self::HandedOn,
    ];

    /// Whether a shard that has not served yet waits.
    #[must_use]
    pub const fn stands_by(self) -> bool {
        matches!(self, Self::Preparing | Self::Adopting)
    }

    /// Whether no push begins any more.
    #[must_use]
    pub const fn holds_pushes(self) -> bool {
        matches!(self, Self::Adopting | Self::Quiescing | Self::LettingGo)
    }
}

/// Bits of the word that hold the phase; the others number the phases entered so far.
const PHASE_BITS: u32 = 3;

/// The phase, how far each shard has followed it, and connections that leave the process.
#[derive(Debug)]
pub struct Changeover {
    word: AtomicU64,
    /// Per shard, the word that it has followed.
    followed: Vec<AtomicU64>,
    leaving: channel::Sender<Move>,
    departures: channel::Receiver<Move>,
}

impl Changeover {
    /// At [`Phase::Preparing`].
    #[must_use]
    pub fn new(shards: usize) -> Self {
        let (leaving, departures) = channel::bounded(DEPARTURE_COUNT_MAX);
        let followed = (0..shards).map(|_| AtomicU64::new(0)).collect();
        Self { word: AtomicU64::new(0), followed, leaving, departures }
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let word = self.word.load(Ordering::Acquire);
        Phase::ALL[usize::try_from(word & ((1 << PHASE_BITS) - 1)).unwrap_or(0)]
    }

    /// Goes over to `phase`. Only whoever steers calls this, from one thread at a time.
    pub fn enter(&self, phase: Phase) {
        let number = (self.word.load(Ordering::Acquire) >> PHASE_BITS) + 1;
        self.word.store(number << PHASE_BITS | phase as u64, Ordering::Release);
    }

    /// Whether shard `shard` has not followed to the phase of now yet.
    #[must_use]
    pub fn is_behind(&self, shard: usize) -> bool {
        self.followed[shard].load(Ordering::Acquire) != self.word.load(Ordering::Acquire)
    }

    /// Shard `shard` has followed to `phase`, unless that is over.
    pub fn follow(&self, shard: usize, phase: Phase) {
        let word = self.word.load(Ordering::Acquire);
        if phase == self.phase() {
            self.followed[shard].store(word, Ordering::Release);
        }
    }

    /// Whether every shard has followed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        (0..self.followed.len()).all(|shard| !self.is_behind(shard))
    }

    /// Puts a connection among those that go to the process that follows; never waits.
    ///
    /// # Errors
    ///
    /// The connection back, where too many wait.
    #[expect(clippy::result_large_err, reason = "the connection itself comes back, seldom")]
    pub fn depart(&self, leaving: Move) -> Result<(), Move> {
        self.leaving.try_send(leaving).map_err(channel::TrySendError::into_inner)
    }

    /// The next connection that leaves, waited for up to `patience`.
    #[must_use]
    pub fn next_departure(&self, patience: Duration) -> Option<Move> {
        self.departures.recv_timeout(patience).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_followed_anew() {
        let changeover = Changeover::new(2);
        assert_eq!(changeover.phase(), Phase::Preparing);
        for phase in Phase::ALL.into_iter().chain(Phase::ALL) {
            changeover.enter(phase);
            assert_eq!(changeover.phase(), phase);
            assert!(changeover.is_behind(0) && changeover.is_behind(1), "{phase:?}");
            changeover.follow(1, phase);
            assert!(changeover.is_behind(0) && !changeover.is_behind(1), "{phase:?}");
            assert!(!changeover.is_complete());
            changeover.follow(0, phase);
            assert!(changeover.is_complete());
        }
    }

    #[test]
    fn who_followed_to_an_earlier_phase_is_behind() {
        let changeover = Changeover::new(1);
        changeover.enter(Phase::LettingGo);
        changeover.follow(0, Phase::Quiescing);
        assert!(changeover.is_behind(0));
    }
}
