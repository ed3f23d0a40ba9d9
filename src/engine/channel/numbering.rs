//! Numbers a track's next segment, and begins grids where the source's cadence moved.

use crate::engine::channel::Channel;
use crate::engine::channel::event::Event;
use crate::engine::channel::placing::{Place, near};
use crate::engine::channel::session::exact_period;
use crate::engine::channel::state::{Change, TrackState};
use crate::engine::presentation::Grid;
use crate::units::{MediaTime, TrackId};

/// Grids that may move in a row before the source counts as one without a cadence.
pub(super) const OFF_GRID_COUNT_MAX: u32 = 3;

impl Channel {
    /// The base number that a candidate gets. May begin a grid or a cadence on the way.
    pub(super) fn number_for(
        &mut self,
        track: &TrackState,
        (place, start): (Place, MediaTime),
        at: usize,
        leads: bool,
    ) -> Option<u64> {
        let grid = self.state.grid(track.cadence)?.clone();
        let joined = track.session == self.state.session.map(|session| session.id);
        let next = match track.next_number {
            Some(next) if joined => next,
            next => {
                let first = self.first_number(track, start, at, &grid)?;
                return Some(first.max(next.unwrap_or(0)).max(grid.first_number));
            }
        };
        if place == Place::Hole {
            return Some(grid.number_at(start).unwrap_or(next).max(next));
        }
        if next >= grid.first_number && !grid.is_near(next, start) {
            if leads {
                self.move_grid(track, &grid, start, at);
            } else if track.cadence == 0 && self.off_grid == 0 {
                self.part_cadence(track, &grid, next, start, at);
            }
        } else if leads {
            self.off_grid = 0;
        }
        Some(next)
    }

    /// The number of a track's first segment in a session: that of the leader's segment in the
    /// same body, else the grid's, counted back from the first segment of the run that is on it.
    fn first_number(
        &self,
        track: &TrackState,
        start: MediaTime,
        at: usize,
        grid: &Grid,
    ) -> Option<u64> {
        let meta = &self.candidates[at].meta;
        let leader = self.leader().map(|leader| leader.info.id)?;
        let beside = self.recent.number_of(leader, meta.input, &meta.name);
        // An encoder that began anew has used the name before.
        if let Some(number) =
            beside.filter(|&it| leader != track.info.id && it >= grid.first_number)
        {
            return Some(number);
        }
        let mut run: Vec<(MediaTime, MediaTime)> = Vec::new();
        for candidate in
            self.candidates.iter().filter(|it| self.track_of(it) == Some(track.info.id))
        {
            let begin = self.media_start(track, &candidate.meta)?;
            run.push((begin, candidate.meta.duration()));
        }
        run.sort_unstable();
        let (mut behind, mut expected) = (0, start);
        for (begin, duration) in run.into_iter().filter(|&(begin, _)| begin >= start) {
            if !near(begin, expected, meta.frame()) {
                break;
            }
            let number = grid.number_at(begin)?;
            if grid.is_near(number, begin) {
                return number.checked_sub(behind);
            }
            behind += 1;
            expected = begin + duration;
        }
        grid.number_at(start)
    }

    /// The leader is contiguous but off its grid: the next number begins a grid where it lies.
    fn move_grid(&mut self, track: &TrackState, grid: &Grid, start: MediaTime, at: usize) {
        if self.off_grid >= OFF_GRID_COUNT_MAX {
            return;
        }
        self.off_grid += 1;
        let candidate = &self.candidates[at];
        let newest = self.windows.segments(track.info.id).and_then(|segments| segments.last());
        let steady = newest.is_some_and(|newest| {
            (newest.end - newest.start - candidate.meta.duration()).0.abs() <= 1
        });
        let period = if steady { exact_period(candidate) } else { grid.period };
        let init = track.init.and_then(|init| self.state.inits.get(&init));
        let breaks = init.is_some_and(|init| init.config != candidate.meta.config);
        self.begin_grids(start, None, Some(period), breaks);
        self.events.push(Event::GridMoved);
    }

    /// A track whose segments begin elsewhere than the leader's counts by itself from here on.
    fn part_cadence(
        &mut self,
        track: &TrackState,
        grid: &Grid,
        next: u64,
        start: MediaTime,
        at: usize,
    ) {
        let tracks = self.state.tracks.iter().map(|track| track.cadence);
        let highest = tracks.chain(self.state.grids.iter().map(|it| it.cadence)).max().unwrap_or(0);
        let ticks = u64::try_from(self.candidates[at].meta.duration().0).unwrap_or(1).max(1);
        let mut own = grid.successor(self.next_grid_id(), next.max(1), start, (ticks, 1));
        own.cadence = highest + 1;
        let cadence = own.cadence;
        // A crash in between leaves a grid without a track, never a track without a grid.
        self.emit(Change::Grid(own));
        self.emit(Change::Track(TrackState { cadence, ..track.clone() }));
    }

    /// The grid that base number `number` of a cadence lies on.
    pub(super) fn grid_of(&self, cadence: u16, number: u64) -> Option<&Grid> {
        let of_cadence = self.state.grids.iter().filter(|grid| grid.cadence == cadence);
        of_cadence.rev().find(|grid| grid.first_number <= number)
    }

    /// True where a discontinuity lies between a track's newest listed entry and `grid`.
    pub(super) fn breaks_before(&self, id: TrackId, grid: u32) -> bool {
        let Some(track) = self.state.track(id) else { return false };
        track.grid.is_some_and(|last| self.breaks_between(track.cadence, last, grid))
    }

    /// True where a discontinuity lies behind grid `from` of a cadence, up to grid `to`.
    pub(super) fn breaks_between(&self, cadence: u16, from: u32, to: u32) -> bool {
        let of_cadence = self.state.grids.iter().filter(|it| it.cadence == cadence);
        of_cadence.filter(|it| it.id > from && it.id <= to).any(|it| it.breaks)
    }
}
