//! Tests of pushed playlists.

use super::*;
use crate::units::{MediaTime, WallClock};
use proptest::prelude::*;

/// 2026-11-23T12:00:00Z in microseconds.
const NOON: i64 = 1_795_435_200_000_000;

fn media(text: &str) -> MediaPlaylist {
    match parse_playlist(text.as_bytes()) {
        Ok(Playlist::Media(playlist)) => playlist,
        other => panic!("{other:?}"),
    }
}

#[test]
fn media_playlist_as_ffmpeg_writes_it() {
    let playlist = media(concat!(
        "\u{feff}#EXTM3U\r\n#EXT-X-VERSION:6\r\n#EXT-X-TARGETDURATION:2\r\n",
        "#EXT-X-MEDIA-SEQUENCE:41\r\n#EXT-X-DISCONTINUITY-SEQUENCE:3\r\n",
        "#EXT-X-INDEPENDENT-SEGMENTS\r\n",
        "#EXTINF:2.002000,\r\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T12:00:00.000+0000\r\n",
        "http://host/a/channel_1_00041.ts?x=/y\r\n",
        "# a comment\r\n\r\n#EXT-X-CUE-OUT:30\r\n#EXTINF:2.002,title, more\r\n",
        "../channel_1_00042.ts\r\n",
        "#EXT-X-DISCONTINUITY\r\n#EXT-X-GAP\r\n#EXTINF:2\r\nchannel_1_00043.ts\r\n",
        "#EXT-X-ENDLIST\r\n",
    ));
    assert_eq!(playlist.target_duration, 2);
    assert_eq!((playlist.media_sequence, playlist.discontinuity_sequence), (41, 3));
    assert!(playlist.ended);
    let [first, second, third] = &playlist.segments[..] else { panic!("{playlist:?}") };
    assert_eq!(name_of_uri(&first.uri), "channel_1_00041.ts");
    assert_eq!(first.duration, MediaTime(180_180));
    assert_eq!(first.program_date_time, Some(WallClock(NOON)));
    assert!(first.tags.is_empty());
    assert_eq!(name_of_uri(&second.uri), "channel_1_00042.ts");
    assert_eq!(second.program_date_time, None);
    assert_eq!(second.date, Some(WallClock(NOON + 2_002_000)));
    assert_eq!(second.tags, ["#EXT-X-CUE-OUT:30"]);
    assert!(third.gap && third.discontinuity);
    assert_eq!(third.date, None, "a discontinuity breaks the clock");
}

#[test]
fn dates_are_carried_both_ways_up_to_discontinuities() {
    let playlist = media(concat!(
        "#EXTM3U\n#EXTINF:2,\na\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nb\n#EXTINF:2,\nc\n",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-23T12:00:00Z\n#EXTINF:3.5,\nd\n#EXTINF:2,\ne\n",
    ));
    let dates: Vec<_> = playlist.segments.iter().map(|segment| segment.date).collect();
    let at = |seconds: i64| Some(WallClock(NOON + seconds * 500_000));
    assert_eq!(dates, [None, at(-8), at(-4), at(0), at(7)]);
    assert_eq!(playlist.target_duration, 4, "made up from the longest EXTINF");
}

#[test]
fn multivariant_playlist() {
    let text = concat!(
        "#EXTM3U\n#EXT-X-VERSION:4\n",
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"Deutsch, Ton\",LANGUAGE=\"de\",",
        "DEFAULT=YES,CHANNELS=\"2\",URI=\"audio/de.m3u8\"\n",
        "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"E\",INSTREAM-ID=\"CC1\"\n",
        "#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=1500000,",
        "CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO=\"aac\",",
        "CLOSED-CAPTIONS=NONE\nchannel_1.m3u8\n",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n",
        "#EXT-X-STREAM-INF:\nchannel_2.m3u8",
    );
    let Ok(Playlist::Multivariant(playlist)) = parse_playlist(text.as_bytes()) else { panic!() };
    let [first, second] = &playlist.variants[..] else { panic!("{playlist:?}") };
    assert_eq!(
        first,
        &Variant {
            uri: "channel_1.m3u8".into(),
            bandwidth: Some(2_000_000),
            average_bandwidth: Some(1_500_000),
            codecs: Some("avc1.64001f,mp4a.40.2".into()),
            resolution: Some((1280, 720)),
            frame_rate: Some("29.970".into()),
            audio: Some("aac".into()),
            subtitles: None,
            closed_captions: Some("NONE".into()),
        }
    );
    assert_eq!(second, &Variant { uri: "channel_2.m3u8".into(), ..Variant::default() });
    let [audio, captions] = &playlist.renditions[..] else { panic!("{playlist:?}") };
    assert_eq!(audio.kind, RenditionKind::Audio);
    assert_eq!((audio.name.as_str(), audio.language.as_deref()), ("Deutsch, Ton", Some("de")));
    assert_eq!(audio.uri.as_deref(), Some("audio/de.m3u8"));
    assert!(audio.default && audio.autoselect && !audio.forced);
    assert_eq!(captions.instream_id.as_deref(), Some("CC1"));
    assert_eq!(captions.uri, None);
}

#[test]
fn mistakes_are_told_by_line() {
    for (text, line, expected) in [
        ("", 1, "#EXTM3U"),
        ("#EXTINF:2\na\n", 1, "#EXTM3U"),
        ("#EXTM3U\n", 1, "#EXT-X-STREAM-INF, #EXT-X-TARGETDURATION or #EXTINF"),
        ("#EXTM3U\n#EXTINF:two,\na\n", 2, "decimal seconds in #EXTINF"),
        ("#EXTM3U\n#EXTINF:86401,\na\n", 2, "decimal seconds in #EXTINF"),
        ("#EXTM3U\n#EXTINF:NaN,\na\n", 2, "decimal seconds in #EXTINF"),
        ("#EXTM3U\n#EXTINF:inf,\na\n", 2, "decimal seconds in #EXTINF"),
        ("#EXTM3U\n#EXTINF:1e308,\na\n", 2, "decimal seconds in #EXTINF"),
        ("#EXTM3U\n#EXTINF:-1,\na\n", 2, "decimal seconds in #EXTINF"),
        ("#EXTM3U\n\na.ts\n", 3, "#EXTINF before a URI"),
        ("#EXTM3U\n#EXTINF:2,\n", 2, "a URI after #EXTINF"),
        ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-1\n", 2, "a decimal integer"),
        ("#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:now\n", 2, "an ISO 8601 date and time"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH\na\n", 2, "NAME=value"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"a\n", 2, "a closing quote"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", 2, "a URI after #EXT-X-STREAM-INF"),
        ("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO\n", 2, "GROUP-ID"),
    ] {
        match parse_playlist(text.as_bytes()) {
            Err(PlaylistError::Line { line: at, expected: what, .. }) => {
                assert_eq!((at, what), (line, expected), "{text:?}");
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
    assert_eq!(parse_playlist(b"#EXTM3U\n\xff"), Err(PlaylistError::NotText { offset: 8 }));
}

#[test]
fn what_names_other_places_is_taken_without_effect() {
    let plain = media("#EXTM3U\n#EXTINF:2,\na.ts\n");
    assert_eq!(media("\u{feff}#EXTM3U\n#EXTINF:2,\na.ts\n"), plain, "a byte order mark");
    for uri in ["../../a.ts", "file:///a.ts", "http://127.0.0.1/a.ts", "//127.0.0.1/a.ts?b=/c"] {
        let found = media(&format!("#EXTM3U\n#EXTINF:2,\n{uri}\n"));
        assert_eq!(name_of_uri(&found.segments[0].uri), "a.ts", "{uri}");
    }
    for key in ["file:///etc/passwd", "http://127.0.0.1/key"] {
        let tag = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{key}\"");
        let mut found = media(&format!("#EXTM3U\n{tag}\n#EXTINF:2,\na.ts\n"));
        assert_eq!(std::mem::take(&mut found.segments[0].tags), [tag], "kept as text");
        assert_eq!(found, plain);
    }
}

#[test]
fn sizes_are_bounded() {
    let long = format!("#EXTM3U\n#{}\n", "x".repeat(PLAYLIST_LINE_SIZE_MAX));
    let many = format!("#EXTM3U\n{}", "\n".repeat(PLAYLIST_LINE_COUNT_MAX));
    let tags = format!("#EXTM3U\n{}", "#EXT-X-Y\n".repeat(5_000));
    let variants = format!("#EXTM3U\n{}", "#EXT-X-STREAM-INF:\na\n".repeat(300));
    let attributes = format!("#EXTM3U\n#EXT-X-STREAM-INF:{}\na\n", "A=1,".repeat(65));
    for text in [long, many, tags, variants, attributes] {
        assert!(matches!(parse_playlist(text.as_bytes()), Err(PlaylistError::Line { .. })));
    }
    let huge = vec![b' '; 2 << 20];
    assert_eq!(parse_playlist(&huge), Err(PlaylistError::TooLarge { size: 2 << 20 }));
}

fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("#EXTM3U".to_owned()),
        "#EXTINF:[0-9.]{0,22},?",
        "#EXT-X-(MEDIA|STREAM-INF|TARGETDURATION|MEDIA-SEQUENCE|KEY|GAP):[A-Z=\",0-9]{0,40}",
        "#EXT-X-PROGRAM-DATE-TIME:[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-9:.]{8,12}[Z+0-9:]{0,6}",
        "\\PC{0,30}",
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_playlist(&bytes);
    }

    #[test]
    fn arbitrary_lines_never_panic(lines in prop::collection::vec(any_line(), 0..40)) {
        let _ = parse_playlist(format!("#EXTM3U\n{}", lines.join("\n")).as_bytes());
    }

    #[test]
    fn a_name_has_no_path_and_no_query(uri in "[a-z/.?#]{0,20}") {
        prop_assert!(!name_of_uri(&uri).contains(['/', '?', '#']));
        prop_assert!(uri.contains(name_of_uri(&uri)));
    }
}
