//! Lists text. It has no time of its own: it is placed beside other segments.

use crate::engine::channel::candidate::RecordMeta;
use crate::engine::channel::grid::unwrap_near;
use crate::engine::channel::state::{Change, TrackState};
use crate::engine::channel::{Channel, span};
use crate::engine::codec::TrackKind;
use crate::engine::presentation::{Listed, MediaRef};
use crate::units::{MediaTime, Monotonic, TrackId};

impl Channel {
    /// Text has no time of its own: it is placed by PROGRAM-DATE-TIME, or beside the segment with
    /// the same media sequence number, of the first track that has one.
    pub(super) fn advance_text(&mut self, now: Monotonic, id: TrackId) -> bool {
        let Some(track) = self.state.track(id).cloned() else { return false };
        let mut waiting: Vec<(u64, usize)> = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            if self.track_of(candidate) == Some(id)
                && let Some(number) = self.text_number(&candidate.meta)
            {
                waiting.push((number, at));
            }
        }
        waiting.sort_unstable();
        let Some(&(number, at)) = waiting.first() else { return false };
        let next = track.next_number.unwrap_or(number);
        if number < next {
            self.forget(at);
            return true;
        }
        let half_target_ago = self.candidates[at].committed + span(self.target()) / 2 <= now;
        let listed = |beside: &TrackState| self.listed_number(beside.info.id, number);
        let Some(beside) = self.beside_text().find_map(listed).cloned() else { return false };
        if number > next {
            if !half_target_ago {
                return false;
            }
            self.list_gaps(id, number, beside.start);
        }
        let Some(session) = self.state.session else { return false };
        let listed = self.listed_media(&track, at, (number, beside.grid), beside.start);
        let zero = self.candidates[at].meta.decode_start;
        let decode_start = unwrap_near(zero, session.shift, beside.start);
        let media = listed.media.map(|media| MediaRef { decode_start, ..media });
        let discontinuity = self.breaks_before(id, beside.grid);
        let listed = Listed { end: beside.end, discontinuity, media, ..listed };
        self.emit(Change::Listed(id, listed));
        let meta = self.candidates.remove(at).meta;
        self.recent.push(id, number, meta.input, &meta.name);
        true
    }

    /// The tracks that text may be placed beside, in the order of manifests.
    fn beside_text(&self) -> impl Iterator<Item = &TrackState> {
        let timed = |it: &&TrackState| it.info.kind != TrackKind::Text && it.cadence == 0;
        let mut tracks: Vec<_> = self.state.tracks.iter().filter(timed).collect();
        tracks.sort_by_key(|track| (track.info.kind, track.order));
        tracks.into_iter()
    }

    fn text_number(&self, meta: &RecordMeta) -> Option<u64> {
        let playlists = self.inputs.playlists(meta.input);
        let listed = playlists.segment(&meta.name)?;
        let grid = self.state.grid(0)?;
        if let (Some(time), Some(offset)) = (listed.program_date_time, self.state.clock_offset) {
            let start = MediaTime(time.ticks_90k()) - offset;
            if let Some(number) = grid.number_at(start)
                && grid.is_near(number, start)
            {
                return Some(number);
            }
        }
        let top = self.top(meta.input)?;
        self.beside_text().find_map(|track| {
            let (key, _) = track.sources.first()?;
            let beside = playlists.segment_at(&top.rendition(*key)?.playlist, listed.sequence)?;
            self.recent.number_of(track.info.id, meta.input, beside)
        })
    }

    pub(super) fn listed_number(&self, id: TrackId, number: u64) -> Option<&Listed> {
        let segments = self.windows.segments(id)?;
        let position = number.checked_sub(segments.first()?.number)?;
        segments.get(usize::try_from(position).ok()?)
    }
}
