//! Finding transport packets in a stream of bytes, and finding them again after foreign bytes.
//!
//! ISO/IEC 13818-1 §2.4.3.2 and annex G.1: a sync byte is believed where two more follow at a
//! packet's distance. The result does not depend on how the bytes are cut into pieces.

use super::error::TsError;
use super::packet::{PACKET_SIZE, SYNC_BYTE};
use crate::limits::TS_JUNK_SIZE_MAX;

/// Bytes needed to see three sync bytes.
const EVIDENCE_SIZE: usize = 2 * PACKET_SIZE + 1;

/// Cuts a stream into packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Synchroniser {
    /// Less than a packet, or, while searching, less than what is needed to decide.
    carry: Vec<u8>,
    /// Offset of the carried bytes in the stream.
    offset: u64,
    locked: bool,
    junk: u64,
    slips: u32,
}

impl Synchroniser {
    /// Takes the next bytes and calls `on_packet` with every packet that is complete.
    pub(super) fn on_bytes(
        &mut self,
        bytes: &[u8],
        mut on_packet: impl FnMut(&[u8; PACKET_SIZE]) -> Result<(), TsError>,
    ) -> Result<(), TsError> {
        let mut rest = bytes;
        while !self.carry.is_empty() && !rest.is_empty() {
            // Enough to decide on what is carried; the rest is read where it lies.
            let wanted = if self.locked { PACKET_SIZE } else { EVIDENCE_SIZE + PACKET_SIZE };
            let (head, tail) = rest.split_at(rest.len().min(wanted - self.carry.len()));
            let mut carry = std::mem::take(&mut self.carry);
            carry.extend_from_slice(head);
            let used = self.take_packets(&carry, false, &mut on_packet)?;
            carry.drain(..used);
            self.carry = carry;
            rest = tail;
        }
        let used = self.take_packets(rest, false, &mut on_packet)?;
        self.carry.extend_from_slice(&rest[used..]);
        Ok(())
    }

    /// Takes what is left at the stream's end.
    pub(super) fn finish(
        &mut self,
        mut on_packet: impl FnMut(&[u8; PACKET_SIZE]) -> Result<(), TsError>,
    ) -> Result<(), TsError> {
        let carry = std::mem::take(&mut self.carry);
        let used = self.take_packets(&carry, true, &mut on_packet)?;
        match carry.len() - used {
            0 => Ok(()),
            size => Err(TsError::Truncated { offset: self.offset, size }),
        }
    }

    /// Times that packets were not where they should have been.
    pub(super) fn slips(&self) -> u32 {
        self.slips
    }

    /// Reads packets from the front of `bytes`, which begin at `offset`; how many bytes are done.
    fn take_packets(
        &mut self,
        bytes: &[u8],
        end: bool,
        on_packet: &mut impl FnMut(&[u8; PACKET_SIZE]) -> Result<(), TsError>,
    ) -> Result<usize, TsError> {
        let mut rest = bytes;
        loop {
            if !self.locked {
                let skipped = self.search(rest, end)?;
                rest = &rest[skipped..];
                if !self.locked {
                    break;
                }
            }
            let Some((packet, after)) = rest.split_first_chunk::<PACKET_SIZE>() else { break };
            if packet[0] != SYNC_BYTE {
                self.locked = false;
                self.slips += 1;
                continue;
            }
            on_packet(packet)?;
            self.offset += PACKET_SIZE as u64;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    /// Looks for packets in `bytes`: how many bytes to pass over. Sets `locked` where packets
    /// begin there; else more bytes must come.
    fn search(&mut self, bytes: &[u8], end: bool) -> Result<usize, TsError> {
        let mut at = 0;
        loop {
            let skip = memchr::memchr(SYNC_BYTE, &bytes[at..]);
            at = skip.map_or(bytes.len(), |skip| at + skip);
            if at == bytes.len() || at + EVIDENCE_SIZE > bytes.len() && !end {
                break;
            }
            let here = |distance| bytes.get(at + distance).is_none_or(|&byte| byte == SYNC_BYTE);
            if here(PACKET_SIZE) && here(2 * PACKET_SIZE) {
                self.locked = true;
                break;
            }
            at += 1;
        }
        self.junk += at as u64;
        self.offset += at as u64;
        if self.junk > TS_JUNK_SIZE_MAX {
            return Err(TsError::NoSync { offset: self.offset });
        }
        // Foreign bytes before the first packet are a slip as well.
        if self.locked && self.junk > 0 {
            self.slips = self.slips.max(1);
        }
        Ok(at)
    }
}
