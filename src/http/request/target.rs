//! Request targets (RFC 9112 §3.2): splits one into path and query and decodes the path once.
//!
//! A path that could mean two things to two readers is refused instead of normalised: empty and
//! dot segments, encoded slashes, percent signs, backslashes and control characters. The query
//! stays as it came; its meaning is the route's.

use super::Method;
use super::error::TargetFault;
use crate::limits::QUERY_SIZE_MAX;

/// A target taken apart.
pub(super) struct Target<'a> {
    /// The path, decoded once; `*` for the asterisk-form, empty for CONNECT.
    pub path: String,
    /// What follows the first `?`, undecoded.
    pub query: Option<&'a str>,
    /// `host[:port]` of an absolute-form or authority-form target.
    pub authority: Option<&'a str>,
}

/// Takes `raw` apart as `method` allows it to be formed.
pub(super) fn parse_target(method: Method, raw: &str) -> Result<Target<'_>, TargetFault> {
    if raw.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#' || byte == b'\\') {
        return Err(TargetFault::Byte);
    }
    if method == Method::Connect {
        return Ok(Target { path: String::new(), query: None, authority: Some(raw) });
    }
    if raw == "*" && method == Method::Options {
        return Ok(Target { path: raw.to_owned(), query: None, authority: None });
    }
    let (authority, local) = split_authority(raw);
    if !local.starts_with('/') {
        return Err(TargetFault::Form);
    }
    let (path, query) = match local.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (local, None),
    };
    if query.is_some_and(|query| query.len() > QUERY_SIZE_MAX) {
        return Err(TargetFault::QueryTooLong);
    }
    Ok(Target { path: decode_path(path)?, query, authority })
}

/// Splits an absolute-form target into its authority and the rest; others have no authority.
///
/// The rest of `http://host` is `/`, as RFC 9110 §4.2.3 has it.
pub(crate) fn split_authority(raw: &str) -> (Option<&str>, &str) {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (head, rest) = raw.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    match rest {
        None => (None, raw),
        Some(rest) => match rest.find(['/', '?']) {
            None => (Some(rest), "/"),
            Some(at) => (Some(&rest[..at]), &rest[at..]),
        },
    }
}

/// Percent-decodes `path` once and refuses what is ambiguous.
fn decode_path(path: &str) -> Result<String, TargetFault> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(hex_value).ok_or(TargetFault::PercentEncoding);
        match digit()? << 4 | digit()? {
            b'/' | b'%' | b'\\' | 0..=0x1f | 0x7f => return Err(TargetFault::Ambiguous),
            byte => decoded.push(byte),
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| TargetFault::Ambiguous)?;
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let trailing_slash = segment.is_empty() && segments.peek().is_none();
        if matches!(segment, "." | "..") || (segment.is_empty() && !trailing_slash) {
            return Err(TargetFault::Segment);
        }
    }
    Ok(decoded)
}

/// The value of one hexadecimal digit.
pub(crate) fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
