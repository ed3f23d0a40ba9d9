//! Messages whose content is known, and messages made up.

use super::*;
use proptest::prelude::*;

const PLACEMENT_START: &str =
    "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg==";
const PLACEMENT_END: &str = "/DAvAAAAAAAA///wBQb+dGKQoAAZAhdDVUVJSAAAjn+fCAgAAAAALKChijUCAKnMZ1g=";
const INSERT: &str = "/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo=";
const OVERLAP: &str = "/DBIAAAAAAAA///wBQb+ky44CwAyAhdDVUVJSAAACn+fCAgAAAAALKCh4xgAAAIXQ1VFSUgAAAl\
                       /nwgIAAAAACygoYoRAAC0IX6w";

fn section(text: &str) -> Vec<u8> {
    from_base64(text).expect("base64")
}

#[test]
fn a_splice_insert_is_read_whole() {
    let info = parse_section(&section(INSERT)).expect("sound");
    let event = SpliceEvent {
        out_of_network: true,
        is_program: true,
        time: Some(0x0_7369_c02e),
        duration: Some(BreakDuration { auto_return: true, ticks: 0x0_0052_ccf5 }),
        is_id_arbitrary: false,
        program_id: 0,
        avail: 0,
        avails_expected: 0,
    };
    let insert = SpliceInsert { event_id: 0x4800_008f, event: Some(event) };
    assert_eq!(info.command, SpliceCommand::Insert(insert));
    assert_eq!(info.descriptors, [SpliceDescriptor::Avail(0x135)]);
    assert_eq!((info.tier, info.pts_adjustment), (0xfff, 0));
}

#[test]
fn time_signals_with_their_segmentation() {
    let start = parse_section(&section(PLACEMENT_START)).expect("sound");
    assert_eq!(start.splice_time(), Some(0x0_72bd_0050));
    let of_start = start.segmentations().next().expect("one");
    assert_eq!((of_start.event_id, of_start.kind.0), (0x4800_008e, 0x34));
    assert_eq!(of_start.duration, Some(0x01_a599_b0));
    assert_eq!((of_start.segment, of_start.segments_expected), (2, 0));
    assert_eq!(of_start.upid, Upid { kind: 8, data: vec![0, 0, 0, 0, 0x2c, 0xa0, 0xa1, 0x8a] });
    let restrictions = of_start.restrictions.expect("restricted");
    assert!(!restrictions.web_delivery_allowed && restrictions.no_regional_blackout);
    let end = parse_section(&section(PLACEMENT_END)).expect("sound");
    let of_end = end.segmentations().next().expect("one");
    assert_eq!(of_end.kind.start(), Some(of_start.kind));
    assert_eq!(of_start.kind.end(), Some(of_end.kind));
    let both = parse_section(&section(OVERLAP)).expect("sound");
    let kinds: Vec<u8> = both.segmentations().map(|it| it.kind.0).collect();
    assert_eq!(kinds, [0x18, 0x11]);
}

#[test]
fn what_is_read_is_written_back_bit_for_bit() {
    for text in [PLACEMENT_START, PLACEMENT_END, INSERT, OVERLAP] {
        let bytes = section(text);
        let info = parse_section(&bytes).expect("sound");
        assert_eq!(write_section(&info).as_deref(), Some(&bytes[..]), "{text}");
        assert_eq!(base64(&bytes), text);
        assert_eq!(from_hex(&format!("0x{}", hex(&bytes))), Some(bytes));
    }
}

#[test]
fn commands_without_a_told_length_and_encrypted_ones() {
    let with = |at: usize, bytes: &[u8]| {
        let mut section = section(INSERT);
        section[at..at + bytes.len()].copy_from_slice(bytes);
        let end = section.len() - 4;
        let crc = crate::engine::mpegts::crc::crc32(&section[..end]).to_be_bytes();
        section[end..].copy_from_slice(&crc);
        section
    };
    let plain = parse_section(&section(INSERT)).expect("sound");
    assert_eq!(parse_section(&with(11, &[0xff, 0xff])), Ok(plain));
    let encrypted = parse_section(&with(4, &[0x82])).expect("passed on");
    assert_eq!(encrypted.command, SpliceCommand::Encrypted { algorithm: 1 });
    assert!(encrypted.descriptors.is_empty() && write_section(&encrypted).is_none());
    assert_eq!(parse_section(&with(3, &[9])), Err(Scte35Error::Version { found: 9 }));
    assert_eq!(parse_section(&with(0, &[2])), Err(Scte35Error::Table { found: 2 }));
    // A schedule of untold length with an event of each form, and no descriptors.
    let schedule = [
        &[3][..],
        &[0, 0, 0, 1, 0xff],
        &[0, 0, 0, 2, 0x7f, 0xff, 1, 2, 3, 4, 0xfe, 0, 0, 0, 9, 0, 7, 0, 0],
        &[0, 0, 0, 3, 0x7f, 0x1f, 1, 5, 1, 2, 3, 4, 0, 7, 0, 0],
    ]
    .concat();
    let info = SpliceInfo {
        command: SpliceCommand::Schedule(schedule),
        descriptors: vec![SpliceDescriptor::Avail(7)],
        ..parse_section(&section(INSERT)).expect("sound")
    };
    let mut told = write_section(&info).expect("short");
    assert_eq!(parse_section(&told), Ok(info.clone()));
    told[11..13].copy_from_slice(&[0xff, 0xff]);
    let end = told.len() - 4;
    let crc = crate::engine::mpegts::crc::crc32(&told[..end]).to_be_bytes();
    told[end..].copy_from_slice(&crc);
    assert_eq!(parse_section(&told), Ok(info));
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    for text in [PLACEMENT_START, INSERT, OVERLAP] {
        let bytes = section(text);
        for at in 0..bytes.len() {
            assert!(parse_section(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(parse_section(&damaged).is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn several_upids_in_one() {
    let upid = Upid { kind: 0x0d, data: b"\x09\x03abc\x03\x02XY\x0f\x09cut".to_vec() };
    let parts: Vec<(u8, Option<String>)> =
        upid.parts().iter().map(|it| (it.kind, it.as_text().map(str::to_owned))).collect();
    assert_eq!(parts, [(9, Some("abc".to_owned())), (3, Some("XY".to_owned()))]);
    assert!(Upid::default().parts().is_empty());
}

#[test]
fn the_table_of_types_pairs_starts_with_ends() {
    for (start, end) in [(0x10, 0x11), (0x22, 0x23), (0x30, 0x31), (0x46, 0x47), (0x50, 0x51)] {
        assert_eq!(SegmentationType(start).end(), Some(SegmentationType(end)));
        assert_eq!(SegmentationType(end).start(), Some(SegmentationType(start)));
    }
    for alone in [0x00, 0x01, 0x02, 0x13, 0x14, 0x18, 0x60] {
        assert_eq!(SegmentationType(alone).end(), None, "{alone:#x}");
        assert_eq!(SegmentationType(alone).start(), None, "{alone:#x}");
    }
    assert_eq!(SegmentationType(0x34).name(), Some("Provider Placement Opportunity Start"));
    assert_eq!(SegmentationType(0x60).name(), None);
}

#[test]
fn xml_of_a_time_signal() {
    let mut out = String::new();
    push_xml(&mut out, &parse_section(&section(PLACEMENT_START)).expect("sound"));
    let expected = "<scte35:SpliceInfoSection xmlns:scte35=\"http://www.scte.org/schemas/35/2016\" \
        protocolVersion=\"0\" ptsAdjustment=\"0\" tier=\"4095\">\n\
        <scte35:TimeSignal>\n<scte35:SpliceTime ptsTime=\"1924989008\"/>\n</scte35:TimeSignal>\n\
        <scte35:SegmentationDescriptor segmentationEventId=\"1207959694\" \
        segmentationEventCancelIndicator=\"false\" segmentationDuration=\"27630000\" \
        segmentationTypeId=\"52\" segmentNum=\"2\" segmentsExpected=\"0\">\n\
        <scte35:DeliveryRestrictions webDeliveryAllowedFlag=\"false\" \
        noRegionalBlackoutFlag=\"true\" archiveAllowedFlag=\"true\" deviceRestrictions=\"3\"/>\n\
        <scte35:SegmentationUpid segmentationUpidType=\"8\" \
        segmentationUpidFormat=\"hexbinary\">000000002CA0A18A</scte35:SegmentationUpid>\n\
        </scte35:SegmentationDescriptor>\n</scte35:SpliceInfoSection>\n";
    assert_eq!(out, expected);
}

#[test]
fn xml_of_a_splice_insert() {
    let mut out = String::new();
    push_xml(&mut out, &parse_section(&section(INSERT)).expect("sound"));
    let expected = "<scte35:SpliceInsert spliceEventId=\"1207959695\" \
        spliceEventCancelIndicator=\"false\" outOfNetworkIndicator=\"true\" \
        spliceImmediateFlag=\"false\" uniqueProgramId=\"0\" availNum=\"0\" availsExpected=\"0\">\n\
        <scte35:Program><scte35:SpliceTime ptsTime=\"1936310318\"/>\n</scte35:Program>\n\
        <scte35:BreakDuration autoReturn=\"true\" duration=\"5426421\"/>\n</scte35:SpliceInsert>\n\
        <scte35:AvailDescriptor providerAvailId=\"309\"/>\n</scte35:SpliceInfoSection>\n";
    assert_eq!(out.split_once(">\n").expect("a root").1, expected);
}

fn any_event() -> impl Strategy<Value = SpliceEvent> {
    let time = || prop::option::of(0..SPLICE_TIME_MODULUS);
    let duration = (any::<bool>(), 0..SPLICE_TIME_MODULUS);
    (any::<(bool, bool, u16, u8, u8)>(), time(), prop::option::of(duration)).prop_map(
        |((out_of_network, is_id_arbitrary, program_id, avail, expected), time, duration)| {
            SpliceEvent {
                out_of_network,
                is_program: true,
                time,
                duration: duration.map(|(auto_return, ticks)| BreakDuration { auto_return, ticks }),
                is_id_arbitrary,
                program_id,
                avail,
                avails_expected: expected,
            }
        },
    )
}

fn any_segmentation() -> impl Strategy<Value = SpliceDescriptor> {
    let restrictions = any::<(bool, bool, bool)>().prop_flat_map(|flags| {
        (0..4_u8).prop_map(move |device_restrictions| DeliveryRestrictions {
            web_delivery_allowed: flags.0,
            no_regional_blackout: flags.1,
            archive_allowed: flags.2,
            device_restrictions,
        })
    });
    let components = prop::collection::vec((any::<u8>(), 0..SPLICE_TIME_MODULUS), 0..3);
    let upid = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..60));
    (
        any::<(u32, bool, u8, u8, u8)>(),
        prop::option::of(restrictions),
        components,
        prop::option::of(0..1_u64 << 40),
        upid,
        any::<Option<(u8, u8)>>(),
    )
        .prop_map(|(numbers, restrictions, components, duration, upid, sub_segment)| {
            let (event_id, is_id_arbitrary, kind, segment, segments_expected) = numbers;
            let components =
                components.into_iter().map(|(tag, pts_offset)| ComponentOffset { tag, pts_offset });
            SpliceDescriptor::Segmentation(SegmentationDescriptor {
                event_id,
                is_cancelled: false,
                is_id_arbitrary,
                restrictions,
                components: components.collect(),
                duration,
                upid: Upid { kind: upid.0, data: upid.1 },
                kind: SegmentationType(kind),
                segment,
                segments_expected,
                sub_segment,
            })
        })
}

fn any_info() -> impl Strategy<Value = SpliceInfo> {
    let command = prop_oneof![
        Just(SpliceCommand::Null),
        Just(SpliceCommand::BandwidthReservation),
        prop::option::of(0..SPLICE_TIME_MODULUS).prop_map(SpliceCommand::TimeSignal),
        (any::<u32>(), prop::option::of(any_event())).prop_map(|(event_id, event)| {
            SpliceCommand::Insert(SpliceInsert { event_id, event })
        }),
        (any::<u32>(), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(identifier, data)| SpliceCommand::Private { identifier, data }),
    ];
    let descriptor = prop_oneof![
        any::<u32>().prop_map(SpliceDescriptor::Avail),
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..8))
            .prop_map(|(preroll, tones)| SpliceDescriptor::Dtmf { preroll, tones }),
        (0..1_u64 << 48, any::<u32>(), any::<u16>()).prop_map(
            |(tai_seconds, tai_ns, utc_offset)| {
                SpliceDescriptor::Time { tai_seconds, tai_ns, utc_offset }
            }
        ),
        prop::collection::vec(any::<u8>(), 0..20)
            .prop_map(|body| SpliceDescriptor::Unknown(0xf0, body)),
        any_segmentation(),
    ];
    let descriptors = prop::collection::vec(descriptor, 0..4);
    (command, descriptors, 0..SPLICE_TIME_MODULUS, 0..0x1000_u16).prop_map(
        |(command, descriptors, pts_adjustment, tier)| SpliceInfo {
            protocol_version: 0,
            sap_type: 3,
            pts_adjustment,
            control_word: 0xff,
            tier,
            command,
            descriptors,
        },
    )
}

proptest! {
    #[test]
    fn messages_read_as_they_were_written(info in any_info()) {
        let section = write_section(&info).expect("short");
        prop_assert_eq!(parse_section(&section), Ok(info));
    }

    #[test]
    fn no_bytes_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "[A-Za-z0-9+/=]{0,40}",
    ) {
        // With a sound frame around them, so that all of the reader sees them.
        let length = u16::try_from(bytes.len() + 5).expect("short") | 0x3000;
        let [high, low] = length.to_be_bytes();
        bytes.splice(0..0, [0xfc, high, low, 0]);
        let crc = crate::engine::mpegts::crc::crc32(&bytes).to_be_bytes();
        bytes.extend_from_slice(&crc);
        if let Ok(info) = parse_section(&bytes) {
            push_xml(&mut String::new(), &info);
            let _ = write_section(&info);
        }
        if let Some(data) = from_base64(&text) {
            prop_assert_eq!(from_base64(&base64(&data)), Some(data));
        }
    }
}
