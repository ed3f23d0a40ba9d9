//! Reading a `splice_info_section` (ANSI/SCTE 35 2023 §9.6 to §10.3).
//!
//! The checksum is judged first, so that what follows is what the sender wrote. Descriptors of
//! others are kept verbatim; one that is cut ends the list with an error.

use super::descriptor::{
    AudioComponent, ComponentOffset, DeliveryRestrictions, SegmentationDescriptor,
    SegmentationType, SpliceDescriptor, Upid,
};
use super::{BreakDuration, Scte35Error, SpliceCommand, SpliceEvent, SpliceInfo, SpliceInsert};
use crate::engine::bits::{BitError, BitReader};
use crate::engine::mpegts::crc::crc32;
use crate::limits::{SPLICE_COMPONENT_COUNT_MAX, SPLICE_DESCRIPTOR_COUNT_MAX};

pub(super) const TABLE_SPLICE_INFO: u8 = 0xfc;
/// `identifier` of the standard's own descriptors.
pub(super) const CUEI: u32 = u32::from_be_bytes(*b"CUEI");
/// `splice_command_length` of senders that do not tell it.
const LENGTH_UNTOLD: usize = 0xfff;

/// A field reader that tells which field was cut, by its offset in the section.
struct Fields<'a> {
    bits: BitReader<'a>,
    data: &'a [u8],
    /// Offset of `data` in the section.
    base: usize,
}

impl<'a> Fields<'a> {
    const fn new(data: &'a [u8], base: usize) -> Self {
        Self { bits: BitReader::new(data), data, base }
    }

    const fn offset(&self) -> usize {
        self.base + self.bits.position() / 8
    }

    fn short(&self, field: &'static str) -> impl FnOnce(BitError) -> Scte35Error + use<> {
        let offset = self.offset();
        move |_| Scte35Error::Short { field, offset }
    }

    fn flag(&mut self, field: &'static str) -> Result<bool, Scte35Error> {
        let short = self.short(field);
        self.bits.flag().map_err(short)
    }

    fn small(&mut self, field: &'static str, count: u8) -> Result<u8, Scte35Error> {
        let short = self.short(field);
        self.bits.small(count).map_err(short)
    }

    fn u16(&mut self, field: &'static str, count: u8) -> Result<u16, Scte35Error> {
        let [.., high, low] = self.u32(field, count)?.to_be_bytes();
        Ok(u16::from_be_bytes([high, low]))
    }

    fn u32(&mut self, field: &'static str, count: u8) -> Result<u32, Scte35Error> {
        let short = self.short(field);
        self.bits.bits(count).map_err(short)
    }

    /// A field of 33 to 48 bits.
    fn u64(&mut self, field: &'static str, count: u8) -> Result<u64, Scte35Error> {
        let high = self.u32(field, count - 32)?;
        Ok(u64::from(high) << 32 | u64::from(self.u32(field, 32)?))
    }

    fn skip(&mut self, field: &'static str, count: usize) -> Result<(), Scte35Error> {
        let short = self.short(field);
        self.bits.skip(count).map_err(short)
    }

    /// The next `count` bytes, at a byte's boundary.
    fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], Scte35Error> {
        debug_assert_eq!(self.bits.position() % 8, 0);
        let from = self.bits.position() / 8;
        self.skip(field, count.saturating_mul(8))?;
        Ok(&self.data[from..from + count])
    }

    const fn bytes_left(&self) -> usize {
        self.bits.remaining() / 8
    }
}

/// Reads a section, from its `table_id` to its `CRC_32`.
///
/// # Errors
///
/// [`Scte35Error`] where it is damaged, cut or of another kind.
pub fn parse_section(section: &[u8]) -> Result<SpliceInfo, Scte35Error> {
    let mut fields = Fields::new(section, 0);
    let table = fields.small("table_id", 8)?;
    if table != TABLE_SPLICE_INFO {
        return Err(Scte35Error::Table { found: table });
    }
    fields.skip("section_syntax_indicator", 2)?;
    let sap_type = fields.small("sap_type", 2)?;
    let said = 3 + usize::from(fields.u16("section_length", 12)?);
    if said != section.len() {
        return Err(Scte35Error::Length { said, found: section.len() });
    }
    if crc32(section) != 0 {
        return Err(Scte35Error::Checksum);
    }
    let end = section.len().saturating_sub(4);
    let mut fields = Fields::new(section.get(3..end).unwrap_or_default(), 3);
    let protocol_version = fields.small("protocol_version", 8)?;
    if protocol_version != 0 {
        return Err(Scte35Error::Version { found: protocol_version });
    }
    let is_encrypted = fields.flag("encrypted_packet")?;
    let algorithm = fields.small("encryption_algorithm", 6)?;
    let pts_adjustment = fields.u64("pts_adjustment", 33)?;
    let control_word = fields.small("cw_index", 8)?;
    let tier = fields.u16("tier", 12)?;
    let command_length = usize::from(fields.u16("splice_command_length", 12)?);
    let (command, descriptors) = if is_encrypted {
        (SpliceCommand::Encrypted { algorithm }, Vec::new())
    } else {
        let command = parse_command(&mut fields, command_length)?;
        (command, parse_descriptors(&mut fields)?)
    };
    Ok(SpliceInfo {
        protocol_version,
        sap_type,
        pts_adjustment,
        control_word,
        tier,
        command,
        descriptors,
    })
}

fn parse_command(fields: &mut Fields<'_>, length: usize) -> Result<SpliceCommand, Scte35Error> {
    let kind = fields.small("splice_command_type", 8)?;
    if length == LENGTH_UNTOLD {
        return parse_command_body(fields, kind, None);
    }
    let base = fields.offset();
    let mut body = Fields::new(fields.take("splice_command", length)?, base);
    parse_command_body(&mut body, kind, Some(length))
}

/// The command of `kind` in `fields`, which hold nothing else where its `length` is told.
fn parse_command_body(
    fields: &mut Fields<'_>,
    kind: u8,
    length: Option<usize>,
) -> Result<SpliceCommand, Scte35Error> {
    Ok(match (kind, length) {
        (0x00, _) => SpliceCommand::Null,
        (0x04, Some(length)) => {
            SpliceCommand::Schedule(fields.take("splice_schedule", length)?.to_vec())
        }
        (0x04, None) => SpliceCommand::Schedule(skip_schedule(fields)?),
        (0x05, _) => SpliceCommand::Insert(parse_insert(fields)?),
        (0x06, _) => SpliceCommand::TimeSignal(parse_time(fields)?),
        (0x07, _) => SpliceCommand::BandwidthReservation,
        (0xff, Some(length)) => {
            let identifier = fields.u32("identifier", 32)?;
            let data = fields.take("private_byte", length.saturating_sub(4))?.to_vec();
            SpliceCommand::Private { identifier, data }
        }
        (kind, Some(length)) => {
            SpliceCommand::Unknown(kind, fields.take("splice_command", length)?.to_vec())
        }
        // Where such a command ends nobody can tell.
        (_, None) => {
            let offset = fields.offset();
            return Err(Scte35Error::Short { field: "splice_command_length", offset });
        }
    })
}

/// Passes over a `splice_schedule` (§9.7.2) of untold length, and returns its bytes.
fn skip_schedule(fields: &mut Fields<'_>) -> Result<Vec<u8>, Scte35Error> {
    let from = fields.bits.position() / 8;
    for _ in 0..fields.small("splice_count", 8)? {
        fields.skip("splice_event_id", 32)?;
        let is_cancelled = fields.flag("splice_event_cancel_indicator")?;
        fields.skip("reserved", 7)?;
        if is_cancelled {
            continue;
        }
        fields.skip("out_of_network_indicator", 1)?;
        let is_program = fields.flag("program_splice_flag")?;
        let has_duration = fields.flag("duration_flag")?;
        fields.skip("reserved", 5)?;
        let components = if is_program { None } else { Some(fields.small("component_count", 8)?) };
        fields.skip("utc_splice_time", components.map_or(32, |count| usize::from(count) * 40))?;
        fields.skip("break_duration", if has_duration { 40 } else { 0 })?;
        fields.skip("unique_program_id", 32)?;
    }
    let to = fields.bits.position() / 8;
    Ok(fields.data[from..to].to_vec())
}

/// `splice_time()` (§9.8.1).
fn parse_time(fields: &mut Fields<'_>) -> Result<Option<u64>, Scte35Error> {
    if fields.flag("time_specified_flag")? {
        fields.skip("reserved", 6)?;
        Ok(Some(fields.u64("pts_time", 33)?))
    } else {
        fields.skip("reserved", 7)?;
        Ok(None)
    }
}

fn parse_insert(fields: &mut Fields<'_>) -> Result<SpliceInsert, Scte35Error> {
    let event_id = fields.u32("splice_event_id", 32)?;
    let is_cancelled = fields.flag("splice_event_cancel_indicator")?;
    fields.skip("reserved", 7)?;
    if is_cancelled {
        return Ok(SpliceInsert { event_id, event: None });
    }
    let out_of_network = fields.flag("out_of_network_indicator")?;
    let is_program = fields.flag("program_splice_flag")?;
    let has_duration = fields.flag("duration_flag")?;
    let is_immediate = fields.flag("splice_immediate_flag")?;
    let is_id_arbitrary = !fields.flag("event_id_compliance_flag")?;
    fields.skip("reserved", 3)?;
    let mut time = None;
    if is_program && !is_immediate {
        time = parse_time(fields)?;
    } else if !is_program {
        for at in 0..fields.small("component_count", 8)? {
            fields.skip("component_tag", 8)?;
            let own = if is_immediate { None } else { parse_time(fields)? };
            time = if at == 0 { own } else { time };
        }
    }
    let duration = if has_duration { Some(parse_duration(fields)?) } else { None };
    Ok(SpliceInsert {
        event_id,
        event: Some(SpliceEvent {
            out_of_network,
            is_program,
            time,
            duration,
            is_id_arbitrary,
            program_id: fields.u16("unique_program_id", 16)?,
            avail: fields.small("avail_num", 8)?,
            avails_expected: fields.small("avails_expected", 8)?,
        }),
    })
}

fn parse_duration(fields: &mut Fields<'_>) -> Result<BreakDuration, Scte35Error> {
    let auto_return = fields.flag("auto_return")?;
    fields.skip("reserved", 6)?;
    Ok(BreakDuration { auto_return, ticks: fields.u64("duration", 33)? })
}

fn parse_descriptors(fields: &mut Fields<'_>) -> Result<Vec<SpliceDescriptor>, Scte35Error> {
    let length = usize::from(fields.u16("descriptor_loop_length", 16)?);
    let base = fields.offset();
    let mut rest = Fields::new(fields.take("descriptor_loop_length", length)?, base);
    let mut descriptors = Vec::new();
    while rest.bytes_left() > 0 {
        let offset = rest.offset();
        if descriptors.len() == SPLICE_DESCRIPTOR_COUNT_MAX {
            return Err(Scte35Error::TooMany { max: SPLICE_DESCRIPTOR_COUNT_MAX, offset });
        }
        let tag = rest.small("splice_descriptor_tag", 8)?;
        let length = usize::from(rest.small("descriptor_length", 8)?);
        let base = rest.offset();
        let body = rest.take("splice_descriptor", length)?;
        descriptors.push(parse_descriptor(tag, body, base)?);
    }
    Ok(descriptors)
}

fn parse_descriptor(tag: u8, body: &[u8], base: usize) -> Result<SpliceDescriptor, Scte35Error> {
    let mut fields = Fields::new(body, base);
    let is_own = fields.u32("identifier", 32).is_ok_and(|identifier| identifier == CUEI);
    let descriptor = match tag {
        0x00 if is_own => SpliceDescriptor::Avail(fields.u32("provider_avail_id", 32)?),
        0x01 if is_own => {
            let preroll = fields.small("preroll", 8)?;
            let count = usize::from(fields.small("dtmf_count", 3)?);
            fields.skip("reserved", 5)?;
            SpliceDescriptor::Dtmf { preroll, tones: fields.take("DTMF_char", count)?.to_vec() }
        }
        0x02 if is_own => SpliceDescriptor::Segmentation(parse_segmentation(&mut fields)?),
        0x03 if is_own => SpliceDescriptor::Time {
            tai_seconds: fields.u64("TAI_seconds", 48)?,
            tai_ns: fields.u32("TAI_ns", 32)?,
            utc_offset: fields.u16("UTC_offset", 16)?,
        },
        0x04 if is_own => SpliceDescriptor::Audio(parse_audio(&mut fields)?),
        _ => SpliceDescriptor::Unknown(tag, body.to_vec()),
    };
    Ok(descriptor)
}

fn parse_audio(fields: &mut Fields<'_>) -> Result<Vec<AudioComponent>, Scte35Error> {
    let count = fields.small("audio_count", 4)?;
    fields.skip("reserved", 4)?;
    let component = |_| {
        Ok(AudioComponent {
            tag: fields.small("component_tag", 8)?,
            language: [
                fields.small("ISO_code", 8)?,
                fields.small("ISO_code", 8)?,
                fields.small("ISO_code", 8)?,
            ],
            bit_stream_mode: fields.small("Bit_Stream_Mode", 3)?,
            channels: fields.small("Num_Channels", 4)?,
            full_service: fields.flag("Full_Srvc_Audio")?,
        })
    };
    (0..count).map(component).collect()
}

fn parse_segmentation(fields: &mut Fields<'_>) -> Result<SegmentationDescriptor, Scte35Error> {
    let event_id = fields.u32("segmentation_event_id", 32)?;
    let is_cancelled = fields.flag("segmentation_event_cancel_indicator")?;
    let is_id_arbitrary = !fields.flag("segmentation_event_id_compliance_indicator")?;
    fields.skip("reserved", 6)?;
    let mut segmentation = SegmentationDescriptor {
        event_id,
        is_cancelled,
        is_id_arbitrary,
        restrictions: None,
        components: Vec::new(),
        duration: None,
        upid: Upid::default(),
        kind: SegmentationType(0),
        segment: 0,
        segments_expected: 0,
        sub_segment: None,
    };
    if is_cancelled {
        return Ok(segmentation);
    }
    let is_program = fields.flag("program_segmentation_flag")?;
    let has_duration = fields.flag("segmentation_duration_flag")?;
    let is_unrestricted = fields.flag("delivery_not_restricted_flag")?;
    let restrictions = DeliveryRestrictions {
        web_delivery_allowed: fields.flag("web_delivery_allowed_flag")?,
        no_regional_blackout: fields.flag("no_regional_blackout_flag")?,
        archive_allowed: fields.flag("archive_allowed_flag")?,
        device_restrictions: fields.small("device_restrictions", 2)?,
    };
    segmentation.restrictions = (!is_unrestricted).then_some(restrictions);
    if !is_program {
        segmentation.components = parse_components(fields)?;
    }
    if has_duration {
        segmentation.duration = Some(fields.u64("segmentation_duration", 40)?);
    }
    let kind = fields.small("segmentation_upid_type", 8)?;
    let length = usize::from(fields.small("segmentation_upid_length", 8)?);
    let data = fields.take("segmentation_upid", length)?.to_vec();
    segmentation.upid = Upid { kind, data };
    segmentation.kind = SegmentationType(fields.small("segmentation_type_id", 8)?);
    segmentation.segment = fields.small("segment_num", 8)?;
    segmentation.segments_expected = fields.small("segments_expected", 8)?;
    // Which types have them differs between editions; the descriptor's length tells.
    if fields.bytes_left() >= 2 {
        let number = fields.small("sub_segment_num", 8)?;
        segmentation.sub_segment = Some((number, fields.small("sub_segments_expected", 8)?));
    }
    Ok(segmentation)
}

fn parse_components(fields: &mut Fields<'_>) -> Result<Vec<ComponentOffset>, Scte35Error> {
    let count = usize::from(fields.small("component_count", 8)?);
    if count > SPLICE_COMPONENT_COUNT_MAX {
        let (max, offset) = (SPLICE_COMPONENT_COUNT_MAX, fields.offset());
        return Err(Scte35Error::TooMany { max, offset });
    }
    let component = |_| {
        let tag = fields.small("component_tag", 8)?;
        fields.skip("reserved", 7)?;
        Ok(ComponentOffset { tag, pts_offset: fields.u64("pts_offset", 33)? })
    };
    (0..count).map(component).collect()
}
