//! What is written in the footer's place of a file that could not be synced: it will never have
//! one.

use super::{BootId, FOOTER_BYTES, Fields, Identity, write_fields};

const STRANDED_MAGIC: [u8; 8] = *b"HWstrand";

/// A sync of the file failed. The kernel has marked its pages clean, so that no later sync tells of
/// it: whoever opens the file next in the same start of the machine has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranded {
    /// The start of the machine in which it failed. After another one, what is in the file has come
    /// from the disk.
    pub boot: BootId,
    /// Records that end behind this were not reported as written, and do not count.
    pub kept_end: u64,
}

impl Stranded {
    /// The block for file `sequence`.
    pub fn to_bytes(self, sequence: u64, identity: &Identity) -> [u8; FOOTER_BYTES] {
        let (sequence, end) = (sequence.to_le_bytes(), self.kept_end.to_le_bytes());
        let tag = identity.tag(STRANDED_MAGIC, &[&sequence, &self.boot.0, &end]);
        let mut block = [0; FOOTER_BYTES];
        write_fields(&mut block, &[&STRANDED_MAGIC, &sequence, &self.boot.0, &end, &tag]);
        block
    }

    /// What such a block states; `None` unless this ring has written it into that file.
    pub fn parse(block: &[u8; FOOTER_BYTES], sequence: u64, identity: &Identity) -> Option<Self> {
        let mut fields = Fields(block);
        let (_magic, _sequence) = (fields.u64(), fields.u64());
        let stranded = Self { boot: BootId(fields.take()), kept_end: fields.u64() };
        (*block == stranded.to_bytes(sequence, identity)).then_some(stranded)
    }
}
