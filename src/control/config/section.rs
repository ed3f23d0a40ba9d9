//! Reads values of the types that the key table asks for, and collects every mistake.

use super::keys::{self, Key, Kind, Shape, Unset};
use super::mistake::{Mistake, Place};
use super::quantity;
use super::reason::Reason;
use super::source::{Node, Table, Value};
use crate::limits::ID_SIZE_MAX;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

/// A value of the type that its key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Typed {
    Text(String),
    Integer(u64),
    Span(Duration),
    Ratio(u32, u32),
    Addresses(Vec<SocketAddr>),
    Choices(Vec<&'static str>),
    Flag(bool),
    Milliseconds(i64),
}

/// One table of the configuration, with its place in the tree.
///
/// An accessor returns `None` where the key is absent and has no default, or where it is wrong;
/// the mistake has been noted then, and reading goes on so that all are found at once.
pub struct Section<'a> {
    pattern: String,
    path: String,
    table: Option<&'a Table>,
    at: Place,
    mistakes: &'a RefCell<Vec<Mistake>>,
}

impl<'a> Section<'a> {
    /// The whole configuration; notes each unknown key and each table that is something else.
    pub fn root(table: &'a Table, file: &str, mistakes: &'a RefCell<Vec<Mistake>>) -> Self {
        let at = Place::Whole(file.to_owned());
        let (pattern, path) = (String::new(), String::new());
        let root = Self { pattern, path, table: Some(table), at, mistakes };
        root.check_keys();
        root
    }

    fn check_keys(&self) {
        for (name, node) in self.table.into_iter().flatten() {
            let path = join(&self.path, name);
            match (keys::shape(&join(&self.pattern, name)), &node.value) {
                (Shape::Value, _) => {
                    let key = keys::at(&join(&self.pattern, name));
                    if let Some(Key { kind: kind @ Kind::Later(_), .. }) = key {
                        self.note(&node.key_at, path, kind.to_string());
                    }
                }
                (Shape::Table, Value::Table(_)) => self.section(name).check_keys(),
                (Shape::Tables, Value::List(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        if !matches!(item.value, Value::Table(_)) {
                            let path = format!("{path}[{index}]");
                            self.note(&item.at, path, expected("a table", &item.value));
                        }
                    }
                    self.sections(name).iter().for_each(Section::check_keys);
                }
                (Shape::Table, other) => self.note(&node.at, path, expected("a table", other)),
                (Shape::Tables, other) => {
                    let what = format!("an array of tables, [[{path}]]");
                    self.note(&node.at, path, expected(&what, other));
                }
                (Shape::Unknown, _) => {
                    let hint = keys::similar(&self.pattern, name)
                        .map_or_else(String::new, |known| format!("; did you mean \"{known}\"?"));
                    self.note(&node.key_at, path, format!("unknown key{hint}"));
                }
            }
        }
    }

    fn note(&self, at: &Place, key: String, what: String) {
        self.mistakes.borrow_mut().push(Mistake { at: at.clone(), key, what });
    }

    /// Notes a mistake of the value of `name`, or of the table where it isn't set.
    pub fn reject(&self, name: &str, what: String) {
        let at = self.node(name).map_or(&self.at, |node| &node.at);
        self.note(at, join(&self.path, name), what);
    }

    /// Notes a mistake of a class that the API has a name for.
    pub fn reject_as(&self, reason: Reason, name: &str, what: &str) {
        self.reject(name, format!("{reason}: {what}"));
    }

    /// Notes a mistake of the table as a whole.
    pub fn reject_whole(&self, what: String) {
        self.note(&self.at, self.path.clone(), what);
    }

    fn node(&self, name: &str) -> Option<&'a Node> {
        self.table?.get(name)
    }

    /// True where the key is set, rightly or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.node(name).is_some()
    }

    /// The table `name`, which is empty where nobody set it.
    #[must_use]
    pub fn section(&self, name: &str) -> Section<'a> {
        let node = self.node(name);
        let table = node.and_then(|node| match &node.value {
            Value::Table(table) => Some(table),
            _ => None,
        });
        Section {
            pattern: join(&self.pattern, name),
            path: join(&self.path, name),
            table,
            at: node.map_or_else(|| self.at.clone(), |node| node.at.clone()),
            mistakes: self.mistakes,
        }
    }

    /// The array of tables `name`, which is empty where nobody set it.
    #[must_use]
    pub fn sections(&self, name: &str) -> Vec<Section<'a>> {
        let items = match self.node(name).map(|node| &node.value) {
            Some(Value::List(items)) => items.as_slice(),
            _ => &[],
        };
        let section = |(index, item): (usize, &'a Node)| {
            let Value::Table(table) = &item.value else { return None };
            Some(Section {
                pattern: format!("{}[]", join(&self.pattern, name)),
                path: format!("{}[{index}]", join(&self.path, name)),
                table: Some(table),
                at: item.at.clone(),
                mistakes: self.mistakes,
            })
        };
        items.iter().enumerate().filter_map(section).collect()
    }

    /// The text of `name` as it stands there, unjudged.
    #[must_use]
    pub fn raw_text(&self, name: &str) -> Option<&'a str> {
        text(&self.node(name)?.value)
    }

    fn typed(&self, name: &str) -> Option<Typed> {
        let path = join(&self.pattern, name);
        let key = keys::at(&path).unwrap_or_else(|| panic!("{path} is not in the key table"));
        let Some(node) = self.node(name) else { return self.default(key, name) };
        let typed = read(key.kind, &node.value);
        if typed.is_none() {
            let found = match key.kind {
                // What was meant as a password isn't shown.
                Kind::Secret => format!("expected {}, found something else", key.kind),
                kind => expected(&kind.to_string(), &node.value),
            };
            self.note(&node.at, join(&self.path, name), found);
        }
        typed
    }

    fn default(&self, key: &Key, name: &str) -> Option<Typed> {
        match key.default {
            Unset::Absent => None,
            Unset::Required => {
                self.reject(name, format!("expected {}, found nothing", key.kind));
                None
            }
            Unset::Text(text) => read(key.kind, &Value::Variable(text.to_owned())),
        }
    }

    /// A text of any kind, or a single choice.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.typed(name)? {
            Typed::Text(text) => Some(text),
            other => panic!("{name} is {other:?} by the key table, not a text"),
        }
    }

    /// A whole number, a size in bytes among them.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<u64> {
        match self.typed(name)? {
            Typed::Integer(number) => Some(number),
            other => panic!("{name} is {other:?} by the key table, not an integer"),
        }
    }

    /// Whole seconds, which the key table keeps within 32 bits.
    #[must_use]
    pub fn seconds(&self, name: &str) -> Option<u32> {
        u32::try_from(self.integer(name)?).ok()
    }

    /// A time span.
    #[must_use]
    pub fn span(&self, name: &str) -> Option<Duration> {
        match self.typed(name)? {
            Typed::Span(span) => Some(span),
            other => panic!("{name} is {other:?} by the key table, not a duration"),
        }
    }

    /// Yes or no.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.typed(name)? {
            Typed::Flag(flag) => Some(flag),
            other => panic!("{name} is {other:?} by the key table, not a flag"),
        }
    }

    /// Milliseconds of a number of seconds.
    #[must_use]
    pub fn milliseconds(&self, name: &str) -> Option<i64> {
        match self.typed(name)? {
            Typed::Milliseconds(milliseconds) => Some(milliseconds),
            other => panic!("{name} is {other:?} by the key table, not seconds"),
        }
    }

    /// Ticks and timescale.
    #[must_use]
    pub fn ratio(&self, name: &str) -> Option<(u32, u32)> {
        match self.typed(name)? {
            Typed::Ratio(ticks, timescale) => Some((ticks, timescale)),
            other => panic!("{name} is {other:?} by the key table, not a ratio"),
        }
    }

    /// Socket addresses.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Option<Vec<SocketAddr>> {
        match self.typed(name)? {
            Typed::Addresses(addresses) => Some(addresses),
            other => panic!("{name} is {other:?} by the key table, not addresses"),
        }
    }

    /// The chosen words, one or several.
    #[must_use]
    pub fn choices(&self, name: &str) -> Option<Vec<&'static str>> {
        match self.typed(name)? {
            Typed::Choices(words) => Some(words),
            other => panic!("{name} is {other:?} by the key table, not choices"),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn expected(what: &str, value: &Value) -> String {
    let found = match value {
        Value::Text(text) | Value::Variable(text) => format!("{text:?}"),
        Value::Decimal(digits) => digits.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Other(name) => (*name).to_owned(),
        Value::List(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    };
    format!("expected {what}, found {found}")
}

fn read(kind: Kind, value: &Value) -> Option<Typed> {
    match kind {
        Kind::Text | Kind::Secret => {
            text(value).filter(|text| !text.is_empty()).map(str::to_owned).map(Typed::Text)
        }
        Kind::Id => text(value).filter(|text| is_id(text)).map(str::to_owned).map(Typed::Text),
        Kind::IdOrEmpty => {
            let fits = |text: &&str| text.is_empty() || is_id(text);
            text(value).filter(fits).map(str::to_owned).map(Typed::Text)
        }
        Kind::Address => text(value)?.parse().ok().map(|address| Typed::Addresses(vec![address])),
        Kind::Addresses => {
            let addresses = words(value)?.into_iter().map(|word| word.parse().ok());
            addresses.collect::<Option<_>>().map(Typed::Addresses)
        }
        Kind::Size => quantity::parse_size(text(value)?).map(Typed::Integer),
        Kind::Span(min, max) => {
            let span = quantity::parse_duration(text(value)?)?;
            let within = Duration::from_millis(min)..=Duration::from_millis(max);
            within.contains(&span).then_some(Typed::Span(span))
        }
        Kind::Integer(min, max) => {
            let number = match value {
                Value::Integer(number) => u64::try_from(*number).ok()?,
                Value::Variable(text) => text.parse().ok()?,
                _ => return None,
            };
            (min..=max).contains(&number).then_some(Typed::Integer(number))
        }
        Kind::Seconds => match value {
            Value::Integer(number) => quantity::parse_seconds(&number.to_string()),
            Value::Decimal(digits) | Value::Variable(digits) => quantity::parse_seconds(digits),
            _ => None,
        }
        .map(Typed::Milliseconds),
        Kind::Flag => match value {
            Value::Flag(flag) => Some(Typed::Flag(*flag)),
            Value::Variable(text) => text.parse().ok().map(Typed::Flag),
            _ => None,
        },
        Kind::Ratio => {
            quantity::parse_ratio(text(value)?).map(|(ticks, scale)| Typed::Ratio(ticks, scale))
        }
        Kind::Choice(list) => {
            let word = match value {
                Value::Integer(number) => number.to_string(),
                other => text(other)?.to_owned(),
            };
            Some(Typed::Choices(vec![choice(list, &word)?]))
        }
        Kind::Choices(list) | Kind::ChoicesOrNone(list) => {
            let chosen = words(value)?.into_iter().map(|word| choice(list, word));
            let chosen: Vec<_> = chosen.collect::<Option<_>>()?;
            let once = |(index, word)| !chosen.iter().skip(index + 1).any(|other| other == word);
            let all_once = chosen.iter().enumerate().all(once);
            let is_enough = matches!(kind, Kind::ChoicesOrNone(_)) || !chosen.is_empty();
            (is_enough && all_once).then_some(Typed::Choices(chosen))
        }
        Kind::LogFilter => {
            let text = text(value)?;
            tracing_subscriber::EnvFilter::try_new(text).ok()?;
            Some(Typed::Text(text.to_owned()))
        }
        Kind::Later(_) => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) | Value::Variable(text) => Some(text),
        _ => None,
    }
}

/// The elements of a list of texts; a single text is a list of one.
fn words(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::Text(text) => Some(vec![text]),
        Value::Variable(list) if list.is_empty() => Some(Vec::new()),
        Value::Variable(list) => Some(list.split(',').map(str::trim).collect()),
        Value::List(items) => items.iter().map(|item| text(&item.value)).collect(),
        _ => None,
    }
}

fn choice(list: &'static [&'static str], word: &str) -> Option<&'static str> {
    list.iter().find(|known| **known == word).copied()
}

fn is_id(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=ID_SIZE_MAX).contains(&text.len()) && text.bytes().all(letter)
}
