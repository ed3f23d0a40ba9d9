//! Windows over logs with gaps, holes, restarts and changes of configuration: every manifest of
//! every packager, read back, lists what the log holds, and what it lists can be fetched.

#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the program writes its names in one case"
)]

use super::reading::{Entry, List, read_media_playlist, read_mpd, read_smooth};
use super::*;
use crate::engine::manifest::shift::OVERLAP_MIN;
use crate::engine::request::Filter;
use crate::units::WallClock;

const SECOND: i64 = 90_000;
/// Seconds of media at most, and of every startover window here.
const REACH: u32 = 1_000;

/// What comes next on a channel.
#[derive(Clone, Debug)]
enum Step {
    Push,
    /// A track, by position, misses its segment.
    Gap(usize),
    /// The encoder comes back after so many segments, maybe with another picture size.
    Restart {
        hole: i64,
        resized: bool,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => Just(Step::Push),
        2 => (0..4_usize).prop_map(Step::Gap),
        1 => (0..4_i64, any::<bool>()).prop_map(|(hole, resized)| Step::Restart { hole, resized }),
    ]
}

/// A request's times in half seconds from the first segment's start.
type Bounds = (Option<i64>, Option<i64>);

fn any_bounds() -> impl Strategy<Value = Bounds> {
    prop_oneof![
        1 => Just((None, None)),
        2 => (0..160_i64).prop_map(|start| (Some(start), None)),
        4 => (0..160_i64, 1..160_i64).prop_map(|(start, span)| (Some(start), Some(start + span))),
    ]
}

impl Channel {
    pub(super) fn restart(&mut self, seconds: u32, hole: i64, resized: bool) {
        self.later = self.later + MediaTime(hole * TWO_SECONDS);
        if resized {
            self.configuration += 100;
            let tracks = self.presentation.tracks.iter();
            let of_track = tracks.map(|track| {
                let id = u32::from(track.info.id.0) + self.configuration;
                let config = match &track.info.config {
                    CodecConfig::Avc(video) => avc(video.width + self.configuration, 360),
                    other => other.clone(),
                };
                (id, Arc::new(Init { config, track: track.info.id }))
            });
            let inits: Vec<_> = of_track.collect();
            self.presentation.inits.extend(inits);
        }
        self.begin_session(seconds);
        self.push(None);
    }

    fn run(steps: &[Step], seconds: u32) -> Self {
        let mut channel = Self::ladder().push_many(8);
        for step in steps {
            match *step {
                Step::Push => channel.push(None),
                Step::Gap(track) => channel.push(Some(track)),
                Step::Restart { hole, resized } => channel.restart(seconds, hole, resized),
            }
        }
        channel
    }

    fn rendered(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: &ManifestRequest,
    ) -> Result<Rendered, Absent> {
        let found = resolve(endpoint, &self.presentation, path)?;
        let Resource::Manifest(manifest) = found else { panic!("{path}: {found:?}") };
        render_requested(endpoint, &self.presentation, &manifest, request)
    }

    pub(super) fn requested(
        &self,
        endpoint: &Endpoint,
        path: &str,
        request: &ManifestRequest,
    ) -> Result<String, Absent> {
        let rendered = self.rendered(endpoint, path, request)?;
        Ok(String::from_utf8(rendered.body).expect("manifests are UTF-8"))
    }
}

/// A number of a track as the log has it, told without what the packagers are told by.
#[derive(Clone, Debug)]
struct Whole {
    start: i64,
    end: i64,
    gap: bool,
    breaks: bool,
    init: Option<u32>,
}

/// The whole output segments of the track at position `at`.
fn whole(channel: &Channel, at: usize, seconds: u32) -> Vec<Whole> {
    let factor = u64::from(seconds / 2);
    let presentation = &channel.presentation;
    let mut groups: BTreeMap<(u32, u64), Vec<&Listed>> = BTreeMap::new();
    for listed in presentation.tracks[at].segments.iter() {
        let grid = presentation.grid(listed.grid).expect("it is known");
        let place = (listed.number - grid.first_number) / factor;
        groups.entry((grid.id, place)).or_default().push(listed);
    }
    let whole = groups.into_iter().filter_map(|((grid, place), group)| {
        let grid = presentation.grid(grid).expect("it is known");
        let (first, last) = (group[0], group[group.len() - 1]);
        let is_whole = group.len() as u64 == factor || grid.last_number == Some(last.number);
        let begins = first.number == grid.first_number + place * factor;
        (is_whole && begins).then(|| Whole {
            start: first.start.ticks(),
            end: last.end.ticks(),
            gap: group.iter().all(|part| part.media.is_none()),
            breaks: first.discontinuity,
            init: group.iter().find_map(|part| part.media.as_ref()).map(|media| media.init),
        })
    });
    whole.collect()
}

/// What a window or a span holds of it, while `held_back` segments are not to be listed yet; and
/// whether it is complete.
fn expected(
    channel: &Channel,
    (at, seconds, window): (usize, u32, i64),
    (start, end): (Option<i64>, Option<i64>),
    held_back: usize,
) -> (Vec<Whole>, bool) {
    let mut all = whole(channel, at, seconds);
    all.truncate(all.len().saturating_sub(held_back));
    let Some(last) = all.last().map(|last| last.end) else { return (all, false) };
    let now = channel.presentation.edge().expect("media").ticks();
    let least = OVERLAP_MIN.ticks();
    let missing = 4 * i64::from(seconds) * SECOND;
    let Some(start) = start else {
        all.retain(|it| i64::midpoint(it.start, it.end) > last - window || it.end == last);
        return (all, false);
    };
    all.retain(|it| it.end > start + least && end.is_none_or(|end| it.start + least < end));
    (all, end.is_some_and(|end| end + missing <= now || last + least >= end))
}

/// What is listed is what is expected, gaps included where `gaps` are told; each path leads to
/// that segment.
fn assert_lists(
    (endpoint, channel): (&Endpoint, &Channel),
    list: &List,
    expected: &[Whole],
    gaps: bool,
) {
    // Text that is written as samples says nothing where none came.
    let is_listed = |it: &&Whole| gaps || !it.gap || position(&list.name) == 4;
    let expected: Vec<&Whole> = expected.iter().filter(is_listed).collect();
    let times = |entry: &Entry| (entry.start, entry.end);
    let found: Vec<_> = list.entries.iter().map(times).collect();
    let wanted: Vec<_> = expected.iter().map(|it| (it.start, it.end)).collect();
    assert_eq!(found, wanted, "{list:?}");
    for (entry, expected) in list.entries.iter().zip(expected) {
        let found = resolve(endpoint, &channel.presentation, &entry.path);
        if entry.gap {
            assert!(expected.gap);
            assert_eq!(found, Err(Absent::NotYet), "{}", entry.path);
            continue;
        }
        let Ok(Resource::Segment(id)) = found else { panic!("{}: {found:?}", entry.path) };
        match plan_segment(endpoint, &channel.presentation, &id) {
            Ok(plan) => {
                let times = (plan.start.ticks(), plan.end.ticks());
                assert_eq!(times, (entry.start, entry.end), "{}", entry.path);
            }
            // A quality level may lack what others of its stream have.
            Err(why) => assert!(why == Absent::NotYet && entry.path.contains(".ism/"), "{why}"),
        }
    }
}

fn packagers(seconds: u32, window: u32) -> Vec<(Endpoint, Vec<&'static str>)> {
    let dated = |mut endpoint: Endpoint| {
        if let Package::Cmaf(package) = &mut endpoint.package {
            package.hls_manifests[0].list.program_date_time_interval_seconds = 1;
        }
        Endpoint { startover_window_seconds: REACH, ..endpoint }
    };
    let playlists = vec!["index_v1.m3u8", "index_v2.m3u8", "index_t1.m3u8"];
    let cmaf_playlists = vec!["web/main_v1.m3u8", "web/main_a1.m3u8"];
    let (number, time) =
        (SegmentTemplateFormat::NumberWithTimeline, SegmentTemplateFormat::TimeWithTimeline);
    let all = vec![
        (hls(seconds, window), playlists),
        (cmaf(seconds, window), cmaf_playlists),
        (dash(seconds, window, number), vec!["index.mpd"]),
        (dash(seconds, window, time), vec!["index.mpd"]),
        (mss(seconds, window), vec!["index.ism/Manifest"]),
    ];
    all.into_iter().map(|(endpoint, paths)| (dated(endpoint), paths)).collect()
}

/// Position of a track by its name in URLs, or by its stream's.
fn position(name: &str) -> usize {
    match name {
        "v1" | "video" => 0,
        "v2" => 1,
        "a1" | "audio_de" => 2,
        "a2" | "audio_en" => 3,
        "t1" | "text_en" => 4,
        other => panic!("{other}"),
    }
}

/// A stream of Smooth Streaming lists what any of its tracks has, from its newest configurations
/// on.
fn expected_of_stream(
    channel: &Channel,
    (name, seconds, window): (&str, u32, i64),
    bounds: Bounds,
) -> (Vec<Whole>, bool) {
    let positions = if name == "video" { 0..2 } else { position(name)..position(name) + 1 };
    let mut lists = positions.map(|at| expected(channel, (at, seconds, window), bounds, 2));
    let (mut first, is_complete) = lists.next().expect("a track");
    let mut since = 0;
    let mut note_changes = |list: &[Whole]| {
        let mut known = None;
        for (at, init) in list.iter().enumerate().filter_map(|(at, it)| Some((at, it.init?))) {
            // Sound does not change with the picture.
            let changed = name == "video" && known.is_some_and(|known| known != init);
            since = if changed { since.max(at) } else { since };
            known = Some(init);
        }
    };
    note_changes(&first);
    if let Some((second, _)) = lists.next() {
        note_changes(&second);
        for (one, other) in first.iter_mut().zip(second) {
            one.gap &= other.gap;
        }
    }
    (first.split_off(since), is_complete)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn manifests_list_what_the_log_holds(
        steps in prop::collection::vec(any_step(), 0..40),
        join in 1..4_u32,
        bounds in any_bounds(),
    ) {
        let seconds = 2 * join;
        let channel = Channel::run(&steps, seconds);
        let wall = |half_seconds: i64| {
            let at = WallClock((NOON + CLOCK_OFFSET) / 9 * 100 + half_seconds * 500_000);
            Bound { at, in_path: false }
        };
        let request = ManifestRequest {
            start: bounds.0.map(wall),
            end: bounds.1.map(wall),
            ..ManifestRequest::LIVE
        };
        let media = |half_seconds: i64| NOON + half_seconds * SECOND / 2;
        let bounds = (bounds.0.map(media), bounds.1.map(media));
        let now = channel.presentation.edge().expect("media").ticks();
        let window = 30;
        for (endpoint, paths) in packagers(seconds, window) {
            let of = (seconds, i64::from(window) * SECOND);
            for path in paths {
                let rendered = channel.rendered(&endpoint, path, &request);
                let newest = rendered.as_ref().ok().and_then(|rendered| rendered.newest);
                let text = rendered.map(|it| String::from_utf8(it.body).expect("text"));
                if bounds.0.is_some_and(|start| start >= now) {
                    prop_assert_eq!(text, Err(Absent::NotYet), "{}", path);
                    continue;
                }
                let lists = match &text {
                    Err(why) => {
                        prop_assert_eq!(why, &Absent::NotYet);
                        Vec::new()
                    }
                    Ok(text) if path.ends_with(".mpd") => read_mpd(text),
                    Ok(text) if path.ends_with("Manifest") => read_smooth(text),
                    Ok(text) => {
                        let name = path.trim_end_matches(".m3u8").rsplit('_').next().unwrap();
                        vec![read_media_playlist(name, text)]
                    }
                };
                let gaps = path.ends_with(".m3u8");
                // The lowest picture's, or that of the playlist.
                let told = lists.iter().find(|list| list.name == "v2").or(lists.first());
                if let Some(last) = told.and_then(|list| list.entries.last()) {
                    let newest = newest.expect("something is listed");
                    prop_assert_eq!(newest.end.ticks_90k(), last.end + CLOCK_OFFSET);
                    let leaf = last.path.rsplit(['_', '=']).next().unwrap();
                    let leaf = leaf.split(['.', ')']).next().unwrap();
                    // While a hole is listed, numbers are addressed by time.
                    let by_time = leaf.starts_with('t');
                    let is_number = matches!(&endpoint.package, Package::Dash(package)
                        if package.settings.segment_template_format
                            == SegmentTemplateFormat::NumberWithTimeline);
                    if !(by_time && is_number) {
                        let sequence = newest.sequence.to_string();
                        prop_assert_eq!(sequence.as_str(), leaf.trim_start_matches('t'));
                    }
                }
                for list in &lists {
                    let (wanted, is_complete) = if path.ends_with("Manifest") {
                        expected_of_stream(&channel, (&list.name, of.0, of.1), bounds)
                    } else {
                        expected(&channel, (position(&list.name), of.0, of.1), bounds, 0)
                    };
                    assert_lists((&endpoint, &channel), list, &wanted, gaps);
                    prop_assert_eq!(list.is_complete, is_complete, "{} {}", path, list.name);
                    if gaps {
                        let mut breaks = wanted.iter().map(|it| it.breaks);
                        // The first is marked by nothing but being first.
                        breaks.next();
                        let told = list.entries.iter().map(|it| it.breaks).skip(1);
                        prop_assert!(breaks.eq(told), "{}", text.unwrap());
                        break;
                    }
                }
                if lists.is_empty() {
                    let none = |at| expected(&channel, (at, of.0, of.1), bounds, 0).0;
                    // A Smooth Streaming client needs three fragments, and two more announced.
                    let held = usize::from(path.ends_with("Manifest")) * 4;
                    let media = |at| none(at).iter().filter(|it| !it.gap).count();
                    let empty = (0..5).any(|at| media(at) <= held);
                    prop_assert!(empty, "{} {:?}", path, text);
                }
            }
        }
    }

    #[test]
    fn a_filtered_manifest_is_a_part_of_the_whole_one(
        steps in prop::collection::vec(any_step(), 0..20),
        chosen in prop::collection::btree_set(0..TERMS.len(), 1..4),
    ) {
        let channel = Channel::run(&steps, 2);
        let terms: Vec<&str> = chosen.iter().map(|&at| TERMS[at]).collect();
        let filter = Filter::parse(&terms.join(";")).expect("they are of different keys");
        let allowed = |at: usize| filter.allows(&channel.presentation.tracks[at].info);
        let request = ManifestRequest { filter: filter.clone(), ..ManifestRequest::LIVE };
        for (endpoint, paths) in packagers(2, 60) {
            let top = match &endpoint.package {
                Package::Hls(_) => "index.m3u8",
                Package::Cmaf(_) => "web/main.m3u8",
                _ => paths[0],
            };
            let all = channel.requested(&endpoint, top, &ManifestRequest::LIVE).expect("live");
            let some = match channel.requested(&endpoint, top, &request) {
                Err(why) => {
                    prop_assert_eq!(why, RequestError::NothingLeft.into());
                    let is_muxed = matches!(endpoint.package, Package::Hls(_));
                    let pictures = (0..2).any(|at| allowed(at) && (!is_muxed || allowed(2)));
                    let texts = top.ends_with(".m3u8") && allowed(4);
                    prop_assert!(!pictures && !allowed(2) && !allowed(3) && !texts);
                    continue;
                }
                Ok(text) => text,
            };
            if top.ends_with(".m3u8") {
                for (name, at) in [("v1", 0), ("v2", 1), ("a1", 2), ("a2", 3), ("t1", 4)] {
                    let uri = format!("_{name}.m3u8");
                    let is_muxed = at < 2 && matches!(endpoint.package, Package::Hls(_));
                    let is_listed = allowed(at) && (!is_muxed || allowed(2));
                    // Sound that is muxed has no playlist to itself.
                    prop_assert!(!some.contains(&uri) || is_listed, "{} in {}", uri, some);
                    prop_assert!(!some.contains(&uri) || all.contains(&uri) || at == 2);
                    prop_assert!(!is_listed || at == 2 || some.contains(&uri), "{}", some);
                }
                continue;
            }
            let read = if top.ends_with(".mpd") { read_mpd } else { read_smooth };
            let whole = read(&all);
            for list in read(&some) {
                let same = whole.iter().find(|it| it.name == list.name).expect("it is there");
                let times = |list: &List| {
                    list.entries.iter().map(|it| (it.start, it.end)).collect::<Vec<_>>()
                };
                if list.name != "video" {
                    prop_assert!(allowed(position(&list.name)));
                    prop_assert_eq!(&list, same);
                }
                let (found, among) = (times(&list), times(same));
                prop_assert!(found.iter().all(|it| among.contains(it)), "{}", some);
            }
        }
    }
}

/// Of different keys each.
const TERMS: [&str; 8] = [
    "video_height:1-500",
    "video_bitrate:1000000-3000000",
    "video_codec:h264",
    "video_framerate:29-30",
    "audio_language:de",
    "audio_bitrate:0-100000",
    "subtitle_language:fr",
    "audio_channels:2",
];

#[test]
fn a_span_over_a_restart_has_both_sides_of_it() {
    let mut channel = Channel::ladder().push_many(10);
    channel.restart(2, 5, true);
    let channel = channel.push_many(30);
    let at = |seconds: i64| {
        let at = WallClock((NOON + CLOCK_OFFSET) / 9 * 100 + seconds * 1_000_000);
        Some(Bound { at, in_path: false })
    };
    let request = ManifestRequest { start: at(14), end: at(36), ..ManifestRequest::LIVE };
    let all = packagers(2, 60);
    let text = |at: usize, path: &str| channel.requested(&all[at].0, path, &request).expect(path);
    let playlist = text(1, "web/main_v1.m3u8");
    assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{playlist}");
    assert_eq!(playlist.matches("#EXT-X-MAP:").count(), 2, "{playlist}");
    assert_eq!(tag(&playlist, "#EXT-X-DISCONTINUITY-SEQUENCE:"), 0);
    assert!(playlist.ends_with("#EXT-X-ENDLIST\n"));
    let list = read_media_playlist("v1", &playlist);
    assert_eq!(list.entries.len(), 3 + 3, "the hole of ten seconds is nobody's segment");

    let mpd = text(2, "index.mpd");
    let document = roxmltree::Document::parse(&mpd).expect("well-formed");
    let periods = document.descendants().filter(|node| node.has_tag_name("Period"));
    let widths = periods.map(|period| {
        let first = period.descendants().find_map(|node| node.attribute("width"));
        first.expect("a picture").to_owned()
    });
    assert_eq!(widths.collect::<Vec<_>>(), ["1280", "1380"]);
    assert!(mpd.contains("mediaPresentationDuration=\"PT1795435236.1S\""), "{mpd}");

    // One configuration is all that a quality level may have: the newest that the span has.
    let smooth = text(4, "index.ism/Manifest");
    assert!(smooth.contains("MaxWidth=\"1380\"") && !smooth.contains("IsLive"), "{smooth}");
    let before = ManifestRequest { end: at(20), ..request.clone() };
    let smooth = channel.requested(&all[4].0, "index.ism/Manifest", &before).expect("the first");
    assert!(smooth.contains("MaxWidth=\"1280\"") && smooth.contains("Chunks=\"3\""), "{smooth}");

    // What begins behind the break counts it.
    let after = ManifestRequest { start: at(34), end: None, ..request };
    let playlist = channel.requested(&all[1].0, "web/main_v1.m3u8", &after).expect("the second");
    assert_eq!(tag(&playlist, "#EXT-X-DISCONTINUITY-SEQUENCE:"), 1, "{playlist}");
}

#[test]
fn whatever_a_manifest_lists_is_kept_for_it() {
    let channel = Channel::ladder().push_many(400);
    // The window at the far end of the startover window, by a delay or a start.
    for (startover, delay) in [(0, 60), (300, 300), (300, 60)] {
        let all = packagers(2, 60).into_iter();
        for (endpoint, path) in all.map(|(endpoint, paths)| (endpoint, paths[0])) {
            let endpoint = Endpoint { startover_window_seconds: startover, ..endpoint };
            let reach = endpoint.reach_seconds();
            let request = |time_delay_seconds| ManifestRequest {
                time_delay_seconds,
                ..ManifestRequest::LIVE
            };
            let text = channel.requested(&endpoint, path, &request(Some(delay))).expect(path);
            let lists = match path {
                "index.mpd" => read_mpd(&text),
                "index.ism/Manifest" => read_smooth(&text),
                _ => vec![read_media_playlist("v1", &text)],
            };
            for entry in lists.iter().flat_map(|list| &list.entries) {
                let found = resolve(&endpoint, &channel.presentation, &entry.path);
                let Ok(Resource::Segment(id)) = found else { panic!("{}: {found:?}", entry.path) };
                assert!(plan_segment(&endpoint, &channel.presentation, &id).is_ok());
            }
            let beyond = channel.requested(&endpoint, path, &request(Some(reach + 1)));
            assert_eq!(beyond, Err(RequestError::Delay.into()), "{path}");
            // What the endpoint itself is held back by, the ring keeps beside it.
            let delayed = Endpoint { time_delay_seconds: 200, ..endpoint.clone() };
            let text = channel.requested(&delayed, path, &ManifestRequest::LIVE).expect(path);
            assert!(!text.is_empty());
            let twice = channel.requested(&delayed, path, &request(Some(10)));
            assert_eq!(twice, Err(Absent::Never), "{path}: what is configured is not overridden");
        }
    }
}
