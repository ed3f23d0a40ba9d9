//! Finds where a request head ends, strictly: every line ends with CRLF, no line holds NUL, and
//! all bounds hold (RFC 9112 §2.2, §3). What the lines say is not looked at.
//!
//! Faults are found in byte order, each from the bytes up to it, so that a head is judged the
//! same however it was cut into reads.

use super::error::HeadError;
use crate::limits::{
    HEADER_COUNT_MAX, HEADER_FIELD_SIZE_MAX, REQUEST_HEAD_SIZE_MAX, REQUEST_LINE_SIZE_MAX,
};
use memchr::memchr3;

/// Where the parts of a complete head lie, as byte offsets.
pub(super) struct HeadBounds {
    /// First byte of the request line (one empty line before it is skipped).
    pub line_start: usize,
    /// One past its last byte, CRLF not included.
    pub line_end: usize,
    /// One past the empty line that ends the head.
    pub end: usize,
}

/// The bounds of the head at the front of `buffer`, or `None` while it is incomplete.
pub(super) fn find_head(buffer: &[u8]) -> Result<Option<HeadBounds>, HeadError> {
    let line_start = match buffer {
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    let limit = REQUEST_LINE_SIZE_MAX;
    let too_long = HeadError::RequestLineTooLong { limit };
    let Some(line_end) = find_line_end(buffer, line_start, limit, too_long)? else {
        return Ok(None);
    };
    if line_end == line_start {
        return Err(HeadError::RequestLine);
    }
    let mut field_start = line_end + 2;
    for _ in 0..=HEADER_COUNT_MAX {
        let limit = HEADER_FIELD_SIZE_MAX;
        let too_long = HeadError::FieldTooLong { offset: field_start, limit };
        match find_line_end(buffer, field_start, limit, too_long)? {
            None => return Ok(None),
            Some(end) if end == field_start => {
                return Ok(Some(HeadBounds { line_start, line_end, end: end + 2 }));
            }
            Some(end) => field_start = end + 2,
        }
    }
    Err(HeadError::TooManyFields { limit: HEADER_COUNT_MAX })
}

/// The offset of the CRLF that ends the line from `start`, or `None` while it has not come;
/// `too_long` where the line has more than `limit` bytes.
fn find_line_end(
    buffer: &[u8],
    start: usize,
    limit: usize,
    too_long: HeadError,
) -> Result<Option<usize>, HeadError> {
    let line = &buffer[start..];
    let stop = memchr3(b'\r', b'\n', 0, line);
    let size = stop.unwrap_or(line.len());
    let head_left = REQUEST_HEAD_SIZE_MAX.saturating_sub(start);
    if size > head_left.min(limit) {
        let head_too_long = HeadError::HeadTooLong { limit: REQUEST_HEAD_SIZE_MAX };
        return Err(if head_left < limit { head_too_long } else { too_long });
    }
    let Some(stop) = stop else { return Ok(None) };
    let offset = start + stop;
    match (line[stop], line.get(stop + 1)) {
        (b'\n', _) => Err(HeadError::BareLineFeed { offset }),
        (0, _) => Err(HeadError::Nul { offset }),
        (_, None) => Ok(None),
        (_, Some(b'\n')) => Ok(Some(offset)),
        (_, Some(_)) => Err(HeadError::BareCarriageReturn { offset }),
    }
}
