//! Configuration: text to [`Config`], once, or every mistake with its place.
//!
//! Three layers: built-in defaults, one TOML file, environment variables `HEADWATER_*`. Which keys
//! exist, of which type and with which default stands in [`keys`] alone. Opens no socket and makes
//! no ring; the only files it reads are the configuration and the passwords it refers to.

mod build;
mod hls;
pub mod keys;
mod mistake;
mod quantity;
mod reason;
mod running;
mod section;
mod source;
#[cfg(test)]
mod tests;

pub use mistake::{ConfigErrors, Mistake, Place};

use crate::engine::endpoint::Endpoint;
use crate::http::digest::Algorithm;
use crate::limits::CONFIG_SIZE_MAX;
use crate::ring::Durability;
use crate::units::InputNumber;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files that are looked for where none is named; the first that exists counts.
pub const DEFAULT_FILES: [&str; 2] = ["./headwater.toml", "/etc/headwater/headwater.toml"];

/// A whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[control]`.
    pub control: Control,
    /// `[storage]`.
    pub storage: Storage,
    /// `[log]`.
    pub log: Log,
    /// `access_log.path`; `None` for no access log.
    pub access_log: Option<PathBuf>,
    /// Each `[[channel]]`, ids unique.
    pub channels: Vec<Channel>,
    /// Each `[[endpoint]]`, ids unique; their channels exist.
    pub endpoints: Vec<Endpoint>,
}

/// `[server]`: the data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Addresses of the data plane; at least one.
    pub http: Vec<SocketAddr>,
    /// Addresses for encoders alone; where there are any, the others take none.
    pub ingest_http: Vec<SocketAddr>,
    /// Threads that serve; 0 for one per core.
    pub shards: u16,
    /// Challenges offered to encoders, in this order; at least one.
    pub digest: Vec<Algorithm>,
}

/// `[control]`: the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// `[storage]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Directory of the ring files.
    pub dir: PathBuf,
    /// Bytes of packaged media kept that are not a view of a ring.
    pub cache_bytes: u64,
    /// Time between two `fdatasync` of a ring file in use.
    pub sync_interval: Duration,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Directives of the filter.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// For eyes.
    Human,
    /// One JSON object to a line.
    Json,
}

/// `[[channel]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Path element of the ingest URL.
    pub id: String,
    /// Bytes of disk that its ring takes.
    pub ring_bytes: u64,
    /// When a body is acknowledged.
    pub durability: Durability,
    /// The source's exact segment duration; `None` to learn it.
    pub segment: Option<SegmentDuration>,
    /// Bytes of the largest segment that an encoder may push.
    pub segment_bytes_max: u64,
    /// The input that leads where there is a choice.
    pub preferred_input: Option<InputNumber>,
    /// Whether it leads again once it has been sound for a while.
    pub fail_back: bool,
    /// Bodies per second that an input may send.
    pub bodies_per_second: u32,
    /// Bits per second that an input may send; `None` for a multiple of what its source declares.
    pub bits_per_second: Option<u64>,
    /// Who may push: input 1, then input 2; one or two.
    pub inputs: Vec<Credentials>,
}

/// A source segment's exact duration: `ticks / timescale` seconds, both above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentDuration {
    /// Duration in ticks.
    pub ticks: u32,
    /// Ticks per second.
    pub timescale: u32,
}

/// What an encoder says to be let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Name in the `Authorization` field.
    pub username: String,
    /// Its password. Never printed.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { username, password: _ } = self;
        f.debug_struct("Credentials").field("username", username).finish_non_exhaustive()
    }
}

/// Reads and checks the configuration: `path`, or the first of [`DEFAULT_FILES`] that exists, or
/// the defaults alone; under the `HEADWATER_*` variables of `environment`.
///
/// # Errors
///
/// Every mistake of file and environment at once.
pub fn load(
    path: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigErrors> {
    let candidates = DEFAULT_FILES.map(Path::new);
    let path = path.or_else(|| candidates.into_iter().find(|file| file.exists()));
    let Some(path) = path else { return parse("built-in defaults", "", environment) };
    let file = path.display().to_string();
    match read_text(path, CONFIG_SIZE_MAX) {
        Ok(text) => parse(&file, &text, environment),
        Err(error) => {
            let what = format!("expected a readable file, found: {error}");
            Err(ConfigErrors(vec![Mistake { at: Place::Whole(file), key: String::new(), what }]))
        }
    }
}

/// The same for a file's text; `file` is its name in messages.
///
/// # Errors
///
/// Every mistake of `text` and `environment` at once.
pub fn parse(
    file: &str,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigErrors> {
    let environment: Vec<(String, String)> = environment.collect();
    let (mut root, mut mistakes) = source::parse_toml(file, text);
    mistakes.extend(source::overlay_environment(&mut root, &environment));
    build::build(&root, file, &environment, mistakes)
}

/// A text file of at most `size_max` bytes.
fn read_text(path: &Path, size_max: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(size_max + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > size_max {
        let what = format!("more than {size_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}
