//! The process that hands on.

use super::wire::Wire;
use super::{Estate, Reply, SOCKET_NAME, TakeoverError, VERSION, Word, peer, with_socket};
use crate::control::cache;
use crate::control::lifecycle::ControlListener;
use crate::control::metrics::ProcessCounters;
use crate::limits::{
    TAKEOVER_BODY_SPAN_MAX, TAKEOVER_PREPARE_SPAN_MAX, TAKEOVER_READ_SPAN_MAX,
    TAKEOVER_WORD_SPAN_MAX,
};
use crate::shard::changeover::Phase;
use crate::shard::shared::Shared;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Processes that may wait to be heard.
const BACKLOG: i32 = 4;
/// Between two looks at how far the shards are.
const LOOK_SPAN: Duration = Duration::from_millis(2);
/// Between two looks whether the process ends, while connections are passed on.
const DEPARTURE_SPAN: Duration = Duration::from_millis(50);
/// After a failed accept.
const ACCEPT_PAUSE_SPAN: Duration = Duration::from_secs(1);
/// How long a successor that has given up may take to end by itself.
const END_SPAN_MAX: Duration = Duration::from_secs(2);

/// Everything that handing on needs.
pub struct Incumbent {
    /// The shards.
    pub shared: Arc<Shared>,
    /// What is passed on.
    pub estate: Estate,
    /// The sockets that are passed on.
    pub sockets: Vec<(SocketAddr, TcpListener)>,
    /// Held while channels are being changed: a reload and a takeover exclude one another.
    pub steering: Arc<Mutex<()>>,
    /// What is counted.
    pub counters: Arc<ProcessCounters>,
    /// The control plane's listener, closed once a successor serves.
    pub control: ControlListener,
    /// The folder that the successor's cache rings have.
    pub cache_of_successor: PathBuf,
}

/// The thread that waits for a successor, and passes connections on to it.
#[derive(Debug)]
pub struct IncumbentThread {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl IncumbentThread {
    /// Waits until every connection that has departed is passed on. To be called when the shards
    /// have ended and a successor has taken the channels.
    pub fn finish(self) {
        self.is_over.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the thread that passes connections on panicked");
        }
    }
}

impl Incumbent {
    /// Notes in `dir` that this process serves, opens the socket there, in place of an earlier
    /// process's, and waits for successors. Where that cannot be had, this process serves without.
    #[must_use]
    pub fn start(self, dir: &Path) -> Option<IncumbentThread> {
        let is_over = Arc::new(AtomicBool::new(false));
        let is_over_too = Arc::clone(&is_over);
        let started = self.estate.lock.note_pid().and_then(|()| listen(dir)).and_then(|listener| {
            let thread = thread::Builder::new().name("takeover".to_owned());
            thread.spawn(move || self.run(&listener, &is_over_too))
        });
        match started {
            Ok(thread) => Some(IncumbentThread { is_over, thread }),
            Err(error) => {
                tracing::warn!(%error, "no process can take over from this one");
                None
            }
        }
    }

    fn run(&self, listener: &UnixListener, is_over: &AtomicBool) {
        for stream in listener.incoming() {
            let handed_on = match stream {
                Ok(stream) => self.on_successor(stream),
                Err(error) => {
                    thread::sleep(ACCEPT_PAUSE_SPAN);
                    Err(error.into())
                }
            };
            match handed_on {
                Ok(wire) => return self.pass_connections_on(wire, is_over),
                Err(error) => {
                    // One that has failed may have ended too early to do so itself.
                    cache::remove(&self.cache_of_successor);
                    self.counters.takeovers_failed.add(1);
                    tracing::error!(%error, "takeover failed, this process goes on");
                }
            }
        }
    }

    /// Hands everything on to the process at the other end, or nothing.
    fn on_successor(&self, stream: UnixStream) -> Result<Wire, TakeoverError> {
        let successor = Successor::of(&stream)?;
        let mut wire = Wire::greet(stream, VERSION, TAKEOVER_WORD_SPAN_MAX)?;
        self.offer(&mut wire)?;
        expect(&mut wire, Word::Ready, TAKEOVER_PREPARE_SPAN_MAX)?;
        let _steering = self.steering.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = successor.pid;
        tracing::info!(pid, "another process takes over; pushes under way end first");
        if let Err(error) = self.quiesce(&successor) {
            self.go_on();
            return Err(error);
        }
        let taken = self
            .let_go(&mut wire)
            .and_then(|()| expect(&mut wire, Word::Taken, TAKEOVER_READ_SPAN_MAX));
        if let Err(error) = taken {
            successor.end();
            self.take_back();
            self.go_on();
            return Err(error);
        }
        self.shared.changeover.enter(Phase::HandedOn);
        self.control.close();
        tracing::info!(pid, "the channels are another process's; this one drains");
        Ok(wire)
    }

    fn offer(&self, wire: &mut Wire) -> Result<(), TakeoverError> {
        let Estate { lock, secret, takeovers } = &self.estate;
        let listening_count = u32::try_from(self.sockets.len())
            .map_err(|_| TakeoverError::Unexpected { expected: "fewer listening sockets" })?;
        let (secret, takeovers) = (*secret, *takeovers);
        let offer = Reply::Offer { secret, takeovers, listening_count };
        wire.send(&offer, Some(lock.as_fd()), TAKEOVER_WORD_SPAN_MAX)?;
        for (address, socket) in &self.sockets {
            let reply = Reply::Listening(*address);
            wire.send(&reply, Some(socket.as_fd()), TAKEOVER_WORD_SPAN_MAX)?;
        }
        Ok(())
    }

    /// Has pushes under way end, and new ones wait.
    fn quiesce(&self, successor: &Successor) -> Result<(), TakeoverError> {
        let changeover = &self.shared.changeover;
        changeover.enter(Phase::Quiescing);
        let deadline = Instant::now() + TAKEOVER_BODY_SPAN_MAX;
        while !changeover.is_complete() && Instant::now() < deadline {
            if successor.has_ended() {
                return Err(TakeoverError::Gone);
            }
            thread::sleep(LOOK_SPAN);
        }
        Ok(())
    }

    /// Has the shards drop their channels, and says so once the rings are free.
    fn let_go(&self, wire: &mut Wire) -> Result<(), TakeoverError> {
        let Shared { changeover, storage, authenticator, .. } = &*self.shared;
        changeover.enter(Phase::LettingGo);
        let deadline = Instant::now() + TAKEOVER_WORD_SPAN_MAX;
        while !changeover.is_complete() {
            if Instant::now() >= deadline {
                return Err(TakeoverError::NotLetGo);
            }
            thread::sleep(LOOK_SPAN);
        }
        if !storage.flush(TAKEOVER_WORD_SPAN_MAX) {
            tracing::warn!("storage has jobs left; their rings are not free yet");
        }
        let replays = authenticator.replay_window().replays();
        wire.send(&Reply::LetGo(replays), None, TAKEOVER_WORD_SPAN_MAX)
    }

    /// Has the channels read back, and waits until they go on.
    fn take_back(&self) {
        let before = self.shared.newest_publication();
        self.shared.changeover.enter(Phase::Adopting);
        self.shared.read_back();
        let deadline = Instant::now() + TAKEOVER_WORD_SPAN_MAX;
        while !self.shared.has_published_since(before) {
            if Instant::now() >= deadline {
                return tracing::warn!("channels are still being read back");
            }
            thread::sleep(LOOK_SPAN);
        }
    }

    /// The channels are this process's still, or again.
    fn go_on(&self) {
        let changeover = &self.shared.changeover;
        changeover.enter(Phase::Owning);
        let mut first = 0;
        while let Some(held) = changeover.next_departure(DEPARTURE_SPAN) {
            first += 1;
            if self.shared.place(first, held).is_err() {
                tracing::warn!("a connection that waited was lost: no shard had room");
            }
        }
    }

    /// Passes on what departs, until the shards have ended.
    fn pass_connections_on(&self, wire: Wire, is_over: &AtomicBool) {
        let mut wire = Some(wire);
        loop {
            // Asked before the queue is found empty, so that the last one is not left behind.
            let is_last = is_over.load(Ordering::Acquire);
            let Some(leaving) = self.shared.changeover.next_departure(DEPARTURE_SPAN) else {
                if is_last {
                    return;
                }
                continue;
            };
            let (fd, parcel) = leaving.into_parcel();
            let message = Reply::Connection(parcel);
            let sent = wire.as_mut().map_or(Err(TakeoverError::Gone), |wire| {
                wire.send(&message, Some(fd.as_fd()), TAKEOVER_WORD_SPAN_MAX)
            });
            if let Err(error) = sent {
                tracing::error!(%error, "a connection could not be passed on");
                wire = None;
            }
        }
    }
}

/// Waits for one word.
fn expect(wire: &mut Wire, word: Word, patience: Duration) -> Result<(), TakeoverError> {
    let expected = match word {
        Word::Ready => "ready",
        Word::Taken => "taken",
    };
    match wire.receive::<Word>(patience)? {
        (said, None) if said == word => Ok(()),
        _ => Err(TakeoverError::Unexpected { expected }),
    }
}

/// The process that wants to follow.
struct Successor {
    pid: i32,
    fd: OwnedFd,
}

impl Successor {
    fn of(stream: &UnixStream) -> Result<Self, TakeoverError> {
        let pid = peer(stream)?;
        let fd = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from)?;
        Ok(Self { pid: pid.as_raw_nonzero().get(), fd })
    }

    fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// A process's descriptor is readable once the process has ended (pidfd_open(2)).
    fn ends_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], left.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                ended => return ended.is_ok_and(|count| count > 0),
            }
        }
    }

    /// Waits for its end, and brings it about where it does not come: two processes must not have
    /// the same rings.
    fn end(&self) {
        if self.ends_within(END_SPAN_MAX) {
            return;
        }
        tracing::warn!(pid = self.pid, "the process that failed to take over is killed");
        let killed = pidfd_send_signal(&self.fd, Signal::KILL);
        if killed.is_err() || !self.ends_within(END_SPAN_MAX) {
            tracing::error!(pid = self.pid, "it does not end");
        }
    }
}

/// The socket in `dir`, open to this user alone.
fn listen(dir: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The name that bind(2) makes gets the mode of the socket.
    let socket = File::from(OwnedFd::from(socket));
    socket.set_permissions(Permissions::from_mode(0o600))?;
    let socket = Socket::from(OwnedFd::from(socket));
    // Whoever had it does not need it: the directory's lock is this process's.
    match fs::remove_file(dir.join(SOCKET_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    with_socket(dir, |path| socket.bind(&SockAddr::unix(path)?))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
