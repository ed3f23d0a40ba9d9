//! Common media server data (CTA-5006): what a response's fields tell caches and players of the
//! object, so that they need not read it. Structured fields (RFC 8941): a dictionary of what never
//! changes, and an item with parameters for each server on the way.

use crate::engine::codec::TrackKind;
use crate::engine::endpoint::Package;
use crate::engine::manifest::SegmentPlan;

/// Field of [`manifest`], [`init`] and [`segment`].
pub const STATIC_FIELD: &str = "CMSD-Static";
/// Field of [`dynamic`].
pub const DYNAMIC_FIELD: &str = "CMSD-Dynamic";

/// Of a manifest; `is_complete` where it will not change any more.
#[must_use]
pub fn manifest(package: &Package, is_complete: bool) -> String {
    format!("ot=m{}", stream(package, is_complete))
}

/// Of an initialisation segment.
#[must_use]
pub fn init(package: &Package, is_complete: bool) -> String {
    format!("ot=i{}", stream(package, is_complete))
}

/// Of a segment: its encoded bit rate in kbit/s and its duration in milliseconds, too.
#[must_use]
pub fn segment(package: &Package, plan: &SegmentPlan, is_complete: bool) -> String {
    let kinds: Vec<TrackKind> = plan.tracks.iter().map(|track| track.info.kind).collect();
    let object = match kinds.as_slice() {
        [TrackKind::Video] => "v",
        [TrackKind::Audio] => "a",
        [TrackKind::Text] => "c",
        _ => "av",
    };
    let bits: u64 = plan.tracks.iter().map(|track| track.info.bandwidth).sum();
    let duration = (plan.end - plan.start).ticks() / 90;
    format!("br={},d={duration},ot={object}{}", bits / 1000, stream(package, is_complete))
}

/// Of this server: how long it took to have the first byte, in milliseconds.
#[must_use]
pub fn dynamic(response_delay_ms: u128) -> String {
    format!("\"headwater\";rd={response_delay_ms}")
}

/// Streaming format and type.
fn stream(package: &Package, is_complete: bool) -> String {
    let format = match package {
        Package::Hls(_) | Package::Cmaf(_) => "h",
        Package::Dash(_) => "d",
        Package::Mss(_) => "s",
    };
    format!(",sf={format},st={}", if is_complete { "v" } else { "l" })
}
