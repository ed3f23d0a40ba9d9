//! One shard at work: its listeners, its channels, its mailbox, and the requests it answers.
//!
//! What all shards share is one [`Shared`]. Whoever steers sets state there (a new [`Site`],
//! channels to take over, draining); each shard looks at it with its tick and acts on its own.

use crate::http::access_record::{AccessQueue, AccessRecord, AccessTarget};
use crate::http::digest::Authenticator;
use crate::http::plan::Plan;
use crate::http::request::{HeadError, RequestHead, TargetFault};
use crate::http::response::{CacheControl, ResponseHead};
use crate::limits::{
    CONNECTION_COUNT_MAX, CONNECTION_COUNT_PER_ADDRESS_MAX, DRAIN_SPAN_MAX, HAND_OVER_COUNT_MAX,
    MAILBOX_MESSAGE_COUNT_MAX,
};
use crate::ring::Storage;
use crate::shard::backoff::Backoff;
use crate::shard::changeover::{Changeover, Phase};
use crate::shard::connection::{
    Connection, Finished, MovingConnection, Open, Place, RefusedHead, Service, Serving, serve,
};
use crate::shard::counters::{Limit, ShardCounters};
use crate::shard::incoming::Body;
use crate::shard::ingest::{EncoderSession, Gate, Push, transient};
use crate::shard::listener::{AcceptCounters, ConnectionLimits, accept};
use crate::shard::mailbox;
use crate::shard::moving::{Move, Role};
use crate::shard::owner::{Owner, TICK_SPAN};
use crate::shard::playback::{MadeShelves, Playback, SharedFile};
use crate::shard::reopen::Reopened;
use crate::shard::rt::{self, Driver, Listener, SocketOptions, oneshot};
use crate::shard::site::{ChannelSite, EndpointSite, Site};
use crate::units::InputNumber;
use crate::units::Monotonic;
use arc_swap::ArcSwap;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a shard that does not serve yet looks whether it may.
const STAND_BY_SPAN: Duration = Duration::from_millis(5);

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
    /// Shards that serve.
    pub serving: AtomicUsize,
    /// The driver that the newest shard took.
    pub driver: Mutex<Option<Driver>>,
    /// Who has guessed passwords lately.
    pub backoff: Backoff,
    /// Finish what has begun and end.
    pub draining: AtomicBool,
    /// Do not wait for what has begun.
    pub hurrying: AtomicBool,
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
        made: MadeShelves,
        sync_interval: Duration,
    ) -> (Arc<Self>, Vec<mailbox::Receiver<Move>>) {
        let (senders, receivers) =
            (0..shards).map(|_| mailbox::mailbox(MAILBOX_MESSAGE_COUNT_MAX)).unzip();
        let shared = Self {
            site: ArcSwap::default(),
            authenticator,
            made,
            storage,
            connections: ConnectionLimits::new(
                CONNECTION_COUNT_MAX,
                CONNECTION_COUNT_PER_ADDRESS_MAX,
            ),
            counters: (0..shards).map(|_| Arc::default()).collect(),
            access: (0..shards).map(|_| Arc::default()).collect(),
            sync_interval,
            changeover: Changeover::new(shards),
            prepared: AtomicUsize::new(0),
            serving: AtomicUsize::new(0),
            driver: Mutex::new(None),
            backoff: Backoff::default(),
            draining: AtomicBool::new(false),
            hurrying: AtomicBool::new(false),
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

    /// Gives a connection to any shard, the one of index `first` where it has room.
    ///
    /// # Errors
    ///
    /// The connection back, where no mailbox has room.
    pub fn place(&self, first: usize, connection: Move) -> Result<(), Move> {
        let (before, from_first) = self.mailboxes.split_at(first % self.shard_count());
        let mut unplaced = Err(connection);
        for mailbox in from_first.iter().chain(before) {
            unplaced = unplaced.or_else(|connection| mailbox.try_send(connection));
        }
        unplaced
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
    accepting: AcceptCounters,
    /// Requests of encoders that are being answered.
    open_pushes: Cell<usize>,
}

/// The shard as the connections of one listener see it.
struct Door {
    node: Rc<Node>,
    role: Role,
    /// Opened when the process was draining already: nothing begins here any more.
    is_late: bool,
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
        playback: Playback::new(Arc::clone(&shared.storage), shared.made.clone()),
        serving: Serving::new()?,
        accepting: AcceptCounters::default(),
        open_pushes: Cell::new(0),
        shared,
    });
    *node.shared.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
    node.stand_by().await;
    let mut stops = Vec::with_capacity(listeners.len());
    for (role, listener) in listeners {
        let (stop, stopped) = oneshot::channel();
        stops.push(stop);
        rt::spawn(accept_on(Rc::clone(&node), role, Listener::new(listener)?, stopped));
    }
    // What neighbours hand over is served to the end.
    let (_stop_receiving, stopped) = oneshot::channel();
    rt::spawn(receive(Rc::clone(&node), mailbox, stopped));
    node.shared.serving.fetch_add(1, Ordering::AcqRel);
    node.tick_until_leaving().await;
    if node.shared.changeover.phase() == Phase::HandedOn {
        // What waits in the queues is for whoever listens there next.
        drop(stops);
        node.leave().await;
    } else {
        node.drain().await;
    }
    node.shared.serving.fetch_sub(1, Ordering::AcqRel);
    Ok(())
}

async fn accept_on(node: Rc<Node>, role: Role, listener: Listener, stop: oneshot::Receiver<()>) {
    let options = SocketOptions::default();
    let connections = Arc::clone(&node.shared.connections);
    let opened = accept(&listener, stop, &options, &connections, &node.accepting, |accepted| {
        node.shared.counters[node.shard].accepted.add(1);
        let is_late = node.shared.draining.load(Ordering::Acquire);
        node.serving.is_draining.set(is_late);
        Door { node: Rc::clone(&node), role, is_late }.spawn(Connection::new(accepted));
    });
    if let Err(error) = opened.await {
        tracing::error!(shard = node.shard, %error, "a listener failed");
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
                Ok(connection) => {
                    Door { node: Rc::clone(&node), role, is_late: false }.spawn(connection);
                }
                Err(error) => tracing::warn!(%error, "a handed-over connection was lost"),
            }
        }
    }
}

impl Node {
    fn counters(&self) -> &ShardCounters {
        &self.shared.counters[self.shard]
    }

    /// Takes channels over and publishes them, until the process may serve.
    async fn stand_by(&self) {
        let shared = &self.shared;
        shared.prepared.fetch_add(1, Ordering::AcqRel);
        while shared.changeover.phase() != Phase::Owning && !shared.draining.load(Ordering::Acquire)
        {
            if shared.changeover.phase() == Phase::Adopting {
                self.follow_site();
                self.adopt();
                self.tick_owners();
            }
            rt::sleep_until(rt::now() + STAND_BY_SPAN).await;
        }
    }

    /// Takes over the channels that were placed here.
    fn adopt(&self) {
        let mut waiting = self.shared.adoptions.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |site: &ChannelSite| site.live.owner.load(Ordering::Acquire) == self.shard;
        let ours: Vec<_> = waiting.extract_if(.., |(site, _)| is_ours(site)).collect();
        drop(waiting);
        for (site, reopened) in ours {
            // A later reload may have taken it away again.
            let configured = self.shared.site.load();
            let known = configured.channels.get(&*site.id);
            if known.is_none_or(|known| !Arc::ptr_eq(&known.live, &site.live)) {
                continue;
            }
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
        let stays = |id: &str, owner: &Owner| {
            let known = site.channels.get(id);
            known.is_some_and(|known| Arc::ptr_eq(&known.live, &owner.site().live))
        };
        self.owners.borrow_mut().retain(|id, owner| stays(id, owner));
        for (id, owner) in self.owners.borrow().iter() {
            if let Some(channel) = site.channels.get(&**id) {
                owner.reconfigure(channel);
            }
        }
        *self.site.borrow_mut() = site;
    }

    /// Ticks until the process drains, or its channels are another's.
    async fn tick_until_leaving(&self) {
        let (changeover, draining) = (&self.shared.changeover, &self.shared.draining);
        let mut sync_due = Monotonic::default();
        while changeover.phase() != Phase::HandedOn && !draining.load(Ordering::Acquire) {
            let now = rt::now();
            self.follow_site();
            self.adopt();
            self.playback.on_tick();
            let owners = self.tick_owners();
            if now >= sync_due {
                for owner in &owners {
                    owner.sync();
                }
                sync_due = now + self.shared.sync_interval;
            }
            self.count();
            self.follow_changeover(owners);
            // The others wait for whoever is behind.
            let is_awaited = changeover.phase().holds_pushes();
            rt::sleep_until(now + if is_awaited { STAND_BY_SPAN } else { TICK_SPAN }).await;
        }
    }

    /// Does its part where another process is to have the channels.
    fn follow_changeover(&self, owners: Vec<Rc<Owner>>) {
        let changeover = &self.shared.changeover;
        if !changeover.is_behind(self.shard) {
            return;
        }
        let phase = changeover.phase();
        match phase {
            Phase::LettingGo => {
                drop(owners);
                self.owners.borrow_mut().clear();
            }
            Phase::Quiescing => {
                let is_settled = owners.iter().all(|owner| owner.is_settled());
                if self.open_pushes.get() > 0 || !is_settled {
                    return;
                }
            }
            Phase::Adopting => self.adopt(),
            Phase::Preparing | Phase::Owning | Phase::HandedOn => {}
        }
        changeover.follow(self.shard, phase);
    }

    fn tick_owners(&self) -> Vec<Rc<Owner>> {
        let owners: Vec<Rc<Owner>> = self.owners.borrow().values().cloned().collect();
        owners.iter().for_each(Owner::on_tick);
        owners
    }

    /// Brings the gauges up to date.
    fn count(&self) {
        let (counters, sent) = (self.counters(), &self.serving.counters);
        counters.connections.set(self.serving.open_connections.get() as u64);
        counters.spliced_bytes.set(sent.sendfile.get());
        counters.copied_bytes.set(sent.copied.get());
        counters.storage_queue.set(self.playback.waiting_count() + sent.warming.get());
        counters.busy_us.set_span(rt::thread_time().unwrap_or_default());
        let refused = [&self.accepting.refused_total, &self.accepting.refused_address];
        let refused = refused.into_iter().map(|count| count.load(Ordering::Relaxed)).sum();
        counters.set_hits(Limit::Connections, refused);
        let refused = self.playback.take_refused() + sent.refused.take();
        counters.add_hits(Limit::StorageQueue, refused);
    }

    /// Waits until every connection has gone to the process that follows, or ended.
    async fn leave(&self) {
        let deadline = rt::now() + DRAIN_SPAN_MAX;
        loop {
            // Before the first look, too: what was accepted or received last is not counted yet.
            rt::sleep_until(rt::now() + TICK_SPAN / 5).await;
            let is_done = self.serving.open_connections.get() == 0;
            let is_hurried = self.shared.hurrying.load(Ordering::Acquire);
            if is_done || is_hurried || rt::now() >= deadline {
                return;
            }
        }
    }

    /// Ends connections without a request at once, lets requests under way end, and has the last
    /// changes of the channels written. Who comes meanwhile is told to come again.
    async fn drain(&self) {
        self.serving.is_draining.set(true);
        rt::end_idle();
        let deadline = rt::now() + DRAIN_SPAN_MAX;
        loop {
            let owners = self.tick_owners();
            let is_done = self.serving.open_requests.get() == 0
                && owners.iter().all(|owner| owner.is_settled());
            let is_hurried = self.shared.hurrying.load(Ordering::Acquire);
            if is_done || is_hurried || rt::now() >= deadline {
                for owner in &owners {
                    owner.sync();
                }
                return;
            }
            rt::sleep_until(rt::now() + TICK_SPAN / 5).await;
        }
    }
}

impl Door {
    fn spawn(self, connection: Connection<EncoderSession>) {
        rt::spawn(async move { serve(connection, &self, &self.node.serving).await });
    }

    /// Hands a record to the access log, made only where there is one.
    fn log_access(&self, record: impl FnOnce() -> AccessRecord) {
        let access = &self.node.shared.access[self.node.shard];
        if access.is_open() {
            access.push(record());
        }
    }

    fn next_request_id(&self) -> u64 {
        self.node.shared.request_serial.fetch_add(1, Ordering::Relaxed)
    }

    /// What a path names to who comes in by this door.
    fn addressed<'s, 'p>(&self, site: &'s Site, path: &'p str) -> Addressed<'s, 'p> {
        if self.role != Role::Delivery
            && let Some((channel, input, name)) = site.input(path)
        {
            return Addressed::Input { channel, input, name };
        }
        if self.role != Role::Ingest
            && let Some((endpoint, path)) = site.endpoint(path)
        {
            return Addressed::Endpoint { endpoint, path };
        }
        Addressed::Nothing
    }
}

/// What a path names.
enum Addressed<'s, 'p> {
    /// An input of a channel, and the encoder's name for the body.
    Input { channel: &'s Arc<ChannelSite>, input: InputNumber, name: &'p str },
    /// An endpoint, and the path below it.
    Endpoint { endpoint: &'s Arc<EndpointSite>, path: &'p str },
    /// Nothing configured.
    Nothing,
}

impl Addressed<'_, '_> {
    /// The same for the access log.
    fn target(&self) -> AccessTarget {
        match self {
            Self::Input { channel, input, .. } => {
                AccessTarget::Ingest { channel_id: Arc::clone(&channel.id), input_index: *input }
            }
            Self::Endpoint { endpoint, path } => {
                let manifest = crate::engine::manifest::kind_of(path);
                AccessTarget::Egress {
                    channel_id: Arc::clone(&endpoint.channel.id),
                    endpoint_id: Arc::clone(&endpoint.id),
                    manifest_name: manifest.map(|_| (*path).into()),
                    manifest_type: manifest,
                }
            }
            Self::Nothing => AccessTarget::Unknown,
        }
    }
}

/// The bound that a head went beyond, if that was what was wrong.
const fn limit_of(error: &HeadError) -> Option<Limit> {
    match error {
        HeadError::RequestLineTooLong { .. } => Some(Limit::RequestLineSize),
        HeadError::FieldTooLong { .. } => Some(Limit::HeaderFieldSize),
        HeadError::HeadTooLong { .. } => Some(Limit::RequestHeadSize),
        HeadError::TooManyFields { .. } => Some(Limit::HeaderCount),
        HeadError::Target(TargetFault::QueryTooLong) => Some(Limit::QuerySize),
        _ => None,
    }
}

impl Service for Door {
    type File = SharedFile;
    type Session = EncoderSession;

    fn owner(&self, session: &mut EncoderSession, head: &RequestHead) -> Option<Place> {
        let phase = self.node.shared.changeover.phase();
        if phase == Phase::HandedOn {
            return Some(Place::Successor);
        }
        let site = self.node.site.borrow();
        let Addressed::Input { channel, input, .. } = self.addressed(&site, &head.path) else {
            return None;
        };
        if phase.holds_pushes() {
            return Some(Place::Successor);
        }
        let owner = channel.live.owner.load(Ordering::Acquire);
        // Any shard can ask for credentials, or say that there is no such input.
        let is_worth_it = channel.users[input.index()].is_some() && head.authorization.is_some();
        if owner == self.node.shard || !is_worth_it || session.hand_overs >= HAND_OVER_COUNT_MAX {
            return None;
        }
        session.hand_overs += 1;
        Some(Place::Shard(owner))
    }

    fn hand_over(
        &self,
        owner: Place,
        connection: MovingConnection<EncoderSession>,
    ) -> Result<(), MovingConnection<EncoderSession>> {
        let (shared, moving) = (&self.node.shared, Move { role: self.role, connection });
        let sent = match owner {
            Place::Shard(owner) => shared.mailboxes[owner].try_send(moving),
            // The other process has failed meanwhile.
            Place::Successor if shared.changeover.phase() == Phase::Owning => {
                shared.mailboxes[self.node.shard].try_send(moving)
            }
            Place::Successor => shared.changeover.depart(moving),
        };
        match sent {
            Ok(()) => self.node.counters().handed_over.add(1),
            Err(_) => self.node.counters().hit(Limit::ShardMailbox),
        }
        sent.map_err(|back| back.connection)
    }

    async fn answer(
        &self,
        session: &mut EncoderSession,
        peer: SocketAddr,
        head: &RequestHead,
        body: &mut Body<'_>,
    ) -> Plan<SharedFile> {
        if self.is_late {
            return transient("the origin is restarting");
        }
        let site = Arc::clone(&self.node.site.borrow());
        match self.addressed(&site, &head.path) {
            Addressed::Input { channel, input, name } => {
                let _open = Open::new(&self.node.open_pushes);
                let owner = self.node.owners.borrow().get(&channel.id).cloned();
                let shared = &self.node.shared;
                let gate = Gate { authenticator: &shared.authenticator, backoff: &shared.backoff };
                let (peer, shard) = (peer.ip(), self.node.counters());
                let push = Push { site: &site, channel, input, name, head, peer, shard };
                push.answer(&gate, owner, session, body).await
            }
            Addressed::Endpoint { endpoint, path } => {
                let counters = &endpoint.counters[self.node.shard];
                self.node.playback.answer(endpoint, counters, path, head).await
            }
            Addressed::Nothing => {
                let cache_control = Some(CacheControl::MaxAge(1));
                Plan::status(ResponseHead { cache_control, ..ResponseHead::new(404) })
            }
        }
    }

    fn on_refused(&self, refused: &RefusedHead<'_>) {
        self.node.counters().stray_requests.add(1);
        if let Some(limit) = refused.error.and_then(limit_of) {
            self.node.counters().hit(limit);
        }
        self.log_access(|| AccessRecord {
            event_timestamp: refused.at,
            client_ip: refused.peer.ip(),
            time_to_first_byte: Duration::ZERO,
            status_code: refused.status,
            reason: None,
            received_bytes: 0,
            sent_bytes: 0,
            method: "-".into(),
            request: "-".into(),
            request_query_params: None,
            protocol: "-",
            user_agent: None,
            domain_name: None,
            request_id: self.next_request_id(),
            target: AccessTarget::Unknown,
        });
    }

    fn on_body_abandoned(&self) {
        self.node.counters().hit(Limit::RefusedBodyDrained);
    }

    fn on_finished(&self, finished: &Finished<'_>) {
        let site = self.node.site.borrow();
        let Finished { head, status, sent, first_byte_span, .. } = *finished;
        let shard = self.node.shard;
        let addressed = self.addressed(&site, &head.path);
        match &addressed {
            Addressed::Input { .. } => {}
            Addressed::Endpoint { endpoint, .. } => {
                endpoint.counters[shard].count(status, sent, first_byte_span);
            }
            Addressed::Nothing => self.node.counters().stray_requests.add(1),
        }
        self.log_access(|| AccessRecord {
            event_timestamp: finished.at,
            client_ip: finished.peer.ip(),
            time_to_first_byte: first_byte_span,
            status_code: status,
            reason: finished.reason,
            received_bytes: finished.received,
            sent_bytes: sent,
            method: head.method.as_str().into(),
            request: head.path.as_str().into(),
            request_query_params: head.query.as_deref().map(Into::into),
            protocol: if head.version_minor == 0 { "HTTP/1.0" } else { "HTTP/1.1" },
            user_agent: head.user_agent.as_deref().map(Into::into),
            domain_name: None,
            request_id: self.next_request_id(),
            target: addressed.target(),
        });
    }
}
