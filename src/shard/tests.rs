//! A small server on the whole of this layer, spoken to by plain sockets, on each driver.

use super::connection::{
    Connection, Finished, MovingConnection, Place, RefusedHead, Service, Serving, serve,
};
use super::incoming::Body;
use super::listener::{AcceptCounters, ConnectionLimits, accept, begin_listening, bind};
use super::mailbox::{self, mailbox};
use super::outgoing::FileSource;
use super::rt::{self, Driver, DriverChoice, Listener, ShardError, SocketOptions, oneshot};
use crate::http::plan::{Piece, Plan};
use crate::http::request::RequestHead;
use crate::http::response::ResponseHead;
use bytes::Bytes;
use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

const FILE_SIZE: usize = 32 << 20;
/// Messages that a shard's mailbox holds here.
const MAILBOX_SIZE: usize = 8;
/// A shard does nothing while this is true.
static IS_FROZEN: AtomicBool = AtomicBool::new(false);

#[derive(Clone)]
struct TestFile {
    file: Arc<File>,
    resident: Arc<AtomicBool>,
    storage_busy: bool,
    wanted_back: Arc<AtomicBool>,
    lost: Arc<AtomicBool>,
}

impl FileSource for TestFile {
    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn is_resident(&self, _: u64, _: u64) -> bool {
        self.resident.load(Ordering::Relaxed)
    }

    fn is_wanted_back(&self) -> bool {
        self.wanted_back.load(Ordering::Relaxed)
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    fn mark_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    fn warm(&self, done: oneshot::Sender<()>) {
        if !self.storage_busy {
            let resident = Arc::clone(&self.resident);
            thread::spawn(move || {
                resident.store(true, Ordering::Relaxed);
                done.complete(());
            });
        }
    }
}

type Moving = MovingConnection<u32>;

struct TestService {
    shard: usize,
    file: TestFile,
    mailboxes: Vec<mailbox::Sender<Moving>>,
    serving: Rc<Serving>,
    newest_status: Cell<u16>,
}

fn plan(pieces: Vec<Piece<TestFile>>) -> Plan<TestFile> {
    let size = pieces.iter().map(Piece::size).sum();
    let head = ResponseHead { content_length: Some(size), ..ResponseHead::new(200) };
    Plan::new(head, pieces)
}

fn range(size: u64, file: TestFile) -> Plan<TestFile> {
    plan(vec![Piece::File { file, offset: 0, size }])
}

fn text(text: String) -> Plan<TestFile> {
    plan(vec![Piece::Bytes(Bytes::from(text))])
}

impl Service for TestService {
    type File = TestFile;
    type Session = u32;

    fn owner(&self, _: &mut u32, head: &RequestHead) -> Option<Place> {
        (head.path == "/elsewhere" && self.shard == 0).then_some(Place::Shard(1))
    }

    fn hand_over(&self, owner: Place, moving: Moving) -> Result<(), Moving> {
        match owner {
            Place::Shard(owner) => self.mailboxes[owner].try_send(moving),
            Place::Successor => Err(moving),
        }
    }

    async fn answer(
        &self,
        requests: &mut u32,
        _: SocketAddr,
        head: &RequestHead,
        body: &mut Body<'_>,
    ) -> Plan<TestFile> {
        *requests += 1;
        let file = self.file.clone();
        match head.path.as_str() {
            "/file" => range(FILE_SIZE as u64, file),
            "/too-long" => range(FILE_SIZE as u64 + 1, file),
            "/cold" => range(9, TestFile { resident: Arc::new(AtomicBool::new(false)), ..file }),
            "/cold-and-lost" => {
                let resident = Arc::new(AtomicBool::new(false));
                range(9, TestFile { resident, lost: Arc::new(AtomicBool::new(true)), ..file })
            }
            "/cold-and-busy" => {
                let resident = Arc::new(AtomicBool::new(false));
                range(9, TestFile { resident, storage_busy: true, ..file })
            }
            "/memory" => plan(vec![Piece::Bytes(Bytes::from(vec![7; 9_000])); 200]),
            "/mixed" => {
                let memory = Piece::Bytes(Bytes::from(vec![7; 99_999]));
                let part = |offset, size| Piece::File { file: file.clone(), offset, size };
                plan(vec![memory.clone(), part(1, 3_000_001), memory, part(7, 1_234_567)])
            }
            "/freeze" => {
                IS_FROZEN.store(true, Ordering::Release);
                while IS_FROZEN.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                text("thawed".to_owned())
            }
            "/full" => {
                self.serving.is_full.set(true);
                text("full".to_owned())
            }
            "/refused" => Plan::status(ResponseHead::new(401)),
            "/panic" => panic!("of a service"),
            "/sum" => {
                let mut sum = 0_u64;
                loop {
                    match body.next().await {
                        Ok(Some(bytes)) => {
                            sum += bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
                        }
                        Ok(None) => return text(format!("sum {sum}")),
                        Err(_) => return Plan::status(ResponseHead::new(400)),
                    }
                }
            }
            "/newest-status" => text(self.newest_status.get().to_string()),
            "/counters" => {
                let counters = &self.serving.counters;
                text(format!(
                    "{} {} {}",
                    counters.copied.get(),
                    counters.sendfile.get(),
                    counters.warmed.get()
                ))
            }
            _ => text(format!("shard {} request {requests}", self.shard)),
        }
    }

    fn on_refused(&self, refused: &RefusedHead<'_>) {
        self.newest_status.set(refused.status);
    }

    fn on_body_abandoned(&self) {}

    fn on_finished(&self, finished: &Finished<'_>) {
        self.newest_status.set(finished.status);
    }
}

fn content() -> Vec<u8> {
    (0_u32..8 << 20).flat_map(|word| word.wrapping_mul(2_654_435_761).to_ne_bytes()).collect()
}

/// Runs two shards on each driver, the first of them listening, and `client` against them.
fn with_server(client: impl Fn(SocketAddr, Driver)) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    std::fs::write(&path, content()).expect("room for 32 MiB");
    let file = TestFile {
        file: Arc::new(File::open(path).expect("just written")),
        resident: Arc::new(AtomicBool::new(true)),
        storage_busy: false,
        wanted_back: Arc::default(),
        lost: Arc::default(),
    };
    for driver in [Driver::UringDeferred, Driver::Uring, Driver::Epoll] {
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        begin_listening(&socket).expect("nobody else listens there");
        let address = socket.local_addr().expect("bound");
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..2).map(|_| mailbox::<Moving>(MAILBOX_SIZE)).unzip();
        let mut sockets = vec![Some(socket), None].into_iter();
        let shards: Vec<_> = receivers
            .into_iter()
            .enumerate()
            .map(|(shard, receiver)| {
                let (stop, stopped) = oneshot::channel::<()>();
                let (file, mailboxes) = (file.clone(), senders.clone());
                let socket = sockets.next().flatten();
                let thread = thread::spawn(move || {
                    rt::run_shard(shard, None, DriverChoice::Only(driver), async move |_| {
                        let serving = Rc::new(Serving::new().expect("starts"));
                        let newest_status = Cell::default();
                        let service =
                            TestService { shard, file, mailboxes, serving, newest_status };
                        run(Rc::new(service), socket, receiver, stopped).await;
                    })
                });
                (stop, thread)
            })
            .collect();
        if TcpStream::connect(address).is_ok() && !shards.iter().any(|(_, t)| t.is_finished()) {
            client(address, driver);
        }
        for (stop, thread) in shards {
            drop(stop);
            match thread.join().expect("a shard's thread does not panic") {
                Ok(()) => {}
                Err(ShardError::NoDriver { .. }) => {
                    crate::report::skipped(&format!("{driver} refused here"));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Serves until `stopped`.
async fn run(
    service: Rc<TestService>,
    socket: Option<std::net::TcpListener>,
    receiver: mailbox::Receiver<Moving>,
    stopped: oneshot::Receiver<()>,
) {
    let spawn = move |connection: Connection<u32>| {
        let service = Rc::clone(&service);
        rt::spawn(async move { serve(connection, &*service, &service.serving).await });
    };
    let (_accepting, accepting_ends) = oneshot::channel::<()>();
    if let Some(socket) = socket {
        let (spawn, listener) = (spawn.clone(), Listener::new(socket).expect("registers"));
        rt::spawn(async move {
            let limits = ConnectionLimits::new(16, 16);
            let (options, counters) = (SocketOptions::default(), AcceptCounters::default());
            let ended = accept(
                &listener,
                accepting_ends,
                &options,
                (&limits, false),
                &counters,
                |accepted| {
                    spawn(Connection::new(accepted));
                },
            );
            ended.await.expect("stopped");
        });
    }
    rt::until(pin!(stopped), take_over(receiver, spawn)).await;
}

async fn take_over(mut receiver: mailbox::Receiver<Moving>, spawn: impl Fn(Connection<u32>)) {
    let mut messages = Vec::new();
    loop {
        receiver.receive(&mut messages).await;
        for moving in messages.drain(..) {
            spawn(Connection::take_over(moving).expect("registers"));
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

/// Reads one response: its head, then as many bytes as it says.
fn response(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let length = length.map_or(0, |text| text.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a whole body");
    (head, body)
}

fn ask(stream: &mut TcpStream, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).expect("open");
    let (head, body) = response(stream);
    (head, String::from_utf8(body).expect("text"))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn is_closed(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).is_ok() && rest.is_empty()
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    with_server(|address, _| {
        let mut stream = connect(address);
        stream.write_all(get("/a").repeat(20).as_bytes()).expect("open");
        for number in 1..=20 {
            let (_, body) = response(&mut stream);
            assert_eq!(body, format!("shard 0 request {number}").as_bytes());
        }
    });
}

#[test]
fn bodies_are_pulled_and_the_connection_goes_on() {
    with_server(|address, _| {
        let mut stream = connect(address);
        let sized = "PUT /sum HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n\x01\x02\x03";
        assert_eq!(ask(&mut stream, sized).1, "sum 6");
        let chunked = "PUT /sum HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                       2\r\n\x01\x02\r\n1\r\n\x04\r\n0\r\n\r\n";
        assert_eq!(ask(&mut stream, chunked).1, "sum 7");
        let expecting =
            "PUT /sum HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
        assert!(ask(&mut stream, expecting).0.starts_with("HTTP/1.1 100 Continue\r\n"));
        assert_eq!(ask(&mut stream, "\x09").1, "sum 9");
        let large = 3 << 20;
        let head = format!("PUT /sum HTTP/1.1\r\nHost: h\r\nContent-Length: {large}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("open");
        stream.write_all(&vec![1; large]).expect("read as it comes");
        assert_eq!(response(&mut stream).1, format!("sum {large}").as_bytes());
    });
}

#[test]
fn refusals_go_out_before_any_body_is_asked_for() {
    with_server(|address, _| {
        let expecting =
            "PUT /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
        let mut stream = connect(address);
        let (head, _) = ask(&mut stream, expecting);
        assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("Connection: close\r\n"));
        let little = "PUT /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
        let mut stream = connect(address);
        assert!(!ask(&mut stream, little).0.contains("Connection: close\r\n"));
        assert_eq!(ask(&mut stream, &get("/a")).1, "shard 0 request 2", "little is skipped");
        let large = "PUT /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\nabc";
        let mut stream = connect(address);
        assert!(ask(&mut stream, large).0.contains("Connection: close\r\n"));
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        assert!(is_closed(stream));
    });
}

#[test]
fn a_cut_body_is_an_error_that_can_be_answered() {
    with_server(|address, _| {
        let mut stream = connect(address);
        stream
            .write_all(b"PUT /sum HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
            .expect("open");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        assert!(response(&mut stream).0.starts_with("HTTP/1.1 400 "));
        assert!(is_closed(stream));
    });
}

#[test]
fn malformed_heads_and_panics_end_their_connection_alone() {
    with_server(|address, _| {
        let mut kept = connect(address);
        assert_eq!(ask(&mut kept, &get("/a")).1, "shard 0 request 1");
        let mut malformed = connect(address);
        assert!(ask(&mut malformed, "GET  / HTTP/1.1\r\n\r\n").0.starts_with("HTTP/1.1 400 "));
        malformed.shutdown(std::net::Shutdown::Write).expect("open");
        assert!(is_closed(malformed));
        assert_eq!(ask(&mut connect(address), &get("/newest-status")).1, "400", "it is told of");
        let mut panicking = connect(address);
        assert!(ask(&mut panicking, &get("/panic")).0.starts_with("HTTP/1.1 500 "));
        panicking.shutdown(std::net::Shutdown::Write).expect("open");
        assert!(is_closed(panicking));
        assert_eq!(ask(&mut kept, &get("/a")).1, "shard 0 request 2");
    });
}

#[test]
fn long_responses_are_refused_while_sockets_are_full() {
    with_server(|address, _| {
        let mut stream = connect(address);
        assert_eq!(ask(&mut stream, &get("/full")).1, "full");
        let (head, _) = ask(&mut stream, &get("/file"));
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After: 1"), "{head}");
        assert_eq!(ask(&mut stream, &get("/a")).1, "shard 0 request 3", "short ones are not");
    });
}

#[test]
fn a_connection_is_handed_over_between_requests() {
    with_server(|address, _| {
        let mut stream = connect(address);
        assert_eq!(ask(&mut stream, &get("/here")).1, "shard 0 request 1");
        // The second request is read by the first shard and answered by the other.
        let both = get("/elsewhere") + &get("/still-elsewhere");
        assert_eq!(ask(&mut stream, &both).1, "shard 1 request 2");
        assert_eq!(response(&mut stream).1, b"shard 1 request 3");
        assert_eq!(ask(&mut stream, &get("/elsewhere")).1, "shard 1 request 4");
    });
}

#[test]
fn files_leave_without_being_copied() {
    let expected = xxh3_64(&content());
    with_server(|address, driver| {
        let readers: Vec<_> = [0, 1_000]
            .into_iter()
            .map(|pause_us| {
                thread::spawn(move || {
                    let mut stream = connect(address);
                    stream.write_all(get("/file").as_bytes()).expect("open");
                    let mut received = Vec::with_capacity(FILE_SIZE + 1_000);
                    let mut piece = vec![0; 256 << 10];
                    while received.len() < FILE_SIZE {
                        let size = stream.read(&mut piece).expect("open");
                        assert!(size > 0, "cut");
                        received.extend_from_slice(&piece[..size]);
                        thread::sleep(Duration::from_micros(pause_us));
                    }
                    let head = received.windows(4).position(|four| four == b"\r\n\r\n");
                    let begin = head.expect("a head") + 4;
                    while received.len() < begin + FILE_SIZE {
                        let size = stream.read(&mut piece).expect("open");
                        assert!(size > 0, "cut");
                        received.extend_from_slice(&piece[..size]);
                    }
                    xxh3_64(&received[begin..])
                })
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.join().expect("reads all"), expected, "{driver}");
        }
        let (_, counters) = ask(&mut connect(address), &get("/counters"));
        let numbers: Vec<u64> =
            counters.split(' ').map(|number| number.parse().expect("a number")).collect();
        assert_eq!(numbers[1], 2 * FILE_SIZE as u64, "all of both bodies by sendfile");
        assert!(numbers[0] < 2_000, "two heads were copied, not {} bytes", numbers[0]);
    });
}

#[test]
fn many_pieces_of_memory_arrive_whole() {
    with_server(|address, _| {
        let mut stream = connect(address);
        stream.write_all(get("/memory").as_bytes()).expect("open");
        let (_, body) = response(&mut stream);
        assert_eq!(body.len(), 200 * 9_000);
        assert!(body.iter().all(|&byte| byte == 7));
    });
}

#[test]
fn cold_ranges_are_warmed_first() {
    let expected = content();
    with_server(|address, _| {
        let mut stream = connect(address);
        stream.write_all(get("/cold").as_bytes()).expect("open");
        assert_eq!(response(&mut stream).1, expected[..9]);
        let (_, counters) = ask(&mut stream, &get("/counters"));
        assert!(counters.ends_with(" 1"), "{counters}");
    });
}

#[test]
fn what_cannot_be_read_is_told_before_anything_is_promised() {
    with_server(|address, _| {
        let mut stream = connect(address);
        for (path, status) in [("/cold-and-busy", "503"), ("/cold-and-lost", "502")] {
            let (head, _) = ask(&mut stream, &get(path));
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert_eq!(head.contains("Retry-After: 1\r\n"), status == "503", "{head}");
            assert_eq!(ask(&mut stream, &get("/newest-status")).1, status, "as it is counted");
        }
    });
}

#[test]
fn a_file_that_ends_early_closes_the_connection() {
    with_server(|address, _| {
        let mut stream = connect(address);
        stream.write_all(get("/too-long").as_bytes()).expect("open");
        stream.shutdown(std::net::Shutdown::Write).expect("open");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("closed in order");
        assert!(received.len() > FILE_SIZE && received.ends_with(&content()[FILE_SIZE - 99..]));
    });
}

#[test]
fn co_04_a_connection_for_a_frozen_shard_waits_or_is_told_and_none_is_lost() {
    with_server(|address, _| {
        let mut freezing = connect(address);
        assert_eq!(ask(&mut freezing, &get("/elsewhere")).1, "shard 1 request 1");
        freezing.write_all(get("/freeze").as_bytes()).expect("open");
        while !IS_FROZEN.load(Ordering::Acquire) {
            thread::yield_now();
        }
        let too_many = 4;
        let mut waiting: Vec<TcpStream> = (0..MAILBOX_SIZE + too_many)
            .map(|_| {
                let mut stream = connect(address);
                stream.write_all(get("/elsewhere").as_bytes()).expect("open");
                stream
            })
            .collect();
        let is_answered = |stream: &TcpStream| {
            stream.set_nonblocking(true).expect("open");
            let is_answered = stream.peek(&mut [0]).is_ok();
            stream.set_nonblocking(false).expect("open");
            is_answered
        };
        // Who finds no room is told so, in time.
        while waiting.iter().filter(|stream| is_answered(stream)).count() < too_many {
            thread::yield_now();
        }
        let (mut told, kept): (Vec<_>, Vec<_>) = waiting.drain(..).partition(is_answered);
        assert_eq!((told.len(), kept.len()), (too_many, MAILBOX_SIZE));
        for stream in &mut told {
            assert!(response(stream).0.starts_with("HTTP/1.1 503 "));
        }
        IS_FROZEN.store(false, Ordering::Release);
        assert_eq!(response(&mut freezing).1, b"thawed");
        for mut stream in kept {
            assert_eq!(response(&mut stream).1, b"shard 1 request 1");
        }
    });
}

#[test]
fn co_10_a_socket_that_takes_little_at_a_time_gets_everything_in_order() {
    let content = content();
    let (memory, first, second) = (vec![7; 99_999], &content[1..3_000_002], &content[7..1_234_574]);
    let expected = [&memory, first, &memory, second].concat();
    with_server(|address, driver| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a descriptor");
        // Before it connects, so that the window never opens further.
        socket.set_recv_buffer_size(2_048).expect("a size");
        socket.connect(&address.into()).expect("listens");
        let mut stream = TcpStream::from(socket);
        stream.write_all(get("/mixed").as_bytes()).expect("open");
        let (_, body) = response(&mut stream);
        assert!(body == expected, "{driver}");
    });
}
