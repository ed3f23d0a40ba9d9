//! The picture of a channel's last minutes as JSON: `/api/channels/{id}/timeline`.
//!
//! Apart from `/api/status`, so that a console asks for the channels it shows and no others.

use crate::shard::history::{Cell, Happening, History, Mark};
use crate::units::{InputNumber, WallClock};
use serde::Serialize;
use std::sync::Arc;

/// Answers what a channel's picture is now; `None` where there is no such channel. Called on the
/// control thread; must not wait.
pub type TimelineSource = Arc<dyn Fn(&str) -> Option<Timeline> + Send + Sync>;

/// A channel's last minutes. Times are milliseconds of Unix time, on the media's wall clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The rows: both inputs, then the output.
    pub rows: Vec<Row>,
    /// What happened, oldest first, by this machine's clock.
    pub happenings: Vec<HappeningShown>,
    /// How long ago new media was last published, in milliseconds.
    pub edge_age_ms: u64,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `input 1`, `input 2` or `output`.
    pub name: String,
    /// Its segments, oldest first.
    pub cells: Vec<CellShown>,
}

/// One segment of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CellShown {
    /// Where it begins.
    pub start_ms: i64,
    /// Where it ends.
    pub end_ms: i64,
    /// What is said of it, by [`Mark::name`].
    pub marks: Vec<&'static str>,
    /// Of an input: from its end to its arrival, by two clocks.
    pub lag_ms: i64,
    /// Of the output: the input that brought it.
    pub input: Option<InputNumber>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HappeningShown {
    /// When.
    pub at_ms: i64,
    /// What kind of thing, one word.
    pub kind: &'static str,
    /// What.
    pub text: String,
}

const fn milliseconds(at: WallClock) -> i64 {
    at.0.div_euclid(1_000)
}

impl From<&Cell> for CellShown {
    fn from(cell: &Cell) -> Self {
        Self {
            start_ms: milliseconds(cell.start),
            end_ms: milliseconds(cell.end),
            marks: cell.marks.iter().map(Mark::name).collect(),
            lag_ms: cell.lag_us.div_euclid(1_000),
            input: cell.input,
        }
    }
}

impl From<&Happening> for HappeningShown {
    fn from(happening: &Happening) -> Self {
        let Happening { at, kind, text } = happening;
        Self { at_ms: milliseconds(*at), kind, text: text.clone() }
    }
}

impl Timeline {
    /// The picture of a history with so many configured inputs.
    #[must_use]
    pub fn new(history: &History, input_count: usize, edge_age: std::time::Duration) -> Self {
        let inputs = [InputNumber::ONE, InputNumber::TWO].into_iter().take(input_count);
        let mut rows: Vec<Row> = inputs
            .map(|input| Row {
                name: format!("input {input}"),
                cells: history.input(input).iter().map(CellShown::from).collect(),
            })
            .collect();
        let cells = history.output().map(CellShown::from).collect();
        rows.push(Row { name: "output".to_owned(), cells });
        Self {
            rows,
            happenings: history.happenings().map(HappeningShown::from).collect(),
            edge_age_ms: u64::try_from(edge_age.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
