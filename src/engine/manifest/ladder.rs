//! Which tracks an endpoint offers, in which order, and how audio is grouped.

use super::Absent;
use super::stale::has_stopped;
use super::view::{View, ticks};
use crate::engine::codec::TrackKind;
use crate::engine::endpoint::{Endpoint, StreamOrder};
use crate::engine::presentation::{Track, TrackInfo};
use crate::engine::request::RequestError;

/// The tracks of an endpoint that have something listed.
pub(super) struct Ladder<'a> {
    /// Selected video tracks in the endpoint's order.
    pub(super) videos: Vec<&'a Track>,
    /// Audio tracks in the source's order.
    pub(super) audios: Vec<&'a Track>,
    /// Text tracks in the source's order.
    pub(super) texts: Vec<&'a Track>,
}

/// True where the endpoint has URLs for the track: `stream_selection` judges video alone,
/// inclusively.
pub(super) fn is_offered(endpoint: &Endpoint, track: &TrackInfo) -> bool {
    let selection = &endpoint.stream_selection;
    track.kind != TrackKind::Video
        || (selection.min_video_bits_per_second..=selection.max_video_bits_per_second)
            .contains(&track.bandwidth)
}

impl<'a> Ladder<'a> {
    /// The tracks that have a segment in a window of `window_seconds`.
    ///
    /// A track that is alive and has no whole segment yet makes the endpoint wait for it: who
    /// reads the ladder early would never see that rung. One that died long ago is left out.
    pub(super) fn of(view: &View<'a>, window_seconds: u32) -> Result<Self, Absent> {
        let edge = view.presentation.edge().ok_or(Absent::NotYet)?;
        let mut known = view.presentation.tracks.iter();
        if known.all(|track| !is_offered(view.endpoint, &track.info)) {
            return Err(Absent::Unselected);
        }
        let delay = ticks(view.delay_seconds);
        let mut ladder = Self { videos: Vec::new(), audios: Vec::new(), texts: Vec::new() };
        for track in &view.presentation.tracks {
            if !is_offered(view.endpoint, &track.info) {
                continue;
            }
            let Some(newest) = track.segments.last() else {
                let in_window = |until| until + delay + ticks(window_seconds) > edge;
                if track.unread_until.is_some_and(in_window) {
                    return Err(Absent::Unread);
                }
                continue;
            };
            match view.last(track) {
                Some(_) if view.span.is_fixed() => {
                    match view.window(track, window_seconds)?.next() {
                        Some(_) => {}
                        None => continue,
                    }
                }
                Some(last) if last.end + delay + ticks(window_seconds) <= edge => continue,
                Some(_) => {}
                None if newest.end + view.target(track) + view.target(track) < edge => continue,
                None if track.unread_until.is_some() => return Err(Absent::Unread),
                // It will have nothing in what is past already.
                None if view.is_complete(track) => continue,
                None => return Err(Absent::NotYet),
            }
            match track.info.kind {
                TrackKind::Video => ladder.videos.push(track),
                TrackKind::Audio => ladder.audios.push(track),
                TrackKind::Text => ladder.texts.push(track),
            }
        }
        match view.endpoint.stream_selection.stream_order {
            StreamOrder::Original => {}
            StreamOrder::VideoBitrateAscending => {
                ladder.videos.sort_by_key(|track| track.info.bandwidth);
            }
            StreamOrder::VideoBitrateDescending => {
                ladder.videos.sort_by_key(|track| std::cmp::Reverse(track.info.bandwidth));
            }
        }
        if ladder.videos.is_empty() && ladder.audios.is_empty() {
            return Err(Absent::NotYet);
        }
        ladder.filtered(view)
    }

    /// Without the tracks that the request's filter leaves out. Pictures go with the sound that is
    /// muxed with them.
    fn filtered(mut self, view: &View<'a>) -> Result<Self, Absent> {
        let filter = &view.request.filter;
        let allows = |track: &Track| filter.allows(&track.info);
        self.videos.retain(|track| allows(track) && view.muxed_audio(track).is_none_or(allows));
        self.audios.retain(|track| allows(track));
        self.texts.retain(|track| allows(track));
        let is_empty = self.videos.is_empty() && self.audios.is_empty() && self.texts.is_empty();
        if is_empty { Err(RequestError::NothingLeft.into()) } else { Ok(self) }
    }

    /// Without what has stopped: whoever begins to play is not to begin there. In DASH it stays as
    /// long as its segments are in the window, for a Period keeps its Representations.
    pub(super) fn without_stopped(mut self, view: &View<'a>) -> Self {
        let goes_on = |track: &&Track| view.is_complete(track) || !has_stopped(view, track);
        self.videos.retain(goes_on);
        self.audios.retain(goes_on);
        self
    }
}
