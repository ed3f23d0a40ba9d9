//! Listening and accepting: each shard has its own sockets in a SO_REUSEPORT group, so that the
//! kernel spreads connections and no shard passes them on.

use super::rt::{self, AcceptError, Listener, Socket, SocketOptions};
use crate::limits::{CONNECTIONS_KEPT_PART, LISTEN_BACKLOG};
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long accepting pauses when the process is out of descriptors or memory.
const ACCEPT_PAUSE_SPAN: Duration = Duration::from_millis(100);

/// How long a listener may outlive its process.
const RELEASE_SPAN_MAX: Duration = Duration::from_millis(900);
const RELEASE_PAUSE_SPAN: Duration = Duration::from_millis(5);

/// A socket of the SO_REUSEPORT group at `address` that does not [listen](begin_listening) yet: no
/// connection is given to it. An IPv6 address means IPv6 only.
///
/// # Errors
///
/// Where the address cannot be bound: taken by another program, or not ours.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket.into())
}

/// Has a socket listen: the kernel gives connections to it from now on.
///
/// # Errors
///
/// The system's.
pub fn begin_listening(socket: &TcpListener) -> io::Result<()> {
    SockRef::from(socket).listen(LISTEN_BACKLOG)
}

/// Makes sure that nobody listens at `address`: SO_REUSEPORT would let a second process of the
/// same user in, and half of the connections would be its own. To be asked before [`bind`].
///
/// # Errors
///
/// [`io::ErrorKind::AddrInUse`] where somebody does; else what the system says.
pub fn refuse_taken(address: SocketAddr) -> io::Result<()> {
    let deadline = Instant::now() + RELEASE_SPAN_MAX;
    loop {
        match bind_alone(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(RELEASE_PAUSE_SPAN);
            }
            bound => return bound,
        }
    }
}

fn bind_alone(address: SocketAddr) -> io::Result<()> {
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // What a process that ended has left of its connections is no hindrance.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))
}

/// The bounds on open connections, shared by all shards. Taken when a connection is accepted and
/// given back when it closes, on whichever shard that is; never on the way of a byte.
#[derive(Debug)]
pub struct ConnectionLimits {
    total: usize,
    /// Of them, those that only listeners for encoders may take.
    kept: usize,
    per_address: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Which bound refused a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The process has as many connections as it may.
    #[error("too many connections")]
    Total,
    /// The peer's address has.
    #[error("too many connections of one address")]
    Address,
}

/// One connection's place among the open ones, given back when dropped.
#[derive(Debug)]
pub struct ConnectionTicket {
    limits: Arc<ConnectionLimits>,
    key: IpAddr,
}

impl ConnectionLimits {
    /// Bounds for `total` connections, `per_address` of one address (of one /64 with IPv6). One of
    /// [`CONNECTIONS_KEPT_PART`] is kept for listeners where only encoders come in.
    #[must_use]
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        let kept = total / CONNECTIONS_KEPT_PART;
        Arc::new(Self { total, kept, per_address, open: Mutex::default() })
    }

    /// A place for a connection from `address`, which may be one of those kept for encoders.
    ///
    /// # Errors
    ///
    /// The bound that is reached.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        is_kept: bool,
    ) -> Result<ConnectionTicket, Refused> {
        let key = address_key(address);
        let mut open = self.lock();
        if open.total >= if is_kept { self.total } else { self.total - self.kept } {
            return Err(Refused::Total);
        }
        let of_address = open.by_address.entry(key).or_default();
        if *of_address >= self.per_address {
            return Err(Refused::Address);
        }
        *of_address += 1;
        open.total += 1;
        Ok(ConnectionTicket { limits: Arc::clone(self), key })
    }

    /// Connections open now.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionTicket {
    fn drop(&mut self) {
        let mut open = self.limits.lock();
        open.total -= 1;
        if let Some(of_address) = open.by_address.get_mut(&self.key) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&self.key);
            }
        }
    }
}

/// An IPv4 address, or the first 64 bits of an IPv6 one: a site has at least that many.
pub(super) fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// What accepting has met, for `/metrics`.
#[derive(Debug, Default)]
pub struct AcceptCounters {
    /// Connections accepted and served.
    pub accepted: AtomicU64,
    /// Connections closed at once, over the total bound.
    pub refused_total: AtomicU64,
    /// Connections closed at once, over the bound of one address.
    pub refused_address: AtomicU64,
    /// Pauses because the process was out of descriptors or memory.
    pub pauses: AtomicU64,
}

/// A connection just accepted.
pub struct Accepted {
    /// The connection, its options set.
    pub socket: Socket,
    /// The peer's address.
    pub peer: SocketAddr,
    /// To be kept as long as the connection.
    pub ticket: ConnectionTicket,
}

/// Accepts connections and gives each to `serve`, until `stop` completes. They may take those that
/// are kept for encoders where `limits` come with `true`. The listening socket
/// stays open, and connections that wait in its queue stay there.
///
/// # Errors
///
/// Where the listening socket itself is broken.
pub async fn accept(
    listener: &Listener,
    stop: impl Future,
    options: &SocketOptions,
    (limits, is_kept): (&Arc<ConnectionLimits>, bool),
    counters: &AcceptCounters,
    mut serve: impl FnMut(Accepted),
) -> io::Result<()> {
    let mut stop = pin!(stop);
    while let Some(accepted) = rt::until(stop.as_mut(), listener.accept()).await {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(AcceptError::OfConnection(_)) => continue,
            Err(AcceptError::Exhausted(_)) => {
                counters.pauses.fetch_add(1, Ordering::Relaxed);
                rt::sleep_until(rt::now() + ACCEPT_PAUSE_SPAN).await;
                continue;
            }
            Err(AcceptError::OfListener(error)) => return Err(error),
        };
        match limits.admit(peer.ip(), is_kept) {
            Ok(ticket) => {
                counters.accepted.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = socket.configure(options) {
                    tracing::debug!(%peer, %error, "socket options refused");
                }
                serve(Accepted { socket, peer, ticket });
            }
            Err(Refused::Total) => {
                counters.refused_total.fetch_add(1, Ordering::Relaxed);
            }
            Err(Refused::Address) => {
                counters.refused_address.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn st_23_an_address_where_somebody_listens_is_refused() {
        let free: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let listener = bind(free).expect("a socket");
        begin_listening(&listener).expect("listens");
        let taken = listener.local_addr().expect("bound");
        let refused = refuse_taken(taken).map_err(|error| error.kind());
        assert_eq!(refused, Err(io::ErrorKind::AddrInUse));
        assert!(bind(taken).is_ok(), "which alone would not be told");
        drop(listener);
        assert!(refuse_taken(free).is_ok());
    }

    #[test]
    fn limits_count_and_give_back() {
        let limits = ConnectionLimits::new(3, 2);
        let one = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
        let other = IpAddr::from(Ipv4Addr::new(192, 0, 2, 2));
        let first = limits.admit(one, false).expect("of three");
        let _second = limits.admit(one, false).expect("of two");
        assert_eq!(limits.admit(one, false).expect_err("two of one address"), Refused::Address);
        let _third = limits.admit(other, false).expect("of three");
        assert_eq!(limits.admit(other, false).expect_err("three in all"), Refused::Total);
        drop(first);
        assert_eq!(limits.open_count(), 2);
        assert!(limits.admit(one, false).is_ok());
    }

    #[test]
    fn some_connections_are_kept_for_encoders() {
        let total = 2 * CONNECTIONS_KEPT_PART;
        let limits = ConnectionLimits::new(total, total);
        let viewer = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
        let viewers: Vec<_> = (0..total).map_while(|_| limits.admit(viewer, false).ok()).collect();
        assert_eq!(viewers.len(), total - 2);
        let encoders: Vec<_> = (0..total).map_while(|_| limits.admit(viewer, true).ok()).collect();
        assert_eq!(encoders.len(), 2);
    }

    #[test]
    fn an_ipv6_site_is_one_address() {
        let limits = ConnectionLimits::new(10, 1);
        let _kept =
            limits.admit("2001:db8::1".parse().expect("an address"), false).expect("the first");
        for (text, admitted) in
            [("2001:db8::2", false), ("2001:db8:0:1::2", true), ("::ffff:192.0.2.1", true)]
        {
            let address: IpAddr = text.parse().expect("an address");
            assert_eq!(limits.admit(address, false).is_ok(), admitted, "{text}");
        }
    }
}
