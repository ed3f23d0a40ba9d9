//! Tests of what HLS lists say by settings and request: type, start, delta updates, groups.

use super::*;
use crate::engine::endpoint::{PlaylistType, StartOffset};
use crate::units::WallClock;

fn with_list(change: impl FnOnce(&mut HlsListSettings)) -> Endpoint {
    let mut endpoint = hls(2, 60);
    let Package::Hls(package) = &mut endpoint.package else { panic!("made so") };
    package.list.program_date_time_interval_seconds = 0;
    change(&mut package.list);
    Endpoint { startover_window_seconds: 600, ..endpoint }
}

fn requested(channel: &Channel, endpoint: &Endpoint, query: &str) -> String {
    let (path, request) = ManifestRequest::parse("index_v1.m3u8", Some(query)).expect("a request");
    let found = resolve(endpoint, &channel.presentation, &path).expect("a path");
    let Resource::Manifest(manifest) = found else { panic!("{found:?}") };
    let rendered = render_requested(endpoint, &channel.presentation, &manifest, &request);
    String::from_utf8(rendered.expect("something listed").body).expect("UTF-8")
}

/// Seconds since 1970 at which the segment `back` of them before the newest begins, and a bit.
fn wall_seconds(channel: &Channel, back: usize) -> i64 {
    let segments = &channel.presentation.tracks[0].segments;
    let listed = segments.get(segments.len() - back).expect("listed");
    let WallClock(micros) =
        WallClock::from_ticks_90k((listed.start + channel.presentation.clock_offset).ticks());
    micros.div_euclid(1_000_000)
}

#[test]
fn only_lists_that_keep_their_segments_have_a_type() {
    let channel = Channel::ladder().push_many(60);
    let (start, end) = (wall_seconds(&channel, 40), wall_seconds(&channel, 20));
    let (growing, complete) = (format!("start={start}"), format!("start={start}&end={end}"));
    let (none, event, vod) = (PlaylistType::None, PlaylistType::Event, PlaylistType::Vod);
    for (playlist_type, query, expected) in [
        (none, complete.as_str(), None),
        (event, "", None),
        (event, &growing, Some("EVENT")),
        (event, &complete, Some("EVENT")),
        (vod, "", None),
        (vod, &growing, None),
        (vod, &complete, Some("VOD")),
    ] {
        let endpoint = with_list(|list| list.playlist_type = playlist_type);
        let text = requested(&channel, &endpoint, query);
        let found = text.lines().find_map(|line| line.strip_prefix("#EXT-X-PLAYLIST-TYPE:"));
        assert_eq!(found, expected, "{playlist_type:?} {query}: {text}");
        assert_eq!(text.contains("#EXT-X-ENDLIST"), query == complete, "{text}");
    }
    // An ended channel may go on.
    let mut ended = Channel::ladder().push_many(60);
    ended.presentation.ended = true;
    let text = requested(&ended, &with_list(|list| list.playlist_type = vod), &growing);
    assert!(text.contains("#EXT-X-ENDLIST") && !text.contains("PLAYLIST-TYPE"), "{text}");
}

#[test]
fn a_start_offset_is_written_where_the_list_holds_it() {
    let channel = Channel::ladder().push_many(20);
    for (milliseconds, precise, expected) in [
        (12_000, false, Some("12.000")),
        (-20_500, true, Some("-20.500,PRECISE=YES")),
        (0, false, Some("0.000")),
        (39_999, false, Some("39.999")),
        (40_000, false, None),
        (-41_000, false, None),
    ] {
        let start = Some(StartOffset { milliseconds, precise });
        let text = channel.text(&with_list(|list| list.start = start), "index_v1.m3u8");
        let found = text.lines().find_map(|line| line.strip_prefix("#EXT-X-START:TIME-OFFSET="));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_delta_update_leaves_out_what_lies_behind_the_skip_boundary() {
    let channel = Channel::ladder().push_many(40);
    let endpoint = hls(2, 60);
    let whole = requested(&channel, &endpoint, "");
    let control = "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=12\n";
    assert!(whole.contains(control), "{whole}");
    for query in ["_HLS_skip=YES", "_hls_skip=v2"] {
        let delta = requested(&channel, &endpoint, query);
        assert!(delta.contains(control) && delta.contains("#EXT-X-VERSION:9\n"), "{delta}");
        let skipped = tag(&delta, "#EXT-X-SKIP:SKIPPED-SEGMENTS=");
        assert_eq!(skipped, 24, "30 are listed, and 6 of them in the last 12 s");
        let skipped = usize::try_from(skipped).expect("few");
        assert_eq!(uris(&delta), uris(&whole)[skipped..]);
        for same in ["#EXT-X-MEDIA-SEQUENCE:", "#EXT-X-TARGETDURATION:"] {
            assert_eq!(tag(&delta, same), tag(&whole, same));
        }
    }
    // What a player cannot know is repeated: where the first one lies, and what begins it.
    let delta = requested(&channel, &endpoint, "_HLS_skip=YES");
    assert!(delta.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=24\n#EXT-X-PROGRAM-DATE-TIME:"));
    for (endpoint, query) in
        [(hls(2, 60), "_HLS_skip=no"), (hls(2, 20), "_HLS_skip=YES"), (hls(6, 60), "_HLS_skip=YES")]
    {
        let text = requested(&channel, &endpoint, query);
        assert!(!text.contains("#EXT-X-SKIP"), "not asked for, or not offered: {text}");
    }
    let mut ended = Channel::ladder().push_many(40);
    ended.presentation.ended = true;
    let text = requested(&ended, &endpoint, "_HLS_skip=YES");
    assert!(!text.contains("SKIP"), "a complete list is not updated: {text}");
}

#[test]
fn a_delta_update_counts_the_longest_segment_that_it_leaves_out() {
    let mut channel = Channel::ladder().push_many(10);
    // The eleventh segment lasts twice as long as its place.
    channel.push(None);
    for track in &mut channel.presentation.tracks {
        let at = track.segments.len() - 1;
        let listed = track.segments.get(at).cloned().expect("pushed");
        let end = listed.start + MediaTime(2 * TWO_SECONDS);
        track.segments.set(at, Listed { end, ..listed });
    }
    let channel = channel.push_many(25);
    let delta = requested(&channel, &hls(2, 60), "_HLS_skip=YES");
    assert!(delta.contains("CAN-SKIP-UNTIL=24\n"), "six times 4 s: {delta}");
    assert_eq!(uris(&delta).len(), 12, "{delta}");
}

#[test]
fn a_rendition_group_holds_all_sound() {
    let channel = Channel::ladder().push_many(6);
    let mut endpoint = hls(2, 60);
    let muxed = channel.text(&endpoint, "index_v1.m3u8");
    let Package::Hls(package) = &mut endpoint.package else { panic!("made so") };
    package.use_audio_rendition_group = true;
    let top = channel.text(&endpoint, "index.m3u8");
    for name in ["index_a1.m3u8", "index_a2.m3u8"] {
        assert!(top.contains(&format!("URI=\"{name}\"")), "{top}");
    }
    assert!(top.contains("BANDWIDTH=2128000,"), "one of the group at a time: {top}");
    let alone = channel.text(&endpoint, "index_v1.m3u8");
    assert_ne!(uris(&alone), uris(&muxed), "other bytes are another URL");
    let found = resolve(&endpoint, &channel.presentation, &uris(&alone)[0].0);
    let Ok(Resource::Segment(id)) = found else { panic!("{found:?}") };
    let plan = plan_segment(&endpoint, &channel.presentation, &id).expect("listed");
    assert_eq!(plan.tracks.len(), 1, "pictures alone");
}
