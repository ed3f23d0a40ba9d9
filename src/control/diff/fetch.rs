//! Fetches the same things from two origins, and says how two answers differ.

use super::DiffError;
use crate::limits::INSPECTED_SIZE_MAX;
use std::time::Duration;

/// How long one fetch may take.
const FETCH_SPAN_MAX: Duration = Duration::from_secs(30);
/// Header fields that caches and players act on.
const FIELDS: [&str; 4] = ["content-type", "cache-control", "etag", "retry-after"];

/// An answer, as far as it matters to who asks for the same elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) status: u16,
    /// The values of [`FIELDS`], in that order; `-` where there is none.
    pub(super) fields: [String; FIELDS.len()],
    pub(super) body: Vec<u8>,
}

impl Fetched {
    /// The body as text, invalid bytes replaced.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What differs first in status and fields; the ETag counts where bodies have to be equal.
    pub(super) fn head_difference(&self, other: &Self, with_etag: bool) -> Option<String> {
        if self.status != other.status {
            return Some(format!("status {} and {}", self.status, other.status));
        }
        let pairs = FIELDS.iter().zip(self.fields.iter().zip(&other.fields));
        let mut counted = pairs.filter(|(name, _)| with_etag || **name != "etag");
        let (name, (a, b)) = counted.find(|(_, (a, b))| a != b)?;
        Some(format!("{name} {a:?} and {b:?}"))
    }

    /// What differs first: status, a field, or a byte of the body.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        self.body_difference(other).or_else(|| self.head_difference(other, true))
    }

    fn body_difference(&self, other: &Self) -> Option<String> {
        let mut pairs = self.body.iter().zip(&other.body);
        if let Some(at) = pairs.position(|(a, b)| a != b) {
            let (a, b) = (self.body[at], other.body[at]);
            return Some(format!("byte {at} is {a:#04x} and {b:#04x}"));
        }
        let (a, b) = (self.body.len(), other.body.len());
        (a != b).then(|| format!("{a} and {b} bytes, equal as far as the shorter goes"))
    }
}

/// Gets `url`, whatever its status.
pub(super) fn fetch(agent: &ureq::Agent, url: &str) -> Result<Fetched, DiffError> {
    let failed = |error: ureq::Error| DiffError::Fetch {
        url: url.to_owned(),
        reason: match error {
            ureq::Error::BodyExceedsLimit(_) => format!("more than {INSPECTED_SIZE_MAX} bytes"),
            other => other.to_string(),
        },
    };
    if !url.starts_with("http://") {
        return Err(DiffError::Scheme { url: url.to_owned() });
    }
    let mut answer = agent.get(url).call().map_err(failed)?;
    let field = |name: &str| {
        let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or("-").to_owned()
    };
    let (status, fields) = (answer.status().as_u16(), FIELDS.map(field));
    let body = answer.body_mut().with_config().limit(INSPECTED_SIZE_MAX).read_to_vec();
    Ok(Fetched { status, fields, body: body.map_err(failed)? })
}

/// A client that takes every status for an answer.
pub(super) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(FETCH_SPAN_MAX))
        .build();
    config.into()
}

/// `reference` as seen from `base` (RFC 3986 §5.2, as far as manifests need it).
pub(super) fn resolve(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let base = base.split(['?', '#']).next().unwrap_or(base);
    let host_end = base.find("://").map_or(0, |at| at + 3);
    let path_start = base[host_end..].find('/').map_or(base.len(), |at| host_end + at);
    let (host, path) = base.split_at(path_start);
    if reference.starts_with('/') {
        return format!("{host}{reference}");
    }
    let mut elements: Vec<&str> = path.split('/').collect();
    elements.pop();
    for element in reference.split('/') {
        match element {
            // The empty element before the first slash stays.
            ".." if elements.len() > 1 => drop(elements.pop()),
            "." | ".." => {}
            element => elements.push(element),
        }
    }
    let slash = if path.is_empty() { "/" } else { "" };
    format!("{host}{slash}{}", elements.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        let base = "http://a:80/out/v1/e/hls/index.m3u8?x=/y";
        for (reference, expected) in [
            ("s.m4s", "http://a:80/out/v1/e/hls/s.m4s"),
            ("../s.m4s?q", "http://a:80/out/v1/e/s.m4s?q"),
            ("./s", "http://a:80/out/v1/e/hls/s"),
            ("/s", "http://a:80/s"),
            ("../../../../../../s", "http://a:80/s"),
            ("http://b/s", "http://b/s"),
        ] {
            assert_eq!(resolve(base, reference), expected);
        }
        assert_eq!(resolve("http://a", "s"), "http://a/s");
    }

    #[test]
    fn the_first_difference_is_told() {
        let fetched = |body: &[u8], etag: &str| Fetched {
            status: 200,
            fields: ["video/mp4", "max-age=1", etag, "-"].map(str::to_owned),
            body: body.to_vec(),
        };
        let known = fetched(b"abc", "\"1\"");
        for (other, expected) in [
            (fetched(b"abc", "\"1\""), None),
            (fetched(b"abd", "\"2\""), Some("byte 2 is 0x63 and 0x64")),
            (fetched(b"ab", "\"2\""), Some("3 and 2 bytes, equal as far as the shorter goes")),
            (fetched(b"abc", "\"2\""), Some("etag \"\\\"1\\\"\" and \"\\\"2\\\"\"")),
            (Fetched { status: 404, ..known.clone() }, Some("status 200 and 404")),
        ] {
            assert_eq!(known.difference(&other).as_deref(), expected);
        }
        assert_eq!(known.head_difference(&fetched(b"", "\"2\""), false), None);
    }
}
