//! Every upper bound of the program, in one place, with what the number is made of.
//!
//! Bounds that traffic can hit are counted in `/metrics`
//! (`headwater_limit_hits_total{limit="…"}`), so that an operator sees which one it was.

use std::time::Duration;

// Requests: heads, bodies, ranges, digest authentication.

/// Bytes of a request line (RFC 9112 §3 asks for at least 8000; our longest URL is under 400).
pub const REQUEST_LINE_SIZE_MAX: usize = 4 << 10;
/// Bytes of one header field.
pub const HEADER_FIELD_SIZE_MAX: usize = 4 << 10;
/// Bytes of a whole request head, line included.
pub const REQUEST_HEAD_SIZE_MAX: usize = 16 << 10;
/// Header fields of one request.
pub const HEADER_COUNT_MAX: usize = 64;
/// Bytes of a query string: a manifest parameter of full length, each byte percent-encoded, and
/// room for the others.
pub const QUERY_SIZE_MAX: usize = 3_584;
/// Bytes kept of a User-Agent for the access log.
pub const USER_AGENT_SIZE_MAX: usize = 1 << 10;
/// Byte ranges of one request, after coalescing.
pub const RANGE_COUNT_MAX: usize = 4;
/// Range specs read of one Range field before it is ignored: an honest player asks for one.
pub const RANGE_SPEC_COUNT_MAX: usize = 32;
/// Hexadecimal digits of a chunk size: a 64-bit number, leading zeros included.
pub const CHUNK_SIZE_DIGIT_COUNT_MAX: u32 = 16;
/// Bytes of all chunk extensions of one body; they are skipped, and encoders send none.
pub const CHUNK_EXTENSIONS_SIZE_MAX: usize = 4 << 10;
/// Bytes of all trailer fields of one body; they are skipped, and encoders send none.
pub const TRAILERS_SIZE_MAX: usize = 4 << 10;
/// Bytes of an unauthenticated body that are read and thrown away before the connection closes.
pub const REFUSED_BODY_DRAINED_MAX: u64 = 64 << 10;
/// Parameters of one Authorization field (RFC 7616 defines twelve).
pub const DIGEST_PARAMETER_COUNT_MAX: usize = 24;
/// Bytes of a nonce and of the opaque value: an encoder's buffers hold 300, URL and all.
pub const CHALLENGE_VALUE_SIZE_MAX: usize = 128;
/// Sets of the replay window; a power of two, so that serials spread evenly.
pub const REPLAY_SET_COUNT: usize = 1024;
/// Nonces of one set: 16,384 in all, 512 KiB, 16 s of 1,000 single-use nonces a second.
pub const REPLAY_SET_SIZE: usize = 16;
/// How far ahead of its rate an input may send: what an encoder keeps back through an outage of a
/// minute passes at once.
pub const INGEST_BURST_SPAN: Duration = Duration::from_mins(1);
/// Bits per second that every input may send, however little its source declares.
pub const INGEST_BITS_PER_SECOND_MIN: u64 = 100_000_000;
/// Times the source's declared bit rate that an input may send.
pub const INGEST_BIT_RATE_FACTOR: u64 = 4;
/// Slots for addresses and users that failed to log in lately: 320 KiB in all.
pub const BACKOFF_SLOT_COUNT: usize = 4_096;

// Connections, sending, mailboxes.

/// Connections of the process, ingest and delivery together (each holds one descriptor and, while
/// it idles, under 8 KiB).
pub const CONNECTION_COUNT_MAX: usize = 32_768;
/// One of so many connections is kept for listeners where only encoders come in.
pub const CONNECTIONS_KEPT_PART: usize = 16;
/// Connections below which the process does not start: a handful of encoders, players and probes.
pub const CONNECTION_COUNT_MIN: usize = 32;
/// Descriptors for what is neither a connection nor a ring file: listeners, drivers, logs, pages of
/// the control listener.
pub const DESCRIPTOR_COUNT_KEPT: usize = 96;
/// Connections of one address (a CDN's edge node keeps hundreds; IPv6 counts by /64).
pub const CONNECTION_COUNT_PER_ADDRESS_MAX: usize = 4_096;
/// Connections waiting in a listener's queue before the kernel refuses (the usual `somaxconn`).
pub const LISTEN_BACKLOG: i32 = 4_096;
/// Bytes of a connection's input buffer: one head of the largest size and a piece of body.
pub const INPUT_BUFFER_SIZE: usize = 64 << 10;
/// Bytes of a connection's input buffer while it waits for a request.
pub const INPUT_BUFFER_IDLE_SIZE: usize = 4 << 10;
/// Bytes of a response from which it counts as bulk; shorter ones leave in one `sendmsg`.
pub const BULK_RESPONSE_SIZE_MIN: u64 = 64 << 10;
/// Bytes that all bulk senders of a shard send between two trips through its driver: about 150 µs
/// of one core at 0.13 CPU seconds per GB, which is what a short answer waits at most.
pub const BULK_TURN_SIZE: u64 = 1 << 20;
/// Bytes that one `sendfile` call may carry: long calls keep every other connection waiting. A
/// whole turn in one call costs 8 % less CPU per byte than two halves.
pub const SENDFILE_CALL_SIZE_MAX: usize = 1 << 20;
/// Pieces of one `sendmsg` (IOV_MAX is 1024; beyond a few dozen the call gains nothing).
pub const SEND_PIECE_COUNT_MAX: usize = 64;
/// Bytes that may wait unsent in a socket: as much as the kernel's default `tcp_wmem` lets it hold,
/// so that a larger setting of the machine's does not pin more. They are references to the page
/// cache, no copies. Less costs wake-ups: over loopback to 64 readers of 2 MB segments a GB takes
/// 0.168 CPU seconds at 128 KiB, 0.113 at 1 MiB, 0.083 at 4 MiB and without a bound.
pub const SOCKET_UNSENT_SIZE_MAX: u32 = 4 << 20;
/// Bytes that may wait in all sockets together before long responses are refused: five hundred
/// readers who have stopped reading, each with [`SOCKET_UNSENT_SIZE_MAX`].
pub const SOCKETS_QUEUED_SIZE_MAX: u64 = 2 << 30;
/// Bytes per second below which a response is cut, once it has lasted a minute: half of what a
/// 64 kbit/s audio rendition needs.
pub const SEND_RATE_MIN: u64 = 4 << 10;
/// Bytes per second below which a body is cut, once it has lasted two segments, ten seconds at
/// least: half of what a
/// 64 kbit/s audio rendition brings where an encoder sends it as it is made.
pub const BODY_RATE_MIN: u64 = 4 << 10;
/// Messages waiting in one shard's mailbox: every connection of a neighbour handed over at once.
pub const MAILBOX_MESSAGE_COUNT_MAX: usize = 4_096;
/// Hand-overs of one connection without a request that is let in: an encoder needs one.
pub const HAND_OVER_COUNT_MAX: u32 = 16;
/// Access records of one shard waiting for the log: 100 ms at 100 000 requests per second.
pub const ACCESS_RECORD_COUNT_MAX: usize = 10_000;
/// How long requests under way may take to end once the process drains.
pub const DRAIN_SPAN_MAX: Duration = Duration::from_secs(30);

// Pushed playlists.

/// Bytes of one pushed playlist.
pub const PLAYLIST_SIZE_MAX: u64 = 1 << 20;
/// How many times larger than its gzip form a pushed playlist may be; honest ones are ten times.
pub const GZIP_RATIO_MAX: u64 = 20;
/// Bytes of one pushed multivariant playlist; the state record of a ring file holds two.
pub const MULTIVARIANT_SIZE_MAX: u64 = 128 << 10;
/// Lines of one pushed playlist.
pub const PLAYLIST_LINE_COUNT_MAX: usize = 20_000;
/// Bytes of one line of a pushed playlist.
pub const PLAYLIST_LINE_SIZE_MAX: usize = 4 << 10;
/// Variants and renditions of one pushed multivariant playlist, together (a ladder of 12 with as
/// many languages and captions is 40).
pub const PLAYLIST_RENDITION_COUNT_MAX: usize = 256;
/// Attributes of one tag (EXT-X-MEDIA and EXT-X-STREAM-INF define under 20).
pub const PLAYLIST_ATTRIBUTE_COUNT_MAX: usize = 64;
/// Tags kept verbatim of one pushed playlist, for ad markers and their like.
pub const PLAYLIST_KEPT_TAG_COUNT_MAX: usize = 4_096;
/// Seconds that EXTINF or EXT-X-TARGETDURATION may say: a day.
pub const PLAYLIST_DURATION_SECONDS_MAX: u32 = 86_400;

// Pushed segments.

/// Bytes of one pushed media segment, unless the channel sets its own.
pub const SEGMENT_SIZE_MAX: u64 = 64 << 20;
/// Ticks of 90 kHz that one segment's presentation may span: ten times the longest segment that
/// encoders make, so that a broken timestamp cannot carry the timeline away.
pub const SEGMENT_TICKS_MAX: i64 = 120 * 90_000;
/// Tracks found in one pushed segment.
pub const SEGMENT_TRACK_COUNT_MAX: usize = 16;
/// Samples of one track in one segment (60 s of AC-3 at 32 ms is 1,875).
pub const SEGMENT_SAMPLE_COUNT_MAX: usize = 16_384;
/// Elementary streams of one transport stream.
pub const TS_PID_COUNT_MAX: usize = 64;
/// Programs of one transport stream; only the first is used.
pub const TS_PROGRAM_COUNT_MAX: usize = 4;
/// Bytes passed over in one transport stream to find its packets again: 64 KiB of foreign bytes is
/// no longer a slip of a link but another format.
pub const TS_JUNK_SIZE_MAX: u64 = 64 << 10;
/// Bytes of packets kept until the program's tables say what they are: 8 s at 8 Mbit/s.
pub const TS_PENDING_SIZE_MAX: usize = 8 << 20;
/// Bytes of one private section (ISO/IEC 13818-1 §2.4.4.11: 4093 behind the length field).
pub const TS_SECTION_SIZE_MAX: usize = 4096;
/// Bytes of one PES packet (an intra picture at 100 Mbit/s is about 2 MiB).
pub const PES_SIZE_MAX: usize = 16 << 20;
/// Parameter sets of one kind kept for a track (H.264 allows 32 SPS).
pub const PARAMETER_SET_COUNT_MAX: usize = 32;
/// Bytes of one parameter set.
pub const PARAMETER_SET_SIZE_MAX: usize = 4 << 10;
/// Syncframes of one E-AC-3 access unit: eight programs with one dependent substream each.
pub const SYNCFRAMES_PER_UNIT_MAX: usize = 16;
/// Bytes of the ID3 tag at the start of a packed audio segment; the one timestamp takes 73, the
/// rest is a station's picture.
pub const ID3_TAG_SIZE_MAX: usize = 256 << 10;
/// Bytes of one WebVTT segment (10 s of captions are a few hundred).
pub const TEXT_SIZE_MAX: usize = 4 << 20;
/// Cues of one WebVTT segment.
pub const CUE_COUNT_MAX: usize = 4_096;
/// ID3 and SCTE-35 messages kept of one segment.
pub const SEGMENT_METADATA_COUNT_MAX: usize = 256;
/// Bytes of one ID3 tag or SCTE-35 section that is kept: a tag with a small picture; a section has
/// 4 KiB at most.
pub const METADATA_SIZE_MAX: usize = 64 << 10;
/// Bytes of all messages kept of one segment: they lie in a record's header, beside parameter sets.
pub const SEGMENT_METADATA_SIZE_MAX: usize = 256 << 10;
/// Bytes of bodies under way that one channel may hold: four of the largest segments.
pub const CHANNEL_INGEST_MEMORY_MAX: u64 = 4 * SEGMENT_SIZE_MAX;
/// Bytes of bodies under way that the process may hold.
pub const INGEST_MEMORY_MAX: u64 = 2 << 30;
/// Bytes reserved for a body of unknown size: a playlist, or a short segment.
pub const BODY_RESERVATION_SIZE_MIN: u64 = 1 << 20;

// Channels.

/// Output tracks of a channel.
pub const TRACK_COUNT_MAX: usize = 64;
/// Committed segments of a channel that wait to be listed, over all tracks.
pub const CANDIDATE_COUNT_MAX: usize = 1_024;
/// Gaps listed for one hole; a longer hole begins a new session instead.
pub const HOLE_GAP_COUNT_MAX: u64 = 3_600;
/// Media playlists remembered of one input.
pub const PLAYLIST_COUNT_MAX: usize = 64;
/// Segments remembered of one media playlist: eight minutes of 2 s segments.
pub const PLAYLIST_NAME_COUNT_MAX: usize = 256;
/// Listed segments whose names are remembered, over all tracks of a channel.
pub const RECENT_NAME_COUNT_MAX: usize = 512;
/// Changes of one record: a listed segment takes about 100 bytes, and a source's top at most
/// [`MULTIVARIANT_SIZE_MAX`], so that a record stays under [`RING_HEADER_SIZE_MAX`].
pub const CHANGE_BATCH_COUNT_MAX: usize = 1_024;
/// Bytes of the changes of one record, beyond the first: half of what its header may have.
pub const CHANGE_BATCH_SIZE_MAX: usize = RING_HEADER_SIZE_MAX / 2;
/// Changes that wait for a ring before it refuses bodies: an hour's hole in twenty tracks.
pub const CHANGE_UNWRITTEN_COUNT_MAX: usize = 72_000;
/// How far before the newest record one may have arrived to be judged again after a restart:
/// three targets of 20 s.
pub const UNLISTED_AGE_MAX: Duration = Duration::from_mins(1);

// Rings and storage.

/// Ring files a channel aims at; fewer are made where they would be too small for a body.
pub const RING_FILE_COUNT_TARGET: u64 = 64;
/// Ring files below which dropping the oldest would take too much of the window at once.
pub const RING_FILE_COUNT_MIN: u64 = 8;
/// Fresh ring files asked of a storage thread and not yet back, for one ring.
pub const RING_SPARE_REQUEST_MAX: usize = 8;
/// Bytes of a record's opaque header: a state record of a wide ladder takes about 200 KiB.
pub const RING_HEADER_SIZE_MAX: usize = 1 << 20;
/// Bytes of a record's sample table: [`SEGMENT_SAMPLE_COUNT_MAX`] samples of up to 32 bytes, twice.
pub const RING_TABLE_SIZE_MAX: usize = 1 << 20;
/// Bytes of one ring that wait for a storage thread: two of the largest bodies, and as much again.
pub const RING_QUEUED_SIZE_MAX: u64 = 256 << 20;
/// Jobs that wait for one storage thread: 64 channels with a few records each.
pub const STORAGE_QUEUE_LENGTH: usize = 256;
/// Storage threads of each kind: one device, and its queue is deep enough for one writer.
pub const STORAGE_THREAD_COUNT: usize = 1;
/// Storage threads of one kind.
pub const STORAGE_THREAD_COUNT_MAX: usize = 64;
/// Threads that make live segments: two, so that a large one does not hold up all others.
pub const MAKING_THREAD_COUNT: usize = 2;
/// Rings read back at a time when the process starts: a disk's queue is deeper, and cores are few.
pub const REOPENING_THREAD_COUNT: usize = 8;
/// Ring files mapped at a time: 64 of each of 64 channels. The others are read without a mapping.
pub const MAPPED_FILE_COUNT_MAX: usize = 4_096;

// Responses kept ready.

/// Responses that a shard keeps ready for one endpoint and publication.
pub const RESPONSE_CACHE_COUNT_MAX: usize = 4_096;
/// Bytes in memory of all responses that a shard keeps ready: a manifest of 2 h is 300 KiB, and a
/// hundred endpoints have a handful each.
pub const RESPONSE_CACHE_SIZE_MAX: u64 = 64 << 20;
/// Segments of a manifest that a shard writes itself: with its gzip form half a millisecond. Longer
/// ones are written on a making thread.
pub const MANIFEST_ENTRY_COUNT_INLINE_MAX: usize = 512;
/// Requests that may wait for one value that is being made.
pub const MADE_WAITER_COUNT_MAX: usize = 20_000;
/// Bytes of `storage.cache`: two cache rings, each of as many files as a ring must have.
pub const CACHE_SIZE_MIN: u64 = 128 << 20;

// The merge of two inputs.

/// Listed segments of a channel that no playlist has named yet.
pub const UNNAMED_COUNT_MAX: usize = 64;
/// How long an input must have been sound before the channel goes back to it, and how long a choice
/// is held unless media is missing: five segments of 6 s.
pub const HOLD_DOWN_SPAN: std::time::Duration = std::time::Duration::from_secs(30);

// Configuration, logs, inspection.

/// Bytes of a configuration file (ten thousand endpoints of 400 bytes).
pub const CONFIG_SIZE_MAX: u64 = 4 << 20;
/// Channels, or endpoints, of one configuration.
pub const CONFIG_TABLE_COUNT_MAX: usize = 10_000;
/// Mistakes that `check` prints before it stops counting.
pub const CONFIG_MISTAKE_COUNT_MAX: usize = 1_000;
/// Bytes of a file that holds one password.
pub const PASSWORD_SIZE_MAX: u64 = 1 << 10;
/// Characters of a channel's or endpoint's id: a directory's name (255 bytes) with room to spare.
pub const ID_SIZE_MAX: usize = 128;
/// Seconds of the longest startover window: 14 days, as in the MediaPackage API.
pub const STARTOVER_WINDOW_SECONDS_MAX: u32 = 14 * 86_400;
/// Seconds of the longest manifest: a day of 2 s segments is 43,200 lines.
pub const MANIFEST_WINDOW_SECONDS_MAX: u32 = 86_400;
/// Reloads that wait while one is carried out.
pub const RELOAD_COUNT_MAX: usize = 4;
/// Lines that wait for a blocked log: a few seconds of a noisy start.
pub const LOG_QUEUE_LINE_COUNT_MAX: usize = 4_096;
/// Bytes that `headwater inspect` reads: four of the largest segments.
pub const INSPECTED_SIZE_MAX: u64 = 4 * SEGMENT_SIZE_MAX;
/// Boxes within boxes that `headwater inspect` prints; a sample table is at depth 5.
pub const BOX_DEPTH_MAX: usize = 8;
/// Reads and seeks that `headwater inspect` grants the reader of movie headers: a header takes a
/// few hundred, a sample of a fragment four.
pub const READ_COUNT_MAX: u32 = 1_000_000;

// Takeovers by another process.

/// Bytes of one message between a process and the one that follows it: the replay window, each
/// nonce with 35 bytes at most.
pub const TAKEOVER_MESSAGE_SIZE_MAX: usize = 1 << 20;
/// Listening sockets passed to the next process: eight addresses with a socket for each of the
/// most shards.
pub const TAKEOVER_LISTENER_COUNT_MAX: u32 = 8_192;
/// Connections that wait to be passed to the next process: those of a thousand encoders, with four
/// renditions each.
pub const DEPARTURE_COUNT_MAX: usize = 4_096;
/// How long a process and the one that is to follow it wait for one another's next word, where
/// nothing has to be done for it first.
pub const TAKEOVER_WORD_SPAN_MAX: Duration = Duration::from_secs(5);
/// How long the next process may prepare: its cache rings are allocated meanwhile.
pub const TAKEOVER_PREPARE_SPAN_MAX: Duration = Duration::from_mins(2);
/// How long bodies under way may take to end before the channels change hands: the longest segment
/// that encoders make, pushed as it is made.
pub const TAKEOVER_BODY_SPAN_MAX: Duration = Duration::from_secs(12);
/// How long the next process may take to read the channels, which nobody owns meanwhile: three
/// times what a full node takes, less than encoders wait for an answer.
pub const TAKEOVER_READ_SPAN_MAX: Duration = Duration::from_secs(15);

// Shards that fail.

/// Between two looks of a shard at what others have decided, and of the judge at the shards.
pub const SHARD_TICK_SPAN: Duration = Duration::from_millis(100);
/// How long a shard may be silent before its channels are given to others: ten of its ticks.
pub const SHARD_SILENCE_MAX: Duration = Duration::from_secs(1);
/// How long a shard may be silent before the process ends: longer than any stall that a kernel or a
/// hypervisor has an excuse for, shorter than a player's buffer.
pub const SHARD_STUCK_SPAN_MAX: Duration = Duration::from_secs(10);
/// Panicked shards that are started again within [`SHARD_RESTART_SPAN`]; with one more the process
/// drains, for the service manager to start anew.
pub const SHARD_RESTART_COUNT_MAX: usize = 5;
/// See [`SHARD_RESTART_COUNT_MAX`].
pub const SHARD_RESTART_SPAN: Duration = Duration::from_mins(10);
/// How long an encoder's request waits for a channel that is being taken over: reading back the
/// ring of a day takes about as long.
pub const CHANNEL_ADOPTION_SPAN_MAX: Duration = Duration::from_secs(3);

// Seeing what happens: console, comparison of origins.

/// Log lines of refused pushes and damaged bodies that a shard writes in a second: what one reads.
pub const REFUSAL_LINE_COUNT_MAX: u32 = 20;
/// Segments of each row of a channel's picture: five minutes of 2 s segments, 8 KiB a row.
pub const HISTORY_CELL_COUNT_MAX: usize = 150;
/// Happenings shown of a channel.
pub const HAPPENING_COUNT_MAX: usize = 64;
/// Segments of one list that `headwater diff` compares: a day of one-second segments.
pub const COMPARED_ENTRY_COUNT_MAX: usize = 86_400;

// Bodies that made the process fail.

/// First bytes of a body by which it is known again: five packets of a transport stream, which hold
/// its tables and first timestamps; the media sequence number of a playlist.
pub const FINGERPRINT_SIZE: usize = 1 << 10;
/// Bodies that something is held against: a poisoned segment for each input of a full node.
pub const QUARANTINE_COUNT_MAX: usize = 256;
/// Times that a body must have been under way when the process ended, before it is refused: once
/// may be chance.
pub const QUARANTINE_STRIKE_COUNT: u32 = 2;
/// How long a body is refused. Segments do not come again anyway; a multivariant playlist, which is
/// the same for months, is tried again the next day.
pub const QUARANTINE_SPAN: Duration = Duration::from_hours(24);
/// Bytes of a line of the journal of crashes: fingerprint, time and version in 64, the rest names.
pub const LAST_WORDS_SIZE_MAX: usize = 256;
/// Bytes of the journal of crashes that are read at start: the newest lines of a full quarantine.
pub const CRASH_JOURNAL_SIZE_MAX: u64 = (QUARANTINE_COUNT_MAX * LAST_WORDS_SIZE_MAX) as u64;

// Sound.

/// Access units of AAC that are read at a segment's beginning to learn what their headers do not
/// tell: a second and a half of them, in which an encoder that lets players join repeats its
/// bandwidth extension's header several times. One is enough where there is no extension.
pub const AAC_INSPECTED_UNIT_COUNT_MAX: usize = 32;

// Durability.

/// Threads that sync records before they are acknowledged: each waits for the disk, not for a core,
/// and a ring waits for the syncs of a quarter of the others at most.
pub const COMMITTING_THREAD_COUNT: usize = 4;

// The channel's timeline.

/// Copies of times gone by that are remembered of each input, to tell two encoders that began anew
/// together from one: a segment of every rendition and its sound.
pub const PASSED_COUNT_MAX: usize = 64;

// Time shift and filters.

/// Bytes of one parameter of a manifest request, decoded: the limit of the MediaPackage origins.
pub const MANIFEST_PARAMETER_SIZE_MAX: usize = 1024;
/// Seconds of the longest span that a manifest may be asked for: a day, as there.
pub const TIME_SHIFT_SECONDS_MAX: u32 = 86_400;

/// Seconds of the shortest delay, as there: what is shorter is jitter.
pub const TIME_DELAY_SECONDS_MIN: u32 = 5;
/// Manifests of one endpoint, as there.
pub const MANIFEST_COUNT_MAX: usize = 25;
// Text.

/// Bytes of all samples made of one segment's cues: four of the largest texts that come in.
pub const CUE_SAMPLES_SIZE_MAX: usize = 4 * TEXT_SIZE_MAX;

// Splice messages and timed metadata.

/// Descriptors of a splice message: as many of the shortest that say something as its 4 KiB hold
/// would be 250; no sender has more than a dozen.
pub const SPLICE_DESCRIPTOR_COUNT_MAX: usize = 64;
/// Components that a segmentation descriptor may list in its 255 bytes, at six each.
pub const SPLICE_COMPONENT_COUNT_MAX: usize = 42;
/// Messages and tagged segments remembered of a channel: two weeks of a break every quarter of an
/// hour, with both of its ends and its tags.
pub const SPLICE_LOG_COUNT_MAX: usize = 4_096;
/// Bytes of them: a quarter of what a state record may have.
pub const SPLICE_LOG_SIZE_MAX: usize = RING_HEADER_SIZE_MAX / 4;
/// Tags of one playlist segment that are kept for their programme points.
pub const SPLICE_TAG_COUNT_MAX: usize = 32;
/// Bytes of them: two messages of the longest kind, in hexadecimal digits.
pub const SPLICE_TAG_LINES_SIZE_MAX: usize = 16 << 10;

// DASH.

/// Seconds of a segment that television sets take at most: ETSI TS 103 285 §4.5 and ETSI TS 102 796
/// V1.2.1 §E.2.2 allow fifteen.
pub const DASH_TV_SEGMENT_SECONDS_MAX: u32 = 15;
/// Requests for segments to come that are held at once in a channel: as many players as ask for the
/// newest segment through a cache that passes a few of the same on.
pub const HELD_REQUEST_COUNT_MAX: usize = 4096;

// How they relate.

const _: () = assert!(RING_FILE_COUNT_MIN <= RING_FILE_COUNT_TARGET);
const _: () = assert!(REQUEST_LINE_SIZE_MAX + HEADER_FIELD_SIZE_MAX <= REQUEST_HEAD_SIZE_MAX);
const _: () = assert!(SEGMENT_SIZE_MAX <= u32::MAX as u64, "extents hold 32-bit sizes");
const _: () = assert!(REPLAY_SET_COUNT.is_power_of_two());
const _: () = assert!(REQUEST_HEAD_SIZE_MAX < INPUT_BUFFER_SIZE);
const _: () = assert!(SENDFILE_CALL_SIZE_MAX as u64 <= BULK_TURN_SIZE);
const _: () = assert!(SEGMENT_METADATA_SIZE_MAX * 2 < RING_HEADER_SIZE_MAX);
const _: () = assert!(REPLAY_SET_COUNT * REPLAY_SET_SIZE * 35 < TAKEOVER_MESSAGE_SIZE_MAX);
