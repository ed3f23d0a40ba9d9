//! From a path under an endpoint to what is there. Names are taken apart from the right, because
//! track names and prefixes come from the left.

use super::address::{number_at, parse_hash, parse_number};
use super::ladder::is_offered;
use super::plan::{Container, containers};
use super::url_hash::Shape;
use super::view::View;
use super::{
    Absent, CLOCK_NAME, ManifestId, Resource, SegmentId, dash_list, smooth_route, url_hash,
};
use crate::engine::codec::CodecConfig;
use crate::engine::endpoint::{CmafPackage, Endpoint, Package, UtcTiming};
use crate::engine::presentation::{Joined, Presentation, Track};
use std::time::Duration;

/// What follows the hash in an init's or segment's name.
#[derive(Clone, Copy)]
enum Leaf {
    Init,
    Number(u64),
    /// Earliest presentation time in the track's timescale, behind a `t`.
    Time(i64),
}

/// What is at `path`, which is what follows `/out/v1/{endpoint}/`, without a query.
///
/// # Errors
///
/// [`Absent::Never`] for a path that this endpoint does not have, a stale hash, or what has left
/// the window; [`Absent::NotYet`] for what may still come; [`Absent::Unread`] for what may be in
/// the ring.
pub fn resolve(
    endpoint: &Endpoint,
    presentation: &Presentation,
    path: &str,
) -> Result<Resource, Absent> {
    if let Some(manifest) = manifest(endpoint, presentation, path) {
        return Ok(Resource::Manifest(manifest));
    }
    if matches!(endpoint.package, Package::Mss(_)) {
        return smooth_route::resolve_fragment(endpoint, presentation, path);
    }
    if path == CLOCK_NAME {
        return if has_clock(endpoint) { Ok(Resource::Clock) } else { Err(Absent::Never) };
    }
    let Named { track, hash, leaf, container } = named(endpoint, presentation, path)?;
    let view = View::new(endpoint, presentation)?.of_segments(container);
    let number = match leaf {
        Leaf::Init => return init(&view, track, hash),
        Leaf::Number(number) => number,
        Leaf::Time(time) if has_mpd(endpoint) => number_at(&view, track, time)?,
        Leaf::Time(_) => return Err(Absent::Never),
    };
    segment(&view, track, hash, SegmentId { track: track.info.id, number, container })
}

/// How long a request for `path` is to wait for a publication: a target for the number that comes
/// next on its track, where clients are led to numbers by their clocks; else not at all.
#[must_use]
pub fn next_wait(endpoint: &Endpoint, presentation: &Presentation, path: &str) -> Option<Duration> {
    let mut lists = (0..).map_while(|list| dash_list(endpoint, list));
    if lists.all(|list| list.settings.segment_template_format.has_timeline()) {
        return None;
    }
    let Named { track, hash, leaf, container } = named(endpoint, presentation, path).ok()?;
    let Leaf::Number(number) = leaf else { return None };
    let view = View::new(endpoint, presentation).ok()?.of_segments(container);
    let last = view.last(track)?;
    let is_next = number == last.number + 1 && view.hashes(track).of(&last) == Some(hash);
    let target = u64::try_from(view.target(track).ticks()).ok()?;
    let wait = Duration::from_micros(target * 100 / 9);
    (is_next && !presentation.ended).then_some(wait)
}

/// An init or segment, by its name.
struct Named<'p> {
    track: &'p Track,
    hash: u32,
    leaf: Leaf,
    container: Container,
}

/// Takes the name of an init or segment apart.
fn named<'p>(
    endpoint: &Endpoint,
    presentation: &'p Presentation,
    path: &str,
) -> Result<Named<'p>, Absent> {
    let (name, extension) = path.rsplit_once('.').ok_or(Absent::Never)?;
    let name = match &endpoint.package {
        Package::Cmaf(package) => strip_prefix(package, name).ok_or(Absent::Never)?,
        Package::Hls(_) | Package::Dash(_) | Package::Mss(_) => name,
    };
    let (name, leaf) = name.rsplit_once('_').ok_or(Absent::Never)?;
    let (name, hash) = name.rsplit_once('_').ok_or(Absent::Never)?;
    let leaf = parse_leaf(leaf).ok_or(Absent::Never)?;
    let hash = parse_hash(hash).ok_or(Absent::Never)?;
    let track = presentation.track(name).filter(|track| is_offered(endpoint, &track.info));
    let track = track.ok_or(Absent::Never)?;

    let is_named_so = |container: &&Container| match (container, leaf) {
        (Container::Fmp4, Leaf::Init) => extension == "mp4",
        (Container::Fmp4, _) => extension == "m4s",
        (Container::Ts, Leaf::Number(_)) => extension == "ts",
        (Container::WebVtt, Leaf::Number(_)) => extension == "vtt",
        _ => false,
    };
    let container = containers(endpoint, track.info.kind).iter().find(is_named_so);
    let container = *container.ok_or(Absent::Never)?;
    Ok(Named { track, hash, leaf, container })
}

/// The manifest at `path`, if the endpoint has one there. Whether it has anything to list is for
/// [`super::render`] to say.
fn manifest(endpoint: &Endpoint, presentation: &Presentation, path: &str) -> Option<ManifestId> {
    let playlist = |list: usize, name: &str, file: &str| {
        let rest = file.strip_suffix(".m3u8")?.strip_prefix(name)?;
        if rest.is_empty() {
            return Some(ManifestId::Multivariant { list });
        }
        let track = presentation.track(rest.strip_prefix('_')?)?;
        let known = is_offered(endpoint, &track.info);
        known.then_some(ManifestId::Media { list, track: track.info.id })
    };
    match &endpoint.package {
        Package::Hls(_) => playlist(0, &endpoint.manifest_name, path),
        Package::Cmaf(package) => {
            let (id, file) = path.split_once('/')?;
            if let Some(name) = file.strip_suffix(".mpd") {
                let mut lists = package.dash_manifests.iter();
                let list = lists.position(|it| it.id == id && it.manifest_name == name)?;
                return Some(ManifestId::Mpd { list });
            }
            let list = package.hls_manifests.iter().position(|manifest| manifest.id == id)?;
            playlist(list, &package.hls_manifests.get(list)?.manifest_name, file)
        }
        Package::Dash(_) => {
            let name = path.strip_suffix(".mpd")?;
            (name == endpoint.manifest_name).then_some(ManifestId::Mpd { list: 0 })
        }
        Package::Mss(_) => {
            let name = path.strip_suffix(".ism/Manifest")?;
            (name == endpoint.manifest_name).then_some(ManifestId::Smooth)
        }
    }
}

/// True where MPDs name the endpoint's segments.
fn has_mpd(endpoint: &Endpoint) -> bool {
    dash_list(endpoint, 0).is_some()
}

/// True where an MPD sends clients to the endpoint for the time.
fn has_clock(endpoint: &Endpoint) -> bool {
    let mut lists = (0..).map_while(|list| dash_list(endpoint, list));
    lists.any(|list| {
        let timing = list.settings.utc_timing;
        matches!(timing, UtcTiming::HttpIso | UtcTiming::HttpXsdate)
            && list.settings.utc_timing_uri.is_none()
    })
}

fn strip_prefix<'p>(package: &CmafPackage, name: &'p str) -> Option<&'p str> {
    match package.segment_prefix.as_str() {
        "" => Some(name),
        prefix => name.strip_prefix(prefix)?.strip_prefix('_'),
    }
}

fn parse_leaf(leaf: &str) -> Option<Leaf> {
    if leaf == "init" {
        return Some(Leaf::Init);
    }
    match leaf.strip_prefix('t') {
        Some(time) => i64::try_from(parse_number(time)?).ok().map(Leaf::Time),
        None => parse_number(leaf).map(Leaf::Number),
    }
}

fn init(view: &View<'_>, track: &Track, hash: u32) -> Result<Resource, Absent> {
    let package = &view.endpoint.package;
    let of_track = view.presentation.inits.iter().filter(|(_, init)| init.track == track.info.id);
    // In a compact MPD an init goes by the hash of the segments that it is for.
    let of_segments = |config: &CodecConfig| {
        has_mpd(view.endpoint)
            && view.presentation.grids.iter().any(|grid| {
                let (seconds, track, audio) = (view.seconds, &*track.info, None);
                url_hash::segment(&Shape { package, seconds, grid, track, config, audio }) == hash
            })
    };
    let mut same = of_track
        .filter(|(_, init)| {
            let config = view.endpoint.offered(&init.config);
            url_hash::init(package, &track.info, config) == hash || of_segments(config)
        })
        .map(|(&id, _)| id);
    let init = same.next().ok_or(Absent::Never)?;
    Ok(Resource::Init { track: track.info.id, init })
}

fn segment(view: &View<'_>, track: &Track, hash: u32, id: SegmentId) -> Result<Resource, Absent> {
    let matches = |joined: &Joined| view.hashes(track).of(joined) == Some(hash);
    match view.fetchable(track, id.number) {
        Ok(joined) if matches(&joined) => Ok(Resource::Segment(id)),
        Ok(_) => Err(Absent::Never),
        Err(why) => Err(why),
    }
}
