//! Writing a `splice_info_section`: the inverse of the reader, for markers that a source gives
//! without a message. Splices by component are written as one of the whole program.

use super::descriptor::{SegmentationDescriptor, SpliceDescriptor};
use super::parse::{CUEI, TABLE_SPLICE_INFO};
use super::{SpliceCommand, SpliceEvent, SpliceInfo, SpliceInsert};
use crate::engine::bits::BitWriter;
use crate::engine::mpegts::crc::crc32;

/// `info` as a section, checksum included; `None` where a part of it is too long to be written, or
/// it is encrypted.
#[must_use]
pub fn write_section(info: &SpliceInfo) -> Option<Vec<u8>> {
    let (kind, command) = write_command(&info.command)?;
    let mut descriptors = Vec::new();
    for descriptor in &info.descriptors {
        let (tag, body) = write_descriptor(descriptor)?;
        descriptors.extend_from_slice(&[tag, u8::try_from(body.len()).ok()?]);
        descriptors.extend_from_slice(&body);
    }
    let length = 17 + command.len() + descriptors.len();
    let mut bits = BitWriter::default();
    bits.put(u32::from(TABLE_SPLICE_INFO), 8);
    bits.put(0, 2);
    bits.put(u32::from(info.sap_type), 2);
    bits.put(u32::try_from(length).ok().filter(|length| *length <= 0xfff)?, 12);
    bits.put(u32::from(info.protocol_version), 8);
    bits.put(0, 7);
    put_wide(&mut bits, info.pts_adjustment, 33);
    bits.put(u32::from(info.control_word), 8);
    bits.put(u32::from(info.tier), 12);
    bits.put(u32::try_from(command.len()).ok()?, 12);
    bits.put(u32::from(kind), 8);
    let mut section = bits.finish();
    section.extend_from_slice(&command);
    section.extend_from_slice(&u16::try_from(descriptors.len()).ok()?.to_be_bytes());
    section.extend_from_slice(&descriptors);
    let checksum = crc32(&section);
    section.extend_from_slice(&checksum.to_be_bytes());
    Some(section)
}

/// Appends the lowest `count` bits of `value`, 33 at least.
fn put_wide(bits: &mut BitWriter, value: u64, count: u8) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    bits.put(u32::from_be_bytes([a, b, c, d]), count - 32);
    bits.put(u32::from_be_bytes([e, f, g, h]), 32);
}

fn write_command(command: &SpliceCommand) -> Option<(u8, Vec<u8>)> {
    Some(match command {
        SpliceCommand::Null => (0x00, Vec::new()),
        SpliceCommand::Schedule(data) => (0x04, data.clone()),
        SpliceCommand::Insert(insert) => (0x05, write_insert(insert)),
        SpliceCommand::TimeSignal(time) => {
            let mut bits = BitWriter::default();
            put_time(&mut bits, *time);
            (0x06, bits.finish())
        }
        SpliceCommand::BandwidthReservation => (0x07, Vec::new()),
        SpliceCommand::Private { identifier, data } => {
            (0xff, [&identifier.to_be_bytes()[..], data].concat())
        }
        SpliceCommand::Unknown(kind, data) => (*kind, data.clone()),
        SpliceCommand::Encrypted { .. } => return None,
    })
}

fn put_time(bits: &mut BitWriter, time: Option<u64>) {
    bits.put(u32::from(time.is_some()), 1);
    match time {
        Some(time) => {
            bits.put(0x3f, 6);
            put_wide(bits, time, 33);
        }
        None => bits.put(0x7f, 7),
    }
}

fn write_insert(insert: &SpliceInsert) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.put(insert.event_id, 32);
    bits.put(u32::from(insert.event.is_none()), 1);
    bits.put(0x7f, 7);
    if let Some(event) = &insert.event {
        put_event(&mut bits, event);
    }
    bits.finish()
}

fn put_event(bits: &mut BitWriter, event: &SpliceEvent) {
    bits.put(u32::from(event.out_of_network), 1);
    bits.put(1, 1);
    bits.put(u32::from(event.duration.is_some()), 1);
    bits.put(u32::from(event.time.is_none()), 1);
    bits.put(u32::from(!event.is_id_arbitrary), 1);
    bits.put(7, 3);
    if event.time.is_some() {
        put_time(bits, event.time);
    }
    if let Some(duration) = event.duration {
        bits.put(u32::from(duration.auto_return), 1);
        bits.put(0x3f, 6);
        put_wide(bits, duration.ticks, 33);
    }
    bits.put(u32::from(event.program_id), 16);
    bits.put(u32::from(event.avail), 8);
    bits.put(u32::from(event.avails_expected), 8);
}

/// A descriptor's tag, and what follows its length.
fn write_descriptor(descriptor: &SpliceDescriptor) -> Option<(u8, Vec<u8>)> {
    let mut bits = BitWriter::default();
    bits.put(CUEI, 32);
    let tag = match descriptor {
        SpliceDescriptor::Avail(id) => {
            bits.put(*id, 32);
            0x00
        }
        SpliceDescriptor::Dtmf { preroll, tones } => {
            bits.put(u32::from(*preroll), 8);
            bits.put(u32::try_from(tones.len()).ok().filter(|count| *count < 8)?, 3);
            bits.put(0x1f, 5);
            tones.iter().for_each(|tone| bits.put(u32::from(*tone), 8));
            0x01
        }
        SpliceDescriptor::Segmentation(segmentation) => {
            put_segmentation(&mut bits, segmentation)?;
            0x02
        }
        SpliceDescriptor::Time { tai_seconds, tai_ns, utc_offset } => {
            put_wide(&mut bits, *tai_seconds, 48);
            bits.put(*tai_ns, 32);
            bits.put(u32::from(*utc_offset), 16);
            0x03
        }
        SpliceDescriptor::Audio(components) => {
            bits.put(u32::try_from(components.len()).ok().filter(|count| *count < 16)?, 4);
            bits.put(0xf, 4);
            for component in components {
                bits.put(u32::from(component.tag), 8);
                component.language.iter().for_each(|letter| bits.put(u32::from(*letter), 8));
                bits.put(u32::from(component.bit_stream_mode), 3);
                bits.put(u32::from(component.channels), 4);
                bits.put(u32::from(component.full_service), 1);
            }
            0x04
        }
        SpliceDescriptor::Unknown(tag, body) => return Some((*tag, body.clone())),
    };
    Some((tag, bits.finish()))
}

fn put_segmentation(bits: &mut BitWriter, it: &SegmentationDescriptor) -> Option<()> {
    bits.put(it.event_id, 32);
    bits.put(u32::from(it.is_cancelled), 1);
    bits.put(u32::from(!it.is_id_arbitrary), 1);
    bits.put(0x3f, 6);
    if it.is_cancelled {
        return Some(());
    }
    bits.put(u32::from(it.components.is_empty()), 1);
    bits.put(u32::from(it.duration.is_some()), 1);
    bits.put(u32::from(it.restrictions.is_none()), 1);
    match it.restrictions {
        None => bits.put(0x1f, 5),
        Some(restrictions) => {
            bits.put(u32::from(restrictions.web_delivery_allowed), 1);
            bits.put(u32::from(restrictions.no_regional_blackout), 1);
            bits.put(u32::from(restrictions.archive_allowed), 1);
            bits.put(u32::from(restrictions.device_restrictions), 2);
        }
    }
    if !it.components.is_empty() {
        bits.put(u32::from(u8::try_from(it.components.len()).ok()?), 8);
        for component in &it.components {
            bits.put(u32::from(component.tag), 8);
            bits.put(0x7f, 7);
            put_wide(bits, component.pts_offset, 33);
        }
    }
    if let Some(duration) = it.duration {
        put_wide(bits, duration, 40);
    }
    bits.put(u32::from(it.upid.kind), 8);
    bits.put(u32::from(u8::try_from(it.upid.data.len()).ok()?), 8);
    it.upid.data.iter().for_each(|byte| bits.put(u32::from(*byte), 8));
    bits.put(u32::from(it.kind.0), 8);
    bits.put(u32::from(it.segment), 8);
    bits.put(u32::from(it.segments_expected), 8);
    if let Some((number, expected)) = it.sub_segment {
        bits.put(u32::from(number), 8);
        bits.put(u32::from(expected), 8);
    }
    Some(())
}
