//! The playlists that an encoder pushes (RFC 8216): text in, plain data out.
//!
//! Unknown tags are ignored, or kept verbatim where they belong to a segment. URIs are never
//! opened: a URI serves as a *name*, its last path segment ([`name_of_uri`]). Nothing here judges
//! whether a playlist agrees with the media it lists.

mod attributes;
mod date_time;
mod media;
mod multivariant;
#[cfg(test)]
mod tests;

pub use date_time::parse_date_time;
pub use media::{MediaPlaylist, PlaylistSegment};
pub use multivariant::{Multivariant, Rendition, RenditionKind, Variant};

use crate::limits::{PLAYLIST_LINE_COUNT_MAX, PLAYLIST_LINE_SIZE_MAX, PLAYLIST_SIZE_MAX};

/// A pushed playlist of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playlist {
    /// Lists variants and renditions (RFC 8216 §4.3.4).
    Multivariant(Multivariant),
    /// Lists segments (RFC 8216 §4.3.3).
    Media(MediaPlaylist),
}

/// Why a playlist cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaylistError {
    /// The body is longer than a playlist may be.
    #[error("playlist of {size} bytes, expected at most {PLAYLIST_SIZE_MAX}")]
    TooLarge {
        /// Bytes of the body.
        size: usize,
    },
    /// RFC 8216 §4.1: playlists are UTF-8.
    #[error("playlist is not UTF-8 at byte {offset}")]
    NotText {
        /// Offset of the first byte that is not.
        offset: usize,
    },
    /// A line that cannot be used.
    #[error("playlist line {line}: expected {expected}, found {found:?}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What the line should have held.
        expected: &'static str,
        /// The beginning of what came.
        found: String,
    },
}

/// Characters of a line that an error repeats.
const FOUND_CHARACTERS_MAX: usize = 80;

/// A line that says something, with its number from 1.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn error(self, expected: &'static str) -> PlaylistError {
        let found = self.text.chars().take(FOUND_CHARACTERS_MAX).collect();
        PlaylistError::Line { line: self.number, expected, found }
    }

    /// What follows `tag`, its colon included in `tag`.
    fn after(self, tag: &str) -> Option<&'a str> {
        self.text.strip_prefix(tag)
    }
}

/// Parses a pushed playlist.
///
/// # Errors
///
/// [`PlaylistError`] where the text is too large, is not UTF-8, does not begin with `#EXTM3U`, has
/// neither the tags of a media playlist nor those of a multivariant one, or has a tag whose value
/// is needed and cannot be read.
pub fn parse_playlist(text: &[u8]) -> Result<Playlist, PlaylistError> {
    if text.len() as u64 > PLAYLIST_SIZE_MAX {
        return Err(PlaylistError::TooLarge { size: text.len() });
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| PlaylistError::NotText { offset: error.valid_up_to() })?;
    let lines = split_lines(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    match lines.first() {
        Some(first) if first.text == "#EXTM3U" => {}
        Some(first) => return Err(first.error("#EXTM3U")),
        None => return Err(Line { number: 1, text: "" }.error("#EXTM3U")),
    }
    let multivariant = |line: &Line<'_>| {
        ["#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:"].iter().any(|tag| line.text.starts_with(tag))
    };
    if lines.iter().any(multivariant) {
        return multivariant::parse(&lines).map(Playlist::Multivariant);
    }
    media::parse(&lines).map(Playlist::Media)
}

/// The name a URI is known by: its last path segment, without query and fragment.
#[must_use]
pub fn name_of_uri(uri: &str) -> &str {
    let path = uri.find(['?', '#']).map_or(uri, |end| &uri[..end]);
    path.rsplit('/').next().unwrap_or(path)
}

/// Lines that are not empty, without line ends and the blanks around them.
fn split_lines(text: &str) -> Result<Vec<Line<'_>>, PlaylistError> {
    let mut lines = Vec::new();
    for (index, text) in text.split('\n').enumerate() {
        let line = Line { number: index + 1, text: text.trim() };
        if index >= PLAYLIST_LINE_COUNT_MAX {
            return Err(line.error("no more lines"));
        }
        if line.text.len() > PLAYLIST_LINE_SIZE_MAX {
            return Err(line.error("a shorter line"));
        }
        if !line.text.is_empty() {
            lines.push(line);
        }
    }
    Ok(lines)
}
