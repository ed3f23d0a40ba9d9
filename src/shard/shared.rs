//! What all shards share, and how each of them stands.
//!
//! Whoever steers sets state here (a new [`Site`], channels to take over, draining); each shard
//! looks at it with its tick and acts on its own. No shard waits for another.

use crate::http::access_record::AccessQueue;
use crate::http::digest::Authenticator;
use crate::limits::{CONNECTION_COUNT_PER_ADDRESS_MAX, MAILBOX_MESSAGE_COUNT_MAX};
use crate::ring::{Storage, Tenure};
use crate::shard::backoff::Backoff;
use crate::shard::changeover::Changeover;
use crate::shard::counters::ShardCounters;
use crate::shard::listener::ConnectionLimits;
use crate::shard::mailbox;
use crate::shard::member::Member;
use crate::shard::moving::{Move, Role};
use crate::shard::playback::MadeShelves;
use crate::shard::quarantine::Quarantine;
use crate::shard::reopen::Reopened;
use crate::shard::rt::Driver;
use crate::shard::site::{ChannelSite, Site};
use crate::units::Monotonic;
use arc_swap::ArcSwap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A channel that waits to be taken over by its owner.
pub struct Adoption {
    /// The channel.
    pub site: Arc<ChannelSite>,
    /// What was read back of it.
    pub reopened: Reopened,
    /// When its owner before was lost, if it was.
    pub lost: Option<Monotonic>,
}

/// What all shards share.
pub struct Shared {
    /// Channels and endpoints.
    pub site: ArcSwap<Site>,
    /// Who is who.
    pub authenticator: Authenticator,
    /// The storage threads.
    pub storage: Arc<Storage>,
    /// Bytes that are not a view of a ring.
    pub made: MadeShelves,
    /// Bounds on connections.
    pub connections: Arc<ConnectionLimits>,
    /// Counters by shard.
    pub counters: Vec<Arc<ShardCounters>>,
    /// Access records by shard.
    pub access: Vec<Arc<AccessQueue>>,
    /// How often rings are synced.
    pub sync_interval: Duration,
    /// Whose the channels are.
    pub changeover: Changeover,
    /// Shards whose runtime runs.
    pub prepared: AtomicUsize,
    /// The shards as the others see them.
    pub members: Vec<Member>,
    /// The driver that the newest shard took.
    pub driver: Mutex<Option<Driver>>,
    /// Who has guessed passwords lately.
    pub backoff: Backoff,
    /// Bodies that made the process fail.
    pub quarantine: Quarantine,
    /// Finish what has begun and end.
    pub draining: AtomicBool,
    /// Do not wait for what has begun.
    pub hurrying: AtomicBool,
    /// Channels that wait to be taken over by their owner.
    pub adoptions: Mutex<Vec<Adoption>>,
    /// Channels that their owner has let go, each with the tenure of its next one.
    pub(super) leaving: Mutex<Vec<(Arc<ChannelSite>, Tenure)>>,
    pub(super) mailboxes: Vec<mailbox::Sender<Move>>,
    pub(super) request_serial: AtomicU64,
}

impl Shared {
    /// The shared part of as many shards as there are lists of listening sockets.
    #[must_use]
    pub fn new(
        listeners: Vec<Vec<(Role, TcpListener)>>,
        authenticator: Authenticator,
        storage: Arc<Storage>,
        made: MadeShelves,
        sync_interval: Duration,
        connection_count_max: usize,
    ) -> Arc<Self> {
        let shards = listeners.len();
        // A mailbox opens when its shard runs.
        let sender = |_| mailbox::mailbox(MAILBOX_MESSAGE_COUNT_MAX).0;
        Arc::new(Self {
            site: ArcSwap::default(),
            authenticator,
            made,
            storage,
            connections: ConnectionLimits::new(
                connection_count_max,
                CONNECTION_COUNT_PER_ADDRESS_MAX,
            ),
            counters: (0..shards).map(|_| Arc::default()).collect(),
            access: (0..shards).map(|_| Arc::default()).collect(),
            sync_interval,
            changeover: Changeover::new(shards),
            prepared: AtomicUsize::new(0),
            members: listeners.into_iter().map(Member::new).collect(),
            driver: Mutex::new(None),
            backoff: Backoff::default(),
            quarantine: Quarantine::default(),
            draining: AtomicBool::new(false),
            hurrying: AtomicBool::new(false),
            adoptions: Mutex::new(Vec::new()),
            leaving: Mutex::new(Vec::new()),
            mailboxes: (0..shards).map(sender).collect(),
            request_serial: AtomicU64::new(0),
        })
    }

    /// Number of shards.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        self.members.len()
    }

    /// Indices of the shards that serve.
    pub fn serving(&self) -> impl Iterator<Item = usize> {
        (0..).zip(&self.members).filter(|(_, member)| member.serves()).map(|(shard, _)| shard)
    }

    /// Gives a connection to any shard, the one of index `first` where it has room.
    ///
    /// # Errors
    ///
    /// The connection back, where no mailbox has room.
    #[expect(clippy::result_large_err, reason = "the connection itself comes back, seldom")]
    pub fn place(&self, first: usize, mut connection: Move) -> Result<(), Move> {
        let (before, from_first) = self.mailboxes.split_at(first % self.shard_count());
        for mailbox in from_first.iter().chain(before) {
            match mailbox.try_send(connection) {
                Ok(()) => return Ok(()),
                Err(back) => connection = back,
            }
        }
        Err(connection)
    }

    /// Has every channel read back for the shard that had it last; whoever owns it still does so
    /// no more.
    pub fn read_back(&self) {
        let site = self.site.load();
        let owned = site.channels.values().filter(|channel| !channel.live.is_refused());
        let next = owned.filter_map(|channel| {
            let placement = &channel.live.placement;
            let tenure = placement.tenure().pass_to(placement.owner())?;
            Some((Arc::clone(channel), tenure))
        });
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).extend(next);
    }

    /// The newest publication of any channel, by its serial.
    #[must_use]
    pub fn newest_publication(&self) -> u64 {
        let site = self.site.load();
        let serials = site.channels.values().map(|it| it.live.published.load().serial);
        serials.max().unwrap_or(0)
    }

    /// Whether a channel has older ring files to be read.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        let site = self.site.load();
        site.channels.values().any(|channel| channel.live.is_filling.load(Ordering::Acquire))
    }

    /// Whether every channel that has a ring has published since the publication of this serial.
    #[must_use]
    pub fn has_published_since(&self, serial: u64) -> bool {
        let site = self.site.load();
        let mut owned = site.channels.values().filter(|channel| !channel.live.is_refused());
        owned.all(|channel| channel.live.published.load().serial > serial)
    }
}
