//! Listening sockets: for each address of the data plane a SO_REUSEPORT group with a socket per
//! shard, and the control plane's one. Those that another process passed are used again.
//!
//! The kernel gives a connection to any socket of a group, so every socket passed has a shard that
//! accepts on it, however many shards there are.

use crate::control::config::Config;
use crate::shard::listener::{begin_listening, bind, refuse_taken};
use crate::shard::moving::Role;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}: {error}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub error: io::Error,
}

/// The sockets of a process.
#[derive(Debug)]
pub struct Sockets {
    /// Each shard's.
    pub shards: Vec<Vec<(Role, TcpListener)>>,
    /// The control plane's.
    pub control: TcpListener,
    /// All of them once more, with the addresses that they are configured for, to be passed on.
    pub all: Vec<(SocketAddr, TcpListener)>,
    /// Those that do not listen yet.
    pub unheard: Unheard,
}

/// Sockets that are bound and do not listen yet.
#[derive(Debug)]
pub struct Unheard(Vec<(SocketAddr, TcpListener)>);

impl Sockets {
    /// Binds what has not been passed. A socket passed for an address that is configured no more
    /// is closed.
    ///
    /// # Errors
    ///
    /// [`ListenError`].
    pub fn prepare(
        config: &Config,
        shards: usize,
        mut passed: Vec<(SocketAddr, TcpListener)>,
    ) -> Result<Self, ListenError> {
        let mut of_address = |address| -> Vec<TcpListener> {
            let found = passed.extract_if(.., |(configured, _)| *configured == address);
            found.map(|(_, socket)| socket).collect()
        };
        let mut of_shards: Vec<_> = (0..shards).map(|_| Vec::new()).collect();
        let (mut all, mut unheard) = (Vec::new(), Vec::new());
        for (role, address) in addresses(config) {
            let refused = |error| ListenError { address, error };
            let mut group = of_address(address);
            if group.is_empty() {
                refuse_taken(address).map_err(refused)?;
            }
            for _ in group.len()..shards {
                let socket = bind(address).map_err(refused)?;
                unheard.push((address, socket.try_clone().map_err(refused)?));
                group.push(socket);
            }
            for (socket, shard) in group.into_iter().zip((0..shards).cycle()) {
                all.push((address, socket.try_clone().map_err(refused)?));
                of_shards[shard].push((role, socket));
            }
        }
        let address = config.control.listen;
        let refused = |error| ListenError { address, error };
        let control = match of_address(address).pop() {
            Some(socket) => socket,
            None => TcpListener::bind(address).map_err(refused)?,
        };
        all.push((address, control.try_clone().map_err(refused)?));
        Ok(Self { shards: of_shards, control, all, unheard: Unheard(unheard) })
    }
}

impl Unheard {
    /// Has them listen. From then on the kernel gives connections to all of them.
    ///
    /// # Errors
    ///
    /// The first [`ListenError`]; the others listen.
    pub fn listen(&self) -> Result<(), ListenError> {
        let mut listens = Ok(());
        for (address, socket) in &self.0 {
            let heard = begin_listening(socket);
            listens = listens.and(heard.map_err(|error| ListenError { address: *address, error }));
        }
        listens
    }
}

/// The addresses of the data plane and what each is for.
fn addresses(config: &Config) -> impl Iterator<Item = (Role, SocketAddr)> {
    let apart = !config.server.ingest_http.is_empty();
    let delivery = if apart { Role::Delivery } else { Role::Both };
    let delivery_addresses = config.server.http.iter().map(move |&address| (delivery, address));
    delivery_addresses.chain(config.server.ingest_http.iter().map(|&at| (Role::Ingest, at)))
}
