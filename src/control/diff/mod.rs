//! `headwater diff`: finds the first difference between two origins that should be the same.
//!
//! Fetches an endpoint's manifests and segments from both and compares what both list: lines of
//! manifests, header fields that caches act on, and every byte. Windows may differ at both ends,
//! since one origin may have published a segment more while the other was asked.

mod fetch;
mod listing;

use fetch::{Fetched, fetch, resolve};
use listing::{Entry, Listing, Manifest, parse_manifest};
use std::collections::BTreeSet;
use std::fmt;

/// Why two origins cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// A server cannot be reached.
    #[error("{url}: {reason}")]
    Fetch {
        /// What was asked for.
        url: String,
        /// The client's words.
        reason: String,
    },
    /// Only plain HTTP is spoken here.
    #[error("{url}: an http:// URL is expected")]
    Scheme {
        /// As given.
        url: String,
    },
    /// Neither origin has the endpoint's manifest.
    #[error("both answer {status}: there is nothing to compare")]
    Absent {
        /// The status of both.
        status: u16,
    },
    /// It is neither an HLS playlist nor an MPD with segment timelines.
    #[error("{name}: {reason}")]
    Manifest {
        /// Which one.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The windows do not overlap.
    #[error("no segment is listed by both")]
    Apart,
}

/// What was compared, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The first difference: what differs, and how.
    pub difference: Option<String>,
    /// What was seen and does not count as a difference.
    pub notes: Vec<String>,
    manifests: usize,
    lists: usize,
    whole_lists: usize,
    listed: [usize; 2],
    segments: usize,
    inits: usize,
    bytes: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.difference {
            Some(difference) => writeln!(f, "different: {difference}")?,
            None => writeln!(f, "same")?,
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let [a, b] = self.listed;
        writeln!(
            f,
            "compared: {} manifests, {} lists of segments ({} with the same window), {} segments \
             (of {a} and {b} listed), {} init segments, {} bytes",
            self.manifests, self.lists, self.whole_lists, self.segments, self.inits, self.bytes
        )
    }
}

/// Compares the endpoints at two `http://` URLs of a manifest.
///
/// # Errors
///
/// [`DiffError`] where they cannot be compared.
pub fn diff(a: &str, b: &str) -> Result<Report, DiffError> {
    let mut run =
        Run { agent: fetch::agent(), report: Report::default(), fetched: BTreeSet::new() };
    match run.compare_manifest(a, [a, b], true) {
        Ok(()) if run.report.segments == 0 => Err(DiffError::Apart),
        Ok(()) => Ok(run.report),
        Err(Stop::Different(difference)) => {
            run.report.difference = Some(difference);
            Ok(run.report)
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why the comparison ends early.
enum Stop {
    Different(String),
    Failed(DiffError),
}

impl From<DiffError> for Stop {
    fn from(error: DiffError) -> Self {
        Self::Failed(error)
    }
}

/// `what` differs in that way, if it does.
fn expect_same(what: &str, difference: Option<String>) -> Result<(), Stop> {
    difference.map_or(Ok(()), |how| Err(Stop::Different(format!("{what}: {how}"))))
}

/// The first line in which two texts differ.
fn line_difference(a: &[String], b: &[String]) -> Option<String> {
    let longest = a.len().max(b.len());
    let at = (0..longest).find(|&at| a.get(at) != b.get(at))?;
    let line = |lines: &[String]| lines.get(at).map_or_else(|| "none".to_owned(), Clone::clone);
    Some(format!("`{}` and `{}`", line(a), line(b)))
}

struct Run {
    agent: ureq::Agent,
    report: Report,
    /// What has been compared, by URL of the first origin.
    fetched: BTreeSet<String>,
}

impl Run {
    fn both(&self, urls: [&str; 2]) -> Result<[Fetched; 2], DiffError> {
        Ok([fetch(&self.agent, urls[0])?, fetch(&self.agent, urls[1])?])
    }

    /// Compares a manifest, and all that it names.
    fn compare_manifest(&mut self, name: &str, urls: [&str; 2], is_top: bool) -> Result<(), Stop> {
        let both = self.both(urls)?;
        let [a, b] = &both;
        expect_same(name, a.head_difference(b, false))?;
        if a.status != 200 {
            return Err(DiffError::Absent { status: a.status }.into());
        }
        self.report.manifests += 1;
        match (parse_manifest(name, &a.text())?, parse_manifest(name, &b.text())?) {
            (Manifest::Multivariant(a_lines, playlists), Manifest::Multivariant(b_lines, _)) => {
                if !is_top {
                    let reason = "expected a list of segments, found one of playlists".to_owned();
                    return Err(DiffError::Manifest { name: name.to_owned(), reason }.into());
                }
                expect_same(name, line_difference(&a_lines, &b_lines))?;
                expect_same(name, a.head_difference(b, true))?;
                for playlist in playlists {
                    let urls = urls.map(|url| resolve(url, &playlist));
                    self.compare_manifest(&playlist, [&urls[0], &urls[1]], false)?;
                }
                Ok(())
            }
            (Manifest::Lists(a_lists), Manifest::Lists(b_lists)) => {
                let mut is_whole = a_lists.len() == b_lists.len();
                for a_list in &a_lists {
                    let of_b = b_lists.iter().find(|b_list| b_list.name == a_list.name);
                    // A Period may have left one window already.
                    is_whole &= match of_b {
                        Some(b_list) => self.compare_lists([a_list, b_list], urls)?,
                        None => false,
                    };
                }
                if is_whole { expect_same(name, a.difference(b)) } else { Ok(()) }
            }
            _ => Err(Stop::Different(format!("{name}: a list of playlists and one of segments"))),
        }
    }

    /// Compares what two lists have in common. Returns whether they list the same segments and
    /// count the same breaks, so that they have to be equal byte for byte.
    fn compare_lists(&mut self, lists: [&Listing; 2], urls: [&str; 2]) -> Result<bool, Stop> {
        let [a, b] = lists;
        let name = &a.name;
        self.report.lists += 1;
        self.report.listed[0] += a.entries.len();
        self.report.listed[1] += b.entries.len();
        expect_same(name, line_difference(&a.head, &b.head))?;
        let is_same_window =
            a.entries.iter().map(|it| it.key).eq(b.entries.iter().map(|it| it.key));
        if is_same_window {
            self.report.whole_lists += 1;
            expect_same(name, line_difference(&a.of_window, &b.of_window))?;
        }
        let (from, to) =
            match (a.entries.first(), a.entries.last(), b.entries.first(), b.entries.last()) {
                (Some(a_first), Some(a_last), Some(b_first), Some(b_last)) => {
                    (a_first.key.max(b_first.key), a_last.key.min(b_last.key))
                }
                _ => return Ok(false),
            };
        let common = |list: &Listing| -> Vec<Entry> {
            let within = |entry: &&Entry| (from..=to).contains(&entry.key);
            list.entries.iter().filter(within).cloned().collect()
        };
        let (a_common, b_common) = (common(a), common(b));
        let starts = [a, b].map(|list| list.entries.first().map(|first| first.key));
        for (a_entry, b_entry) in a_common.iter().zip(&b_common) {
            let is_front = starts.contains(&Some(a_entry.key));
            compare_entries(name, a_entry, b_entry, is_front)?;
            self.compare_media(a_entry, b_entry, urls)?;
        }
        if a_common.len() != b_common.len() {
            let (a, b) = (a_common.len(), b_common.len());
            let how = format!("{a} and {b} segments are listed from {from} to {to}");
            return Err(Stop::Different(format!("{name}: {how}")));
        }
        let counts = a_common.first().zip(b_common.first());
        let counts = counts.map(|(a, b)| (a.break_count, b.break_count));
        if let Some((a, b)) = counts.filter(|(a, b)| a != b) {
            let note =
                "discontinuities were counted before the common window, which is not compared";
            self.report.notes.push(format!("{name}: {a} and {b} {note}"));
            return Ok(false);
        }
        Ok(is_same_window)
    }

    fn compare_media(&mut self, a: &Entry, b: &Entry, urls: [&str; 2]) -> Result<(), Stop> {
        for (a, b, is_init) in [(&a.init, &b.init, true), (&a.uri, &b.uri, false)] {
            let (Some(a), Some(b)) = (a, b) else { continue };
            let resolved = [resolve(urls[0], a), resolve(urls[1], b)];
            if !self.fetched.insert(resolved[0].clone()) {
                continue;
            }
            let [a_fetched, b_fetched] = self.both([&resolved[0], &resolved[1]])?;
            expect_same(a, a_fetched.difference(&b_fetched))?;
            if a_fetched.status != 200 {
                self.report.notes.push(format!("{a}: both answer {}", a_fetched.status));
                continue;
            }
            if is_init {
                self.report.inits += 1;
            } else {
                self.report.segments += 1;
            }
            self.report.bytes += a_fetched.body.len();
        }
        Ok(())
    }
}

/// Compares a segment's lines. Before the first one of a window, a discontinuity is not told.
fn compare_entries(name: &str, a: &Entry, b: &Entry, is_front: bool) -> Result<(), Stop> {
    let what = format!("{name}, segment {}", a.key);
    if a.key != b.key {
        let how = format!("the other lists {} in its place", b.key);
        return Err(Stop::Different(format!("{what}: {how}")));
    }
    expect_same(&what, line_difference(&a.lines, &b.lines))?;
    if a.breaks != b.breaks && !is_front {
        let one = if a.breaks { "the first" } else { "the second" };
        return Err(Stop::Different(format!("{what}: a discontinuity before it in {one} alone")));
    }
    if let (Some(a), Some(b)) = (&a.date, &b.date)
        && a != b
    {
        return Err(Stop::Different(format!("{what}: dates {a} and {b}")));
    }
    if a.init.is_some() && b.init.is_some() && a.init != b.init {
        let (a, b) = (a.init.as_deref().unwrap_or("-"), b.init.as_deref().unwrap_or("-"));
        return Err(Stop::Different(format!("{what}: init segments {a} and {b}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
