//! A connection's life in HTTP/1.1 (RFC 9112): requests one after another, each answered by the
//! shard's service, or handed over with its connection to the shard that owns what it addresses.
//!
//! A request is parsed when the one before it has been answered; what a client pipelines waits in
//! the input buffer, and beyond that in the kernel's.

use super::incoming::{Body, Input, linger};
use super::listener::{Accepted, ConnectionTicket};
use super::outgoing::{FileSource, SendCounters, SendError, prepare_first, send};
use super::rt::{self, Socket};
use super::turns::Turns;
use crate::http::plan::{Plan, total_size};
use crate::http::request::{Framing, HeadError, RequestHead, parse_head};
use crate::http::response::{CacheControl, Persistence, ResponseHead};
use crate::limits::{BULK_RESPONSE_SIZE_MIN, INPUT_BUFFER_IDLE_SIZE};
use crate::units::{Monotonic, WallClock};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

/// How long a head may take from its first byte.
const HEAD_SPAN_MAX: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request.
const IDLE_SPAN_MAX: Duration = Duration::from_secs(30);
/// The same after an upload: encoders send every few seconds, and keep their connection.
const IDLE_AFTER_UPLOAD_SPAN_MAX: Duration = Duration::from_mins(2);
/// How long a hand-over to a shard whose mailbox is full is tried again.
const HAND_OVER_SPAN_MAX: Duration = Duration::from_secs(1);
const HAND_OVER_PAUSE_SPAN: Duration = Duration::from_millis(5);

/// Where a connection belongs that does not belong here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the shard of this index.
    Shard(usize),
    /// In the process that follows this one.
    Successor,
}

/// What answers a shard's requests.
pub trait Service: 'static {
    /// The files that plans hold.
    type File: FileSource;
    /// What is known of a connection between its requests; moves with it.
    type Session: Default + Send;

    /// Where a connection with this request belongs; `None` for this shard.
    fn owner(&self, session: &mut Self::Session, head: &RequestHead) -> Option<Place>;

    /// Gives a connection to `owner`, without waiting.
    ///
    /// # Errors
    ///
    /// The connection back, where too many wait there.
    fn hand_over(
        &self,
        owner: Place,
        moving: MovingConnection<Self::Session>,
    ) -> Result<(), MovingConnection<Self::Session>>;

    /// Answers a request. A body that is not read to its end is thrown away, and the connection
    /// closed where that is much.
    fn answer(
        &self,
        session: &mut Self::Session,
        peer: SocketAddr,
        head: &RequestHead,
        body: &mut Body<'_>,
    ) -> impl Future<Output = Plan<Self::File>>;

    /// A head was refused, or not whole in time.
    fn on_refused(&self, refused: &RefusedHead<'_>);

    /// A body was not read to its end, and too much of it was left to throw away.
    fn on_body_abandoned(&self);

    /// A request is over, well or not.
    fn on_finished(&self, finished: &Finished<'_>);
}

/// A request that is over.
#[derive(Debug)]
pub struct Finished<'a> {
    /// When its head was complete.
    pub at: WallClock,
    /// From then until the response was ready to be sent.
    pub first_byte_span: Duration,
    /// The client's address.
    pub peer: SocketAddr,
    /// The request.
    pub head: &'a RequestHead,
    /// The status sent.
    pub status: u16,
    /// Why, where the status alone does not tell.
    pub reason: Option<&'static str>,
    /// Bytes of the request's body that were read, as decoded.
    pub received: u64,
    /// Bytes of the response's body that the socket took.
    pub sent: u64,
}

/// What came was not a request.
#[derive(Debug)]
pub struct RefusedHead<'a> {
    /// When that was known.
    pub at: WallClock,
    /// The client's address.
    pub peer: SocketAddr,
    /// The status sent.
    pub status: u16,
    /// What was wrong; `None` where it was not whole in time.
    pub error: Option<&'a HeadError>,
}

/// A connection between two shards: at a request boundary, no operation in flight.
#[derive(Debug)]
pub struct MovingConnection<S> {
    pub(super) fd: OwnedFd,
    pub(super) peer: SocketAddr,
    pub(super) ticket: ConnectionTicket,
    pub(super) unread: Vec<u8>,
    pub(super) session: S,
}

/// What the connections of one shard share.
pub struct Serving {
    /// The turns of its bulk senders.
    pub turns: Turns,
    /// Bytes sent.
    pub counters: SendCounters,
    /// No request after the one under way: the shard drains.
    pub is_draining: Cell<bool>,
    /// No long responses: sockets hold more than they may.
    pub is_full: Cell<bool>,
    /// Long responses refused for that.
    pub refused: Cell<u64>,
    /// Requests that are being answered.
    pub open_requests: Cell<usize>,
    /// Connections on this shard.
    pub open_connections: Cell<usize>,
    date: RefCell<(u64, String)>,
}

/// Counts a request or connection as open while it lives.
pub struct Open<'a>(&'a Cell<usize>);

impl<'a> Open<'a> {
    /// Counts one more in `count`.
    #[must_use]
    pub fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Serving {
    /// What the connections of this thread's shard share.
    ///
    /// # Errors
    ///
    /// Where the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            turns: Turns::new()?,
            counters: SendCounters::default(),
            is_draining: Cell::new(false),
            is_full: Cell::new(false),
            refused: Cell::new(0),
            open_requests: Cell::new(0),
            open_connections: Cell::new(0),
            date: RefCell::default(),
        })
    }

    /// Appends a head to `out`, with the date (RFC 9110 §5.6.7) made once per second.
    fn write_head(&self, head: &ResponseHead, persistence: Persistence, out: &mut Vec<u8>) {
        let mut date = self.date.borrow_mut();
        let second = u64::try_from(rt::wall().0 / 1_000_000).unwrap_or(0);
        if date.0 != second || date.1.is_empty() {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            *date = (second, httpdate::fmt_http_date(at));
        }
        head.write(&date.1, persistence, out);
    }
}

/// A connection on this shard.
pub struct Connection<S> {
    socket: Socket,
    peer: SocketAddr,
    ticket: ConnectionTicket,
    input: Input,
    session: S,
    idle_span_max: Duration,
}

/// What became of a wait for a request.
enum Awaited {
    Request(Box<RequestHead>, usize),
    Refused(HeadError),
    TimedOut,
    Ended,
}

impl<S: Default> Connection<S> {
    /// A connection just accepted.
    #[must_use]
    pub fn new(accepted: Accepted) -> Self {
        let Accepted { socket, peer, ticket } = accepted;
        let (input, session) = (Input::default(), S::default());
        Self { socket, peer, ticket, input, session, idle_span_max: HEAD_SPAN_MAX }
    }
}

impl<S> Connection<S> {
    /// A connection that another shard has handed over.
    ///
    /// # Errors
    ///
    /// Where the socket cannot be registered with this shard's driver.
    pub fn take_over(moving: MovingConnection<S>) -> io::Result<Self> {
        let MovingConnection { fd, peer, ticket, unread, session } = moving;
        let (socket, input) = (Socket::from_fd(fd)?, Input::new(unread));
        Ok(Self { socket, peer, ticket, input, session, idle_span_max: HEAD_SPAN_MAX })
    }

    /// The connection on its way to another shard: no operation is in flight.
    pub(super) fn detach(self) -> MovingConnection<S> {
        let Self { socket, peer, ticket, input, session, .. } = self;
        let unread = input.into_unread();
        MovingConnection { fd: socket.into_fd(), peer, ticket, unread, session }
    }

    /// Waits for a whole head. The second value is the head's size; it is not consumed.
    async fn request(&mut self) -> Awaited {
        if self.input.unread().is_empty() {
            self.input.shrink();
        }
        let begun = !self.input.unread().is_empty();
        let mut deadline = rt::now() + if begun { HEAD_SPAN_MAX } else { self.idle_span_max };
        loop {
            let began = !self.input.unread().is_empty();
            match parse_head(self.input.unread()) {
                Ok(Some((head, size))) => return Awaited::Request(Box::new(head), size),
                Ok(None) => {}
                Err(error) => return Awaited::Refused(error),
            }
            self.socket.set_idle(!began);
            let filled = self.input.fill(&mut self.socket, INPUT_BUFFER_IDLE_SIZE, deadline).await;
            self.socket.set_idle(false);
            match filled {
                Ok(size) if size > 0 => {}
                Err(error) if error.kind() == ErrorKind::TimedOut && began => {
                    return Awaited::TimedOut;
                }
                _ => return Awaited::Ended,
            }
            if !began {
                deadline = rt::now() + HEAD_SPAN_MAX;
            }
        }
    }
}

/// Serves a connection to its end, or until it belongs to another shard.
pub async fn serve<V: Service>(
    mut connection: Connection<V::Session>,
    service: &V,
    serving: &Serving,
) {
    let _open = Open::new(&serving.open_connections);
    loop {
        let (head, head_size) = match connection.request().await {
            Awaited::Request(head, size) => (head, size),
            Awaited::Refused(error) => {
                return refuse_head(&mut connection, Some(&error), service, serving).await;
            }
            Awaited::TimedOut => {
                return refuse_head(&mut connection, None, service, serving).await;
            }
            Awaited::Ended => return,
        };
        if let Some(owner) = service.owner(&mut connection.session, &head) {
            return hand_over(connection, owner, service, serving).await;
        }
        connection.input.consume(head_size);
        if !answer(&mut connection, &head, service, serving).await {
            return linger(&mut connection.socket).await;
        }
        connection.idle_span_max = match head.framing {
            Framing::None => IDLE_SPAN_MAX,
            Framing::Length(_) | Framing::Chunked => IDLE_AFTER_UPLOAD_SPAN_MAX,
        };
    }
}

/// Answers one request. Returns whether the connection goes on.
async fn answer<V: Service>(
    connection: &mut Connection<V::Session>,
    head: &RequestHead,
    service: &V,
    serving: &Serving,
) -> bool {
    let _open = Open::new(&serving.open_requests);
    let (at, began, peer) = (rt::wall(), rt::now(), connection.peer);
    let Connection { socket, input, session, .. } = connection;
    let mut body = Body::new(head, socket, input);
    let answered = rt::guarded(service.answer(session, peer, head, &mut body)).await;
    let is_sound = answered.is_some();
    // What a panic was about stays in the log; the client is told that it was not its fault.
    let plan = answered.unwrap_or_else(|| Plan::status(ResponseHead::new(500)));
    let mut plan = plan.without_content_for(head.method);
    if serving.is_full.get() && total_size(&plan.pieces) >= BULK_RESPONSE_SIZE_MIN {
        serving.refused.set(serving.refused.get() + 1);
        plan = overloaded();
    }
    if let Err(error) = prepare_first(&plan.pieces, &serving.counters).await {
        tracing::debug!(%peer, path = head.path, %error, "response not begun");
        plan = unready(&error);
    }
    let goes_on =
        is_sound && head.keep_alive && body.can_be_skipped() && !serving.is_draining.get();
    let first_byte_span = rt::now().0.saturating_sub(began.0);
    let mut out = Vec::with_capacity(512);
    serving.write_head(&plan.head, Persistence::new(head.version_minor, goes_on), &mut out);
    let (sent, ended) =
        send(body.socket(), &out, &plan.pieces, &serving.turns, &serving.counters).await;
    service.on_finished(&Finished {
        at,
        first_byte_span,
        peer,
        head,
        status: plan.head.status,
        reason: plan.reason,
        received: body.received(),
        sent: sent.saturating_sub(out.len() as u64),
    });
    if let Err(error) = &ended {
        tracing::debug!(%peer, path = head.path, %error, "response cut");
    }
    if !body.can_be_skipped() {
        service.on_body_abandoned();
    }
    ended.is_ok() && goes_on && body.skip().await
}

/// The answer where there is no room for a response now.
fn overloaded<F: Clone>() -> Plan<F> {
    let (cache_control, retry_after) = (Some(CacheControl::MaxAge(1)), Some(1));
    Plan::status(ResponseHead { cache_control, retry_after, ..ResponseHead::new(503) })
}

/// The answer where what a response needs first cannot be read: 503 while storage is overloaded,
/// else 502, so that a CDN asks the other origin.
fn unready<F: Clone>(error: &SendError) -> Plan<F> {
    if matches!(error, SendError::StorageBusy) {
        return overloaded();
    }
    let cache_control = Some(CacheControl::MaxAge(1));
    Plan::status(ResponseHead { cache_control, ..ResponseHead::new(502) })
}

/// Refuses what is no request, or was not whole in time.
async fn refuse_head<V: Service>(
    connection: &mut Connection<V::Session>,
    error: Option<&HeadError>,
    service: &V,
    serving: &Serving,
) {
    let status = error.map_or(408, HeadError::status);
    service.on_refused(&RefusedHead { at: rt::wall(), peer: connection.peer, status, error });
    refuse::<V>(connection, serving, status).await;
}

/// Sends a refusal and closes.
async fn refuse<V: Service>(
    connection: &mut Connection<V::Session>,
    serving: &Serving,
    status: u16,
) {
    let plan = Plan::<V::File>::status(ResponseHead::new(status));
    let mut out = Vec::new();
    serving.write_head(&plan.head, Persistence::Close, &mut out);
    let Connection { socket, .. } = connection;
    let (_, ended) = send(socket, &out, &plan.pieces, &serving.turns, &serving.counters).await;
    if ended.is_ok() {
        linger(socket).await;
    }
}

/// Moves a connection to `owner`; where too many wait there for too long, answers 503.
async fn hand_over<V: Service>(
    connection: Connection<V::Session>,
    owner: Place,
    service: &V,
    serving: &Serving,
) {
    let deadline: Monotonic = rt::now() + HAND_OVER_SPAN_MAX;
    let mut moving = connection.detach();
    while let Err(back) = service.hand_over(owner, moving) {
        moving = back;
        if rt::now() > deadline {
            if let Ok(mut connection) = Connection::take_over(moving) {
                refuse::<V>(&mut connection, serving, 503).await;
            }
            return;
        }
        rt::sleep_until(rt::now() + HAND_OVER_PAUSE_SPAN).await;
    }
}
