//! What sequences of messages come to.

use super::*;
use crate::engine::scte35::{
    BreakDuration, DeliveryRestrictions, SpliceDescriptor, SpliceInfo, write_section,
};
use crate::engine::splice::ad::{AdRestrictions, AdTrigger};

const SECOND: i64 = 90_000;

fn section(command: SpliceCommand, descriptors: Vec<SpliceDescriptor>) -> Vec<u8> {
    let info = SpliceInfo {
        protocol_version: 0,
        sap_type: 3,
        pts_adjustment: 0,
        control_word: 0,
        tier: 0xfff,
        command,
        descriptors,
    };
    write_section(&info).expect("short")
}

/// A `splice_insert`: out or in, with a duration in seconds; or (`None`) cancelled.
fn insert(event_id: u32, out: Option<bool>, seconds: Option<u64>) -> Vec<u8> {
    let event = out.map(|out_of_network| SpliceEvent {
        out_of_network,
        is_program: true,
        time: Some(0),
        duration: seconds.map(|it| BreakDuration { auto_return: true, ticks: it * 90_000 }),
        is_id_arbitrary: false,
        program_id: 0,
        avail: 0,
        avails_expected: 0,
    });
    section(SpliceCommand::Insert(SpliceInsert { event_id, event }), Vec::new())
}

fn out(event_id: u32, seconds: Option<u64>) -> Vec<u8> {
    insert(event_id, Some(true), seconds)
}

fn back(event_id: u32) -> Vec<u8> {
    insert(event_id, Some(false), None)
}

fn segmentation(event_id: u32, kind: u8, seconds: Option<u64>) -> SegmentationDescriptor {
    SegmentationDescriptor {
        event_id,
        is_cancelled: false,
        is_id_arbitrary: false,
        restrictions: Some(DeliveryRestrictions {
            web_delivery_allowed: false,
            no_regional_blackout: true,
            archive_allowed: true,
            device_restrictions: 3,
        }),
        components: Vec::new(),
        duration: seconds.map(|it| it * 90_000),
        upid: Upid::default(),
        kind: SegmentationType(kind),
        segment: 0,
        segments_expected: 0,
        sub_segment: None,
    }
}

fn signal(descriptors: &[SegmentationDescriptor]) -> Vec<u8> {
    let descriptors = descriptors.iter().cloned().map(SpliceDescriptor::Segmentation);
    section(SpliceCommand::TimeSignal(Some(0)), descriptors.collect())
}

/// A `time_signal` with one descriptor.
fn signal_of(event_id: u32, kind: u8, seconds: Option<u64>) -> Vec<u8> {
    signal(&[segmentation(event_id, kind, seconds)])
}

/// A log of messages with their times and the times at which they came, in seconds.
fn log(messages: &[(i64, i64, Vec<u8>)]) -> SpliceLog {
    let mut log = SpliceLog::default();
    for (arrived, time, section) in messages {
        let at = |seconds: &i64| MediaTime(seconds * SECOND);
        log.add_message(SpliceMessage {
            time: at(time),
            arrived: at(arrived),
            section: section.clone(),
        });
    }
    log
}

/// Id, start, end and whether it is an advertisement, in seconds.
type Seen = (u32, i64, Option<i64>, bool);

fn check(name: &str, messages: &[(i64, Vec<u8>)], expected: &[Seen]) {
    let messages: Vec<_> = messages.iter().map(|(at, it)| (*at, *at, it.clone())).collect();
    let log = log(&messages);
    let breaks = breaks_from(&log, AdRule::default(), MediaTime(0));
    let seconds = |time: MediaTime| time.0 / SECOND;
    let seen = breaks.iter();
    let seen = seen.map(|it| (it.event_id, seconds(it.start), it.end.map(seconds), it.is_ad));
    assert_eq!(seen.collect::<Vec<_>>(), expected, "{name}");
}

#[test]
fn inserts_end_by_message_by_plan_or_by_the_next() {
    check("planned", &[(10, out(1, Some(30)))], &[(1, 10, Some(40), true)]);
    check("early", &[(10, out(1, Some(30))), (20, back(1))], &[(1, 10, Some(20), true)]);
    check("late", &[(10, out(1, Some(30))), (60, back(1))], &[(1, 10, Some(40), true)]);
    check("no duration", &[(10, out(1, Some(0)))], &[(1, 10, None, true)]);
    check("of any id", &[(10, out(1, None)), (55, back(9))], &[(1, 10, Some(55), true)]);
    let again = [(10, out(1, Some(30))), (12, out(1, Some(28)))];
    check("said again", &again, &[(1, 10, Some(40), true)]);
    let overlapping = [(10, out(1, Some(30))), (20, out(2, Some(30)))];
    check("overlapping", &overlapping, &[(1, 10, Some(20), true), (2, 20, Some(50), true)]);
    check("a return to nowhere", &[(10, back(1))], &[]);
    let reused = [(10, out(1, Some(5))), (60, out(1, Some(5)))];
    check("the id again", &reused, &[(1, 10, Some(15), true), (1, 60, Some(65), true)]);
}

#[test]
fn segmentation_is_paired_by_type_and_id() {
    let ended = [(10, signal_of(1, 0x34, Some(60))), (20, signal_of(1, 0x35, None))];
    check("ended", &ended, &[(1, 10, Some(20), true)]);
    let other = [(10, signal_of(1, 0x30, None)), (20, signal_of(2, 0x31, None))];
    check("another id", &other, &[(1, 10, Some(20), true)]);
    let both = signal(&[segmentation(2, 0x30, Some(30)), segmentation(1, 0x31, None)]);
    let both = [(10, signal_of(1, 0x30, Some(30))), (40, both)];
    check("end and start", &both, &[(1, 10, Some(40), true), (2, 40, Some(70), true)]);
    let programme = [(10, signal_of(7, 0x10, None)), (50, signal_of(7, 0x12, None))];
    check("a programme", &programme, &[(7, 10, Some(50), false)]);
    check("a point", &[(10, signal_of(7, 0x01, Some(9)))], &[(7, 10, Some(10), false)]);
    check("unknown", &[(10, signal_of(7, 0x60, None))], &[(7, 10, Some(10), false)]);
    let nested = signal(&[segmentation(1, 0x34, Some(60)), segmentation(2, 0x30, Some(30))]);
    check("nested", &[(10, nested)], &[(1, 10, Some(70), true), (2, 10, Some(40), true)]);
}

#[test]
fn what_was_announced_before_is_cancelled() {
    let mut cancelled = segmentation(2, 0x34, None);
    cancelled.is_cancelled = true;
    let log = log(&[
        (0, 10, out(1, Some(30))),
        (0, 10, signal_of(2, 0x34, Some(30))),
        (5, 5, insert(1, None, None)),
        (5, 5, signal(&[cancelled])),
        (6, 20, out(1, Some(30))),
    ]);
    let breaks = breaks_from(&log, AdRule::default(), MediaTime(0));
    let starts: Vec<_> = breaks.iter().map(|it| (it.event_id, it.start.0 / SECOND)).collect();
    assert_eq!(starts, [(1, 20)], "what is announced again afterwards counts");
}

#[test]
fn the_end_message_at_the_planned_end_belongs_to_it() {
    let log = log(&[
        (10, 10, signal_of(1, 0x30, Some(30))),
        (40, 40, signal_of(1, 0x31, None)),
        (90, 90, signal_of(1, 0x30, Some(30))),
    ]);
    let breaks = breaks_from(&log, AdRule::default(), MediaTime(0));
    assert_eq!(breaks[0].end_message, Some(&log.messages()[1]));
    assert!(breaks[0].covers(MediaTime(39 * SECOND)) && !breaks[0].covers(MediaTime(40 * SECOND)));
    assert_eq!((breaks[0].is_id_reused, breaks[1].is_id_reused), (false, true));
    let later = breaks_from(&log, AdRule::default(), MediaTime(40 * SECOND));
    assert_eq!(later.len(), 1, "what ended before the window is none of it");
    assert!(later[0].is_id_reused, "wherever the window begins");
}

#[test]
fn rules_decide_what_is_an_advertisement() {
    let restricted = segmentation(1, 0x38, None);
    let open = SegmentationDescriptor { restrictions: None, ..restricted.clone() };
    let trigger = [AdTrigger::ProviderOverlayPlacementOpportunity];
    for (restrictions, expected) in [
        (AdRestrictions::None, (false, false)),
        (AdRestrictions::Restricted, (true, false)),
        (AdRestrictions::Unrestricted, (false, true)),
        (AdRestrictions::Both, (true, true)),
    ] {
        let rule = AdRule::new(trigger, restrictions);
        assert_eq!((rule.takes(&restricted), rule.takes(&open)), expected, "{restrictions:?}");
    }
    assert!(!AdRule::default().takes(&restricted), "overlays are none by default");
    assert!(AdRule::default().takes_insert());
    assert!(!AdRule::new([AdTrigger::SpliceInsert], AdRestrictions::None).takes_insert());
    for (trigger, name) in AdTrigger::ALL {
        assert_eq!(AdTrigger::named(name), Some(trigger));
    }
}
