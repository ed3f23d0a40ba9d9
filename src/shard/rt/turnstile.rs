//! Giving the turn away: a wait that ends after one trip through the driver.
//!
//! Readiness of the sender's own socket cannot serve: with the epoll driver a socket that is still
//! writable answers at once, and its task would go on for ever. An event counter that is rung only
//! after its poll has been registered does a round trip with either driver.

use super::sys;
use monoio::net::TcpStream;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::pin;
use std::task::Poll;

/// An event counter that wakes its own shard.
pub struct Turnstile {
    counter: File,
    readiness: TcpStream,
}

impl Turnstile {
    /// A turnstile of the shard that this thread runs.
    ///
    /// # Errors
    ///
    /// Where the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let counter = sys::event_counter()?;
        // monoio waits for readiness of sockets only; to the kernel a descriptor is a descriptor.
        let socket = std::net::TcpStream::from(std::os::fd::OwnedFd::from(counter.try_clone()?));
        Ok(Self { counter, readiness: TcpStream::from_std(socket)? })
    }

    /// Completes on the next trip through the driver, after every task that can run now has run
    /// and completions have been reaped. One caller at a time.
    ///
    /// # Errors
    ///
    /// Whatever the poll operation reports.
    pub async fn pass(&mut self) -> io::Result<()> {
        let mut rung = false;
        let mut readable = pin!(self.readiness.readable(false));
        let counter = &self.counter;
        poll_fn(|context| {
            let polled = readable.as_mut().poll(context);
            if polled.is_pending() && !rung {
                rung = true;
                if let Err(error) = (&*counter).write_all(&1_u64.to_ne_bytes()) {
                    return Poll::Ready(Err(error));
                }
            }
            polled
        })
        .await?;
        // An empty counter means a poll that was dropped before; the trip has been made anyway.
        match (&self.counter).read(&mut [0; 8]) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}
