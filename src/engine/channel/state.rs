//! What a channel must remember: a state, and the changes that lead from one state to the next.
//!
//! The channel decides by emitting [`Change`]s. Each is applied at once and written to the ring in
//! the same order; a ring file begins with the whole [`State`]. After a restart the same changes
//! lead to the same state, and so to the same numbers, URLs and bytes.

use crate::engine::channel::alignment::Alignment;
use crate::engine::channel::source::{RenditionKey, SourceTop};
use crate::engine::codec::TrackKind;
use crate::engine::log::Log;
use crate::engine::presentation::{Grid, Init, Listed, Presentation, Track, TrackInfo};
use crate::engine::splice::{SourceTags, SpliceLog, SpliceMessage};
use crate::units::{Extent, InputNumber, MediaTime, TrackId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A step of the channel's state, as it is written to the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "few exist at a time, each is written at once")]
pub enum Change {
    /// The multivariant playlist of an input, or what stands in for one.
    Source(InputNumber, SourceTop),
    /// W was settled.
    Clock(MediaTime),
    /// A session began.
    Session(Session),
    /// A grid began; the one before it in its cadence ends.
    Grid(Grid),
    /// A track appeared, or its description changed with a session.
    Track(TrackState),
    /// A decoder configuration came up.
    Init(u32, Init),
    /// A segment or gap was listed at the end of a track.
    Listed(TrackId, Listed),
    /// Late media took a gap's place, or a gap that of media that was lost.
    Filled(TrackId, Listed),
    /// Which input leads.
    Active(InputNumber),
    /// DASH lists base numbers of a kind and cadence below this one.
    SetEdge(TrackKind, u16, u64),
    /// Transport streams wait no more for sound before this media time.
    SoundEdge(MediaTime),
    /// Every live input has sent ENDLIST, or one went on.
    Ended(bool),
    /// Committed media, by its payload, will never be listed.
    Dropped(Extent),
    /// The joined number that a grid's first base number belongs to, for a duration in seconds
    /// that endpoints want only since now.
    Joined {
        /// The grid.
        grid: u32,
        /// Seconds of the joined segments.
        seconds: u32,
        /// The joined number.
        first: u64,
    },
    /// What comparing the two inputs' copies of a track has come to.
    Alignment(TrackId, Alignment),
    /// A splice message came that was not known.
    Splice(SpliceMessage),
    /// A source's playlist speaks of programme points before a listed segment.
    Tags(SourceTags),
}

/// A stretch of the timeline on which source time maps to media time by one shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Ascending from 0.
    pub id: u32,
    /// Media time is source time plus this, modulo 2^33.
    pub shift: MediaTime,
    /// Media time of its first segment.
    pub start: MediaTime,
}

/// One output track as the channel knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackState {
    /// What manifests say.
    pub info: TrackInfo,
    /// Where its segments come from: rendition of the source, and which stream of its kind there.
    pub sources: Vec<(RenditionKey, u8)>,
    /// Order in manifests among tracks of its kind.
    pub order: u32,
    /// Cadence whose grids number it.
    pub cadence: u16,
    /// Where the listed media ends; the session's start before anything is listed.
    pub end: MediaTime,
    /// The number that the next listed segment gets, once one is listed.
    pub next_number: Option<u64>,
    /// Session of the newest listed segment.
    pub session: Option<u32>,
    /// Grid of the newest listed segment.
    pub grid: Option<u32>,
    /// Configuration of the newest listed media.
    pub init: Option<u32>,
    /// Discontinuities listed so far.
    pub discontinuity_count: u64,
}

/// Everything needed to go on, and to list what is listed from here on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Tops of the two inputs' sources.
    pub sources: [Option<SourceTop>; 2],
    /// W.
    pub clock_offset: Option<MediaTime>,
    /// The present session.
    pub session: Option<Session>,
    /// Grids that listed segments may still refer to, ascending by id.
    pub grids: Vec<Grid>,
    /// Output tracks in the order they appeared.
    pub tracks: Vec<TrackState>,
    /// Decoder configurations in use.
    pub inits: BTreeMap<u32, Init>,
    /// The input that leads.
    pub active: Option<InputNumber>,
    /// See [`Presentation::set_edges`].
    pub set_edges: BTreeMap<(TrackKind, u16), u64>,
    /// See [`Presentation::sound_edge`].
    pub sound_edge: MediaTime,
    /// See [`Presentation::ended`].
    pub ended: bool,
    /// How the two inputs stand to each other on each track.
    pub alignments: BTreeMap<TrackId, Alignment>,
    /// See [`Presentation::splices`].
    pub splices: SpliceLog,
}

impl State {
    /// Takes one step. Changes come from this channel alone, so a misfit is a broken invariant.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Source(input, top) => self.sources[input.index()] = Some(top.clone()),
            Change::Clock(offset) => self.clock_offset = Some(*offset),
            Change::Session(session) => self.session = Some(*session),
            Change::Grid(grid) => self.begin_grid(grid.clone()),
            Change::Track(track) => {
                match self.tracks.iter_mut().find(|known| known.info.id == track.info.id) {
                    Some(known) => *known = track.clone(),
                    None => self.tracks.push(track.clone()),
                }
            }
            Change::Init(id, init) => {
                self.inits.insert(*id, init.clone());
            }
            Change::Listed(id, listed) => self.list(*id, listed),
            Change::Filled(..) | Change::Dropped(_) => {}
            Change::Active(input) => self.active = Some(*input),
            Change::SetEdge(kind, cadence, number) => {
                self.set_edges.insert((*kind, *cadence), *number);
            }
            Change::SoundEdge(edge) => self.sound_edge = *edge,
            Change::Ended(ended) => self.ended = *ended,
            Change::Alignment(id, alignment) => {
                self.alignments.insert(*id, *alignment);
            }
            Change::Splice(message) => self.splices.add_message(message.clone()),
            Change::Tags(tags) => self.splices.add_tags(tags.clone()),
            Change::Joined { grid, seconds, first } => {
                if let Some(grid) = self.grids.iter_mut().find(|known| known.id == *grid) {
                    grid.joined_first.insert(*seconds, *first);
                }
            }
        }
    }

    fn begin_grid(&mut self, grid: Grid) {
        assert!(self.grids.last().is_none_or(|last| last.id < grid.id));
        let before = self.grids.iter_mut().rfind(|before| before.cadence == grid.cadence);
        if let Some(before) = before {
            assert!(before.first_number < grid.first_number);
            before.last_number = Some(grid.first_number - 1);
        }
        self.grids.push(grid);
    }

    fn list(&mut self, id: TrackId, listed: &Listed) {
        let session =
            self.grids.iter().find(|grid| grid.id == listed.grid).map(|grid| grid.session);
        let track = self.tracks.iter_mut().find(|track| track.info.id == id);
        let track = track.expect("a track appears before it lists");
        assert!(track.next_number.is_none_or(|next| next == listed.number), "numbers never skip");
        assert!(listed.end >= listed.start);
        track.next_number = Some(listed.number + 1);
        track.end = listed.end;
        track.session = session;
        track.grid = Some(listed.grid);
        track.discontinuity_count += u64::from(listed.discontinuity);
        if let Some(media) = &listed.media {
            track.init = Some(media.init);
        }
    }

    /// The first joined number that a grid lacks for one of the durations `join_seconds`, as the
    /// change that gives it, oldest grid first.
    #[must_use]
    pub fn missing_join(&self, join_seconds: &[u32]) -> Option<Change> {
        self.grids.iter().enumerate().find_map(|(at, grid)| {
            let lacks = |seconds: &&u32| !grid.joined_first.contains_key(seconds);
            let &seconds = join_seconds.iter().find(lacks)?;
            let previous = self.grids[..at].iter().rfind(|it| it.cadence == grid.cadence);
            let first = previous.map_or_else(
                || grid.joined_number(grid.first_number, seconds),
                |previous| previous.joined_number(grid.first_number - 1, seconds) + 1,
            );
            Some(Change::Joined { grid: grid.id, seconds, first })
        })
    }

    /// Forgets grids and configurations that nothing in `windows` refers to any more, and splice
    /// messages that say nothing of it. While older segments have not been read, they may refer to
    /// any.
    pub fn forget_unreferenced(&mut self, windows: &Windows) {
        if windows.has_unread() {
            return;
        }
        let logs = self.tracks.iter().filter_map(|track| windows.segments(track.info.id));
        let fronts: Vec<&Listed> = logs.filter_map(|segments| segments.first()).collect();
        if let Some(start) = fronts.iter().map(|front| front.start).min() {
            self.splices.forget_before(start);
        }
        let Some(grid_min) = fronts.iter().map(|front| front.grid).min() else { return };
        let current: Vec<u32> = self.tracks.iter().filter_map(|track| track.grid).collect();
        let newest: Vec<u32> = self.tracks.iter().filter_map(|track| track.init).collect();
        self.grids.retain(|grid| {
            grid.id >= grid_min || current.contains(&grid.id) || grid.last_number.is_none()
        });
        let inits = fronts.iter().filter_map(|front| front.media.as_ref()).map(|media| media.init);
        if let Some(oldest) = inits.min() {
            self.inits.retain(|id, _| *id >= oldest || newest.contains(id));
        }
    }

    /// The track with this id.
    #[must_use]
    pub fn track(&self, id: TrackId) -> Option<&TrackState> {
        self.tracks.iter().find(|track| track.info.id == id)
    }

    /// The newest grid of a cadence.
    #[must_use]
    pub fn grid(&self, cadence: u16) -> Option<&Grid> {
        self.grids.iter().rfind(|grid| grid.cadence == cadence)
    }

    /// The track that decides on sessions and grids: the first video, else the first of all.
    #[must_use]
    pub fn leader(&self) -> Option<&TrackState> {
        self.tracks.iter().min_by_key(|track| (track.info.kind, track.order))
    }
}

/// The listed windows beside the state: what a presentation is made of.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    logs: BTreeMap<TrackId, Log<Listed>>,
    /// By track and ring file: the last number whose media lies there. Media is not always listed
    /// in the order in which it was committed, and a search would take longer in a longer window.
    last_in_file: BTreeMap<TrackId, BTreeMap<u64, u64>>,
    /// Tracks with segments before the first one here, in ring files that have not been read yet,
    /// and where the newest of them ends.
    unread: BTreeMap<TrackId, MediaTime>,
    version: u64,
}

impl Windows {
    /// Takes the step that [`State::apply`] takes, on the listed segments.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Listed(id, listed) => {
                let segments = self.logs.entry(*id).or_default();
                if let Some(newest) = segments.last() {
                    assert!(newest.number + 1 == listed.number, "numbers never skip");
                    segments.push(listed.clone());
                } else {
                    *segments = Log::starting_at(listed.number, listed.clone());
                }
                self.note_file(*id, listed);
            }
            Change::Filled(id, listed) => {
                if let Some(position) = self.position(*id, listed.number)
                    && let Some(segments) = self.logs.get_mut(id)
                {
                    segments.set(position, listed.clone());
                    self.note_file(*id, listed);
                }
            }
            Change::Track(track) if track.next_number.is_none() => {
                self.logs.remove(&track.info.id);
                self.last_in_file.remove(&track.info.id);
                self.unread.remove(&track.info.id);
            }
            _ => {}
        }
    }

    /// Notes which tracks have segments in ring files that have not been read yet, and where the
    /// newest of them ends.
    pub(super) fn set_unread(&mut self, unread: impl IntoIterator<Item = (TrackId, MediaTime)>) {
        self.unread = unread.into_iter().collect();
    }

    /// True where a track has segments before the first one here, in files not read yet.
    pub(super) fn is_unread(&self, id: TrackId) -> bool {
        self.unread.contains_key(&id)
    }

    /// The payloads that are listed.
    pub fn payloads(&self) -> impl Iterator<Item = Extent> {
        let listed = self.logs.values().flat_map(Log::iter);
        listed.filter_map(|listed| listed.media.as_ref()).map(|media| media.payload)
    }

    /// True while what is held is not all that the ring holds.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Puts what an older ring file lists before what is held. Of tracks that have begun anew since
    /// it was written, nothing is taken.
    ///
    /// # Panics
    ///
    /// If a track's numbers do not meet: they are our own state.
    pub(super) fn prepend(&mut self, older: &Self) {
        for (id, segments) in older.logs.iter().filter(|(id, _)| self.unread.contains_key(id)) {
            let newer = self.logs.entry(*id).or_default();
            let meet = newer.first().zip(segments.last());
            assert!(meet.is_none_or(|(front, last)| last.number + 1 == front.number));
            newer.prepend(segments);
            let files = self.last_in_file.entry(*id).or_default();
            for (&file, &number) in older.last_in_file.get(id).into_iter().flatten() {
                let last = files.entry(file).or_default();
                *last = number.max(*last);
            }
        }
    }

    fn note_file(&mut self, id: TrackId, listed: &Listed) {
        if let Some(media) = &listed.media {
            let files = self.last_in_file.entry(id).or_default();
            let last = files.entry(media.payload.file).or_default();
            *last = listed.number.max(*last);
        }
    }

    /// Where in a track's listed segments a number is; `None` where they begin behind it.
    pub(super) fn position(&self, id: TrackId, number: u64) -> Option<usize> {
        let front = self.logs.get(&id)?.first()?.number;
        Some(usize::try_from(number.checked_sub(front)?).expect("positions fit memory"))
    }

    /// A track's listed segments.
    #[must_use]
    pub fn segments(&self, id: TrackId) -> Option<&Log<Listed>> {
        self.logs.get(&id)
    }

    /// Forgets what lay in ring files up to `file`, which was unlinked, and gaps before the rest.
    pub fn drop_files(&mut self, file: u64) {
        for (id, files) in &mut self.last_in_file {
            let kept = files.split_off(&(file + 1));
            let last = std::mem::replace(files, kept).into_values().max();
            let (Some(last), Some(segments)) = (last, self.logs.get_mut(id)) else { continue };
            while let Some(front) = segments.first()
                && (front.number <= last || front.media.is_none())
            {
                segments.pop_front();
            }
        }
    }

    /// Turns listed media that `exists` denies into gaps: records that were lost on disk.
    pub fn retain(&mut self, exists: impl Fn(&Listed) -> bool) -> usize {
        let mut lost = 0;
        for segments in self.logs.values_mut() {
            for position in 0..segments.len() {
                let Some(listed) = segments.get(position) else { break };
                if listed.media.is_some() && !exists(listed) {
                    let gap = Listed { media: None, ..listed.clone() };
                    segments.set(position, gap);
                    lost += 1;
                }
            }
        }
        lost
    }

    /// The snapshot that packagers read.
    #[must_use]
    pub fn present(&mut self, state: &State) -> Presentation {
        self.version += 1;
        let mut order: Vec<&TrackState> = state.tracks.iter().collect();
        order.sort_by_key(|track| (track.info.kind, track.order));
        let tracks = order.into_iter().filter_map(|track| {
            let segments = self.logs.get(&track.info.id).cloned();
            let unread_until = self.unread.get(&track.info.id).copied();
            if segments.is_none() && unread_until.is_none() {
                return None;
            }
            Some(Track {
                info: Arc::new(track.info.clone()),
                segments: segments.unwrap_or_default(),
                unread_until,
                discontinuity_count: track.discontinuity_count,
                cadence: track.cadence,
            })
        });
        Presentation {
            version: self.version,
            clock_offset: state.clock_offset.unwrap_or_default(),
            tracks: tracks.collect(),
            grids: state.grids.iter().cloned().map(Arc::new).collect(),
            inits: state.inits.iter().map(|(&id, init)| (id, Arc::new(init.clone()))).collect(),
            set_edges: state.set_edges.clone(),
            sound_edge: state.sound_edge,
            ended: state.ended,
            splices: state.splices.clone(),
        }
    }
}
