//! The newest segment that a manifest lists, as its response's fields tell of it: what number it
//! has, and when it ends.

use super::ladder::Ladder;
use super::shift::OVERLAP_MIN;
use super::smooth_timeline::streams;
use super::view::View;
use super::{ManifestId, dash_list, hls_list};
use crate::engine::endpoint::SegmentTemplateFormat;
use crate::engine::presentation::{Joined, Listed, Track};
use crate::units::WallClock;

/// The newest segment of a manifest's lowest rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Its number; in an MPD of times, and in Smooth Streaming, when it begins in the track's
    /// timescale.
    pub sequence: u64,
    /// When it ends: media time, told by the wall clock. No clock is read for it.
    pub end: WallClock,
}

/// That of `manifest`, which lists something.
pub(super) fn newest(view: &View<'_>, manifest: ManifestId) -> Option<Newest> {
    let track = match manifest {
        ManifestId::Media { track, .. } => {
            view.presentation.tracks.iter().find(|known| known.info.id == track)?
        }
        ManifestId::Multivariant { list } => {
            lowest(view, hls_list(view.endpoint, list)?.window_seconds)?
        }
        ManifestId::Mpd { list } => {
            lowest(view, dash_list(view.endpoint, list)?.settings.manifest_window_seconds)?
        }
        ManifestId::Smooth => lowest(view, view.endpoint.window_seconds_max())?,
    };
    let timescale = track.info.config.timescale();
    let start = |joined: &Joined| u64::try_from(joined.start.rescale_nearest(timescale)).ok();
    let closed = view.last(track)?.number;
    let (joined, sequence) = match manifest {
        ManifestId::Smooth => {
            let mut streams = streams(view).into_iter();
            let of_track = |it: &&Track| it.info.id == track.info.id;
            let stream = streams.find(|stream| stream.tracks.iter().any(of_track))?;
            let until = stream.listed_until(view)?;
            let last = |it: &&Track| last_listed(view, it, until, false);
            let all = stream.tracks.iter().filter_map(last);
            let joined = all.max_by_key(|joined| joined.number)?;
            let sequence = start(&joined)?;
            (joined, sequence)
        }
        ManifestId::Mpd { list } => {
            let joined = last_listed(view, track, closed, false)?;
            let sequence = match dash_list(view.endpoint, list)?.settings.segment_template_format {
                SegmentTemplateFormat::TimeWithTimeline => start(&joined)?,
                _ => joined.number,
            };
            (joined, sequence)
        }
        ManifestId::Multivariant { .. } | ManifestId::Media { .. } => {
            let joined = last_listed(view, track, closed, true)?;
            let sequence = joined.number;
            (joined, sequence)
        }
    };
    let micros = i128::from(view.wall(joined.end).ticks()) * 100 / 9;
    Some(Newest { sequence, end: WallClock(i64::try_from(micros).ok()?) })
}

/// The lowest rendition: of pictures, or of sound where there are none.
fn lowest<'a>(view: &View<'a>, window_seconds: u32) -> Option<&'a Track> {
    let ladder = Ladder::of(view, window_seconds).ok()?;
    let kinds = [ladder.videos, ladder.audios, ladder.texts];
    let tracks = kinds.into_iter().find(|tracks| !tracks.is_empty())?;
    tracks.into_iter().min_by_key(|track| track.info.bandwidth)
}

/// The last output segment of `track` up to number `until` that begins before the span's end, be it
/// a gap or not.
fn last_listed(view: &View<'_>, track: &Track, until: u64, lists_gaps: bool) -> Option<Joined> {
    let before_end =
        |listed: &Listed| view.span.end.is_none_or(|end| listed.start + OVERLAP_MIN < end);
    let mut position = track.segments.partition_point(before_end);
    loop {
        position = position.checked_sub(1)?;
        let joined = view.presentation.joined_at(track, view.seconds, position);
        let Some(joined) = joined else { continue };
        if joined.number <= until && (lists_gaps || !joined.gap) {
            return Some(joined);
        }
        position = position.min(joined.position);
    }
}
