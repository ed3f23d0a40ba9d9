//! The recycle canary: bytes that wait in sockets stay right while the ring turns over.
//!
//! `sendfile` puts the file's own pages into the socket. Were a page used again before the reader
//! has it, the reader would get the wrong bytes; each record here is made of its own number, so
//! not one of them goes unseen. Half of the responses give up their reference to the file as soon
//! as the socket takes no more, the others hold on to it and end with every byte.

#![allow(clippy::unwrap_used)] // a test that can't go on fails
#![allow(unsafe_code)] // sendfile takes raw descriptors and a pointer

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use headwater::ring::{
    Durability, Placed, Record, RecordKind, Refused, Ring, RingConfig, RingFile, Storage, Tenure,
    plan_files,
};
use headwater::units::Extent;

/// Reached only where something is broken.
const PATIENCE: Duration = Duration::from_mins(1);
/// Responses under way at once.
const READERS: usize = 12;
/// Times the ring is filled anew, or as many times more as `TEST_ROUNDS` asks for.
const TURNS: u64 = 4;

fn turns() -> u64 {
    TURNS * std::env::var("TEST_ROUNDS").map_or(1, |times| times.parse::<u64>().unwrap())
}

fn byte_of(number: u64, offset: u64) -> u8 {
    let word = (number << 24 | offset >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word.rotate_left(8).to_le_bytes()[usize::try_from(offset % 8).unwrap()]
}

fn payload_of(number: u64, size: u64) -> Vec<u8> {
    (0..size).map(|offset| byte_of(number, offset)).collect()
}

/// A response to a reader who doesn't read yet.
struct Response {
    number: u64,
    payload: Extent,
    sent: u64,
    sender: TcpStream,
    reader: TcpStream,
    /// The reference that keeps the file; `None` where it was given up.
    file: Option<Arc<RingFile>>,
    sequence: u64,
}

impl Response {
    fn begin(listener: &TcpListener, file: Arc<RingFile>, number: u64, payload: Extent) -> Self {
        let reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (sender, _) = listener.accept().unwrap();
        sender.set_nonblocking(true).unwrap();
        let sequence = file.sequence();
        let mut response =
            Self { number, payload, sent: 0, sender, reader, file: Some(file), sequence };
        response.send();
        if number.is_multiple_of(2) {
            response.file = None;
        }
        response
    }

    /// Queues what the socket takes.
    fn send(&mut self) {
        let Some(file) = &self.file else { return };
        while self.sent < u64::from(self.payload.size) {
            let mut offset = libc::off_t::try_from(self.payload.offset + self.sent).unwrap();
            let left = usize::try_from(u64::from(self.payload.size) - self.sent).unwrap();
            // SAFETY: both descriptors are open as long as `self` has them, and `offset` is ours
            // until the call returns.
            let sent = unsafe {
                libc::sendfile(
                    self.sender.as_raw_fd(),
                    file.fd().as_raw_fd(),
                    &raw mut offset,
                    left,
                )
            };
            let Ok(sent) = u64::try_from(sent) else {
                assert_eq!(std::io::Error::last_os_error().kind(), ErrorKind::WouldBlock);
                return;
            };
            self.sent += sent;
        }
    }

    /// Reads all of it, and returns how many bytes came.
    fn finish(mut self) -> u64 {
        let mut received = 0;
        let mut buffer = vec![0; 256 << 10];
        let expected = payload_of(self.number, u64::from(self.payload.size));
        loop {
            self.send();
            let is_all = self.file.is_none() || self.sent == u64::from(self.payload.size);
            if is_all {
                self.sender.shutdown(Shutdown::Write).unwrap();
            }
            loop {
                let count = self.reader.read(&mut buffer).unwrap();
                let right = &expected[received..][..count];
                assert_eq!(buffer[..count].iter().zip(right).position(|(a, b)| a != b), None);
                received += count;
                if count == 0 || (!is_all && received as u64 == self.sent) {
                    break;
                }
            }
            if is_all {
                break;
            }
        }
        assert_eq!(received as u64, self.sent);
        if self.file.is_some() {
            assert_eq!(received, expected.len(), "a response that has begun ends right");
        }
        received as u64
    }
}

/// Appends a record; where readers hold the last spares, their responses end first.
fn append(ring: &mut Ring, number: u64, size: u64, responses: &mut VecDeque<Response>) -> Placed {
    let started = Instant::now();
    loop {
        let record = Record {
            kind: RecordKind::Media,
            header: number.to_le_bytes().to_vec(),
            table: Vec::new(),
            payload: payload_of(number, size),
        };
        let (sender, receiver) = channel();
        match ring.append(record, Vec::new, move |result| drop(sender.send(result))) {
            Ok(placed) => {
                receiver.recv_timeout(PATIENCE).unwrap().unwrap();
                return placed;
            }
            Err(refused) => {
                assert_eq!(refused, Refused::Busy);
                assert!(started.elapsed() < PATIENCE, "{:?}", ring.fill());
                let wanted = |response: &Response| {
                    response.file.as_ref().is_some_and(|file| file.is_wanted_back())
                };
                if let Some(index) = responses.iter().position(wanted) {
                    responses.remove(index).unwrap().finish();
                }
                std::thread::yield_now();
            }
        }
    }
}

fn turn_over(folder: &Path, size: u64) {
    let dir = tempfile::tempdir_in(folder).unwrap();
    let file_size = plan_files(1, size).unwrap_err().file_size;
    let config = RingConfig {
        dir: dir.path().into(),
        size: 8 * file_size,
        body_size_max: size,
        content_version: 0,
        durability: Durability::Process,
    };
    let storage = Storage::start(1).unwrap();
    let (mut ring, _) = Ring::open(&config, &storage, Tenure::sole()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut responses: VecDeque<Response> = VecDeque::new();
    let (mut received, mut recycled) = (0, 0);
    for number in 0..turns() * config.size / size {
        let payload = append(&mut ring, number, size, &mut responses).location.payload;
        if responses.len() < READERS {
            let file = ring.file(payload.file).unwrap();
            responses.push_back(Response::begin(&listener, file, number, payload));
        }
        // The reader reads when two more files have gone after its own: the space of a file that
        // nobody holds has been used again by then.
        let newest_gone = ring.files().first().map_or(0, |oldest| oldest.sequence());
        while responses.front().is_some_and(|response| response.sequence + 2 < newest_gone) {
            recycled += 1;
            received += responses.pop_front().unwrap().finish();
        }
    }
    received += responses.into_iter().map(Response::finish).sum::<u64>();
    assert!(recycled >= READERS, "readers outlived their files");
    assert!(received >= READERS as u64 * size / 2);
}

#[test]
fn small_writes_on_disk() {
    turn_over(&std::env::temp_dir(), 64 << 10);
}

#[test]
fn large_writes_on_disk() {
    turn_over(&std::env::temp_dir(), 2 << 20);
}

#[test]
fn small_writes_in_memory() {
    turn_over(Path::new("/dev/shm"), 64 << 10);
}

#[test]
fn large_writes_in_memory() {
    turn_over(Path::new("/dev/shm"), 2 << 20);
}
