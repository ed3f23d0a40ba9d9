//! `SegmentTemplate` (ISO/IEC 23009-1 §5.3.9.4): how the URLs and times of segments are told, one
//! by one or by a nominal duration.
//!
//! A nominal duration holds for as long as a grid does: number and time are tied by its period,
//! exactly, so that a client's clock leads to the right number also fifty years after number 0.

use super::dash_mpd::{Mpd, Naming, Representation};
use super::text::{push_hash, push_integer_attribute};
use super::url_hash;
use crate::engine::endpoint::SegmentTemplateFormat;
use crate::engine::presentation::Grid;
use crate::units::{MediaTime, WallClock};

/// Appends the template of `representation`. `origin` is Period@start, and
/// `presentationTimeOffset` is the same instant in media time.
pub(super) fn push_template(
    out: &mut String,
    mpd: &Mpd<'_>,
    representation: &Representation<'_>,
    origin: WallClock,
    naming: Naming,
) {
    let run = representation.run;
    let nominal = match mpd.format {
        SegmentTemplateFormat::NumberWithDuration => mpd.view.presentation.grid(run.grid),
        _ => None,
    };
    let by_number = mpd.format != SegmentTemplateFormat::TimeWithTimeline
        && (nominal.is_some() || !run.has_hole);
    out.push_str("<SegmentTemplate");
    if let Some(grid) = nominal {
        push_nominal(out, mpd, grid, origin);
    } else {
        let scale = run.timescale().per_second();
        push_integer_attribute(out, "timescale", scale);
        let offset = time_offset(origin, mpd.view.presentation.clock_offset, scale.into());
        push_integer_attribute(out, "presentationTimeOffset", offset);
        push_integer_attribute(out, "startNumber", run.start_number);
    }
    push_names(out, mpd, representation, naming, by_number);
    if nominal.is_some() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    run.push_timeline(out);
    out.push_str("</SegmentTemplate>\n");
}

/// `timescale`, `duration`, offset and `startNumber` of a grid, in a timescale that has no rest:
/// the least difference would add up to many segments since 1970.
fn push_nominal(out: &mut String, mpd: &Mpd<'_>, grid: &Grid, origin: WallClock) {
    let seconds = mpd.view.seconds;
    let (ticks, denominator) = grid.period;
    let scale = 90_000 * u64::from(denominator.max(1));
    push_integer_attribute(out, "timescale", scale);
    push_integer_attribute(out, "duration", ticks * u64::from(grid.join_factor(seconds)));
    let clock_offset = mpd.view.presentation.clock_offset;
    push_integer_attribute(out, "presentationTimeOffset", time_offset(origin, clock_offset, scale));
    let start = MediaTime(origin.ticks_90k()) - clock_offset;
    push_integer_attribute(out, "startNumber", grid.joined_near(start, seconds));
}

/// `initialization` and `media`.
fn push_names(
    out: &mut String,
    mpd: &Mpd<'_>,
    representation: &Representation<'_>,
    naming: Naming,
    by_number: bool,
) {
    let Representation { info, run } = *representation;
    let init = url_hash::init(&mpd.view.endpoint.package, info, &run.init.config);
    let media = if by_number { "_$Number$.m4s\"" } else { "_t$Time$.m4s\"" };
    for (attribute, hash, rest) in
        [("initialization", init, "_init.mp4\""), ("media", run.hash, media)]
    {
        out.push(' ');
        out.push_str(attribute);
        out.push_str("=\"");
        out.push_str(&mpd.base);
        match naming {
            Naming::Track => {
                out.push_str(&info.name);
                out.push('_');
                push_hash(out, hash);
            }
            Naming::RepresentationId => out.push_str("$RepresentationID$"),
        }
        out.push_str(rest);
    }
}

/// round((Period@start − W) × scale), which is exact in microseconds as W is a multiple of 100 ms.
fn time_offset(origin: WallClock, clock_offset: MediaTime, scale: u64) -> u64 {
    let media_micros = i128::from(origin.0) - i128::from(clock_offset.ticks()) * 100 / 9;
    let offset = (2 * media_micros * i128::from(scale) + 1_000_000).div_euclid(2_000_000);
    u64::try_from(offset).unwrap_or(0)
}
