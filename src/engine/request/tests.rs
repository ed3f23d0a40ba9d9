//! Tests of request parameters: the grammar, its errors, and that no text makes it fail.

use super::*;
use proptest::prelude::*;

const NOON: i64 = 1_795_435_200;

fn parsed(path: &str, query: &str) -> Result<(String, ManifestRequest), RequestError> {
    let (path, request) = ManifestRequest::parse(path, Some(query))?;
    Ok((path.into_owned(), request))
}

fn bound(seconds: i64, in_path: bool) -> Bound {
    Bound { at: WallClock(seconds * 1_000_000), in_path }
}

#[test]
fn spans_in_query_and_path() {
    let later = NOON + 60;
    for (path, query, bare, start, end, carried) in [
        ("a.m3u8", "", "a.m3u8", None, None, ""),
        ("a.m3u8", "m=1&colour=%zz&colour=2", "a.m3u8", None, None, ""),
        (
            "a.m3u8",
            "end=1795435260&start=2026-11-23T13:00:00%2B01:00",
            "a.m3u8",
            Some(bound(NOON, false)),
            Some(bound(later, false)),
            "?end=1795435260&start=1795435200",
        ),
        (
            "w/start/2026-11-23T12:00:00Z/end/1795435260/a.m3u8",
            "",
            "w/a.m3u8",
            Some(bound(NOON, true)),
            Some(bound(later, true)),
            "",
        ),
        (
            "start/1795435200/a.mpd",
            "end=1795435260",
            "a.mpd",
            Some(bound(NOON, true)),
            Some(bound(later, false)),
            "?end=1795435260",
        ),
        (
            "a.m3u8",
            "aws.manifestsettings=start%3A1795435200%3Bend:2026-11-23T12:01:00Z",
            "a.m3u8",
            Some(bound(NOON, false)),
            Some(bound(later, false)),
            "?end=1795435260&start=1795435200",
        ),
    ] {
        let (found, request) = parsed(path, query).expect(path);
        assert_eq!((found.as_str(), request.start, request.end), (bare, start, end), "{query}");
        assert_eq!(request.media_playlist_query(), carried, "{query}");
        let again = parsed(path, carried.trim_start_matches('?')).expect(carried).1;
        assert_eq!(again, request, "{carried}");
    }
    let both = parsed("start/1/end/2/a.m3u8", "").expect("a span").1;
    assert_eq!(both.climb(), "../../../../");
}

#[test]
fn settings_of_a_request() {
    let query = "aws.manifestsettings=time_delay:30;Manifest_Window_Seconds:40;\
                 clip_start_time:1795435200&AWS.drmsettings=ExcludeSessionKeys";
    let request = parsed("a.m3u8", query).expect("all known").1;
    assert_eq!((request.time_delay_seconds, request.window_seconds), (Some(30), Some(40)));
    assert_eq!(request.clip_start, Some(WallClock(NOON * 1_000_000)));
    assert!(request.excludes_session_keys && !request.is_live());
    assert_eq!(
        request.media_playlist_query(),
        "?aws.manifestsettings=clip_start_time%3A1795435200%3Bmanifest_window_seconds%3A40\
         %3Btime_delay%3A30"
    );
}

#[test]
fn what_is_refused() {
    let long = format!("aws.manifestfilter=audio_language:{}", "x".repeat(1010));
    for (path, query) in [
        ("a.m3u8", "start=yesterday"),
        ("a.m3u8", "start="),
        ("a.m3u8", "start=2026-11-23T12:00:00"),
        ("a.m3u8", "start=99999999999999"),
        ("a.m3u8", "start=%zz"),
        ("a.m3u8", "start=1&start=2"),
        ("a.m3u8", "start=1&aws.manifestsettings=start:2"),
        ("start/1/a.m3u8", "start=2"),
        ("start/1/start/2/a.m3u8", ""),
        ("start/x/a.m3u8", ""),
        ("a.m3u8", "start=2&end=2"),
        ("a.m3u8", "start=3&end=2"),
        ("a.m3u8", "start=0&end=86401"),
        ("a.m3u8", "aws.manifestsettings="),
        ("a.m3u8", "aws.manifestsettings=colour:red"),
        ("a.m3u8", "aws.manifestsettings=time_delay:-1"),
        ("a.m3u8", "aws.manifestsettings=time_delay:1209601"),
        ("a.m3u8", "aws.manifestsettings=clip_start_time:1;start:1"),
        ("a.m3u8", "aws.drmsettings=none"),
        ("a.m3u8", "aws.manifestfilter=video_height:1-2&aws.manifestfilter=video_height:1-2"),
        ("a.m3u8", long.as_str()),
    ] {
        assert!(parsed(path, query).is_err(), "{path} {query}");
    }
    assert!(parsed("a.m3u8", "start=0&end=86400").is_ok());
}

#[test]
fn the_grammar_of_filters() {
    let same = |a: &str, b: &str| assert_eq!(Filter::parse(a), Filter::parse(b), "{a} {b}");
    same("VIDEO_height:1-720", "video_height:1-720");
    same("audio_language:EN,de;video_codec:H264", "video_codec:h264;audio_language:de,en,en");
    for (text, is_right) in [
        ("audio_bitrate:0-2147483647", true),
        ("audio_bitrate:0-2147483648", false),
        ("audio_bitrate:9-1", false),
        ("audio_bitrate:-1", false),
        ("audio_bitrate:1-", false),
        ("audio_bitrate:+1", false),
        ("audio_bitrate:1-2-3", false),
        ("audio_channels:2,6", true),
        ("audio_channels:0-2", false),
        ("audio_channels:1-32768", false),
        ("audio_codec:AACL,AACH,AC-3,EC-3", true),
        ("audio_codec:mp3", false),
        ("audio_language:dahlia", true),
        ("audio_language:", false),
        ("audio_language:a,,b", false),
        ("audio_sample_rate:44100-48000", true),
        ("subtitle_language:en-US", true),
        ("trickplay_height:1-2147483647", true),
        ("trickplay_height:0-1", false),
        ("trickplay_type:iframe,image,none", true),
        ("trickplay_type:video", false),
        ("video_bitrate:1000-2000", true),
        ("video_codec:H264,h265,AV1", true),
        ("video_codec:vp9", false),
        ("video_dynamic_range:hdr10,hlg,sdr,dv", true),
        ("video_framerate:23.976-30", true),
        ("video_framerate:29.97", true),
        ("video_framerate:0.999", false),
        ("video_framerate:1000", false),
        ("video_framerate:29.9701", false),
        ("video_framerate:29.", false),
        ("video_height:1-32767", true),
        ("video_height:32768", false),
        ("video_height:1-2;video_height:1-2", false),
        ("a:is:0-1", false),
        ("colour:red", false),
        ("video_height", false),
        ("video_height:1-2;", false),
        ("", false),
    ] {
        assert_eq!(Filter::parse(text).is_ok(), is_right, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_fail(path in "\\PC{0,40}", query in "\\PC{0,80}") {
        let _ = ManifestRequest::parse(&path, Some(&query));
    }

    #[test]
    fn texts_of_the_right_shape_never_panic(
        path in "(start/[0-9TZ:+.-]{0,25}/)?(end/[0-9TZ:-]{0,25}/)?a.mpd",
        query in "(&?(start|end|time_delay|aws.manifestsettings|aws.manifestfilter)=\
                  [a-z_:;,0-9.%-]{0,30}){0,3}",
    ) {
        if let Ok((_, request)) = ManifestRequest::parse(&path, Some(&query)) {
            let carried = request.media_playlist_query();
            let again = ManifestRequest::parse(&path, Some(carried.trim_start_matches('?')));
            let (_, again) = again.expect("what is written can be read");
            prop_assert_eq!((again.start, again.end), (request.start, request.end));
        }
    }
}
