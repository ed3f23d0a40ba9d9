//! Whether a copy is sound, and whether it may be listed now or waits for a better one.
//!
//! *Sound* is complete, parsed without loss, beginning where the track ends and at a random access
//! point, and as long as its place. An odd copy waits half a target at most, and only while the
//! other input is healthy and has not delivered that time.

use crate::engine::channel::Channel;
use crate::engine::channel::candidate::RecordMeta;
use crate::engine::channel::event::Event;
use crate::engine::channel::numbering::OFF_GRID_COUNT_MAX;
use crate::engine::channel::placing::near;
use crate::engine::channel::state::TrackState;
use crate::engine::codec::TrackKind;
use crate::engine::presentation::{Flaws, Listed, MediaRef};
use crate::units::{MediaTime, Monotonic};

/// Ticks of an audio frame of 1,024 samples at 44.1 kHz: what pictures may be short by.
const AUDIO_FRAME: MediaTime = MediaTime(2_090);

/// Ticks of 90 kHz by which rounding moves a boundary.
const ROUNDING: MediaTime = MediaTime(2);

impl Channel {
    /// What is wrong with a copy. Where a copy begins is judged by its place.
    pub(super) fn flaws(&self, track: &TrackState, meta: &RecordMeta) -> Flaws {
        if meta.kind() == TrackKind::Text {
            return Flaws::default();
        }
        Flaws {
            damaged: !meta.damage.is_none(),
            no_random_access: !meta.random_access,
            odd_duration: !self.lasts_as_its_place(track, meta),
        }
    }

    /// One period, give or take an audio frame. A source without a cadence is taken at its word,
    /// and so is one that declares a break behind the segment.
    fn lasts_as_its_place(&self, track: &TrackState, meta: &RecordMeta) -> bool {
        let Some(grid) = self.state.grid(track.cadence) else { return true };
        let frame = if meta.kind() == TrackKind::Audio { meta.frame() } else { AUDIO_FRAME };
        if near(meta.duration(), grid.period_ticks(), frame + ROUNDING) {
            return true;
        }
        let playlists = self.inputs.playlists(meta.input);
        let Some(said) = playlists.segment(&meta.name) else { return false };
        let is_counted = self.off_grid >= OFF_GRID_COUNT_MAX;
        is_counted && near(meta.duration(), said.duration, meta.frame())
            || playlists.breaks_after(said)
    }

    /// Tells what is wrong with a segment that is listed now. Sound is cut where the pictures are,
    /// give or take some frames, and at a source's beginning and end anywhere: an odd length is
    /// told where it has left a hole.
    pub(super) fn tell_flaws(&mut self, track: &TrackState, listed: &Listed, frame: MediaTime) {
        let id = track.info.id;
        if let Some((end, told)) = self.odd_sounds.remove(&id)
            && !listed.discontinuity
            && listed.start > end + frame
        {
            self.events.push(told);
        }
        let Some(MediaRef { input, flaws, .. }) = listed.media else { return };
        let told = Event::Flawed { track: id, input, flaws };
        let is_odd_alone = flaws.odd_duration && !flaws.damaged && !flaws.no_random_access;
        if track.info.kind == TrackKind::Audio && is_odd_alone {
            self.odd_sounds.insert(id, (listed.end, told));
        } else if !flaws.is_none() {
            self.events.push(told);
        }
    }

    /// Whether a candidate may be listed at once: a sound one from the input that leads, or from
    /// the other where its bytes are the same, or any where nothing better can be waited for.
    pub(super) fn is_ready(&self, now: Monotonic, track: &TrackState, at: usize) -> bool {
        let candidate = &self.candidates[at];
        let meta = &candidate.meta;
        if !self.inputs.is_healthy(meta.input.other(), now) || self.is_seconded(track, at) {
            return true;
        }
        if !self.flaws(track, meta).is_none() {
            return false;
        }
        if self.state.active == Some(meta.input) {
            return true;
        }
        let current = track.init.and_then(|id| self.state.inits.get(&id));
        let is_alike = current.is_none_or(|init| init.config == meta.config);
        is_alike && self.alignment(track.info.id).is_identical()
    }

    /// True where the other input has delivered the time of a candidate, too: as the same bytes, or
    /// as a copy that was weighed against it.
    fn is_seconded(&self, track: &TrackState, at: usize) -> bool {
        let candidate = &self.candidates[at];
        let meta = &candidate.meta;
        let start = self.media_start(track, meta);
        candidate.is_seconded
            || start.is_some_and(|start| {
                let mut waiting = self.waiting_at(track, start, meta);
                waiting.any(|it| it.meta.input != meta.input)
            })
    }
}
