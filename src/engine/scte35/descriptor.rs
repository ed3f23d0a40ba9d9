//! Splice descriptors (ANSI/SCTE 35 2023 §10) as plain data.

/// A splice descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpliceDescriptor {
    /// `avail_descriptor`: `provider_avail_id` (§10.3.1).
    Avail(u32),
    /// `DTMF_descriptor` (§10.3.2).
    Dtmf {
        /// Tenths of a second before the splice.
        preroll: u8,
        /// Tones, `0` to `9`, `*` and `#`; seven at most.
        tones: Vec<u8>,
    },
    /// `segmentation_descriptor` (§10.3.3).
    Segmentation(SegmentationDescriptor),
    /// `time_descriptor` (§10.3.4): TAI seconds (48 bits), nanoseconds and the offset of UTC.
    Time {
        /// Seconds since 1970, 48 bits.
        tai_seconds: u64,
        /// Nanoseconds.
        tai_ns: u32,
        /// Seconds that TAI is ahead of UTC.
        utc_offset: u16,
    },
    /// `audio_descriptor` (§10.3.5).
    Audio(Vec<AudioComponent>),
    /// Another one, verbatim: what follows its tag and length.
    Unknown(u8, Vec<u8>),
}

/// One component of an `audio_descriptor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioComponent {
    /// `component_tag`.
    pub tag: u8,
    /// ISO 639-2 code.
    pub language: [u8; 3],
    /// `Bit_Stream_Mode`, three bits.
    pub bit_stream_mode: u8,
    /// `Num_Channels`, four bits.
    pub channels: u8,
    /// `Full_Srvc_Audio`.
    pub full_service: bool,
}

/// `segmentation_descriptor` (§10.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentationDescriptor {
    /// `segmentation_event_id`.
    pub event_id: u32,
    /// `segmentation_event_cancel_indicator`: what follows is absent then.
    pub is_cancelled: bool,
    /// `segmentation_event_id_compliance_indicator`, inverted.
    pub is_id_arbitrary: bool,
    /// `None` where delivery is not restricted.
    pub restrictions: Option<DeliveryRestrictions>,
    /// Components with their offsets; none where the whole program is meant.
    pub components: Vec<ComponentOffset>,
    /// 40 bits of 90 kHz ticks.
    pub duration: Option<u64>,
    /// What the segment is called.
    pub upid: Upid,
    /// What begins or ends.
    pub kind: SegmentationType,
    /// `segment_num`.
    pub segment: u8,
    /// `segments_expected`.
    pub segments_expected: u8,
    /// `sub_segment_num` and `sub_segments_expected`, where they are there.
    pub sub_segment: Option<(u8, u8)>,
}

/// The flags of `delivery_not_restricted_flag` = 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryRestrictions {
    /// `web_delivery_allowed_flag`.
    pub web_delivery_allowed: bool,
    /// `no_regional_blackout_flag`.
    pub no_regional_blackout: bool,
    /// `archive_allowed_flag`.
    pub archive_allowed: bool,
    /// `device_restrictions`, two bits; 3 for none.
    pub device_restrictions: u8,
}

/// A component that is segmented by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentOffset {
    /// `component_tag`.
    pub tag: u8,
    /// `pts_offset`, 33 bits.
    pub pts_offset: u64,
}

/// `segmentation_upid()` (§10.3.3.1), verbatim. A MID (0x0D) is several in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upid {
    /// `segmentation_upid_type`.
    pub kind: u8,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// `segmentation_upid_type` of several UPIDs in one.
const UPID_MID: u8 = 0x0d;

impl Upid {
    /// The UPIDs that it is made of: those of a MID, as far as they are whole, else itself.
    #[must_use]
    pub fn parts(&self) -> Vec<Self> {
        if self.kind != UPID_MID {
            return if self.kind == 0 { Vec::new() } else { vec![self.clone()] };
        }
        let (mut parts, mut rest) = (Vec::new(), self.data.as_slice());
        while let [kind, size, after @ ..] = rest {
            let Some((data, next)) = after.split_at_checked(usize::from(*size)) else { break };
            parts.push(Self { kind: *kind, data: data.to_vec() });
            rest = next;
        }
        parts
    }

    /// Its characters where its type is text and it is so: user-defined (deprecated), ISCI,
    /// Ad-ID, TID, ADI, MPU of none, URI, UUID's text form and SCR.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        let is_text = matches!(self.kind, 0x01..=0x03 | 0x07 | 0x09 | 0x0e | 0x0f | 0x11);
        let text = std::str::from_utf8(&self.data).ok().filter(|_| is_text)?;
        (!text.chars().any(char::is_control)).then_some(text)
    }
}

/// `segmentation_type_id` (§10.3.3.1, table of the 2023 edition).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentationType(pub u8);

/// What the types are called, in order.
const TYPE_NAMES: [(u8, &str); 48] = [
    (0x00, "Not Indicated"),
    (0x01, "Content Identification"),
    (0x02, "Call Ad Server"),
    (0x10, "Program Start"),
    (0x11, "Program End"),
    (0x12, "Program Early Termination"),
    (0x13, "Program Breakaway"),
    (0x14, "Program Resumption"),
    (0x15, "Program Runover Planned"),
    (0x16, "Program Runover Unplanned"),
    (0x17, "Program Overlap Start"),
    (0x18, "Program Blackout Override"),
    (0x19, "Program Join"),
    (0x1a, "Program Immediate Resumption"),
    (0x20, "Chapter Start"),
    (0x21, "Chapter End"),
    (0x22, "Break Start"),
    (0x23, "Break End"),
    (0x24, "Opening Credit Start"),
    (0x25, "Opening Credit End"),
    (0x26, "Closing Credit Start"),
    (0x27, "Closing Credit End"),
    (0x30, "Provider Advertisement Start"),
    (0x31, "Provider Advertisement End"),
    (0x32, "Distributor Advertisement Start"),
    (0x33, "Distributor Advertisement End"),
    (0x34, "Provider Placement Opportunity Start"),
    (0x35, "Provider Placement Opportunity End"),
    (0x36, "Distributor Placement Opportunity Start"),
    (0x37, "Distributor Placement Opportunity End"),
    (0x38, "Provider Overlay Placement Opportunity Start"),
    (0x39, "Provider Overlay Placement Opportunity End"),
    (0x3a, "Distributor Overlay Placement Opportunity Start"),
    (0x3b, "Distributor Overlay Placement Opportunity End"),
    (0x3c, "Provider Promo Start"),
    (0x3d, "Provider Promo End"),
    (0x3e, "Distributor Promo Start"),
    (0x3f, "Distributor Promo End"),
    (0x40, "Unscheduled Event Start"),
    (0x41, "Unscheduled Event End"),
    (0x42, "Alternate Content Opportunity Start"),
    (0x43, "Alternate Content Opportunity End"),
    (0x44, "Provider Ad Block Start"),
    (0x45, "Provider Ad Block End"),
    (0x46, "Distributor Ad Block Start"),
    (0x47, "Distributor Ad Block End"),
    (0x50, "Network Start"),
    (0x51, "Network End"),
];

impl SegmentationType {
    /// What the standard calls it; `None` for reserved ones.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let at = TYPE_NAMES.binary_search_by_key(&self.0, |(id, _)| *id).ok()?;
        TYPE_NAMES.get(at).map(|(_, name)| *name)
    }

    /// The type that ends what this one begins.
    #[must_use]
    pub fn end(self) -> Option<Self> {
        let begins = matches!(self.0, 0x10 | 0x20..=0x27 | 0x30..=0x47 | 0x50);
        (begins && self.0 % 2 == 0).then_some(Self(self.0 + 1))
    }

    /// The type that begins what this one ends.
    #[must_use]
    pub fn start(self) -> Option<Self> {
        if self.0 == 0x12 {
            return Some(Self(0x10));
        }
        let start = Self(self.0.checked_sub(1)?);
        (start.end() == Some(self)).then_some(start)
    }
}
