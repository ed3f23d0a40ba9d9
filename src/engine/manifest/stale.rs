//! How long a live manifest may stay as it is before it misleads: the media side of the stale
//! limit. When the edge moved last is known to who has a clock.

use super::view::View;
use crate::engine::endpoint::Endpoint;
use crate::engine::presentation::Presentation;
use std::time::Duration;

/// Target durations that a manifest may miss: a player that follows RFC 8216 §6.3.4 has asked for
/// it several times by then.
const TARGET_COUNT_MAX: u64 = 3;

/// How long the endpoint's manifests may be served since the live edge last moved; `None` for as
/// long as one likes, where the presentation is complete or has nothing to list.
#[must_use]
pub fn stale_limit(endpoint: &Endpoint, presentation: &Presentation) -> Option<Duration> {
    if presentation.ended {
        return None;
    }
    let view = View::new(endpoint, presentation).ok()?;
    if endpoint.stale.limit_seconds > 0 {
        return Some(Duration::from_secs(endpoint.stale.limit_seconds.into()));
    }
    let target = presentation.tracks.iter().map(|track| view.target(track)).max()?;
    let ticks = u64::try_from(target.ticks()).unwrap_or(0);
    Some(Duration::from_micros(ticks.saturating_mul(TARGET_COUNT_MAX * 100) / 9))
}
