//! The part of the past that a manifest is asked for: what `start`, `end` and `clip_start_time` mean
//! at a live edge. "Now" is that edge: no clock is read.
//!
//! | start | end | |
//! | --- | --- | --- |
//! | none | any | live |
//! | past | none | begins there and grows |
//! | past | past | complete: HLS has an EXT-X-ENDLIST, an MPD is static |
//! | past | future | grows up to its end and is complete then |
//! | before the window, or future | any | not there |

use super::Absent;
use super::view::{View, ticks};
use crate::engine::endpoint::Endpoint;
use crate::engine::presentation::{Joined, Presentation, Track};
use crate::engine::request::{ManifestRequest, RequestError};
use crate::limits::TIME_SHIFT_SECONDS_MAX;
use crate::units::{MediaTime, WallClock};

/// How much of a segment has to lie in a span for it to be listed: more than sound may begin before
/// its pictures, so that a span that begins with a picture's segment does with its sound, too.
const OVERLAP_MIN: MediaTime = MediaTime(9_000);

/// Targets after a span's end at which what is missing still will not come any more.
const MISSING_TARGET_COUNT: i64 = 4;

/// A stretch of media time; the default is all of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: Option<MediaTime>,
    /// There is one only where there is a start.
    end: Option<MediaTime>,
    clip: Option<MediaTime>,
}

impl Span {
    /// What `request` asks for while the newest that is offered ends at `now`.
    pub(super) fn of(
        endpoint: &Endpoint,
        presentation: &Presentation,
        request: &ManifestRequest,
        now: MediaTime,
    ) -> Result<Self, Absent> {
        let media = |wall: WallClock| MediaTime(wall.ticks_90k()) - presentation.clock_offset;
        let clip = request.clip_start.map(media);
        if clip.is_some_and(|clip| clip > now) {
            return Err(Absent::NotYet);
        }
        let Some(start) = request.start.map(|start| media(start.at)) else {
            return Ok(Self { clip, ..Self::default() });
        };
        let kept = endpoint.startover_window_seconds.max(endpoint.window_seconds_max());
        if start < now - ticks(kept) {
            return Err(Absent::Never);
        }
        if start >= now {
            return Err(Absent::NotYet);
        }
        let end = request.end.map(|end| media(end.at));
        if end.is_none() && now - start > ticks(TIME_SHIFT_SECONDS_MAX) {
            return Err(RequestError::SpanTooLong.into());
        }
        Ok(Self { start: Some(start), end, clip })
    }

    /// True where the list has a first segment that stays.
    pub(super) const fn is_fixed(self) -> bool {
        self.start.is_some()
    }

    /// What ends up to here is not listed; `None` where the list slides.
    pub(super) fn from(self) -> Option<MediaTime> {
        self.start.map(|start| start + OVERLAP_MIN)
    }

    pub(super) fn begins_before_end(self, joined: &Joined) -> bool {
        self.end.is_none_or(|end| joined.start + OVERLAP_MIN < end)
    }

    pub(super) fn is_clipped(self, joined: &Joined) -> bool {
        self.clip.is_some_and(|clip| joined.start + OVERLAP_MIN < clip)
    }
}

impl View<'_> {
    /// True where nothing will be added to `track`'s list any more.
    pub(super) fn is_complete(&self, track: &Track) -> bool {
        let is_past = |end: MediaTime| {
            let missing = MISSING_TARGET_COUNT * self.target(track).ticks();
            let last = self.last(track).map(|last| last.end);
            end + MediaTime(missing) <= self.until
                || last.is_some_and(|last| last + OVERLAP_MIN >= end)
        };
        self.presentation.ended || self.span.end.is_some_and(is_past)
    }

    /// The seconds that a sliding list holds where `configured` are configured.
    pub(super) fn window_seconds(&self, configured: u32) -> Result<u32, Absent> {
        let Some(asked) = self.request.window_seconds else { return Ok(configured) };
        let allowed = 2 * self.seconds..=configured;
        if allowed.contains(&asked) { Ok(asked) } else { Err(RequestError::Window.into()) }
    }
}

/// True where a request's manifests will not change any more: a channel's silence does not make
/// them stale.
#[must_use]
pub fn is_complete(
    endpoint: &Endpoint,
    presentation: &Presentation,
    request: &ManifestRequest,
) -> bool {
    request.end.is_some()
        && View::requested(endpoint, presentation, request).is_ok_and(|view| {
            let mut tracks = view.presentation.tracks.iter();
            view.span.is_fixed() && tracks.all(|track| view.is_complete(track))
        })
}
