//! Judges what arrives: what of it must be committed, and what it tells of the two inputs.

use crate::engine::channel::alignment::{Alignment, Apart, Comparison, Copied};
use crate::engine::channel::candidate::{Candidate, RecordMeta};
use crate::engine::channel::event::Event;
use crate::engine::channel::grid::unwrap_near;
use crate::engine::channel::placing::near;
use crate::engine::channel::source::RenditionKey;
use crate::engine::channel::state::{Change, TrackState};
use crate::engine::channel::{Channel, DropReason, span};
use crate::engine::codec::TrackKind;
use crate::engine::presentation::{Listed, MediaRef};
use crate::engine::sample_table::content_hash;
use crate::engine::segment::TrackSegment;
use crate::units::{InputNumber, MediaTime, Monotonic, TrackId};
use std::cell::OnceCell;

/// A track of a body that has arrived whole. Its content is hashed where it is compared.
pub(super) struct Arrival<'a> {
    pub(super) meta: RecordMeta,
    segment: &'a TrackSegment,
    /// Its input has delivered a body of that name and time before.
    again: bool,
    hash: OnceCell<u64>,
}

impl<'a> Arrival<'a> {
    pub(super) const fn new(meta: RecordMeta, segment: &'a TrackSegment, again: bool) -> Self {
        Self { meta, segment, again, hash: OnceCell::new() }
    }

    fn hash(&self) -> u64 {
        let content = || content_hash(&self.segment.samples, &self.segment.payload);
        *self.hash.get_or_init(content)
    }
}

impl Channel {
    /// Whether a track of a body must be committed: `None`, or why not.
    pub(super) fn judge(&mut self, now: Monotonic, arrival: &Arrival<'_>) -> Option<DropReason> {
        let meta = &arrival.meta;
        if let Some(twin) = self.candidates.iter().find(|it| it.is_of_same_body(meta)) {
            // Other bytes take the place of what is not listed yet.
            return (twin.hash == arrival.hash()).then_some(DropReason::Duplicate);
        }
        let track = self.track_fed_by(meta)?.clone();
        if self.second_twin(&track, arrival)
            || (self.former.is_some() && self.is_of_former(&track, &arrival.meta, arrival.hash()))
        {
            return Some(DropReason::Duplicate);
        }
        if meta.kind() == TrackKind::Text {
            let newest = self.recent.newest_of(track.info.id, meta.input);
            let again = newest.is_some_and(|(_, name)| name == meta.name);
            return again.then_some(DropReason::Duplicate);
        }
        let start = self.media_start(&track, meta)?;
        if let Some(listed) = self.listed_at(&track, start, meta.frame()).cloned()
            && let Some(media) = &listed.media
            && let Some(why) = self.judge_covered(now, (&track, start), arrival, (&listed, media))
        {
            if !self.is_recent(&track, start) {
                self.inputs.on_passed(meta.input, meta.start, arrival.hash());
            }
            return Some(why);
        }
        if self.is_apart(meta.input) {
            let needed = self.may_begin(now, now, meta);
            return (!needed).then_some(DropReason::Standby);
        }
        self.judge_waiting((&track, start), arrival)
    }

    /// The other input's candidate with the same bytes at the same source time, on whatever
    /// timeline: both inputs have delivered it now.
    fn second_twin(&mut self, track: &TrackState, arrival: &Arrival<'_>) -> bool {
        let meta = &arrival.meta;
        let is_twin = |it: &Candidate| {
            it.meta.input != meta.input
                && it.meta.start == meta.start
                && it.meta.kind() == meta.kind()
                && self.track_of(it) == Some(track.info.id)
                && it.hash == arrival.hash()
        };
        let twin = self.candidates.iter().position(is_twin);
        if let Some(at) = twin {
            self.candidates[at].is_seconded = true;
        }
        twin.is_some()
    }

    /// True where a copy is listed at the end of the session before this one: it is late, or sent
    /// again.
    fn is_of_former(&self, track: &TrackState, meta: &RecordMeta, hash: u64) -> bool {
        let (Some(former), Some(session)) = (self.former, self.state.session) else { return false };
        let lately = MediaTime(3 * self.target().0);
        let start = unwrap_near(meta.start, former.shift, session.start);
        let listed = self.listed_at(track, start, meta.frame());
        let media = listed.filter(|it| near(it.start, start, meta.frame()));
        // An encoder that repeats a loop goes on with it.
        let goes_on = self.media_start(track, meta);
        goes_on.is_some_and(|start| !near(start, self.reach(track), meta.frame()))
            && near(start, session.start, lately)
            && start < session.start
            && media.and_then(|it| it.media.as_ref()).is_some_and(|it| it.hash == hash)
    }

    /// True where the other input's copy is listed. Read back, such a copy would seem to come now.
    pub(super) fn is_listed_of_other(&self, meta: &RecordMeta, hash: u64) -> bool {
        let Some(track) = self.track_fed_by(meta) else { return false };
        let Some(start) = self.media_start(track, meta) else { return false };
        let listed = self.listed_at(track, start, meta.frame());
        let listed = listed.filter(|it| near(it.start, start, meta.frame()));
        let media = listed.and_then(|it| it.media.as_ref());
        media.is_some_and(|it| it.input != meta.input && it.hash == hash)
    }

    /// Lets go of what waits and was listed by the session before.
    pub(super) fn forget_former(&mut self) {
        for at in (0..self.candidates.len()).rev() {
            let Candidate { meta, hash, .. } = &self.candidates[at];
            let track = self.track_of(&self.candidates[at]).and_then(|id| self.state.track(id));
            if track.is_some_and(|track| self.is_of_former(track, meta, *hash)) {
                self.forget(at);
            }
        }
    }

    /// An arrival whose time is listed already. `None` where it may be of an encoder that began
    /// anew, which its playlist tells, and that comes later.
    fn judge_covered(
        &mut self,
        now: Monotonic,
        (track, start): (&TrackState, MediaTime),
        arrival: &Arrival<'_>,
        (listed, media): (&Listed, &MediaRef),
    ) -> Option<DropReason> {
        let (meta, id) = (&arrival.meta, track.info.id);
        let is_same = media.hash == arrival.hash();
        let is_recent = self.is_recent(track, start);
        if !is_recent && !is_same {
            // No copy of what was listed there long ago.
            return None;
        }
        if media.input != meta.input {
            // A copy made at the same time is near the track's end. What an encoder repeats after
            // it began anew is no such copy.
            let is_twin = is_recent && near(start, listed.start, meta.frame());
            if is_twin && (is_same || !self.is_apart(meta.input)) {
                self.recent.push(id, listed.number, meta.input, &meta.name);
                return Some(if is_same { DropReason::Duplicate } else { DropReason::Divergent });
            }
            let told_later = self.may_lead(now, meta.input) || self.is_apart(meta.input);
            return (!told_later).then_some(DropReason::Divergent);
        }
        let again = self.recent.newest_of(id, meta.input);
        let known = self.recent.source_of(id, listed.number);
        let rendition = self.rendition_named(meta.input, &meta.name);
        let is_muxed_copy = known.is_some_and(|(input, name)| {
            input == meta.input && self.rendition_named(input, name) != rendition
        });
        if is_muxed_copy {
            return Some(DropReason::Duplicate);
        }
        if again == Some((listed.number, meta.name.as_str())) || !self.may_lead(now, meta.input) {
            return Some(if is_same { DropReason::Duplicate } else { DropReason::Overwritten });
        }
        None
    }

    /// An arrival whose time is not listed, against those that wait for the same place.
    fn judge_waiting(
        &mut self,
        (track, start): (&TrackState, MediaTime),
        arrival: &Arrival<'_>,
    ) -> Option<DropReason> {
        let meta = &arrival.meta;
        let is_rival = |it: &Candidate| {
            self.track_of(it) == Some(track.info.id)
                && !self.is_apart(it.meta.input)
                && self.media_start(track, &it.meta).is_some_and(|at| near(at, start, meta.frame()))
        };
        let rivals: Vec<usize> =
            (0..self.candidates.len()).filter(|&at| is_rival(&self.candidates[at])).collect();
        let leads = self.state.active == Some(meta.input);
        for at in rivals {
            let rival = &self.candidates[at];
            let is_same = rival.hash == arrival.hash();
            let (theirs, ours) = (self.flaws(track, &rival.meta), self.flaws(track, meta));
            let is_better = match (ours.is_none(), theirs.is_none()) {
                (true, true) => leads,
                (true, false) => true,
                (false, true) => false,
                (false, false) => meta.duration() > rival.meta.duration(),
            };
            if is_same || !is_better {
                self.candidates[at].is_seconded |= rival.meta.input != meta.input;
                return Some(if is_same { DropReason::Duplicate } else { DropReason::Divergent });
            }
        }
        None
    }

    /// Learns from an arrival how the two inputs stand to each other on its track.
    pub(super) fn compare(&mut self, now: Monotonic, arrival: &Arrival<'_>) {
        let meta = &arrival.meta;
        let Some(track) = self.track_fed_by(meta).cloned() else { return };
        if meta.kind() == TrackKind::Text || !self.flaws(&track, meta).is_none() {
            return;
        }
        let Some(start) = self.media_start(&track, meta) else { return };
        let end = start + meta.duration();
        let at_edge =
            near(start, self.reach(&track), meta.frame()) || near(end, track.end, meta.frame());
        // What an encoder sends again tells nothing of where it is.
        if at_edge && !arrival.again {
            self.inputs.on_edge(meta.input, now);
            // What goes on where the listed media ends is of its timeline: an older copy was late.
            self.forget_strangers();
            if self.is_unlisted(meta) {
                // No playlist that ended has named it: its encoder is back, or never left.
                self.inputs.resume(meta.input);
            }
        }
        if let Some(comparison) = self.comparison(&track, start, arrival) {
            self.learn(track.info.id, comparison);
        }
    }

    fn comparison(
        &self,
        track: &TrackState,
        start: MediaTime,
        arrival: &Arrival<'_>,
    ) -> Option<Comparison> {
        let meta = &arrival.meta;
        let accepted = self.accepted_at(track, start, arrival)?;
        let period = self.state.grid(track.cadence)?.period_ticks();
        // The content is hashed only where the copies begin together.
        let alike = near(accepted.start, start, meta.frame());
        let hash = if alike { arrival.hash() } else { 0 };
        let end = start + meta.duration();
        let copy = Copied { start, end, config: &meta.config, hash };
        Some(copy.compare(&accepted, meta.frame(), period))
    }

    /// The other input's sound copy in which `start` lies, a frame early at most. One that was
    /// listed long ago was not made at the same time.
    fn accepted_at(
        &self,
        track: &TrackState,
        start: MediaTime,
        arrival: &Arrival<'_>,
    ) -> Option<Copied<'_>> {
        let other = arrival.meta.input.other();
        let frame = arrival.meta.frame();
        let lies_in = |from: MediaTime, to: MediaTime| from <= start + frame && start + frame < to;
        for Candidate { meta, hash, .. } in self.candidates_of(track.info.id) {
            let Some(from) = self.media_start(track, meta) else { continue };
            let (to, config) = (from + meta.duration(), &meta.config);
            if meta.input == other && lies_in(from, to) && self.flaws(track, meta).is_none() {
                return Some(Copied { start: from, end: to, config, hash: *hash });
            }
        }
        let listed = self.listed_at(track, start, frame)?;
        let Listed { start: from, end, media: Some(media), .. } = listed else { return None };
        let fits = media.input == other && media.flaws.is_none() && self.is_recent(track, *from);
        let config = &self.state.inits.get(&media.init)?.config;
        fits.then_some(Copied { start: *from, end: *end, config, hash: media.hash })
    }

    /// True for a time near enough to a track's end that both inputs deliver it now.
    fn is_recent(&self, track: &TrackState, start: MediaTime) -> bool {
        start + MediaTime(2 * self.target().0) >= track.end
    }

    /// The candidates of a track.
    pub(super) fn candidates_of(&self, id: TrackId) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(move |it| self.track_of(it) == Some(id))
    }

    /// Takes a comparison of the two inputs' copies.
    pub(super) fn learn(&mut self, track: TrackId, comparison: Comparison) {
        let before = self.alignment(track);
        let mut after = before;
        after.on_comparison(comparison);
        if after != before {
            self.emit(Change::Alignment(track, after));
        }
        if let Some(apart) = after.apart()
            && !before.apart().is_some_and(|before| before.is_like(apart))
            && let Some(active) = self.state.active
        {
            let input = active.other();
            self.events.push(Event::Misaligned { track, input, apart });
        }
        let became = (!before.is_aligned() && after.is_aligned())
            || (!before.is_identical() && after.is_identical());
        if became {
            let identical = after.is_identical();
            self.events.push(Event::Aligned { track, identical });
        }
    }

    /// Takes back that an input's timestamps are of another timeline.
    pub(super) fn forget_strangers(&mut self) {
        let known = self.state.alignments.iter();
        let strange = known.filter(|(_, it)| it.apart() == Some(Apart::Timestamps));
        for id in strange.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.emit(Change::Alignment(id, Alignment::default()));
        }
    }

    /// How the two inputs stand to each other on a track.
    pub(super) fn alignment(&self, track: TrackId) -> Alignment {
        self.state.alignments.get(&track).copied().unwrap_or_default()
    }

    /// True where `input` does not lead, and its media is apart from that of the one that does.
    pub(super) fn is_apart(&self, input: InputNumber) -> bool {
        self.state.active.is_some_and(|active| active != input)
            && self.state.alignments.values().any(|alignment| alignment.apart().is_some())
    }

    /// The rendition that a body belongs to, as far as the playlists tell now.
    pub(super) fn rendition_named(&self, input: InputNumber, name: &str) -> Option<RenditionKey> {
        // An encoder that joined late sends names like its twin's before its own top playlist.
        let top = self.top(input).or_else(|| self.state.sources.iter().flatten().next())?;
        self.inputs.playlists(input).rendition_of(top, name)
    }

    /// The track that a body's stream goes to, where there is one already.
    pub(super) fn track_fed_by(&self, meta: &RecordMeta) -> Option<&TrackState> {
        let source = (self.rendition_named(meta.input, &meta.name)?, meta.ordinal);
        let fits =
            |track: &&TrackState| track.info.kind == meta.kind() && track.sources.contains(&source);
        self.state.tracks.iter().find(fits)
    }

    /// Candidates of a track that begin where `meta` does, at `start`.
    pub(super) fn waiting_at(
        &self,
        track: &TrackState,
        start: MediaTime,
        meta: &RecordMeta,
    ) -> impl Iterator<Item = &Candidate> {
        self.candidates_of(track.info.id).filter(move |it| {
            self.media_start(track, &it.meta).is_some_and(|at| near(at, start, meta.frame()))
        })
    }

    /// A body's deadline: what it says of its input's health. One that begins where a player
    /// can, and of which nothing was lost, is as good as media can be known to be here.
    pub(super) fn note_health(&mut self, now: Monotonic, arrivals: &[Arrival<'_>]) {
        let kinds = self.state.tracks.iter().map(|track| track.info.kind);
        let kind = kinds.min().unwrap_or(TrackKind::Video);
        let target = self.target();
        let sound = |it: &&Arrival<'_>| {
            let meta = &it.meta;
            let leads = meta.kind() == kind || self.state.tracks.is_empty();
            leads && meta.damage.is_none() && meta.random_access
        };
        if let Some(Arrival { meta, .. }) = arrivals.iter().find(sound) {
            let due = span(target.max(meta.duration()));
            self.inputs.on_sound(meta.input, now, meta.start, due);
        }
    }
}
