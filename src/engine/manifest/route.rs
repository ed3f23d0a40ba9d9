//! From a path under an endpoint to what is there. Names are taken apart from the right, because
//! track names and prefixes come from the left.

use super::address::{number_at, parse_hash, parse_number};
use super::ladder::is_offered;
use super::plan::{Container, container};
use super::view::View;
use super::{Absent, ManifestId, Resource, SegmentId, smooth_route, url_hash};
use crate::engine::endpoint::{CmafPackage, Endpoint, Package};
use crate::engine::presentation::{Joined, Presentation, Track};

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

    let container = container(endpoint, track.info.kind);
    let expected = match (container, leaf) {
        (Container::Fmp4, Leaf::Init) => "mp4",
        (Container::Fmp4, _) => "m4s",
        (Container::Ts, Leaf::Number(_)) => "ts",
        (Container::WebVtt, Leaf::Number(_)) => "vtt",
        _ => return Err(Absent::Never),
    };
    if extension != expected {
        return Err(Absent::Never);
    }
    let view = View::new(endpoint, presentation)?;
    match leaf {
        Leaf::Init => init(&view, track, hash),
        Leaf::Number(number) => segment(&view, track, hash, number),
        Leaf::Time(time) if matches!(endpoint.package, Package::Dash(_)) => {
            let number = number_at(&view, track, time)?;
            segment(&view, track, hash, number)
        }
        Leaf::Time(_) => Err(Absent::Never),
    }
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
            let list = package.hls_manifests.iter().position(|manifest| manifest.id == id)?;
            playlist(list, &package.hls_manifests.get(list)?.manifest_name, file)
        }
        Package::Dash(_) => {
            let name = path.strip_suffix(".mpd")?;
            (name == endpoint.manifest_name).then_some(ManifestId::Mpd)
        }
        Package::Mss(_) => {
            let name = path.strip_suffix(".ism/Manifest")?;
            (name == endpoint.manifest_name).then_some(ManifestId::Smooth)
        }
    }
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
    let mut same = of_track
        .filter(|(_, init)| {
            let config = view.endpoint.offered(&init.config);
            url_hash::init(package, &track.info, config) == hash
        })
        .map(|(&id, _)| id);
    let init = same.next().ok_or(Absent::Never)?;
    Ok(Resource::Init { track: track.info.id, init })
}

fn segment(view: &View<'_>, track: &Track, hash: u32, number: u64) -> Result<Resource, Absent> {
    let matches = |joined: &Joined| view.hashes(track).of(joined) == Some(hash);
    match view.fetchable(track, number) {
        Ok(joined) if matches(&joined) => {
            Ok(Resource::Segment(SegmentId { track: track.info.id, number }))
        }
        Ok(_) => Err(Absent::Never),
        Err(why) => Err(why),
    }
}
