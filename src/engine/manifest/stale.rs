//! How long a live manifest may stay as it is before it misleads: the media side of the stale
//! limit. When the edge moved last is known to who has a clock; that one rendition has stopped
//! while others go on is told by media time alone.

use super::view::{View, ticks};
use crate::engine::codec::TrackKind;
use crate::engine::endpoint::Endpoint;
use crate::engine::presentation::{Presentation, Track};
use crate::units::MediaTime;
use std::time::Duration;

/// Target durations that a manifest may miss: a player that follows RFC 8216 §6.3.4 has asked for
/// it several times by then.
const TARGET_COUNT_MAX: i64 = 3;

/// Segments by which a rendition may be behind its ladder, however short the limit is: they come
/// one after another, and as many of the source's make one.
const BEHIND_COUNT_MAX: i64 = 2;

/// How long the endpoint's manifests may be served since the live edge last moved; `None` for as
/// long as one likes, where the presentation is complete or has nothing to list.
#[must_use]
pub fn stale_limit(endpoint: &Endpoint, presentation: &Presentation) -> Option<Duration> {
    let limit = limit(&View::new(endpoint, presentation).ok()?)?;
    let ticks = u64::try_from(limit.ticks()).unwrap_or(0);
    Some(Duration::from_micros(ticks.saturating_mul(100) / 9))
}

/// True for pictures or sound that have stopped, while others of their kind go on: as far behind
/// the newest of them as a manifest may be old. Players would wait for more of it until they stall.
pub(super) fn has_stopped(view: &View<'_>, track: &Track) -> bool {
    let end_of = |track: &Track| view.last(track).map(|last| last.end);
    let alike = view.presentation.tracks.iter().filter(|it| it.info.kind == track.info.kind);
    let newest = alike.filter_map(end_of).max();
    let (Some(limit), Some(newest), Some(end)) = (limit(view), newest, end_of(track)) else {
        return false;
    };
    let limit = limit.max(MediaTime(BEHIND_COUNT_MAX * view.target(track).ticks()));
    track.info.kind != TrackKind::Text && end + limit <= newest
}

fn limit(view: &View<'_>) -> Option<MediaTime> {
    if view.presentation.ended {
        return None;
    }
    if view.endpoint.stale.limit_seconds > 0 {
        return Some(ticks(view.endpoint.stale.limit_seconds));
    }
    let target = view.presentation.tracks.iter().map(|track| view.target(track)).max()?;
    Some(MediaTime(TARGET_COUNT_MAX * target.ticks()))
}
