//! The socket between a process and the one that follows it: messages with a size before them, at
//! most one descriptor beside each, every wait bounded.

use crate::control::takeover::TakeoverError;
use crate::limits::TAKEOVER_MESSAGE_SIZE_MAX;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What both sides begin with; the version's four bytes follow, most significant first.
const MAGIC: [u8; 8] = *b"HWFOLLOW";
/// Bytes of a message's size.
const SIZE_BYTES: usize = 4;

/// One side's end of the socket.
#[derive(Debug)]
pub struct Wire(UnixStream);

impl Wire {
    /// Says which version of the messages this side speaks, and hears the other's.
    ///
    /// # Errors
    ///
    /// [`TakeoverError::Version`] where they differ; [`TakeoverError`].
    pub fn greet(
        stream: UnixStream,
        version: u32,
        patience: Duration,
    ) -> Result<Self, TakeoverError> {
        let mut wire = Self(stream);
        let deadline = Instant::now() + patience;
        let mut greeting = [0; MAGIC.len() + 4];
        greeting[..MAGIC.len()].copy_from_slice(&MAGIC);
        greeting[MAGIC.len()..].copy_from_slice(&version.to_be_bytes());
        wire.write(&greeting, None, deadline)?;
        wire.read(&mut greeting, deadline)?;
        let (magic, theirs) = greeting.split_at(MAGIC.len());
        let theirs = theirs.first_chunk().copied().map(u32::from_be_bytes);
        match theirs.filter(|_| magic == MAGIC) {
            Some(theirs) if theirs == version => Ok(wire),
            Some(theirs) => Err(TakeoverError::Version { ours: version, theirs }),
            None => Err(TakeoverError::Foreign),
        }
    }

    /// Sends a message, and a descriptor with it.
    ///
    /// # Errors
    ///
    /// [`TakeoverError`]; the wire is of no use after one.
    pub fn send(
        &mut self,
        message: &impl Serialize,
        fd: Option<BorrowedFd<'_>>,
        patience: Duration,
    ) -> Result<(), TakeoverError> {
        let body = postcard::to_stdvec(message).expect("messages are plain data");
        let size =
            u32::try_from(body.len()).ok().filter(|_| body.len() <= TAKEOVER_MESSAGE_SIZE_MAX);
        let size = size.ok_or(TakeoverError::TooLarge { size: body.len() })?;
        let frame = [&size.to_be_bytes(), body.as_slice()].concat();
        self.write(&frame, fd, Instant::now() + patience)
    }

    /// Waits for a message, and the descriptor that came with it.
    ///
    /// # Errors
    ///
    /// [`TakeoverError`]; the wire is of no use after one.
    pub fn receive<T: DeserializeOwned>(
        &mut self,
        patience: Duration,
    ) -> Result<(T, Option<OwnedFd>), TakeoverError> {
        let deadline = Instant::now() + patience;
        let mut size = [0; SIZE_BYTES];
        let fd = self.read_with_fd(&mut size, deadline)?;
        let size = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
        if size > TAKEOVER_MESSAGE_SIZE_MAX {
            return Err(TakeoverError::TooLarge { size });
        }
        let mut body = vec![0; size];
        self.read(&mut body, deadline)?;
        let message =
            postcard::from_bytes(&body).map_err(|_| TakeoverError::Unreadable { size })?;
        Ok((message, fd))
    }

    /// Writes all bytes, the descriptor beside the first.
    fn write(
        &mut self,
        mut bytes: &[u8],
        fd: Option<BorrowedFd<'_>>,
        deadline: Instant,
    ) -> Result<(), TakeoverError> {
        if let Some(fd) = fd {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            let fds = [fd];
            let fits = beside.push(SendAncillaryMessage::ScmRights(&fds));
            assert!(fits, "the space is that of one descriptor");
            self.0.set_write_timeout(Some(left_until(deadline)?))?;
            let flags = SendFlags::NOSIGNAL;
            let sent =
                retrying(|| sendmsg(self.0.as_fd(), &[IoSlice::new(bytes)], &mut beside, flags))?;
            bytes = &bytes[sent..];
        }
        while !bytes.is_empty() {
            self.0.set_write_timeout(Some(left_until(deadline)?))?;
            match self.0.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Fills `bytes`.
    fn read(&mut self, mut bytes: &mut [u8], deadline: Instant) -> Result<(), TakeoverError> {
        while !bytes.is_empty() {
            self.0.set_read_timeout(Some(left_until(deadline)?))?;
            match self.0.read(bytes) {
                Ok(0) => return Err(TakeoverError::Gone),
                Ok(size) => bytes = &mut bytes[size..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Fills `bytes`, which are the first of a message, and takes the descriptor beside them.
    fn read_with_fd(
        &mut self,
        bytes: &mut [u8],
        deadline: Instant,
    ) -> Result<Option<OwnedFd>, TakeoverError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        self.0.set_read_timeout(Some(left_until(deadline)?))?;
        let flags = RecvFlags::CMSG_CLOEXEC;
        let slices = &mut [IoSliceMut::new(bytes)];
        let received = retrying(|| recvmsg(self.0.as_fd(), slices, &mut beside, flags))?.bytes;
        if received == 0 {
            return Err(TakeoverError::Gone);
        }
        let mut fds = beside.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fd = fds.next().and_then(|mut fds| fds.next());
        self.read(&mut bytes[received..], deadline)?;
        Ok(fd)
    }
}

/// What is left of a wait.
fn left_until(deadline: Instant) -> Result<Duration, TakeoverError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(TakeoverError::Silent) } else { Ok(left) }
}

/// Repeats a call that a signal interrupted.
fn retrying<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> Result<T, TakeoverError> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(|error| io::Error::from(error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs::File;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn pair() -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        (Wire(one), Wire(other))
    }

    #[test]
    fn messages_arrive_in_order_each_with_its_descriptor() {
        let (mut one, mut other) = pair();
        let mut kept = tempfile::tempfile().unwrap();
        kept.write_all(b"in the file").unwrap();
        let large = vec![7_u8; TAKEOVER_MESSAGE_SIZE_MAX - 8];
        let sent = large.clone();
        let sender = thread::spawn(move || {
            one.send(&1_u32, None, PATIENCE).unwrap();
            one.send(&sent, Some(kept.as_fd()), PATIENCE).unwrap();
            one.send(&2_u32, Some(kept.as_fd()), PATIENCE).unwrap();
            one.send(&3_u32, None, PATIENCE).unwrap();
        });
        let (first, none) = other.receive::<u32>(PATIENCE).unwrap();
        assert!(first == 1 && none.is_none());
        let (received, fd) = other.receive::<Vec<u8>>(PATIENCE).unwrap();
        assert!(received == large);
        assert_eq!(File::from(fd.unwrap()).metadata().unwrap().len(), 11);
        let (second, fd) = other.receive::<u32>(PATIENCE).unwrap();
        assert!(second == 2 && fd.is_some());
        let (third, none) = other.receive::<u32>(PATIENCE).unwrap();
        assert!(third == 3 && none.is_none());
        sender.join().unwrap();
        let ended = other.receive::<u32>(PATIENCE).unwrap_err();
        assert!(matches!(ended, TakeoverError::Gone), "{ended}");
    }

    #[test]
    fn versions_must_be_the_same() {
        for (ours, theirs, agree) in [(1, 1, true), (1, 2, false), (3, 2, false)] {
            let (one, other) = UnixStream::pair().unwrap();
            let peer = thread::spawn(move || Wire::greet(other, theirs, PATIENCE).is_ok());
            let greeted = Wire::greet(one, ours, PATIENCE);
            assert_eq!(peer.join().unwrap(), agree);
            match greeted {
                Ok(_) => assert!(agree),
                Err(error) => {
                    let named = matches!(
                        error,
                        TakeoverError::Version { ours: a, theirs: b } if a == ours && b == theirs
                    );
                    assert!(named, "{error}");
                }
            }
        }
    }

    #[test]
    fn who_says_nothing_is_not_waited_for_for_ever() {
        let (mut one, _silent) = pair();
        let error = one.receive::<u32>(Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, TakeoverError::Silent), "{error}");
    }

    #[test]
    fn too_large_a_message_is_neither_sent_nor_read() {
        let (mut one, mut other) = pair();
        let size = TAKEOVER_MESSAGE_SIZE_MAX + 1;
        let error = one.send(&vec![0_u8; size], None, PATIENCE).unwrap_err();
        assert!(matches!(error, TakeoverError::TooLarge { .. }), "{error}");
        let text = u32::try_from(size).unwrap().to_be_bytes();
        one.write(&text, None, Instant::now() + PATIENCE).unwrap();
        let error = other.receive::<u32>(PATIENCE).unwrap_err();
        assert!(matches!(error, TakeoverError::TooLarge { size: told } if told == size), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let (mut one, mut other) = pair();
            one.write(&bytes, None, Instant::now() + PATIENCE).unwrap();
            drop(one);
            while other.receive::<(u8, Vec<u8>, Option<String>)>(PATIENCE).is_ok() {}
        }
    }
}
