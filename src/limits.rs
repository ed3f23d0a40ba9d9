//! Every upper bound of the program, in one place, with what the number is made of.
//!
//! A bound that traffic can hit has a counter of the same name in `/metrics`
//! (`headwater_limit_hits_total{limit="…"}`), so that an operator sees which one it was.

/// Bytes of a request line (RFC 9112 §3 asks for at least 8000; our longest URL is under 400).
pub const REQUEST_LINE_SIZE_MAX: usize = 4 << 10;
/// Bytes of one header field.
pub const HEADER_FIELD_SIZE_MAX: usize = 4 << 10;
/// Bytes of a whole request head, line included.
pub const REQUEST_HEAD_SIZE_MAX: usize = 16 << 10;
/// Header fields of one request.
pub const HEADER_COUNT_MAX: usize = 64;
/// Bytes of a query string.
pub const QUERY_SIZE_MAX: usize = 1024;
/// Byte ranges of one request, after coalescing.
pub const RANGE_COUNT_MAX: usize = 4;
/// Bytes of an unauthenticated body that are read and thrown away before the connection closes.
pub const REFUSED_BODY_DRAINED_MAX: u64 = 64 << 10;

/// Bytes of one pushed media segment, unless the channel sets its own.
pub const SEGMENT_SIZE_MAX: u64 = 64 << 20;
/// Bytes of one pushed playlist.
pub const PLAYLIST_SIZE_MAX: u64 = 1 << 20;
/// Lines of one pushed playlist.
pub const PLAYLIST_LINE_COUNT_MAX: usize = 20_000;
/// Bytes of one line of a pushed playlist.
pub const PLAYLIST_LINE_SIZE_MAX: usize = 4 << 10;
/// Elementary streams of one transport stream.
pub const TS_PID_COUNT_MAX: usize = 64;
/// Programs of one transport stream; only the first is used.
pub const TS_PROGRAM_COUNT_MAX: usize = 4;
/// Bytes of one PES packet (an intra picture at 100 Mbit/s is about 2 MiB).
pub const PES_SIZE_MAX: usize = 16 << 20;
/// Samples of one track in one segment (60 s of AC-3 at 32 ms is 1,875).
pub const SEGMENT_SAMPLE_COUNT_MAX: usize = 16_384;
/// Tracks found in one pushed segment.
pub const SEGMENT_TRACK_COUNT_MAX: usize = 16;
/// Parameter sets of one kind kept for a track (H.264 allows 32 SPS).
pub const PARAMETER_SET_COUNT_MAX: usize = 32;
/// Bytes of one parameter set.
pub const PARAMETER_SET_SIZE_MAX: usize = 4 << 10;
/// ID3 and SCTE-35 messages kept of one segment.
pub const SEGMENT_METADATA_COUNT_MAX: usize = 256;
/// Cues of one WebVTT segment.
pub const CUE_COUNT_MAX: usize = 4_096;

/// Ring files a channel aims at; fewer are made where they would be too small for a body.
pub const RING_FILE_COUNT_TARGET: u64 = 64;
/// Ring files below which dropping the oldest would take too much of the window at once.
pub const RING_FILE_COUNT_MIN: u64 = 8;

const _: () = assert!(RING_FILE_COUNT_MIN <= RING_FILE_COUNT_TARGET);
const _: () = assert!(REQUEST_LINE_SIZE_MAX + HEADER_FIELD_SIZE_MAX <= REQUEST_HEAD_SIZE_MAX);
const _: () = assert!(SEGMENT_SIZE_MAX <= u32::MAX as u64, "extents hold 32-bit sizes");

// Playlists and manifests.
/// Variants and renditions of one pushed multivariant playlist, together (a ladder of 12 with as
/// many languages and captions is 40).
pub const PLAYLIST_RENDITION_COUNT_MAX: usize = 256;
/// Attributes of one tag (EXT-X-MEDIA and EXT-X-STREAM-INF define under 20).
pub const PLAYLIST_ATTRIBUTE_COUNT_MAX: usize = 64;
/// Tags kept verbatim of one pushed playlist, for ad markers and their like.
pub const PLAYLIST_KEPT_TAG_COUNT_MAX: usize = 4_096;
/// Seconds that EXTINF or EXT-X-TARGETDURATION may say: a day.
pub const PLAYLIST_DURATION_SECONDS_MAX: u32 = 86_400;
