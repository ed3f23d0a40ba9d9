//! Viewers: they fetch manifests of every packager, hold what they have seen, and find that it
//! stays: every listed thing is there, under its URL, with the same bytes.

use headwater::engine::endpoint::{
    CmafPackage, DashPackage, DashSettings, Endpoint, HeaderRule, HlsListSettings, HlsManifest,
    HlsPackage, Package, SegmentTemplateFormat, StaleRule, StreamSelection, SubtitleFormat,
};
use headwater::engine::manifest::{Absent, Resource, etag, plan_segment, render, resolve};
use headwater::engine::presentation::Presentation;
use headwater::units::MediaTime;
use std::collections::BTreeMap;

/// One viewer of each endpoint.
pub struct Viewers {
    viewers: Vec<Viewer>,
    turn: usize,
}

/// Somebody who polls one endpoint.
struct Viewer {
    endpoint: Endpoint,
    /// Entity tag of everything fetched, by path.
    fetched: BTreeMap<String, String>,
    /// By playlist and media sequence number: what stood there.
    lines: BTreeMap<(String, u64), Line>,
    /// Media sequence number of the first and the last segment of each playlist at the last look.
    ranges: BTreeMap<String, (u64, u64)>,
    /// Segments of the last look, and where the tracks ended then.
    held: Vec<String>,
    edges: (MediaTime, MediaTime),
}

/// A segment of a media playlist.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    uri: String,
    duration: f32,
    is_gap: bool,
    /// Its discontinuity sequence number (RFC 8216 §3).
    discontinuity: u64,
}

pub fn endpoints(window_seconds: u32) -> Vec<Endpoint> {
    let dash = |format, seconds| {
        Package::Dash(DashPackage {
            segment_duration_seconds: seconds,
            subtitle_format: SubtitleFormat::Wvtt,
            settings: DashSettings {
                manifest_window_seconds: window_seconds,
                segment_template_format: format,
                ..DashSettings::default()
            },
        })
    };
    let hls = |seconds| {
        Package::Hls(HlsPackage {
            segment_duration_seconds: seconds,
            use_audio_rendition_group: false,
            list: HlsListSettings {
                playlist_window_seconds: window_seconds,
                program_date_time_interval_seconds: 1,
                ..HlsListSettings::default()
            },
        })
    };
    let cmaf = Package::Cmaf(CmafPackage {
        segment_duration_seconds: 2,
        subtitle_format: SubtitleFormat::Wvtt,
        segment_prefix: "p".into(),
        hls_manifests: vec![HlsManifest {
            id: "web".into(),
            manifest_name: "index".into(),
            list: HlsListSettings {
                playlist_window_seconds: window_seconds,
                program_date_time_interval_seconds: 0,
                ..HlsListSettings::default()
            },
        }],
        dash_manifests: Vec::new(),
    });
    let packages = [
        cmaf,
        hls(6),
        dash(SegmentTemplateFormat::NumberWithTimeline, 2),
        hls(2),
        dash(SegmentTemplateFormat::TimeWithTimeline, 6),
    ];
    let endpoint = |package| Endpoint {
        id: "e".into(),
        channel: "c".into(),
        startover_window_seconds: 0,
        time_delay_seconds: 0,
        manifest_name: "index".into(),
        package,
        stream_selection: StreamSelection::default(),
        stale: StaleRule::default(),
        headers: HeaderRule::default(),
    };
    packages.into_iter().map(endpoint).collect()
}

/// Every manifest of an endpoint by path, in the order of the paths.
pub fn manifests(endpoint: &Endpoint, presentation: &Presentation) -> Vec<(String, String)> {
    let mut paths = match endpoint.package {
        Package::Dash(_) => vec!["index.mpd".to_owned()],
        Package::Mss(_) => vec!["index.ism/Manifest".to_owned()],
        Package::Hls(_) => vec!["index.m3u8".to_owned()],
        Package::Cmaf(_) => vec!["web/index.m3u8".to_owned()],
    };
    let top = paths[0].trim_end_matches(".m3u8").to_owned();
    if !matches!(endpoint.package, Package::Dash(_) | Package::Mss(_)) {
        let names = presentation.tracks.iter().map(|track| &track.info.name);
        paths.extend(names.map(|name| format!("{top}_{name}.m3u8")));
    }
    let text = |path: &String| {
        let Ok(Resource::Manifest(id)) = resolve(endpoint, presentation, path) else {
            panic!("{path} is no manifest")
        };
        match render(endpoint, presentation, &id) {
            Ok(rendered) => Some((path.clone(), String::from_utf8(rendered.body).expect("text"))),
            Err(Absent::NotYet | Absent::Stopped) => None,
            Err(absent) => panic!("{path}: {absent}"),
        }
    };
    paths.iter().filter_map(text).collect()
}

impl Viewers {
    pub fn new(window_seconds: u32) -> Self {
        let viewer = |endpoint| Viewer {
            endpoint,
            fetched: BTreeMap::new(),
            lines: BTreeMap::new(),
            ranges: BTreeMap::new(),
            held: Vec::new(),
            edges: (MediaTime(0), MediaTime(0)),
        };
        Self { viewers: endpoints(window_seconds).into_iter().map(viewer).collect(), turn: 0 }
    }

    /// One of them looks, each in its turn.
    pub fn look(&mut self, presentation: &Presentation, keeps_all: bool) {
        let count = self.viewers.len();
        self.viewers[self.turn % count].look(presentation, keeps_all);
        self.turn += 1;
    }

    /// All of them look.
    pub fn look_all(&mut self, presentation: &Presentation, keeps_all: bool) {
        self.viewers.iter_mut().for_each(|viewer| viewer.look(presentation, keeps_all));
    }
}

impl Viewer {
    /// `keeps_all`: the ring has room for more than the windows.
    fn look(&mut self, presentation: &Presentation, keeps_all: bool) {
        let held = std::mem::take(&mut self.held);
        let edges = edges(presentation, self.endpoint.segment_duration_seconds());
        let kept = MediaTime(i64::from(self.endpoint.window_seconds_max()) * 90_000);
        let moved_little = edges.0 - self.edges.0 < kept && edges.1 - self.edges.1 < kept;
        if keeps_all && moved_little {
            for path in &held {
                self.fetch(presentation, path);
            }
        }
        self.edges = edges;
        for (path, text) in manifests(&self.endpoint, presentation) {
            if text.contains("<MPD") {
                self.on_mpd(presentation, &text);
            } else if text.contains("#EXT-X-STREAM-INF") {
                self.on_multivariant(presentation, &path, &text);
            } else {
                self.on_media_playlist(presentation, (&path, &text), keeps_all);
            }
        }
    }

    /// Fetches a segment or init and keeps it beside what it was before.
    fn fetch(&mut self, presentation: &Presentation, path: &str) {
        let tag = match resolve(&self.endpoint, presentation, path) {
            Ok(Resource::Segment(id)) => {
                let plan = plan_segment(&self.endpoint, presentation, &id);
                let plan = plan.unwrap_or_else(|error| panic!("{path}: {error}"));
                assert!(plan.end > plan.start, "{path} lasts nothing");
                plan.etag
            }
            Ok(Resource::Init { init, .. }) => {
                assert!(presentation.inits.contains_key(&init), "{path} has no configuration");
                etag(format!("{:?}", presentation.inits[&init].config).as_bytes())
            }
            other => panic!("{path} is {other:?}"),
        };
        let before = self.fetched.insert(path.to_owned(), tag.clone());
        assert!(before.is_none_or(|before| before == tag), "{path} has other bytes than before");
    }

    fn on_multivariant(&mut self, presentation: &Presentation, path: &str, text: &str) {
        let parsed = m3u8_rs::parse_master_playlist_res(text.as_bytes());
        let parsed = parsed.unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
        let renditions = parsed.alternatives.iter().filter_map(|it| it.uri.as_deref());
        for uri in parsed.variants.iter().map(|variant| variant.uri.as_str()).chain(renditions) {
            let path = joined(path, uri);
            let found = resolve(&self.endpoint, presentation, &path);
            assert!(matches!(found, Ok(Resource::Manifest(_))), "{path} is {found:?}");
        }
    }

    fn on_media_playlist(
        &mut self,
        presentation: &Presentation,
        (path, text): (&str, &str),
        keeps_all: bool,
    ) {
        let parsed = m3u8_rs::parse_media_playlist_res(text.as_bytes());
        let parsed = parsed.unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
        let mut discontinuity = parsed.discontinuity_sequence;
        let first = parsed.media_sequence;
        for (number, segment) in (first..).zip(&parsed.segments) {
            discontinuity += u64::from(segment.discontinuity);
            let is_gap = segment.unknown_tags.iter().any(|tag| tag.tag == "X-GAP");
            let target = u16::try_from(parsed.target_duration).expect("seconds");
            let duration = segment.duration;
            assert!(duration.round() <= f32::from(target), "{path}: {duration} s\n{text}");
            if let Some(map) = &segment.map {
                self.fetch(presentation, &joined(path, &map.uri));
            }
            let uri = joined(path, &segment.uri);
            if !is_gap {
                self.fetch(presentation, &uri);
                self.held.push(uri.clone());
            }
            let line = Line { uri, duration, is_gap, discontinuity };
            // A ring that is too small for the window loses its oldest segment piece by piece.
            let may_wane = !keeps_all && number == first;
            self.on_line(path, number, &line, may_wane);
        }
        let last = first + parsed.segments.len() as u64;
        let before = self.ranges.insert(path.to_owned(), (first, last));
        let (first_before, last_before) = before.unwrap_or_default();
        assert!(first >= first_before, "{path}: the window went back to {first}\n{text}");
        assert!(last >= last_before, "{path}: the edge went back to {last}\n{text}");
    }

    fn on_line(&mut self, path: &str, number: u64, line: &Line, may_wane: bool) {
        let before = self.lines.insert((path.to_owned(), number), line.clone());
        let Some(before) = before else { return };
        // Late media may take a gap's place. Nobody fetches a gap, whatever its name.
        let filled = before.is_gap && !line.is_gap && before.discontinuity == line.discontinuity;
        let named = |line: &Line| {
            if line.is_gap || may_wane { String::new() } else { line.uri.clone() }
        };
        let same = (before.duration, before.is_gap, before.discontinuity, named(&before))
            == (line.duration, line.is_gap, line.discontinuity, named(line));
        assert!(filled || same, "{path} {number}: {line:?} was {before:?} at the last look");
    }

    fn on_mpd(&mut self, presentation: &Presentation, text: &str) {
        let document = roxmltree::Document::parse(text);
        let document = document.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let named =
            |name: &'static str| document.descendants().filter(move |node| node.has_tag_name(name));
        let mut starts = named("Period").map(|period| period.attribute("start").map(str::to_owned));
        let first = starts.next();
        assert!(first.is_some(), "no Period\n{text}");
        for template in named("SegmentTemplate") {
            self.on_template(presentation, &template, text);
        }
    }

    fn on_template(
        &mut self,
        presentation: &Presentation,
        template: &roxmltree::Node<'_, '_>,
        text: &str,
    ) {
        let attribute = |node: &roxmltree::Node<'_, '_>, name: &str| {
            node.attribute(name).map(|value| value.parse::<i64>().expect("a number"))
        };
        let init = template.attribute("initialization").expect("CMAF has an init");
        self.fetch(presentation, init);
        let media = template.attribute("media").expect("a template");
        let mut number = attribute(template, "startNumber").expect("a start");
        let mut time = None;
        for entry in template.descendants().filter(|node| node.has_tag_name("S")) {
            let start = attribute(&entry, "t").or(time).expect("the first S has a time");
            assert!(time.is_none_or(|time| start + 3_600 >= time), "segments overlap\n{text}");
            let duration = attribute(&entry, "d").expect("a duration");
            assert!(duration > 0, "a segment of no duration\n{text}");
            let repeat = attribute(&entry, "r").unwrap_or(0);
            for at in 0..=repeat {
                let path = media.replace("$Number$", &number.to_string());
                let path = path.replace("$Time$", &(start + at * duration).to_string());
                self.fetch(presentation, &path);
                self.held.push(path);
                number += 1;
            }
            time = Some(start + (repeat + 1) * duration);
        }
    }
}

/// Where the track that is behind ends, and where the one that is ahead does, in whole segments of
/// `seconds`: a manifest lists no others.
fn edges(presentation: &Presentation, seconds: u32) -> (MediaTime, MediaTime) {
    let newest = |track| presentation.joined(track, seconds, MediaTime(0)).last();
    let ends = presentation.tracks.iter().filter_map(newest);
    let ends = ends.map(|last| last.end);
    (ends.clone().min().unwrap_or_default(), ends.max().unwrap_or_default())
}

/// `uri` as a playlist at `path` means it.
fn joined(path: &str, uri: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    match uri.strip_prefix("../") {
        Some(rest) => rest.to_owned(),
        None if folder.is_empty() => uri.to_owned(),
        None => format!("{folder}/{uri}"),
    }
}
