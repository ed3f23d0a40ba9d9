//! MPDs with each of their settings.

use super::mpd::check;
use super::*;
use crate::engine::endpoint::{DashManifest, DashProfile, ManifestLayout, UtcTiming};
use roxmltree::Document;

fn with(segment: u32, settings: DashSettings) -> Endpoint {
    let settings = DashSettings { manifest_window_seconds: 16, ..settings };
    let subtitle_format = SubtitleFormat::Wvtt;
    let package = DashPackage { segment_duration_seconds: segment, subtitle_format, settings };
    endpoint(Package::Dash(package))
}

/// The same settings over the segments of a CMAF endpoint, which HLS has too.
fn over_cmaf(segment: u32, settings: DashSettings) -> Endpoint {
    let mut endpoint = cmaf(segment, 16);
    let settings = DashSettings { manifest_window_seconds: 16, ..settings };
    if let Package::Cmaf(package) = &mut endpoint.package {
        let (id, manifest_name) = ("tv".to_owned(), "live".to_owned());
        package.dash_manifests.push(DashManifest { id, manifest_name, settings });
    }
    endpoint
}

/// All that an MPD names is there.
fn assert_fetchable(endpoint: &Endpoint, channel: &Channel, text: &str) {
    for path in check(text) {
        match resolve(endpoint, &channel.presentation, &path) {
            Ok(Resource::Init { .. }) => assert!(path.ends_with("_init.mp4"), "{path}"),
            Ok(Resource::Segment(id)) => {
                let plan = plan_segment(endpoint, &channel.presentation, &id);
                assert!(plan.is_ok(), "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

fn attribute(text: &str, tag: &str, name: &str) -> Option<String> {
    let document = Document::parse(text).expect("well-formed");
    let node = document.descendants().find(|node| node.has_tag_name(tag))?;
    node.attribute(name).map(str::to_owned)
}

fn all_settings() -> Vec<DashSettings> {
    use SegmentTemplateFormat::{NumberWithDuration, NumberWithTimeline, TimeWithTimeline};
    let mut all = Vec::new();
    for segment_template_format in [NumberWithTimeline, TimeWithTimeline, NumberWithDuration] {
        for manifest_layout in
            [ManifestLayout::Full, ManifestLayout::Compact, ManifestLayout::DrmTopLevelCompact]
        {
            for profile in [DashProfile::None, DashProfile::Hbbtv15, DashProfile::DvbDash2014] {
                all.push(DashSettings {
                    manifest_layout,
                    segment_template_format,
                    profile,
                    ..DashSettings::default()
                });
            }
        }
    }
    all
}

#[test]
fn every_combination_is_an_mpd_whose_urls_are_there() {
    let mut channel = Channel::ladder().push_many(9);
    for step in 0..14 {
        match step {
            3 => channel.push(Some(0)),
            7 => {
                channel.begin_session(4);
                channel.push(None);
            }
            _ => channel.push(None),
        }
        for settings in all_settings() {
            let endpoint = with(4, settings.clone());
            assert_fetchable(&endpoint, &channel, &channel.text(&endpoint, "index.mpd"));
            let endpoint = over_cmaf(2, settings);
            assert_fetchable(&endpoint, &channel, &channel.text(&endpoint, "tv/live.mpd"));
        }
    }
    channel.presentation.ended = true;
    for settings in all_settings() {
        let endpoint = with(4, settings);
        assert_fetchable(&endpoint, &channel, &channel.text(&endpoint, "index.mpd"));
    }
}

#[test]
fn a_compact_set_has_one_template_and_whoever_counts_otherwise_its_own() {
    for layout in [ManifestLayout::Compact, ManifestLayout::DrmTopLevelCompact] {
        for rates in [(24, 48), (25, 50), (30, 60), (25, 30)] {
            let mut channel = Channel::ladder().push_many(6);
            for (track, rate) in channel.presentation.tracks.iter_mut().zip([rates.0, rates.1]) {
                Arc::make_mut(&mut track.info).frame_rate = (rate, 1);
            }
            let endpoint =
                with(2, DashSettings { manifest_layout: layout, ..DashSettings::default() });
            let text = channel.text(&endpoint, "index.mpd");
            assert_eq!(text.matches("<SegmentTemplate").count(), 4, "one for each set: {text}");
            assert!(text.contains("media=\"$RepresentationID$_$Number$.m4s\""), "{text}");
            assert!(text.contains("initialization=\"$RepresentationID$_init.mp4\""), "{text}");
            // v2 misses one: nothing is shared by two any more.
            channel.push(Some(1));
            channel.push(None);
            let text = channel.text(&endpoint, "index.mpd");
            assert_eq!(text.matches("<SegmentTemplate").count(), 5, "{text}");
        }
    }
    // Two of three go on alike, and the third has its own.
    let video = |id, name| info(id, name, avc(640, 360), u64::from(id) * 1_000_000);
    let mut three = Channel::new(vec![video(1, "v1"), video(2, "v2"), video(3, "v3")]);
    three.push(Some(0));
    let compact =
        DashSettings { manifest_layout: ManifestLayout::Compact, ..DashSettings::default() };
    let text = three.push_many(4).text(&with(2, compact), "index.mpd");
    let templates = text.match_indices("<SegmentTemplate").map(|(at, _)| at);
    let templates: Vec<usize> = templates.collect();
    let ids = ["v1_", "v2_"].map(|id| text.find(&format!("<Representation id=\"{id}")));
    let [Some(first), Some(second)] = ids else { panic!("{text}") };
    assert!(templates.len() == 2 && templates[0] < first, "the set's own: {text}");
    assert!((first..second).contains(&templates[1]), "and that of v1: {text}");
    let channel = Channel::ladder().push_many(6);
    let text = channel.text(&with(2, DashSettings::default()), "index.mpd");
    assert_eq!(text.matches("<SegmentTemplate").count(), 5, "FULL has one for each: {text}");
}

/// The number that a client's clock leads to (§A.3.2 with the newest available segment).
fn number_now(text: &str, seconds_since_1970: i128) -> i128 {
    let document = Document::parse(text).expect("well-formed");
    let mut periods = document.descendants().filter(|node| node.has_tag_name("Period"));
    let period = periods.next_back().expect("a Period");
    let template = period.descendants().find(|node| node.has_tag_name("SegmentTemplate"));
    let number = |name| template.unwrap().attribute(name).unwrap().parse::<i128>().unwrap();
    let start = period.attribute("start").unwrap().trim_matches(['P', 'T', 'S']).to_owned();
    let start: f64 = start.parse().unwrap();
    let zero = attribute(text, "MPD", "availabilityStartTime").unwrap();
    let zero: jiff::Timestamp = zero.parse().unwrap();
    let elapsed = seconds_since_1970 * 1000 - i128::from(zero.as_millisecond());
    let elapsed = elapsed * 1000 - format!("{:.0}", start * 1e6).parse::<i128>().unwrap();
    let whole = elapsed * number("timescale") / (number("duration") * 1_000_000);
    number("startNumber") + whole - 1
}

#[test]
fn a_clock_leads_to_the_newest_number() {
    let settings = DashSettings {
        segment_template_format: SegmentTemplateFormat::NumberWithDuration,
        ..DashSettings::default()
    };
    let noon = i128::from(NOON / 90_000);
    for segment in [2_u32, 4, 6] {
        for delay in [0_u32, 12] {
            let mut channel = Channel::ladder().push_many(30);
            let endpoint =
                Endpoint { time_delay_seconds: delay, ..with(segment, settings.clone()) };
            for pushed in 30..36 {
                // Media is 100 ms behind the wall clock: a second later all of it is there.
                let now = noon + 2 * pushed + 1;
                let text = channel.text(&endpoint, "index.mpd");
                check(&text);
                assert!(!text.contains("<SegmentTimeline"), "{text}");
                let view = View::new(&endpoint, &channel.presentation).expect("something");
                let newest = view.last(&channel.presentation.tracks[0]).expect("listed").number;
                assert_eq!(number_now(&text, now), i128::from(newest), "{segment} s: {text}");
                channel.push(None);
            }
        }
    }
}

#[test]
fn a_clock_leads_on_where_a_session_counts_anew() {
    let settings = DashSettings {
        segment_template_format: SegmentTemplateFormat::NumberWithDuration,
        ..DashSettings::default()
    };
    let mut channel = Channel::ladder().push_many(31);
    channel.begin_session(4);
    (0..4).for_each(|_| channel.push(None));
    let endpoint = with(4, settings);
    let text = channel.text(&endpoint, "index.mpd");
    check(&text);
    let noon = i128::from(NOON / 90_000);
    let view = View::new(&endpoint, &channel.presentation).expect("something");
    let newest = view.last(&channel.presentation.tracks[0]).expect("listed").number;
    assert_eq!(number_now(&text, noon + 2 * 35 + 1), i128::from(newest), "{text}");
    // What is in the past no clock leads to.
    let start = format!("index.mpd?start={}", NOON / 90_000 + 50);
    let (_, query) = start.split_once('?').expect("a query");
    let (_, request) = ManifestRequest::parse("index.mpd", Some(query)).expect("it is fine");
    let id = ManifestId::Mpd { list: 0 };
    let shifted = Endpoint { startover_window_seconds: 600, ..endpoint };
    let rendered = render_requested(&shifted, &channel.presentation, &id, &request);
    let text = String::from_utf8(rendered.expect("it is there").body).expect("UTF-8");
    assert!(text.contains("<SegmentTimeline"), "{text}");
}

#[test]
fn the_next_number_is_worth_a_wait_and_no_other() {
    let settings = |segment_template_format| DashSettings {
        segment_template_format,
        ..DashSettings::default()
    };
    let channel = Channel::ladder().push_many(12);
    let by_clock = with(4, settings(SegmentTemplateFormat::NumberWithDuration));
    let text = channel.text(&by_clock, "index.mpd");
    let media = attribute(&text, "SegmentTemplate", "media").expect("a template");
    let view = View::new(&by_clock, &channel.presentation).expect("something");
    let newest = view.last(&channel.presentation.tracks[0]).expect("listed").number;
    let wait = |endpoint: &Endpoint, number: u64| {
        let path = media.replace("$Number$", &number.to_string());
        next_wait(endpoint, &channel.presentation, &path).map(|wait| wait.as_secs())
    };
    let waits: Vec<_> = (0..4).map(|after| wait(&by_clock, newest + after)).collect();
    assert_eq!(waits, [None, Some(4), None, None], "one target, for the next one");
    let listed = with(4, settings(SegmentTemplateFormat::NumberWithTimeline));
    assert_eq!(wait(&listed, newest + 1), None, "nobody asks for what is not listed");
    let stale = media.replace("$Number$", &(newest + 1).to_string()).replacen("v1_", "v2_", 1);
    assert_eq!(next_wait(&by_clock, &channel.presentation, &stale), None, "another track's hash");
}

#[test]
fn profiles_say_whose_rules_are_kept() {
    let channel = Channel::ladder().push_many(6);
    let live = "urn:mpeg:dash:profile:isoff-live:2011";
    let hbbtv = format!("urn:hbbtv:dash:profile:isoff-live:2012,{live}");
    let ext_live = "urn:dvb:dash:profile:dvb-dash:isoff-ext-live:2014";
    let dvb = format!("urn:dvb:dash:profile:dvb-dash:2014,{ext_live},{live}");
    // URNs, sets with a Role, sets with a frame rate.
    for (profile, urns, roles, rates) in [
        (DashProfile::None, live, 3, 0),
        (DashProfile::Hybridcast, live, 3, 0),
        (DashProfile::Hbbtv15, hbbtv.as_str(), 4, 0),
        (DashProfile::DvbDash2014, dvb.as_str(), 4, 1),
    ] {
        let endpoint = with(2, DashSettings { profile, ..DashSettings::default() });
        let text = channel.text(&endpoint, "index.mpd");
        assert_eq!(attribute(&text, "MPD", "profiles").as_deref(), Some(urns));
        assert_eq!(text.matches("<Role ").count(), roles, "{profile:?}: {text}");
        assert_eq!(text.matches("maxFrameRate=\"30000/1001\"").count(), rates, "{text}");
    }
}

#[test]
fn clients_are_told_where_to_get_the_time() {
    let channel = Channel::ladder().push_many(6);
    let uri = || Some("https://time.example/?iso&ms".to_owned());
    for (utc_timing, utc_timing_uri, expected) in [
        (UtcTiming::None, None, None),
        (UtcTiming::HttpHead, None, Some(("http-head", "live.mpd"))),
        (UtcTiming::HttpIso, None, Some(("http-iso", "../time"))),
        (UtcTiming::HttpXsdate, None, Some(("http-xsdate", "../time"))),
        (UtcTiming::HttpXsdate, uri(), Some(("http-xsdate", "https://time.example/?iso&ms"))),
        (UtcTiming::HttpHead, uri(), Some(("http-head", "https://time.example/?iso&ms"))),
        (UtcTiming::Direct, None, Some(("direct", "2026-11-23T12:00:12.100Z"))),
    ] {
        let own = utc_timing_uri.is_none();
        let settings = DashSettings { utc_timing, utc_timing_uri, ..DashSettings::default() };
        let endpoint = over_cmaf(2, settings);
        let text = channel.text(&endpoint, "tv/live.mpd");
        check(&text);
        let scheme = attribute(&text, "UTCTiming", "schemeIdUri");
        let found = scheme.zip(attribute(&text, "UTCTiming", "value"));
        let expected = expected
            .map(|(scheme, value)| (format!("urn:mpeg:dash:utc:{scheme}:2014"), value.to_owned()));
        assert_eq!(found, expected);
        let asked = own && matches!(utc_timing, UtcTiming::HttpIso | UtcTiming::HttpXsdate);
        let clock = resolve(&endpoint, &channel.presentation, "time");
        assert_eq!(clock, if asked { Ok(Resource::Clock) } else { Err(Absent::Never) });
    }
    assert_eq!(write_clock(WallClock(1_795_435_200_123_456)), "2026-11-23T12:00:00.123Z");
}

#[test]
fn hls_and_dash_name_the_same_segments() {
    let channel = Channel::ladder().push_many(8);
    let endpoint = over_cmaf(2, DashSettings::default());
    let mut listed: Vec<String> = Vec::new();
    for name in ["v1", "v2", "a1", "a2"] {
        let playlist = channel.text(&endpoint, &format!("web/main_{name}.m3u8"));
        listed.extend(uris(&playlist).into_iter().map(|(uri, _)| uri));
        let map = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"../"));
        listed.extend(map.and_then(|map| map.strip_suffix('"')).map(str::to_owned));
    }
    let named = check(&channel.text(&endpoint, "tv/live.mpd"));
    let (text, mut named): (Vec<String>, _) = named.into_iter().partition(|it| it.contains("_t1_"));
    listed.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, listed);

    // Text is WebVTT in playlists, and fragmented MP4 in MPDs.
    assert!(text.iter().all(|it| it.contains(".m4s") || it.contains("_init.mp4")), "{text:?}");
    let playlist = channel.text(&endpoint, "web/main_t1.m3u8");
    let texts = |uri: &str| {
        let plan = |uri: &str| match resolve(&endpoint, &channel.presentation, uri) {
            Ok(Resource::Segment(id)) => plan_segment(&endpoint, &channel.presentation, &id),
            other => panic!("{uri}: {other:?}"),
        };
        [plan(uri), plan(&uri.replace(".vtt", ".m4s"))].map(|it| it.expect("it is listed"))
    };
    for (uri, _) in uris(&playlist) {
        assert!(text.contains(&uri.replace(".vtt", ".m4s")), "{uri}: {text:?}");
        let [body, samples] = texts(&uri);
        assert_eq!((body.container, samples.container), (Container::WebVtt, Container::Fmp4));
        assert_ne!(body.etag, samples.etag, "they are kept by their tags");
    }
}
