//! The receiving half of a connection: a bounded buffer, and bodies pulled from it.

use super::rt::{self, Socket};
use crate::http::body::{self, BodyDecoder};
use crate::http::request::{Framing, RequestHead};
use crate::limits::{
    BODY_RATE_MIN, INPUT_BUFFER_IDLE_SIZE, INPUT_BUFFER_SIZE, REFUSED_BODY_DRAINED_MAX,
};
use crate::units::Monotonic;
use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

/// How long a body may pause where nothing is known of its source.
pub const BODY_PAUSE_SPAN_MAX: Duration = Duration::from_secs(30);
/// How long the rest of a refused body is waited for before the connection closes.
const DRAIN_SPAN_MAX: Duration = Duration::from_secs(2);
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bytes that have arrived and are not dealt with yet.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
}

impl Input {
    /// An input that begins with `bytes`, read by another shard.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }

    /// The bytes not dealt with yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes `size` bytes off the front.
    pub fn consume(&mut self, size: usize) {
        assert!(size <= self.unread().len());
        self.start += size;
    }

    /// The bytes not dealt with yet, for another shard.
    #[must_use]
    pub fn into_unread(mut self) -> Vec<u8> {
        self.bytes.split_off(self.start)
    }

    /// Frees what an idle connection does not need.
    pub fn shrink(&mut self) {
        self.compact();
        self.bytes.shrink_to(INPUT_BUFFER_IDLE_SIZE);
    }

    /// Reads more, into a buffer of at least `capacity` bytes. `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] at `deadline`, or that of the connection.
    ///
    /// # Panics
    ///
    /// If the buffer is full: whoever reads bodies or heads bounds them below its size.
    pub async fn fill(
        &mut self,
        socket: &mut Socket,
        capacity: usize,
        deadline: Monotonic,
    ) -> io::Result<usize> {
        self.compact();
        if self.bytes.capacity() == self.bytes.len() || self.bytes.is_empty() {
            let wanted = capacity.max((2 * self.bytes.len()).min(INPUT_BUFFER_SIZE));
            self.bytes.reserve_exact(wanted.saturating_sub(self.bytes.len()));
        }
        let (result, bytes) = socket.read_before(deadline, std::mem::take(&mut self.bytes)).await;
        self.bytes = bytes;
        result
    }

    fn compact(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
    }
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Its framing is broken.
    #[error("body: {0}")]
    Malformed(#[from] body::BodyError),
    /// The connection ended first.
    #[error("the connection ended after {received} bytes of the body")]
    Cut {
        /// Bytes of the body that had arrived.
        received: u64,
    },
    /// The peer paused for too long, or brought too little over all.
    #[error("the body came too slowly after {received} bytes")]
    Paused {
        /// Bytes of the body that had arrived.
        received: u64,
    },
    /// The connection failed.
    #[error("connection: {0}")]
    Connection(io::Error),
}

/// The body of one request. Nothing of it is read, and no `100 Continue` is sent, before it is
/// asked for; so a refusal goes out first.
pub struct Body<'a> {
    socket: &'a mut Socket,
    input: &'a mut Input,
    decoder: BodyDecoder,
    framing: Framing,
    awaits_continue: bool,
    received: u64,
    began: Monotonic,
    pause_max: Duration,
}

impl<'a> Body<'a> {
    /// The body that follows `head` in `input`.
    pub fn new(head: &RequestHead, socket: &'a mut Socket, input: &'a mut Input) -> Self {
        let decoder = BodyDecoder::new(head.framing);
        let awaits_continue = head.expect_continue && !decoder.is_done();
        let (framing, began) = (head.framing, rt::now());
        let pause_max = BODY_PAUSE_SPAN_MAX;
        Self { socket, input, decoder, framing, awaits_continue, received: 0, began, pause_max }
    }

    /// How long it may pause, and for how long it may stay below [`BODY_RATE_MIN`].
    pub fn limit_pause(&mut self, pause_max: Duration) {
        self.pause_max = pause_max;
    }

    /// The next bytes, as they arrive; `None` after the last.
    ///
    /// # Errors
    ///
    /// See [`BodyError`]; the connection closes after the answer.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, BodyError> {
        self.next_before(rt::now() + self.pause_max).await
    }

    async fn next_before(&mut self, deadline: Monotonic) -> Result<Option<&[u8]>, BodyError> {
        while !self.decoder.is_done() {
            let decoded = self.decoder.decode(self.input.unread())?;
            let begin = self.input.start + decoded.data.start;
            let end = self.input.start + decoded.data.end;
            self.input.consume(decoded.consumed);
            if begin < end {
                self.received += (end - begin) as u64;
                return Ok(Some(&self.input.bytes[begin..end]));
            }
            if !self.decoder.is_done() && self.input.unread().is_empty() {
                self.read_more(deadline).await?;
            }
        }
        Ok(None)
    }

    /// Bytes of the body that have been read, as decoded.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The connection, to answer on.
    pub(super) fn socket(&self) -> &Socket {
        self.socket
    }

    /// Whether the connection can carry another request once what is left of the body has been
    /// thrown away: where that is nothing, or known to be little.
    pub(super) fn can_be_skipped(&self) -> bool {
        let little = matches!(self.framing, Framing::Length(size)
            if size <= REFUSED_BODY_DRAINED_MAX);
        self.decoder.is_done() || (little && !self.awaits_continue)
    }

    /// Throws the rest away, up to [`REFUSED_BODY_DRAINED_MAX`]. Returns whether that was all.
    pub(super) async fn skip(&mut self) -> bool {
        let (begin, deadline) = (self.received, rt::now() + DRAIN_SPAN_MAX);
        while self.received - begin <= REFUSED_BODY_DRAINED_MAX {
            match self.next_before(deadline).await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    }

    async fn read_more(&mut self, deadline: Monotonic) -> Result<(), BodyError> {
        if std::mem::take(&mut self.awaits_continue) {
            // An answer in flight before it would have emptied the socket's buffer by now.
            self.socket
                .try_send(&[IoSlice::new(CONTINUE)], false)
                .map_err(BodyError::Connection)?;
        }
        let lasted = rt::now().0.saturating_sub(self.began.0);
        if lasted > self.pause_max && self.received < BODY_RATE_MIN * lasted.as_secs() {
            return Err(BodyError::Paused { received: self.received });
        }
        match self.input.fill(self.socket, INPUT_BUFFER_SIZE, deadline).await {
            Ok(0) => Err(BodyError::Cut { received: self.received }),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                Err(BodyError::Paused { received: self.received })
            }
            Err(error) => Err(BodyError::Connection(error)),
        }
    }
}

/// Reads and throws away what a peer still sends, so that closing does not reset the connection
/// under the last answer.
pub async fn linger(socket: &mut Socket) {
    socket.end_sending();
    let deadline = rt::now() + DRAIN_SPAN_MAX;
    let mut drained = 0;
    let mut bytes = Vec::with_capacity(INPUT_BUFFER_IDLE_SIZE);
    while drained < REFUSED_BODY_DRAINED_MAX {
        bytes.clear();
        let size;
        (size, bytes) = socket.read_before(deadline, bytes).await;
        match size {
            Ok(size) if size > 0 => drained += size as u64,
            _ => return,
        }
    }
}
