//! A connection on its way: to the shard that owns its channel, or to the process that has the
//! channels next.
//!
//! It moves at a request boundary, with no operation in flight: its descriptor, every byte already
//! read, and what is known of its encoder. So its client sees one connection throughout.

use crate::limits::INPUT_BUFFER_SIZE;
use crate::shard::connection::MovingConnection;
use crate::shard::ingest::EncoderSession;
use crate::shard::listener::{ConnectionLimits, Refused};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Encoders and viewers.
    Both,
    /// Viewers: there is a listener for encoders.
    Delivery,
    /// Encoders.
    Ingest,
}

/// A connection between two shards.
#[derive(Debug)]
pub struct Move {
    pub(super) role: Role,
    pub(super) connection: MovingConnection<EncoderSession>,
}

/// What another process must know of a connection besides its descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    role: Role,
    peer: SocketAddr,
    unread: Vec<u8>,
    session: EncoderSession,
}

/// Why a connection from another process is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// This process has as many connections as it may.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// More had been read ahead than an input buffer holds.
    #[error("{size} bytes read ahead, at most {INPUT_BUFFER_SIZE} fit")]
    TooMuchUnread {
        /// Bytes that came with it.
        size: usize,
    },
}

impl Move {
    /// Takes the connection apart for another process; its place among this one's is free.
    #[must_use]
    pub fn into_parcel(self) -> (OwnedFd, Parcel) {
        let Self { role, connection } = self;
        let MovingConnection { fd, peer, unread, session, .. } = connection;
        (fd, Parcel { role, peer, unread, session })
    }

    /// A connection of another process, with a place among this one's.
    ///
    /// # Errors
    ///
    /// [`NotTaken`]; the connection closes.
    pub fn from_parcel(
        fd: OwnedFd,
        parcel: Parcel,
        limits: &Arc<ConnectionLimits>,
    ) -> Result<Self, NotTaken> {
        let Parcel { role, peer, unread, session } = parcel;
        if unread.len() > INPUT_BUFFER_SIZE {
            return Err(NotTaken::TooMuchUnread { size: unread.len() });
        }
        let ticket = limits.admit(peer.ip(), role == Role::Ingest)?;
        Ok(Self { role, connection: MovingConnection { fd, peer, ticket, unread, session } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    fn parcel(size: usize) -> Parcel {
        Parcel {
            role: Role::Ingest,
            peer: "192.0.2.1:4000".parse().unwrap(),
            unread: vec![b'P'; size],
            session: EncoderSession::default(),
        }
    }

    #[test]
    fn a_parcel_is_the_whole_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let limits = ConnectionLimits::new(1, 1);
        let written = postcard::to_stdvec(&parcel(3)).unwrap();
        let read: Parcel = postcard::from_bytes(&written).unwrap();
        let moved = Move::from_parcel(server.into(), read, &limits).unwrap();
        assert_eq!(limits.open_count(), 1);
        let (fd, again) = moved.into_parcel();
        assert_eq!(again, parcel(3));
        assert_eq!(limits.open_count(), 0, "its place is free");
        TcpStream::from(fd).write_all(b"answer").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    }

    #[test]
    fn bounds_hold_for_connections_of_another_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = || OwnedFd::from(listener.try_clone().unwrap());
        let limits = ConnectionLimits::new(1, 1);
        let size = INPUT_BUFFER_SIZE + 1;
        let refused = Move::from_parcel(fd(), parcel(size), &limits).unwrap_err();
        assert_eq!(refused, NotTaken::TooMuchUnread { size });
        let _first = Move::from_parcel(fd(), parcel(0), &limits).unwrap();
        let refused = Move::from_parcel(fd(), parcel(0), &limits).unwrap_err();
        assert_eq!(refused, NotTaken::Refused(Refused::Total));
    }
}
