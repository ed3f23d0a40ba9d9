//! Manifests read back, by nothing that wrote them: what each says of a track's segments, in media
//! time. Only what the writers may write is understood, and everything else fails.

#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the program writes its names in one case"
)]

use super::*;
use roxmltree::{Document, Node};

/// A segment as a manifest tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// In 90 kHz.
    pub(super) start: i64,
    pub(super) end: i64,
    /// Below the endpoint.
    pub(super) path: String,
    pub(super) gap: bool,
    /// It begins the list, a Period, or stands behind a discontinuity.
    pub(super) breaks: bool,
}

/// What a manifest lists of a track, a Representation or a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) name: String,
    pub(super) entries: Vec<Entry>,
    /// Nothing will be added.
    pub(super) is_complete: bool,
}

/// 90 kHz ticks since 1970 of a date, in media time.
fn media_time(date: &str) -> i64 {
    let date: jiff::Timestamp = date.parse().expect("RFC 3339");
    date.as_millisecond() * 90 - CLOCK_OFFSET
}

/// Tenths of milliseconds would be lost; there are none in these tests.
fn ticks_of_seconds(seconds: &str) -> i64 {
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let micros: i64 = format!("{part:0<6}").parse().expect("digits");
    (whole.parse::<i64>().expect("digits") * 1_000_000 + micros) * 9 / 100
}

/// Reads a media playlist whose first segment and each behind a discontinuity have a date, and
/// holds it against RFC 8216.
pub(super) fn read_media_playlist(name: &str, text: &str) -> List {
    let mut lines = text.lines().peekable();
    assert_eq!(lines.next(), Some("#EXTM3U"));
    let target = tag(text, "#EXT-X-TARGETDURATION:");
    let (mut entries, mut is_complete) = (Vec::new(), false);
    let (mut at, mut duration, mut map) = (None, None, None);
    let (mut gap, mut breaks) = (false, true);
    for line in lines {
        assert!(!is_complete, "nothing follows the end: {text}");
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-DISCONTINUITY" => (at, breaks) = (None, true),
            "#EXT-X-PROGRAM-DATE-TIME" => {
                let date = media_time(value);
                assert!(at.is_none_or(|at| at == date), "dates run on: {line} in {text}");
                at = Some(date);
            }
            "#EXT-X-MAP" => map = Some(value),
            "#EXT-X-GAP" => gap = true,
            "#EXT-X-ENDLIST" => is_complete = true,
            "#EXTINF" => {
                let seconds = value.strip_suffix(',').expect("no title");
                duration = Some(ticks_of_seconds(seconds));
            }
            _ if !line.starts_with('#') => {
                let start = at.expect("a date");
                let end = start + duration.take().expect("EXTINF before each segment");
                assert!((end - start + 45_000) / 90_000 <= i64::try_from(target).unwrap());
                let is_cmaf = line.ends_with(".m4s");
                assert!(map.is_some() || !is_cmaf || gap, "an init for {line} in {text}");
                let path = line.trim_start_matches("../").to_owned();
                let (gap, breaks) = (std::mem::take(&mut gap), std::mem::take(&mut breaks));
                entries.push(Entry { start, end, path, gap, breaks });
                at = Some(end);
            }
            "#EXT-X-VERSION"
            | "#EXT-X-TARGETDURATION"
            | "#EXT-X-MEDIA-SEQUENCE"
            | "#EXT-X-DISCONTINUITY-SEQUENCE"
            | "#EXT-X-SERVER-CONTROL"
            | "#EXT-X-INDEPENDENT-SEGMENTS" => {
                assert!(entries.is_empty(), "{line} before the segments");
            }
            _ => panic!("{line}"),
        }
    }
    let first = tag(text, "#EXT-X-MEDIA-SEQUENCE:");
    for (entry, number) in entries.iter().zip(first..) {
        let found = entry.path.rsplit(['_', '.']).nth(1).expect("a number");
        assert_eq!(found, number.to_string(), "{text}");
    }
    assert!(!gap && duration.is_none(), "tags without a segment: {text}");
    List { name: name.to_owned(), entries, is_complete }
}

fn in_90_khz(time: i64, scale: i64) -> i64 {
    i64::try_from(i128::from(time) * 90_000 / i128::from(scale)).expect("near Unix time")
}

fn number(node: &Node<'_, '_>, name: &str) -> Option<i64> {
    node.attribute(name).map(|value| value.parse().expect("an integer"))
}

fn all<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.descendants().filter(move |node| node.has_tag_name(name))
}

/// Reads an MPD's Representations, over all Periods.
pub(super) fn read_mpd(text: &str) -> Vec<List> {
    let document = Document::parse(text).expect("well-formed");
    let mpd = document.root_element();
    let is_complete = mpd.attribute("type") == Some("static");
    assert_eq!(mpd.attribute("mediaPresentationDuration").is_some(), is_complete);
    assert_eq!(mpd.attribute("minimumUpdatePeriod").is_none(), is_complete);
    let mut lists: Vec<List> = Vec::new();
    let mut last = i64::MIN;
    for period in all(mpd, "Period") {
        let begins = period.attribute("start").and_then(|it| it.strip_prefix("PT"));
        let begins = begins.and_then(|it| it.strip_suffix('S')).expect("PT…S");
        let begins = ticks_of_seconds(begins) - CLOCK_OFFSET;
        assert!(begins > last, "Periods follow one another");
        last = begins;
        let mut ids = Vec::new();
        for representation in all(period, "Representation") {
            let name = representation.attribute("id").expect("an id");
            assert!(!ids.contains(&name), "{name} twice in a Period");
            ids.push(name);
            let entries = read_timeline(&representation, begins);
            match lists.iter_mut().find(|list| list.name == name) {
                Some(list) => list.entries.extend(entries),
                None => lists.push(List { name: name.to_owned(), entries, is_complete }),
            }
        }
        assert!(!ids.is_empty(), "a Period has something");
    }
    lists
}

fn read_timeline(representation: &Node<'_, '_>, period: i64) -> Vec<Entry> {
    let template = all(*representation, "SegmentTemplate").next().expect("a template");
    let scale = number(&template, "timescale").expect("a timescale");
    let offset = number(&template, "presentationTimeOffset").expect("an offset");
    let mut sequence = number(&template, "startNumber").expect("a number");
    let media = template.attribute("media").expect("a template");
    let (mut time, mut entries) = (0, Vec::new());
    for run in all(template, "S") {
        time = number(&run, "t").unwrap_or(time);
        for _ in 0..=number(&run, "r").unwrap_or(0) {
            let duration = number(&run, "d").expect("a duration");
            let at = |time: i64| period + in_90_khz(time - offset, scale);
            let path = media.trim_start_matches("../").replace("$Number$", &sequence.to_string());
            entries.push(Entry {
                start: at(time),
                end: at(time + duration),
                path: path.replace("$Time$", &time.to_string()),
                gap: false,
                breaks: entries.is_empty(),
            });
            time += duration;
            sequence += 1;
        }
    }
    assert!(!entries.is_empty(), "a Representation has something");
    entries
}

/// Reads a client manifest's streams; paths are of the first quality level.
pub(super) fn read_smooth(text: &str) -> Vec<List> {
    let document = Document::parse(text).expect("well-formed");
    let root = document.root_element();
    let is_complete = root.attribute("IsLive").is_none();
    assert_eq!(number(&root, "Duration").is_some_and(|it| it > 0), is_complete);
    let streams = all(root, "StreamIndex").map(|stream| {
        let attribute = |name| stream.attribute(name).expect("it is told");
        let scale = number(&stream, "TimeScale").expect("a timescale");
        let level = all(stream, "QualityLevel").next().expect("a level");
        let url = attribute("Url").replace("{bitrate}", level.attribute("Bitrate").unwrap());
        let (mut time, mut entries) = (0, Vec::new());
        for chunk in stream.children().filter(|node| node.has_tag_name("c")) {
            time = number(&chunk, "t").unwrap_or(time);
            for _ in 0..number(&chunk, "r").unwrap_or(1) {
                let next = time + number(&chunk, "d").expect("a duration");
                entries.push(Entry {
                    start: in_90_khz(time, scale),
                    end: in_90_khz(next, scale),
                    path: format!("index.ism/{}", url.replace("{start time}", &time.to_string())),
                    gap: false,
                    breaks: entries.is_empty(),
                });
                time = next;
            }
        }
        assert_eq!(number(&stream, "Chunks"), i64::try_from(entries.len()).ok());
        let levels = all(stream, "QualityLevel").count().to_string();
        assert_eq!(attribute("QualityLevels"), levels);
        List { name: attribute("Name").to_owned(), entries, is_complete }
    });
    streams.collect()
}
