//! The control thread: its listener, and signals turned into commands for the data plane.
//!
//! SIGTERM and SIGINT drain; SIGHUP reads the configuration again and reopens the access log. A
//! configuration with mistakes is refused whole, told in the log, and the old one stays. Signals
//! that come while one is dealt with are one.

use super::access_log::AccessLog;
use super::config::{Config, ConfigErrors};
use super::http::{Pages, router};
use super::metrics::ProcessCounters;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the data plane is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Finish what has begun, take no more, then end.
    Drain,
    /// Go over to this configuration without dropping a connection.
    Reload(Box<Config>),
}

/// Everything that the control thread needs.
pub struct Control {
    /// Address of its listener.
    pub listen: SocketAddr,
    /// What it shows.
    pub pages: Pages,
    /// What it counts.
    pub counters: Arc<ProcessCounters>,
    /// Reopened at SIGHUP.
    pub access_log: Option<AccessLog>,
    /// Reads the configuration again.
    pub reload: Box<dyn Fn() -> Result<Config, ConfigErrors> + Send>,
    /// Takes commands. Called on the control thread; must not wait.
    pub on_command: Box<dyn FnMut(Command) + Send>,
}

/// The running control thread. It ends after a drain command.
#[derive(Debug)]
pub struct ControlThread {
    /// Where it listens, with the port that a configured 0 became.
    pub address: SocketAddr,
    thread: JoinHandle<()>,
}

impl ControlThread {
    /// Waits until a drain command has been given.
    pub fn wait(self) {
        if self.thread.join().is_err() {
            tracing::error!("the control thread panicked");
        }
    }
}

impl Control {
    /// Binds the listener, takes over the signals and starts the thread.
    ///
    /// # Errors
    ///
    /// If the address is taken, or the system gives no runtime, signal or thread.
    pub fn start(self) -> io::Result<ControlThread> {
        let listener = TcpListener::bind(self.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _context = runtime.enter();
            Signals::take()?
        };
        let thread = thread::Builder::new().name("control".to_owned());
        let thread = thread.spawn(move || runtime.block_on(self.run(listener, signals)))?;
        Ok(ControlThread { address, thread })
    }

    async fn run(mut self, listener: TcpListener, mut signals: Signals) {
        let pages = router(self.pages.clone());
        let server = async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => axum::serve(listener, pages).await,
                Err(error) => Err(error),
            }
        };
        // The pages go on while the data plane drains: whoever watches it end sees it.
        tokio::spawn(async {
            if let Err(error) = server.await {
                tracing::error!(%error, "the control listener failed");
            }
        });
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = signals.hang_up.recv() => self.on_hang_up(),
            }
        }
        tracing::info!("draining");
        (self.on_command)(Command::Drain);
    }

    fn on_hang_up(&mut self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
        match (self.reload)() {
            Ok(config) => {
                self.counters.reloads.add(1);
                tracing::info!("configuration reloaded");
                (self.on_command)(Command::Reload(Box::new(config)));
            }
            Err(errors) => {
                self.counters.reloads_refused.add(1);
                for mistake in &errors.0 {
                    tracing::error!(%mistake, "configuration refused, the old one stays");
                }
            }
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}
