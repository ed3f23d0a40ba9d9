//! Plans: a response as a head and a list of pieces, each either bytes in memory or a range of a
//! file, which the connection sends without looking into them.
//!
//! A plan holds its files, so that what has begun ends with the right bytes. Conditions and
//! ranges of a request are applied here, by cutting the list.

use super::conditional::not_modified;
use super::range::{self, Ranges};
use super::request::{Method, RequestHead};
use super::response::{CacheControl, Coding, ExtraFields, ResponseHead, reason};
use bytes::Bytes;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// A run of a response's content. `F` is a counted reference to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<F> {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A range of a file that never changes.
    File {
        /// The file.
        file: F,
        /// Offset of the first byte in it.
        offset: u64,
        /// Bytes.
        size: u64,
    },
}

impl<F: Clone> Piece<F> {
    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }

    /// The part of this piece that lies in `range`, which is within it.
    fn part(&self, range: Range<u64>) -> Self {
        assert!(range.start <= range.end && range.end <= self.size());
        match self {
            Self::Bytes(bytes) => {
                let index = |at| usize::try_from(at).expect("not beyond the bytes in memory");
                Self::Bytes(bytes.slice(index(range.start)..index(range.end)))
            }
            Self::File { file, offset, .. } => Self::File {
                file: file.clone(),
                offset: offset + range.start,
                size: range.end - range.start,
            },
        }
    }
}

/// The bytes of a list of pieces.
#[must_use]
pub fn total_size<F: Clone>(pieces: &[Piece<F>]) -> u64 {
    pieces.iter().map(Piece::size).sum()
}

/// Cuts a list of pieces to a byte range of what they are together; no piece of it is empty.
///
/// # Panics
///
/// If the range is not within them: ranges have been cut to the size before.
#[must_use]
pub fn slice<F: Clone>(pieces: &[Piece<F>], range: Range<u64>) -> Vec<Piece<F>> {
    assert!(range.start <= range.end && range.end <= total_size(pieces));
    let mut cut = Vec::new();
    let mut start = 0;
    for piece in pieces {
        let end = start + piece.size();
        let part = range.start.clamp(start, end) - start..range.end.clamp(start, end) - start;
        if !part.is_empty() {
            cut.push(piece.part(part));
        }
        start = end;
    }
    cut
}

/// What a URL stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation<F> {
    /// Content-Type.
    pub content_type: &'static str,
    /// Cache-Control.
    pub cache_control: CacheControl,
    /// ETag, with its quotes; a compressed form has one of its own.
    pub etag: String,
    /// Which of the forms this is.
    pub coding: Coding,
    /// Fields beside these.
    pub extra: ExtraFields,
    /// The content.
    pub pieces: Vec<Piece<F>>,
}

/// A response, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<F> {
    /// Status and fields; its Content-Length is that of the pieces, but for HEAD.
    pub head: ResponseHead,
    /// The content, empty for HEAD.
    pub pieces: Vec<Piece<F>>,
    /// Why it is no success, for the access log, where the status alone does not tell.
    pub reason: Option<&'static str>,
}

impl<F: Clone> Plan<F> {
    /// A response with this content.
    #[must_use]
    pub const fn new(head: ResponseHead, pieces: Vec<Piece<F>>) -> Self {
        Self { head, pieces, reason: None }
    }

    /// A response of a line of text. A line end is added to it.
    #[must_use]
    pub fn text(head: ResponseHead, text: &str) -> Self {
        let bytes = Bytes::from([text, "\n"].concat());
        let head = ResponseHead {
            content_length: Some(bytes.len() as u64),
            content_type: Some("text/plain; charset=utf-8".into()),
            ..head
        };
        Self::new(head, vec![Piece::Bytes(bytes)])
    }

    /// A response that says its status's reason phrase, with what is in `head`.
    #[must_use]
    pub fn status(head: ResponseHead) -> Self {
        if head.content_length.is_none() {
            return Self::new(head, Vec::new());
        }
        let text = reason(head.status);
        Self::text(head, text)
    }

    /// The answer to a GET or HEAD of `found`: 200, 206, 304 or 416, by the request's conditions
    /// and ranges in the order of RFC 9110 §13.2.2.
    #[must_use]
    pub fn answer(request: &RequestHead, found: Representation<F>) -> Self {
        let head = ResponseHead {
            coding: found.coding,
            cache_control: Some(found.cache_control),
            etag: Some(found.etag.clone()),
            extra: found.extra.clone(),
            ..ResponseHead::new(304)
        };
        if not_modified(request.if_none_match.as_deref(), &found.etag) {
            return Self::new(head, Vec::new());
        }
        let size = total_size(&found.pieces);
        // Range is defined for GET alone (RFC 9110 §14.2).
        let range = request.range.as_deref().filter(|_| request.method == Method::Get);
        let head = ResponseHead {
            status: 200,
            content_type: Some(found.content_type.into()),
            content_length: Some(size),
            accept_ranges: true,
            ..head
        };
        match range::evaluate(range, request.if_range.as_deref(), &found.etag, size) {
            Ranges::Whole => Self::new(head, found.pieces),
            Ranges::Parts(parts) => match parts.as_slice() {
                [part] => Self::of_one_range(head, &found.pieces, part, size),
                // Clients disagree on whether a multipart body's coding is that of its parts.
                _ if found.coding == Coding::Gzip => Self::new(head, found.pieces),
                parts => Self::of_ranges(head, &found, parts, size),
            },
            Ranges::Unsatisfiable => Self::status(ResponseHead {
                content_range: Some(format!("bytes */{size}")),
                cache_control: Some(CacheControl::NoStore),
                ..ResponseHead::new(416)
            }),
        }
        .without_content_for(request.method)
    }

    /// Leaves the content away where the method is HEAD: the fields stay (RFC 9110 §9.3.2).
    #[must_use]
    pub fn without_content_for(mut self, method: Method) -> Self {
        if method == Method::Head {
            self.pieces.clear();
        }
        self
    }

    fn of_one_range(head: ResponseHead, pieces: &[Piece<F>], part: &Range<u64>, size: u64) -> Self {
        let head = ResponseHead {
            status: 206,
            content_length: Some(part.end - part.start),
            content_range: Some(content_range(part, size)),
            ..head
        };
        Self::new(head, slice(pieces, part.clone()))
    }

    /// multipart/byteranges (RFC 9110 §14.6). The boundary is a function of tag and ranges.
    fn of_ranges(
        head: ResponseHead,
        found: &Representation<F>,
        parts: &[Range<u64>],
        size: u64,
    ) -> Self {
        let boundary = format!("{:016x}", xxh3_64(format!("{} {parts:?}", found.etag).as_bytes()));
        let mut pieces = Vec::new();
        for part in parts {
            let line_end = if pieces.is_empty() { "" } else { "\r\n" };
            let part_head = format!(
                "{line_end}--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                found.content_type,
                content_range(part, size)
            );
            pieces.push(Piece::Bytes(part_head.into()));
            pieces.extend(slice(&found.pieces, part.clone()));
        }
        pieces.push(Piece::Bytes(format!("\r\n--{boundary}--\r\n").into()));
        let head = ResponseHead {
            status: 206,
            content_length: Some(total_size(&pieces)),
            content_type: Some(format!("multipart/byteranges; boundary={boundary}").into()),
            ..head
        };
        Self::new(head, pieces)
    }
}

/// The value of Content-Range for a part that is not empty.
fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::parse_head;
    use proptest::prelude::*;
    use std::sync::Arc;

    type File = Arc<Vec<u8>>;

    fn read(pieces: &[Piece<File>]) -> Vec<u8> {
        let mut content = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => content.extend_from_slice(bytes),
                Piece::File { file, offset, size } => {
                    let start = usize::try_from(*offset).unwrap();
                    let end = start + usize::try_from(*size).unwrap();
                    content.extend_from_slice(&file[start..end]);
                }
            }
        }
        content
    }

    fn found() -> Representation<File> {
        Representation {
            content_type: "text/plain",
            cache_control: CacheControl::MaxAge(1),
            etag: "\"e\"".to_owned(),
            coding: Coding::Plain,
            extra: ExtraFields::default(),
            pieces: vec![
                Piece::Bytes("0123".into()),
                Piece::File { file: Arc::new(b"xx456789yy".to_vec()), offset: 2, size: 6 },
            ],
        }
    }

    fn answer(method: &str, fields: &str) -> Plan<File> {
        let text = format!("{method} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let (request, _) = parse_head(text.as_bytes()).unwrap().unwrap();
        Plan::answer(&request, found())
    }

    #[test]
    fn answers_by_condition_and_range() {
        let cases: &[(&str, &str, u16, &[u8])] = &[
            ("GET", "", 200, b"0123456789"),
            ("GET", "If-None-Match: \"f\"\r\n", 200, b"0123456789"),
            ("GET", "If-None-Match: W/\"e\"\r\n", 304, b""),
            ("HEAD", "If-None-Match: *\r\n", 304, b""),
            ("GET", "If-None-Match: \"e\"\r\nRange: bytes=0-0\r\n", 304, b""),
            ("GET", "Range: bytes=2-5\r\n", 206, b"2345"),
            ("GET", "Range: bytes=-3\r\nIf-Range: \"e\"\r\n", 206, b"789"),
            ("GET", "Range: bytes=-3\r\nIf-Range: \"f\"\r\n", 200, b"0123456789"),
            ("GET", "Range: bytes=10-\r\n", 416, b"Range Not Satisfiable\n"),
            ("HEAD", "", 200, b""),
        ];
        for (method, fields, status, content) in cases {
            let plan = answer(method, fields);
            assert_eq!((plan.head.status, read(&plan.pieces).as_slice()), (*status, *content));
            if *method == "GET" && *status != 304 {
                assert_eq!(plan.head.content_length, Some(content.len() as u64), "{fields:?}");
            }
        }
        let range = |fields| answer("GET", fields).head.content_range;
        assert_eq!(range("Range: bytes=2-5\r\n").as_deref(), Some("bytes 2-5/10"));
        assert_eq!(range("Range: bytes=10-\r\n").as_deref(), Some("bytes */10"));
    }

    #[test]
    fn the_head_of_head_is_that_of_get() {
        assert_eq!(answer("HEAD", "").head, answer("GET", "").head);
        assert_eq!(answer("HEAD", "Range: bytes=0-0\r\n").head, answer("GET", "").head);
    }

    #[test]
    fn several_ranges_come_as_multipart() {
        let plan = answer("GET", "Range: bytes=0-1,8-\r\n");
        let content = String::from_utf8(read(&plan.pieces)).unwrap();
        assert_eq!(plan.head.content_length, Some(content.len() as u64));
        let content_type = plan.head.content_type.clone().unwrap();
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let expected = format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
             \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(content, expected);
        assert_eq!(plan, answer("GET", "Range: bytes=0-1,8-\r\n"), "the same every time");
    }

    #[test]
    fn several_ranges_of_a_compressed_form_give_the_whole() {
        let text = b"GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1,8-\r\n\r\n";
        let (request, _) = parse_head(text).unwrap().unwrap();
        let plan = Plan::answer(&request, Representation { coding: Coding::Gzip, ..found() });
        assert_eq!((plan.head.status, total_size(&plan.pieces)), (200, 10));
    }

    #[test]
    fn fixed_texts() {
        let plan = Plan::<File>::status(ResponseHead::new(404));
        assert_eq!(
            (plan.head.content_length, read(&plan.pieces)),
            (Some(10), b"Not Found\n".to_vec())
        );
        assert!(Plan::<File>::status(ResponseHead::preflight()).pieces.is_empty());
    }

    proptest! {
        #[test]
        fn a_slice_of_pieces_is_the_slice_of_their_bytes(
            shapes in prop::collection::vec((any::<bool>(), 0_usize..20, 0_usize..9), 0..8),
            from: prop::sample::Index,
            to: prop::sample::Index,
        ) {
            let file: File = Arc::new((0..=255).collect());
            let pieces: Vec<Piece<File>> = shapes
                .iter()
                .map(|(in_memory, offset, size)| if *in_memory {
                    Piece::Bytes(Bytes::copy_from_slice(&file[*offset..offset + size]))
                } else {
                    Piece::File { file: file.clone(), offset: *offset as u64, size: *size as u64 }
                })
                .collect();
            let whole = read(&pieces);
            let (from, to) = (from.index(whole.len() + 1), to.index(whole.len() + 1));
            let (from, to) = (from.min(to), from.max(to));
            let cut = slice(&pieces, from as u64..to as u64);
            prop_assert_eq!(total_size(&cut), (to - from) as u64);
            prop_assert!(cut.iter().all(|piece| piece.size() > 0));
            prop_assert_eq!(read(&cut), &whole[from..to]);
        }
    }
}
