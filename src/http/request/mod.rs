//! Request heads of HTTP/1.1 and 1.0 (RFC 9112 §2 to §6), judged strictly: where two readers
//! could disagree on where a request ends, it is refused.
//!
//! Bodies are [`body`](super::body)'s, what a path means is the route's.

mod error;
mod lines;
mod target;
#[cfg(test)]
mod tests;

pub use error::{HeadError, TargetFault};
pub(crate) use target::{hex_value, split_authority};

use crate::limits::{HEADER_COUNT_MAX, USER_AGENT_SIZE_MAX};
use httparse::{EMPTY_HEADER, Header};

/// A request method that is known by name (RFC 9110 §9.3, RFC 5789); not all of them are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// PUT.
    Put,
    /// POST.
    Post,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
    /// PATCH.
    Patch,
    /// TRACE.
    Trace,
    /// CONNECT; its target is an authority and its path is empty.
    Connect,
    /// Any other token: what it asks for is not served anywhere, but a path may be known.
    Other,
}

impl Method {
    const ALL: [Self; 9] = [
        Self::Get,
        Self::Head,
        Self::Put,
        Self::Post,
        Self::Delete,
        Self::Options,
        Self::Patch,
        Self::Trace,
        Self::Connect,
    ];

    /// The method's token, as it stands in the request line; `other` for [`Self::Other`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
            Self::Other => "other",
        }
    }
}

/// How the end of a request's body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// Content-Length, in bytes; may be zero.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// What a request head says, as far as this server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target as it came, path and query undecoded.
    pub target: String,
    /// The path, percent-decoded once, without empty or dot segments; `*` for `OPTIONS *`.
    pub path: String,
    /// The query, undecoded, without its question mark.
    pub query: Option<String>,
    /// 0 or 1 for HTTP/1.0 and 1.1; later minor versions are answered as 1.1.
    pub version_minor: u8,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the client waits for `100 Continue` (never on HTTP/1.0).
    pub expect_continue: bool,
    /// Whether the connection may carry another request (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// `host[:port]` of the Host field, else of an absolute-form target.
    pub host: Option<String>,
    /// Authorization.
    pub authorization: Option<String>,
    /// If-None-Match, several fields joined by commas.
    pub if_none_match: Option<String>,
    /// If-Range.
    pub if_range: Option<String>,
    /// Range.
    pub range: Option<String>,
    /// Whether Accept-Encoding allows gzip (RFC 9110 §12.5.3).
    pub accept_encoding_gzip: bool,
    /// Origin.
    pub origin: Option<String>,
    /// User-Agent, cut to [`USER_AGENT_SIZE_MAX`], bytes that are not UTF-8 replaced.
    pub user_agent: Option<String>,
    /// Content-Encoding.
    pub content_encoding: Option<String>,
}

/// Parses one request head at the front of `buffer`: the head and the bytes it took, or `None`
/// while it is incomplete. One empty line before it is skipped (RFC 9112 §2.2).
///
/// # Errors
///
/// [`HeadError`], whose status is the reply's; the connection cannot go on after one.
pub fn parse_head(buffer: &[u8]) -> Result<Option<(RequestHead, usize)>, HeadError> {
    let Some(bounds) = lines::find_head(buffer)? else { return Ok(None) };
    let line = &buffer[bounds.line_start..bounds.line_end];
    let line = std::str::from_utf8(line).map_err(|_| HeadError::RequestLine)?;
    let (method, target, version_minor) = parse_request_line(line)?;

    let mut storage = [EMPTY_HEADER; HEADER_COUNT_MAX];
    let fields = match httparse::parse_headers(&buffer[bounds.line_end + 2..], &mut storage) {
        Ok(httparse::Status::Complete((_, fields))) => Fields(fields),
        Ok(httparse::Status::Partial) | Err(_) => return Err(HeadError::FieldLine),
    };
    let parts = target::parse_target(method, target).map_err(HeadError::Target)?;
    let http_11 = version_minor >= 1;
    let connection = fields.joined("Connection")?;
    let head = RequestHead {
        method,
        target: target.to_owned(),
        host: parse_host(&fields, parts.authority, http_11)?,
        path: parts.path,
        query: parts.query.map(str::to_owned),
        version_minor,
        framing: parse_framing(&fields, http_11)?,
        expect_continue: parse_expect(&fields)? && http_11,
        keep_alive: parse_keep_alive(connection.as_deref(), http_11),
        authorization: fields.owned("Authorization")?,
        if_none_match: fields.joined("If-None-Match")?,
        if_range: fields.owned("If-Range")?,
        range: fields.owned("Range")?,
        accept_encoding_gzip: fields
            .joined("Accept-Encoding")?
            .is_some_and(|codings| accepts_gzip(&codings)),
        origin: fields.owned("Origin")?,
        user_agent: fields.bytes("User-Agent")?.map(|value| {
            String::from_utf8_lossy(&value[..value.len().min(USER_AGENT_SIZE_MAX)]).into_owned()
        }),
        content_encoding: fields.owned("Content-Encoding")?,
    };
    Ok(Some((head, bounds.end)))
}

/// `method SP target SP HTTP-version` (RFC 9112 §3), single spaces and nothing else.
fn parse_request_line(line: &str) -> Result<(Method, &str, u8), HeadError> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HeadError::RequestLine);
    };
    let is_token = |word: &str| !word.is_empty() && word.bytes().all(is_token_byte);
    if !is_token(method) || target.is_empty() {
        return Err(HeadError::RequestLine);
    }
    let version_minor = match version.strip_prefix("HTTP/").map(str::as_bytes) {
        Some([b'1', b'.', minor]) if minor.is_ascii_digit() => minor - b'0',
        Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit() => {
            return Err(HeadError::Version);
        }
        _ => return Err(HeadError::RequestLine),
    };
    let known = Method::ALL.into_iter().find(|known| known.as_str() == method);
    Ok((known.unwrap_or(Method::Other), target, version_minor))
}

/// A character of a token (RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The field lines of one head.
struct Fields<'h, 'b>(&'h [Header<'b>]);

impl<'b> Fields<'_, 'b> {
    /// The values of every line of that name, outer white space taken off.
    fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'b [u8]> + 's {
        self.0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value.trim_ascii())
    }

    /// The value of a field that may stand once.
    fn bytes(&self, name: &'static str) -> Result<Option<&'b [u8]>, HeadError> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(HeadError::Duplicate { field: name }),
            (value, None) => Ok(value),
        }
    }

    /// The same as text.
    fn text(&self, name: &'static str) -> Result<Option<&'b str>, HeadError> {
        self.bytes(name)?.map(|value| as_text(name, value)).transpose()
    }

    /// The same as text of its own.
    fn owned(&self, name: &'static str) -> Result<Option<String>, HeadError> {
        Ok(self.text(name)?.map(str::to_owned))
    }

    /// The value of a list field: its lines joined by commas (RFC 9110 §5.3).
    fn joined(&self, name: &'static str) -> Result<Option<String>, HeadError> {
        let values: Vec<&str> =
            self.all(name).map(|value| as_text(name, value)).collect::<Result<_, _>>()?;
        Ok((!values.is_empty()).then(|| values.join(", ")))
    }
}

fn as_text<'b>(field: &'static str, value: &'b [u8]) -> Result<&'b str, HeadError> {
    std::str::from_utf8(value).map_err(|_| HeadError::FieldValue { field })
}

/// The authority the request is for (RFC 9112 §3.2): HTTP/1.1 must name it in Host, once.
fn parse_host(
    fields: &Fields,
    authority: Option<&str>,
    http_11: bool,
) -> Result<Option<String>, HeadError> {
    let host = fields.text("Host")?;
    let is_authority = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte))
    };
    if !host.or(authority).is_none_or(is_authority) || (http_11 && host.is_none()) {
        return Err(HeadError::Host);
    }
    match (host, authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
            Err(HeadError::HostMismatch)
        }
        _ => Ok(host.or(authority).map(str::to_owned)),
    }
}

/// How the body ends (RFC 9112 §6.1 to §6.3), refusing whatever two readers could read apart.
fn parse_framing(fields: &Fields, http_11: bool) -> Result<Framing, HeadError> {
    let coding = fields.text("Transfer-Encoding")?;
    let length = fields.bytes("Content-Length")?;
    match (coding, length) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => Err(HeadError::ConflictingFraming),
        (Some(_), None) if !http_11 => Err(HeadError::ConflictingFraming),
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        (Some(coding), None) => Err(refuse_coding(coding)),
        (None, Some(digits)) => parse_decimal(digits)
            .map(Framing::Length)
            .ok_or(HeadError::FieldValue { field: "Content-Length" }),
    }
}

/// Why a transfer coding other than exactly `chunked` is refused: as unsupported if it is
/// well-formed, that is, a list with chunked last and nowhere else; else as malformed.
fn refuse_coding(coding: &str) -> HeadError {
    let mut codings: Vec<&str> = coding.split(',').map(str::trim_ascii).collect();
    let last_is_chunked = codings.pop().is_some_and(|last| last.eq_ignore_ascii_case("chunked"));
    let well_formed = codings.iter().all(|coding| {
        !coding.is_empty()
            && coding.bytes().all(is_token_byte)
            && !coding.eq_ignore_ascii_case("chunked")
    });
    if last_is_chunked && well_formed {
        HeadError::TransferCoding
    } else {
        HeadError::FieldValue { field: "Transfer-Encoding" }
    }
}

/// `1*DIGIT`, no sign, no list, below 2^64.
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn parse_expect(fields: &Fields) -> Result<bool, HeadError> {
    match fields.text("Expect")? {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("100-continue") => Ok(true),
        Some(_) => Err(HeadError::Expectation),
    }
}

/// Persistence (RFC 9112 §9.3): the default of 1.1 unless closed, of 1.0 only when asked for.
fn parse_keep_alive(connection: Option<&str>, http_11: bool) -> bool {
    let has = |option: &str| {
        connection.is_some_and(|list| {
            list.split(',').any(|o| o.trim_ascii().eq_ignore_ascii_case(option))
        })
    };
    !has("close") && (http_11 || has("keep-alive"))
}

/// Whether a list of codings allows gzip: by name first, else by `*`, unless its weight is zero.
fn accepts_gzip(codings: &str) -> bool {
    let weight_is_zero = |parameters: &str| {
        parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim_ascii();
            name.trim_ascii().eq_ignore_ascii_case("q")
                && value.starts_with('0')
                && value.bytes().all(|byte| matches!(byte, b'0' | b'.'))
        })
    };
    let allows = |names: &[&str]| {
        codings.split(',').find_map(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let name = name.trim_ascii();
            names
                .iter()
                .any(|wanted| name.eq_ignore_ascii_case(wanted))
                .then(|| !weight_is_zero(parameters))
        })
    };
    allows(&["gzip", "x-gzip"]).or_else(|| allows(&["*"])).unwrap_or(false)
}
