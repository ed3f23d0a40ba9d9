//! Where the timeline begins and where it breaks: the first clock, sessions, and learned periods.

use crate::engine::channel::candidate::Candidate;
use crate::engine::channel::event::{Cause, Event};
use crate::engine::channel::grid::{SOURCE_TIME_MODULUS, first_clock, unwrap_near};
use crate::engine::channel::source::{RenditionKey, SourceTop};
use crate::engine::channel::state::{Change, Session};
use crate::engine::channel::{Channel, Now};
use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::presentation::Grid;
use crate::units::{InputNumber, MediaTime, WallClock};

/// Microseconds from 1970 to 2000 and to 2200.
const YEAR_2000: i64 = 946_684_800_000_000;
const YEAR_2200: i64 = 7_258_118_400_000_000;

/// The stream that decides: its kind, rendition and ordinal. Orders by who is asked first.
type LeaderKey = (TrackKind, RenditionKey, u8);

impl Channel {
    /// Puts an empty channel on air once every listed rendition has a segment and the period is
    /// known, or three targets after the first segment. Returns true once there is a session.
    pub(super) fn begin(&mut self, now: Now) -> bool {
        if let Some(session) = self.state.session
            && let Some(grid) = self.state.grid(0)
        {
            if grid.session < session.id {
                // The process ended between the session's record and its grids'.
                self.begin_grids(session.start, Some(session), None, true);
            }
            return true;
        }
        let oldest = self.candidates.iter().map(|it| it.committed).min();
        let Some(since) = oldest else { return false };
        let impatient = since + self.patience() <= now.monotonic;
        let Some(input) = self.first_input(impatient) else { return false };
        self.name_candidates();
        if !impatient && !self.every_rendition_has_media(input) {
            return false;
        }
        let run = self.leading_run(input);
        let Some(first) = run.first() else { return false };
        let input = first.meta.input;
        let Some(wall) = self.wall_of(&run, impatient) else { return false };
        let Some((steady, period)) = self.learn_period(&run, impatient) else { return false };

        let (start, offset) = first_clock(first.meta.start, wall);
        let shift = (start - first.meta.start).0.rem_euclid(SOURCE_TIME_MODULUS);
        let steady = unwrap_near(run[steady].meta.start, MediaTime(shift), start);
        let grid = Grid::first(steady, period, &self.config.join_seconds);
        self.emit(Change::Active(input));
        self.emit(Change::Clock(offset));
        self.emit(Change::Session(Session { id: 0, shift: MediaTime(shift), start }));
        self.emit(Change::Grid(grid));
        self.events.push(Event::Started);
        true
    }

    /// The input that goes on air: the first with a segment and a known set of renditions.
    fn first_input(&mut self, impatient: bool) -> Option<InputNumber> {
        let known = |it: &&Candidate| self.top(it.meta.input).is_some();
        let preferred = self.config.preference.input;
        let order = |it: &&Candidate| Some(it.meta.input) != preferred;
        if let Some(candidate) = self.candidates.iter().filter(known).min_by_key(order) {
            return Some(candidate.meta.input);
        }
        let input = self.candidates.first()?.meta.input;
        if !impatient {
            return None;
        }
        // No multivariant playlist: media playlists stand for themselves, or names alone do.
        let names: Vec<String> = self.inputs.playlists(input).names().map(str::to_owned).collect();
        let top = match names.as_slice() {
            [] => SourceTop::from_media_playlists(std::iter::once("")),
            names => SourceTop::from_media_playlists(names.iter().map(String::as_str)),
        };
        self.emit(Change::Source(input, top));
        Some(input)
    }

    fn every_rendition_has_media(&self, input: InputNumber) -> bool {
        let Some(top) = self.top(input) else { return false };
        let has_media = |key| self.candidates.iter().any(|it| it.rendition == Some(key));
        top.renditions.iter().all(|rendition| has_media(rendition.key))
    }

    /// The leader's candidates from `input`, or from the other one where that alone has any, in the
    /// order of their media time.
    fn leading_run(&self, input: InputNumber) -> Vec<Candidate> {
        let key = |it: &Candidate| Some((it.meta.kind(), it.rendition?, it.meta.ordinal));
        let timed = self.candidates.iter().filter(|it| it.meta.kind() != TrackKind::Text);
        let keyed = timed.filter_map(|it| Some((key(it)?, it.meta.input != input)));
        let Some((leader, is_other)) = keyed.min() else { return Vec::new() };
        let leads = |it: &&Candidate| {
            key(it).is_some_and(|it: LeaderKey| it == leader)
                && (it.meta.input != input) == is_other
        };
        let mut run: Vec<Candidate> = self.candidates.iter().filter(leads).cloned().collect();
        let Some(first) = run.first().map(|first| first.meta.start) else { return run };
        run.sort_by_key(|it| unwrap_near(it.meta.start, MediaTime(0), first));
        run
    }

    /// The wall-clock time of the run's first picture: from PROGRAM-DATE-TIME, else from arrival.
    fn wall_of(&self, run: &[Candidate], impatient: bool) -> Option<WallClock> {
        let first = run.first()?;
        for candidate in run {
            let listed = self.inputs.playlists(candidate.meta.input).segment(&candidate.meta.name);
            if let Some(time) = listed.and_then(|listed| listed.program_date_time)
                && is_plausible(time)
            {
                let zero = MediaTime(0);
                let ahead = unwrap_near(candidate.meta.start, zero, first.meta.start);
                let before = ahead - first.meta.start;
                return Some(WallClock::from_ticks_90k(time.ticks_90k() - before.0));
            }
        }
        let listed = self.inputs.playlists(first.meta.input).segment(&first.meta.name);
        (listed.is_some() || impatient).then(|| first.meta.arrival_start())
    }

    /// The source's period, and the position in `run` of a segment that lies on its grid.
    ///
    /// Learned as soon as two consecutive segments are equally long; the first may be a stump.
    fn learn_period(&self, run: &[Candidate], impatient: bool) -> Option<(usize, (u64, u32))> {
        let equal = run.windows(2).position(|pair| {
            let apart = unwrap_near(pair[1].meta.start, MediaTime(0), pair[0].meta.end);
            (apart - pair[0].meta.end).0.abs() <= pair[0].meta.frame().0
                && (pair[0].meta.duration() - pair[1].meta.duration()).0.abs() <= 1
        });
        if let Some(period) = self.config.period {
            return Some((equal.unwrap_or(0), period));
        }
        if let Some(at) = equal {
            return Some((at, exact_period(&run[at])));
        }
        let target = self.inputs.target().or_else(|| run.first().map(|it| it.meta.duration()))?;
        impatient.then(|| (0, (u64::try_from(target.0).unwrap_or(1).max(1), 1)))
    }

    /// Begins a session with candidate `at`, which does not fit the present one.
    pub(super) fn begin_session(&mut self, at: usize, cause: Cause) {
        let Some(before) = self.state.session else { return };
        let candidate = &self.candidates[at];
        let by_clock = self.start_by_clock(&candidate.meta, candidate.committed);
        let start = by_clock.max(self.published_end());
        let shift = (start - candidate.meta.start).0.rem_euclid(SOURCE_TIME_MODULUS);
        let session = Session { id: before.id + 1, shift: MediaTime(shift), start };
        self.former = Some(before);
        self.emit(Change::Session(session));
        self.begin_grids(start, Some(session), None, true);
        self.off_grid = 0;
        if cause == Cause::Jump {
            // Both may have jumped: what was of another timeline may be of this one.
            self.forget_strangers();
        }
        self.events.push(Event::Discontinuity(cause));
    }

    /// Begins a grid in every cadence, each at the first number that none of its tracks has
    /// listed: all tracks change together. A new `period` is the leader's.
    pub(super) fn begin_grids(
        &mut self,
        start: MediaTime,
        session: Option<Session>,
        period: Option<(u64, u32)>,
        breaks: bool,
    ) {
        let mut cadences: Vec<u16> = self.state.grids.iter().map(|grid| grid.cadence).collect();
        cadences.sort_unstable();
        cadences.dedup();
        for cadence in cadences {
            let Some(newest) = self.state.grid(cadence).cloned() else { continue };
            let first = self.next_free_number(cadence).max(newest.first_number + 1);
            let period_here = period.filter(|_| cadence == 0).unwrap_or(newest.period);
            let mut grid = newest.successor(self.next_grid_id(), first, start, period_here);
            grid.breaks = breaks;
            grid.session_start = start;
            grid.session = session.map_or(newest.session, |session| session.id);
            self.emit(Change::Grid(grid));
        }
    }

    /// The first base number that no track of a cadence has listed, nor one that has left it since:
    /// a grid's numbers end where the next one begins.
    pub(super) fn next_free_number(&self, cadence: u16) -> u64 {
        let tracks = self.state.tracks.iter().filter(|track| track.cadence == cadence);
        let next = tracks.filter_map(|track| track.next_number).max().unwrap_or(0);
        let Some(grid) = self.state.grid(cadence).map(|grid| grid.id) else { return next };
        let left = self.state.tracks.iter().filter(|track| track.cadence != cadence);
        let left = left.filter_map(|track| {
            let segments = self.windows.segments(track.info.id)?;
            let end = segments.partition_point(|listed| listed.grid <= grid);
            let last = segments.get(end.checked_sub(1)?)?;
            (last.grid == grid).then_some(last.number + 1)
        });
        left.max().unwrap_or(0).max(next)
    }

    pub(super) fn next_grid_id(&self) -> u32 {
        self.state.grids.last().map_or(0, |last| last.id + 1)
    }
}

/// False for the PROGRAM-DATE-TIME of an encoder whose clock was never set: media time must count
/// from 1970 without becoming negative, and stay under 2^53 ticks.
pub(super) fn is_plausible(time: WallClock) -> bool {
    (YEAR_2000..YEAR_2200).contains(&time.0)
}

/// The period of a steady segment: whole pictures at the declared frame rate where they fit, so
/// that a fraction of a tick does not add up over a day.
pub(super) fn exact_period(candidate: &Candidate) -> (u64, u32) {
    let ticks = u64::try_from(candidate.meta.duration().0).unwrap_or(1).max(1);
    if let CodecConfig::Avc(video) | CodecConfig::Hevc(video) = &candidate.meta.config {
        let (rate, per) = video.frame_rate;
        let whole = u64::from(candidate.meta.sample_count) * 90_000 * u64::from(per);
        if rate > 0 && whole.abs_diff(ticks * u64::from(rate)) <= u64::from(rate) {
            return (whole, rate);
        }
    }
    (ticks, 1)
}
