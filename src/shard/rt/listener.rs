//! Accepting connections.

use super::socket::{Socket, retrying};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// Why a connection was not accepted; accept(2) reports errors of the connection that it would
/// have returned and of the whole process in the same way.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// This connection was already over; the next one may be accepted at once.
    #[error("connection lost before it was accepted: {0}")]
    OfConnection(io::Error),
    /// The process or the system is out of descriptors or memory; to be tried again after a pause.
    #[error("out of descriptors or memory: {0}")]
    Exhausted(io::Error),
    /// The listening socket is shut down or broken.
    #[error("listening socket: {0}")]
    OfListener(io::Error),
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                Self::Exhausted(error)
            }
            Some(libc::EINVAL | libc::EBADF | libc::ENOTSOCK | libc::EOPNOTSUPP) | None => {
                Self::OfListener(error)
            }
            Some(_) => Self::OfConnection(error),
        }
    }
}

/// A listening socket on this shard. It is never shut down: its queue may be another process's
/// after a takeover.
pub struct Listener {
    socket: std::net::TcpListener,
    readiness: monoio::net::TcpListener,
}

impl Listener {
    /// Registers a listening socket with this shard's driver.
    ///
    /// # Errors
    ///
    /// Where it cannot be made nonblocking or registered.
    pub fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let readiness = monoio::net::TcpListener::from_std(socket.try_clone()?)?;
        Ok(Self { socket, readiness })
    }

    /// The next connection. Accepts by a nonblocking call after readiness, so that no connection is
    /// lost where this future is dropped.
    ///
    /// # Errors
    ///
    /// What accept(2) reports, sorted by what to do about it.
    pub async fn accept(&self) -> Result<(Socket, SocketAddr), AcceptError> {
        loop {
            match retrying(|| self.socket.accept()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readiness.readable(false).await.map_err(AcceptError::OfListener)?;
                }
                Err(error) => return Err(AcceptError::from(error)),
                Ok((stream, peer)) => {
                    let socket = Socket::from_fd(stream.into()).map_err(AcceptError::from)?;
                    return Ok((socket, peer));
                }
            }
        }
    }
}
