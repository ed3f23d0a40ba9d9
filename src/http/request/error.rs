//! Why a request head is refused. The reply's text is fixed: nothing of the request is echoed.

/// A request head that is not answered but refused; the connection closes after the reply, since
/// where the next request would begin is no longer certain (RFC 9112 §2.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A line feed without its carriage return (RFC 9112 §2.2 lets a server refuse it).
    #[error("bare LF at byte {offset}, expected CRLF")]
    BareLineFeed {
        /// Byte offset in the head.
        offset: usize,
    },
    /// A carriage return without its line feed (RFC 9112 §2.2).
    #[error("bare CR at byte {offset}, expected CRLF")]
    BareCarriageReturn {
        /// Byte offset in the head.
        offset: usize,
    },
    /// A zero byte (RFC 9110 §5.5).
    #[error("NUL at byte {offset}")]
    Nul {
        /// Byte offset in the head.
        offset: usize,
    },
    /// The request line is longer than [`REQUEST_LINE_SIZE_MAX`](crate::limits).
    #[error("request line longer than {limit} bytes")]
    RequestLineTooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// A field line is longer than [`HEADER_FIELD_SIZE_MAX`](crate::limits).
    #[error("field line at byte {offset} longer than {limit} bytes")]
    FieldTooLong {
        /// Where the line begins.
        offset: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The head is longer than [`REQUEST_HEAD_SIZE_MAX`](crate::limits).
    #[error("request head longer than {limit} bytes")]
    HeadTooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// More fields than [`HEADER_COUNT_MAX`](crate::limits).
    #[error("more than {limit} fields")]
    TooManyFields {
        /// Fields allowed.
        limit: usize,
    },
    /// The request line is not `method SP target SP HTTP/x.y` (RFC 9112 §3).
    #[error("malformed request line")]
    RequestLine,
    /// A field line is not `name: value` of allowed characters, or is folded (RFC 9112 §5).
    #[error("malformed field line")]
    FieldLine,
    /// A protocol version other than HTTP/1.x (RFC 9110 §2.5).
    #[error("version is not HTTP/1.x")]
    Version,
    /// The target is none of the four forms, or its path is ambiguous (RFC 9112 §3.2).
    #[error("request target: {0}")]
    Target(TargetFault),
    /// No Host field, or one that is not `host[:port]` (RFC 9112 §3.2).
    #[error("missing or malformed Host")]
    Host,
    /// The Host field names another authority than an absolute-form target does.
    #[error("Host differs from the target's authority")]
    HostMismatch,
    /// A field that may stand once stands twice.
    #[error("{field} given more than once")]
    Duplicate {
        /// The field's name.
        field: &'static str,
    },
    /// A field's value is not what its grammar allows.
    #[error("malformed {field}")]
    FieldValue {
        /// The field's name.
        field: &'static str,
    },
    /// Both Content-Length and Transfer-Encoding (RFC 9112 §6.1), or the latter on HTTP/1.0.
    #[error("conflicting body framing")]
    ConflictingFraming,
    /// A transfer coding other than chunked (RFC 9112 §6.1).
    #[error("unsupported transfer coding")]
    TransferCoding,
    /// An expectation other than 100-continue (RFC 9110 §10.1.1).
    #[error("unsupported expectation")]
    Expectation,
}

/// What is wrong with a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// Neither origin-form, absolute-form nor, with OPTIONS, the asterisk.
    #[error("form not allowed")]
    Form,
    /// A byte outside visible ASCII, or a fragment.
    #[error("byte not allowed")]
    Byte,
    /// A percent sign without two hexadecimal digits.
    #[error("malformed percent-encoding")]
    PercentEncoding,
    /// Percent-encoding of what would change the path's meaning: a slash, a percent sign, a
    /// backslash or a control character; or bytes that are not UTF-8 (overlong forms among them).
    #[error("ambiguous percent-encoding")]
    Ambiguous,
    /// An empty, `.` or `..` segment.
    #[error("empty or dot segment")]
    Segment,
    /// The query is longer than [`QUERY_SIZE_MAX`](crate::limits).
    #[error("query too long")]
    QueryTooLong,
}

impl HeadError {
    /// The status of the reply.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::RequestLineTooLong { .. } => 414,
            Self::FieldTooLong { .. } | Self::HeadTooLong { .. } | Self::TooManyFields { .. } => {
                431
            }
            Self::TransferCoding => 501,
            Self::Version => 505,
            Self::Expectation => 417,
            _ => 400,
        }
    }
}
