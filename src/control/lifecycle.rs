//! The control thread: its listener, and signals turned into commands for the data plane.
//!
//! SIGTERM and SIGINT drain; SIGUSR2 starts the program anew to take over; SIGHUP reads the
//! configuration again and reopens the access log. A configuration with mistakes is refused whole,
//! told in the log, and the old one stays. Signals that come while one is dealt with are one.

use super::access_log::AccessLog;
use super::config::{Config, ConfigErrors};
use super::http::{Pages, router};
use super::metrics::ProcessCounters;
use axum::Router;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot};

/// What the data plane is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Finish what has begun, take no more, then end.
    Drain,
    /// Go over to this configuration without dropping a connection.
    Reload(Box<Config>),
    /// Start the program that is to take over from this process.
    Upgrade,
}

/// Everything that the control thread needs.
pub struct Control {
    /// What it shows.
    pub pages: Pages,
    /// What tests may reach beside them.
    pub faults: Router,
    /// What it counts.
    pub counters: Arc<ProcessCounters>,
    /// Reopened at SIGHUP.
    pub access_log: Option<AccessLog>,
    /// Reads the configuration again.
    pub reload: Box<dyn Fn() -> Result<Config, ConfigErrors> + Send>,
    /// Takes commands. Called on the control thread; must not wait.
    pub on_command: Box<dyn FnMut(Command) + Send>,
}

/// The running control thread. It goes on while the data plane drains, so that whoever watches
/// sees that.
#[derive(Debug)]
pub struct ControlThread {
    /// Where it listens, with the port that a configured 0 became.
    pub address: SocketAddr,
    listener: ControlListener,
    finish: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// The control thread's listener, which can be closed while the thread goes on.
#[derive(Clone, Debug, Default)]
pub struct ControlListener(Arc<Notify>);

impl ControlListener {
    /// Takes no more connections, and ends those there are at request boundaries.
    pub fn close(&self) {
        self.0.notify_one();
    }
}

impl ControlThread {
    /// Its listener.
    #[must_use]
    pub fn listener(&self) -> ControlListener {
        self.listener.clone()
    }

    /// Ends the thread; what the access log has queued is written first.
    pub fn finish(self) {
        // A thread that is gone already needs no word.
        let _ = self.finish.send(());
        if self.thread.join().is_err() {
            tracing::error!("the control thread panicked");
        }
    }
}

impl Control {
    /// Takes over the signals and starts the thread, which serves on `socket`.
    ///
    /// # Errors
    ///
    /// If the system gives no runtime, signal or thread.
    pub fn start(self, socket: TcpListener) -> io::Result<ControlThread> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _context = runtime.enter();
            Signals::take()?
        };
        let (finish, finished) = oneshot::channel();
        let listener = ControlListener::default();
        let closed = listener.clone();
        let thread = thread::Builder::new().name("control".to_owned());
        let routes = router(self.pages.clone()).merge(self.faults.clone());
        let served = serve(socket, routes, closed);
        let thread = thread.spawn(move || runtime.block_on(self.run(served, signals, finished)))?;
        Ok(ControlThread { address, listener, finish, thread })
    }

    async fn run(
        mut self,
        served: impl Future<Output = io::Result<()>> + Send + 'static,
        mut signals: Signals,
        mut finished: oneshot::Receiver<()>,
    ) {
        tokio::spawn(async {
            if let Err(error) = served.await {
                tracing::error!(%error, "the control listener failed");
            }
        });
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => self.on_terminate(),
                _ = signals.interrupt.recv() => self.on_terminate(),
                _ = signals.hang_up.recv() => self.on_hang_up(),
                _ = signals.upgrade.recv() => self.on_upgrade(),
                _ = &mut finished => return,
            }
        }
    }

    fn on_terminate(&mut self) {
        tracing::info!("draining");
        (self.on_command)(Command::Drain);
    }

    fn on_upgrade(&mut self) {
        tracing::info!("another process is started to take over");
        (self.on_command)(Command::Upgrade);
    }

    fn on_hang_up(&mut self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
        match (self.reload)() {
            Ok(config) => {
                // Counted once it is carried out, or not.
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

/// Serves the pages until the listener is to close.
async fn serve(socket: TcpListener, routes: Router, closed: ControlListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let closed = async move { closed.0.notified().await };
    axum::serve(listener, routes).with_graceful_shutdown(closed).await
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    upgrade: Signal,
}

impl Signals {
    fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config;
    use crate::control::metrics::Registry;
    use crate::control::status::Status;
    use crate::units::InputNumber;
    use arc_swap::ArcSwap;
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::sync::Mutex;

    const CONFIG: &str = "[[channel]]\nid=\"a\"\n[[channel.input]]\nusername=\"u\"\n\
                          password=\"p\"\n[[endpoint]]\nid=\"e\"\nchannel=\"a\"\n\
                          [endpoint.hls_package]\n";

    fn parse(text: &str) -> Result<Config, ConfigErrors> {
        config::parse("h.toml", text, std::iter::empty())
    }

    /// A control plane that serves when `ready`, and the commands it gave.
    fn control(ready: bool, reload: &'static str) -> (Control, Arc<Mutex<Vec<Command>>>) {
        let commands = Arc::new(Mutex::new(Vec::new()));
        let given = Arc::clone(&commands);
        let mut status = Status::from_config(&parse(CONFIG).unwrap());
        status.readiness.ready = ready;
        let control = Control {
            pages: Pages {
                registry: Arc::new(ArcSwap::from_pointee(Registry::default())),
                status: Arc::new(move || status.clone()),
                switch: Arc::new(|channel, input| channel == "a" && input == InputNumber::TWO),
                timeline: Arc::new(|_| None),
            },
            faults: Router::new(),
            counters: Arc::default(),
            access_log: None,
            reload: Box::new(move || parse(reload)),
            on_command: Box::new(move |command| given.lock().unwrap().push(command)),
        };
        (control, commands)
    }

    fn socket() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    fn fetch(address: SocketAddr, path: &str) -> String {
        request(address, "GET", path)
    }

    fn request(address: SocketAddr, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn each_page_is_served() {
        let (control, commands) = control(true, "");
        let thread = control.start(socket()).unwrap();
        let cases = [
            ("/", "HTTP/1.1 200 OK", "<title>Headwater</title>"),
            ("/assets/console.js", "HTTP/1.1 200 OK", "sparkline"),
            ("/assets/shaka-player.js", "HTTP/1.1 200 OK", "Apache-2.0"),
            ("/metrics", "HTTP/1.1 200 OK", "headwater_build_info{version="),
            ("/healthz", "HTTP/1.1 200 OK", "ok"),
            ("/readyz", "HTTP/1.1 200 OK", "\"ready\":true"),
            ("/api/status", "HTTP/1.1 200 OK", "\"paths\":[\"/out/v1/e/index.m3u8\"]"),
            ("/nothing", "HTTP/1.1 404 Not Found", ""),
        ];
        for (path, status, text) in cases {
            let answer = fetch(thread.address, path);
            assert!(answer.starts_with(status), "{path}");
            assert!(answer.contains(text), "{path}");
        }
        thread.finish();
        assert!(commands.lock().unwrap().is_empty());
    }

    #[test]
    fn an_operator_may_have_another_input_lead() {
        let (control, _) = control(true, "");
        let thread = control.start(socket()).unwrap();
        for (path, status) in [
            ("/api/channels/a/switch?input=2", "202"),
            ("/api/channels/a/switch?input=1", "404"),
            ("/api/channels/b/switch?input=2", "404"),
            ("/api/channels/a/switch?input=3", "400"),
            ("/api/channels/a/switch", "400"),
        ] {
            let answer = request(thread.address, "POST", path);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        }
        assert!(
            fetch(thread.address, "/api/channels/a/switch?input=2").starts_with("HTTP/1.1 405 ")
        );
        thread.finish();
    }

    #[test]
    fn not_ready_is_said_with_a_status() {
        let (control, _) = control(false, "");
        let thread = control.start(socket()).unwrap();
        assert!(fetch(thread.address, "/readyz").starts_with("HTTP/1.1 503 "));
        thread.finish();
    }

    #[test]
    fn a_closed_listener_leaves_connections_to_whoever_has_the_socket_too() {
        let (control, _) = control(true, "");
        let (socket, closed) = (socket(), ControlListener::default());
        let passed = socket.try_clone().unwrap();
        socket.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        closed.close();
        runtime.block_on(serve(socket, router(control.pages), closed)).unwrap();
        let _client = TcpStream::connect(passed.local_addr().unwrap()).unwrap();
        passed.set_nonblocking(false).unwrap();
        passed.accept().unwrap();
    }

    #[test]
    fn a_good_configuration_is_handed_over_and_a_bad_one_refused() {
        let (mut good, commands) = control(true, CONFIG);
        good.on_hang_up();
        let expected = Command::Reload(Box::new(parse(CONFIG).unwrap()));
        assert_eq!(*commands.lock().unwrap(), [expected]);
        assert_eq!(good.counters.reloads.value(), 0, "nothing is carried out yet");
        let (mut bad, commands) = control(true, "nonsense = 1");
        bad.on_hang_up();
        assert!(commands.lock().unwrap().is_empty());
        assert_eq!(bad.counters.reloads_refused.value(), 1);
    }

    #[test]
    fn signals_are_commands() {
        let (mut control, commands) = control(true, "");
        control.on_terminate();
        control.on_upgrade();
        assert_eq!(*commands.lock().unwrap(), [Command::Drain, Command::Upgrade]);
    }
}
