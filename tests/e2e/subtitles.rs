//! WebVTT pushed beside the picture comes out as a rendition that keeps to the picture's clock.

use crate::client::Encoder;
use crate::origin::{Origin, demo, eventually};
use crate::playback::{CMAF, DASH, HLS, Rendition, dash, hls, number_of};
use crate::probe::{TRANSPORT_STREAM, probe};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::fmt::Write as _;

/// Endpoints with documents, beside those of [`demo`].
const DOCUMENTS: &str = "[[endpoint]]\nid = \"demo-stpp\"\nchannel = \"demo\"\n\
    stale_limit_seconds = 3600\n[endpoint.dash_package]\nsubtitle_format = \"stpp\"\n\
    ttml_profile = \"EBU_TT_D_101\"\n[[endpoint]]\nid = \"demo-ttml\"\nchannel = \"demo\"\n\
    stale_limit_seconds = 3600\n[endpoint.mss_package]\n";
const STPP: &str = "/out/v1/demo-stpp/index.mpd";
const TTML: &str = "/out/v1/demo-ttml/index.ism/Manifest";

/// Half a second after its segment's first picture, for half a second.
fn text(first_pts: i64, at: usize) -> String {
    format!(
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{first_pts},LOCAL:00:10:00.000\n\n\
         00:10:00.500 --> 00:10:01.000 line:0\nline {at}\n"
    )
}

fn first_pts(body: &[u8]) -> i64 {
    let streams = probe(TRANSPORT_STREAM, body);
    let video = streams.iter().find(|stream| stream.is_video()).unwrap();
    video.packets.iter().map(|packet| packet.pts).min().unwrap()
}

/// Ticks of 90 kHz at which the one cue of a served segment begins, on the clock of MPEG-TS.
fn cue_start(served: &str) -> i64 {
    let map = served.lines().find(|line| line.starts_with("X-TIMESTAMP-MAP=")).unwrap();
    let (clock, local) = map.split_once("MPEGTS:").unwrap().1.split_once(",LOCAL:").unwrap();
    let cue = served.lines().find(|line| line.contains(" --> ")).unwrap();
    let start = cue.split(" --> ").next().unwrap();
    clock.parse::<i64>().unwrap() + ticks(start) - ticks(local)
}

/// `[hh:]mm:ss.ttt` in ticks of 90 kHz.
fn ticks(text: &str) -> i64 {
    let (seconds, thousandths) = text.rsplit_once('.').unwrap();
    let whole = seconds.split(':').fold(0, |sum, part| 60 * sum + part.parse::<i64>().unwrap());
    (1000 * whole + thousandths.parse::<i64>().unwrap()) * 90
}

fn push(origin: &Origin) {
    let mut encoder = Encoder::new(origin, "demo", 1);
    let multivariant =
        MUXED.multivariant.replace("#EXT-X-STREAM-INF:", "#EXT-X-STREAM-INF:SUBTITLES=\"s\",")
            + "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"Deutsch\",LANGUAGE=\"de\",\
           DEFAULT=YES,AUTOSELECT=YES,URI=\"subs.m3u8\"\n";
    assert_eq!(encoder.put("channel.m3u8", multivariant.as_bytes()).status, 201);
    let variant = &MUXED.variants[0];
    let mut subtitles = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n".to_owned();
    for (at, segment) in variant.segments.iter().enumerate() {
        assert_eq!(encoder.put(&segment.name, &segment.body).status, 201);
        let playlist = variant.playlist_of(0..at + 1);
        assert_eq!(encoder.put(&variant.playlist, playlist.as_bytes()).status, 201);
        let body = text(first_pts(&segment.body), at);
        assert_eq!(encoder.put(&format!("subs{at}.vtt"), body.as_bytes()).status, 201);
        write!(subtitles, "#EXTINF:2.000,\nsubs{at}.vtt\n").unwrap();
        assert_eq!(encoder.put("subs.m3u8", subtitles.as_bytes()).status, 201);
    }
}

fn of_kind<'a>(renditions: &'a [Rendition], ending: &str) -> Option<&'a Rendition> {
    renditions.iter().find(|it| it.segments.first().is_some_and(|path| path.ends_with(ending)))
}

#[test]
fn subtitles_keep_to_the_pictures_clock() {
    let origin = Origin::start(&(demo() + DOCUMENTS));
    push(&origin);
    let renditions = eventually("subtitles are listed", || {
        let renditions = hls(&origin, HLS);
        let text = of_kind(&renditions, ".vtt")?;
        (text.segments.len() == SEGMENT_COUNT).then_some(renditions)
    });
    let (picture, text) =
        (of_kind(&renditions, ".ts").unwrap(), of_kind(&renditions, ".vtt").unwrap());
    text.assert_consecutive();
    for path in &text.segments {
        let response = origin.get(path);
        assert_eq!(response.status, 200, "{path}");
        assert!(response.field("content-type").is_some_and(|it| it.starts_with("text/vtt")));
        let beside = picture.segments.iter().find(|it| number_of(it) == number_of(path)).unwrap();
        let apart = cue_start(&response.text()) - first_pts(&origin.get(beside).body);
        assert!((apart - 45_000).abs() <= 90, "{path}: {apart} ticks after its picture");
    }
    let multivariant = origin.get(HLS).text();
    for told in ["TYPE=SUBTITLES", "LANGUAGE=\"de\"", "NAME=\"Deutsch\"", "SUBTITLES=\""] {
        assert!(multivariant.contains(told), "{told}: {multivariant}");
    }
    let cmaf = hls(&origin, CMAF);
    assert_eq!(of_kind(&cmaf, ".vtt").unwrap().segments.len(), SEGMENT_COUNT);
    cues_are_samples_beside_the_picture(&origin);
    documents_count_media_time(&origin);
    fragments_count_from_their_begin(&origin);
}

/// What follows `mark` in `text`, up to `end`.
fn after<'t>(text: &'t str, mark: &str, end: &str) -> &'t str {
    text.split_once(mark)
        .unwrap_or_else(|| panic!("no {mark} in {text}"))
        .1
        .split(end)
        .next()
        .unwrap()
}

/// The fields behind the version and the flags of the first box of this name.
fn fields(segment: &[u8], name: [u8; 4]) -> &[u8] {
    let at = segment.windows(4).position(|it| it == name).expect("the box is there");
    &segment[at + 8..]
}

/// The segments of the text, which the text's own list and the picture's agree on.
fn texts(origin: &Origin, path: &str) -> Vec<Vec<u8>> {
    let mpd = origin.get(path).text();
    let lists: Vec<&str> = mpd.split("<SegmentTimeline>").skip(1).collect();
    let (first, last) = (lists.first().unwrap(), lists.last().unwrap());
    let rows = |list: &str| list.split("</SegmentTimeline>").next().unwrap().to_owned();
    assert_eq!(rows(first), rows(last), "{mpd}");
    let renditions = dash(origin, path);
    let text = renditions.iter().find(|it| it.segments[0].contains("/t1_")).unwrap();
    assert_eq!(text.segments.len(), SEGMENT_COUNT);
    let get = |path: &String| {
        let response = origin.get(path);
        assert_eq!(response.field("content-type"), Some("application/mp4"), "{path}");
        response.body
    };
    text.segments.iter().map(get).collect()
}

fn cues_are_samples_beside_the_picture(origin: &Origin) {
    let mpd = origin.get(DASH).text();
    let set = after(&mpd, "<AdaptationSet id=\"3\"", "</AdaptationSet>");
    for told in ["contentType=\"text\"", "lang=\"de\"", "value=\"subtitle\"", "codecs=\"wvtt\""] {
        assert!(set.contains(told), "{told}: {set}");
    }
    for (at, segment) in texts(origin, DASH).iter().enumerate() {
        let text = String::from_utf8_lossy(segment);
        assert!(text.contains("sttgline:0") && text.contains(&format!("paylline {at}")));
        // Nothing is said, then the cue, then nothing: count, data_offset, (duration, size) …
        let rows = fields(segment, *b"trun");
        let word = |at: usize| u32::from_be_bytes(rows[4 * at..][..4].try_into().unwrap());
        assert_eq!(word(0), 3);
        assert!(word(2).abs_diff(45_000) <= 90 && word(4) == 45_000, "{} {}", word(2), word(4));
    }
}

fn documents_count_media_time(origin: &Origin) {
    for (at, segment) in texts(origin, STPP).iter().enumerate() {
        let decode_time = u64::from_be_bytes(fields(segment, *b"tfdt")[..8].try_into().unwrap());
        let text = String::from_utf8_lossy(segment);
        assert!(text.contains("urn:ebu:tt:distribution:2018-04"), "{text}");
        let begin = ticks(after(&text, " begin=\"", "\""));
        let late = begin - i64::try_from(decode_time).unwrap();
        assert!((late - 45_000).abs() <= 90, "{late} ticks after its picture");
        assert!(text.contains(&format!(">line {at}</span>")), "{text}");
    }
}

fn fragments_count_from_their_begin(origin: &Origin) {
    let manifest = eventually("text is listed", || {
        let manifest = origin.get(TTML).text();
        manifest.contains("FourCC=\"TTML\"").then_some(manifest)
    });
    let stream = after(&manifest, "<StreamIndex Type=\"text\" Subtype=\"SUBT\"", "</StreamIndex>");
    let url = after(stream, "Url=\"", "\"");
    let url = url.replace("{bitrate}", after(stream, "Bitrate=\"", "\""));
    let url = url.replace("{start time}", after(stream, "<c t=\"", "\""));
    let fragment = origin.get(&format!("/out/v1/demo-ttml/index.ism/{url}"));
    let text = String::from_utf8_lossy(&fragment.body).into_owned();
    let begin = ticks(after(&text, " begin=\"", "\""));
    assert!((begin - 45_000).abs() <= 90, "{text}");
    let info = origin
        .get(&format!("/out/v1/demo-ttml/index.ism/{url}").replace("Fragments(", "FragmentInfo("));
    assert_eq!(info.status, 200);
    assert!(fragment.body.starts_with(&info.body) && info.body.len() < fragment.body.len());
}
