//! Every key of the configuration, in one table: its type, its default and what it is for.
//!
//! The reader, the check for unknown keys, the built-in defaults and the reference that `check
//! --help` and the README show all come from here. A key that is not in the table does not exist.

mod dash;

use crate::limits::{
    ID_SIZE_MAX, MANIFEST_WINDOW_SECONDS_MAX, SEGMENT_SIZE_MAX, STARTOVER_WINDOW_SECONDS_MAX,
};
use std::fmt::{self, Write as _};
use std::time::Duration;

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path; `[]` follows the name of an array of tables.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is where nobody sets it.
    pub default: Unset,
    /// One line for the reference.
    pub help: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text but an empty one.
    Text,
    /// A path element of a URL.
    Id,
    /// A path element, or nothing.
    IdOrEmpty,
    /// A password, or where to find it.
    Secret,
    /// A socket address.
    Address,
    /// A socket address or a list of them.
    Addresses,
    /// A size with its unit.
    Size,
    /// A time span with its unit, within bounds in milliseconds.
    Span(u64, u64),
    /// A whole number within bounds.
    Integer(u64, u64),
    /// Seconds with a sign or none and up to three decimals.
    Seconds,
    /// Yes or no.
    Flag,
    /// Ticks and timescale.
    Ratio,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these words without repetition, one at least.
    Choices(&'static [&'static str]),
    /// The same, or none.
    ChoicesOrNone(&'static [&'static str]),
    /// A directive of the log's filter, such as `info` or `headwater::shard=debug`.
    LogFilter,
    /// Known, and not served by this version; the feature's name.
    Later(&'static str),
}

/// What a key is where nobody sets it.
#[derive(Clone, Copy, Debug)]
pub enum Unset {
    /// It has to be set.
    Required,
    /// It has no value then.
    Absent,
    /// This text, read like an environment variable's.
    Text(&'static str),
}

use Unset::{Absent, Required, Text};

const STREAM_ORDERS: &[&str] = &["ORIGINAL", "VIDEO_BITRATE_ASCENDING", "VIDEO_BITRATE_DESCENDING"];
const PLAYLIST_TYPES: &[&str] = &["NONE", "EVENT", "VOD"];
const DAY_SECONDS: u64 = 86_400;
const WINDOW: Kind = Kind::Integer(30, MANIFEST_WINDOW_SECONDS_MAX as u64);
const STARTOVER: Kind = Kind::Integer(0, STARTOVER_WINDOW_SECONDS_MAX as u64);
const SEGMENT: Kind = Kind::Integer(1, 30);
const UP_TO_A_DAY: Kind = Kind::Integer(0, DAY_SECONDS);
const BIT_RATE: Kind = Kind::Integer(0, i64::MAX as u64);

const fn key(path: &'static str, kind: Kind, default: Unset, help: &'static str) -> Key {
    Key { path, kind, default, help }
}

/// The keys that every table has that sets HLS playlists up.
macro_rules! hls_list_keys {
    ($table:literal) => {
        [
            key(
                concat!($table, ".playlist_window_seconds"),
                WINDOW,
                Text("60"),
                "Seconds listed in a live playlist.",
            ),
            key(
                concat!($table, ".program_date_time_interval_seconds"),
                UP_TO_A_DAY,
                Text("0"),
                "Seconds between EXT-X-PROGRAM-DATE-TIME tags; 0 for none.",
            ),
            key(
                concat!($table, ".playlist_type"),
                Kind::Choice(PLAYLIST_TYPES),
                Text("NONE"),
                "EXT-X-PLAYLIST-TYPE of lists that keep their first segment; others have none.",
            ),
            key(
                concat!($table, ".start_time_offset_seconds"),
                Kind::Seconds,
                Absent,
                "EXT-X-START: where to begin, from the list's start, or, below 0, from its end.",
            ),
            key(
                concat!($table, ".start_precise"),
                Kind::Flag,
                Text("false"),
                "EXT-X-START: whether to begin between segments, too (PRECISE=YES).",
            ),
        ]
    };
}

/// The keys of a packager's `stream_selection`.
macro_rules! stream_selection_keys {
    ($table:literal) => {
        [
            key(
                concat!($table, ".min_video_bits_per_second"),
                BIT_RATE,
                Text("0"),
                "Lowest video bit rate offered.",
            ),
            key(
                concat!($table, ".max_video_bits_per_second"),
                BIT_RATE,
                Absent,
                "Highest video bit rate offered.",
            ),
            key(
                concat!($table, ".stream_order"),
                Kind::Choice(STREAM_ORDERS),
                Text("ORIGINAL"),
                "Order of the video tracks.",
            ),
        ]
    };
}

const GENERAL: &[Key] = &[
    key(
        "server.http",
        Kind::Addresses,
        Text("0.0.0.0:8080"),
        "Addresses of the data plane, HTTP/1.1: one, or a list.",
    ),
    key("server.https", Kind::Later("HTTPS"), Absent, "Addresses of the data plane with TLS."),
    key("server.tls_cert", Kind::Later("HTTPS"), Absent, "Certificate chain, PEM."),
    key("server.tls_key", Kind::Later("HTTPS"), Absent, "Private key, PEM."),
    key(
        "server.ingest_http",
        Kind::Addresses,
        Text(""),
        "Addresses for encoders alone; then `/in/` is 404 on the others, `/out/` here.",
    ),
    key("server.ingest_https", Kind::Later("HTTPS"), Absent, "The same with TLS."),
    key(
        "server.shards",
        Kind::Integer(0, 1024),
        Text("0"),
        "Threads that serve; 0 for one per core.",
    ),
    key(
        "server.digest",
        Kind::Choices(&["sha-256", "md5"]),
        Text("sha-256,md5"),
        "Challenges offered to encoders, in this order.",
    ),
    key(
        "control.listen",
        Kind::Address,
        Text("127.0.0.1:8081"),
        "Address of the control plane: metrics, health, watch page.",
    ),
    key("storage.dir", Kind::Text, Text("data"), "Directory of the ring files."),
    key(
        "storage.cache",
        Kind::Size,
        Text("1GiB"),
        "Disk for packaged bytes that are no view of a ring; 128MiB at least.",
    ),
    key(
        "storage.sync_interval",
        Kind::Span(10, 60_000),
        Text("1s"),
        "What a power cut may cost at most.",
    ),
    key(
        "log.level",
        Kind::LogFilter,
        Text("info"),
        "`error` to `trace`, or directives per module; `HEADWATER_LOG` sets it too.",
    ),
    key(
        "log.format",
        Kind::Choice(&["auto", "human", "json"]),
        Text("auto"),
        "`auto` is `human` on a terminal and `json` elsewhere.",
    ),
    key(
        "access_log.path",
        Kind::Text,
        Absent,
        "File of the access log, JSON lines; none where absent.",
    ),
    key("channel[].id", Kind::Id, Required, "Path element of the ingest URL."),
    key(
        "channel[].ring",
        Kind::Size,
        Text("1GiB"),
        "Disk of the channel's ring, allocated in full at start.",
    ),
    key(
        "channel[].durability",
        Kind::Choice(&["process", "strict"]),
        Text("process"),
        "What an acknowledged body outlives: the process, or a power cut too.",
    ),
    key(
        "channel[].segment",
        Kind::Ratio,
        Absent,
        "The source's exact segment duration, ticks/timescale; else learned from it.",
    ),
    key(
        "channel[].segment_size_max",
        Kind::Size,
        Text("64MiB"),
        "Largest segment that an encoder may push.",
    ),
    key(
        "channel[].preferred_input",
        Kind::Integer(1, 2),
        Absent,
        "The input that leads at the start where both deliver.",
    ),
    key(
        "channel[].fail_back",
        Kind::Flag,
        Text("false"),
        "Whether the preferred input leads again once it was sound for 30 s.",
    ),
    key(
        "channel[].ingest_requests_per_second",
        Kind::Integer(1, 1_000_000),
        Text("50"),
        "Bodies that each input may push, averaged over a minute; 429 beyond.",
    ),
    key(
        "channel[].ingest_bits_per_second",
        Kind::Integer(1_000_000, i64::MAX as u64),
        Absent,
        "Bits of them; else four times what the source declares, 100 Mbit/s at least.",
    ),
    key(
        "channel[].input[].username",
        Kind::Text,
        Required,
        "User of the encoder; one or two inputs.",
    ),
    key(
        "channel[].input[].password",
        Kind::Secret,
        Required,
        "Its password, or `file:PATH` or `env:NAME` that holds it.",
    ),
    key("endpoint[].id", Kind::Id, Required, "Path element of the playback URL."),
    key("endpoint[].channel", Kind::Id, Required, "The channel it plays."),
    key("endpoint[].manifest_name", Kind::Id, Text("index"), "Base name of the top manifest."),
    key(
        "endpoint[].startover_window_seconds",
        STARTOVER,
        Text("0"),
        "Seconds that stay fetchable behind the live edge; 0 for the manifest's window.",
    ),
    key(
        "endpoint[].time_delay_seconds",
        UP_TO_A_DAY,
        Text("0"),
        "Seconds by which everything is held back.",
    ),
    key(
        "endpoint[].stale_limit_seconds",
        UP_TO_A_DAY,
        Text("0"),
        "Seconds without new media after which manifests are refused; 0 for three targets.",
    ),
    key(
        "endpoint[].stale_status",
        Kind::Choice(&["503", "404"]),
        Text("503"),
        "Status of a manifest refused for that, so that a CDN asks another origin.",
    ),
    key(
        "endpoint[].publish_active_input",
        Kind::Flag,
        Text("false"),
        "Whether responses name the input in use: `X-MediaPackage-Active-Input`.",
    ),
    key(
        "endpoint[].publish_cmsd",
        Kind::Flag,
        Text("false"),
        "Whether responses carry `CMSD-Static` and `CMSD-Dynamic` (CTA-5006).",
    ),
    key(
        "endpoint[].hls_package.segment_duration_seconds",
        SEGMENT,
        Text("6"),
        "Wanted duration; rounded to the nearest multiple of the source's.",
    ),
    key(
        "endpoint[].hls_package.use_audio_rendition_group",
        Kind::Flag,
        Text("false"),
        "All sound in playlists of its own; else a variant's first is muxed with its pictures.",
    ),
];

const HLS_LIST: &[Key] = &hls_list_keys!("endpoint[].hls_package");
const HLS_SELECTION: &[Key] = &stream_selection_keys!("endpoint[].hls_package.stream_selection");

const DASH: &[Key] = &[key(
    "endpoint[].dash_package.segment_duration_seconds",
    SEGMENT,
    Text("2"),
    "Wanted duration; rounded to the nearest multiple of the source's.",
)];

const DASH_SELECTION: &[Key] = &stream_selection_keys!("endpoint[].dash_package.stream_selection");

const CMAF: &[Key] = &[
    key(
        "endpoint[].cmaf_package.segment_duration_seconds",
        SEGMENT,
        Text("2"),
        "Wanted duration; rounded to the nearest multiple of the source's.",
    ),
    key(
        "endpoint[].cmaf_package.segment_prefix",
        Kind::IdOrEmpty,
        Text(""),
        "Begins every init and segment name.",
    ),
];

const CMAF_SELECTION: &[Key] = &stream_selection_keys!("endpoint[].cmaf_package.stream_selection");

const CMAF_MANIFESTS: &[Key] = &[
    key(
        "endpoint[].cmaf_package.hls_manifests[].id",
        Kind::Id,
        Required,
        "Path element after the endpoint's; at least one manifest of either kind.",
    ),
    key(
        "endpoint[].cmaf_package.hls_manifests[].manifest_name",
        Kind::Id,
        Absent,
        "Base name of the multivariant playlist; else the endpoint's.",
    ),
];

const CMAF_LIST: &[Key] = &hls_list_keys!("endpoint[].cmaf_package.hls_manifests[]");

const CMAF_MPDS: &[Key] = &[
    key(
        "endpoint[].cmaf_package.dash_manifests[].id",
        Kind::Id,
        Required,
        "Path element after the endpoint's.",
    ),
    key(
        "endpoint[].cmaf_package.dash_manifests[].manifest_name",
        Kind::Id,
        Absent,
        "Base name of the MPD; else the endpoint's.",
    ),
];

const MSS: &[Key] = &[
    key(
        "endpoint[].mss_package.segment_duration_seconds",
        SEGMENT,
        Text("2"),
        "Wanted duration; rounded to the nearest multiple of the source's.",
    ),
    key(
        "endpoint[].mss_package.manifest_window_seconds",
        WINDOW,
        Text("60"),
        "Seconds listed in the client manifest.",
    ),
];

const MSS_SELECTION: &[Key] = &stream_selection_keys!("endpoint[].mss_package.stream_selection");

/// The parts of [`KEYS`], in the order of the reference.
const PARTS: [&[Key]; 16] = [
    GENERAL,
    HLS_LIST,
    HLS_SELECTION,
    DASH,
    dash::PACKAGE,
    dash::SUBTITLES,
    DASH_SELECTION,
    CMAF,
    dash::CMAF_SUBTITLES,
    CMAF_SELECTION,
    CMAF_MANIFESTS,
    CMAF_LIST,
    CMAF_MPDS,
    dash::MANIFESTS,
    MSS,
    MSS_SELECTION,
];

const KEY_COUNT: usize = {
    let mut count = 0;
    let mut part = 0;
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

/// The table, in the order of the reference.
pub static KEYS: [Key; KEY_COUNT] = {
    let mut keys = [GENERAL[0]; KEY_COUNT];
    let mut count = 0;
    let mut part = 0;
    while part < PARTS.len() {
        let mut at = 0;
        while at < PARTS[part].len() {
            keys[count] = PARTS[part][at];
            (count, at) = (count + 1, at + 1);
        }
        part += 1;
    }
    keys
};

const _: () = assert!(SEGMENT_SIZE_MAX == 64 << 20, "the table's default of segment_size_max");

impl fmt::Display for Kind {
    /// What is expected, as it follows the word in a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |list: &[&str]| {
            list.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
        };
        let span = |ms| format!("{:?}", Duration::from_millis(ms));
        match self {
            Self::Text => f.write_str("a string"),
            Self::Id => write!(f, "1 to {ID_SIZE_MAX} letters, digits, - or _"),
            Self::IdOrEmpty => write!(f, "at most {ID_SIZE_MAX} letters, digits, - or _"),
            Self::Secret => f.write_str("a password, \"file:PATH\" or \"env:NAME\""),
            Self::Address => f.write_str("an address such as \"127.0.0.1:8081\""),
            Self::Addresses => {
                f.write_str("an address such as \"0.0.0.0:8080\", or a list of them")
            }
            Self::Size => f.write_str("a size such as \"64MiB\""),
            Self::Span(min, max) => {
                write!(f, "a duration such as \"1s\", {} to {}", span(*min), span(*max))
            }
            Self::Integer(min, max) => write!(f, "an integer, {min} to {max}"),
            Self::Seconds => f.write_str("seconds such as -12.5, three decimals at most"),
            Self::Flag => f.write_str("true or false"),
            Self::Ratio => f.write_str("ticks and timescale such as \"180180/90000\""),
            Self::Choice(list) => write!(f, "one of {}", words(list)),
            Self::Choices(list) | Self::ChoicesOrNone(list) => {
                write!(f, "a list of {}", words(list))
            }
            Self::LogFilter => f.write_str("a level such as \"info\""),
            Self::Later(feature) => write!(f, "{feature} is not served by this version"),
        }
    }
}

/// The key at `path`, which is written as in [`KEYS`].
#[must_use]
pub fn at(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// What the table says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A value.
    Value,
    /// A table.
    Table,
    /// An array of tables.
    Tables,
    /// Nothing.
    Unknown,
}

/// The shape of the entry at `path`, which is written as in [`KEYS`] without a last `[]`.
#[must_use]
pub fn shape(path: &str) -> Shape {
    let rests = || KEYS.iter().filter_map(|key| key.path.strip_prefix(path));
    if rests().any(str::is_empty) {
        Shape::Value
    } else if rests().any(|rest| rest.starts_with('.')) {
        Shape::Table
    } else if rests().any(|rest| rest.starts_with("[].")) {
        Shape::Tables
    } else {
        Shape::Unknown
    }
}

/// The name under `section` that is most like `name`, if any is like it.
#[must_use]
pub fn similar(section: &str, name: &str) -> Option<&'static str> {
    let names = KEYS.iter().filter_map(|key| {
        let rest = key.path.strip_prefix(section)?;
        let rest = if section.is_empty() { rest } else { rest.strip_prefix('.')? };
        rest.split(['.', '[']).next()
    });
    let near = names.map(|known| (edit_distance(known, name), known));
    let (distance, known) = near.min()?;
    (distance * 3 <= known.len().max(name.len())).then_some(known)
}

/// Letters to insert, delete or replace to make `b` of `a` (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(ID_SIZE_MAX).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let replaced = row[j] + usize::from(letter != *other);
            next.push(replaced.min(row[j + 1] + 1).min(next[j] + 1));
        }
        row = next;
    }
    row[b.len()]
}

/// The reference: every key with its type, default and purpose, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text =
        String::from("| key | takes | default | what it is |\n| --- | --- | --- | --- |\n");
    for key in KEYS.iter().filter(|key| !matches!(key.kind, Kind::Later(_))) {
        let default = match key.default {
            Required => "required".to_owned(),
            Absent | Text("") => "none".to_owned(),
            Text(text) => format!("`{text}`"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{}` | {} | {default} | {} |", key.path, key.kind, key.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances() {
        let cases = [("", "", 0), ("ring", "ring", 0), ("ring", "rung", 1), ("ring", "rings", 1)];
        for (a, b, expected) in cases {
            assert_eq!(edit_distance(a, b), expected, "{a} {b}");
            assert_eq!(edit_distance(b, a), expected, "{b} {a}");
        }
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    #[test]
    fn shapes() {
        let cases = [
            ("server", Shape::Table),
            ("server.http", Shape::Value),
            ("server.htt", Shape::Unknown),
            ("channel", Shape::Tables),
            ("channel[].input", Shape::Tables),
            ("endpoint[].hls_package", Shape::Table),
            ("endpoint[].hls_package.stream_selection", Shape::Table),
        ];
        for (path, expected) in cases {
            assert_eq!(shape(path), expected, "{path}");
        }
    }

    #[test]
    fn paths_are_unique_and_the_reference_names_each_served_key() {
        let reference = reference();
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|other| other.path != key.path), "{}", key.path);
            let served = !matches!(key.kind, Kind::Later(_));
            assert_eq!(reference.contains(&format!("| `{}` |", key.path)), served, "{}", key.path);
            assert!(key.help.ends_with('.'), "{}", key.path);
        }
    }
}
