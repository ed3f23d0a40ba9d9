//! One shard at work: its listeners, its channels, its mailbox, and the requests it answers.
//!
//! What all shards share is one [`Shared`]. Whoever steers sets state there (a new [`Site`],
//! channels to take over, draining); each shard looks at it with its tick and acts on its own.

use crate::http::access_record::{AccessQueue, AccessRecord, AccessTarget};
use crate::http::digest::Authenticator;
use crate::http::plan::Plan;
use crate::http::request::RequestHead;
use crate::http::response::{CacheControl, ResponseHead};
use crate::limits::{
    CONNECTION_COUNT_MAX, CONNECTION_COUNT_PER_ADDRESS_MAX, DRAIN_SPAN_MAX,
    MAILBOX_MESSAGE_COUNT_MAX,
};
use crate::ring::Storage;
use crate::shard::connection::{Connection, Finished, MovingConnection, Service, Serving, serve};
use crate::shard::counters::{Limit, ShardCounters};
use crate::shard::incoming::Body;
use crate::shard::ingest::{EncoderSession, Push};
use crate::shard::listener::{AcceptCounters, ConnectionLimits, accept};
use crate::shard::made::Made;
use crate::shard::mailbox;
use crate::shard::owner::{Owner, Reopened, TICK_SPAN};
use crate::shard::playback::{Playback, SharedFile};
use crate::shard::rt::{self, Driver, Listener, SocketOptions, oneshot};
use crate::shard::site::{ChannelSite, Site};
use crate::units::Monotonic;
use arc_swap::ArcSwap;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Encoders and viewers.
    Both,
    /// Viewers: there is a listener for encoders.
    Delivery,
    /// Encoders.
    Ingest,
}

/// A connection on its way to the shard that owns its channel.
pub struct Move {
    role: Role,
    connection: MovingConnection<EncoderSession>,
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
    pub made: Arc<Made>,
    /// Bounds on connections.
    pub connections: Arc<ConnectionLimits>,
    /// Counters by shard.
    pub counters: Vec<Arc<ShardCounters>>,
    /// Access records by shard.
    pub access: Vec<Arc<AccessQueue>>,
    /// How often rings are synced.
    pub sync_interval: Duration,
    /// Shards that serve.
    pub serving: AtomicUsize,
    /// The driver that the newest shard took.
    pub driver: Mutex<Option<Driver>>,
    /// Finish what has begun and end.
    pub draining: AtomicBool,
    /// Channels that wait to be taken over by their owner.
    pub adoptions: Mutex<Vec<(Arc<ChannelSite>, Reopened)>>,
    mailboxes: Vec<mailbox::Sender<Move>>,
    request_serial: AtomicU64,
}

/// What a shard is started with.
pub struct Start {
    /// Its index.
    pub shard: usize,
    /// Its listening sockets.
    pub listeners: Vec<(Role, std::net::TcpListener)>,
    /// Its mailbox.
    pub mailbox: mailbox::Receiver<Move>,
}

impl Shared {
    /// The shared part of `shards` shards, and each one's mailbox.
    #[must_use]
    pub fn new(
        shards: usize,
        authenticator: Authenticator,
        storage: Arc<Storage>,
        cache_size: u64,
        sync_interval: Duration,
    ) -> (Arc<Self>, Vec<mailbox::Receiver<Move>>) {
        let (senders, receivers) =
            (0..shards).map(|_| mailbox::mailbox(MAILBOX_MESSAGE_COUNT_MAX)).unzip();
        let shared = Self {
            site: ArcSwap::default(),
            authenticator,
            made: Arc::new(Made::new(Arc::clone(&storage), cache_size)),
            storage,
            connections: ConnectionLimits::new(
                CONNECTION_COUNT_MAX,
                CONNECTION_COUNT_PER_ADDRESS_MAX,
            ),
            counters: (0..shards).map(|_| Arc::default()).collect(),
            access: (0..shards).map(|_| Arc::default()).collect(),
            sync_interval,
            serving: AtomicUsize::new(0),
            driver: Mutex::new(None),
            draining: AtomicBool::new(false),
            adoptions: Mutex::new(Vec::new()),
            mailboxes: senders,
            request_serial: AtomicU64::new(0),
        };
        (Arc::new(shared), receivers)
    }

    /// Number of shards.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        self.mailboxes.len()
    }
}

/// A shard's own part.
struct Node {
    shard: usize,
    shared: Arc<Shared>,
    site: RefCell<Arc<Site>>,
    owners: RefCell<BTreeMap<Arc<str>, Rc<Owner>>>,
    playback: Playback,
    serving: Serving,
}

/// The shard as the connections of one listener see it.
struct Door {
    node: Rc<Node>,
    role: Role,
}

/// Runs a shard until it has drained.
///
/// # Errors
///
/// Where the process is out of descriptors, or a listening socket is broken.
pub async fn run(start: Start, shared: Arc<Shared>, driver: Driver) -> io::Result<()> {
    let Start { shard, listeners, mailbox } = start;
    let node = Rc::new(Node {
        shard,
        site: RefCell::new(shared.site.load_full()),
        owners: RefCell::default(),
        playback: Playback::new(Arc::clone(&shared.storage), Arc::clone(&shared.made)),
        serving: Serving::new()?,
        shared,
    });
    node.adopt();
    let mut stops = Vec::with_capacity(listeners.len());
    for (role, listener) in listeners {
        let (stop, stopped) = oneshot::channel();
        stops.push(stop);
        rt::spawn(accept_on(Rc::clone(&node), role, Listener::new(listener)?, stopped));
    }
    let (stop, stopped) = oneshot::channel();
    stops.push(stop);
    rt::spawn(receive(Rc::clone(&node), mailbox, stopped));
    *node.shared.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
    node.shared.serving.fetch_add(1, Ordering::AcqRel);
    node.tick_until_draining().await;
    for stop in stops {
        stop.complete(());
    }
    node.drain().await;
    node.shared.serving.fetch_sub(1, Ordering::AcqRel);
    Ok(())
}

async fn accept_on(node: Rc<Node>, role: Role, listener: Listener, stop: oneshot::Receiver<()>) {
    let (options, counters) = (SocketOptions::default(), AcceptCounters::default());
    let connections = Arc::clone(&node.shared.connections);
    let counted = Rc::clone(&node);
    let opened = accept(&listener, stop, &options, &connections, &counters, |accepted| {
        node.shared.counters[node.shard].accepted.add(1);
        Door { node: Rc::clone(&node), role }.spawn(Connection::new(accepted));
    });
    if let Err(error) = opened.await {
        tracing::error!(shard = counted.shard, %error, "a listener failed");
    }
}

async fn receive(
    node: Rc<Node>,
    mut mailbox: mailbox::Receiver<Move>,
    stop: oneshot::Receiver<()>,
) {
    let mut stop = pin!(stop);
    let mut moves = Vec::new();
    while rt::until(stop.as_mut(), mailbox.receive(&mut moves)).await.is_some() {
        for Move { role, connection } in moves.drain(..) {
            match Connection::take_over(connection) {
                Ok(connection) => Door { node: Rc::clone(&node), role }.spawn(connection),
                Err(error) => tracing::warn!(%error, "a handed-over connection was lost"),
            }
        }
    }
}

impl Node {
    fn counters(&self) -> &ShardCounters {
        &self.shared.counters[self.shard]
    }

    /// Takes over the channels that were placed here.
    fn adopt(&self) {
        let mut waiting = self.shared.adoptions.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |site: &ChannelSite| site.live.owner.load(Ordering::Acquire) == self.shard;
        let ours: Vec<_> = waiting.extract_if(.., |(site, _)| is_ours(site)).collect();
        drop(waiting);
        for (site, reopened) in ours {
            let owner = Owner::new(Arc::clone(&site), reopened);
            self.owners.borrow_mut().insert(Arc::clone(&site.id), owner);
        }
    }

    /// Goes over to a site that was swapped in.
    fn follow_site(&self) {
        let site = self.shared.site.load_full();
        if Arc::ptr_eq(&site, &self.site.borrow()) {
            return;
        }
        self.playback.on_reload();
        self.owners.borrow_mut().retain(|id, _| site.channels.contains_key(&**id));
        for (id, owner) in self.owners.borrow().iter() {
            if let Some(channel) = site.channels.get(&**id) {
                owner.reconfigure(Arc::clone(channel));
            }
        }
        *self.site.borrow_mut() = site;
    }

    async fn tick_until_draining(self: &Rc<Self>) {
        let mut sync_due = Monotonic::default();
        while !self.shared.draining.load(Ordering::Acquire) {
            let now = rt::now();
            self.follow_site();
            self.adopt();
            let owners: Vec<Rc<Owner>> = self.owners.borrow().values().cloned().collect();
            owners.iter().for_each(Owner::on_tick);
            if now >= sync_due {
                for owner in &owners {
                    owner.sync();
                }
                sync_due = now + self.shared.sync_interval;
            }
            let counters = self.counters();
            let open = self.shared.connections.open_count() as u64;
            counters.connections.set(open / self.shared.shard_count().max(1) as u64);
            counters.spliced_bytes.set(self.serving.counters.sendfile.get());
            counters.busy_us.add_span(rt::now().0.saturating_sub(now.0));
            rt::sleep_until(now + TICK_SPAN).await;
        }
    }

    /// Lets requests under way end.
    async fn drain(&self) {
        self.serving.is_draining.set(true);
        let deadline = rt::now() + DRAIN_SPAN_MAX;
        while self.serving.open_requests.get() > 0 && rt::now() < deadline {
            rt::sleep_until(rt::now() + TICK_SPAN / 5).await;
        }
        self.owners.borrow().values().for_each(|owner| owner.sync());
    }
}

impl Door {
    fn spawn(self, connection: Connection<EncoderSession>) {
        rt::spawn(async move { serve(connection, &self, &self.node.serving).await });
    }
}

impl Service for Door {
    type File = SharedFile;
    type Session = EncoderSession;

    fn owner(&self, head: &RequestHead) -> Option<usize> {
        let site = self.node.site.borrow();
        let (channel, ..) = site.input(&head.path)?;
        let owner = channel.live.owner.load(Ordering::Acquire);
        (owner != self.node.shard && self.role != Role::Delivery).then_some(owner)
    }

    fn hand_over(
        &self,
        owner: usize,
        connection: MovingConnection<EncoderSession>,
    ) -> Result<(), MovingConnection<EncoderSession>> {
        let sent = self.node.shared.mailboxes[owner].try_send(Move { role: self.role, connection });
        match sent {
            Ok(()) => self.node.counters().handed_over.add(1),
            Err(_) => self.node.counters().hit(Limit::ShardMailbox),
        }
        sent.map_err(|back| back.connection)
    }

    async fn answer(
        &self,
        session: &mut EncoderSession,
        _: SocketAddr,
        head: &RequestHead,
        body: &mut Body<'_>,
    ) -> Plan<SharedFile> {
        let site = Arc::clone(&self.node.site.borrow());
        if self.role != Role::Delivery
            && let Some((channel, input, name)) = site.input(&head.path)
        {
            let owner = self.node.owners.borrow().get(&channel.id).cloned();
            let push = Push { site: &site, channel, input, name, head };
            let authenticator = &self.node.shared.authenticator;
            return push.answer(authenticator, owner.as_ref(), session, body).await;
        }
        if self.role != Role::Ingest
            && let Some((endpoint, path)) = site.endpoint(&head.path)
        {
            return self.node.playback.answer(endpoint, path, head).await;
        }
        let cache_control = Some(CacheControl::MaxAge(1));
        Plan::status(ResponseHead { cache_control, ..ResponseHead::new(404) })
    }

    fn on_finished(&self, finished: &Finished<'_>) {
        let site = self.node.site.borrow();
        let Finished { head, status, sent, first_byte_span, .. } = *finished;
        let shard = self.node.shard;
        match site.endpoint(&head.path) {
            Some((endpoint, _)) => {
                endpoint.counters[shard].count(status, sent, first_byte_span);
            }
            None if site.input(&head.path).is_none() => self.node.counters().stray_requests.add(1),
            None => {}
        }
        self.node.shared.access[shard].push(AccessRecord {
            event_timestamp: finished.at,
            client_ip: finished.peer.ip(),
            time_to_first_byte: first_byte_span,
            status_code: status,
            received_bytes: finished.received,
            sent_bytes: sent,
            method: head.method.as_str().into(),
            request: head.path.as_str().into(),
            request_query_params: head.query.as_deref().map(Into::into),
            protocol: if head.version_minor == 0 { "HTTP/1.0" } else { "HTTP/1.1" },
            user_agent: head.user_agent.as_deref().map(Into::into),
            domain_name: None,
            request_id: self.node.shared.request_serial.fetch_add(1, Ordering::Relaxed),
            target: target(&site, head),
        });
    }
}

/// What the request is for, as it is told in the access log.
fn target(site: &Site, head: &RequestHead) -> AccessTarget {
    if let Some((channel, input, _)) = site.input(&head.path) {
        return AccessTarget::Ingest { channel_id: Arc::clone(&channel.id), input_index: input };
    }
    let Some((endpoint, path)) = site.endpoint(&head.path) else {
        return AccessTarget::Unknown;
    };
    let manifest = crate::engine::manifest::kind_of(path);
    AccessTarget::Egress {
        channel_id: Arc::clone(&endpoint.channel.id),
        endpoint_id: Arc::clone(&endpoint.id),
        manifest_name: manifest.map(|_| path.into()),
        manifest_type: manifest,
    }
}
