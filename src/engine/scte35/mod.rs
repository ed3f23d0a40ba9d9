//! Splice information: what ANSI/SCTE 35 2023 messages say, read and written.
//!
//! [`parse_section`] reads a `splice_info_section` (§9.6) whole, [`write_section`] is its inverse,
//! and [`push_xml`] writes it in the vocabulary of §11. What a message means for an endpoint's
//! output is not judged here, and no time is unwrapped: times are 33-bit, at 90 kHz.

mod descriptor;
mod parse;
mod text;
mod write;
mod xml;

#[cfg(test)]
mod tests;

pub use descriptor::{
    AudioComponent, ComponentOffset, DeliveryRestrictions, SegmentationDescriptor,
    SegmentationType, SpliceDescriptor, Upid,
};
pub use parse::parse_section;
pub use text::{base64, from_base64, from_hex, hex};
pub use write::write_section;
pub use xml::push_xml;

/// Splice times are counted modulo this.
pub const SPLICE_TIME_MODULUS: u64 = 1 << 33;

/// A `splice_info_section` (§9.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpliceInfo {
    /// `protocol_version`: 0.
    pub protocol_version: u8,
    /// `sap_type`, two bits.
    pub sap_type: u8,
    /// To be added to every time in the message, in 90 kHz ticks.
    pub pts_adjustment: u64,
    /// `cw_index`.
    pub control_word: u8,
    /// Authorisation tier, twelve bits; 0xFFF for all.
    pub tier: u16,
    /// What is to be done.
    pub command: SpliceCommand,
    /// What is said beside it, in order; none of an encrypted message.
    pub descriptors: Vec<SpliceDescriptor>,
}

/// A splice command (§9.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpliceCommand {
    /// `splice_null`: nothing; a sign of life.
    Null,
    /// `splice_schedule`, whose events are by wall clock and are not read.
    Schedule(Vec<u8>),
    /// `splice_insert`.
    Insert(SpliceInsert),
    /// `time_signal`, with its time; `None` for now.
    TimeSignal(Option<u64>),
    /// `bandwidth_reservation`: nothing.
    BandwidthReservation,
    /// `private_command`.
    Private {
        /// Whose it is.
        identifier: u32,
        /// What it says.
        data: Vec<u8>,
    },
    /// Another command, with what it holds.
    Unknown(u8, Vec<u8>),
    /// The section is encrypted from the command on (§9.6, `encrypted_packet`).
    Encrypted {
        /// `encryption_algorithm`.
        algorithm: u8,
    },
}

/// `splice_insert` (§9.7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpliceInsert {
    /// `splice_event_id`.
    pub event_id: u32,
    /// What is to happen; `None` where an earlier message of this id is cancelled.
    pub event: Option<SpliceEvent>,
}

/// An event of a `splice_insert` that is not cancelled. Of splices by component, the first
/// component's time counts: all of one program that are carried here switch together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpliceEvent {
    /// True where the network is left, false where it is returned to.
    pub out_of_network: bool,
    /// True where all components are spliced together.
    pub is_program: bool,
    /// When; `None` for now.
    pub time: Option<u64>,
    /// How long it lasts.
    pub duration: Option<BreakDuration>,
    /// `event_id_compliance_flag`, inverted: the id is as §9.9.3 wants it where false.
    pub is_id_arbitrary: bool,
    /// `unique_program_id`.
    pub program_id: u16,
    /// `avail_num`.
    pub avail: u8,
    /// `avails_expected`.
    pub avails_expected: u8,
}

/// `break_duration()` (§9.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakDuration {
    /// The network is returned to by itself once it is over.
    pub auto_return: bool,
    /// In 90 kHz ticks, 33 bits.
    pub ticks: u64,
}

/// Why a section is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Scte35Error {
    /// It is of another table.
    #[error("expected table 0xfc at byte 0, found {found:#04x}")]
    Table {
        /// `table_id`.
        found: u8,
    },
    /// Its length is not what it says.
    #[error("section says {said} bytes, found {found}")]
    Length {
        /// By `section_length`.
        said: usize,
        /// What came.
        found: usize,
    },
    /// A field runs past the end of what holds it.
    #[error("{field} runs past the end at byte {offset}")]
    Short {
        /// The field.
        field: &'static str,
        /// Where it begins.
        offset: usize,
    },
    /// Its checksum is wrong.
    #[error("section's checksum is wrong")]
    Checksum,
    /// A version that is not known.
    #[error("expected protocol version 0 at byte 3, found {found}")]
    Version {
        /// `protocol_version`.
        found: u8,
    },
    /// More descriptors or components than a section may have.
    #[error("more than {max} entries at byte {offset}")]
    TooMany {
        /// The bound.
        max: usize,
        /// Where the first one beyond begins.
        offset: usize,
    },
}

impl SpliceInfo {
    /// The splice time on the source's clock, `pts_adjustment` added; `None` for now, or where the
    /// command has none.
    #[must_use]
    pub fn splice_time(&self) -> Option<u64> {
        let time = match &self.command {
            SpliceCommand::Insert(insert) => insert.event?.time?,
            SpliceCommand::TimeSignal(time) => (*time)?,
            _ => return None,
        };
        Some((time + self.pts_adjustment) % SPLICE_TIME_MODULUS)
    }

    /// Its segmentation descriptors, in order.
    pub fn segmentations(&self) -> impl Iterator<Item = &SegmentationDescriptor> {
        self.descriptors.iter().filter_map(|descriptor| match descriptor {
            SpliceDescriptor::Segmentation(segmentation) => Some(segmentation),
            _ => None,
        })
    }

    /// True where the message speaks of a point of the programme: manifests may tell of it.
    #[must_use]
    pub const fn is_marker(&self) -> bool {
        matches!(self.command, SpliceCommand::Insert(_) | SpliceCommand::TimeSignal(_))
    }
}
