//! What a manifest lists, taken apart into what two origins must agree on whatever their windows
//! are, what depends on the window, and the segments.

use super::DiffError;
use crate::limits::COMPARED_ENTRY_COUNT_MAX;
use roxmltree::{Document, Node};

/// One track's list: a media playlist, or a Representation of a Period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// Playlist's reference, or ids of Period and Representation.
    pub(super) name: String,
    /// What has to be equal at any time.
    pub(super) head: Vec<String>,
    /// What has to be equal where the same segments are listed.
    pub(super) of_window: Vec<String>,
    /// The segments, oldest first.
    pub(super) entries: Vec<Entry>,
}

/// One segment of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Media sequence number, or time: what it is known by on its track.
    pub(super) key: i128,
    /// What has to be equal.
    pub(super) lines: Vec<String>,
    /// Where it is; `None` for a gap.
    pub(super) uri: Option<String>,
    /// Where its init segment is.
    pub(super) init: Option<String>,
    /// Its date, where the list says one.
    pub(super) date: Option<String>,
    /// A discontinuity lies before it.
    pub(super) breaks: bool,
    /// Its discontinuity sequence number (RFC 8216 §6.2.1).
    pub(super) break_count: i128,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Manifest {
    /// Its lines, and references to media playlists.
    Multivariant(Vec<String>, Vec<String>),
    /// Lists of segments.
    Lists(Vec<Listing>),
}

/// Reads an HLS playlist or an MPD.
pub(super) fn parse_manifest(name: &str, text: &str) -> Result<Manifest, DiffError> {
    if text.starts_with("#EXTM3U") {
        let lists = text.lines().any(|line| line.starts_with("#EXT-X-TARGETDURATION:"));
        return Ok(if lists {
            Manifest::Lists(vec![parse_media_playlist(name, text)])
        } else {
            parse_multivariant(text)
        });
    }
    let failed = |error: roxmltree::Error| DiffError::Manifest {
        name: name.to_owned(),
        reason: error.to_string(),
    };
    parse_mpd(&Document::parse(text).map_err(failed)?).map(Manifest::Lists)
}

fn parse_multivariant(text: &str) -> Manifest {
    let mut playlists: Vec<String> = Vec::new();
    for line in text.lines() {
        let uri = if line.starts_with('#') { quoted(line, "URI") } else { Some(line) };
        if let Some(uri) = uri
            && !uri.is_empty()
            && !playlists.iter().any(|known| known == uri)
        {
            playlists.push(uri.to_owned());
        }
    }
    Manifest::Multivariant(text.lines().map(str::to_owned).collect(), playlists)
}

fn quoted<'a>(line: &'a str, attribute: &str) -> Option<&'a str> {
    line.split_once(&format!("{attribute}=\""))?.1.split('"').next()
}

/// A media playlist (RFC 8216 §4.3.3): each segment with the tags before it and the init that is
/// in force.
fn parse_media_playlist(name: &str, text: &str) -> Listing {
    let mut list = Listing { name: name.to_owned(), ..Listing::default() };
    let (mut number, mut break_count) = (0_i128, 0_i128);
    let (mut entry, mut init, mut is_gap) = (Entry::default(), None, false);
    for line in text.lines() {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-MEDIA-SEQUENCE" => number = value.parse().unwrap_or(0),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => break_count = value.parse().unwrap_or(0),
            // Both tell of the longest segment or a gap in the window.
            "#EXT-X-VERSION" | "#EXT-X-TARGETDURATION" => list.of_window.push(line.to_owned()),
            "#EXT-X-MAP" => init = quoted(line, "URI").map(str::to_owned),
            "#EXT-X-DISCONTINUITY" => {
                (entry.breaks, break_count) = (true, break_count.saturating_add(1));
            }
            "#EXT-X-PROGRAM-DATE-TIME" => entry.date = Some(value.to_owned()),
            "#EXTINF" => entry.lines.push(line.to_owned()),
            "#EXT-X-GAP" => {
                is_gap = true;
                entry.lines.push(line.to_owned());
            }
            _ if line.starts_with('#') => list.head.push(line.to_owned()),
            _ if line.is_empty() => {}
            _ => {
                let mut done = std::mem::take(&mut entry);
                if !std::mem::take(&mut is_gap) {
                    done.lines.push(line.to_owned());
                    (done.uri, done.init) = (Some(line.to_owned()), init.clone());
                }
                list.entries.push(Entry { key: number, break_count, ..done });
                number = number.saturating_add(1);
            }
        }
    }
    list
}

/// The Representations of an MPD (ISO/IEC 23009-1 §5.3), a list for each in each Period.
fn parse_mpd(document: &Document<'_>) -> Result<Vec<Listing>, DiffError> {
    let mpd = document.root_element();
    // All of these follow the newest or the longest segment.
    let of_window = attributes(&mpd, |name| {
        !matches!(name, "profiles" | "type" | "availabilityStartTime" | "timeShiftBufferDepth")
    });
    let mut of_mpd = attributes(&mpd, |name| {
        matches!(name, "profiles" | "type" | "availabilityStartTime" | "timeShiftBufferDepth")
    });
    for child in mpd.children().filter(|child| child.is_element() && !named(child, "Period")) {
        of_mpd.extend(flattened(&child));
    }
    let mut lists = Vec::new();
    for period in mpd.children().filter(|child| named(child, "Period")) {
        for set in period.children().filter(|child| named(child, "AdaptationSet")) {
            for one in set.children().filter(|child| named(child, "Representation")) {
                let mut list = parse_representation(&period, &set, &one)?;
                list.head.splice(0..0, of_mpd.iter().cloned());
                list.of_window.extend(of_window.iter().cloned());
                lists.push(list);
            }
        }
    }
    Ok(lists)
}

fn parse_representation(
    period: &Node<'_, '_>,
    set: &Node<'_, '_>,
    one: &Node<'_, '_>,
) -> Result<Listing, DiffError> {
    let id = |node: &Node<'_, '_>| node.attribute("id").unwrap_or("-").to_owned();
    let name = format!("Period {}, Representation {}", id(period), id(one));
    let missing = |what: &str| DiffError::Manifest {
        name: name.clone(),
        reason: format!("expected a {what}, found none"),
    };
    let template = child(one, "SegmentTemplate").or_else(|| child(set, "SegmentTemplate"));
    let template = template.ok_or_else(|| missing("SegmentTemplate"))?;
    let timeline = child(&template, "SegmentTimeline");
    let timeline = timeline.ok_or_else(|| missing("SegmentTimeline"))?;

    let mut head = attributes(period, |_| true);
    head.extend(attributes(set, |name| !matches!(name, "id")));
    head.extend(attributes(one, |_| true));
    // The template of a list with a hole is another one, and leads to the same segments.
    head.extend(attributes(&template, |name| !matches!(name, "media" | "startNumber")));
    for parent in [set, one] {
        let is_list = |node: &Node<'_, '_>| {
            named(node, "Representation") || named(node, "SegmentTemplate") || !node.is_element()
        };
        head.extend(parent.children().filter(|node| !is_list(node)).flat_map(|it| flattened(&it)));
    }
    let of_window = attributes(&template, |name| matches!(name, "media" | "startNumber"));
    let entries = parse_timeline(&template, &timeline, &id(one));
    Ok(Listing { name, head, of_window, entries })
}

/// The segments of a SegmentTimeline (§5.3.9.6), addressed by template (§5.3.9.4.4).
fn parse_timeline(template: &Node<'_, '_>, timeline: &Node<'_, '_>, id: &str) -> Vec<Entry> {
    let number = |node: &Node<'_, '_>, name: &str| -> Option<i128> {
        node.attribute(name).and_then(|value| value.parse().ok())
    };
    let expanded = |name: &str, sequence: i128, time: i128| {
        let text = template.attribute(name)?;
        let text = text.replace("$RepresentationID$", id);
        let text = text.replace("$Number$", &sequence.to_string());
        Some(text.replace("$Time$", &time.to_string()))
    };
    let (mut sequence, mut time) = (number(template, "startNumber").unwrap_or(1), 0_i128);
    let mut entries = Vec::new();
    for run in timeline.children().filter(Node::is_element) {
        time = number(&run, "t").unwrap_or(time);
        let duration = number(&run, "d").unwrap_or(0);
        for _ in 0..=number(&run, "r").unwrap_or(0) {
            if entries.len() == COMPARED_ENTRY_COUNT_MAX {
                return entries;
            }
            entries.push(Entry {
                key: time,
                lines: vec![format!("t={time} d={duration}")],
                uri: expanded("media", sequence, time),
                init: expanded("initialization", sequence, time),
                ..Entry::default()
            });
            sequence = sequence.saturating_add(1);
            time = time.saturating_add(duration);
        }
    }
    entries
}

fn child<'a, 'i>(node: &Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| named(child, name))
}

fn named(node: &Node<'_, '_>, name: &str) -> bool {
    node.tag_name().name() == name
}

/// The attributes of `node` whose names are `wanted`, a line each.
fn attributes(node: &Node<'_, '_>, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let element = node.tag_name().name();
    let all = node.attributes().filter(|attribute| wanted(attribute.name()));
    all.map(|it| format!("{element}@{}={:?}", it.name(), it.value())).collect()
}

/// An element and all in it.
fn flattened(node: &Node<'_, '_>) -> Vec<String> {
    let elements = node.descendants().filter(Node::is_element);
    let lines = elements.flat_map(|it| {
        let text = it.text().unwrap_or("").trim();
        let line = format!("{} {text:?}", it.tag_name().name());
        std::iter::once(line).chain(attributes(&it, |_| true))
    });
    lines.collect()
}
