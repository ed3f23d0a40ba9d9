//! From a configuration to channels and endpoints: rings are opened and read, and what runs keeps
//! running.

use crate::control::config::{self, Config};
use crate::engine::channel::ChannelConfig;
use crate::engine::channel::switching::Preference;
use crate::engine::endpoint::Endpoint;
use crate::http::digest::UserHashes;
use crate::limits::REOPENING_THREAD_COUNT;
use crate::ring::{Ring, RingConfig, RingError};
use crate::shard::owner;
use crate::shard::reopen::{Newest, RECORD_VERSION, ReopenError, Reopened};
use crate::shard::shared::{Adoption, Shared};
use crate::shard::site::{ChannelLive, ChannelSite, EndpointSite, InputUser, Site};
use crate::units::MediaTime;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Name of the protection space in challenges.
pub const REALM: &str = "headwater";
/// How long is waited for a ring that a channel just taken away, or another process, still has.
pub const RING_RELEASE_SPAN_MAX: Duration = Duration::from_secs(5);
/// Read back beyond what live manifests list: tracks are not listed in step.
const LIVE_SPAN_RESERVE_SECONDS: i64 = 30;
const RING_RELEASE_PAUSE_SPAN: Duration = Duration::from_millis(5);

/// A channel's ring cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("channel `{channel}`: {error}")]
pub struct ApplyError {
    /// The channel's id.
    pub channel: String,
    /// What is wrong with its ring.
    pub error: ReopenError,
}

/// What becomes of the rest where a ring cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// All stays as it was.
    FailsAll,
    /// The channel is refused, and the others run: for a process that starts, as long as there is
    /// one that runs, and as it is no lack of room.
    FailsChannel,
}

/// Makes the site that a configuration asks for. What runs keeps running: a channel of the same
/// id keeps its owner, its ring and what it has published. Where that fails, all stays as it was;
/// channels that were refused before stay so where their rings still cannot be read.
///
/// # Errors
///
/// [`ApplyError`].
pub fn apply(
    config: &Config,
    shared: &Shared,
    patience: Duration,
    unreadable: Unreadable,
) -> Result<(), ApplyError> {
    let before = shared.site.load_full();
    let mut fresh = Vec::new();
    let mut site = Site::default();
    for (index, channel) in config.channels.iter().enumerate() {
        let known = before.channels.get(&channel.id);
        let live = known.map_or_else(
            || ChannelLive::new(index % shared.shard_count()),
            |known| Arc::clone(&known.live),
        );
        let channel = Arc::new(channel_site(config, channel, live));
        if known.is_none_or(|known| known.live.is_refused()) {
            fresh.push(Arc::clone(&channel));
        }
        site.channels.insert(channel.id.to_string(), channel);
    }
    let (mut opened, failed) = reopen_all(&fresh, shared, patience);
    let may_go_on = |(site, error): &(Arc<ChannelSite>, ReopenError)| {
        let lacks_room =
            matches!(error, ReopenError::Ring(RingError::NoSpace { .. } | RingError::Layout(_)));
        site.live.is_refused() || (unreadable == Unreadable::FailsChannel && !lacks_room)
    };
    let nothing_runs = opened.is_empty() && before.channels.is_empty();
    let is_fatal = |failed: &_| nothing_runs || !may_go_on(failed);
    if let Some(at) = failed.iter().position(is_fatal) {
        let (site, error) = failed.into_iter().nth(at).expect("it was found there");
        return Err(ApplyError { channel: site.id.to_string(), error });
    }
    for adoption in &opened {
        refuse(&adoption.site, None);
    }
    for (site, error) in &failed {
        refuse(site, Some(error));
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

/// Refuses a channel because of an `error`, or lets it run.
fn refuse(site: &ChannelSite, error: Option<&ReopenError>) {
    if let Some(error) = error {
        tracing::error!(channel = %site.id, %error, "the channel is refused, others run");
    }
    site.live.is_refused.store(error.is_some(), Ordering::Release);
    site.live.counters.ring_refused.set(u64::from(error.is_some()));
}

/// Channels whose rings could not be opened.
type Failed = Vec<(Arc<ChannelSite>, ReopenError)>;

/// Reopens channels, some of them at a time: their rings wait for the disk, and for a core each.
fn reopen_all(
    channels: &[Arc<ChannelSite>],
    shared: &Shared,
    patience: Duration,
) -> (Vec<Adoption>, Failed) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut ended = Vec::new();
        while let Some(site) = channels.get(next.fetch_add(1, Ordering::Relaxed)) {
            ended.push((Arc::clone(site), reopen(site, shared, patience)));
        }
        ended
    };
    let ended: Vec<Vec<_>> = thread::scope(|scope| {
        let count = channels.len().min(REOPENING_THREAD_COUNT);
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ended.map(|ended| ended.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let (mut opened, mut failed) = (Vec::new(), Failed::new());
    for (site, reopened) in ended.into_iter().flatten() {
        match reopened {
            Ok(reopened) => opened.push(Adoption { site, reopened, lost: None }),
            Err(error) => failed.push((site, error)),
        }
    }
    (opened, failed)
}

fn reopen(
    channel: &ChannelSite,
    shared: &Shared,
    patience: Duration,
) -> Result<Reopened, ReopenError> {
    let begun = Instant::now();
    let deadline = begun + patience;
    let (ring, recovered) = loop {
        let tenure = channel.live.placement.tenure();
        let mut newest = Newest::of(channel.live_span);
        let is_enough = |held: &_| newest.is_enough(held);
        match Ring::open_newest(&channel.ring, &shared.storage, tenure, is_enough) {
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
    let reopened = Reopened::new(channel, ring, &recovered, owner::now());
    channel.live.counters.ring_recovery_us.set_span(begun.elapsed());
    reopened
}

/// What the live manifests of a channel's endpoints list, with what they are behind the edge, and
/// two joined segments of twice their duration more.
fn live_span(endpoints: &[&Endpoint]) -> MediaTime {
    let seconds = |endpoint: &&Endpoint| {
        let listed = i64::from(endpoint.window_seconds_max());
        let joins = i64::from(endpoint.segment_duration_seconds()) * 4;
        listed + i64::from(endpoint.time_delay_seconds) + joins
    };
    let longest = endpoints.iter().map(seconds).max().unwrap_or(0);
    MediaTime((longest + LIVE_SPAN_RESERVE_SECONDS) * 90_000)
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
        live_span: live_span(&endpoints),
        ring: RingConfig {
            dir: config.storage.dir.join(&channel.id),
            size: channel.ring_bytes,
            body_size_max: channel.segment_bytes_max,
            content_version: RECORD_VERSION,
            durability: channel.durability,
        },
        bodies_per_second: channel.bodies_per_second,
        bits_per_second: channel.bits_per_second,
        live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::InputNumber;

    #[test]
    fn a_channel_is_told_which_input_is_preferred() {
        for (keys, input, fail_back) in [
            ("", None, false),
            ("preferred_input=1\n", Some(InputNumber::ONE), false),
            ("preferred_input=2\nfail_back=true\n", Some(InputNumber::TWO), true),
        ] {
            let users = ["u", "v"]
                .map(|name| format!("[[channel.input]]\nusername=\"{name}\"\npassword=\"p\"\n"));
            let text = format!("[[channel]]\nid=\"a\"\n{keys}{}", users.concat());
            let config = config::parse("h.toml", &text, std::iter::empty()).unwrap();
            let site = channel_site(&config, &config.channels[0], ChannelLive::new(0));
            assert_eq!(site.timeline.preference, Preference { input, fail_back }, "{keys}");
        }
    }
}
