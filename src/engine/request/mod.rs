//! What a viewer asks of a manifest beside its name: a span of the past, a delay, a choice of
//! tracks. Names and grammar are those of the `MediaPackage` origins.
//!
//! Parameters come in the query, and `start` and `end` also as path elements before the manifest's
//! name. Equal requests have equal values here, however they were written, so that responses can be
//! kept by value. What the parameters mean for a presentation is [`crate::engine::manifest`]'s.

mod filter;
#[cfg(test)]
mod tests;

pub use filter::{Filter, FilterError};

use crate::limits::{
    MANIFEST_PARAMETER_SIZE_MAX, STARTOVER_WINDOW_SECONDS_MAX, TIME_SHIFT_SECONDS_MAX,
};
use crate::units::WallClock;
use std::borrow::Cow;
use std::fmt;

/// The parameters of one manifest request; the default is the live manifest of all tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestRequest {
    /// Nothing before it is listed, and the list does not slide.
    pub start: Option<Bound>,
    /// Nothing after it is listed; without a start it changes nothing.
    pub end: Option<Bound>,
    /// Seconds by which the live edge is held back.
    pub time_delay_seconds: Option<u32>,
    /// Seconds that a sliding list holds, in place of the configured ones.
    pub window_seconds: Option<u32>,
    /// Nothing before it is listed; the list slides once it is full.
    pub clip_start: Option<WallClock>,
    /// The oldest segments of a list that the viewer has a version of may be left out.
    pub skips: bool,
    /// EXT-X-SESSION-KEY is left out.
    pub excludes_session_keys: bool,
    /// Which tracks are wanted.
    pub filter: Filter,
}

/// A time in a request and where it stood: relative references keep what is in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The time.
    pub at: WallClock,
    /// True for a path element.
    pub in_path: bool,
}

/// Why parameters are refused: 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Percent-encoding that is none, or no UTF-8 behind it.
    #[error("{0}: not percent-encoded text")]
    Encoding(&'static str),
    /// A parameter that came before.
    #[error("{0}: given twice")]
    Repeated(&'static str),
    /// A value longer than [`MANIFEST_PARAMETER_SIZE_MAX`].
    #[error("{name}: expected at most {MANIFEST_PARAMETER_SIZE_MAX} bytes, found {found}")]
    TooLong {
        /// The parameter.
        name: &'static str,
        /// Its bytes.
        found: usize,
    },
    /// A value that cannot be read.
    #[error("{name}: expected {expected}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// A filter that cannot be read.
    #[error("aws.manifestfilter: {0}")]
    Filter(#[from] FilterError),
    /// A span that ends before it begins.
    #[error("end: expected a time after start")]
    EmptySpan,
    /// A span longer than [`TIME_SHIFT_SECONDS_MAX`].
    #[error("expected a span of at most {TIME_SHIFT_SECONDS_MAX} s")]
    SpanTooLong,
    /// `clip_start_time` beside `start` or `end`.
    #[error("clip_start_time: not together with start or end")]
    ClipWithSpan,
    /// `manifest_window_seconds` that is no part of what is configured.
    #[error(
        "manifest_window_seconds: expected two segments at least, the configured window at most"
    )]
    Window,
    /// `time_delay` that leads out of the startover window.
    #[error("time_delay: expected the startover window's seconds at most, or the manifest's")]
    Delay,
    /// Parameters where only manifests take them.
    #[error("expected no parameters here")]
    NotAManifest,
    /// No track is left.
    #[error("aws.manifestfilter: nothing is left")]
    NothingLeft,
}

const EXPECTED_TIME: &str = "ISO 8601 with a zone, or seconds since 1970";
const EXPECTED_SECONDS: &str = "whole seconds of at most 14 days";

/// Ends the name of a Smooth Streaming presentation ([MS-SSTR] §2.2.1).
const PRESENTATION_SUFFIX: &str = ".ism/";

/// Parameters that manifests take; others are ignored.
const NAMES: [&str; 7] = [
    "_HLS_skip",
    "aws.drmsettings",
    "aws.manifestfilter",
    "aws.manifestsettings",
    "end",
    "start",
    "time_delay",
];

impl ManifestRequest {
    /// The live manifest of all tracks.
    pub const LIVE: Self = Self {
        start: None,
        end: None,
        time_delay_seconds: None,
        window_seconds: None,
        clip_start: None,
        skips: false,
        excludes_session_keys: false,
        filter: Filter::ALL,
    };

    /// Reads `path`, which is what follows `/out/v1/{endpoint}/`, and the undecoded `query`, and
    /// returns the path without its parameters too.
    ///
    /// # Errors
    ///
    /// [`RequestError`] for a parameter that cannot be read, is repeated or contradicts another.
    pub fn parse<'p>(
        path: &'p str,
        query: Option<&str>,
    ) -> Result<(Cow<'p, str>, Self), RequestError> {
        let mut request = Self::default();
        let path = request.take_path_elements(path)?;
        let mut seen: Vec<&'static str> = Vec::new();
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(known) = known_name(name) else { continue };
            if seen.contains(&known) {
                return Err(RequestError::Repeated(known));
            }
            seen.push(known);
            let value = percent_decode(value).ok_or(RequestError::Encoding(known))?;
            request.take(known, &value)?;
        }
        request.check()?;
        Ok((path, request))
    }

    /// True where no parameter was given.
    #[must_use]
    pub fn is_live(&self) -> bool {
        *self == Self::LIVE
    }

    /// True where nothing but path elements was given: a client of Smooth Streaming puts those of
    /// its manifest before every fragment, which they do not change.
    #[must_use]
    pub fn is_path_alone(&self) -> bool {
        let live = Self { start: None, end: None, ..self.clone() };
        let mut bounds = [self.start, self.end].into_iter().flatten();
        live.is_live() && bounds.all(|bound| bound.in_path)
    }

    /// `../` for each path element of this request, which leads back to where segments are.
    #[must_use]
    pub fn climb(&self) -> String {
        let pairs = [self.start, self.end].into_iter().flatten().filter(|it| it.in_path);
        "../../".repeat(pairs.count())
    }

    /// The query for the media playlists of this request's multivariant playlist, with its question
    /// mark, in alphabetical order; empty where there is nothing to say. A media playlist is one
    /// track's, so that the choice of tracks is not passed on.
    #[must_use]
    pub fn media_playlist_query(&self) -> String {
        let mut settings: Vec<String> = Vec::new();
        settings.extend(self.clip_start.map(|at| format!("clip_start_time:{}", Time(at))));
        settings.extend(self.window_seconds.map(|it| format!("manifest_window_seconds:{it}")));
        settings.extend(self.time_delay_seconds.map(|it| format!("time_delay:{it}")));
        let mut query = Vec::new();
        if !settings.is_empty() {
            let settings = settings.join(";").replace(':', "%3A").replace(';', "%3B");
            query.push(format!("aws.manifestsettings={settings}"));
        }
        for (name, instant) in [("end", self.end), ("start", self.start)] {
            let in_query = instant.filter(|instant| !instant.in_path);
            query.extend(in_query.map(|it| format!("{name}={}", Time(it.at))));
        }
        if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) }
    }

    /// Takes `start/{time}` and `end/{time}` from before the last element, or from before what
    /// Smooth Streaming calls a presentation's name, `index.ism`, and what follows that.
    fn take_path_elements<'p>(&mut self, path: &'p str) -> Result<Cow<'p, str>, RequestError> {
        let presentation = path.find(PRESENTATION_SUFFIX).map_or(path, |end| &path[..end]);
        let leaf_at = presentation.rfind('/').map_or(0, |slash| slash + 1);
        let (head, leaf) = path.split_at(leaf_at);
        let mut elements: Vec<&str> = head.trim_end_matches('/').split('/').collect();
        let mut found = false;
        while let [.., name, value] = elements[..] {
            let slot = match name {
                "start" => &mut self.start,
                "end" => &mut self.end,
                _ => break,
            };
            let name = if name == "start" { "start" } else { "end" };
            if slot.is_some() {
                return Err(RequestError::Repeated(name));
            }
            *slot = Some(Bound { at: time(name, value)?, in_path: true });
            elements.truncate(elements.len() - 2);
            found = true;
        }
        if !found {
            return Ok(path.into());
        }
        elements.push(leaf);
        Ok(elements.join("/").into())
    }

    fn take(&mut self, name: &'static str, value: &str) -> Result<(), RequestError> {
        if value.len() > MANIFEST_PARAMETER_SIZE_MAX {
            return Err(RequestError::TooLong { name, found: value.len() });
        }
        match name {
            "aws.manifestfilter" => self.filter = Filter::parse(value)?,
            // Version 2 also leaves out EXT-X-DATERANGE tags, where a list says it may. A word that
            // is not known yet asks for something that is not offered, which is a whole list.
            "_HLS_skip" => self.skips = matches!(value, "YES" | "v2"),
            "aws.manifestsettings" => self.take_settings(value)?,
            "aws.drmsettings" => {
                let words = ["excludesessionkeys", "exclude_session_keys"];
                if !words.iter().any(|word| word.eq_ignore_ascii_case(value)) {
                    return Err(RequestError::Value { name, expected: "exclude_session_keys" });
                }
                self.excludes_session_keys = true;
            }
            _ => self.take_time(name, value)?,
        }
        Ok(())
    }

    /// `key:value` pairs with semicolons between them.
    fn take_settings(&mut self, text: &str) -> Result<(), RequestError> {
        let known = ["clip_start_time", "end", "manifest_window_seconds", "start", "time_delay"];
        for pair in text.split(';') {
            let (key, value) = pair.split_once(':').unwrap_or((pair, ""));
            let name = known.into_iter().find(|name| name.eq_ignore_ascii_case(key));
            let expected = "keys that are known, each with a value";
            let unknown = RequestError::Value { name: "aws.manifestsettings", expected };
            self.take_time(name.ok_or(unknown)?, value)?;
        }
        Ok(())
    }

    fn take_time(&mut self, name: &'static str, value: &str) -> Result<(), RequestError> {
        let repeated = match name {
            "start" => {
                let at = time(name, value)?;
                self.start.replace(Bound { at, in_path: false }).is_some()
            }
            "end" => {
                let at = time(name, value)?;
                self.end.replace(Bound { at, in_path: false }).is_some()
            }
            "clip_start_time" => self.clip_start.replace(time(name, value)?).is_some(),
            "time_delay" => self.time_delay_seconds.replace(seconds(name, value)?).is_some(),
            _ => self.window_seconds.replace(seconds(name, value)?).is_some(),
        };
        if repeated { Err(RequestError::Repeated(name)) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), RequestError> {
        if self.clip_start.is_some() && (self.start.is_some() || self.end.is_some()) {
            return Err(RequestError::ClipWithSpan);
        }
        let (Some(start), Some(end)) = (self.start, self.end) else { return Ok(()) };
        let span = end.at.0 - start.at.0;
        if span <= 0 {
            return Err(RequestError::EmptySpan);
        }
        if span > i64::from(TIME_SHIFT_SECONDS_MAX) * 1_000_000 {
            return Err(RequestError::SpanTooLong);
        }
        Ok(())
    }
}

/// All parameters in one form, whatever they were written like: what responses are kept by.
impl fmt::Display for ManifestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.climb(), self.media_playlist_query())?;
        for instant in [self.start, self.end].into_iter().flatten() {
            write!(f, " {}", Time(instant.at))?;
        }
        write!(f, " {} {} {}", self.skips, self.excludes_session_keys, self.filter)
    }
}

/// Writes a time as [`time`] reads it: whole seconds since 1970, or a date with its fraction.
struct Time(WallClock);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(WallClock(micros)) = *self;
        match jiff::Timestamp::from_microsecond(micros) {
            Ok(date) if micros < 0 || micros % 1_000_000 != 0 => date.fmt(f),
            _ => (micros / 1_000_000).fmt(f),
        }
    }
}

/// The parameter that `name` is, in any case and percent-encoding.
fn known_name(name: &str) -> Option<&'static str> {
    let name = percent_decode(name)?;
    NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(&name))
}

fn time(name: &'static str, text: &str) -> Result<WallClock, RequestError> {
    let micros = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: Option<i64> = text.parse().ok();
        let known = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        known.map(jiff::Timestamp::as_microsecond)
    } else {
        text.parse().ok().map(jiff::Timestamp::as_microsecond)
    };
    micros.map(WallClock).ok_or(RequestError::Value { name, expected: EXPECTED_TIME })
}

fn seconds(name: &'static str, text: &str) -> Result<u32, RequestError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|&it| digits && it <= STARTOVER_WINDOW_SECONDS_MAX);
    seconds.ok_or(RequestError::Value { name, expected: EXPECTED_SECONDS })
}

/// Decodes `%41` (RFC 3986 §2.1). A plus sign stays one.
fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? << 4 | digit()?;
        decoded.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(decoded).ok().map(Cow::from)
}
