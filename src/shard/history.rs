//! The last minutes of a channel for an operator's eyes: what each input brought, what came out,
//! and what happened, on one time axis.
//!
//! The axis is the wall clock of the media (its time plus W), so that a segment stands in one
//! column whenever and from wherever it came. All tracks of a segment share a cell, which shows
//! the worst of them. Bounded; shown only, never decided upon.

use crate::engine::channel::Event;
use crate::limits::{HAPPENING_COUNT_MAX, HISTORY_CELL_COUNT_MAX};
use crate::units::{InputNumber, WallClock};
use std::collections::VecDeque;

/// What can be said of a segment in a row; several at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Of an input: its copy was taken.
    Used,
    /// Of an input: the same bytes were there already.
    Duplicate,
    /// Of an input: other bytes were there already.
    Divergent,
    /// Of an input: another one is in use, and this one does not fit it.
    Standby,
    /// Something of it was lost on the way.
    Damaged,
    /// Of the output: listed for want of a better copy, not as long as its place.
    Odd,
    /// Of an input: it came later than its kind, by half a segment or more.
    Late,
    /// Of an input: it did not come.
    Missing,
    /// Of the output: listed without media.
    Gap,
    /// Of the output: late media took a gap's place.
    Filled,
    /// Of the output: a discontinuity lies before it.
    Discontinuity,
    /// Of the output: another input leads from here on.
    Switch,
}

impl Mark {
    /// All, in order.
    pub const ALL: [Self; 12] = [
        Self::Used,
        Self::Duplicate,
        Self::Divergent,
        Self::Standby,
        Self::Damaged,
        Self::Odd,
        Self::Late,
        Self::Missing,
        Self::Gap,
        Self::Filled,
        Self::Discontinuity,
        Self::Switch,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Duplicate => "duplicate",
            Self::Divergent => "divergent",
            Self::Standby => "standby",
            Self::Damaged => "damaged",
            Self::Odd => "odd",
            Self::Late => "late",
            Self::Missing => "missing",
            Self::Gap => "gap",
            Self::Filled => "filled",
            Self::Discontinuity => "discontinuity",
            Self::Switch => "switch",
        }
    }
}

/// A set of marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u16);

impl Marks {
    /// The set of these.
    #[must_use]
    pub fn of(marks: &[Mark]) -> Self {
        marks.iter().fold(Self::default(), |set, &mark| set.with(mark))
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, mark: Mark) -> Self {
        Self(self.0 | 1 << mark as u16)
    }

    /// The set without one.
    #[must_use]
    pub const fn without(self, mark: Mark) -> Self {
        Self(self.0 & !(1 << mark as u16))
    }

    /// Whether it has one.
    #[must_use]
    pub const fn has(self, mark: Mark) -> bool {
        self.0 & 1 << mark as u16 != 0
    }

    /// Those it has, in order.
    pub fn iter(self) -> impl Iterator<Item = Mark> {
        Mark::ALL.into_iter().filter(move |&mark| self.has(mark))
    }
}

/// A segment in a row: all tracks of it together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Wall clock of its first picture.
    pub start: WallClock,
    /// Wall clock of its end.
    pub end: WallClock,
    /// What is said of it.
    pub marks: Marks,
    /// Of an input: microseconds from its end to the last arrival of one of its tracks, by two
    /// clocks that may differ, so that only differences tell something.
    pub lag_us: i64,
    /// Of the output: the input that brought it.
    pub input: Option<InputNumber>,
}

impl Cell {
    const fn span_us(&self) -> i64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether `other` is about the same segment: it begins within a quarter of it.
    const fn is_same(&self, other: &Self) -> bool {
        self.start.0.abs_diff(other.start.0).saturating_mul(4) <= self.span_us().unsigned_abs()
    }

    fn merge(&mut self, other: &Self) {
        self.end = self.end.max(other.end);
        self.marks.0 |= other.marks.0;
        self.lag_us = self.lag_us.max(other.lag_us);
        self.input = other.input.or(self.input);
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When it was noticed.
    pub at: WallClock,
    /// The kind of thing it is, one word.
    pub kind: &'static str,
    /// What happened.
    pub text: String,
}

/// The recent past of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    inputs: [VecDeque<Cell>; 2],
    output: VecDeque<Cell>,
    happenings: VecDeque<Happening>,
    /// Marks that the output's next cell takes.
    pending: Marks,
}

impl History {
    /// An input brought a segment.
    pub fn note_arrival(&mut self, input: InputNumber, cell: Cell) {
        note(&mut self.inputs[input.index()], cell);
    }

    /// A segment was listed.
    pub fn note_listed(&mut self, mut cell: Cell) {
        cell.marks.0 |= std::mem::take(&mut self.pending).0;
        note(&mut self.output, cell);
    }

    /// Late media took the place of a listed gap.
    pub fn note_filled(&mut self, cell: &Cell) {
        if let Some(known) = self.output.iter_mut().find(|known| known.is_same(cell)) {
            known.marks = known.marks.without(Mark::Gap).with(Mark::Filled);
            known.input = cell.input.or(known.input);
        }
    }

    /// The channel told something.
    pub fn note_event(&mut self, at: WallClock, event: &Event) {
        if matches!(event, Event::InputSwitched { .. }) {
            self.pending = self.pending.with(Mark::Switch);
        }
        self.note(Happening { at, kind: event.kind(), text: event.to_string() });
    }

    /// Something happened.
    pub fn note(&mut self, happening: Happening) {
        if self.happenings.len() == HAPPENING_COUNT_MAX {
            self.happenings.pop_front();
        }
        self.happenings.push_back(happening);
    }

    /// What happened, oldest first.
    pub fn happenings(&self) -> impl Iterator<Item = &Happening> {
        self.happenings.iter()
    }

    /// The output's segments, oldest first.
    pub fn output(&self) -> impl Iterator<Item = &Cell> {
        self.output.iter()
    }

    /// An input's segments, oldest first, with those that came late or not at all.
    #[must_use]
    pub fn input(&self, input: InputNumber) -> Vec<Cell> {
        let mut cells = self.missing(input);
        cells.extend(self.inputs[input.index()].iter().cloned());
        cells.sort_by_key(|cell| cell.start);
        let mut others = self.inputs[1 - input.index()].iter().peekable();
        // The least lag so far of either input is what a segment in time has.
        let mut least = i64::MAX;
        for cell in cells.iter_mut().filter(|cell| !cell.marks.has(Mark::Missing)) {
            while let Some(other) = others.next_if(|other| other.start <= cell.start) {
                least = least.min(other.lag_us);
            }
            least = least.min(cell.lag_us);
            if cell.lag_us.saturating_sub(least) > cell.span_us() / 2 {
                cell.marks = cell.marks.with(Mark::Late);
            }
        }
        cells
    }

    /// What others have and an input that was there lacks, the newest segment apart: it may be on
    /// its way.
    fn missing(&self, input: InputNumber) -> Vec<Cell> {
        let own = &self.inputs[input.index()];
        let Some(first) = own.front() else { return Vec::new() };
        let others = self.inputs[1 - input.index()].iter().chain(&self.output);
        let newest = others.clone().map(|cell| cell.start).max().unwrap_or_default();
        let mut missing: VecDeque<Cell> = VecDeque::new();
        for cell in others.filter(|cell| cell.start >= first.start && cell.end <= newest) {
            let middle = i64::midpoint(cell.start.0, cell.end.0);
            let covers = |known: &Cell| (known.start.0..known.end.0).contains(&middle);
            if !own.iter().any(covers) {
                let marks = Marks::of(&[Mark::Missing]);
                note(&mut missing, Cell { marks, lag_us: 0, input: None, ..cell.clone() });
            }
        }
        missing.into()
    }
}

/// Puts a cell into its row, or what it says into the cell of its segment.
fn note(row: &mut VecDeque<Cell>, cell: Cell) {
    if let Some(known) = row.iter_mut().rev().find(|known| known.is_same(&cell)) {
        return known.merge(&cell);
    }
    let after = row.partition_point(|known| known.start <= cell.start);
    row.insert(after, cell);
    if row.len() > HISTORY_CELL_COUNT_MAX {
        row.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::channel::event::SwitchReason;

    const ONE: InputNumber = InputNumber::ONE;
    const TWO: InputNumber = InputNumber::TWO;
    const SECOND: i64 = 1_000_000;

    /// Segment `number` of two seconds, with this lag.
    fn cell(number: i64, lag_us: i64, marks: &[Mark]) -> Cell {
        Cell {
            start: WallClock(number * 2 * SECOND),
            end: WallClock((number + 1) * 2 * SECOND),
            marks: Marks::of(marks),
            lag_us,
            input: None,
        }
    }

    /// Each cell's segment number with its marks' names.
    fn row(cells: &[Cell]) -> Vec<(i64, Vec<&'static str>)> {
        let shown = |cell: &Cell| {
            (cell.start.0 / (2 * SECOND), cell.marks.iter().map(Mark::name).collect())
        };
        cells.iter().map(shown).collect()
    }

    #[test]
    fn a_segment_that_did_not_come_is_missing_once_a_later_one_is_there() {
        let mut history = History::default();
        for number in 0..5 {
            history.note_listed(cell(number, 0, &[]));
            history.note_arrival(ONE, cell(number, 0, &[Mark::Used]));
            if ![0, 2, 4].contains(&number) {
                history.note_arrival(TWO, cell(number, 0, &[Mark::Duplicate]));
            }
        }
        // Before its first segment it was not there, and the newest may be on its way.
        let expected = [(1, vec!["duplicate"]), (2, vec!["missing"]), (3, vec!["duplicate"])];
        assert_eq!(row(&history.input(TWO)), expected);
        assert_eq!(history.input(ONE).len(), 5);
    }

    #[test]
    fn late_is_later_than_the_best_so_far_by_half_a_segment() {
        let mut history = History::default();
        let lags =
            [(3 * SECOND, 3 * SECOND), (3 * SECOND, 4 * SECOND + 1), (2 * SECOND, 3 * SECOND)];
        for (number, (one, two)) in (0..).zip(lags) {
            history.note_arrival(ONE, cell(number, one, &[Mark::Used]));
            history.note_arrival(TWO, cell(number, two, &[Mark::Duplicate]));
        }
        let late = |input| {
            let cells = history.input(input);
            cells.iter().map(|cell| cell.marks.has(Mark::Late)).collect::<Vec<_>>()
        };
        assert_eq!(late(ONE), [false, false, false]);
        assert_eq!(late(TWO), [false, true, false]);
    }

    #[test]
    fn tracks_of_a_segment_share_a_cell_that_shows_all_of_them() {
        let mut history = History::default();
        history.note_arrival(ONE, cell(1, 0, &[Mark::Used]));
        let early = Cell { start: WallClock(2 * SECOND - 76_000), ..cell(1, 9, &[Mark::Damaged]) };
        history.note_arrival(ONE, early);
        history.note_arrival(ONE, cell(0, 0, &[Mark::Used]));
        let cells = history.input(ONE);
        assert_eq!(row(&cells), [(0, vec!["used"]), (1, vec!["used", "damaged"])]);
        assert_eq!(cells[1].lag_us, 9);
    }

    #[test]
    fn a_gap_is_filled_and_a_switch_marks_what_comes_next() {
        let mut history = History::default();
        history.note_listed(cell(0, 0, &[Mark::Gap]));
        history.note_filled(&Cell { input: Some(TWO), ..cell(0, 0, &[]) });
        history.note_event(
            WallClock(7),
            &Event::InputSwitched { to: TWO, reason: SwitchReason::Missing },
        );
        history.note_listed(cell(1, 0, &[]));
        history.note_listed(cell(2, 0, &[]));
        let cells: Vec<Cell> = history.output().cloned().collect();
        assert_eq!(row(&cells), [(0, vec!["filled"]), (1, vec!["switch"]), (2, vec![])]);
        assert_eq!(cells[0].input, Some(TWO));
        let told: Vec<&Happening> = history.happenings().collect();
        assert_eq!((told[0].kind, told[0].at), ("switch", WallClock(7)));
    }

    #[test]
    fn nothing_grows_beyond_its_bound() {
        let mut history = History::default();
        for number in 0..2_000 {
            history.note_arrival(ONE, cell(number, 0, &[Mark::Used]));
            history.note_listed(cell(number, 0, &[]));
            history.note_event(WallClock(number), &Event::Started);
        }
        assert_eq!(history.input(ONE).len(), HISTORY_CELL_COUNT_MAX);
        assert_eq!(history.output().count(), HISTORY_CELL_COUNT_MAX);
        assert_eq!(history.happenings().count(), HAPPENING_COUNT_MAX);
        let first = history.input(ONE)[0].start.0 / (2 * SECOND);
        assert_eq!(first, 2_000 - i64::try_from(HISTORY_CELL_COUNT_MAX).unwrap(), "the oldest go");
    }
}
