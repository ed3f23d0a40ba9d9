//! A process hands everything on to another one: `headwater serve --takeover`, or SIGUSR2, at
//! which the running process starts its own program that way.
//!
//! The [`Incumbent`] listens on a socket in `storage.dir`; the successor connects. Each says the
//! version of these messages first, and knows the other's user from the kernel (SO_PEERCRED).
//!
//! | successor | incumbent | meanwhile |
//! | --- | --- | --- |
//! | | `Offer`, with the directory's lock | the incumbent serves as ever |
//! | | `Listening`, for each listening socket, with it | |
//! | `Ready`: all but the channels is prepared | | |
//! | | | pushes under way end, new ones wait |
//! | | `LetGo`: the rings are free | viewers are served by the incumbent |
//! | `Taken`: the channels are read and published | | |
//! | | `Connection`, with it, for each that asks for something | the successor serves |
//! | | the end of the stream | the incumbent has ended |
//!
//! Every wait is bounded. Where anything fails before `Taken`, the incumbent ends the successor,
//! reads its rings back and goes on. Listening sockets are passed and never closed, so that no
//! connection in a queue is reset, and a connection moves at a request boundary, so that its client
//! sees no end of it.

mod incumbent;
mod successor;
mod upgrade;
mod wire;

pub use incumbent::{Incumbent, IncumbentThread};
pub use successor::{Arrivals, Inheritance, Predecessor};
pub use upgrade::start_successor;

use crate::control::storage_lock::StorageLock;
use crate::http::digest::Replays;
use crate::limits::TAKEOVER_MESSAGE_SIZE_MAX;
use crate::shard::moving::Parcel;
use rustix::net::sockopt::socket_peercred;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the socket in `storage.dir`.
const SOCKET_NAME: &str = "takeover.sock";
/// Version of the messages: another one for any change of them.
const VERSION: u32 = 1;

/// Random bytes that nonces are made with.
pub type Secret = [u8; 32];

/// What goes from process to process besides sockets and channels.
#[derive(Clone, Debug)]
pub struct Estate {
    /// The lock of `storage.dir`.
    pub lock: Arc<StorageLock>,
    /// Nonces stay valid.
    pub secret: Secret,
    /// Takeovers since a process was started without one.
    pub takeovers: u64,
}

/// What the successor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Word {
    Ready,
    Taken,
}

/// What the incumbent says.
#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    /// Beside it the lock of the directory.
    Offer {
        secret: Secret,
        takeovers: u64,
        listening_count: u32,
    },
    /// Beside it the socket.
    Listening(SocketAddr),
    LetGo(Replays),
    /// Beside it the socket.
    Connection(Parcel),
}

/// Why a takeover fails.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// Nobody listens on the socket.
    #[error("no process to take over from at {}: {error}", path.display())]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The other process is another user's.
    #[error("the other process is of user {uid}")]
    Stranger {
        /// Number of the user.
        uid: u32,
    },
    /// The other side says something else first.
    #[error("the other process does not speak this protocol")]
    Foreign,
    /// The other side speaks another version.
    #[error("the other process speaks version {theirs} of the takeover, this one {ours}")]
    Version {
        /// This side's.
        ours: u32,
        /// The other side's.
        theirs: u32,
    },
    /// The other side said nothing in time.
    #[error("the other process said nothing in time")]
    Silent,
    /// The other side has closed its end.
    #[error("the other process went away")]
    Gone,
    /// A message is larger than one may be.
    #[error("message of {size} bytes, at most {TAKEOVER_MESSAGE_SIZE_MAX}")]
    TooLarge {
        /// Bytes.
        size: usize,
    },
    /// A message is none.
    #[error("message of {size} bytes is not readable")]
    Unreadable {
        /// Bytes.
        size: usize,
    },
    /// A message came at the wrong place, or without its descriptor.
    #[error("expected {expected}")]
    Unexpected {
        /// What should have come.
        expected: &'static str,
    },
    /// A shard did not let go of its channels.
    #[error("a shard did not let go of its channels")]
    NotLetGo,
    /// A process, socket or thread cannot be had.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for TakeoverError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Silent,
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Self::Gone,
            _ => Self::Io(error),
        }
    }
}

/// Calls `open` with a name of the socket in `dir` that is short enough for a socket's address.
fn with_socket<T>(dir: &Path, open: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let dir = File::open(dir)?;
    open(Path::new(&format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd())))
}

/// The number of the process at the other end, which must be this process's user's or root's.
fn peer(stream: &UnixStream) -> Result<rustix::process::Pid, TakeoverError> {
    let peer = socket_peercred(stream).map_err(io::Error::from)?;
    if peer.uid != rustix::process::geteuid() && !peer.uid.is_root() {
        return Err(TakeoverError::Stranger { uid: peer.uid.as_raw() });
    }
    Ok(peer.pid)
}
