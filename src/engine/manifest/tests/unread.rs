//! While older segments are still to be read back, what is offered is what will be, or a refusal.

use super::*;
use crate::engine::log::Log;

/// The same with the first `count` segments of every track still to be read back.
fn unread(ladder: &Channel, count: usize) -> Presentation {
    let mut presentation = ladder.presentation.clone();
    for track in &mut presentation.tracks {
        let until = track.segments.get(count - 1).map(|last| last.end);
        let mut rest = Log::default();
        for listed in track.segments.iter_from(count) {
            rest.push(listed.clone());
        }
        (track.unread_until, track.segments) = (until, rest);
    }
    presentation
}

fn answer(endpoint: &Endpoint, presentation: &Presentation, path: &str) -> Result<String, Absent> {
    match resolve(endpoint, presentation, path)? {
        Resource::Manifest(id) => {
            let rendered = render(endpoint, presentation, &id)?;
            Ok(String::from_utf8(rendered.body).expect("manifests are UTF-8"))
        }
        Resource::Segment(id) | Resource::FragmentInfo(id) => {
            Ok(plan_segment(endpoint, presentation, &id)?.etag)
        }
        Resource::Init { init, .. } => Ok(init.to_string()),
        Resource::Clock => panic!("{path} tells the time"),
    }
}

#[test]
fn nothing_is_wrong_or_denied_while_older_segments_are_unread() {
    const COUNT: usize = 120;
    let ladder = Channel::ladder().push_many(COUNT);
    let whole = &ladder.presentation;
    for endpoint in [
        hls(6, 60),
        cmaf(6, 60),
        dash(6, 60, SegmentTemplateFormat::NumberWithTimeline),
        mss(6, 60),
    ] {
        let mut paths = match &endpoint.package {
            Package::Hls(_) => vec!["index.m3u8".to_owned(), "index_v1.m3u8".to_owned()],
            Package::Cmaf(_) => vec!["web/main.m3u8".to_owned(), "web/main_v2.m3u8".to_owned()],
            Package::Dash(_) => vec!["index.mpd".to_owned()],
            Package::Mss(_) => vec!["index.ism/Manifest".to_owned()],
        };
        if let Ok(list) = answer(&endpoint, whole, &paths[paths.len() - 1]) {
            let names = list.lines().filter(|line| !line.starts_with('#'));
            let names = names.filter(|name| !name.contains('<'));
            paths.extend(names.map(|name| name.trim_start_matches("../").to_owned()));
        }
        let mut answered = Vec::new();
        for count in 1..COUNT {
            let partial = unread(&ladder, count);
            let mut known = 0;
            for path in &paths {
                let expected = answer(&endpoint, whole, path);
                assert!(expected.is_ok(), "{path}");
                match answer(&endpoint, &partial, path) {
                    Err(absent) => assert_eq!(absent, Absent::Unread, "{path} without {count}"),
                    found => {
                        assert_eq!(found, expected, "{path} without {count}");
                        known += 1;
                    }
                }
            }
            answered.push(known);
        }
        assert_eq!(answered[0], paths.len(), "the live edge needs what is near it alone");
        assert!(answered.is_sorted_by(|before, after| before >= after), "{answered:?}");
    }
}
