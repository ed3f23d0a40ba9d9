//! Headers made by hand, and streams of an encoder that has the extensions.

use super::raw_data_block::RawDataBlock;
use super::*;
use proptest::prelude::*;

const HE_AAC: &[u8] = include_bytes!("../../../../tests/fixtures/he-aac-v1.aac");
const HE_AAC_V2: &[u8] = include_bytes!("../../../../tests/fixtures/he-aac-v2.aac");
const MONO: &[u8] = include_bytes!("../../../../tests/fixtures/he-aac-mono.aac");
const BLOCKS: &[u8] = include_bytes!("../../../../tests/fixtures/he-aac-blocks.aac");
const BLOCKS_CRC: &[u8] = include_bytes!("../../../../tests/fixtures/he-aac-blocks-crc.aac");

/// The access units of an ADTS stream, and the header of its first frame.
fn units(mut stream: &[u8]) -> (AdtsHeader, Vec<&[u8]>) {
    let first = parse_adts(stream.first_chunk().expect("a frame")).expect("a header");
    let mut units = Vec::new();
    while let Some(head) = stream.first_chunk() {
        let header = parse_adts(head).expect("a header");
        let (frame, rest) = stream.split_at(header.frame_size);
        units.extend(header.blocks(frame).expect("blocks").into_iter().map(|it| &frame[it]));
        stream = rest;
    }
    (first, units)
}

fn config_of(stream: &[u8]) -> AacConfig {
    let (header, units) = units(stream);
    let mut contents = AacContents::default();
    for unit in units {
        header.inspect(unit, &mut contents);
    }
    header.config(&contents).expect("channels are told")
}

#[test]
fn extensions_are_found_in_the_frames() {
    for (stream, specific, codec, rate, channels) in [
        (HE_AAC, &[0x13, 0x10, 0x56, 0xe5, 0x98][..], 5, 48_000, 2),
        (BLOCKS, &[0x13, 0x10, 0x56, 0xe5, 0x98], 5, 48_000, 2),
        (BLOCKS_CRC, &[0x13, 0x10, 0x56, 0xe5, 0x98], 5, 48_000, 2),
        (MONO, &[0x14, 0x08, 0x56, 0xe5, 0xad, 0x48, 0x00], 5, 32_000, 1),
        (HE_AAC_V2, &[0x13, 0x88, 0x56, 0xe5, 0xa5, 0x48, 0x80], 29, 44_100, 2),
    ] {
        let config = config_of(stream);
        assert_eq!(config.audio_specific_config, specific);
        assert_eq!(config.object_type, codec);
        assert_eq!((config.sample_rate, config.frame_samples), (rate, 2048));
        assert_eq!(config.channels, channels);
    }
}

#[test]
fn every_unit_is_walked_to_its_end() {
    for (stream, count) in
        [(HE_AAC, 97), (HE_AAC_V2, 91), (MONO, 19), (BLOCKS, 27), (BLOCKS_CRC, 27)]
    {
        let (header, units) = units(stream);
        assert_eq!(units.len(), count);
        for unit in units {
            let block = walk_raw_data_block(unit, header.rate_index).expect("AAC-LC");
            assert_eq!(block.size, unit.len());
            assert!(block.replication.is_some());
        }
    }
}

#[test]
fn units_alike_in_every_part_of_a_stream() {
    for stream in [HE_AAC, HE_AAC_V2, MONO] {
        let (header, units) = units(stream);
        let whole = config_of(stream);
        for from in 0..units.len().saturating_sub(30) {
            let mut contents = AacContents::default();
            units[from..].iter().for_each(|unit| header.inspect(unit, &mut contents));
            assert_eq!(header.config(&contents), Some(whole.clone()), "from unit {from}");
        }
    }
}

#[test]
fn a_program_config_element_tells_the_channels() {
    let mut block = BitWriter::default();
    for fields in [
        // The element, its tag, LC, 48 kHz.
        &[(5, 3), (0, 4), (1, 2), (3, 4)][..],
        // How many: front, side, back, low frequency, data, coupling; no mixdown.
        &[(1, 4), (0, 4), (1, 4), (1, 2), (0, 3), (0, 4), (0, 3)],
        // A pair, a single one, the low-frequency one; alignment.
        &[(1, 1), (0, 4), (0, 1), (1, 4), (0, 4), (0, 5)],
        // A comment of two bytes; the end.
        &[(2, 8), (0x6869, 16), (7, 3)],
    ] {
        for &(value, size) in fields {
            block.put(value, size);
        }
    }
    let unit = block.finish();
    let walked = walk_raw_data_block(&unit, 3).expect("it has no channel to decode");
    let RawDataBlock { size, program: Some(program), .. } = walked else { panic!("{walked:?}") };
    assert_eq!((size, program.channels), (unit.len(), 4));

    let header = parse_adts(&[0xff, 0xf1, 0x4c, 0x00, 0x2e, 0x7f, 0xfc]).expect("valid");
    let mut contents = AacContents::default();
    assert_eq!(header.config(&contents), None, "nothing tells the channels");
    header.inspect(&unit, &mut contents);
    let config = header.config(&contents).expect("they are told now");
    assert_eq!(config.channels, 4);
    // The same element without its comment, behind 16 bits.
    assert_eq!(config.audio_specific_config[..2], [0x11, 0x80]);
    let mut again = vec![0xa0 | config.audio_specific_config[2] >> 3];
    let shifted = config.audio_specific_config[2..].windows(2);
    again.extend(shifted.map(|pair| pair[0] << 5 | pair[1] >> 3));
    assert_eq!(again[..7], unit[..7], "{:02x?}", config.audio_specific_config);
}

proptest! {
    #[test]
    fn no_bytes_panic(
        stream in prop::sample::select(vec![HE_AAC, HE_AAC_V2, MONO, BLOCKS, BLOCKS_CRC]),
        at in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (header, units) = units(stream);
        let mut contents = AacContents::default();
        for unit in &units[at.index(units.len())..] {
            let mut unit = unit.to_vec();
            for (at, byte) in &flips {
                *at.get_mut(&mut unit) = *byte;
            }
            header.inspect(&unit, &mut contents);
            header.inspect(&unit[..cut.index(unit.len())], &mut contents);
        }
        let _ = header.config(&contents);
    }

    #[test]
    fn no_frame_of_several_blocks_panics(
        mut frame in prop::collection::vec(any::<u8>(), 8..600),
        header in any::<[u8; 7]>(),
    ) {
        frame[..7].copy_from_slice(&header);
        (frame[0], frame[1]) = (0xff, 0xf0 | frame[1] & 1);
        if let Ok(header) = parse_adts(frame.first_chunk().expect("seven bytes")) {
            for block in header.blocks(&frame).into_iter().flatten() {
                prop_assert!(block.start < block.end && block.end <= frame.len());
            }
        }
    }
}

#[test]
fn a_frame_cut_within_its_header_has_no_blocks() {
    let header = [0xff, 0xf0, 0, 0, 1, 0x40, 0x7c];
    let header = parse_adts(&header).expect("valid, with a checksum");
    assert_eq!(header.blocks(&[0; 8]), Err(BlocksError::Position(header.header_size())));
}

#[test]
fn a_stereo_header_at_48_khz() {
    let header = parse_adts(&[0xff, 0xf1, 0x4c, 0x80, 0x2e, 0x7f, 0xfc]).expect("valid");
    assert_eq!((header.frame_size, header.header_size()), (0x173, 7));
    let config = header.config(&AacContents::default()).expect("its channels are told");
    assert_eq!(config.audio_specific_config, [0x11, 0x90]);
    assert_eq!((config.sample_rate, config.channels, config.object_type), (48_000, 2, 2));
}

#[test]
fn unusable_headers_say_why() {
    for (header, error) in [
        ([0xff, 0xe1, 0x4c, 0x80, 0x2e, 0x7f, 0xfc], AdtsError::NoSync),
        ([0xff, 0xf3, 0x4c, 0x80, 0x2e, 0x7f, 0xfc], AdtsError::NoSync),
        ([0xff, 0xf1, 0x7c, 0x80, 0x2e, 0x7f, 0xfc], AdtsError::SampleRate(15)),
        ([0xff, 0xf1, 0x4c, 0x80, 0x00, 0xe0, 0xfc], AdtsError::Size(7)),
        ([0xff, 0xf0, 0x4c, 0x80, 0x01, 0x1f, 0xfc], AdtsError::Size(8)),
        ([0xff, 0xf0, 0x4c, 0x80, 0x01, 0x5f, 0xfd], AdtsError::Size(10)),
    ] {
        assert_eq!(parse_adts(&header), Err(error));
    }
}
