//! From a configuration to a running origin: everything is prepared, then the channels are read,
//! or taken over from the running process, then it serves until it has drained or handed on.

use crate::control::apply::{ApplyError, REALM, RING_RELEASE_SPAN_MAX, Unreadable, apply};
use crate::control::config::Config;
use crate::control::lifecycle::ControlThread;
use crate::control::metrics::ProcessCounters;
use crate::control::plane::Plane;
use crate::control::shards::Shards;
use crate::control::sockets::{ListenError, Sockets};
use crate::control::storage_lock::{StorageLock, StorageLockError};
use crate::control::takeover::{
    Estate, Incumbent, IncumbentThread, Inheritance, Predecessor, TakeoverError,
};
use crate::control::{cache, cli, crash_journal, log, supervisor};
use crate::http::digest::{Authenticator, DigestPolicy, NONCE_LIFETIME};
use crate::limits::{
    CONNECTION_COUNT_MAX, CONNECTION_COUNT_MIN, DESCRIPTOR_COUNT_KEPT, STORAGE_THREAD_COUNT,
};
use crate::ring::{RingError, Storage, plan_files};
use crate::shard::changeover::Phase;
use crate::shard::made::Made;
use crate::shard::rt;
use crate::shard::shared::Shared;
use crate::shard::succession::Watch;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long storage may take to end its jobs once all shards have drained.
const STORAGE_FLUSH_SPAN_MAX: Duration = Duration::from_secs(30);
/// How long shards may take to set up their drivers.
const PREPARE_SPAN_MAX: Duration = Duration::from_secs(10);
/// How long channels may take to publish what was read back; after that they do so behind. Nobody
/// is told before that there is nothing.
const PUBLISH_SPAN_MAX: Duration = Duration::from_secs(2);
/// How long older ring files may take to be read before another process ends: pushes wait for it.
const FILL_SPAN_MAX: Duration = Duration::from_secs(2);
const LOOK_SPAN: Duration = Duration::from_millis(2);

/// Why the origin does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A channel's ring cannot be opened.
    #[error(transparent)]
    Channel(#[from] ApplyError),
    /// Another process has the directory.
    #[error(transparent)]
    StorageLock(#[from] StorageLockError),
    /// The running process goes on.
    #[error("takeover: {0}")]
    Takeover(#[from] TakeoverError),
    /// The cache rings cannot be made.
    #[error("storage.cache: {0}")]
    Cache(#[from] RingError),
    /// Shards did not set up their drivers.
    #[error("{prepared} of {shards} shards run")]
    Shards {
        /// Shards that run.
        prepared: usize,
        /// Shards there should be.
        shards: usize,
    },
    /// The process may have too few descriptors for its rings and a few connections.
    #[error("the limit of open files (ulimit -n) is {limit}; at least {needed} are needed")]
    Descriptors {
        /// Descriptors that it may have.
        limit: u64,
        /// Descriptors that would do.
        needed: u64,
    },
    /// Threads, randomness or the log's writer cannot be had.
    #[error("{what}: {error}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::System { what, error }
}

/// `headwater serve`: runs until drained, or handed on. Where `takes_over`, from the process that
/// serves from the same `storage.dir`.
#[must_use]
pub fn serve(file: Option<PathBuf>, takes_over: bool) -> ExitCode {
    let config = match cli::load_config(file.as_deref()) {
        Ok(config) => config,
        Err(errors) => return cli::refuse(&errors),
    };
    match start(&config, file, takes_over) {
        Ok(running) => running.wait(),
        Err(error) => {
            eprintln!("headwater: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A running origin.
struct Running {
    shards: Shards,
    watch: Watch,
    shared: Arc<Shared>,
    control: ControlThread,
    /// Absent where `storage.dir` takes no socket.
    incumbent: Option<IncumbentThread>,
    /// The folder of the cache rings.
    cache: PathBuf,
}

impl Running {
    fn wait(self) -> ExitCode {
        let well = self.shards.wait();
        self.watch.finish();
        let is_flushed = self.shared.storage.flush(STORAGE_FLUSH_SPAN_MAX);
        if !is_flushed {
            tracing::error!("storage did not end its jobs in time");
        }
        let well = well && is_flushed;
        if self.shared.changeover.phase() == Phase::HandedOn {
            if let Some(incumbent) = self.incumbent {
                incumbent.finish();
            }
            cache::remove(&self.cache);
        }
        self.control.finish();
        tracing::info!("ended");
        if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn start(config: &Config, file: Option<PathBuf>, takes_over: bool) -> Result<Running, StartError> {
    let counters = Arc::new(ProcessCounters::default());
    log::install(&config.log, Arc::clone(&counters)).map_err(system("starting the log"))?;
    let (mut predecessor, inheritance) = inherit(&config.storage.dir, takes_over)?;
    let Prepared { estate, sockets, shared, shards, watch } = prepare(config, inheritance)?;
    counters.takeovers.set(estate.takeovers);
    if let Some(predecessor) = &mut predecessor {
        let replays = predecessor.ask()?;
        if !shared.authenticator.replay_window().go_on_from(replays) {
            tracing::warn!("which nonces were used is lost: they may be used once more");
        }
    }
    let patience = predecessor.as_ref().map_or(Duration::ZERO, |_| RING_RELEASE_SPAN_MAX);
    // Where there is a process that serves, it goes on unless this one can all do that it does.
    let takes_over = predecessor.is_some();
    let unreadable = if takes_over { Unreadable::FailsAll } else { Unreadable::FailsChannel };
    apply(config, &shared, patience, unreadable)?;
    shared.changeover.enter(Phase::Adopting);
    await_within(PUBLISH_SPAN_MAX, || shared.has_published_since(0));
    if takes_over {
        // What the other process serves meanwhile, this one would refuse.
        await_within(FILL_SPAN_MAX, || !shared.is_filling());
    }
    let steering = Arc::new(Mutex::new(()));
    let plane = Plane {
        config: config.clone(),
        file,
        shared: Arc::clone(&shared),
        counters: Arc::clone(&counters),
        socket: sockets.control,
        steering: Arc::clone(&steering),
    };
    let control = plane.start().map_err(system("control plane"))?;
    match predecessor {
        None => sockets.unheard.listen()?,
        Some(predecessor) => {
            let arrivals = predecessor.take();
            // There is nobody else to serve from here on: what fails is told.
            if let Err(error) = sockets.unheard.listen() {
                tracing::error!(%error, "an address is not served");
            }
            arrivals.start(&shared);
        }
    }
    shared.changeover.enter(Phase::Owning);
    let dir = &config.storage.dir;
    let cache = cache::folder(dir, estate.takeovers);
    let incumbent = Incumbent {
        shared: Arc::clone(&shared),
        control: control.listener(),
        sockets: sockets.all,
        cache_of_successor: cache::folder(dir, estate.takeovers.saturating_add(1)),
        steering,
        counters,
        estate,
    };
    let incumbent = incumbent.start(dir);
    supervisor::notify_serving();
    Ok(Running { shards, watch, shared, control, incumbent, cache })
}

/// What another process passes on, or a fresh beginning.
fn inherit(dir: &Path, takes_over: bool) -> Result<(Option<Predecessor>, Inheritance), StartError> {
    if takes_over {
        let (predecessor, inheritance) = Predecessor::find(dir)?;
        return Ok((Some(predecessor), inheritance));
    }
    let lock = Arc::new(StorageLock::take(dir)?);
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| StartError::System { what: "randomness", error: error.into() })?;
    let estate = Estate { lock, secret, takeovers: 0 };
    Ok((None, Inheritance { estate, sockets: Vec::new() }))
}

/// All but the channels.
struct Prepared {
    estate: Estate,
    sockets: Sockets,
    shared: Arc<Shared>,
    shards: Shards,
    watch: Watch,
}

fn prepare(config: &Config, inheritance: Inheritance) -> Result<Prepared, StartError> {
    let Inheritance { estate, sockets } = inheritance;
    let shards = match config.server.shards {
        0 => rt::shard_count(),
        count => usize::from(count),
    };
    let mut sockets = Sockets::prepare(config, shards, sockets)?;
    let storage = Storage::start(STORAGE_THREAD_COUNT).map_err(system("storage threads"))?;
    let policy = DigestPolicy {
        algorithms: config.server.digest.clone(),
        realm: REALM.to_owned(),
        nonce_lifetime: NONCE_LIFETIME,
    };
    let shared = Shared::new(
        std::mem::take(&mut sockets.shards),
        Authenticator::new(policy, &estate.secret),
        Arc::clone(&storage),
        cache::open(config, estate.takeovers, &storage)?,
        config.storage.sync_interval,
        connection_count_max(config)?,
    );
    crash_journal::go_on(&config.storage.dir, &shared.quarantine);
    let watch = Watch::start(&shared).map_err(system("the thread that watches the shards"))?;
    let shards = Shards::start(Arc::clone(&shared)).map_err(system("shard threads"))?;
    await_shards(&shared)?;
    Ok(Prepared { estate, sockets, shared, shards, watch })
}

/// Connections that leave enough descriptors for everything else, so that a crowd of viewers takes
/// none away from a ring that begins a file.
fn connection_count_max(config: &Config) -> Result<usize, StartError> {
    let limit = rt::raise_descriptor_limit().map_err(system("the limit of descriptors"))?;
    let cache = config.storage.cache_bytes / 2;
    let rings = config.channels.iter().map(|it| (it.ring_bytes, it.segment_bytes_max));
    let rings = rings.chain([(cache, Made::value_size_max(cache)); 2]);
    // What cannot be laid out is told where it is opened.
    let files: u64 =
        rings.filter_map(|(size, body)| Some(plan_files(size, body).ok()?.count)).sum();
    let others = files + DESCRIPTOR_COUNT_KEPT as u64;
    let left = usize::try_from(limit.saturating_sub(others)).unwrap_or(usize::MAX);
    if left < CONNECTION_COUNT_MIN {
        return Err(StartError::Descriptors {
            limit,
            needed: others + CONNECTION_COUNT_MIN as u64,
        });
    }
    Ok(left.min(CONNECTION_COUNT_MAX))
}

/// Waits until every shard's runtime runs.
fn await_shards(shared: &Shared) -> Result<(), StartError> {
    let (shards, deadline) = (shared.shard_count(), Instant::now() + PREPARE_SPAN_MAX);
    loop {
        let prepared = shared.prepared.load(Ordering::Acquire);
        if prepared >= shards {
            return Ok(());
        }
        if Instant::now() >= deadline || shared.draining.load(Ordering::Acquire) {
            return Err(StartError::Shards { prepared, shards });
        }
        thread::sleep(LOOK_SPAN);
    }
}

/// Waits until `is_done`, as long as that may take.
fn await_within(span: Duration, is_done: impl Fn() -> bool) {
    let deadline = Instant::now() + span;
    while !is_done() && Instant::now() < deadline {
        thread::sleep(LOOK_SPAN);
    }
}
