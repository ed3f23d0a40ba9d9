//! Sending a response: a head and pieces, each bytes in memory or a range of a file.
//!
//! A small response of bytes alone leaves in one sendmsg(2). Anything else leaves as the head with
//! MSG_MORE and the pieces in their order: bytes by sendmsg(2), ranges of files by nonblocking
//! sendfile(2), which never brings them into user memory. The counters tell the two ways apart, so
//! that a test can prove it.

use super::rt::{self, Socket, oneshot};
use super::turns::Turns;
use crate::http::plan::{Piece, total_size};
use crate::limits::{
    BULK_RESPONSE_SIZE_MIN, SEND_PIECE_COUNT_MAX, SEND_RATE_MIN, SENDFILE_CALL_SIZE_MAX,
};
use crate::units::Monotonic;
use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How long a socket may take nothing before its response is cut.
const NO_PROGRESS_SPAN_MAX: Duration = Duration::from_mins(1);
/// How long a response may last before [`SEND_RATE_MIN`] is asked of it.
const SEND_RATE_GRACE_SPAN: Duration = Duration::from_mins(1);

/// How often a stalled response looks whether its files are wanted back.
const WANTED_BACK_LOOK_SPAN: Duration = Duration::from_millis(500);

/// A file that responses send ranges of.
pub trait FileSource: Clone {
    /// Its descriptor, open for as long as the source is held.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Whether sending this range would not wait for a disk. Asked once per piece; never blocks.
    fn is_resident(&self, offset: u64, size: u64) -> bool;

    /// Whether the file's space is needed now: sending from it ends, at the cost of the response.
    fn is_wanted_back(&self) -> bool;

    /// Whether reading the file has failed.
    fn is_lost(&self) -> bool;

    /// Notes that reading the file has failed.
    fn mark_lost(&self);

    /// Has another thread bring the file's range into the page cache and complete `done`. Where it
    /// cannot be queued, `done` is dropped.
    fn warm(&self, done: oneshot::Sender<()>);
}

/// Bytes that a shard has sent, by the way they went.
#[derive(Debug, Default)]
pub struct SendCounters {
    /// Bytes copied from user memory into sockets, heads included.
    pub copied: Cell<u64>,
    /// Bytes sent from the page cache.
    pub sendfile: Cell<u64>,
    /// Ranges that had to be brought into the page cache first.
    pub warmed: Cell<u64>,
    /// Responses that wait for that now.
    pub warming: Cell<u64>,
    /// Ranges that storage had no room to bring there.
    pub refused: Cell<u64>,
}

/// Why a response ended early; the connection is of no use then.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The peer took nothing for too long, or too little over all.
    #[error("the peer took {sent} bytes of {size} too slowly")]
    TooSlow {
        /// Bytes sent.
        sent: u64,
        /// Bytes of the response, head included.
        size: u64,
    },
    /// A file ends before a range that was promised of it.
    #[error("the file of a piece ends before its range does")]
    FileTooShort,
    /// A file of the response cannot be read.
    #[error("the file of a piece cannot be read")]
    FileLost,
    /// The file has left its ring, and the ring needs the space: the reader was too slow.
    #[error("the ring needs the space of a file after {sent} bytes of {size}")]
    FileWantedBack {
        /// Bytes sent.
        sent: u64,
        /// Bytes of the response, head included.
        size: u64,
    },
    /// A cold range was not brought into the page cache: storage is overloaded.
    #[error("storage had no room to read a cold range")]
    StorageBusy,
    /// The connection failed.
    #[error("connection: {0}")]
    Connection(io::Error),
}

/// Sends a response whose first file is ready ([`prepare_first`]). Returns the bytes that the
/// socket took, head included, and whether that was all of it: where it was not, the connection
/// has to be closed ([`SendError`] says why).
pub async fn send<F: FileSource>(
    socket: &Socket,
    head: &[u8],
    pieces: &[Piece<F>],
    turns: &Turns,
    counters: &SendCounters,
) -> (u64, Result<(), SendError>) {
    let size = head.len() as u64 + total_size(pieces);
    let began = rt::now();
    let bulk = (size >= BULK_RESPONSE_SIZE_MIN).then_some(turns);
    let is_wanted_back = || pieces.iter().any(is_wanted_back);
    let is_wanted_back = &is_wanted_back;
    let mut sending =
        Sending { socket, bulk, counters, size, sent: 0, began, moved: began, is_wanted_back };
    let ended = sending.all(head, pieces).await;
    (sending.sent, ended)
}

fn is_wanted_back<F: FileSource>(piece: &Piece<F>) -> bool {
    matches!(piece, Piece::File { file, .. } if file.is_wanted_back())
}

/// Waits until the first range of a response is in the page cache. Nothing is sent by then, so
/// that the client can be told where that fails.
///
/// # Errors
///
/// [`SendError::StorageBusy`] where storage did not take the job, [`SendError::FileLost`] where
/// the file cannot be read.
pub async fn prepare_first<F: FileSource>(
    pieces: &[Piece<F>],
    counters: &SendCounters,
) -> Result<(), SendError> {
    for piece in pieces {
        if let Piece::File { file, offset, size } = piece {
            return prepare(file, *offset, *size, counters).await;
        }
    }
    Ok(())
}

async fn prepare<F: FileSource>(
    file: &F,
    offset: u64,
    size: u64,
    counters: &SendCounters,
) -> Result<(), SendError> {
    if file.is_resident(offset, size) {
        return Ok(());
    }
    counters.warmed.set(counters.warmed.get() + 1);
    let (done, warmed) = oneshot::channel();
    file.warm(done);
    counters.warming.set(counters.warming.get() + 1);
    let warmed = warmed.await;
    counters.warming.set(counters.warming.get() - 1);
    if warmed.is_err() {
        counters.refused.set(counters.refused.get() + 1);
        return Err(SendError::StorageBusy);
    }
    if file.is_lost() { Err(SendError::FileLost) } else { Ok(()) }
}

/// A response on its way.
struct Sending<'a> {
    socket: &'a Socket,
    /// Present where the response takes part in the turns.
    bulk: Option<&'a Turns>,
    counters: &'a SendCounters,
    size: u64,
    sent: u64,
    began: Monotonic,
    /// When the socket last took something.
    moved: Monotonic,
    /// Whether a ring needs the space of one of the response's files.
    is_wanted_back: &'a dyn Fn() -> bool,
}

impl Sending<'_> {
    async fn all<F: FileSource>(
        &mut self,
        head: &[u8],
        pieces: &[Piece<F>],
    ) -> Result<(), SendError> {
        let mut memory = vec![head];
        let mut is_ready = true;
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => memory.push(bytes),
                Piece::File { file, offset, size } => {
                    if !std::mem::take(&mut is_ready) {
                        prepare(file, *offset, *size, self.counters).await?;
                    }
                    self.bytes(&mut memory, true).await?;
                    self.range(file, *offset, *size).await?;
                }
            }
        }
        self.bytes(&mut memory, false).await
    }

    /// Sends slices of memory in their order and empties the list.
    async fn bytes(&mut self, memory: &mut Vec<&[u8]>, more: bool) -> Result<(), SendError> {
        let chunks = memory.drain(..).flat_map(|slice| slice.chunks(SENDFILE_CALL_SIZE_MAX));
        let mut slices: Vec<IoSlice<'_>> = chunks.map(IoSlice::new).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let (count, size) = call_of(left);
            self.begin_call(size).await;
            let taken = self.socket.try_send(&left[..count], more || count < left.len());
            let taken = self.end_call(size, taken).await?;
            self.counters.copied.set(self.counters.copied.get() + taken);
            let taken = usize::try_from(taken).expect("no more than the slices hold");
            IoSlice::advance_slices(&mut left, taken);
        }
        Ok(())
    }

    /// Sends a range of a file.
    async fn range<F: FileSource>(
        &mut self,
        file: &F,
        mut offset: u64,
        mut size: u64,
    ) -> Result<(), SendError> {
        while size > 0 {
            let call = size.min(SENDFILE_CALL_SIZE_MAX as u64);
            self.begin_call(call).await;
            let taken = self.socket.try_send_file(file.fd(), offset, call);
            if is_of_file(&taken) {
                file.mark_lost();
            }
            let taken = self.end_call(call, taken).await?;
            self.counters.sendfile.set(self.counters.sendfile.get() + taken);
            offset += taken;
            size -= taken;
        }
        Ok(())
    }

    /// Waits, in a bulk response, for a share of `size` bytes in the shard's turn.
    async fn begin_call(&self, size: u64) {
        if let Some(turns) = self.bulk {
            turns.spend(size).await;
        }
    }

    /// Notes what the socket took of `size` bytes, and gives back the rest of the turn's share.
    /// Where the socket is full, waits for room and returns 0.
    async fn end_call(&mut self, size: u64, taken: io::Result<usize>) -> Result<u64, SendError> {
        let taken = taken.map(|taken| taken as u64);
        if let Some(turns) = self.bulk {
            turns.refund(size - taken.as_ref().map_or(0, |&taken| taken));
        }
        match taken {
            Ok(taken) => {
                self.sent += taken;
                self.moved = rt::now();
                Ok(taken)
            }
            Err(error) => self.on_send_error(error).await.map(|()| 0),
        }
    }

    /// Waits where the socket is full, within the response's deadlines.
    async fn on_send_error(&self, error: io::Error) -> Result<(), SendError> {
        match error.kind() {
            ErrorKind::WouldBlock => {}
            ErrorKind::UnexpectedEof => return Err(SendError::FileTooShort),
            _ => return Err(SendError::Connection(error)),
        }
        let Self { sent, size, .. } = *self;
        let lasted = rt::now().0.saturating_sub(self.began.0);
        if lasted > SEND_RATE_GRACE_SPAN && sent < SEND_RATE_MIN * lasted.as_secs() {
            return Err(SendError::TooSlow { sent, size });
        }
        let deadline = self.moved + NO_PROGRESS_SPAN_MAX;
        loop {
            if (self.is_wanted_back)() {
                return Err(SendError::FileWantedBack { sent, size });
            }
            let looked_at = deadline.min(rt::now() + WANTED_BACK_LOOK_SPAN);
            match self.socket.writable_before(looked_at).await {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() != ErrorKind::TimedOut => {
                    return Err(SendError::Connection(error));
                }
                Err(_) if rt::now() >= deadline => return Err(SendError::TooSlow { sent, size }),
                Err(_) => {}
            }
        }
    }
}

/// Whether a call failed for the file's sake and not the socket's (sendfile(2): EIO; an end before
/// the range's).
fn is_of_file(taken: &io::Result<usize>) -> bool {
    let is_eof = |error: &io::Error| error.kind() == ErrorKind::UnexpectedEof;
    taken.as_ref().is_err_and(|error| is_eof(error) || error.raw_os_error() == Some(libc::EIO))
}

/// How many of `slices` go into one call, and their bytes: as many as make up
/// [`SENDFILE_CALL_SIZE_MAX`], at least one.
fn call_of(slices: &[IoSlice<'_>]) -> (usize, u64) {
    let mut size = 0;
    for (index, slice) in slices.iter().enumerate() {
        let with_this = size + slice.len();
        if (index > 0 && with_this > SENDFILE_CALL_SIZE_MAX) || index == SEND_PIECE_COUNT_MAX {
            return (index, size as u64);
        }
        size = with_this;
    }
    (slices.len(), size as u64)
}
