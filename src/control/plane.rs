//! What the control thread is given: the pages' sources, what carries out its commands, and the
//! thread that reloads.

use crate::control::access_log::AccessLog;
use crate::control::apply::{RING_RELEASE_SPAN_MAX, Unreadable, apply};
use crate::control::cli;
use crate::control::config::Config;
use crate::control::faults;
use crate::control::http::Pages;
use crate::control::lifecycle::{Command, Control, ControlThread};
use crate::control::metrics::{ProcessCounters, Registry};
use crate::control::rates::Rates;
use crate::control::status::{Readiness, Status};
use crate::control::takeover::start_successor;
use crate::control::timeline::Timeline;
use crate::limits::RELOAD_COUNT_MAX;
use crate::shard::changeover::Phase;
use crate::shard::member::{Member, Standing};
use crate::shard::rt;
use crate::shard::shared::Shared;
use crate::shard::site::ChannelLive;
use crate::units::InputNumber;
use arc_swap::ArcSwap;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// What the control plane is made of.
pub struct Plane {
    /// The configuration.
    pub config: Config,
    /// Its file, as given.
    pub file: Option<PathBuf>,
    /// The shards.
    pub shared: Arc<Shared>,
    /// What is counted.
    pub counters: Arc<ProcessCounters>,
    /// Its listening socket.
    pub socket: TcpListener,
    /// Held while channels are being changed.
    pub steering: Arc<Mutex<()>>,
}

impl Plane {
    /// Starts the control thread, and the one that carries out reloads.
    ///
    /// # Errors
    ///
    /// Where the access log cannot be opened, or there is no thread, runtime or signal to be had.
    pub fn start(self) -> io::Result<ControlThread> {
        let Self { config, file, shared, counters, socket, steering } = self;
        let access_log = match &config.access_log {
            Some(path) => {
                let log = AccessLog::start(path, shared.access.clone(), Arc::clone(&counters));
                Some(log?)
            }
            None => None,
        };
        let registry = Arc::new(ArcSwap::from_pointee(registry(&shared, &counters)));
        let shown = Arc::new(ArcSwap::from_pointee(config));
        let rates = Arc::<Rates>::default();
        let pages = pages(&shared, &registry, &shown, &rates);
        let reload = Reload {
            shared: Arc::clone(&shared),
            counters: Arc::clone(&counters),
            registry,
            shown,
            rates,
            steering,
        };
        let reloads = reloading(move |config| reload.carry_out(config))?;
        let faults = faults::router(Arc::clone(&shared));
        let refused = Arc::clone(&counters);
        let on_command = move |command| match command {
            // Who asks twice does not want to wait.
            Command::Drain if shared.draining.swap(true, Ordering::AcqRel) => {
                shared.hurrying.store(true, Ordering::Release);
            }
            Command::Drain => {}
            Command::Reload(config) => {
                if reloads.try_send(*config).is_err() {
                    refused.reloads_refused.add(1);
                    tracing::error!("reload refused: others are under way");
                }
            }
            Command::Upgrade => {
                if let Err(error) = start_successor() {
                    refused.takeovers_failed.add(1);
                    tracing::error!(%error, "the program cannot be started to take over");
                }
            }
        };
        let control = Control {
            pages,
            faults,
            counters,
            access_log,
            reload: Box::new(move || cli::load_config(file.as_deref())),
            on_command: Box::new(on_command),
        };
        control.start(socket)
    }
}

/// What carries a reload out.
struct Reload {
    shared: Arc<Shared>,
    counters: Arc<ProcessCounters>,
    registry: Arc<ArcSwap<Registry>>,
    shown: Arc<ArcSwap<Config>>,
    rates: Arc<Rates>,
    steering: Arc<Mutex<()>>,
}

impl Reload {
    fn carry_out(&self, mut config: Config) {
        let _steering = self.steering.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.changeover.phase() != Phase::Owning {
            self.counters.reloads_refused.add(1);
            tracing::warn!("reload refused: the channels are another process's");
            return;
        }
        for key in config.keep_running(&self.shown.load()) {
            tracing::warn!(key, "changed, which needs a restart; the old value stays");
        }
        match apply(&config, &self.shared, RING_RELEASE_SPAN_MAX, Unreadable::FailsAll) {
            Ok(()) => {
                self.registry.store(Arc::new(registry(&self.shared, &self.counters)));
                let is_kept = |id: &str| config.channels.iter().any(|channel| channel.id == id);
                self.rates.retain(is_kept);
                self.shown.store(Arc::new(config));
                self.counters.reloads.add(1);
                tracing::info!("configuration reloaded");
            }
            Err(error) => {
                self.counters.reloads_refused.add(1);
                tracing::error!(%error, "configuration refused, the old one stays");
            }
        }
    }
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

fn pages(
    shared: &Arc<Shared>,
    registry: &Arc<ArcSwap<Registry>>,
    shown: &Arc<ArcSwap<Config>>,
    rates: &Arc<Rates>,
) -> Pages {
    let status = {
        let (shared, shown, rates) = (Arc::clone(shared), Arc::clone(shown), Arc::clone(rates));
        Arc::new(move || status(&shown.load(), &shared, &rates))
    };
    let timeline = {
        let shared = Arc::clone(shared);
        Arc::new(move |id: &str| timeline(&shared, id))
    };
    let switch = {
        let shared = Arc::clone(shared);
        Arc::new(move |id: &str, input| want_input(&shared, id, input))
    };
    Pages { registry: Arc::clone(registry), status, timeline, switch }
}

fn want_input(shared: &Shared, id: &str, input: InputNumber) -> bool {
    let site = shared.site.load();
    let channel = site.channels.get(id).filter(|it| it.users[input.index()].is_some());
    channel.map(|channel| channel.live.want_input(input)).is_some()
}

fn timeline(shared: &Shared, id: &str) -> Option<Timeline> {
    let site = shared.site.load();
    let channel = site.channels.get(id)?;
    let inputs = channel.users.iter().flatten().count();
    let edge_age = channel.live.published.load().edge_age.at(rt::now());
    Some(Timeline::new(&channel.live.history.load(), inputs, edge_age))
}

fn status(config: &Config, shared: &Shared, rates: &Rates) -> Status {
    let mut status = Status::from_config(config);
    // What a lost shard had is served by others.
    let away = |member: &Member| member.standing() == Standing::Away;
    let is_whole = !shared.members.iter().any(away);
    let draining = shared.draining.load(Ordering::Acquire);
    let driver = shared.driver.lock().unwrap_or_else(PoisonError::into_inner);
    let site = shared.site.load();
    let channels = |is: fn(&ChannelLive) -> bool| {
        let channels = site.channels.values().filter(|channel| is(&channel.live));
        channels.map(|channel| channel.id.to_string()).collect()
    };
    status.readiness = Readiness {
        channels_filling: channels(|live| live.is_filling.load(Ordering::Acquire)),
        channels_refused: channels(ChannelLive::is_refused),
        ready: is_whole && !draining,
        shards_serving: shared.serving().count(),
        shards: shared.shard_count(),
        driver: driver.map(|driver| driver.to_string()).unwrap_or_default(),
    };
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
            let published = endpoint.channel.live.published.load();
            shown.stale = published.is_older(endpoint.stale_limit(&published), rt::now());
        }
    }
    status
}
