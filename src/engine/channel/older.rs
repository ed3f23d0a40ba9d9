//! The older part of a channel's windows, read back file by file while the channel runs.
//!
//! A ring file begins with the whole state, so a channel goes on from its newest files alone. What
//! it listed before is in the changes of the older ones. A [`Seam`] says where what has been read
//! begins, and what is still owed to what lies before it; [`Seam::extend`] reads one file more and
//! gives the segments that it listed, to be put before the others (`Windows::prepend`).
//!
//! The outcome is what reading all files at once, oldest first, leads to.

use crate::engine::channel::state::{Change, State, Windows};
use crate::engine::presentation::{Listed, Presentation};
use crate::units::{Extent, MediaTime, TrackId};
use std::collections::{BTreeMap, BTreeSet};

/// What the records of one ring file say.
#[derive(Clone, Debug, Default)]
pub struct FileContent {
    /// Number of the file.
    pub file: u64,
    /// The state that it begins with, and the number of the change after those in it. `None` where
    /// that record is lost.
    pub state: Option<(u64, State)>,
    /// Its records of changes, each with the number of its first change.
    pub changes: Vec<(u64, Vec<Change>)>,
    /// Payloads of its media records.
    pub payloads: BTreeSet<Extent>,
}

/// Where what has been read of a ring begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seam {
    /// Changes before it, since the ring's first.
    count: u64,
    /// Tracks that may have segments before it: the number after theirs, and where they end.
    tracks: BTreeMap<TrackId, (u64, MediaTime)>,
    /// Changes before it that were written again behind it, with their numbers.
    again: Vec<(u64, Change)>,
    /// Late media for gaps before it, in the order in which it came.
    fills: Vec<(TrackId, Listed)>,
    /// Payloads that are listed behind it and lie before it.
    awaited: Vec<Extent>,
}

/// What one file more has led to.
#[derive(Clone, Debug)]
pub struct OlderPart {
    /// What it lists.
    windows: Windows,
    /// Payloads in it that are listed, here or behind the seam, and are not there.
    pub lost: Vec<Extent>,
    /// Where what has been read begins now.
    pub seam: Seam,
}

/// What was listed before a file cannot be known: changes between them are missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes {from} to {to} of the ring are missing, in file {file} or after it")]
pub struct MissingChanges {
    /// Number of the file.
    pub file: u64,
    /// Number of the first missing change.
    pub from: u64,
    /// Number of the first one after them.
    pub to: u64,
}

/// Segments listed by changes one after another, and what could not be done to them.
#[derive(Default)]
struct Stretch {
    windows: Windows,
    fills: Vec<(TrackId, Listed)>,
    /// Tracks that began anew on the way.
    anew: BTreeSet<TrackId>,
}

impl Stretch {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Filled(id, listed) if self.windows.position(*id, listed.number).is_none() => {
                if !self.anew.contains(id) {
                    self.fills.push((*id, listed.clone()));
                }
                return;
            }
            Change::Track(track) if track.next_number.is_none() => {
                self.anew.insert(track.info.id);
                self.fills.retain(|(id, _)| *id != track.info.id);
            }
            _ => {}
        }
        self.windows.apply(change);
    }
}

impl Seam {
    /// Before the first of the files whose records have been read, which begins with `state` after
    /// `count` changes.
    #[must_use]
    pub fn before(state: &State, count: u64) -> Self {
        Self { count, tracks: listed_tracks(state), ..Self::default() }
    }

    /// Notes a change that was read behind the seam, and its number. What was listed since the seam
    /// and before the change is in `windows`.
    pub fn on_change(&mut self, number: u64, change: &Change, windows: &Windows) {
        match change {
            _ if number < self.count => self.again.push((number, change.clone())),
            Change::Track(track) if track.next_number.is_none() => {
                self.tracks.remove(&track.info.id);
            }
            Change::Filled(id, listed) if windows.position(*id, listed.number).is_none() => {
                self.fills.push((*id, listed.clone()));
            }
            _ => {}
        }
    }

    /// Notes a payload that is listed behind the seam and lies in an older file.
    pub fn await_payload(&mut self, payload: Extent) {
        self.awaited.push(payload);
    }

    /// Of the tracks that may have segments before it, forgets those that had as many when the
    /// oldest file began.
    pub fn compare_oldest(&mut self, oldest: &State) {
        let oldest = listed_tracks(oldest);
        self.tracks.retain(|id, known| oldest.get(id) != Some(known));
    }

    /// Tracks that may have segments before it, and where those end.
    pub fn unread(&self) -> impl Iterator<Item = (TrackId, MediaTime)> {
        self.tracks.iter().map(|(&id, &(_, end))| (id, end))
    }

    /// All that lies before it, from what the channel has shown: for an owner who follows another
    /// of the same process. `None` where that was not all, or not up to here.
    #[must_use]
    pub fn bridge(&self, shown: &Presentation) -> Option<OlderPart> {
        let mut stretch = Stretch::default();
        for (id, (number, _)) in &self.tracks {
            let track = shown.tracks.iter().find(|track| track.info.id == *id)?;
            let older = track.segments.partition_point(|listed| listed.number < *number);
            let last = older.checked_sub(1).and_then(|last| track.segments.get(last))?;
            if track.unread_until.is_some() || last.number + 1 != *number {
                return None;
            }
            for listed in track.segments.iter().take(older) {
                stretch.apply(&Change::Listed(*id, listed.clone()));
            }
        }
        for (id, listed) in &self.fills {
            stretch.apply(&Change::Filled(*id, listed.clone()));
        }
        Some(OlderPart { windows: stretch.windows, lost: Vec::new(), seam: Self::default() })
    }

    /// Reads the file that lies right before it.
    ///
    /// # Errors
    ///
    /// [`MissingChanges`]: what is older cannot be listed.
    pub fn extend(self, content: FileContent) -> Result<OlderPart, MissingChanges> {
        let FileContent { file, state, changes, payloads } = content;
        let first = changes.first().map_or(self.count, |(first, _)| *first);
        let count = state.as_ref().map_or(first.min(self.count), |(count, _)| *count);
        let numbered = changes.iter().flat_map(|(first, changes)| (*first..).zip(changes));
        let again = self.again.iter().map(|(number, change)| (*number, change));
        let (mut stretch, mut next) = (Stretch::default(), count);
        let mut seam = Self { count, ..Self::default() };
        for (number, change) in numbered.chain(again) {
            if number < count {
                seam.again.push((number, change.clone()));
            } else if number == next && next < self.count {
                stretch.apply(change);
                next += 1;
            }
        }
        if next != self.count {
            return Err(MissingChanges { file, from: next, to: self.count });
        }
        let Stretch { mut windows, mut fills, anew } = stretch;
        for (id, (number, _)) in &self.tracks {
            let last = windows.segments(*id).and_then(|segments| segments.last());
            assert!(last.is_none_or(|last| last.number + 1 == *number), "numbers never skip");
        }
        let awaited = self.awaited.into_iter().chain(windows.payloads());
        let (here, before): (Vec<_>, Vec<_>) = awaited.partition(|payload| payload.file >= file);
        let lost = here.into_iter().filter(|it| it.file == file && !payloads.contains(it));
        let lost = lost.collect();
        seam.awaited = before;
        for (id, listed) in self.fills {
            match windows.position(id, listed.number) {
                Some(_) => windows.apply(&Change::Filled(id, listed)),
                None => fills.push((id, listed)),
            }
        }
        seam.tracks = match &state {
            Some((_, state)) => listed_tracks(state),
            None => self.tracks.clone(),
        };
        seam.tracks.retain(|id, known| {
            if state.is_none()
                && let Some(front) = windows.segments(*id).and_then(|segments| segments.first())
            {
                *known = (front.number, front.start);
            }
            self.tracks.contains_key(id) && !anew.contains(id)
        });
        fills.retain(|(id, _)| seam.tracks.contains_key(id));
        seam.fills = fills;
        Ok(OlderPart { windows, lost, seam })
    }
}

impl Windows {
    /// Takes what one file more has led to; `None` where no more can be known.
    pub(super) fn on_older(&mut self, part: Option<&OlderPart>) {
        let Some(part) = part else { return self.set_unread([]) };
        self.prepend(&part.windows);
        let still = part.seam.unread().filter(|(id, _)| self.is_unread(*id));
        let still: Vec<_> = still.collect();
        self.set_unread(still);
    }
}

/// The tracks that have listed something, the number that comes next on each, and where it ends.
fn listed_tracks(state: &State) -> BTreeMap<TrackId, (u64, MediaTime)> {
    let tracks = state.tracks.iter();
    tracks.filter_map(|it| Some((it.info.id, (it.next_number?, it.end)))).collect()
}

#[cfg(test)]
mod tests;
