//! Transport packets (ISO/IEC 13818-1 §2.4.3.2 to §2.4.3.5).

/// Bytes of a transport packet.
pub const PACKET_SIZE: usize = 188;
/// First byte of every transport packet.
pub const SYNC_BYTE: u8 = 0x47;
/// PID of the program association table.
pub const PID_PAT: u16 = 0;
/// PID of stuffing.
pub const PID_NULL: u16 = 0x1fff;
/// PIDs below this one are reserved for tables.
pub const PID_TABLES_END: u16 = 0x20;

/// A packet that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The first byte is not `0x47`.
    #[error("sync byte 0x47 expected, 0x{0:02x} came")]
    NoSync(u8),
    /// The adaptation field is longer than the packet.
    #[error("adaptation field of {0} bytes in a packet")]
    AdaptationField(u8),
}

/// What makes a packet's payload useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFault {
    /// `transport_error_indicator`: any bit may be wrong.
    Transmission,
    /// `transport_scrambling_control` is not zero.
    Scrambled,
}

/// A transport packet's header and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Packet identifier, 13 bits.
    pub pid: u16,
    /// `payload_unit_start_indicator`.
    pub unit_start: bool,
    /// Why the payload is of no use, if it is.
    pub fault: Option<PacketFault>,
    /// `continuity_counter`, 4 bits.
    pub continuity: u8,
    /// `discontinuity_indicator`: the counter may jump.
    pub discontinuity: bool,
    /// `None` where the packet says it has none; empty where the adaptation field fills it.
    pub payload: Option<&'a [u8]>,
}

/// Reads a packet.
///
/// # Errors
///
/// [`PacketError`] where it does not begin with the sync byte or its adaptation field is too long.
pub fn parse_packet(packet: &[u8; PACKET_SIZE]) -> Result<Packet<'_>, PacketError> {
    let [sync, high, low, flags, rest @ ..] = packet;
    if *sync != SYNC_BYTE {
        return Err(PacketError::NoSync(*sync));
    }
    let (mut discontinuity, mut payload_start) = (false, 0);
    if flags & 0x20 != 0 {
        let size = rest[0];
        payload_start = 1 + usize::from(size);
        if payload_start > rest.len() {
            return Err(PacketError::AdaptationField(size));
        }
        discontinuity = size > 0 && rest[1] & 0x80 != 0;
    }
    Ok(Packet {
        pid: u16::from_be_bytes([high & 0x1f, *low]),
        unit_start: high & 0x40 != 0,
        fault: match (high & 0x80, flags & 0xc0) {
            (0, 0) => None,
            (0, _) => Some(PacketFault::Scrambled),
            _ => Some(PacketFault::Transmission),
        },
        continuity: flags & 0x0f,
        discontinuity,
        payload: (flags & 0x10 != 0).then(|| &rest[payload_start..]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(head: &[u8]) -> [u8; PACKET_SIZE] {
        let mut packet = [0xaa; PACKET_SIZE];
        packet[..head.len()].copy_from_slice(head);
        packet
    }

    #[test]
    fn fields_and_payload() {
        let bytes = packet(&[0x47, 0x41, 0x00, 0x37, 7, 0x80]);
        let parsed = parse_packet(&bytes).expect("valid");
        assert!(parsed.unit_start && parsed.discontinuity && parsed.fault.is_none());
        assert_eq!((parsed.pid, parsed.continuity), (0x100, 7));
        assert_eq!(parsed.payload.map(<[u8]>::len), Some(176));
    }

    #[test]
    fn adaptation_fields_up_to_the_packets_end() {
        for (size, payload) in [(0, Some(183)), (182, Some(1)), (183, Some(0))] {
            let bytes = packet(&[0x47, 0, 0, 0x30, size]);
            assert_eq!(parse_packet(&bytes).expect("valid").payload.map(<[u8]>::len), payload);
        }
        let bytes = packet(&[0x47, 0, 0, 0x30, 184]);
        assert_eq!(parse_packet(&bytes), Err(PacketError::AdaptationField(184)));
        let bytes = packet(&[0x47, 0, 0, 0x20, 183]);
        assert_eq!(parse_packet(&bytes).expect("valid").payload, None);
    }
}
