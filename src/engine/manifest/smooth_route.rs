//! From a fragment's path to the fragment ([MS-SSTR] §2.2.3):
//!
//! ```text
//! index.ism/Events({hash})/QualityLevels({bit rate})/Fragments({stream}={time})
//! ```
//!
//! `FragmentInfo` in the place of `Fragments` asks for the fragment's `moof` alone. The grammar has
//! no room for a hash of what shapes the bytes, but for the name of an event, which is that hash
//! here. A time is that of any track of the stream, as the chunk list is common to them.

use super::address::{number_at, parse_hash, parse_number};
use super::plan::Container;
use super::view::View;
use super::{Absent, Resource, SegmentId, smooth_timeline, url_hash};
use crate::engine::endpoint::Endpoint;
use crate::engine::presentation::Presentation;

/// A fragment's path, taken apart.
struct FragmentPath<'p> {
    hash: u32,
    bit_rate: u64,
    is_info: bool,
    stream: &'p str,
    time: i64,
}

/// The fragment at `path`, or what tells of it.
///
/// # Errors
///
/// [`Absent`] where there is none; whether it can be fetched yet is for [`super::plan_segment`]
/// to say.
pub(super) fn resolve_fragment(
    endpoint: &Endpoint,
    presentation: &Presentation,
    path: &str,
) -> Result<Resource, Absent> {
    let path = parse(&endpoint.manifest_name, path).ok_or(Absent::Never)?;
    let view = View::new(endpoint, presentation)?;
    if path.hash != url_hash::fragments(&endpoint.package, view.seconds) {
        return Err(Absent::Never);
    }
    let mut streams = smooth_timeline::streams(&view).into_iter();
    let stream = streams.find(|stream| stream.name == path.stream).ok_or(Absent::Never)?;
    let position = stream.bit_rates().iter().position(|&rate| rate == path.bit_rate);
    let track = stream.tracks[position.ok_or(Absent::Never)?];

    let mut why = Absent::Never;
    for named in [track].into_iter().chain(stream.tracks.iter().copied()) {
        match number_at(&view, named, path.time) {
            Ok(number) => {
                let container = Container::Smooth;
                let id = SegmentId { track: track.info.id, number, container };
                let is_info = path.is_info;
                return Ok(if is_info {
                    Resource::FragmentInfo(id)
                } else {
                    Resource::Segment(id)
                });
            }
            Err(Absent::Never) => {}
            Err(Absent::Unread) => why = Absent::Unread,
            Err(other) if why == Absent::Never => why = other,
            Err(_) => {}
        }
    }
    Err(why)
}

fn parse<'p>(manifest_name: &str, path: &'p str) -> Option<FragmentPath<'p>> {
    let path = path.strip_prefix(manifest_name)?.strip_prefix(".ism/Events(")?;
    let (hash, path) = path.split_once(")/QualityLevels(")?;
    let (bit_rate, path) = path.split_once(")/")?;
    let (noun, path) = path.strip_suffix(')')?.split_once('(')?;
    let (stream, time) = path.split_once('=')?;
    let is_info = match noun {
        "Fragments" => false,
        "FragmentInfo" => true,
        _ => return None,
    };
    let time = i64::try_from(parse_number(time)?).ok()?;
    let bit_rate = parse_number(bit_rate)?;
    Some(FragmentPath { hash: parse_hash(hash)?, bit_rate, is_info, stream, time })
}
