//! WebVTT pushed beside the picture comes out as a rendition that keeps to the picture's clock.

use crate::client::Encoder;
use crate::origin::{Origin, demo, eventually};
use crate::playback::{CMAF, HLS, Rendition, hls, number_of};
use crate::probe::{TRANSPORT_STREAM, probe};
use crate::source::{MUXED, SEGMENT_COUNT};
use std::fmt::Write as _;

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
    let origin = Origin::start(&demo());
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
}
