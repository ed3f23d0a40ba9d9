//! The rules of the runtime, on every driver that this kernel allows.

use super::*;
use std::cell::Cell;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const DRIVERS: [Driver; 4] =
    [Driver::UringDeferred, Driver::UringCooperative, Driver::Uring, Driver::Epoll];

/// Runs `main` as a shard of its own thread on each driver; says which ones this kernel refuses.
fn on_each_driver<T: Send>(main: impl AsyncFn(Driver) -> T + Sync) {
    for driver in DRIVERS {
        let shard = thread::scope(|scope| {
            let shard = scope.spawn(|| run_shard(0, None, DriverChoice::Only(driver), &main));
            shard.join().expect("a shard's thread does not panic")
        });
        match shard {
            Ok(_) => {}
            Err(ShardError::NoDriver { driver, error, .. }) if driver != Driver::Epoll => {
                crate::report::skipped(&format!("{driver} refused here: {error}"));
            }
            Err(error) => panic!("{driver}: {error}"),
        }
    }
}

fn loopback() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// A connection: the shard's end and the other one.
async fn connection() -> (Socket, TcpStream) {
    let (listener, address) = loopback();
    let peer = TcpStream::connect(address).expect("the backlog takes it");
    let listener = Listener::new(listener).expect("registers");
    let (socket, _) = listener.accept().await.expect("a connection waits");
    (socket, peer)
}

fn send_all(socket: &Socket, bytes: &[u8]) {
    let sent = socket.try_send(&[IoSlice::new(bytes)], false).expect("an empty socket takes it");
    assert_eq!(sent, bytes.len());
}

#[test]
fn best_driver_runs_and_reports_itself() {
    let driver = run_shard(0, None, DriverChoice::Best, async |driver| driver).expect("one works");
    assert!(DRIVERS.contains(&driver));
}

#[test]
fn echo() {
    on_each_driver(async |_| {
        let (mut socket, mut peer) = connection().await;
        let client = thread::spawn(move || {
            for message in [&b"first"[..], b"second", b"third"] {
                peer.write_all(message).expect("open");
                let mut back = vec![0; message.len()];
                peer.read_exact(&mut back).expect("open");
                assert_eq!(back, message);
            }
        });
        loop {
            let (size, bytes) = socket.read(Vec::with_capacity(64)).await;
            if size.expect("open") == 0 {
                break;
            }
            send_all(&socket, &bytes);
        }
        client.join().expect("every echo is right");
    });
}

#[test]
fn reads_append() {
    on_each_driver(async |_| {
        let (mut socket, mut peer) = connection().await;
        peer.write_all(b"world").expect("open");
        let mut buffer = Vec::with_capacity(32);
        buffer.extend_from_slice(b"hello ");
        let (size, buffer) = socket.read(buffer).await;
        assert_eq!((size.expect("open"), &buffer[..]), (5, &b"hello world"[..]));
    });
}

#[test]
fn read_deadline_ends_receiving_but_not_sending() {
    on_each_driver(async |_| {
        let (mut socket, mut peer) = connection().await;
        let deadline = now() + Duration::from_millis(20);
        let (size, _) = socket.read_before(deadline, Vec::with_capacity(8)).await;
        assert_eq!(size.expect_err("nothing was sent").kind(), ErrorKind::TimedOut);
        assert!(now() >= deadline);
        send_all(&socket, b"408");
        let mut answer = [0; 3];
        peer.read_exact(&mut answer).expect("sent before");
        assert_eq!(&answer, b"408");
    });
}

#[test]
fn another_thread_ends_the_connections_of_a_shard() {
    on_each_driver(async |_| {
        let (mut socket, _peer) = connection().await;
        let (other, mut kept_peer) = connection().await;
        let given_away = other.into_fd();
        let sockets = open_sockets();
        thread::spawn(move || sockets.shut_down_all()).join().expect("ends");
        let (size, _) = socket.read(Vec::with_capacity(8)).await;
        assert_eq!(size.expect("the end"), 0);
        // What the shard has given away is not its own any more.
        let kept = Socket::from_fd(given_away).expect("registers");
        send_all(&kept, b"x");
        kept_peer.read_exact(&mut [0]).expect("open");
    });
}

#[test]
fn what_waits_in_sockets_is_seen() {
    on_each_driver(async |_| {
        let (socket, _peer) = connection().await;
        assert_eq!(open_sockets().queued_size(), 0);
        let bytes = vec![7; 64 << 10];
        let mut sent = 0;
        while let Ok(taken) = socket.try_send(&[IoSlice::new(&bytes)], false) {
            sent += taken;
        }
        let queued = open_sockets().queued_size();
        assert!((1..=sent as u64).contains(&queued), "{queued} of {sent}");
        drop(socket);
        assert_eq!(open_sockets().queued_size(), 0, "it is not this shard's any more");
    });
}

#[test]
fn a_thread_is_seen_to_run_and_to_wait() {
    let (told, tid) = mpsc::channel();
    let (wait, waited) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        told.send(thread_id()).expect("asked for");
        waited.recv().expect_err("nothing is sent");
    });
    let tid = tid.recv().expect("told");
    while activity(tid).is_none_or(|activity| activity.state != 'S') {
        thread::yield_now();
    }
    assert_eq!(activity(tid), activity(tid), "it waits and uses nothing");
    drop(wait);
    thread.join().expect("ends");
    assert_eq!(activity(tid), None);
    assert_eq!(activity(thread_id()).map(|activity| activity.state), Some('R'));
}

#[test]
fn ended_peer_is_seen_without_reading() {
    on_each_driver(async |_| {
        let (mut socket, mut peer) = connection().await;
        assert!(!socket.has_ended());
        peer.write_all(b"x").expect("open");
        peer.shutdown(std::net::Shutdown::Write).expect("open");
        let (size, _) = socket.read(Vec::with_capacity(8)).await;
        assert_eq!(size.expect("one byte"), 1);
        let (size, _) = socket.read(Vec::with_capacity(8)).await;
        assert_eq!(size.expect("the end"), 0);
        assert!(socket.has_ended());
    });
}

#[test]
fn oneshot_answers_from_another_thread() {
    on_each_driver(async |_| {
        let (sender, receiver) = oneshot::channel();
        let storage = thread::spawn(move || sender.complete(7));
        assert_eq!(receiver.await, Ok(7));
        storage.join().expect("completes");
        let (sender, receiver) = oneshot::channel::<u8>();
        let storage = thread::spawn(move || drop(sender));
        assert_eq!(receiver.await, Err(oneshot::Abandoned));
        storage.join().expect("drops");
    });
}

#[test]
fn a_panic_ends_its_task_alone() {
    on_each_driver(async |_| {
        let before = task_panic_count();
        let (sender, receiver) = oneshot::channel::<()>();
        spawn(async move {
            let _sender = sender;
            panic!("of a task");
        });
        assert_eq!(receiver.await, Err(oneshot::Abandoned), "what the task held is dropped");
        assert!(task_panic_count() > before);
        let (mut socket, mut peer) = connection().await;
        peer.write_all(b"still here").expect("open");
        let (size, _) = socket.read(Vec::with_capacity(64)).await;
        assert_eq!(size.expect("open"), 10);
    });
}

#[test]
fn a_panic_of_the_main_future_is_an_error() {
    let ended = run_shard(3, None, DriverChoice::Best, async |_| panic!("of a shard"));
    match ended.map(|()| "ended") {
        Err(ShardError::Panicked { shard: 3, message }) => assert_eq!(message, "of a shard"),
        other => panic!("{other:?}"),
    }
}

/// The starvation rule: beside a task that is always about to go on, timers fire, completions are
/// reaped and other threads are heard.
#[test]
fn giving_the_turn_away_starves_nobody() {
    on_each_driver(async |driver| {
        let missing = Rc::new(Cell::new(3));
        let count_down = |missing: &Rc<Cell<u32>>| {
            let missing = Rc::clone(missing);
            move || missing.set(missing.get() - 1)
        };
        let timer_fired = count_down(&missing);
        spawn(async move {
            sleep_until(now() + Duration::from_millis(5)).await;
            timer_fired();
        });
        let (mut socket, mut peer) = connection().await;
        let read_completed = count_down(&missing);
        spawn(async move {
            let (size, _) = socket.read(Vec::with_capacity(8)).await;
            assert_eq!(size.expect("open"), 4);
            read_completed();
        });
        let (sender, receiver) = oneshot::channel();
        let thread_heard = count_down(&missing);
        spawn(async move {
            receiver.await.expect("completed");
            thread_heard();
        });
        let other = thread::spawn(move || {
            peer.write_all(b"data").expect("open");
            sender.complete(());
        });
        let mut turnstile = Turnstile::new().expect("a descriptor");
        let give_up = now() + Duration::from_secs(20);
        while missing.get() > 0 {
            assert!(now() < give_up, "{driver}: starved, {} missing", missing.get());
            turnstile.pass().await.expect("passes");
        }
        other.join().expect("writes");
    });
}

#[test]
fn a_connection_moves_between_shards() {
    for (from, to) in [(Driver::UringDeferred, Driver::Epoll), (Driver::Epoll, Driver::Uring)] {
        let (listener, address) = loopback();
        let (sender, receiver) = mpsc::channel();
        let first = thread::spawn(move || {
            run_shard(0, None, DriverChoice::Only(from), async |_| {
                let listener = Listener::new(listener).expect("registers");
                let (mut socket, _) = listener.accept().await.expect("connects");
                let (size, buffer) = socket.read(Vec::with_capacity(64)).await;
                size.expect("open");
                send_all(&socket, b"one");
                sender.send((socket.into_fd(), buffer)).expect("the other shard waits");
            })
        });
        let second = thread::spawn(move || {
            run_shard(1, None, DriverChoice::Only(to), async |_| {
                let (fd, buffer) = receiver.recv().expect("handed over");
                let mut socket = Socket::from_fd(fd).expect("registers");
                assert_eq!(buffer, b"1");
                let (size, buffer) = socket.read(Vec::with_capacity(64)).await;
                assert_eq!((size.expect("open"), &buffer[..]), (1, &b"2"[..]));
                send_all(&socket, b"two");
            })
        });
        let mut client = TcpStream::connect(address).expect("listens");
        let mut answer = [0; 3];
        for (request, expected) in [(b"1", b"one"), (b"2", b"two")] {
            if client.write_all(request).is_ok() && client.read_exact(&mut answer).is_ok() {
                assert_eq!(&answer, expected);
            }
        }
        for shard in [first, second] {
            match shard.join().expect("no assertion fails") {
                Ok(()) => {}
                Err(ShardError::NoDriver { driver, .. }) => {
                    crate::report::skipped(&format!("{driver} refused"));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn ending_a_shard_closes_its_connections() {
    on_each_driver(async |_| {
        let (mut socket, peer) = connection().await;
        spawn(async move {
            let (size, _) = socket.read(Vec::with_capacity(8)).await;
            assert!(matches!(size, Ok(0) | Err(_)), "shut down under the read");
        });
        // The client outlives the shard: an end is all that it can read.
        thread::spawn(move || {
            let mut peer = peer;
            assert_eq!(peer.read(&mut [0; 8]).expect("closed in order"), 0);
        });
    });
}

#[test]
fn affinity_names_processors() {
    let cpus = cpus().expect("sched_getaffinity works");
    assert!(!cpus.is_empty());
    assert!(cpus.is_sorted());
    assert!((1..=cpus.len()).contains(&shard_count()));
}

#[test]
fn co_09_more_completions_at_once_than_the_kernels_queue_holds_all_arrive() {
    // Half as many again as the completion queue of monoio's ring has room for.
    const COUNT: usize = 3_000;
    let limit = raise_descriptor_limit().expect("a limit");
    if limit < 3 * COUNT as u64 {
        crate::report::skipped(&format!("{limit} descriptors are too few"));
        return;
    }
    on_each_driver(async |driver| {
        let arrived = Rc::new(Cell::new(0));
        let mut peers = Vec::new();
        for number in 0..COUNT {
            let (ours, peer) = UnixStream::pair().expect("descriptors");
            let mut socket = Socket::from_fd(ours.into()).expect("registers");
            let (expected, arrived) = (number.to_ne_bytes(), Rc::clone(&arrived));
            spawn(async move {
                let (size, bytes) = socket.read(Vec::with_capacity(8)).await;
                assert_eq!((size.expect("open"), &bytes[..]), (8, &expected[..]));
                arrived.set(arrived.get() + 1);
            });
            peers.push(peer);
        }
        let mut turnstile = Turnstile::new().expect("descriptors");
        // Every read is under way after that.
        turnstile.pass().await.expect("a trip");
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.write_all(&number.to_ne_bytes()).expect("open");
        }
        let all = async {
            while arrived.get() < COUNT {
                turnstile.pass().await.expect("a trip");
            }
        };
        let deadline = now() + Duration::from_secs(20);
        timeout_at(deadline, all).await.unwrap_or_else(|_| {
            panic!("{driver}: {} of {COUNT} completions arrived", arrived.get())
        });
    });
}

#[test]
fn co_10_a_call_that_a_signal_interrupts_is_made_again() {
    let mut left = 3;
    let result = super::socket::retrying(|| {
        left -= 1;
        if left > 0 { Err(ErrorKind::Interrupted.into()) } else { Ok(7) }
    });
    assert_eq!(result.expect("the third time"), 7);
    let refused = super::socket::retrying(|| Err::<(), _>(ErrorKind::WouldBlock.into()));
    assert_eq!(refused.expect_err("no interruption").kind(), ErrorKind::WouldBlock);
}
