//! Bodies that made the process fail: known again by how they begin, and refused before anything
//! of them is understood.
//!
//! A panic while a body is taken in is enough. A crash of the process, or a restart of the
//! channel's state, may have had other reasons: the second one is enough. What crashes leave
//! behind is a journal of lines ([`rt::write_last_words_to`]) that the next process reads.
//!
//! A body is the same where its channel, its declared size and its first bytes are. That is decided
//! before the first byte is parsed, and costs no second look at media.

use crate::limits::{
    FINGERPRINT_SIZE, QUARANTINE_COUNT_MAX, QUARANTINE_SPAN, QUARANTINE_STRIKE_COUNT,
};
use crate::shard::counters::{Limit, ShardCounters};
use crate::shard::member::Fault;
use crate::shard::rt::{self, LastWords};
use crate::units::WallClock;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// The version that a line of the journal is of: another one may have mended what it tells of.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a body is known again by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// That of a body for `channel` of a declared size, by its first bytes: of a longer
    /// `beginning`, the first [`FINGERPRINT_SIZE`] count.
    #[must_use]
    pub fn of(channel: &str, size: Option<u64>, beginning: &[u8]) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(channel.as_bytes());
        hasher.update(&size.unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(&beginning[..beginning.len().min(FINGERPRINT_SIZE)]);
        Self(hasher.digest128())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// What is held against one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    fingerprint: Fingerprint,
    strikes: u32,
    /// When it failed last.
    at: WallClock,
}

impl Entry {
    fn counts(&self, now: WallClock) -> bool {
        let age = u128::try_from(now.0.saturating_sub(self.at.0)).unwrap_or(0);
        age < QUARANTINE_SPAN.as_micros()
    }
}

/// The bodies that something is held against: at most [`QUARANTINE_COUNT_MAX`], oldest first.
#[derive(Debug, Default)]
pub struct Quarantine {
    entries: ArcSwap<Vec<Entry>>,
    /// For tests: what becomes of bodies of this name.
    marked: ArcSwapOption<(String, Fault)>,
}

impl Quarantine {
    /// Whether a body is refused.
    #[must_use]
    pub fn refuses(&self, fingerprint: Fingerprint, now: WallClock) -> bool {
        let entries = self.entries.load();
        let known = entries.iter().find(|entry| entry.fingerprint == fingerprint);
        known.is_some_and(|it| it.strikes >= QUARANTINE_STRIKE_COUNT && it.counts(now))
    }

    /// Holds something against a body. Returns whether another one was forgotten for it.
    fn strike(&self, fingerprint: Fingerprint, strikes: u32, at: WallClock) -> bool {
        let before = self.entries.rcu(|entries| {
            let mut entries = Vec::clone(entries);
            let index = entries.iter().position(|it| it.fingerprint == fingerprint);
            let known = index.map(|index| entries.remove(index)).filter(|it| it.counts(at));
            let strikes = known.map_or(0, |it| it.strikes).saturating_add(strikes);
            if entries.len() == QUARANTINE_COUNT_MAX {
                entries.remove(0);
            }
            entries.push(Entry { fingerprint, strikes, at });
            entries
        });
        let is_known = before.iter().any(|it| it.fingerprint == fingerprint);
        before.len() == QUARANTINE_COUNT_MAX && !is_known
    }

    /// Reads the journal of crashes of processes before this one. Returns what is refused for it,
    /// each as `channel/input/name`. Lines that are none are passed over.
    pub fn on_crashes(&self, journal: &str, now: WallClock) -> Vec<String> {
        let mut refused = Vec::new();
        for line in journal.lines() {
            let Some((fingerprint, at, name)) = parse_line(line) else { continue };
            // Whether another one is forgotten is of interest where traffic does it.
            let _forgotten = self.strike(fingerprint, 1, at);
            if self.refuses(fingerprint, now) && !refused.iter().any(|known| known == name) {
                refused.push(name.to_owned());
            }
        }
        refused
    }

    /// Has every body of this name fail in this way. For tests.
    pub fn mark(&self, name: String, fault: Fault) {
        self.marked.store(Some(Arc::new((name, fault))));
    }
}

fn parse_line(line: &str) -> Option<(Fingerprint, WallClock, &str)> {
    let mut fields = line.splitn(4, ' ');
    let fingerprint = fields.next()?.parse().ok()?;
    let at = WallClock(fields.next()?.parse().ok()?);
    (fields.next()? == VERSION).then_some(())?;
    Some((fingerprint, at, fields.next()?))
}

/// A body under way whose beginning is known. Where its task panics, it is held against it.
pub struct Suspect<'a> {
    quarantine: &'a Quarantine,
    shard: &'a ShardCounters,
    fingerprint: Fingerprint,
    name: &'a str,
    last_words: LastWords,
}

impl<'a> Suspect<'a> {
    /// The body `name` of `folder`, which is `channel/input`; `None` where it is refused.
    #[must_use]
    pub fn admit(
        quarantine: &'a Quarantine,
        shard: &'a ShardCounters,
        fingerprint: Fingerprint,
        folder: fmt::Arguments<'_>,
        name: &'a str,
    ) -> Option<Self> {
        let now = rt::wall();
        if quarantine.refuses(fingerprint, now) {
            return None;
        }
        let line = format!("{fingerprint} {} {VERSION} {folder}/{}", now.0, name.escape_default());
        let last_words = LastWords::new(&line);
        Some(Self { quarantine, shard, fingerprint, name, last_words })
    }

    /// Takes the body in: whatever ends the process meanwhile is put down to it.
    pub async fn answer_for<F: Future>(&self, future: F) -> F::Output {
        let marked = self.quarantine.marked.load_full();
        let fault = marked.filter(|it| it.0 == self.name).map(|it| it.1);
        rt::put_down_to(&self.last_words, async {
            if let Some(fault) = fault {
                fault.suffer();
            }
            future.await
        })
        .await
    }

    /// Something failed that may have been its fault.
    pub fn strike(&self) {
        self.hold_against(1);
    }

    fn hold_against(&self, strikes: u32) {
        if self.quarantine.strike(self.fingerprint, strikes, rt::wall()) {
            self.shard.hit(Limit::Quarantine);
        }
    }
}

impl Drop for Suspect<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(name = self.name, "taking the body in panicked; it is refused now");
            self.hold_against(QUARANTINE_STRIKE_COUNT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: WallClock = WallClock(1_900_000_000_000_000);

    fn numbered(number: usize) -> Fingerprint {
        Fingerprint::of("demo", Some(number as u64), b"")
    }

    fn after(seconds: i64) -> WallClock {
        WallClock(NOW.0 + seconds * 1_000_000)
    }

    #[test]
    fn a_body_is_known_by_channel_size_and_beginning() {
        let long = [7; 2 * FINGERPRINT_SIZE];
        let known = Fingerprint::of("demo", Some(9), &long);
        assert_eq!(known, Fingerprint::of("demo", Some(9), &long[..FINGERPRINT_SIZE]));
        for other in [
            Fingerprint::of("other", Some(9), &long),
            Fingerprint::of("demo", Some(8), &long),
            Fingerprint::of("demo", None, &long),
            Fingerprint::of("demo", Some(9), &long[1..FINGERPRINT_SIZE]),
        ] {
            assert_ne!(known, other);
        }
        assert_eq!(known.to_string().parse(), Ok(known));
    }

    #[test]
    fn the_second_strike_counts_for_a_day() {
        let quarantine = Quarantine::default();
        let day = i64::try_from(QUARANTINE_SPAN.as_secs()).unwrap();
        assert!(!quarantine.strike(numbered(1), 1, NOW));
        assert!(!quarantine.refuses(numbered(1), NOW));
        quarantine.strike(numbered(1), 1, after(60));
        assert!(quarantine.refuses(numbered(1), after(day)));
        assert!(!quarantine.refuses(numbered(2), after(day)));
        assert!(!quarantine.refuses(numbered(1), after(day + 60)), "it may be tried again");
        quarantine.strike(numbered(1), 1, after(day + 60));
        assert!(!quarantine.refuses(numbered(1), after(day + 60)), "old strikes are forgotten");
    }

    #[test]
    fn the_oldest_are_forgotten_for_room() {
        let quarantine = Quarantine::default();
        for number in 0..QUARANTINE_COUNT_MAX {
            assert!(!quarantine.strike(numbered(number), QUARANTINE_STRIKE_COUNT, NOW));
        }
        assert!(!quarantine.strike(numbered(0), 1, NOW), "it is the newest now");
        assert!(quarantine.strike(numbered(QUARANTINE_COUNT_MAX), 1, NOW));
        assert!(quarantine.refuses(numbered(0), NOW));
        assert!(!quarantine.refuses(numbered(1), NOW));
        assert_eq!(quarantine.entries.load().len(), QUARANTINE_COUNT_MAX);
    }

    #[test]
    fn a_journal_tells_of_crashes() {
        let [once, twice, mended] = [1, 2, 3].map(numbered);
        let at = NOW.0;
        let journal = format!(
            "{once} {at} {VERSION} demo/1/a.ts\n\
             {twice} {at} {VERSION} demo/1/b c.ts\n\
             {mended} {at} 0.0.0 demo/1/d.ts\n{mended} {at} 0.0.0 demo/1/d.ts\n\
             torn li\n\n{twice} {at} {VERSION} demo/2/b.ts\n{twice} x {VERSION} demo/2/b.ts"
        );
        let quarantine = Quarantine::default();
        assert_eq!(quarantine.on_crashes(&journal, NOW), ["demo/2/b.ts"]);
        let refused = [once, twice, mended].map(|it| quarantine.refuses(it, NOW));
        assert_eq!(refused, [false, true, false]);
    }

    proptest! {
        #[test]
        fn any_journal_is_read(journal in "\\PC*") {
            Quarantine::default().on_crashes(&journal, NOW);
        }
    }
}
