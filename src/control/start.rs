//! From a configuration to a running origin: rings are opened, shards started, and both watched
//! until they have drained.

use crate::control::access_log::AccessLog;
use crate::control::cli;
use crate::control::config::{self, Config, ConfigErrors};
use crate::control::http::{Pages, SwitchInput};
use crate::control::lifecycle::{Command, Control, ControlThread};
use crate::control::metrics::{ProcessCounters, Registry};
use crate::control::shards::Shards;
use crate::control::status::{Readiness, Status};
use crate::control::{faults, log, rates};
use crate::engine::channel::ChannelConfig;
use crate::engine::channel::switching::Preference;
use crate::engine::endpoint::Endpoint;
use crate::http::digest::{Authenticator, DigestPolicy, NONCE_LIFETIME, UserHashes};
use crate::limits::{
    CONNECTION_COUNT_MAX, CONNECTION_COUNT_MIN, DESCRIPTOR_COUNT_KEPT, RELOAD_COUNT_MAX,
    STORAGE_THREAD_COUNT,
};
use crate::ring::{Ring, RingConfig, RingError, Storage, plan_files};
use crate::shard::listener::listen;
use crate::shard::made::{Give, Made};
use crate::shard::member::{Member, Role, Standing};
use crate::shard::owner;
use crate::shard::playback::MadeShelves;
use crate::shard::reopen::{RECORD_VERSION, ReopenError, Reopened};
use crate::shard::rt;
use crate::shard::shared::{Adoption, Shared};
use crate::shard::site::{ChannelLive, ChannelSite, EndpointSite, InputUser, Site};
use crate::shard::succession::Watch;
use crate::units::MediaTime;
use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long storage may take to end its jobs once all shards have drained.
const STORAGE_FLUSH_SPAN_MAX: Duration = Duration::from_secs(30);
/// How long a reload waits for a ring that a channel just taken away still has.
const RING_RELEASE_SPAN_MAX: Duration = Duration::from_secs(5);
const RING_RELEASE_PAUSE_SPAN: Duration = Duration::from_millis(50);

/// Name of the protection space in challenges.
const REALM: &str = "headwater";

/// Why the origin does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("listening on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// A channel's ring cannot be opened.
    #[error("channel `{channel}`: {error}")]
    Channel {
        /// The channel's id.
        channel: String,
        /// What is wrong with its ring.
        error: ReopenError,
    },
    /// The cache rings cannot be made.
    #[error("storage.cache: {error}")]
    Cache {
        /// What is wrong.
        error: RingError,
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

/// `headwater serve`: runs until drained.
#[must_use]
pub fn serve(file: Option<PathBuf>) -> ExitCode {
    let config = match cli::load_config(file.as_deref()) {
        Ok(config) => config,
        Err(errors) => return cli::refuse(&errors),
    };
    match start(&config, file) {
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
    control: ControlThread,
    storage: Arc<Storage>,
}

impl Running {
    fn wait(self) -> ExitCode {
        let well = self.shards.wait();
        self.watch.finish();
        let is_flushed = self.storage.flush(STORAGE_FLUSH_SPAN_MAX);
        if !is_flushed {
            tracing::error!("storage did not end its jobs in time");
        }
        let well = well && is_flushed;
        self.control.finish();
        tracing::info!("ended");
        if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn start(config: &Config, file: Option<PathBuf>) -> Result<Running, StartError> {
    let counters = Arc::new(ProcessCounters::default());
    log::install(&config.log, Arc::clone(&counters)).map_err(system("starting the log"))?;
    let shards = match config.server.shards {
        0 => rt::shard_count(),
        count => usize::from(count),
    };
    let storage = Storage::start(STORAGE_THREAD_COUNT).map_err(system("storage threads"))?;
    let authenticator = authenticator(config)?;
    let listeners: Result<Vec<_>, _> = (0..shards).map(|_| listeners(config)).collect();
    let shared = Shared::new(
        listeners?,
        authenticator,
        Arc::clone(&storage),
        shelves(config, &storage)?,
        config.storage.sync_interval,
        connection_count_max(config)?,
    );
    apply(config, &shared, Duration::ZERO)?;
    let control = control(config, file, &shared, counters)?;
    let watch = Watch::start(&shared).map_err(system("the thread that watches the shards"))?;
    let storage = Arc::clone(&shared.storage);
    let shards = Shards::start(shared).map_err(system("shard threads"))?;
    Ok(Running { shards, watch, control, storage })
}

fn listeners(config: &Config) -> Result<Vec<(Role, std::net::TcpListener)>, StartError> {
    let apart = !config.server.ingest_http.is_empty();
    let delivery = if apart { Role::Delivery } else { Role::Both };
    let delivery = config.server.http.iter().map(|&address| (delivery, address));
    let ingest = config.server.ingest_http.iter().map(|&address| (Role::Ingest, address));
    let bind = |(role, address)| match listen(address) {
        Ok(listener) => Ok((role, listener)),
        Err(error) => Err(StartError::Listen { address, error }),
    };
    delivery.chain(ingest).map(bind).collect()
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

/// The cache rings, half of the cache each. No channel id begins with a dot.
fn shelves(config: &Config, storage: &Arc<Storage>) -> Result<MadeShelves, StartError> {
    let size = config.storage.cache_bytes / 2;
    let open = |name: &str, give: Give| {
        let made = Made::open(&config.storage.dir.join(name), size, storage, give);
        made.map(Arc::new).map_err(|error| StartError::Cache { error })
    };
    Ok(MadeShelves {
        live: open(".cache-live", Storage::make)?,
        // What lies behind the live window is cold as a rule: it waits among the cold ranges.
        catch_up: open(".cache-catch-up", Storage::read)?,
    })
}

fn authenticator(config: &Config) -> Result<Authenticator, StartError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| StartError::System { what: "randomness", error: error.into() })?;
    let policy = DigestPolicy {
        algorithms: config.server.digest.clone(),
        realm: REALM.to_owned(),
        nonce_lifetime: NONCE_LIFETIME,
    };
    Ok(Authenticator::new(policy, &secret))
}

fn control(
    config: &Config,
    file: Option<PathBuf>,
    shared: &Arc<Shared>,
    counters: Arc<ProcessCounters>,
) -> Result<ControlThread, StartError> {
    let access_log = match &config.access_log {
        Some(path) => {
            let log = AccessLog::start(path, shared.access.clone(), Arc::clone(&counters));
            Some(log.map_err(system("opening the access log"))?)
        }
        None => None,
    };
    let registry = Arc::new(ArcSwap::from_pointee(registry(shared, &counters)));
    let shown = Arc::new(ArcSwap::from_pointee(config.clone()));
    let status = {
        let (shared, shown) = (Arc::clone(shared), Arc::clone(&shown));
        let rates = rates::Rates::default();
        Arc::new(move || status(&shown.load(), &shared, &rates))
    };
    let switch: SwitchInput = {
        let shared = Arc::clone(shared);
        Arc::new(move |channel, input| {
            let site = shared.site.load();
            let channel = site.channels.get(channel);
            let channel = channel.filter(|it| it.users[input.index()].is_some());
            channel.map(|channel| channel.live.want_input(input)).is_some()
        })
    };
    let pages = Pages { registry: Arc::clone(&registry), status, switch };
    let reloads = {
        let (shared, counters) = (Arc::clone(shared), Arc::clone(&counters));
        reloading(move |mut config: Config| {
            for key in config.keep_running(&shown.load()) {
                tracing::warn!(key, "changed, which needs a restart; the old value stays");
            }
            match apply(&config, &shared, RING_RELEASE_SPAN_MAX) {
                Ok(()) => {
                    registry.store(Arc::new(self::registry(&shared, &counters)));
                    shown.store(Arc::new(config));
                    counters.reloads.add(1);
                    tracing::info!("configuration reloaded");
                }
                Err(error) => {
                    counters.reloads_refused.add(1);
                    tracing::error!(%error, "configuration refused, the old one stays");
                }
            }
        })
        .map_err(system("reload thread"))?
    };
    let on_command = {
        let (shared, counters) = (Arc::clone(shared), Arc::clone(&counters));
        move |command| match command {
            // Who asks twice does not want to wait.
            Command::Drain if shared.draining.swap(true, Ordering::AcqRel) => {
                shared.hurrying.store(true, Ordering::Release);
            }
            Command::Drain => {}
            Command::Reload(config) => {
                if reloads.try_send(*config).is_err() {
                    counters.reloads_refused.add(1);
                    tracing::error!("reload refused: others are under way");
                }
            }
        }
    };
    let reload = move || -> Result<Config, ConfigErrors> { cli::load_config(file.as_deref()) };
    let control = Control {
        listen: config.control.listen,
        pages,
        faults: faults::router(Arc::clone(shared)),
        counters,
        access_log,
        reload: Box::new(reload),
        on_command: Box::new(on_command),
    };
    control.start().map_err(|error| StartError::Listen { address: config.control.listen, error })
}

/// A thread that carries reloads out one after another: rings are made and read there, so that
/// neither the control thread nor a shard waits. It ends with the sender.
fn reloading(
    mut reload: impl FnMut(Config) + Send + 'static,
) -> io::Result<mpsc::SyncSender<Config>> {
    let (sender, configs) = mpsc::sync_channel(RELOAD_COUNT_MAX);
    let thread = thread::Builder::new().name("reload".to_owned());
    thread.spawn(move || configs.into_iter().for_each(&mut reload))?;
    Ok(sender)
}

/// Makes the site that a configuration asks for. What runs keeps running: a channel of the same
/// id keeps its owner, its ring and what it has published. Where that fails, all stays as it was.
fn apply(config: &Config, shared: &Shared, patience: Duration) -> Result<(), StartError> {
    let before = shared.site.load_full();
    let mut opened = Vec::new();
    let mut site = Site::default();
    for (index, channel) in config.channels.iter().enumerate() {
        let known = before.channels.get(&channel.id);
        let live = known.map_or_else(
            || ChannelLive::new(index % shared.shard_count()),
            |known| Arc::clone(&known.live),
        );
        let channel = Arc::new(channel_site(config, channel, live));
        if known.is_none() {
            let reopened = reopen(&channel, shared, patience)
                .map_err(|error| StartError::Channel { channel: channel.id.to_string(), error })?;
            opened.push(Adoption { site: Arc::clone(&channel), reopened, lost: None });
        }
        site.channels.insert(channel.id.to_string(), channel);
    }
    for endpoint in &config.endpoints {
        let Some(channel) = site.channels.get(&endpoint.channel) else { continue };
        let counters = before.endpoints.get(&endpoint.id).map_or_else(
            || (0..shared.shard_count()).map(|_| Arc::default()).collect(),
            |known| known.counters.clone(),
        );
        let endpoint = EndpointSite {
            id: endpoint.id.as_str().into(),
            channel: Arc::clone(channel),
            endpoint: endpoint.clone(),
            counters,
        };
        site.endpoints.insert(endpoint.id.to_string(), Arc::new(endpoint));
    }
    shared.site.store(Arc::new(site));
    shared.adoptions.lock().unwrap_or_else(PoisonError::into_inner).append(&mut opened);
    Ok(())
}

fn reopen(
    channel: &ChannelSite,
    shared: &Shared,
    patience: Duration,
) -> Result<Reopened, ReopenError> {
    let deadline = Instant::now() + patience;
    let (ring, recovered) = loop {
        match Ring::open(&channel.ring, &shared.storage, channel.live.placement.tenure()) {
            Err(RingError::Locked { .. }) if Instant::now() < deadline => {
                thread::sleep(RING_RELEASE_PAUSE_SPAN);
            }
            opened => break opened?,
        }
    };
    let records = recovered.records.len();
    if records > 0 {
        let damage = &recovered.damage;
        tracing::info!(channel = %channel.id, records, ?damage, "ring read back");
    }
    Reopened::new(channel, ring, &recovered, owner::now())
}

fn channel_site(config: &Config, channel: &config::Channel, live: Arc<ChannelLive>) -> ChannelSite {
    let user = |credentials: &config::Credentials| InputUser {
        name: credentials.username.clone(),
        hashes: UserHashes::new(&credentials.username, REALM, &credentials.password),
    };
    let endpoints: Vec<&Endpoint> =
        config.endpoints.iter().filter(|endpoint| endpoint.channel == channel.id).collect();
    let window = endpoints.iter().map(|endpoint| endpoint.window_seconds_max()).max();
    let mut join_seconds: Vec<u32> =
        endpoints.iter().map(|endpoint| endpoint.segment_duration_seconds()).collect();
    join_seconds.sort_unstable();
    join_seconds.dedup();
    let period =
        channel.segment.map(|segment| (u64::from(segment.ticks) * 90_000, segment.timescale));
    ChannelSite {
        id: channel.id.as_str().into(),
        users: [channel.inputs.first().map(user), channel.inputs.get(1).map(user)],
        timeline: ChannelConfig {
            period,
            join_seconds,
            window: MediaTime(i64::from(window.unwrap_or(60)) * 90_000),
            preference: Preference { input: channel.preferred_input, fail_back: channel.fail_back },
        },
        ring: RingConfig {
            dir: config.storage.dir.join(&channel.id),
            size: channel.ring_bytes,
            body_size_max: channel.segment_bytes_max,
            content_version: RECORD_VERSION,
        },
        bodies_per_second: channel.bodies_per_second,
        bits_per_second: channel.bits_per_second,
        live,
    }
}

fn registry(shared: &Shared, process: &Arc<ProcessCounters>) -> Registry {
    let site = shared.site.load();
    let channels = site.channels.iter();
    let endpoints = site.endpoints.iter();
    Registry {
        shards: shared.counters.clone(),
        channels: channels
            .map(|(id, channel)| (id.clone(), Arc::clone(&channel.live.counters)))
            .collect(),
        endpoints: endpoints
            .map(|(id, endpoint)| (id.clone(), endpoint.counters.clone()))
            .collect(),
        process: Arc::clone(process),
    }
}

fn status(config: &Config, shared: &Shared, rates: &rates::Rates) -> Status {
    let mut status = Status::from_config(config);
    // What a lost shard had is served by others.
    let away = |member: &Member| member.standing() == Standing::Away;
    let is_whole = !shared.members.iter().any(away);
    let draining = shared.draining.load(Ordering::Acquire);
    let driver = shared.driver.lock().unwrap_or_else(PoisonError::into_inner);
    status.readiness = Readiness {
        ready: is_whole && !draining,
        shards_serving: shared.serving().count(),
        shards: shared.shard_count(),
        driver: driver.map(|driver| driver.to_string()).unwrap_or_default(),
    };
    let site = shared.site.load();
    for shown in &mut status.channels {
        if let Some(channel) = site.channels.get(&shown.id) {
            rates.fill(shown, &channel.live.counters);
            let published = channel.live.published.load();
            let is_listed = published.presentation.edge().is_some();
            shown.edge_age_seconds =
                is_listed.then(|| published.edge_age.at(rt::now()).as_secs_f64());
        }
    }
    for shown in &mut status.endpoints {
        if let Some(endpoint) = site.endpoints.get(&shown.id) {
            shown.stale = endpoint.is_stale(&endpoint.channel.live.published.load(), rt::now());
        }
    }
    status
}
