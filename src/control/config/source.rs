//! The raw layers of a configuration: a TOML file's tree with the place of each value, and the
//! environment laid over it. Knows TOML, not which keys exist.

use super::mistake::{Mistake, Place};
use crate::limits::CONFIG_TABLE_COUNT_MAX;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Begins the name of every variable that is part of the configuration.
pub const VARIABLE_PREFIX: &str = "HEADWATER_";

/// A table's entries by key.
pub type Table = BTreeMap<String, Node>;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where the value stands.
    pub at: Place,
    /// Where its key stands.
    pub key_at: Place,
}

/// A value before anyone knows which type its key wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i128),
    /// A TOML boolean.
    Flag(bool),
    /// A TOML floating-point number as it is written.
    Decimal(String),
    /// What no key takes, such as a date; its name, for the message.
    Other(&'static str),
    /// A TOML array, or an array of tables.
    List(Vec<Node>),
    /// A table.
    Table(Table),
    /// An environment variable's text, which stands for any scalar type or a comma-separated list.
    Variable(String),
}

/// Turns byte offsets of a text into lines and columns.
struct Lines<'a> {
    file: &'a str,
    text: &'a str,
}

impl Lines<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&letter| letter != '\n').count() + 1;
        Place::File { file: self.file.to_owned(), line, column }
    }

    fn node(&self, key: &Range<usize>, value: &Spanned<DeValue<'_>>) -> Node {
        let at = self.place(value.span().start);
        Node { value: self.value(value.get_ref()), at, key_at: self.place(key.start) }
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(digits) => i128::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Value::Other("an integer out of range"), Value::Integer),
            DeValue::Float(digits) => Value::Decimal(digits.as_str().to_owned()),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| self.node(&item.span(), item)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let entry = |(key, value): (&Spanned<_>, &Spanned<_>)| {
            let name: &toml::de::DeString<'_> = key.get_ref();
            (name.to_string(), self.node(&key.span(), value))
        };
        table.iter().map(entry).collect()
    }
}

/// `text`'s tree, and every mistake of its syntax. What could be read is returned beside them.
#[must_use]
pub fn parse_toml(file: &str, text: &str) -> (Table, Vec<Mistake>) {
    let lines = Lines { file, text };
    let (document, errors) = DeTable::parse_recoverable(text);
    let mistake = |error: &toml::de::Error| Mistake {
        at: lines.place(error.span().map_or(0, |span| span.start)),
        key: String::new(),
        what: format!("expected TOML, found a mistake in it: {}", error.message()),
    };
    (lines.table(document.get_ref()), errors.iter().map(mistake).collect())
}

/// Lays each `HEADWATER_*` variable over `root`, in the order of their paths.
///
/// `__` separates the parts of a key's path, a number is an index into an array:
/// `HEADWATER_CHANNEL__0__RING` is `channel[0].ring`. An index may add one element at the end.
pub fn overlay_environment(root: &mut Table, variables: &[(String, String)]) -> Vec<Mistake> {
    let mut paths: Vec<(Vec<Step>, &str, &str)> = variables
        .iter()
        .filter_map(|(name, text)| Some((steps(name)?, name.as_str(), text.as_str())))
        .collect();
    paths.sort();
    let mut mistakes = Vec::new();
    for (path, name, text) in paths {
        let at = Place::Variable(name.to_owned());
        let value = Value::Variable(text.to_owned());
        let leaf = Node { value, at: at.clone(), key_at: at.clone() };
        if let Err(what) = insert_in_table(root, &path, leaf) {
            mistakes.push(Mistake { at, key: path_text(&path), what });
        }
    }
    mistakes
}

/// One part of a key's path. Indices sort as numbers, so that they are added in turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Index(usize),
    Key(String),
}

fn steps(variable: &str) -> Option<Vec<Step>> {
    // The short form of the one variable that is set by hand most often.
    let path = match variable.strip_prefix(VARIABLE_PREFIX)? {
        "LOG" => "LOG__LEVEL",
        // Says whether tests may make shards fail; no key of the configuration.
        "TEST_HOOKS" => return None,
        path => path,
    };
    let step = |part: &str| match part.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Key(part.to_ascii_lowercase()),
    };
    Some(path.split("__").map(step).collect())
}

fn path_text(path: &[Step]) -> String {
    let part = |step: &Step| match step {
        Step::Index(index) => format!("[{index}]"),
        Step::Key(key) => format!(".{key}"),
    };
    let text: String = path.iter().map(part).collect();
    text.trim_start_matches('.').to_owned()
}

fn insert_in_table(table: &mut Table, path: &[Step], leaf: Node) -> Result<(), String> {
    let (key, rest) = match path {
        [Step::Key(key), rest @ ..] => (key, rest),
        [Step::Index(index), ..] => return Err(format!("expected a key, found the index {index}")),
        [] => return Err("expected a key, found nothing".to_owned()),
    };
    let empty = || Node { value: Value::Table(Table::new()), ..leaf.clone() };
    let entry = table.entry(key.clone()).or_insert_with(empty);
    insert(entry, rest, leaf)
}

fn insert(node: &mut Node, path: &[Step], leaf: Node) -> Result<(), String> {
    match path {
        [] => *node = leaf,
        [Step::Key(_), ..] => {
            if !matches!(node.value, Value::Table(_)) {
                *node = Node { value: Value::Table(Table::new()), ..leaf.clone() };
            }
            if let Value::Table(table) = &mut node.value {
                return insert_in_table(table, path, leaf);
            }
        }
        [Step::Index(index), rest @ ..] => {
            if !matches!(node.value, Value::List(_)) {
                *node = Node { value: Value::List(Vec::new()), ..leaf.clone() };
            }
            if let Value::List(items) = &mut node.value {
                let last = items.len().min(CONFIG_TABLE_COUNT_MAX - 1);
                if *index > last {
                    return Err(format!("expected an index of at most {last}, found {index}"));
                }
                if *index == items.len() {
                    items.push(leaf.clone());
                }
                let item = items.get_mut(*index).ok_or("expected an index in the array")?;
                return insert(item, rest, leaf);
            }
        }
    }
    Ok(())
}
