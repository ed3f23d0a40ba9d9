//! Splice messages and tagged segments: what comes of them is known once, and stays known.

use super::*;
use crate::engine::scte35::{
    BreakDuration, SpliceCommand, SpliceEvent, SpliceInfo, SpliceInsert, write_section,
};
use crate::engine::segment::{MetadataKind, TimedMetadata};
use crate::engine::splice::SpliceMessage;

/// A `splice_insert` out of the network for ten seconds, by source time; `None` for at once.
fn section(event_id: u32, time: Option<u64>) -> Vec<u8> {
    let event = SpliceEvent {
        out_of_network: true,
        is_program: true,
        time,
        duration: Some(BreakDuration { auto_return: true, ticks: 900_000 }),
        is_id_arbitrary: false,
        program_id: 0,
        avail: 0,
        avails_expected: 0,
    };
    let info = SpliceInfo {
        protocol_version: 0,
        sap_type: 3,
        pts_adjustment: 90_000,
        control_word: 0,
        tier: 0xfff,
        command: SpliceCommand::Insert(SpliceInsert { event_id, event: Some(event) }),
        descriptors: Vec::new(),
    };
    write_section(&info).expect("short")
}

fn messages(bench: &mut Bench) -> Vec<SpliceMessage> {
    bench.channel.present().splices.messages().to_vec()
}

impl Bench {
    /// A segment of 2 s with messages, each with the source time at which it came.
    fn with_messages(&mut self, input: InputNumber, at: i64, sections: &[(i64, &[u8])]) {
        let start = at * 2 * SECOND;
        let metadata = sections.iter().map(|(time, section)| TimedMetadata {
            kind: MetadataKind::Scte35,
            pid: 500,
            time: Some(MediaTime(time.rem_euclid(1 << 33))),
            data: section.to_vec(),
        });
        let metadata = metadata.collect();
        let start = start.rem_euclid(1 << 33);
        let name = format!("a{at}.ts");
        self.put_body(
            input,
            &name,
            &SegmentBody {
                tracks: vec![track(video(1), start, 2 * SECOND, 50)],
                metadata,
                ..SegmentBody::default()
            },
        );
    }
}

#[test]
fn the_same_message_of_both_inputs_is_known_once_and_outlives_a_restart() {
    // The source's clock wraps between the message and its splice.
    let wrap = (1_i64 << 33) - 6 * SECOND;
    let mut bench = Bench::new(&[2]);
    let timed = section(1, Some(u64::try_from(1_i64 << 33).expect("positive") - 270_000));
    let immediate = section(2, None);
    for at in 0..5 {
        let base = wrap / (2 * SECOND) + at;
        let start = base * 2 * SECOND;
        let sections: &[(i64, &[u8])] = match at {
            1 => &[(start, &timed), (start + 9_000, &immediate)],
            2 => &[(start, &timed), (start, b"\xfcnot a section")],
            _ => &[],
        };
        bench.with_messages(ONE, base, sections);
        bench.with_messages(TWO, base, sections);
        bench.wait(2.0);
    }
    let known = messages(&mut bench);
    assert_eq!(known.len(), 2);
    let first = bench.channel.present().tracks[0].segments.first().expect("listed").start;
    let base = wrap / (2 * SECOND) * 2 * SECOND;
    let splice = MediaTime((1_i64 << 33) - 270_000 + 90_000 - base);
    let of = |id: &[u8]| known.iter().find(|it| it.section == id).expect("known").time - first;
    assert_eq!(of(&timed), splice, "the adjustment is added");
    assert_eq!(of(&immediate), MediaTime(2 * SECOND + 9_000), "at once is when it came");
    let events = bench.events();
    let count = |event: &Event| events.iter().filter(|it| *it == event).count();
    assert_eq!(count(&Event::SpliceNoted), 2);
    assert!(count(&Event::SpliceRefused(ONE)) == 1 && count(&Event::SpliceRefused(TWO)) == 1);
    bench.restart();
    assert_eq!(messages(&mut bench), known);
}

#[test]
fn tags_count_whether_they_come_before_or_behind_their_segment() {
    let list = |upto: i64| {
        let segments = (0..=upto).map(|at| PlaylistSegment {
            uri: format!("a{at}.ts"),
            duration: MediaTime(2 * SECOND),
            tags: match at {
                2 => vec!["#EXT-X-CUE-OUT:4".to_owned()],
                3 => vec!["#EXT-X-CUE-OUT-CONT:2/4".to_owned()],
                4 => vec!["#EXT-X-CUE-IN".to_owned(), "#EXT-X-OTHER".to_owned()],
                _ => Vec::new(),
            },
            ..PlaylistSegment::default()
        });
        Playlist::Media(MediaPlaylist {
            target_duration: 2,
            segments: segments.collect(),
            ..MediaPlaylist::default()
        })
    };
    let told = |is_list_first: bool| {
        let mut bench = Bench::new(&[2]);
        for at in 0..6 {
            if is_list_first {
                bench.list(ONE, "channel.m3u8", &list(at));
            }
            bench.picture(ONE, &format!("a{at}.ts"), at * 2 * SECOND, 2 * SECOND);
            bench.list(ONE, "channel.m3u8", &list(at));
            bench.wait(2.0);
        }
        bench.restart();
        let presentation = bench.channel.present();
        let first = presentation.tracks[0].segments.first().expect("listed").start;
        let end = first + MediaTime(60 * SECOND);
        let tags = presentation.splices.tags_between(first, end);
        let tags: Vec<_> = tags.iter().map(|it| ((it.time - first).0, it.lines.len())).collect();
        let times: Vec<_> =
            presentation.splices.messages().iter().map(|it| (it.time - first).0).collect();
        (tags, times)
    };
    let expected =
        (vec![(4 * SECOND, 1), (6 * SECOND, 1), (8 * SECOND, 1)], vec![4 * SECOND, 8 * SECOND]);
    assert_eq!(told(true), expected);
    assert_eq!(told(false), expected);
}
