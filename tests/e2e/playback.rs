//! Follows manifests as a player does: what is listed, and the bytes of all of it.

use crate::origin::{Origin, eventually};
use roxmltree::{Document, Node};
use std::collections::BTreeMap;

/// The manifests of channel `demo`, by endpoint.
pub const HLS: &str = "/out/v1/demo-hls/index.m3u8";
pub const CMAF: &str = "/out/v1/demo-cmaf/hls/index.m3u8";
pub const DASH: &str = "/out/v1/demo-dash/index.mpd";

/// One rendition with what its manifest lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Path of its playlist, or id of its Representation.
    pub name: String,
    /// The playlist; empty in DASH.
    pub playlist: String,
    /// Paths of init segments, in order, without repetition.
    pub inits: Vec<String>,
    /// Paths of segments.
    pub segments: Vec<String>,
}

impl Rendition {
    /// Fails where a number is skipped or falls.
    pub fn assert_consecutive(&self) {
        let numbers: Vec<u64> = self.segments.iter().map(|path| number_of(path)).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }

    /// The init segment and all listed segments as one file.
    pub fn fetched(&self, origin: &Origin) -> Vec<u8> {
        let paths = self.inits.iter().chain(&self.segments);
        let bodies = paths.map(|path| {
            let response = origin.get(path);
            assert_eq!(response.status, 200, "{path}: {response:?}");
            response.body
        });
        bodies.flatten().collect()
    }
}

/// The number in a segment's path.
pub fn number_of(path: &str) -> u64 {
    let number = path.rsplit('_').next().and_then(|name| name.split('.').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number in {path}"))
}

/// `reference` as seen from `base` (RFC 3986 §5.2, of what manifests hold).
pub fn resolve(base: &str, reference: &str) -> String {
    let mut elements: Vec<&str> = base.split('/').collect();
    elements.pop();
    for element in reference.split('/') {
        match element {
            ".." => drop(elements.pop()),
            element => elements.push(element),
        }
    }
    elements.join("/")
}

fn quoted<'a>(line: &'a str, attribute: &str) -> Option<&'a str> {
    line.split_once(&format!("{attribute}=\""))?.1.split('"').next()
}

/// Paths of the media playlists that a multivariant playlist names, without repetition.
pub fn media_playlists(path: &str, multivariant: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for line in multivariant.lines() {
        let uri = match line.starts_with('#') {
            true if line.starts_with("#EXT-X-MEDIA:") => quoted(line, "URI"),
            true => None,
            false => Some(line),
        };
        if let Some(path) = uri.map(|uri| resolve(path, uri))
            && !paths.contains(&path)
        {
            paths.push(path);
        }
    }
    paths
}

/// A media playlist's rendition.
pub fn rendition(path: &str, playlist: &str) -> Rendition {
    let lines = playlist.lines();
    let segments = lines.clone().filter(|line| !line.starts_with('#'));
    let mut inits: Vec<String> = lines
        .filter(|line| line.starts_with("#EXT-X-MAP:"))
        .filter_map(|line| Some(resolve(path, quoted(line, "URI")?)))
        .collect();
    inits.dedup();
    Rendition {
        name: path.to_owned(),
        playlist: playlist.to_owned(),
        inits,
        segments: segments.map(|uri| resolve(path, uri)).collect(),
    }
}

/// What an HLS endpoint lists now; nothing where it has no playlist yet.
pub fn hls(origin: &Origin, path: &str) -> Vec<Rendition> {
    let multivariant = origin.get(path);
    if multivariant.status != 200 {
        return Vec::new();
    }
    let playlists = media_playlists(path, &multivariant.text());
    let fetched = playlists.iter().map(|path| {
        let response = origin.get(path);
        assert_eq!(response.status, 200, "{path}: {response:?}");
        rendition(path, &response.text())
    });
    fetched.collect()
}

/// What a DASH endpoint lists now.
pub fn dash(origin: &Origin, path: &str) -> Vec<Rendition> {
    let mpd = origin.get(path);
    if mpd.status != 200 {
        return Vec::new();
    }
    let text = mpd.text();
    let document = Document::parse(&text).unwrap();
    let named = |node: &Node<'_, '_>| node.has_tag_name("Representation");
    let nodes = document.descendants().filter(named);
    nodes.map(|node| representation(path, &node)).collect()
}

fn representation(path: &str, node: &Node<'_, '_>) -> Rendition {
    let id = node.attribute("id").unwrap();
    // Its own template, or the set's.
    let owners = node.ancestors().take(2);
    let template = owners
        .filter_map(|owner| owner.children().find(|child| child.has_tag_name("SegmentTemplate")));
    let template = template.into_iter().next().unwrap();
    let number = |node: &Node<'_, '_>, name: &str| -> Option<i64> {
        node.attribute(name).map(|value| value.parse().unwrap())
    };
    let expanded = |attribute: &str, sequence: i64, time: i64| {
        let text = template.attribute(attribute).unwrap();
        let text = text.replace("$RepresentationID$", id);
        let text = text.replace("$Number$", &sequence.to_string());
        resolve(path, &text.replace("$Time$", &time.to_string()))
    };
    let (mut sequence, mut time) = (number(&template, "startNumber").unwrap(), 0);
    let mut segments = Vec::new();
    let timeline = template.first_element_child().unwrap();
    for run in timeline.children().filter(Node::is_element) {
        time = number(&run, "t").unwrap_or(time);
        for _ in 0..=number(&run, "r").unwrap_or(0) {
            segments.push(expanded("media", sequence, time));
            sequence += 1;
            time += number(&run, "d").unwrap();
        }
    }
    Rendition {
        name: id.to_owned(),
        playlist: String::new(),
        inits: vec![expanded("initialization", 0, 0)],
        segments,
    }
}

/// What the endpoint lists now, whatever its packager.
pub fn listed(origin: &Origin, path: &str) -> Vec<Rendition> {
    if path.strip_suffix(".mpd").is_some() { dash(origin, path) } else { hls(origin, path) }
}

/// Waits until the endpoint has renditions that all list `count` segments at least.
pub fn listed_with(origin: &Origin, path: &str, count: usize) -> Vec<Rendition> {
    let mut last = Vec::new();
    let what = format!("{path} lists {count} segments");
    eventually(&what, || {
        last = listed(origin, path);
        let done = !last.is_empty() && last.iter().all(|one| one.segments.len() >= count);
        done.then(|| std::mem::take(&mut last))
    })
}

/// What every endpoint lists, and the bytes of everything that it names.
pub fn served(origin: &Origin, count: usize) -> (Vec<Rendition>, BTreeMap<String, Vec<u8>>) {
    let paths = [HLS, CMAF, DASH];
    let renditions: Vec<_> =
        paths.iter().flat_map(|path| listed_with(origin, path, count)).collect();
    let mut bytes = BTreeMap::new();
    for rendition in &renditions {
        for path in rendition.inits.iter().chain(&rendition.segments) {
            let response = origin.get(path);
            assert_eq!(response.status, 200, "{path}");
            bytes.insert(path.clone(), response.body);
        }
    }
    for path in paths {
        bytes.insert(path.to_owned(), origin.get(path).body);
    }
    (renditions, bytes)
}
