//! Text as samples: how it is announced, and that what is missing of it says nothing.

use super::*;
use crate::engine::assemble;
use crate::engine::codec::TtmlProfile;

/// Positions of tracks in the channel below.
const TEXT: usize = 1;

fn channel() -> Channel {
    let caption = TrackInfo {
        language: Some("de".to_owned()),
        label: Some("Für alle".to_owned()),
        default: true,
        characteristics: Some(
            "public.accessibility.transcribes-spoken-dialog,public.easy-to-read".to_owned(),
        ),
        ..info(5, "t1", CodecConfig::WebVtt, 1_000)
    };
    let forced = TrackInfo { forced: true, ..info(6, "t2", CodecConfig::WebVtt, 1_000) };
    Channel::new(vec![info(1, "v1", avc(1280, 720), 2_000_000), caption, forced])
}

fn with_text(format: SubtitleFormat) -> Endpoint {
    let mut endpoint = dash(2, 20, SegmentTemplateFormat::NumberWithTimeline);
    let Package::Dash(package) = &mut endpoint.package else { panic!("a DASH endpoint") };
    package.subtitle_format = format;
    endpoint
}

/// The text's set as it is written, without its templates.
fn sets(mpd: &str) -> Vec<String> {
    let sets = mpd.split("<AdaptationSet").skip(2).map(|set| {
        set.lines().take_while(|line| !line.starts_with("<SegmentTemplate")).collect::<String>()
    });
    sets.collect()
}

#[test]
fn each_text_is_a_set_with_its_roles() {
    let channel = channel().push_many(10);
    let mpd = channel.text(&with_text(SubtitleFormat::Wvtt), "index.mpd");
    let role = |element: &str, value: &str| {
        format!("<{element} schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{value}\"/>")
    };
    let begin = "contentType=\"text\" mimeType=\"application/mp4\" segmentAlignment=\"true\" \
         startWithSAP=\"1\"";
    let caption = format!(
        " id=\"2\" {begin} lang=\"de\"><Label>Für alle</Label>{}{}{}{}\
         <Representation id=\"t1\" bandwidth=\"1000\" codecs=\"wvtt\">",
        role("Accessibility", "caption"),
        role("Accessibility", "easyreader"),
        role("Role", "caption"),
        role("Role", "main"),
    );
    let forced = format!(
        " id=\"3\" {begin}>{}<Representation id=\"t2\" bandwidth=\"1000\" codecs=\"wvtt\">",
        role("Role", "forced-subtitle"),
    );
    assert_eq!(sets(&mpd), [caption, forced]);
}

#[test]
fn documents_have_urls_and_codecs_of_their_own() {
    let channel = channel().push_many(10);
    let mut known = Vec::new();
    for (format, codecs, entry) in [
        (SubtitleFormat::Wvtt, "wvtt", &b"wvtt"[..]),
        (SubtitleFormat::Stpp(TtmlProfile::Imsc1), "stpp.ttml.im1t", b"stpp"),
        (SubtitleFormat::Stpp(TtmlProfile::EbuTtD), "stpp.ttml.etd1|im1t", b"stpp"),
    ] {
        let endpoint = with_text(format);
        let mpd = channel.text(&endpoint, "index.mpd");
        assert!(mpd.contains(&format!("codecs=\"{codecs}\"")), "{mpd}");
        let init = mpd.split("initialization=\"t1").nth(1).and_then(|it| it.split('"').next());
        let path = format!("t1{}", init.expect("an init"));
        let found = resolve(&endpoint, &channel.presentation, &path);
        let Ok(Resource::Init { init, .. }) = found else { panic!("{path}: {found:?}") };
        let bytes = assemble::write_init(&endpoint, &channel.presentation, init).expect("known");
        assert!(bytes.windows(4).any(|it| it == entry), "{codecs}");
        assert!(!known.contains(&path), "{path}");
        known.push(path);
    }
}

/// What is planned at each URL of the text's list, made of no payload.
fn made(endpoint: &Endpoint, channel: &Channel, paths: &[String]) -> Vec<(usize, Vec<u8>)> {
    let one = |path: &String| {
        let found = resolve(endpoint, &channel.presentation, path);
        let Ok(Resource::Segment(id)) = found else { panic!("{path}: {found:?}") };
        let plan = plan_segment(endpoint, &channel.presentation, &id).expect("listed");
        assert!(!plan.is_view() && plan.content_type == "application/mp4");
        let count = plan.media().count();
        let empty = vec![&b"WEBVTT\n"[..]; count];
        (count, assemble::make(&plan, &[], &empty).expect("text"))
    };
    paths.iter().map(one).collect()
}

#[test]
fn where_no_text_came_a_segment_says_nothing() {
    let mut channel = channel().push_many(4);
    channel.push(Some(TEXT));
    (0..5).for_each(|_| channel.push(None));
    let endpoint = with_text(SubtitleFormat::Wvtt);
    let mpd = channel.text(&endpoint, "index.mpd");
    let template = mpd.split("<Representation id=\"t1\"").nth(1).expect("text is there");
    assert!(template.contains("d=\"180000\" r=\"9\""), "no hole: {template}");
    let media = template.split("media=\"").nth(1).and_then(|it| it.split('"').next()).unwrap();
    let first = channel.next - 10;
    let path = |at: u64| media.replace("$Number$", &(first + at).to_string());
    let paths: Vec<String> = (0..10).map(path).collect();
    let segments = made(&endpoint, &channel, &paths);
    let counts: Vec<usize> = segments.iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]);
    for (_, bytes) in &segments {
        assert!(bytes.ends_with(b"\0\0\0\x08vtte"), "one empty sample");
    }
    // In HLS it is a gap as ever.
    assert!(channel.text(&hls(2, 20), "index_t1.m3u8").contains("#EXT-X-GAP"));
}

#[test]
fn a_fragment_of_smooth_streaming_is_a_document() {
    let mut channel = channel().push_many(4);
    channel.push(Some(TEXT));
    (0..5).for_each(|_| channel.push(None));
    let endpoint = mss(2, 20);
    let manifest = channel.text(&endpoint, "index.ism/Manifest");
    assert!(manifest.contains("Type=\"text\" Subtype=\"CAPT\" Name=\"text_de\" Language=\"de\""));
    let url = manifest.split("Url=\"Events(").nth(2).and_then(|it| it.split('"').next()).unwrap();
    let start = NOON / TWO_SECONDS * TWO_SECONDS;
    let path = |at: i64| {
        let url = format!("index.ism/Events({url}").replace("{bitrate}", "1000");
        url.replace("{start time}", &(start + at * TWO_SECONDS).to_string())
    };
    for (count, bytes) in made(&endpoint, &channel, &[path(3), path(4)]) {
        assert!(bytes.ends_with(b"<body/>\n</tt>\n"), "{count}");
    }
}
