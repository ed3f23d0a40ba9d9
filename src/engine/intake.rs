//! One pushed body, whatever it is: a playlist or a segment, told apart by its first bytes.

use crate::engine::body::{BodyError, SegmentParser};
use crate::engine::playlist::{Playlist, PlaylistError, parse_playlist};
use crate::engine::segment::SegmentBody;
use crate::limits::PLAYLIST_SIZE_MAX;

/// What every playlist begins with (RFC 8216 §4.3.1.1), after a byte order mark if any.
const PLAYLIST_BEGINS: &[u8] = b"#EXTM3U";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A whole body, understood.
#[derive(Clone, Debug)]
pub enum Intake {
    /// A playlist.
    Playlist(Playlist),
    /// A media segment.
    Segment(SegmentBody),
}

/// Why a body cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// It looks like a segment.
    #[error(transparent)]
    Segment(#[from] BodyError),
    /// It is a playlist.
    #[error(transparent)]
    Playlist(#[from] PlaylistError),
    /// It is a playlist of more than [`PLAYLIST_SIZE_MAX`] bytes.
    #[error("playlist of more than {PLAYLIST_SIZE_MAX} bytes")]
    PlaylistSize,
}

#[derive(Clone, Debug)]
enum Form {
    Undecided(Vec<u8>),
    Playlist(Vec<u8>),
    Segment(SegmentParser),
}

/// Eats a body as it arrives. The result does not depend on how it is cut.
#[derive(Clone, Debug)]
pub struct IntakeParser {
    form: Form,
    expected_size: usize,
}

impl Default for IntakeParser {
    fn default() -> Self {
        Self::new()
    }
}

impl IntakeParser {
    /// A parser at the first byte of a body of which nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_expected_size(0)
    }

    /// A parser at the first byte of a body of about `size` bytes, for which memory is taken once.
    #[must_use]
    pub const fn with_expected_size(size: usize) -> Self {
        Self { form: Form::Undecided(Vec::new()), expected_size: size }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// [`IntakeError`] as soon as it is certain that the body is of no use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        match &mut self.form {
            Form::Segment(parser) => Ok(parser.push(bytes)?),
            Form::Playlist(text) => append(text, bytes),
            Form::Undecided(begun) => {
                begun.extend_from_slice(bytes);
                let text = begun.strip_prefix(BYTE_ORDER_MARK).unwrap_or(begun);
                if text.len() < PLAYLIST_BEGINS.len() && is_undecided(begun) {
                    return Ok(());
                }
                let begun = std::mem::take(begun);
                self.decide(&begun)
            }
        }
    }

    fn decide(&mut self, begun: &[u8]) -> Result<(), IntakeError> {
        let text = begun.strip_prefix(BYTE_ORDER_MARK).unwrap_or(begun);
        if text.starts_with(PLAYLIST_BEGINS) {
            self.form = Form::Playlist(Vec::new());
        } else {
            self.form = Form::Segment(SegmentParser::with_expected_size(self.expected_size));
        }
        self.push(begun)
    }

    /// The body is complete.
    ///
    /// # Errors
    ///
    /// [`IntakeError`] where it cannot be used; nothing of it is kept then.
    pub fn finish(mut self) -> Result<Intake, IntakeError> {
        if let Form::Undecided(begun) = &mut self.form {
            let begun = std::mem::take(begun);
            self.decide(&begun)?;
        }
        match self.form {
            Form::Segment(parser) => Ok(Intake::Segment(parser.finish()?)),
            Form::Playlist(text) => Ok(Intake::Playlist(parse_playlist(&text)?)),
            Form::Undecided(_) => unreachable!("decided above"),
        }
    }
}

/// True while what came may still become a playlist.
fn is_undecided(begun: &[u8]) -> bool {
    let marked = [BYTE_ORDER_MARK, PLAYLIST_BEGINS].concat();
    PLAYLIST_BEGINS.starts_with(begun) || marked.starts_with(begun)
}

fn append(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), IntakeError> {
    if (text.len() + bytes.len()) as u64 > PLAYLIST_SIZE_MAX {
        return Err(IntakeError::PlaylistSize);
    }
    text.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(body: &[u8], cut: usize) -> &'static str {
        let mut parser = IntakeParser::new();
        let mut result = Ok(());
        for piece in body.chunks(cut) {
            result = result.and_then(|()| parser.push(piece));
        }
        match result.and_then(|()| parser.finish()) {
            Ok(Intake::Playlist(Playlist::Media(_))) => "media",
            Ok(Intake::Playlist(Playlist::Multivariant(_))) => "multivariant",
            Ok(Intake::Segment(_)) => "segment",
            Err(IntakeError::Segment(_)) => "bad segment",
            Err(_) => "bad playlist",
        }
    }

    #[test]
    fn the_first_bytes_decide_however_the_body_is_cut() {
        let media = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n";
        let marked = format!("\u{feff}{media}");
        let text = "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n";
        for (body, kind) in [
            (media, "media"),
            (&marked, "media"),
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n", "multivariant"),
            (text, "segment"),
            ("", "bad segment"),
            ("#EXT", "bad segment"),
            ("hello", "bad segment"),
            ("#EXTM3U\n#EXTINF:x,\na.ts\n", "bad playlist"),
        ] {
            for cut in [1, 2, 3, 7, 8, 9, 1000] {
                assert_eq!(kind_of(body.as_bytes(), cut), kind, "{body:?} cut by {cut}");
            }
        }
    }
}
