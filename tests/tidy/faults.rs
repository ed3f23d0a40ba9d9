//! Holds `tests/faults.md`, the table of faults, to the tests: each row is there, names tests that
//! exist or a reason, and has every test that is named after it.

use crate::hold;
use crate::source::{identifier, root, sources};
use std::collections::BTreeMap;

/// Groups of rows, each numbered from 1 without a hole.
const GROUPS: &[(&str, usize)] = &[("IN", 50), ("ST", 26), ("CO", 19)];
/// Bytes of the shortest reason that says something.
const REASON_SIZE_MIN: usize = 40;

/// One row of the table.
struct Row<'a> {
    line: usize,
    id: &'a str,
    shown_by: &'a str,
}

impl<'a> Row<'a> {
    fn parse(line: usize, text: &'a str) -> Option<Self> {
        let cells: Vec<&str> = text.trim().strip_prefix('|')?.split('|').map(str::trim).collect();
        let [id, _, _, shown_by, _] = cells[..] else { return None };
        let is_row = GROUPS.iter().any(|(group, _)| id.starts_with(&format!("{group}-")));
        is_row.then_some(Self { line, id, shown_by })
    }

    /// Paths and functions that it names.
    fn tests(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.shown_by.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::"))
    }
}

/// Names of the tests of each file, those of properties too.
fn tests() -> BTreeMap<String, Vec<String>> {
    let all = sources(&["src", "tests"]);
    all.iter().map(|source| (source.path.clone(), names(&source.text))).collect()
}

fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while lines.any(|line| line == "#[test]") {
        let name = lines.by_ref().find_map(|line| line.strip_prefix("fn "));
        names.extend(name.map(|name| identifier(name, 0).to_owned()));
    }
    names
}

/// Rows that a test is named after: `st_01_st_02_a_kill` after two, `in_22_23_a_copy` too.
fn rows_of(test: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut group = None;
    for word in test.split('_') {
        let upper = word.to_uppercase();
        if let Some((known, _)) = GROUPS.iter().find(|(known, _)| *known == upper) {
            group = Some(*known);
        } else if word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_digit()) {
            rows.extend(group.map(|group| format!("{group}-{word}")));
        } else {
            break;
        }
    }
    rows
}

#[test]
fn the_table_of_faults_is_that_of_the_tests() {
    let text = std::fs::read_to_string(root().join("tests/faults.md")).expect("it is there");
    let rows: Vec<Row<'_>> =
        (1..).zip(text.lines()).filter_map(|(line, text)| Row::parse(line, text)).collect();
    let tests = tests();
    let mut complaints = Vec::new();
    let expected = GROUPS
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(move |number| format!("{group}-{number:02}")));
    let expected: Vec<String> = expected.collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.id).collect();
    if ids != expected {
        complaints.push(format!("rows are {ids:?}: each of {GROUPS:?} once, in order"));
    }
    for row in &rows {
        let mut count = 0;
        for (path, name) in row.tests() {
            count += 1;
            let known = tests.get(path).is_some_and(|known| known.iter().any(|it| it == name));
            if !known {
                let at = format!("tests/faults.md:{}: {}", row.line, row.id);
                complaints.push(format!("{at}: there is no test {path}::{name}"));
            }
        }
        if count == 0 && row.shown_by.len() < REASON_SIZE_MIN {
            complaints.push(format!(
                "tests/faults.md:{}: {}: name a test, or say why none",
                row.line, row.id
            ));
        }
    }
    for (path, names) in &tests {
        for name in names {
            for id in rows_of(name) {
                let row = rows.iter().find(|row| row.id == id);
                let is_named = row.is_some_and(|row| row.tests().any(|it| it == (path, name)));
                if !is_named {
                    complaints
                        .push(format!("{path}: {name} is missing from {id} of tests/faults.md"));
                }
            }
        }
    }
    hold("tests/faults.md tells which test shows what", &complaints);
}

#[test]
fn names_of_tests_name_rows() {
    for (test, rows) in [
        ("st_01_st_02_fifty_kills", &["ST-01", "ST-02"][..]),
        ("in_22_23_24_the_newest", &["IN-22", "IN-23", "IN-24"]),
        ("co_13_a_crowd_of_12", &["CO-13"]),
        ("in_time", &[]),
        ("a_ring_of_12", &[]),
    ] {
        assert_eq!(rows_of(test), rows, "{test}");
    }
}
