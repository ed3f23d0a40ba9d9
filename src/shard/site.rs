//! What all shards share: channels and endpoints as configured, and what each channel publishes.
//!
//! A [`Site`] is immutable; a reload swaps in another one. What outlives reloads (owner, published
//! state, counters) hangs on the counted [`ChannelLive`], and an
//! endpoint's counters on themselves.

use crate::engine::channel::ChannelConfig;
use crate::engine::endpoint::Endpoint;
use crate::engine::manifest;
use crate::engine::presentation::Presentation;
use crate::http::digest::UserHashes;
use crate::limits::{
    CHANNEL_INGEST_MEMORY_MAX, INGEST_BIT_RATE_FACTOR, INGEST_BITS_PER_SECOND_MIN,
    INGEST_MEMORY_MAX,
};
use crate::ring::{Placement, RingConfig, RingFile};
use crate::shard::counters::{ChannelCounters, EndpointCounters};
use crate::shard::history::History;
use crate::shard::incoming::BODY_PAUSE_SPAN_MAX;
use crate::shard::pace::{Pace, PaceLimits};
use crate::units::{InputNumber, MediaTime, Monotonic};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// Channels and endpoints at one time.
#[derive(Debug, Default)]
pub struct Site {
    /// Channels by id.
    pub channels: BTreeMap<String, Arc<ChannelSite>>,
    /// Endpoints by id.
    pub endpoints: BTreeMap<String, Arc<EndpointSite>>,
}

/// A channel as configured.
#[derive(Debug)]
pub struct ChannelSite {
    /// Its id, the path element after `/in/v2/`.
    pub id: Arc<str>,
    /// Who may push to inputs 1 and 2; `None` where the channel has no such input.
    pub users: [Option<InputUser>; 2],
    /// Its timeline.
    pub timeline: ChannelConfig,
    /// How much before the live edge is read back before the channel goes on after a start: what
    /// live manifests list, and room for what a listed segment is joined of.
    pub live_span: MediaTime,
    /// Its ring.
    pub ring: RingConfig,
    /// Bodies per second that each input may send.
    pub bodies_per_second: u32,
    /// Bits per second that each input may send; `None` for what the source declares, see
    /// [`ChannelSite::pace_limits`].
    pub bits_per_second: Option<u64>,
    /// What outlives reloads.
    pub live: Arc<ChannelLive>,
}

/// Credentials of an input.
#[derive(Debug)]
pub struct InputUser {
    /// The user's name.
    pub name: String,
    /// Hashes of name, realm and password.
    pub hashes: UserHashes,
}

/// An endpoint as configured.
#[derive(Debug)]
pub struct EndpointSite {
    /// Its settings.
    pub endpoint: Endpoint,
    /// Its id, for records.
    pub id: Arc<str>,
    /// Its channel.
    pub channel: Arc<ChannelSite>,
    /// Counters, a block for each shard.
    pub counters: Vec<Arc<EndpointCounters>>,
}

/// The running part of a channel.
#[derive(Debug)]
pub struct ChannelLive {
    /// Index of the shard that owns it, and how often that has changed.
    pub placement: Arc<Placement>,
    /// Index of the shard that is to own it while all serve.
    pub home: usize,
    /// What viewers get.
    pub published: ArcSwap<Published>,
    /// What is counted.
    pub counters: Arc<ChannelCounters>,
    /// Its recent past, as the owner saw it at its last tick.
    pub history: ArcSwap<History>,
    /// Memory that bodies under way may take.
    pub memory: Budget,
    /// What inputs 1 and 2 have sent lately.
    pub paces: [Pace; 2],
    /// Older files of its ring are still being read.
    pub is_filling: AtomicBool,
    /// Its ring could not be read when the process started: nobody owns the channel, and what is
    /// asked of it is refused, until a reload finds the ring readable.
    pub is_refused: AtomicBool,
    /// Input that an operator wants to lead, for the owner's next tick; 0 for none.
    wanted_input: AtomicU8,
}

impl ChannelLive {
    /// See the field.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Acquire)
    }

    /// Has the channel led by `input` as soon as it can.
    pub fn want_input(&self, input: InputNumber) {
        self.wanted_input.store(input.number(), Ordering::Relaxed);
    }

    /// Takes what an operator asked for last.
    pub fn take_wanted_input(&self) -> Option<InputNumber> {
        InputNumber::new(self.wanted_input.swap(0, Ordering::Relaxed))
    }
}

/// A pause that every body may make.
const BODY_PAUSE_SPAN_MIN: Duration = Duration::from_secs(10);

/// Numbers publications of all channels, so that no two are ever taken for one another.
static PUBLICATION_SERIAL: AtomicU64 = AtomicU64::new(1);

/// A channel's listed media and the files it lies in.
#[derive(Debug, Default)]
pub struct Published {
    /// Tells this publication from every other one of the process, restarts of channels included;
    /// 0 before a channel's first.
    pub serial: u64,
    /// How often the channel had changed its owner before this one published.
    pub epoch: u64,
    /// The listed media.
    pub presentation: Presentation,
    /// The ring files that hold it, ascending.
    pub files: Arc<[Arc<RingFile>]>,
    /// How long ago its live edge came to be.
    pub edge_age: EdgeAge,
}

/// The age of a live edge: what it was at one time, from which it grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeAge {
    /// The age at `since`: not zero where media was read back from a ring.
    pub age: Duration,
    /// When the age was known.
    pub since: Monotonic,
}

impl EdgeAge {
    /// The age at `now`.
    #[must_use]
    pub fn at(self, now: Monotonic) -> Duration {
        self.age + now.0.saturating_sub(self.since.0)
    }
}

impl Published {
    /// A publication of its own serial.
    #[must_use]
    pub fn new(epoch: u64, presentation: Presentation, files: Arc<[Arc<RingFile>]>) -> Self {
        let serial = PUBLICATION_SERIAL.fetch_add(1, Ordering::Relaxed);
        Self { serial, epoch, presentation, files, edge_age: EdgeAge::default() }
    }

    /// True where the live edge is older than `limit`; without one it never is.
    #[must_use]
    pub fn is_older(&self, limit: Option<Duration>, now: Monotonic) -> bool {
        limit.is_some_and(|limit| self.edge_age.at(now) > limit)
    }

    /// The ring file with this number.
    #[must_use]
    pub fn file(&self, sequence: u64) -> Option<&Arc<RingFile>> {
        let at = self.files.binary_search_by_key(&sequence, |file| file.sequence()).ok()?;
        self.files.get(at)
    }
}

impl EndpointSite {
    /// How old the live edge may be for a live manifest of this publication to be served, to be
    /// worked out once for a publication.
    #[must_use]
    pub fn stale_limit(&self, published: &Published) -> Option<Duration> {
        manifest::stale_limit(&self.endpoint, &published.presentation)
    }
}

impl ChannelLive {
    /// Shows viewers what its owner publishes, unless a later owner has published already.
    pub fn publish(&self, published: Published) {
        let published = Arc::new(published);
        self.published.rcu(|shown| {
            let newest = if shown.epoch > published.epoch { shown } else { &published };
            Arc::clone(newest)
        });
    }

    /// Nothing published yet, owned by shard `owner`.
    #[must_use]
    pub fn new(owner: usize) -> Arc<Self> {
        Arc::new(Self {
            placement: Placement::new(owner),
            home: owner,
            published: ArcSwap::default(),
            counters: Arc::default(),
            history: ArcSwap::default(),
            memory: Budget::new(CHANNEL_INGEST_MEMORY_MAX),
            paces: Default::default(),
            is_filling: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            wanted_input: AtomicU8::new(0),
        })
    }
}

impl ChannelSite {
    /// How long a body may pause: an encoder that sends what it encodes, as it encodes it, pauses
    /// for a segment's duration at most.
    #[must_use]
    pub fn body_pause_max(&self) -> Duration {
        let published = self.live.published.load();
        let period = published.presentation.grids.last().map(|grid| grid.period_ticks());
        let period = period.and_then(|ticks| u64::try_from(ticks.0).ok());
        period.map_or(BODY_PAUSE_SPAN_MAX, |ticks| {
            Duration::from_micros(2 * ticks * 100 / 9).max(BODY_PAUSE_SPAN_MIN)
        })
    }

    /// What each input may send: by configuration, else in proportion to what is listed.
    #[must_use]
    pub fn pace_limits(&self) -> PaceLimits {
        let declared = || {
            let published = self.live.published.load();
            let tracks = published.presentation.tracks.iter();
            let sum = tracks.map(|track| track.info.bandwidth).fold(0, u64::saturating_add);
            sum.saturating_mul(INGEST_BIT_RATE_FACTOR).max(INGEST_BITS_PER_SECOND_MIN)
        };
        PaceLimits {
            bodies_per_second: self.bodies_per_second,
            bits_per_second: self.bits_per_second.unwrap_or_else(declared),
        }
    }
}

impl Site {
    /// The channel and input that an ingest path names, and the rest of the path:
    /// `/in/v2/{channel}/{1 or 2}/{name}`. The name is empty where the path is that of the folder.
    #[must_use]
    pub fn input<'s, 'p>(
        &'s self,
        path: &'p str,
    ) -> Option<(&'s Arc<ChannelSite>, InputNumber, &'p str)> {
        let (channel, rest) = path.strip_prefix("/in/v2/")?.split_once('/')?;
        let (input, name) = rest.split_once('/').unwrap_or((rest, ""));
        let input = InputNumber::new(input.parse().ok()?)?;
        Some((self.channels.get(channel)?, input, name))
    }

    /// The endpoint that a delivery path names, and the rest of the path: `/out/v1/{endpoint}/…`.
    #[must_use]
    pub fn endpoint<'s, 'p>(&'s self, path: &'p str) -> Option<(&'s Arc<EndpointSite>, &'p str)> {
        let (endpoint, rest) = path.strip_prefix("/out/v1/")?.split_once('/')?;
        Some((self.endpoints.get(endpoint)?, rest))
    }

    /// The hashes of a user of any input.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&UserHashes> {
        let users = self.channels.values().flat_map(|channel| channel.users.iter().flatten());
        users.into_iter().find(|user| user.name == name).map(|user| &user.hashes)
    }
}

/// Memory for bodies under way: taken when a body begins, given back when it is done.
#[derive(Debug)]
pub struct Budget {
    taken: AtomicU64,
    size_max: u64,
}

/// The whole process's.
pub static PROCESS_MEMORY: Budget = Budget::new(INGEST_MEMORY_MAX);

/// A part of one or more budgets.
#[derive(Debug)]
pub struct Reservation<'a> {
    budgets: [&'a Budget; 2],
    size: u64,
}

impl Budget {
    /// A budget of `size_max` bytes.
    #[must_use]
    pub const fn new(size_max: u64) -> Self {
        Self { taken: AtomicU64::new(0), size_max }
    }

    fn take(&self, size: u64) -> bool {
        let fits = |taken: u64| taken.checked_add(size).filter(|&sum| sum <= self.size_max);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok()
    }

    fn give_back(&self, size: u64) {
        let before = self.taken.fetch_sub(size, Ordering::AcqRel);
        assert!(before >= size, "more memory given back than taken");
    }
}

impl<'a> Reservation<'a> {
    /// Takes `size` bytes of both budgets, or none of either.
    #[must_use]
    pub fn of(budgets: [&'a Budget; 2], size: u64) -> Option<Self> {
        if !budgets[0].take(size) {
            return None;
        }
        if !budgets[1].take(size) {
            budgets[0].give_back(size);
            return None;
        }
        Some(Self { budgets, size })
    }

    /// Bytes held.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.budgets.iter().for_each(|budget| budget.give_back(self.size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_takes_all_or_nothing_and_gives_it_back() {
        let (small, large) = (Budget::new(10), Budget::new(100));
        let first = Reservation::of([&large, &small], 8).expect("fits both");
        assert!(Reservation::of([&large, &small], 8).is_none());
        assert_eq!(large.taken.load(Ordering::Relaxed), 8);
        drop(first);
        assert!(Reservation::of([&large, &small], 10).is_some());
        assert!(Reservation::of([&large, &small], u64::MAX).is_none());
        assert_eq!(large.taken.load(Ordering::Relaxed), 0);
    }
}
