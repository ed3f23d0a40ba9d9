//! Fields of delivered responses beside those of HTTP: what a manifest tells of its newest segment,
//! which follows from the media alone; and where an endpoint asks for them, which input is in use
//! and what CMSD says, neither of which two origins need to agree on.

use crate::engine::cmsd;
use crate::engine::endpoint::Endpoint;
use crate::engine::manifest::{Newest, SegmentPlan};
use crate::engine::presentation::Presentation;
use crate::http::response::ExtraFields;
use crate::units::InputNumber;
use std::sync::Arc;
use std::time::Duration;

/// Number, or start, of the newest segment that a manifest lists.
const LAST_SEQUENCE: &str = "X-MediaPackage-Manifest-Last-Sequence";
/// When it ends, in milliseconds since 1970.
const LAST_UPDATED: &str = "X-MediaPackage-Manifest-Last-Updated";
/// The input that the newest media came from, or the segment's.
const ACTIVE_INPUT: &str = "X-MediaPackage-Active-Input";

/// Of a manifest that lists `newest`, and nothing more where it `is_complete`.
#[must_use]
pub fn of_manifest(
    endpoint: &Endpoint,
    presentation: &Presentation,
    newest: Option<Newest>,
    is_complete: bool,
) -> ExtraFields {
    let mut fields = Vec::new();
    if let Some(newest) = newest {
        fields.push((LAST_SEQUENCE, newest.sequence.to_string()));
        fields.push((LAST_UPDATED, newest.end.0.div_euclid(1000).to_string()));
    }
    let mut segments = presentation.tracks.iter().filter_map(|track| track.segments.last());
    let media = segments.find_map(|listed| listed.media.as_ref());
    push_input(&mut fields, endpoint, media.map(|media| media.input));
    push_cmsd(&mut fields, endpoint, || cmsd::manifest(&endpoint.package, is_complete));
    fields.into()
}

/// Of an initialisation segment.
#[must_use]
pub fn of_init(endpoint: &Endpoint, presentation: &Presentation) -> ExtraFields {
    let mut fields = Vec::new();
    push_cmsd(&mut fields, endpoint, || cmsd::init(&endpoint.package, presentation.ended));
    fields.into()
}

/// Of a segment.
#[must_use]
pub fn of_segment(
    endpoint: &Endpoint,
    presentation: &Presentation,
    plan: &SegmentPlan,
) -> ExtraFields {
    let mut fields = Vec::new();
    push_input(&mut fields, endpoint, plan.media().next().map(|media| media.input));
    let cmsd = || cmsd::segment(&endpoint.package, plan, presentation.ended);
    push_cmsd(&mut fields, endpoint, cmsd);
    fields.into()
}

/// The same with how long it took until the response was there.
#[must_use]
pub fn with_delay(fields: &ExtraFields, delay: Duration) -> ExtraFields {
    let dynamic = (cmsd::DYNAMIC_FIELD, cmsd::dynamic(delay.as_millis()));
    fields.iter().cloned().chain([dynamic]).collect::<Arc<[_]>>()
}

fn push_input(
    fields: &mut Vec<(&'static str, String)>,
    endpoint: &Endpoint,
    input: Option<InputNumber>,
) {
    if let Some(input) = input.filter(|_| endpoint.headers.active_input) {
        fields.push((ACTIVE_INPUT, input.to_string()));
    }
}

fn push_cmsd(
    fields: &mut Vec<(&'static str, String)>,
    endpoint: &Endpoint,
    cmsd: impl FnOnce() -> String,
) {
    if endpoint.headers.cmsd {
        fields.push((cmsd::STATIC_FIELD, cmsd()));
    }
}
