//! The part of the past that a manifest is asked for: what `start`, `end` and `clip_start_time`
//! mean at a live edge. "Now" is that edge: no clock is read.
//!
//! | start | end | |
//! | --- | --- | --- |
//! | none | any | live |
//! | past | none | begins there and grows |
//! | past | past | complete: HLS has an EXT-X-ENDLIST, an MPD is static |
//! | past | future | grows up to its end and is complete then |
//! | before the window, or future | any | not there |

use super::Absent;
use crate::engine::endpoint::Endpoint;
use crate::engine::presentation::{Joined, Presentation};
use crate::engine::request::{ManifestRequest, RequestError};
use crate::limits::TIME_SHIFT_SECONDS_MAX;
use crate::units::{MediaTime, WallClock};

/// How much of a segment has to lie in a span for it to be listed: more than sound may begin before
/// its pictures, so that a span that begins with a picture's segment does with its sound, too.
pub(super) const OVERLAP_MIN: MediaTime = MediaTime(9_000);

/// `seconds` in 90 kHz ticks.
pub(super) fn ticks(seconds: u32) -> MediaTime {
    MediaTime(i64::from(seconds) * 90_000)
}

/// A stretch of media time; the default is all of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: Option<MediaTime>,
    /// There is one only where there is a start.
    pub(super) end: Option<MediaTime>,
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
        if start < now - ticks(endpoint.reach_seconds()) {
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
