//! One shard at work: its listeners, its channels, its mailbox, and the requests it answers.
//!
//! What all shards share is one [`Shared`]; each looks at it with its tick and acts on its own.

use crate::http::access_record::{AccessRecord, AccessTarget};
use crate::http::plan::Plan;
use crate::http::request::{HeadError, RequestHead, TargetFault};
use crate::http::response::{CacheControl, ResponseHead};
use crate::limits::{
    CHANNEL_ADOPTION_SPAN_MAX, DRAIN_SPAN_MAX, HAND_OVER_COUNT_MAX, SHARD_TICK_SPAN,
    SOCKETS_QUEUED_SIZE_MAX,
};
use crate::shard::changeover::Phase;
use crate::shard::connection::{
    Connection, Finished, MovingConnection, Open, Place, RefusedHead, Service, Serving, serve,
};
use crate::shard::counters::{Limit, ShardCounters};
use crate::shard::incoming::Body;
use crate::shard::ingest::{EncoderSession, Gate, Push, transient};
use crate::shard::listener::{AcceptCounters, accept};
use crate::shard::log_gate::LogGate;
use crate::shard::mailbox;
use crate::shard::member::{Cause, Member, Standing};
use crate::shard::moving::{Move, Role};
use crate::shard::owner::Owner;
use crate::shard::playback::{Playback, SharedFile};
use crate::shard::rt::{self, Driver, Listener, SocketOptions, oneshot};
use crate::shard::shared::{Adoption, Shared};
use crate::shard::site::{ChannelSite, EndpointSite, Site};
use crate::units::InputNumber;
use crate::units::Monotonic;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Between two looks at what waits in sockets: a system call for each of them.
const SOCKETS_LOOK_SPAN: Duration = Duration::from_secs(1);
/// How often a shard looks that others wait for.
const STAND_BY_SPAN: Duration = Duration::from_millis(5);
/// Quarters of the mean of all shards' connections above which a shard passes fresh ones on.
const CROWDED_QUARTERS: u64 = 5;
/// Connections below which a shard is not crowded, whatever others have.
const CROWDED_COUNT_MIN: u64 = 16;

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
    refusal_lines: LogGate,
    /// What ends accepting on the listeners of other shards, by shard.
    stand_ins: RefCell<BTreeMap<usize, Vec<oneshot::Sender<()>>>>,
}

/// The shard as the connections of one listener see it.
struct Door {
    node: Rc<Node>,
    role: Role,
    /// Opened when the process was draining already: nothing begins here any more.
    is_late: bool,
}

/// Runs a shard until it has drained, or its connections have gone to another process.
///
/// # Errors
///
/// Where the process is out of descriptors, or a listening socket is broken.
pub async fn run(shard: usize, shared: Arc<Shared>, driver: Driver) -> io::Result<()> {
    let node = Rc::new(Node {
        shard,
        site: RefCell::new(shared.site.load_full()),
        owners: RefCell::default(),
        playback: Playback::new(Arc::clone(&shared.storage), shared.made.clone()),
        serving: Serving::new()?,
        accepting: AcceptCounters::default(),
        open_pushes: Cell::new(0),
        refusal_lines: LogGate::default(),
        stand_ins: RefCell::default(),
        shared,
    });
    // What it had before a panic is given away first.
    while node.member().standing() == Standing::Lost {
        rt::sleep_until(rt::now() + SHARD_TICK_SPAN / 10).await;
    }
    *node.shared.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
    node.stand_by().await;
    node.adopt();
    let stops = node.accept_for(node.member())?;
    // What neighbours hand over is served to the end.
    let (_stop_receiving, stopped) = oneshot::channel();
    let mailbox = node.shared.mailboxes[shard].reopen();
    rt::spawn(receive(Rc::clone(&node), mailbox, stopped));
    node.member().serve();
    node.tick_until_leaving().await;
    if node.shared.changeover.phase() == Phase::HandedOn {
        // What waits in the queues is for whoever listens there next.
        drop(stops);
        node.stand_ins.take();
        node.part().await;
        node.member().leave();
    } else {
        node.drain().await;
        node.member().leave();
        node.turn_away().await;
        node.shared.members.iter().for_each(Member::close_listeners);
    }
    Ok(())
}

async fn accept_on(node: Rc<Node>, role: Role, listener: Listener, stop: oneshot::Receiver<()>) {
    let options = SocketOptions::default();
    let connections = Arc::clone(&node.shared.connections);
    let limits = (&connections, role == Role::Ingest);
    let opened = accept(&listener, stop, &options, limits, &node.accepting, |accepted| {
        node.counters().accepted.add(1);
        let is_late = node.shared.draining.load(Ordering::Acquire);
        node.serving.is_draining.set(is_late);
        Door { node: Rc::clone(&node), role, is_late }.take_in(Connection::new(accepted));
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

    fn member(&self) -> &Member {
        &self.shared.members[self.shard]
    }

    /// Accepts on the listeners of a shard, its own or another's, until what is returned is
    /// dropped.
    fn accept_for(self: &Rc<Self>, member: &Member) -> io::Result<Vec<oneshot::Sender<()>>> {
        let listeners = member.listeners()?;
        let mut stops = Vec::with_capacity(listeners.len());
        for (role, listener) in listeners {
            let (stop, stopped) = oneshot::channel();
            stops.push(stop);
            rt::spawn(accept_on(Rc::clone(self), role, Listener::new(listener)?, stopped));
        }
        Ok(stops)
    }

    /// Accepts in the place of lost shards where it has to.
    fn stand_in(self: &Rc<Self>) {
        let mut stand_ins = self.stand_ins.borrow_mut();
        for (shard, member) in self.shared.members.iter().enumerate() {
            match stand_ins.entry(shard) {
                Entry::Occupied(accepting) if member.stand_in() != Some(self.shard) => {
                    accepting.remove();
                }
                Entry::Vacant(missing) if member.stand_in() == Some(self.shard) => {
                    match self.accept_for(member) {
                        Ok(stops) => drop(missing.insert(stops)),
                        // Tried again with the next tick.
                        Err(error) => tracing::warn!(shard, %error, "cannot stand in"),
                    }
                }
                Entry::Occupied(_) | Entry::Vacant(_) => {}
            }
        }
    }

    /// Gives up what belongs to others by now. After a stall that is everything, and the shard
    /// serves again with nothing.
    fn follow_placements(&self) {
        self.owners.borrow_mut().retain(|_, owner| owner.is_current());
        if self.member().standing() == Standing::Vacant {
            tracing::info!(shard = self.shard, "the shard is back");
            self.member().serve();
        }
    }

    /// Lets channels go that belong to a shard which was started again after a panic, each while
    /// nothing of it is under way.
    fn send_home(&self) {
        self.owners.borrow_mut().retain(|_, owner| {
            let site = owner.site();
            let home = &self.shared.members[site.live.home];
            let is_due = site.live.home != self.shard
                && home.serves()
                && home.cause() == Cause::Panic
                && Rc::strong_count(owner) == 1
                && Rc::weak_count(owner) == 0
                && owner.is_settled();
            let tenure = is_due.then(|| owner.pass_to(site.live.home)).flatten();
            let Some(tenure) = tenure else { return true };
            let mut leaving = self.shared.leaving.lock().unwrap_or_else(PoisonError::into_inner);
            tracing::info!(channel = %site.id, home = site.live.home, "goes home");
            leaving.push((site, tenure));
            false
        });
    }

    /// Takes channels over and publishes them, until the process may serve.
    async fn stand_by(&self) {
        let Shared { changeover, draining, prepared, .. } = &*self.shared;
        prepared.fetch_add(1, Ordering::AcqRel);
        while changeover.phase().stands_by() && !draining.load(Ordering::Acquire) {
            if changeover.phase() == Phase::Adopting {
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
        // Some may have gone on to others before they were taken.
        waiting.retain(|adoption| adoption.reopened.is_current());
        let is_ours = |site: &ChannelSite| site.live.placement.owner() == self.shard;
        let ours: Vec<_> = waiting.extract_if(.., |adoption| is_ours(&adoption.site)).collect();
        drop(waiting);
        for Adoption { site, reopened, lost } in ours {
            // A later reload may have taken it away again.
            let configured = self.shared.site.load();
            let known = configured.channels.get(&*site.id);
            if known.is_none_or(|known| !Arc::ptr_eq(&known.live, &site.live)) {
                continue;
            }
            let owner = Owner::new(Arc::clone(&site), reopened);
            if let Some(known) = known.filter(|known| !Arc::ptr_eq(known, &site)) {
                // Reloaded while its ring was read back.
                owner.reconfigure(known);
            }
            if let Some(lost) = lost {
                let span = rt::now().0.saturating_sub(lost.0);
                site.live.counters.adoptions.add(1);
                site.live.counters.adoption_us.set_span(span);
                tracing::warn!(channel = %site.id, shard = self.shard, ?span, "taken over");
                let text = format!("shard {} took the channel over after {span:.3?}", self.shard);
                owner.note("adoption", &text);
            }
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
    async fn tick_until_leaving(self: &Rc<Self>) {
        let (changeover, draining) = (&self.shared.changeover, &self.shared.draining);
        let mut sync_due = Monotonic::default();
        let mut look_due = Monotonic::default();
        while changeover.phase() != Phase::HandedOn && !draining.load(Ordering::Acquire) {
            let now = rt::now();
            self.member().beat();
            self.member().suffer();
            self.follow_site();
            self.follow_placements();
            self.adopt();
            self.send_home();
            self.stand_in();
            self.playback.on_tick();
            let owners = self.tick_owners();
            if now >= sync_due {
                for owner in &owners {
                    owner.sync();
                }
                sync_due = now + self.shared.sync_interval;
            }
            if now >= look_due {
                self.look_at_sockets();
                look_due = now + SOCKETS_LOOK_SPAN;
            }
            self.count();
            self.follow_changeover(owners);
            // The others wait for whoever is behind.
            let is_awaited = changeover.phase().holds_pushes();
            rt::sleep_until(now + if is_awaited { STAND_BY_SPAN } else { SHARD_TICK_SPAN }).await;
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
            Phase::Preparing | Phase::Adopting | Phase::Owning | Phase::HandedOn => {}
        }
        changeover.follow(self.shard, phase);
    }

    fn tick_owners(&self) -> Vec<Rc<Owner>> {
        let owners: Vec<Rc<Owner>> = self.owners.borrow().values().cloned().collect();
        owners.iter().for_each(Owner::on_tick);
        owners
    }

    /// The channel's owner on this shard, which may be about to take it over; `None` where that
    /// takes too long or it belongs to another shard.
    async fn owner_of(&self, channel: &ChannelSite) -> Option<Rc<Owner>> {
        let deadline = rt::now() + CHANNEL_ADOPTION_SPAN_MAX;
        loop {
            let owner = self.owners.borrow().get(&channel.id).cloned();
            if let Some(owner) = owner.filter(|owner| owner.is_current()) {
                return Some(owner);
            }
            let is_elsewhere = channel.live.placement.owner() != self.shard;
            if is_elsewhere || channel.live.is_refused() || rt::now() >= deadline {
                return None;
            }
            rt::sleep_until(rt::now() + SHARD_TICK_SPAN / 10).await;
        }
    }

    /// The serving shard with the fewest connections, where this one has too many.
    fn less_crowded(&self) -> Option<usize> {
        let counters = &self.shared.counters;
        let own = self.serving.open_connections.get() as u64;
        let count = |shard: usize| {
            if shard == self.shard { own } else { counters[shard].connections.value() }
        };
        let counts: Vec<(usize, u64)> =
            self.shared.serving().map(|shard| (shard, count(shard))).collect();
        less_crowded_than(self.shard, &counts)
    }

    /// Sees what waits in this shard's sockets, and whether all shards together have room for more.
    fn look_at_sockets(&self) {
        self.counters().queued_bytes.set(rt::open_sockets().queued_size());
        let queued = self.shared.counters.iter().map(|shard| shard.queued_bytes.value());
        self.serving.is_full.set(queued.sum::<u64>() > SOCKETS_QUEUED_SIZE_MAX);
        self.counters().add_hits(Limit::SocketsQueued, self.serving.refused.take());
    }

    /// Brings the gauges up to date.
    fn count(&self) {
        let (counters, sent) = (self.counters(), &self.serving.counters);
        counters.connections.set(self.serving.open_connections.get() as u64);
        counters.spliced_bytes.set(sent.sendfile.get());
        counters.copied_bytes.set(sent.copied.get());
        counters.storage_queue.set(self.playback.waiting_count() + sent.warming.get());
        counters.written_aside.set(self.playback.written_aside_count());
        counters.busy_us.set_span(rt::thread_time().unwrap_or_default());
        let refused = [&self.accepting.refused_total, &self.accepting.refused_address];
        let refused = refused.into_iter().map(|count| count.load(Ordering::Relaxed)).sum();
        counters.set_hits(Limit::Connections, refused);
        counters.add_hits(Limit::StorageQueue, sent.refused.take());
    }

    /// Waits until every connection has gone to the process that follows, or ended.
    async fn part(&self) {
        let deadline = rt::now() + DRAIN_SPAN_MAX;
        loop {
            // Before the first look, too: what was accepted or received last is not counted yet.
            rt::sleep_until(rt::now() + SHARD_TICK_SPAN / 5).await;
            self.member().beat();
            let is_done = self.serving.open_connections.get() == 0;
            let is_hurried = self.shared.hurrying.load(Ordering::Acquire);
            if is_done || is_hurried || rt::now() >= deadline {
                return;
            }
        }
    }

    /// Tells who comes to come again, until the other shards have drained as well: while one
    /// does, the door is open.
    async fn turn_away(&self) {
        let hurrying = &self.shared.hurrying;
        while self.shared.serving().next().is_some() && !hurrying.load(Ordering::Acquire) {
            rt::sleep_until(rt::now() + SHARD_TICK_SPAN / 5).await;
        }
    }

    /// Ends connections without a request at once, lets requests under way end, and has the last
    /// changes of the channels written. Who comes meanwhile is told to come again.
    async fn drain(&self) {
        self.serving.is_draining.set(true);
        rt::end_idle();
        let deadline = rt::now() + DRAIN_SPAN_MAX;
        loop {
            self.member().beat();
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
            rt::sleep_until(rt::now() + SHARD_TICK_SPAN / 5).await;
        }
    }
}

impl Door {
    fn spawn(self, connection: Connection<EncoderSession>) {
        rt::spawn(async move { serve(connection, &self, &self.node.serving).await });
    }

    /// Serves a fresh connection, or passes it on where this shard has more than its share.
    fn take_in(self, connection: Connection<EncoderSession>) {
        let other = self.node.less_crowded().filter(|_| !self.is_late);
        let Some(other) = other else { return self.spawn(connection) };
        match self.hand_over(Place::Shard(other), connection.detach()) {
            // Known there with its next tick; until then it counts here.
            Ok(()) => self.node.shared.counters[other].connections.add(1),
            Err(back) => match Connection::take_over(back) {
                Ok(connection) => self.spawn(connection),
                Err(error) => tracing::warn!(%error, "a connection was lost"),
            },
        }
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

/// Of shards with their numbers of connections, the one with the fewest, where `shard` has more
/// than [`CROWDED_QUARTERS`] of the mean.
fn less_crowded_than(shard: usize, counts: &[(usize, u64)]) -> Option<usize> {
    let (_, own) = counts.iter().find(|(other, _)| *other == shard)?;
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let is_crowded =
        *own >= CROWDED_COUNT_MIN && 4 * own * counts.len() as u64 > CROWDED_QUARTERS * total;
    let (least, _) = counts.iter().min_by_key(|(_, count)| count).filter(|_| is_crowded)?;
    (*least != shard).then_some(*least)
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
        if phase.holds_pushes() && !self.is_late {
            return Some(Place::Successor);
        }
        let owner = channel.live.placement.owner();
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
                let owner = self.node.owner_of(channel);
                let shared = &self.node.shared;
                let gate = Gate { authenticator: &shared.authenticator, backoff: &shared.backoff };
                let (peer, shard) = (peer.ip(), self.node.counters());
                let lines = &self.node.refusal_lines;
                let quarantine = &shared.quarantine;
                let site = &site;
                let push =
                    Push { site, channel, input, name, head, peer, quarantine, shard, lines };
                push.answer(&gate, owner, session, body).await
            }
            Addressed::Endpoint { endpoint, path } => {
                let counters = &endpoint.counters[self.node.shard];
                let counters = (&**counters, self.node.counters());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowded_shard_passes_fresh_connections_on() {
        type Counts = &'static [(usize, u64)];
        let cases: [(Counts, Option<usize>); 7] = [
            (&[(0, 100)], None),
            (&[(0, 15), (1, 0)], None),
            (&[(0, 100), (1, 80)], None),
            (&[(0, 100), (1, 60)], None),
            (&[(0, 101), (1, 60)], Some(1)),
            (&[(0, 100), (1, 80), (3, 10)], Some(3)),
            (&[(1, 5), (2, 0)], None),
        ];
        for (counts, passed_to) in cases {
            assert_eq!(less_crowded_than(0, counts), passed_to, "{counts:?}");
        }
    }
}
