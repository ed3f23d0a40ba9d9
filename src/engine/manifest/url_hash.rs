//! The short hash in init and segment URLs: a URL whose bytes would be others is another URL.
//!
//! It covers the packager, how segments are counted and joined, and decoder configurations, by
//! value. Ids of grids and configurations stay out: two origins of the same media number them
//! differently and still give the same URLs.

use crate::engine::codec::CodecConfig;
use crate::engine::endpoint::Package;
use crate::engine::presentation::{Grid, TrackInfo};
use xxhash_rust::xxh3::Xxh3;

/// Grows with any change of what packagers write for the same media.
const FORMAT_VERSION: u8 = 1;

/// What shapes the bytes of a segment, beside its media.
pub(super) struct Shape<'a> {
    pub(super) package: &'a Package,
    pub(super) seconds: u32,
    pub(super) grid: &'a Grid,
    pub(super) track: &'a TrackInfo,
    pub(super) config: &'a CodecConfig,
    /// Muxed audio, its configuration, and the number of its base segments: where sound was given
    /// up and comes after all, the segment with it is another one.
    pub(super) audio: Option<(&'a TrackInfo, &'a CodecConfig, usize)>,
}

/// Hash of a segment URL.
pub(super) fn segment(shape: &Shape<'_>) -> u32 {
    let mut hasher = begin(b's', shape.package);
    let grid = shape.grid;
    if has_templates(shape.package) {
        hasher.update(&shape.seconds.to_le_bytes());
        hasher.update(&grid.session_start.ticks().to_le_bytes());
    } else {
        hasher.update(&grid.join_factor(shape.seconds).to_le_bytes());
        hasher.update(&grid.period.0.to_le_bytes());
        hasher.update(&grid.period.1.to_le_bytes());
        hasher.update(&grid.phase.ticks().to_le_bytes());
        hasher.update(&grid.first_number.to_le_bytes());
    }
    add_track(&mut hasher, shape.track, shape.config);
    if let Some((track, config, parts)) = shape.audio {
        add_track(&mut hasher, track, config);
        hasher.update(&parts.to_le_bytes());
    }
    finish(&hasher)
}

/// True where MPDs name segments: a template holds for a whole Period, in which one grid may follow
/// another.
fn has_templates(package: &Package) -> bool {
    match package {
        Package::Dash(_) => true,
        Package::Cmaf(package) => !package.dash_manifests.is_empty(),
        Package::Hls(_) | Package::Mss(_) => false,
    }
}

/// Hash of an init URL.
pub(super) fn init(package: &Package, track: &TrackInfo, config: &CodecConfig) -> u32 {
    let mut hasher = begin(b'i', package);
    add_track(&mut hasher, track, config);
    finish(&hasher)
}

/// Hash of a Smooth Streaming endpoint's fragment URLs. They name a track by its bit rate, and a
/// fragment by media time, which never comes back: beyond that, how much is joined from a time on
/// shapes the bytes.
pub(super) fn fragments(package: &Package, seconds: u32) -> u32 {
    let mut hasher = begin(b'f', package);
    hasher.update(&seconds.to_le_bytes());
    finish(&hasher)
}

fn begin(what: u8, package: &Package) -> Xxh3 {
    let packager = match package {
        Package::Hls(_) => b'h',
        Package::Cmaf(_) => b'c',
        Package::Dash(_) => b'd',
        Package::Mss(_) => b'm',
    };
    let mut hasher = Xxh3::new();
    hasher.update(&[what, packager, FORMAT_VERSION]);
    hasher
}

fn add_track(hasher: &mut Xxh3, track: &TrackInfo, config: &CodecConfig) {
    hasher.update(track.language.as_deref().unwrap_or_default().as_bytes());
    let config = postcard::to_stdvec(config).expect("plain data in a growing buffer always fits");
    hasher.update(&config);
}

fn finish(hasher: &Xxh3) -> u32 {
    let [a, b, c, d, ..] = hasher.digest().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
