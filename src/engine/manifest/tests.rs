//! Tests of manifests: whole texts, segment plans, and laws that hold while a window slides.

mod dash;
mod golden;
mod hls_lists;
mod mpd;
mod reading;
mod smooth;
mod texts;
mod unread;
mod windows;

use super::*;
use crate::engine::codec::{AacConfig, CodecConfig, TrackKind, VideoConfig};
use crate::engine::endpoint::{
    CmafPackage, DashPackage, DashSettings, HeaderRule, HlsListSettings, HlsManifest, HlsPackage,
    MssPackage, SegmentTemplateFormat, StaleRule, StreamOrder, StreamSelection, SubtitleFormat,
};
use crate::engine::presentation::{Flaws, Grid, Init, Listed, MediaRef, Track, TrackInfo};
use crate::units::{Extent, InputNumber, MediaTime};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// 2026-11-23T12:00:00Z in 90 kHz ticks.
const NOON: i64 = 1_795_435_200 * 90_000;
/// 100 ms; media time is that much behind the wall clock in these tests.
const CLOCK_OFFSET: i64 = 9_000;
const TWO_SECONDS: i64 = 180_000;

fn avc(width: u32, height: u32) -> CodecConfig {
    CodecConfig::Avc(VideoConfig {
        vps: vec![],
        sps: vec![vec![0x67]],
        pps: vec![vec![0x68]],
        rfc6381: "avc1.64001f".to_owned(),
        width,
        height,
        aspect: (1, 1),
        frame_rate: (30_000, 1001),
        interlaced: false,
        chroma_format: 1,
        bit_depth_luma: 8,
        bit_depth_chroma: 8,
        colour: None,
    })
}

fn aac() -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x11, 0x90],
        object_type: 2,
        sample_rate: 48_000,
        channels: 2,
        frame_samples: 1024,
    })
}

fn info(id: u16, name: &str, config: CodecConfig, bandwidth: u64) -> TrackInfo {
    TrackInfo {
        id: TrackId(id),
        name: name.to_owned(),
        kind: config.kind(),
        frame_rate: if config.kind() == TrackKind::Video { (30_000, 1001) } else { (0, 0) },
        config,
        language: None,
        label: None,
        default: false,
        autoselect: false,
        forced: false,
        characteristics: None,
        bandwidth,
        average_bandwidth: bandwidth / 2,
        audio_group: None,
    }
}

/// A channel whose base segments last two seconds and begin at multiples of it.
struct Channel {
    presentation: Presentation,
    next: u64,
    /// Tracks that list nothing more, by position.
    stopped: Vec<usize>,
    /// What the holes before sessions add to the time that a number begins at.
    later: MediaTime,
    /// Added to a track's id, the id of its configuration.
    configuration: u32,
}

impl Channel {
    fn new(tracks: Vec<TrackInfo>) -> Self {
        let inits = tracks.iter().map(|info| {
            let init = Init { config: info.config.clone(), track: info.id };
            (u32::from(info.id.0), Arc::new(init))
        });
        let grid = Grid {
            id: 0,
            cadence: 0,
            session: 0,
            session_start: MediaTime(0),
            period: (180_000, 1),
            phase: MediaTime(0),
            first_number: 0,
            first_index: 0,
            breaks: false,
            last_number: None,
            joined_first: BTreeMap::new(),
        };
        let presentation = Presentation {
            clock_offset: MediaTime(CLOCK_OFFSET),
            inits: inits.collect(),
            grids: vec![Arc::new(grid)],
            tracks: tracks
                .into_iter()
                .map(|info| Track {
                    info: Arc::new(info),
                    segments: crate::engine::log::Log::default(),
                    unread_until: None,
                    discontinuity_count: 0,
                    cadence: 0,
                })
                .collect(),
            ..Presentation::default()
        };
        let next = NOON.unsigned_abs() / TWO_SECONDS.unsigned_abs();
        let (later, configuration) = (MediaTime(0), 0);
        Self { presentation, next, stopped: Vec::new(), later, configuration }
    }

    fn ladder() -> Self {
        let de = TrackInfo { language: Some("de".to_owned()), ..info(3, "a1", aac(), 128_000) };
        let en = TrackInfo { language: Some("en".to_owned()), ..info(4, "a2", aac(), 96_000) };
        Self::new(vec![
            info(1, "v1", avc(1280, 720), 2_000_000),
            info(2, "v2", avc(640, 360), 800_000),
            TrackInfo { label: Some("Deutsch".to_owned()), ..de },
            TrackInfo { label: Some("English".to_owned()), ..en },
            TrackInfo {
                language: Some("en".to_owned()),
                ..info(5, "t1", CodecConfig::WebVtt, 1_000)
            },
        ])
    }

    /// Lists the next base segment on every track; `gap` names a track that has none.
    fn push(&mut self, gap: Option<usize>) {
        let number = self.next;
        let grid = Arc::clone(self.presentation.grids.last().expect("a grid"));
        let tracks = self.presentation.tracks.iter_mut().enumerate();
        for (at, track) in tracks.filter(|(at, _)| !self.stopped.contains(at)) {
            let start = MediaTime(i64::try_from(number).expect("small") * TWO_SECONDS) + self.later;
            let discontinuity = grid.breaks && grid.first_number == number;
            track.discontinuity_count += u64::from(discontinuity);
            let extent = Extent { file: 1, offset: number * 100, size: 100 };
            track.segments.push(Listed {
                number,
                grid: grid.id,
                start,
                end: start + MediaTime(TWO_SECONDS),
                discontinuity,
                media: (gap != Some(at)).then(|| MediaRef {
                    decode_start: start,
                    init: u32::from(track.info.id.0) + self.configuration,
                    table: extent,
                    payload: extent,
                    sample_count: 60,
                    hash: number ^ u64::from(track.info.id.0) << 40,
                    input: InputNumber::ONE,
                    flaws: Flaws::default(),
                }),
            });
        }
        self.next += 1;
        for kind in [TrackKind::Video, TrackKind::Audio, TrackKind::Text] {
            self.presentation.set_edges.insert((kind, 0), self.next);
        }
    }

    fn push_many(mut self, count: usize) -> Self {
        (0..count).for_each(|_| self.push(None));
        self
    }

    fn pop(&mut self) {
        for track in &mut self.presentation.tracks {
            track.segments.pop_front();
        }
    }

    /// Closes the grid and begins the next one, with a discontinuity, without a hole.
    fn begin_session(&mut self, seconds: u32) {
        let old = self.presentation.grids.last_mut().expect("a grid");
        let first_number = self.next;
        let closed = Grid { last_number: Some(first_number - 1), ..(**old).clone() };
        let after = closed.joined_after(seconds).expect("it is closed");
        *old = Arc::new(closed);
        let new = Grid {
            id: old.id + 1,
            session: old.session + 1,
            session_start: MediaTime(i64::try_from(first_number).expect("small") * TWO_SECONDS)
                + self.later,
            first_number,
            first_index: i64::try_from(first_number).expect("small"),
            breaks: true,
            last_number: None,
            joined_first: BTreeMap::from([(seconds, after)]),
            ..(**old).clone()
        };
        self.presentation.grids.push(Arc::new(new));
    }

    fn text(&self, endpoint: &Endpoint, path: &str) -> String {
        let found = resolve(endpoint, &self.presentation, path);
        let Ok(Resource::Manifest(manifest)) = found else { panic!("{path}: {found:?}") };
        let rendered = render(endpoint, &self.presentation, &manifest).expect("something listed");
        String::from_utf8(rendered.body).expect("manifests are UTF-8")
    }
}

fn endpoint(package: Package) -> Endpoint {
    Endpoint {
        id: "e".to_owned(),
        channel: "c".to_owned(),
        startover_window_seconds: 0,
        time_delay_seconds: 0,
        manifest_name: "index".to_owned(),
        package,
        stream_selection: StreamSelection::default(),
        stale: StaleRule::default(),
        headers: HeaderRule::default(),
    }
}

fn hls(segment: u32, window: u32) -> Endpoint {
    endpoint(Package::Hls(HlsPackage {
        segment_duration_seconds: segment,
        use_audio_rendition_group: false,
        list: HlsListSettings {
            playlist_window_seconds: window,
            program_date_time_interval_seconds: 6,
            ..HlsListSettings::default()
        },
    }))
}

fn cmaf(segment: u32, window: u32) -> Endpoint {
    let manifest = HlsManifest {
        id: "web".to_owned(),
        manifest_name: "main".to_owned(),
        list: HlsListSettings {
            playlist_window_seconds: window,
            program_date_time_interval_seconds: 0,
            ..HlsListSettings::default()
        },
    };
    endpoint(Package::Cmaf(CmafPackage {
        segment_duration_seconds: segment,
        subtitle_format: SubtitleFormat::Wvtt,
        segment_prefix: "p_x".to_owned(),
        hls_manifests: vec![manifest],
        dash_manifests: Vec::new(),
    }))
}

fn dash(segment: u32, window: u32, format: SegmentTemplateFormat) -> Endpoint {
    endpoint(Package::Dash(DashPackage {
        segment_duration_seconds: segment,
        subtitle_format: SubtitleFormat::Wvtt,
        settings: DashSettings {
            manifest_window_seconds: window,
            segment_template_format: format,
            ..DashSettings::default()
        },
    }))
}

fn mss(segment: u32, window: u32) -> Endpoint {
    endpoint(Package::Mss(MssPackage {
        segment_duration_seconds: segment,
        manifest_window_seconds: window,
    }))
}

/// (URI, is a gap) of a media playlist's segments.
fn uris(playlist: &str) -> Vec<(String, bool)> {
    let mut gap = false;
    let mut found = Vec::new();
    for line in playlist.lines() {
        if line == "#EXT-X-GAP" {
            gap = true;
        } else if !line.starts_with('#') {
            found.push((line.trim_start_matches("../").to_owned(), std::mem::take(&mut gap)));
        }
    }
    found
}

/// A tag's integer, 0 where the tag is missing.
fn tag(playlist: &str, tag: &str) -> u64 {
    let mut values = playlist.lines().filter_map(|line| line.strip_prefix(tag));
    values.next().map_or(0, |value| value.parse().expect("an integer"))
}

#[test]
fn manifests_go_stale_after_three_targets_or_as_configured() {
    let live = Channel::ladder().push_many(12).presentation;
    let limit = |endpoint: &Endpoint| stale_limit(endpoint, &live).map(|it| it.as_secs());
    for (seconds, expected) in [(2, 6), (4, 12), (6, 18)] {
        assert_eq!(limit(&hls(seconds, 60)), Some(expected), "three targets of {seconds} s");
    }
    let stale = StaleRule { limit_seconds: 5, status: 404 };
    assert_eq!(limit(&Endpoint { stale, ..hls(6, 60) }), Some(5));
    assert_eq!(stale_limit(&hls(2, 60), &Presentation::default()), None, "nothing to list");
    let ended = Presentation { ended: true, ..live };
    assert_eq!(stale_limit(&Endpoint { stale, ..hls(6, 60) }, &ended), None);
}

#[test]
fn what_stops_leaves_the_hls_ladder_by_the_stale_limit() {
    let rule = |limit_seconds| StaleRule { limit_seconds, status: 503 };
    // v2, a2 and t1 stop. Three targets of 2 s; as configured; two targets at least.
    for (limit_seconds, segments) in [(0, 3), (20, 10), (1, 2)] {
        let endpoint = Endpoint { stale: rule(limit_seconds), ..cmaf(2, 60) };
        let mut channel = Channel::ladder().push_many(12);
        channel.stopped = vec![1, 3, 4];
        for after in 0..12 {
            let top = channel.text(&endpoint, "web/main.m3u8");
            for (at, stops) in
                [("v1", false), ("v2", true), ("a1", false), ("a2", true), ("t1", false)]
            {
                let gone = stops && after >= segments;
                let name = format!("main_{at}.m3u8");
                assert_eq!(!top.contains(&name), gone, "{name} after {after}: {top}");
                let path = format!("web/{name}");
                let found = resolve(&endpoint, &channel.presentation, &path);
                let Ok(Resource::Manifest(manifest)) = found else { panic!("{path}: {found:?}") };
                let rendered = render(&endpoint, &channel.presentation, &manifest);
                assert_eq!(rendered.err(), gone.then_some(Absent::Stopped), "{path} after {after}");
            }
            channel.push(None);
        }
        channel.presentation.ended = true;
        assert!(channel.text(&endpoint, "web/main.m3u8").contains("main_v2.m3u8"), "complete");
    }
}

#[test]
fn hls_media_playlist_in_full() {
    let mut channel = Channel::ladder().push_many(6);
    channel.push(Some(0));
    channel.push(None);
    channel.begin_session(2);
    channel.push(None);
    let playlist = channel.text(&hls(2, 8), "index_v1.m3u8");
    let hash = |at: usize| uris(&playlist)[at].0[3..11].to_owned();
    let (old, new) = (hash(0), hash(3));
    assert_ne!(old, new, "another grid is another URL");
    let expected = format!(
        "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:897717605\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-11-23T12:00:10.100Z\n\
         #EXTINF:2.000000,\nv1_{old}_897717605.ts\n\
         #EXT-X-GAP\n#EXTINF:2.000000,\nv1_{old}_897717606.ts\n\
         #EXTINF:2.000000,\nv1_{old}_897717607.ts\n\
         #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T12:00:16.100Z\n\
         #EXTINF:2.000000,\nv1_{new}_897717608.ts\n"
    );
    assert_eq!(playlist, expected);
    assert!(m3u8_rs::parse_media_playlist_res(playlist.as_bytes()).is_ok());
    // The discontinuity counts once it has left the list.
    let channel = channel.push_many(9);
    let later = channel.text(&hls(2, 8), "index_v1.m3u8");
    assert_eq!(tag(&later, "#EXT-X-DISCONTINUITY-SEQUENCE:"), 1);
}

#[test]
fn hls_multivariant_in_full() {
    let channel = Channel::ladder().push_many(3);
    assert_eq!(
        channel.text(&hls(2, 60), "index.m3u8"),
        "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio1\",NAME=\"Deutsch\",LANGUAGE=\"de\",DEFAULT=YES,\
         AUTOSELECT=YES,CHANNELS=\"2\"\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio1\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=NO,\
         AUTOSELECT=YES,CHANNELS=\"2\",URI=\"index_a2.m3u8\"\n\
         #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subtitles\",NAME=\"en\",LANGUAGE=\"en\",DEFAULT=NO,\
         AUTOSELECT=NO,FORCED=NO,URI=\"index_t1.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2224000,AVERAGE-BANDWIDTH=1112000,\
         CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO=\"audio1\",\
         SUBTITLES=\"subtitles\"\nindex_v1.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1024000,AVERAGE-BANDWIDTH=512000,\
         CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO=\"audio1\",\
         SUBTITLES=\"subtitles\"\nindex_v2.m3u8\n"
    );
    let separate = channel.text(&cmaf(2, 60), "web/main.m3u8");
    let parsed = m3u8_rs::parse_master_playlist_res(separate.as_bytes()).expect("it is valid");
    let bandwidths: Vec<_> = parsed.variants.iter().map(|variant| variant.bandwidth).collect();
    assert_eq!(bandwidths, [2_128_000, 928_000], "one audio track at a time");
    assert!(parsed.alternatives.iter().all(|alternative| alternative.uri.is_some()));
}

#[test]
fn stream_selection_hides_and_sorts_video() {
    let channel = Channel::ladder().push_many(3);
    let with = |min, max, stream_order| Endpoint {
        stream_selection: StreamSelection {
            min_video_bits_per_second: min,
            max_video_bits_per_second: max,
            stream_order,
        },
        ..hls(2, 60)
    };
    let ascending = with(0, u64::MAX, StreamOrder::VideoBitrateAscending);
    assert_eq!(
        uris(&channel.text(&ascending, "index.m3u8")).first().map(|(uri, _)| uri.as_str()),
        Some("index_v2.m3u8")
    );
    let low = with(0, 800_000, StreamOrder::Original);
    assert_eq!(uris(&channel.text(&low, "index.m3u8")).len(), 1);
    assert_eq!(resolve(&low, &channel.presentation, "index_v1.m3u8"), Err(Absent::Never));
}

#[test]
fn sound_alone() {
    let mut tracks = vec![info(1, "a1", aac(), 128_000)];
    let one = Channel::new(tracks.clone()).push_many(3).text(&cmaf(2, 60), "web/main.m3u8");
    assert!(!one.contains("#EXT-X-MEDIA:"), "{one}");
    assert!(one.contains("CODECS=\"mp4a.40.2\"\nmain_a1.m3u8"), "{one}");
    tracks.push(TrackInfo { language: Some("en".into()), ..info(2, "a2", aac(), 64_000) });
    let two = Channel::new(tracks).push_many(3).text(&cmaf(2, 60), "web/main.m3u8");
    assert_eq!(uris(&two), [("main_a1.m3u8".to_owned(), false)]);
    assert!(two.contains("URI=\"main_a2.m3u8\""), "{two}");
}

#[test]
fn joined_segments_are_planned_with_their_muxed_audio() {
    let channel = Channel::ladder().push_many(12);
    let endpoint = hls(6, 18);
    let playlist = channel.text(&endpoint, "index_v1.m3u8");
    assert_eq!(tag(&playlist, "#EXT-X-TARGETDURATION:"), 6);
    let (uri, _) = &uris(&playlist)[0];
    let Ok(Resource::Segment(id)) = resolve(&endpoint, &channel.presentation, uri) else {
        panic!("{uri}")
    };
    assert_eq!(id.number, tag(&playlist, "#EXT-X-MEDIA-SEQUENCE:"));
    let plan = plan_segment(&endpoint, &channel.presentation, &id).expect("it is listed");
    let names: Vec<_> = plan.tracks.iter().map(|track| track.info.name.as_str()).collect();
    assert_eq!((plan.container, names), (Container::Ts, vec!["v1", "a1"]));
    for track in &plan.tracks {
        assert_eq!(track.parts.len(), 3);
        assert_eq!((track.parts[0].start, track.parts[2].end), (plan.start, plan.end));
    }
    assert_eq!(plan.content_type, "video/mp2t");
    let next = SegmentId { number: id.number + 1, ..id };
    let other = plan_segment(&endpoint, &channel.presentation, &next).expect("it is listed too");
    assert_ne!(plan.etag, other.etag);
}

#[test]
fn entity_tags_cover_media_and_urls_cover_configurations() {
    let endpoint = cmaf(2, 20);
    let of = |channel: &Channel| {
        let (uri, _) = uris(&channel.text(&endpoint, "web/main_v1.m3u8")).pop().expect("a segment");
        let path = uri.trim_start_matches("../").to_owned();
        let Ok(Resource::Segment(id)) = resolve(&endpoint, &channel.presentation, &path) else {
            panic!("{path}")
        };
        let plan = plan_segment(&endpoint, &channel.presentation, &id).expect("it is listed");
        (path, plan.etag)
    };
    let mut channel = Channel::ladder().push_many(12);
    let (url, tag) = of(&channel);
    let segments = &mut channel.presentation.tracks[0].segments;
    let last = segments.len() - 1;
    let mut listed = segments.get(last).cloned().expect("twelve are listed");
    listed.media.as_mut().expect("it is no gap").hash += 1;
    segments.set(last, listed);
    let (same_url, other_tag) = of(&channel);
    assert_eq!(url, same_url);
    assert_ne!(tag, other_tag, "other bytes under one tag");
    for init in channel.presentation.inits.values_mut() {
        if let CodecConfig::Avc(video) = &mut Arc::make_mut(init).config {
            video.pps = vec![vec![0x68, 0x01]];
        }
    }
    assert_ne!(url, of(&channel).0, "two configurations under one URL");
}

#[test]
fn nothing_is_listed_before_its_muxed_audio() {
    let mut channel = Channel::ladder().push_many(4);
    let before = channel.text(&hls(2, 60), "index_v1.m3u8");
    channel.push(None);
    let late = channel.presentation.tracks[2].segments.iter().take(4).cloned().collect::<Vec<_>>();
    let audio = &mut channel.presentation.tracks[2].segments;
    *audio = crate::engine::log::Log::default();
    for listed in late {
        audio.push(listed);
    }
    assert_eq!(channel.text(&hls(2, 60), "index_v1.m3u8"), before);
    let separate = channel.text(&cmaf(2, 60), "web/main_v1.m3u8");
    assert_eq!(uris(&separate).len(), 5, "CMAF lists each track by itself");
}

#[test]
fn paths_that_are_not_there() {
    let channel = Channel::ladder().push_many(60);
    let cmaf = cmaf(2, 20);
    let playlist = channel.text(&cmaf, "web/main_v1.m3u8");
    let (good, _) = uris(&playlist).last().cloned().expect("a segment");
    let last = channel.next - 1;
    let hash = good.trim_start_matches("p_x_v1_")[..8].to_owned();
    for (path, expected) in [
        (format!("p_x_v1_{hash}_{}.m4s", last + 1), Absent::NotYet),
        (format!("p_x_v1_{hash}_{}.m4s", u64::MAX), Absent::NotYet),
        (format!("p_x_v1_{hash}_{}.m4s", last - 40), Absent::Never),
        (format!("p_x_v1_{hash}_0{last}.m4s"), Absent::Never),
        (format!("p_x_v1_{hash}_+{last}.m4s"), Absent::Never),
        (format!("p_x_v1_{hash}_t{last}.m4s"), Absent::Never),
        (format!("p_x_v1_00000000_{last}.m4s"), Absent::Never),
        (format!("p_x_v2_{hash}_{last}.m4s"), Absent::Never),
        (format!("p_x_v9_{hash}_{last}.m4s"), Absent::Never),
        (format!("v1_{hash}_{last}.m4s"), Absent::Never),
        (format!("p_x_v1_{hash}_{last}.ts"), Absent::Never),
        (format!("p_x_v1_{hash}_init.mp4"), Absent::Never),
        ("web/index.m3u8".to_owned(), Absent::Never),
        ("other/main.m3u8".to_owned(), Absent::Never),
        ("main.m3u8".to_owned(), Absent::Never),
        ("index.mpd".to_owned(), Absent::Never),
        (String::new(), Absent::Never),
    ] {
        assert_eq!(resolve(&cmaf, &channel.presentation, &path), Err(expected), "{path}");
    }
    // It has left the list, and stays for another window and two targets.
    let gone = format!("p_x_v1_{hash}_{}.m4s", last - 20);
    assert!(resolve(&cmaf, &channel.presentation, &gone).is_ok());
    let empty = Channel::ladder();
    assert_eq!(
        render(&cmaf, &empty.presentation, &ManifestId::Multivariant { list: 0 }),
        Err(Absent::NotYet)
    );
}

#[test]
fn cmaf_names_its_init() {
    let channel = Channel::ladder().push_many(3);
    let cmaf = cmaf(2, 60);
    let playlist = channel.text(&cmaf, "web/main_a1.m3u8");
    let map = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"../"));
    let path = map.and_then(|uri| uri.strip_suffix('"')).expect("an init");
    assert_eq!(playlist.matches("#EXT-X-MAP").count(), 1);
    assert_eq!(
        resolve(&cmaf, &channel.presentation, path),
        Ok(Resource::Init { track: TrackId(3), init: 3 })
    );
}

#[test]
fn delay_and_end() {
    let mut channel = Channel::ladder().push_many(10);
    let delayed = Endpoint { time_delay_seconds: 6, ..hls(4, 60) };
    let listed = uris(&channel.text(&delayed, "index_v1.m3u8"));
    assert_eq!(listed.len(), 3, "seven base segments are old enough, joined by two");
    channel.push(None);
    channel.presentation.ended = true;
    let playlist = channel.text(&hls(4, 60), "index_v1.m3u8");
    assert!(playlist.ends_with("#EXT-X-ENDLIST\n"));
    assert!(playlist.contains("#EXTINF:2.000000,\n"), "the rest comes short at the end");
}

#[test]
fn mpd_reads_back() {
    let mut channel = Channel::ladder().push_many(10);
    channel.begin_session(4);
    (0..4).for_each(|_| channel.push(None));
    let endpoint = dash(4, 16, SegmentTemplateFormat::NumberWithTimeline);
    let text = channel.text(&endpoint, "index.mpd");
    let document = roxmltree::Document::parse(&text).expect("well-formed");
    let mpd = document.root_element();
    assert_eq!(mpd.attribute("type"), Some("dynamic"));
    assert_eq!(mpd.attribute("publishTime"), Some("2026-11-23T12:00:28.100Z"));
    assert_eq!(mpd.attribute("minimumUpdatePeriod"), Some("PT4S"));
    assert_eq!(mpd.attribute("timeShiftBufferDepth"), Some("PT16S"));
    let periods: Vec<_> = mpd.children().filter(|node| node.has_tag_name("Period")).collect();
    let starts: Vec<_> = periods.iter().filter_map(|period| period.attribute("start")).collect();
    assert_eq!(starts, ["PT0.1S", "PT1795435220.1S"]);
    for period in &periods {
        let sets = period.children().filter(|node| node.has_tag_name("AdaptationSet"));
        let kinds: Vec<_> = sets.map(|set| set.attribute("lang").unwrap_or("video")).collect();
        assert_eq!(kinds, ["video", "de", "en", "en"]);
    }
    let templates = periods[1].descendants().filter(|node| node.has_tag_name("SegmentTemplate"));
    let templates: Vec<_> = templates.collect();
    assert_eq!(templates.len(), 5);
    for (template, scale) in templates.iter().zip([90_000, 90_000, 48_000, 48_000, 90_000]) {
        let origin: i64 = template.attribute("presentationTimeOffset").unwrap().parse().unwrap();
        assert_eq!(origin, (1_795_435_200 + 20) * scale);
        let s = template.descendants().find(|node| node.has_tag_name("S")).unwrap();
        assert_eq!(s.attribute("t"), Some(origin.to_string().as_str()));
        assert_eq!(s.attribute("d"), Some((4 * scale).to_string().as_str()));
        assert_eq!(s.attribute("r"), Some("1"));
        for (number, count) in [(0, 2), (1, 2)] {
            let media = template.attribute("media").unwrap();
            let start: u64 = template.attribute("startNumber").unwrap().parse().unwrap();
            let path = media.replace("$Number$", &(start + number).to_string());
            let by_number = resolve(&endpoint, &channel.presentation, &path).expect(&path);
            let time = origin + i64::try_from(number).unwrap() * 4 * scale;
            let path = media.replace("$Number$", &format!("t{time}"));
            assert_eq!(resolve(&endpoint, &channel.presentation, &path), Ok(by_number.clone()));
            let Resource::Segment(id) = by_number else { panic!("{path}") };
            let plan = plan_segment(&endpoint, &channel.presentation, &id).expect("listed");
            assert_eq!((plan.container, plan.tracks.len()), (Container::Fmp4, 1));
            assert_eq!(plan.tracks[0].parts.len(), count);
        }
        let init = template.attribute("initialization").unwrap();
        assert!(matches!(
            resolve(&endpoint, &channel.presentation, init),
            Ok(Resource::Init { .. })
        ));
    }
}

#[test]
fn a_grid_without_a_break_stays_in_its_period() {
    let mut channel = Channel::ladder().push_many(4);
    channel.begin_session(2);
    let grid = channel.presentation.grids.last_mut().expect("a grid");
    let joins_on = Grid { session_start: MediaTime(0), breaks: false, ..(**grid).clone() };
    *grid = Arc::new(joins_on);
    channel.push(None);
    let text = channel.text(&dash(2, 60, SegmentTemplateFormat::NumberWithTimeline), "index.mpd");
    assert_eq!(text.matches("<Period ").count(), 1);
    assert!(text.contains("d=\"180000\" r=\"4\""), "{text}");
}

#[test]
fn a_hole_is_addressed_by_time() {
    let mut channel = Channel::ladder().push_many(4);
    channel.push(Some(0));
    channel.push(None);
    let endpoint = dash(2, 60, SegmentTemplateFormat::NumberWithTimeline);
    let text = channel.text(&endpoint, "index.mpd");
    let document = roxmltree::Document::parse(&text).expect("well-formed");
    let media = |name: &str| {
        let representation = document.descendants().find(|node| node.attribute("id") == Some(name));
        let template = representation.and_then(|node| node.first_element_child()).unwrap();
        let times = template.descendants().filter(|node| node.attribute("t").is_some()).count();
        (template.attribute("media").unwrap().to_owned(), times)
    };
    assert!(media("v1").0.ends_with("_t$Time$.m4s"));
    assert_eq!(media("v1").1, 2);
    assert!(media("v2").0.ends_with("_$Number$.m4s"));
    assert_eq!(media("v2").1, 1);
}

#[test]
fn dash_waits_for_the_set_and_ends_static() {
    let mut channel = Channel::ladder().push_many(6);
    channel.presentation.set_edges.insert((TrackKind::Video, 0), channel.next - 2);
    let endpoint = dash(2, 60, SegmentTemplateFormat::TimeWithTimeline);
    let text = channel.text(&endpoint, "index.mpd");
    assert!(text.contains("d=\"180000\" r=\"3\""), "{text}");
    assert!(text.contains("d=\"96000\" r=\"5\""), "{text}");
    channel.presentation.ended = true;
    let text = channel.text(&endpoint, "index.mpd");
    assert!(text.contains("type=\"static\" mediaPresentationDuration=\"PT1795435212.1S\""));
    assert!(!text.contains("UTCTiming") && text.contains("d=\"180000\" r=\"5\""), "{text}");
}

#[test]
fn tags_are_of_the_bytes() {
    assert_eq!(etag(b"a").len(), 34);
    assert_ne!(etag(b"a"), etag(b"b"));
}

#[derive(Clone, Debug)]
enum Step {
    Push,
    Gap(usize),
    Session,
    Pop,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => Just(Step::Push),
        2 => (0..5_usize).prop_map(Step::Gap),
        1 => Just(Step::Session),
        4 => Just(Step::Pop),
    ]
}

proptest! {
    /// However the window slides: numbers never fall or skip, a URI keeps its sequence numbers,
    /// and what is listed can be fetched, as it could when it was listed.
    #[test]
    fn sliding_windows_keep_their_laws(
        steps in prop::collection::vec(any_step(), 1..80),
        join in 1..4_u32,
    ) {
        let seconds = 2 * join;
        let mut channel = Channel::ladder().push_many(20);
        let mut known: HashMap<String, (u64, u64)> = HashMap::new();
        let mut newest = 0;
        let endpoint = hls(seconds, 16);
        for step in steps {
            match step {
                Step::Push => channel.push(None),
                Step::Gap(track) => channel.push(Some(track)),
                Step::Session => {
                    channel.begin_session(seconds);
                    channel.push(None);
                }
                Step::Pop if channel.presentation.tracks[0].segments.len() > 20 => channel.pop(),
                Step::Pop => {}
            }
            let playlist = channel.text(&endpoint, "index_v1.m3u8");
            let first = tag(&playlist, "#EXT-X-MEDIA-SEQUENCE:");
            prop_assert!(first >= newest);
            newest = first;
            let (mut number, mut gap) = (first, false);
            let container = Container::Ts;
            let mut breaks = tag(&playlist, "#EXT-X-DISCONTINUITY-SEQUENCE:");
            for line in playlist.lines() {
                match line {
                    "#EXT-X-DISCONTINUITY" => breaks += 1,
                    "#EXT-X-GAP" => gap = true,
                    line if line.starts_with('#') => {}
                    uri => {
                        let before = *known.entry(uri.to_owned()).or_insert((number, breaks));
                        prop_assert_eq!(before, (number, breaks), "{}", uri);
                        let found = resolve(&endpoint, &channel.presentation, uri);
                        if std::mem::take(&mut gap) {
                            prop_assert_eq!(found, Err(Absent::NotYet));
                        } else {
                            let id = SegmentId { track: TrackId(1), number, container };
                            prop_assert_eq!(found, Ok(Resource::Segment(id)));
                            prop_assert!(
                                plan_segment(&endpoint, &channel.presentation, &id).is_ok()
                            );
                        }
                        number += 1;
                    }
                }
            }
            let beyond = SegmentId { track: TrackId(1), number, container };
            prop_assert_eq!(
                plan_segment(&endpoint, &channel.presentation, &beyond),
                Err(Absent::NotYet)
            );
        }
    }

    #[test]
    fn arbitrary_paths_never_panic(path in "\\PC{0,60}") {
        let channel = Channel::ladder().push_many(3);
        for endpoint in [hls(2, 60), cmaf(2, 60)] {
            let _ = resolve(&endpoint, &channel.presentation, &path);
        }
    }

    #[test]
    fn paths_of_the_right_shape_never_panic(
        name in "(p_x_)?(v1|a1|t1|v9)",
        hash in "[0-9a-f]{8}",
        leaf in "t?[0-9]{1,21}|init",
        extension in "(ts|m4s|mp4|vtt|m3u8|mpd)",
    ) {
        let channel = Channel::ladder().push_many(3);
        let path = format!("{name}_{hash}_{leaf}.{extension}");
        let number = SegmentTemplateFormat::NumberWithTimeline;
        for endpoint in [hls(2, 60), cmaf(6, 60), dash(4, 60, number)] {
            let found = resolve(&endpoint, &channel.presentation, &path);
            let is_init = matches!(found, Ok(Resource::Init { .. }));
            prop_assert!(found.is_err() || is_init);
        }
    }
}
