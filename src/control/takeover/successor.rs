//! The process that takes over.

use super::wire::Wire;
use super::{Estate, Reply, SOCKET_NAME, TakeoverError, VERSION, Word, peer, with_socket};
use crate::control::storage_lock::StorageLock;
use crate::http::digest::Replays;
use crate::limits::{
    DRAIN_SPAN_MAX, TAKEOVER_BODY_SPAN_MAX, TAKEOVER_LISTENER_COUNT_MAX, TAKEOVER_WORD_SPAN_MAX,
};
use crate::shard::moving::Move;
use crate::shard::shared::Shared;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a connection may wait for a shard with room.
const PLACE_SPAN_MAX: Duration = Duration::from_secs(1);
const PLACE_PAUSE_SPAN: Duration = Duration::from_millis(5);

/// The running process, as the one that follows it sees it.
#[derive(Debug)]
pub struct Predecessor(Wire);

/// What it passes on at first; it goes on serving.
#[derive(Debug)]
pub struct Inheritance {
    /// The directory's lock, and what keeps nonces valid.
    pub estate: Estate,
    /// Listening sockets by the address that they were configured for.
    pub sockets: Vec<(SocketAddr, TcpListener)>,
}

impl Predecessor {
    /// Finds the process that serves from `dir`.
    ///
    /// # Errors
    ///
    /// [`TakeoverError`]; that process goes on as if nothing had been.
    pub fn find(dir: &Path) -> Result<(Self, Inheritance), TakeoverError> {
        let stream = with_socket(dir, |path| UnixStream::connect(path))
            .map_err(|error| TakeoverError::Nobody { path: dir.join(SOCKET_NAME), error })?;
        peer(&stream)?;
        let mut wire = Wire::greet(stream, VERSION, TAKEOVER_WORD_SPAN_MAX)?;
        let (Reply::Offer { secret, takeovers, listening_count }, Some(lock)) =
            wire.receive(TAKEOVER_WORD_SPAN_MAX)?
        else {
            return Err(TakeoverError::Unexpected { expected: "an offer with a lock" });
        };
        if listening_count > TAKEOVER_LISTENER_COUNT_MAX {
            return Err(TakeoverError::Unexpected { expected: "fewer listening sockets" });
        }
        let mut sockets = Vec::new();
        for _ in 0..listening_count {
            let (Reply::Listening(address), Some(fd)) = wire.receive(TAKEOVER_WORD_SPAN_MAX)?
            else {
                return Err(TakeoverError::Unexpected { expected: "a listening socket" });
            };
            sockets.push((address, fd.into()));
        }
        let lock = Arc::new(StorageLock::passed(lock));
        let estate = Estate { lock, secret, takeovers: takeovers.saturating_add(1) };
        Ok((Self(wire), Inheritance { estate, sockets }))
    }

    /// Asks for the channels, and waits until their rings are free.
    ///
    /// # Errors
    ///
    /// [`TakeoverError`]; that process goes on.
    pub fn ask(&mut self) -> Result<Replays, TakeoverError> {
        self.0.send(&Word::Ready, None, TAKEOVER_WORD_SPAN_MAX)?;
        // After the bodies, the shards and the storage threads have a span each.
        match self.0.receive(TAKEOVER_BODY_SPAN_MAX + 3 * TAKEOVER_WORD_SPAN_MAX)? {
            (Reply::LetGo(replays), None) => Ok(replays),
            _ => Err(TakeoverError::Unexpected { expected: "the channels" }),
        }
    }

    /// Says that the channels are taken: from now on they are this process's.
    #[must_use]
    pub fn take(mut self) -> Arrivals {
        if let Err(error) = self.0.send(&Word::Taken, None, TAKEOVER_WORD_SPAN_MAX) {
            // It has ended: there is nobody else to serve.
            tracing::warn!(%error, "the other process does not know that its channels are taken");
        }
        Arrivals(self.0)
    }
}

/// Connections that come from the running process until it ends.
#[derive(Debug)]
pub struct Arrivals(Wire);

impl Arrivals {
    /// Starts a thread that gives each to a shard, until the other process has ended.
    pub fn start(self, shared: &Arc<Shared>) {
        let shared = Arc::clone(shared);
        let thread = thread::Builder::new().name("arrivals".to_owned());
        if let Err(error) = thread.spawn(move || self.receive(&shared)) {
            tracing::error!(%error, "connections of the other process are lost");
        }
    }

    fn receive(mut self, shared: &Shared) {
        // It ends within its drain's limit; what it does not say for longer never comes.
        let patience = 2 * DRAIN_SPAN_MAX;
        for count in 0.. {
            let taken = match self.0.receive(patience) {
                Ok((Reply::Connection(parcel), Some(fd))) => {
                    Move::from_parcel(fd, parcel, &shared.connections)
                }
                Err(TakeoverError::Gone) => return tracing::info!(count, "taken over"),
                Ok(_) => return tracing::error!("the other process said something unknown"),
                Err(error) => return tracing::error!(%error, "the other process is lost"),
            };
            match taken {
                Ok(connection) => place(shared, count, connection),
                Err(error) => tracing::warn!(%error, "a connection was not taken over"),
            }
        }
    }
}

/// Gives a connection to a shard, the `count`th of as many as there are first.
fn place(shared: &Shared, count: usize, connection: Move) {
    let deadline = Instant::now() + PLACE_SPAN_MAX;
    let mut unplaced = Err(connection);
    while let Err(connection) = unplaced {
        if Instant::now() >= deadline {
            tracing::warn!("a connection was lost: no shard had room");
            return;
        }
        unplaced = shared.place(count, connection);
        if unplaced.is_err() {
            thread::sleep(PLACE_PAUSE_SPAN);
        }
    }
}
