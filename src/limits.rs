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

// Demultiplexing.
/// Bytes passed over in one transport stream to find its packets again: 64 KiB of foreign bytes is
/// no longer a slip of a link but another format.
pub const TS_JUNK_SIZE_MAX: u64 = 64 << 10;
/// Bytes of packets kept until the program's tables say what they are: 8 s at 8 Mbit/s.
pub const TS_PENDING_SIZE_MAX: usize = 8 << 20;
/// Bytes of one private section (ISO/IEC 13818-1 §2.4.4.11: 4093 behind the length field).
pub const TS_SECTION_SIZE_MAX: usize = 4096;
/// Bytes of the ID3 tag at the start of a packed audio segment; the one timestamp takes 73, the
/// rest is a station's picture.
pub const ID3_TAG_SIZE_MAX: usize = 256 << 10;
/// Syncframes of one E-AC-3 access unit: eight programs with one dependent substream each.
pub const SYNCFRAMES_PER_UNIT_MAX: usize = 16;
/// Bytes of one WebVTT segment (10 s of captions are a few hundred).
pub const TEXT_SIZE_MAX: usize = 4 << 20;
