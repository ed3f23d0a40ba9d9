//! Message bodies (RFC 9112 §6.2, §7.1): finds the data in a stream of bytes, without copying.
//!
//! The grammar is held to the letter, extensions and trailers are skipped within bounds. How
//! many bytes a body may have is not decided here.

use super::request::Framing;
use crate::limits::{CHUNK_EXTENSIONS_SIZE_MAX, CHUNK_SIZE_DIGIT_COUNT_MAX, TRAILERS_SIZE_MAX};
use std::ops::Range;

/// A body that breaks its framing; the connection closes after the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not `1*HEXDIG` followed by CR or a semicolon (RFC 9112 §7.1).
    #[error("body byte {offset}: expected a chunk size, found {found:#04x}")]
    ChunkSize {
        /// Byte offset in the body as transferred.
        offset: u64,
        /// The byte found.
        found: u8,
    },
    /// A chunk size of more digits than a 64-bit number has.
    #[error("body byte {offset}: chunk size too large")]
    ChunkSizeTooLarge {
        /// Byte offset in the body as transferred.
        offset: u64,
    },
    /// A line that does not end with CRLF, or data longer than its chunk.
    #[error("body byte {offset}: expected CRLF, found {found:#04x}")]
    LineEnd {
        /// Byte offset in the body as transferred.
        offset: u64,
        /// The byte found.
        found: u8,
    },
    /// A control character in a chunk extension or trailer.
    #[error("body byte {offset}: control character {found:#04x}")]
    ControlCharacter {
        /// Byte offset in the body as transferred.
        offset: u64,
        /// The byte found.
        found: u8,
    },
    /// More extension bytes than [`CHUNK_EXTENSIONS_SIZE_MAX`].
    #[error("body byte {offset}: chunk extensions too long")]
    ExtensionsTooLong {
        /// Byte offset in the body as transferred.
        offset: u64,
    },
    /// More trailer bytes than [`TRAILERS_SIZE_MAX`].
    #[error("body byte {offset}: trailers too long")]
    TrailersTooLong {
        /// Byte offset in the body as transferred.
        offset: u64,
    },
}

impl BodyError {
    /// The status of the reply: 400 whatever is wrong.
    #[must_use]
    pub const fn status(self) -> u16 {
        400
    }
}

/// What one call of [`BodyDecoder::decode`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are dealt with. Where this is less than all of it and the body is
    /// not done, call again with the rest.
    pub consumed: usize,
    /// Which of them are data; may be empty.
    pub data: Range<usize>,
    /// Whether the body has ended; what follows in the input is the next request.
    pub done: bool,
}

/// Where in a body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In Content-Length data, this many bytes before its end.
    Length(u64),
    /// In a chunk size: its value and how many digits have come.
    Size {
        value: u64,
        digits: u32,
    },
    /// In the extensions of a chunk of this size.
    Extension(u64),
    /// Before the LF of a chunk header.
    SizeLineFeed(u64),
    /// In chunk data, this many bytes before its end.
    Data(u64),
    /// Before the CR after chunk data.
    DataCarriageReturn,
    /// Before the LF after chunk data.
    DataLineFeed,
    /// At the beginning of a trailer line.
    TrailerStart,
    /// Inside a trailer line.
    Trailer,
    /// Before the LF of a trailer line.
    TrailerLineFeed,
    /// Before the LF of the empty line that ends the body.
    LastLineFeed,
    Done,
}

/// Decodes one body. Every byte given is dealt with at once, whatever pieces it comes in; nothing
/// is kept but counters.
#[derive(Debug, Clone)]
pub struct BodyDecoder {
    state: State,
    /// Bytes taken so far, as transferred.
    offset: u64,
    extensions_size: usize,
    trailers_size: usize,
}

impl BodyDecoder {
    /// A decoder at the beginning of a body.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(size) => State::Length(size),
            Framing::Chunked => State::Size { value: 0, digits: 0 },
        };
        Self { state, offset: 0, extensions_size: 0, trailers_size: 0 }
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes bytes from the front of `input` up to the end of the first run of data in it.
    ///
    /// # Errors
    ///
    /// [`BodyError`], after which the decoder is of no further use.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        let mut at = 0;
        while at < input.len() && !self.is_done() {
            if let State::Length(left) | State::Data(left) = self.state {
                let taken = usize::try_from(left)
                    .map_or(input.len() - at, |left| left.min(input.len() - at));
                self.take_data(taken);
                let data = at..at + taken;
                return Ok(Decoded { consumed: data.end, data, done: self.is_done() });
            }
            self.state = self.after_byte(input[at])?;
            self.offset += 1;
            at += 1;
        }
        Ok(Decoded { consumed: at, data: at..at, done: self.is_done() })
    }

    /// Counts `taken` bytes of data off, no more than are left.
    fn take_data(&mut self, taken: usize) {
        let taken = taken as u64;
        self.offset += taken;
        self.state = match self.state {
            State::Length(left) if left == taken => State::Done,
            State::Length(left) => State::Length(left - taken),
            State::Data(left) if left == taken => State::DataCarriageReturn,
            State::Data(left) => State::Data(left - taken),
            state => state,
        };
    }

    /// The state after `byte`, which is not data.
    fn after_byte(&mut self, byte: u8) -> Result<State, BodyError> {
        let offset = self.offset;
        let line_end = BodyError::LineEnd { offset, found: byte };
        match (self.state, byte) {
            (State::Size { value, digits }, _) => self.after_size_byte(value, digits, byte),
            (State::Extension(size), b'\r') => Ok(State::SizeLineFeed(size)),
            (State::Extension(size), _) => {
                self.extensions_size += 1;
                if self.extensions_size > CHUNK_EXTENSIONS_SIZE_MAX {
                    return Err(BodyError::ExtensionsTooLong { offset });
                }
                self.text_byte(byte).map(|()| State::Extension(size))
            }
            (State::SizeLineFeed(0) | State::TrailerLineFeed, b'\n') => Ok(State::TrailerStart),
            (State::SizeLineFeed(size), b'\n') => Ok(State::Data(size)),
            (State::DataCarriageReturn, b'\r') => Ok(State::DataLineFeed),
            (State::DataLineFeed, b'\n') => Ok(State::Size { value: 0, digits: 0 }),
            (State::TrailerStart, b'\r') => Ok(State::LastLineFeed),
            (State::Trailer, b'\r') => Ok(State::TrailerLineFeed),
            // A trailer line that begins with white space would be a folded one.
            (State::TrailerStart, b' ' | b'\t') => {
                Err(BodyError::ControlCharacter { offset, found: byte })
            }
            (State::TrailerStart | State::Trailer, _) => {
                self.trailers_size += 1;
                if self.trailers_size > TRAILERS_SIZE_MAX {
                    return Err(BodyError::TrailersTooLong { offset });
                }
                self.text_byte(byte).map(|()| State::Trailer)
            }
            (State::LastLineFeed, b'\n') => Ok(State::Done),
            _ => Err(line_end),
        }
    }

    fn after_size_byte(&self, value: u64, digits: u32, byte: u8) -> Result<State, BodyError> {
        let offset = self.offset;
        match char::from(byte).to_digit(16) {
            Some(_) if digits == CHUNK_SIZE_DIGIT_COUNT_MAX => {
                Err(BodyError::ChunkSizeTooLarge { offset })
            }
            Some(digit) => {
                Ok(State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 })
            }
            None if digits > 0 && byte == b'\r' => Ok(State::SizeLineFeed(value)),
            None if digits > 0 && byte == b';' => Ok(State::Extension(value)),
            None => Err(BodyError::ChunkSize { offset, found: byte }),
        }
    }

    /// Accepts what may stand in an extension or a trailer: no control character but a tab.
    fn text_byte(&self, byte: u8) -> Result<(), BodyError> {
        if byte.is_ascii_control() && byte != b'\t' {
            return Err(BodyError::ControlCharacter { offset: self.offset, found: byte });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes pieces one after another: the data, and how many bytes the body took if it ended.
    fn decode_all(
        framing: Framing,
        pieces: &[&[u8]],
    ) -> Result<(Vec<u8>, Option<usize>), BodyError> {
        let mut body = BodyDecoder::new(framing);
        let (mut data, mut used) = (Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() && !body.is_done() {
                let decoded = body.decode(rest)?;
                assert!(decoded.consumed > 0, "progress");
                assert!(decoded.data.end <= decoded.consumed);
                assert_eq!(decoded.done, body.is_done());
                data.extend_from_slice(&rest[decoded.data]);
                used += decoded.consumed;
                rest = &rest[decoded.consumed..];
            }
        }
        Ok((data, body.is_done().then_some(used)))
    }

    fn chunked(text: &str) -> Result<(Vec<u8>, Option<usize>), BodyError> {
        decode_all(Framing::Chunked, &[text.as_bytes()])
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        let body = |framing, text: &str| decode_all(framing, &[text.as_bytes()]).unwrap();
        assert_eq!(body(Framing::None, "next"), (vec![], Some(0)));
        assert_eq!(body(Framing::Length(0), "next"), (vec![], Some(0)));
        assert_eq!(body(Framing::Length(3), "abcnext"), (b"abc".to_vec(), Some(3)));
        assert_eq!(body(Framing::Length(9), "abc"), (b"abc".to_vec(), None));
        assert_eq!(body(Framing::Length(u64::MAX), "abc"), (b"abc".to_vec(), None));
        let text = "3\r\nabc\r\n0A;n=v;q=\"x\"\r\n0123456789\r\n000\r\nA: b\r\n\r\n";
        let expected = (b"abc0123456789".to_vec(), Some(text.len()));
        assert_eq!(body(Framing::Chunked, &format!("{text}GET / HTTP/1.1\r\n")), expected);
    }

    #[test]
    fn chunks_that_two_readers_could_read_apart_are_refused() {
        let refused = [
            "\r\n",
            ";a\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\na\r\n",
            " 1\r\na\r\n",
            "1 \r\na\r\n",
            "1\ta\r\n",
            "g\r\n",
            "1\na\r\n",
            "1\r\ra",
            "1;a\nb\r\n",
            "1;a\rb\r\n",
            "1;a\0\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\r\r",
            "1\r\na0\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\0\r\n",
            "0\r\n b\r\n",
            "0\r\n\n",
            "0\n\n",
            "0\r\n\r\r",
            "00000000000000001\r\na\r\n",
            "10000000000000000\r\n",
        ];
        for text in refused {
            let error = chunked(text).expect_err(text);
            assert_eq!(error.status(), 400, "{text:?}: {error}");
        }
    }

    #[test]
    fn skipped_bytes_are_bounded() {
        let extension = |size: usize| chunked(&format!("0;{}\r\n\r\n", "e".repeat(size)));
        assert!(extension(CHUNK_EXTENSIONS_SIZE_MAX).is_ok());
        assert!(matches!(
            extension(CHUNK_EXTENSIONS_SIZE_MAX + 1),
            Err(BodyError::ExtensionsTooLong { .. })
        ));
        let many = "1;ee\r\na\r\n".repeat(CHUNK_EXTENSIONS_SIZE_MAX / 2 + 1);
        assert!(matches!(chunked(&many), Err(BodyError::ExtensionsTooLong { .. })));
        let trailer = |size: usize| chunked(&format!("0\r\n{}\r\n\r\n", "t".repeat(size)));
        assert!(trailer(TRAILERS_SIZE_MAX).is_ok());
        assert!(matches!(trailer(TRAILERS_SIZE_MAX + 1), Err(BodyError::TrailersTooLong { .. })));
    }

    #[test]
    fn a_largest_chunk_does_not_overflow() {
        assert_eq!(chunked("ffffffffffffffff\r\nabc"), Ok((b"abc".to_vec(), None)));
    }

    /// Pieces that are nearly right, so that combinations reach every state.
    fn arbitrary_body() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::sample::select(vec![
            "3\r\nabc\r\n",
            "1;x=y\r\na\r\n",
            "0\r\n\r\n",
            "0\r\n",
            "A: b\r\n",
            "\r\n",
            "\r",
            "\n",
            "5",
            "f",
            ";",
            "a",
            "\0",
        ]);
        prop::collection::vec(pieces, 0..16).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn bodies_are_decoded_the_same_however_they_are_cut(
            input in prop_oneof![arbitrary_body(), prop::collection::vec(any::<u8>(), 0..256)],
            framing in prop_oneof![
                Just(Framing::Chunked),
                (0_u64..300).prop_map(Framing::Length),
            ],
            cut in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = input.split_at(cut.index(input.len() + 1));
            let whole = decode_all(framing, &[&input]);
            prop_assert_eq!(&decode_all(framing, &[head, tail]), &whole);
            let bytes: Vec<&[u8]> = input.chunks(1).collect();
            prop_assert_eq!(&decode_all(framing, &bytes), &whole);
        }

        #[test]
        fn chunked_data_comes_out_as_it_went_in(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..64), 0..8),
        ) {
            let mut coded = Vec::new();
            for chunk in &chunks {
                coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                coded.extend_from_slice(chunk);
                coded.extend_from_slice(b"\r\n");
            }
            coded.extend_from_slice(b"0\r\n\r\n");
            let expected = (chunks.concat(), Some(coded.len()));
            prop_assert_eq!(decode_all(Framing::Chunked, &[&coded]), Ok(expected));
        }
    }
}
