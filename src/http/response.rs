//! Response heads (RFC 9112 §4, RFC 9110 §15): fields to bytes, always in the same order.
//!
//! Every response carries the CORS fields (Fetch §3.2), errors too, since a player that may not
//! see an error cannot act on it. None names the server, and none repeats the request's text.

use std::borrow::Cow;
use std::sync::Arc;

/// The interim response that lets a client send its body (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The methods of delivery, for Allow and for preflight responses.
pub const DELIVERY_METHODS: &str = "GET, HEAD, OPTIONS";
/// The methods of ingest, for Allow.
pub const INGEST_METHODS: &str = "PUT, POST, DELETE";

/// Fields of every response, by which a page of any origin may read it and its timing.
const CORS: &str = "Access-Control-Allow-Origin: *\r\n\
    Access-Control-Expose-Headers: Date, ETag, Content-Length, Content-Range, Retry-After, \
    X-MediaPackage-Manifest-Last-Sequence, X-MediaPackage-Manifest-Last-Updated, \
    X-MediaPackage-Active-Input, CMSD-Static, CMSD-Dynamic\r\n\
    Timing-Allow-Origin: *\r\n";

/// Fields that a representation has beside those of every one: names and values.
pub type ExtraFields = Arc<[(&'static str, String)]>;

/// How long a response may be reused without asking again (RFC 9111 §5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheControl {
    /// Not at all.
    NoStore,
    /// That many seconds.
    MaxAge(u32),
    /// That many seconds, and it will never change meanwhile (RFC 8246).
    Immutable(u32),
}

/// Which of a representation's forms is sent (RFC 9110 §8.4, §12.5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// The only one there is.
    #[default]
    Sole,
    /// The plain one; there is a compressed one.
    Plain,
    /// The one compressed by gzip; there is a plain one.
    Gzip,
}

/// Whether the connection goes on after the response, and how to say so (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It goes on, which is what HTTP/1.1 expects.
    Implied,
    /// It goes on, which HTTP/1.0 must be told.
    KeepAlive,
    /// It ends.
    Close,
}

impl Persistence {
    /// What to tell a client of HTTP/1.`version_minor`.
    #[must_use]
    pub const fn new(version_minor: u8, keep_alive: bool) -> Self {
        match (keep_alive, version_minor) {
            (false, _) => Self::Close,
            (true, 0) => Self::KeepAlive,
            (true, _) => Self::Implied,
        }
    }
}

/// The fields of a response. Texts are the program's own and hold no line ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// Content-Length in bytes; `None` for 204 and 304, which have no content.
    pub content_length: Option<u64>,
    /// Content-Type.
    pub content_type: Option<Cow<'static, str>>,
    /// Content-Range (RFC 9110 §14.4).
    pub content_range: Option<String>,
    /// Content-Encoding (where there is content) and Vary.
    pub coding: Coding,
    /// Whether ranges may be asked for: `Accept-Ranges: bytes`.
    pub accept_ranges: bool,
    /// Cache-Control.
    pub cache_control: Option<CacheControl>,
    /// ETag, with its quotes.
    pub etag: Option<String>,
    /// What the representation brings along.
    pub extra: ExtraFields,
    /// Allow, of a 405.
    pub allow: Option<&'static str>,
    /// Retry-After, in seconds.
    pub retry_after: Option<u32>,
    /// WWW-Authenticate, a line each, in this order.
    pub www_authenticate: Vec<String>,
    /// Whether this answers a CORS preflight.
    pub preflight: bool,
}

impl ResponseHead {
    /// A head without content.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let content_length = (!matches!(status, 204 | 304)).then_some(0);
        Self { status, content_length, ..Self::default() }
    }

    /// The answer to OPTIONS: what delivery allows to pages of any origin, for a day.
    #[must_use]
    pub fn preflight() -> Self {
        let cache_control = Some(CacheControl::MaxAge(86_400));
        Self { preflight: true, cache_control, ..Self::new(204) }
    }

    /// Appends the head to `out`, its empty line included. `date` is an IMF-fixdate (RFC 9110
    /// §5.6.7).
    pub fn write(&self, date: &str, persistence: Persistence, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(number.format(self.status).as_bytes());
        out.push(b' ');
        out.extend_from_slice(reason(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        write_field(out, "Date", date);
        match persistence {
            Persistence::Implied => {}
            Persistence::KeepAlive => write_field(out, "Connection", "keep-alive"),
            Persistence::Close => write_field(out, "Connection", "close"),
        }
        if let Some(length) = self.content_length {
            write_field(out, "Content-Length", number.format(length));
        }
        write_optional(out, "Content-Type", self.content_type.as_deref());
        write_optional(out, "Content-Range", self.content_range.as_deref());
        if self.coding == Coding::Gzip && self.content_type.is_some() {
            write_field(out, "Content-Encoding", "gzip");
        }
        if self.coding != Coding::Sole {
            write_field(out, "Vary", "Accept-Encoding");
        }
        write_optional(out, "Accept-Ranges", self.accept_ranges.then_some("bytes"));
        if let Some(cache_control) = self.cache_control {
            write_cache_control(out, cache_control);
        }
        write_optional(out, "ETag", self.etag.as_deref());
        for (name, value) in &*self.extra {
            write_field(out, name, value);
        }
        write_optional(out, "Allow", self.allow);
        if let Some(seconds) = self.retry_after {
            write_field(out, "Retry-After", number.format(seconds));
        }
        for challenge in &self.www_authenticate {
            write_field(out, "WWW-Authenticate", challenge);
        }
        out.extend_from_slice(CORS.as_bytes());
        if self.preflight {
            write_field(out, "Access-Control-Allow-Methods", DELIVERY_METHODS);
            write_field(out, "Access-Control-Allow-Headers", "*");
            write_field(out, "Access-Control-Max-Age", "86400");
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn write_optional(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        write_field(out, name, value);
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    assert!(!value.contains(['\r', '\n', '\0']), "a field's value is one line: {name}");
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn write_cache_control(out: &mut Vec<u8>, cache_control: CacheControl) {
    let mut number = itoa::Buffer::new();
    let (seconds, rest) = match cache_control {
        CacheControl::NoStore => return write_field(out, "Cache-Control", "no-store"),
        CacheControl::MaxAge(seconds) => (seconds, "\r\n"),
        CacheControl::Immutable(seconds) => (seconds, ", immutable\r\n"),
    };
    for part in ["Cache-Control: max-age=", number.format(seconds), rest] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The reason phrase of a status that this program sends (RFC 9110 §15, RFC 6585, RFC 4918).
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        // The phrase may be empty (RFC 9112 §4).
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn written(head: &ResponseHead, persistence: Persistence) -> String {
        let mut out = Vec::new();
        head.write(DATE, persistence, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_field_has_its_place() {
        let head = ResponseHead {
            status: 206,
            content_length: Some(18_446_744_073_709_551_615),
            content_type: Some("text/plain".into()),
            content_range: Some("bytes 0-1/2".to_owned()),
            coding: Coding::Gzip,
            accept_ranges: true,
            cache_control: Some(CacheControl::Immutable(60)),
            etag: Some("\"e\"".to_owned()),
            extra: [("X-A", "1".to_owned()), ("X-B", "2".to_owned())].into(),
            allow: Some(DELIVERY_METHODS),
            retry_after: Some(1),
            www_authenticate: vec!["Digest a".to_owned(), "Digest b".to_owned()],
            preflight: true,
        };
        let expected = "HTTP/1.1 206 Partial Content\r\n\
            Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Connection: close\r\n\
            Content-Length: 18446744073709551615\r\n\
            Content-Type: text/plain\r\n\
            Content-Range: bytes 0-1/2\r\n\
            Content-Encoding: gzip\r\n\
            Vary: Accept-Encoding\r\n\
            Accept-Ranges: bytes\r\n\
            Cache-Control: max-age=60, immutable\r\n\
            ETag: \"e\"\r\n\
            X-A: 1\r\n\
            X-B: 2\r\n\
            Allow: GET, HEAD, OPTIONS\r\n\
            Retry-After: 1\r\n\
            WWW-Authenticate: Digest a\r\n\
            WWW-Authenticate: Digest b\r\n\
            Access-Control-Allow-Origin: *\r\n\
            Access-Control-Expose-Headers: \
            Date, ETag, Content-Length, Content-Range, Retry-After, \
            X-MediaPackage-Manifest-Last-Sequence, X-MediaPackage-Manifest-Last-Updated, \
            X-MediaPackage-Active-Input, CMSD-Static, CMSD-Dynamic\r\n\
            Timing-Allow-Origin: *\r\n\
            Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n\
            Access-Control-Allow-Headers: *\r\n\
            Access-Control-Max-Age: 86400\r\n\r\n";
        assert_eq!(written(&head, Persistence::Close), expected);
    }

    #[test]
    fn heads_without_content_say_so_where_they_may() {
        for (status, says) in [(404, true), (201, true), (204, false), (304, false)] {
            let text = written(&ResponseHead::new(status), Persistence::Implied);
            assert_eq!(text.contains("Content-Length: 0\r\n"), says, "{status}");
            assert!(text.contains("Access-Control-Allow-Origin: *\r\n"), "{status}");
            assert!(!text.contains("Connection:") && !text.contains("Server:"), "{status}");
        }
    }

    #[test]
    fn persistence_is_said_where_the_version_does_not_imply_it() {
        let cases = [
            (1, true, Persistence::Implied),
            (0, true, Persistence::KeepAlive),
            (1, false, Persistence::Close),
            (0, false, Persistence::Close),
        ];
        for (minor, keep_alive, persistence) in cases {
            assert_eq!(Persistence::new(minor, keep_alive), persistence);
        }
        let kept = written(&ResponseHead::new(200), Persistence::KeepAlive);
        assert!(kept.contains("Connection: keep-alive\r\n"));
    }

    #[test]
    fn cache_rules() {
        for (rule, text) in [
            (CacheControl::NoStore, "Cache-Control: no-store\r\n"),
            (CacheControl::MaxAge(1), "Cache-Control: max-age=1\r\n"),
        ] {
            let head = ResponseHead { cache_control: Some(rule), ..ResponseHead::new(404) };
            assert!(written(&head, Persistence::Implied).contains(text));
        }
    }

    #[test]
    #[should_panic(expected = "one line")]
    fn a_value_with_a_line_end_is_our_own_mistake() {
        let etag = Some("\"a\r\nX: y\"".to_owned());
        let _ = written(&ResponseHead { etag, ..ResponseHead::new(200) }, Persistence::Implied);
    }

    #[test]
    fn refusals_have_a_reason() {
        for status in [400, 414, 417, 431, 501, 502, 505] {
            assert!(!reason(status).is_empty());
        }
    }
}
