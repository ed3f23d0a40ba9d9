//! Attribute lists, `NAME=value,NAME="quoted, value"` (RFC 8216 §4.2). Values stay text.

use super::{Line, PlaylistError};
use crate::limits::PLAYLIST_ATTRIBUTE_COUNT_MAX;

/// The attributes of one tag, in the order they stand.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    line: Line<'a>,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Attributes<'a> {
    /// Parses `list`, the part of `line` behind the tag's colon. Quotes are taken off.
    pub(super) fn parse(line: Line<'a>, list: &'a str) -> Result<Self, PlaylistError> {
        let mut pairs = Vec::new();
        let mut rest = list.trim();
        while !rest.is_empty() {
            if pairs.len() == PLAYLIST_ATTRIBUTE_COUNT_MAX {
                return Err(line.error("fewer attributes"));
            }
            let (name, value) = rest.split_once('=').ok_or_else(|| line.error("NAME=value"))?;
            let value = value.trim_start();
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => {
                    let closed = quoted.split_once('"');
                    let (value, after) = closed.ok_or_else(|| line.error("a closing quote"))?;
                    let after = after.trim_start();
                    (value, after.strip_prefix(',').unwrap_or(after))
                }
                None => value.split_once(',').unwrap_or((value, "")),
            };
            pairs.push((name.trim(), value.trim()));
            rest = after.trim_start();
        }
        Ok(Self { line, pairs })
    }

    /// The value of the attribute `name`; the first where it is written twice.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }

    /// The value of `name` as owned text; `None` where it is missing or empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// True where `name` is `YES`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.value(name) == Some("YES")
    }

    /// The value of `name` as a decimal integer.
    pub(super) fn integer(&self, name: &str) -> Result<Option<u64>, PlaylistError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| self.line.error("a decimal integer in the attribute"))
    }
}
