//! TCP sockets of a shard: reads through the driver, sends by nonblocking system calls.
//!
//! Every socket is O_NONBLOCK, because `sendfile` knows no flag for it. A read that the driver
//! answers with EAGAIN all the same (seen with io_uring on such sockets) waits for readiness and is
//! made again.

use super::{sys, timeout_at};
use crate::limits::{SENDFILE_CALL_SIZE_MAX, SOCKET_UNSENT_SIZE_MAX};
use crate::units::Monotonic;
use monoio::buf::IoBufMut;
use monoio::io::AsyncReadRent;
use monoio::net::TcpStream;
use socket2::SockRef;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

thread_local! {
    static OPEN: Arc<OpenSockets> = Arc::default();
}

/// The sockets open on a shard, and whether they idle. One that is in here is open: it leaves
/// before its descriptor is closed or given away, so that shutting it down never meets another
/// socket under the same number.
#[derive(Debug, Default)]
pub struct OpenSockets(Mutex<BTreeMap<RawFd, bool>>);

impl OpenSockets {
    /// Shuts all of them down, which ends the operations in flight on them. On any thread: this is
    /// how the connections of a shard that has stalled end.
    pub fn shut_down_all(&self) {
        self.lock().keys().for_each(|&fd| sys::shut_down(fd, libc::SHUT_RDWR));
    }

    /// Bytes that wait in them to be sent or acknowledged.
    #[must_use]
    pub fn queued_size(&self) -> u64 {
        self.lock().keys().map(|&fd| sys::queued_size(fd)).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RawFd, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sockets of this thread's shard.
#[must_use]
pub fn open_sockets() -> Arc<OpenSockets> {
    OPEN.with(Arc::clone)
}

/// Options set on every accepted connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// TCP congestion control by its kernel name (`bbr`, `cubic`, …); the system's where `None`.
    pub congestion: Option<String>,
}

/// A connected TCP socket on this shard.
pub struct Socket {
    /// Before the stream, so that it is dropped first.
    open: Open,
    stream: TcpStream,
}

impl Socket {
    /// Takes over a connected socket: one just accepted, or one handed over by another shard.
    ///
    /// # Errors
    ///
    /// Where the descriptor cannot be made nonblocking or registered with the driver.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let stream = std::net::TcpStream::from(fd);
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream)?;
        let open = Open::new(stream.as_raw_fd());
        Ok(Self { open, stream })
    }

    /// Gives the socket up, for another shard. Only between requests: no operation is in flight.
    ///
    /// # Panics
    ///
    /// Where an operation that was dropped before it completed still holds the descriptor, which
    /// no path that keeps a connection does.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        let Self { open, stream } = self;
        drop(open);
        sys::take(stream)
    }

    /// Sets the options of an accepted connection: no delay, little unsent data queued in the
    /// kernel, the configured congestion control.
    ///
    /// # Errors
    ///
    /// The first option that the kernel refuses.
    pub fn configure(&self, options: &SocketOptions) -> io::Result<()> {
        let fd = sys::borrow(&self.stream);
        let socket = SockRef::from(&fd);
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(SOCKET_UNSENT_SIZE_MAX)?;
        match &options.congestion {
            Some(name) => socket.set_tcp_congestion(name.as_bytes()),
            None => Ok(()),
        }
    }

    /// Appends what has arrived to `buffer`, at most its spare capacity, waiting for the first
    /// byte. `Ok(0)` is the end of the peer's stream; the sending half may go on. The future is
    /// not to be dropped before it completes, since its bytes would be lost.
    pub async fn read(&mut self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        assert!(buffer.len() < buffer.capacity(), "a read needs room");
        loop {
            let (begin, end) = (buffer.len(), buffer.capacity());
            let (result, slice) = self.stream.read(buffer.slice_mut(begin..end)).await;
            buffer = slice.into_inner();
            match result {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if let Err(error) = self.stream.readable(false).await {
                        return (Err(error), buffer);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return (result, buffer),
            }
        }
    }

    /// [`Socket::read`] until `deadline`. On expiry the receiving half is shut down, which ends the
    /// read, and the error is [`ErrorKind::TimedOut`]; an answer can still be sent.
    pub async fn read_before(
        &mut self,
        deadline: Monotonic,
        buffer: Vec<u8>,
    ) -> (io::Result<usize>, Vec<u8>) {
        let fd = self.stream.as_raw_fd();
        let mut read = pin!(self.read(buffer));
        if let Ok(completed) = timeout_at(deadline, read.as_mut()).await {
            return completed;
        }
        sys::shut_down(fd, libc::SHUT_RD);
        let (_, buffer) = read.await;
        (Err(ErrorKind::TimedOut.into()), buffer)
    }

    /// Waits until the socket takes more bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] at `deadline`, or what the poll reports.
    pub async fn writable_before(&self, deadline: Monotonic) -> io::Result<()> {
        match timeout_at(deadline, self.stream.writable(false)).await {
            Ok(ready) => ready,
            Err(_) => Err(ErrorKind::TimedOut.into()),
        }
    }

    /// Hands bytes to the kernel in one sendmsg(2); with `more`, they wait there for what follows
    /// at once (MSG_MORE). Returns how many it took.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] where the socket takes none, or that of the connection.
    pub fn try_send(&self, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | if more { libc::MSG_MORE } else { 0 };
        let fd = sys::borrow(&self.stream);
        retrying(|| SockRef::from(&fd).send_vectored_with_flags(slices, flags))
    }

    /// Sends from `file` at `offset` through the page cache, at most
    /// [`SENDFILE_CALL_SIZE_MAX`] of `size` bytes. Returns how many the socket took.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] where the socket takes none, [`ErrorKind::UnexpectedEof`] where
    /// the file ends before `size` bytes, or that of the connection.
    pub fn try_send_file(&self, file: BorrowedFd<'_>, offset: u64, size: u64) -> io::Result<usize> {
        let call = usize::try_from(size)
            .map_or(SENDFILE_CALL_SIZE_MAX, |size| size.min(SENDFILE_CALL_SIZE_MAX));
        let fd = sys::borrow(&self.stream);
        match retrying(|| sys::sendfile(fd, file, offset, call))? {
            0 if call > 0 => Err(ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }

    /// Whether the peer has ended its stream or the connection is broken, without waiting. Bytes
    /// that wait to be read count as alive.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let fd = sys::borrow(&self.stream);
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        let mut byte = [MaybeUninit::uninit()];
        match retrying(|| SockRef::from(&fd).recv_with_flags(&mut byte, flags)) {
            Ok(size) => size == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Ends the sending half: the peer sees the end of the stream after the bytes sent so far.
    pub fn end_sending(&self) {
        sys::shut_down(self.stream.as_raw_fd(), libc::SHUT_WR);
    }

    /// Says whether the connection waits for a request of which nothing has come yet.
    pub fn set_idle(&self, is_idle: bool) {
        if let Some(known) = self.open.sockets.lock().get_mut(&self.open.fd) {
            *known = is_idle;
        }
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// Where the connection is gone.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

/// Repeats a call that a signal interrupted.
pub(super) fn retrying<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Ends the wait for a request on every socket of this shard that [idles](Socket::set_idle): its
/// read returns the end of the stream.
pub fn end_idle() {
    let sockets = open_sockets();
    let open = sockets.lock();
    let idle = open.iter().filter(|(_, is_idle)| **is_idle);
    idle.for_each(|(&fd, _)| sys::shut_down(fd, libc::SHUT_RD));
}

/// An entry of [`OpenSockets`].
struct Open {
    fd: RawFd,
    sockets: Arc<OpenSockets>,
}

impl Open {
    fn new(fd: RawFd) -> Self {
        let sockets = open_sockets();
        sockets.lock().insert(fd, false);
        Self { fd, sockets }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sockets.lock().remove(&self.fd);
    }
}
