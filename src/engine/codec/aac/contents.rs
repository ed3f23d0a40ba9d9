//! What the access units of an AAC track tell that their headers do not: spectral band replication,
//! parametric stereo, channels.
//!
//! ISO/IEC 14496-3 §1.6.5 calls this implicit signalling. The first units of each segment are read,
//! up to the one that settles it: all segments of a stream come to the same, for an encoder has
//! these in every unit.

use super::program::ProgramConfig;
use super::raw_data_block::{BlockError, RawDataBlock, Replication};
use super::replication::ReplicationReader;
use crate::engine::bits::BitReader;
use crate::limits::AAC_INSPECTED_UNIT_COUNT_MAX;

/// Whether the upper half of the spectrum is replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicated {
    /// The core coder is all there is.
    No,
    /// It is.
    Yes {
        /// Whether one channel becomes two; `None` where nothing tells.
        parametric_stereo: Option<bool>,
    },
}

/// What was learned so far.
#[derive(Clone, Debug, Default)]
pub struct AacContents {
    inspected: usize,
    replicated: Option<bool>,
    parametric_stereo: Option<bool>,
    program: Option<ProgramConfig>,
    reader: ReplicationReader,
}

impl AacContents {
    /// True while another unit may tell more.
    pub(super) const fn is_wanting(&self, channel_configuration: u8) -> bool {
        let settled = match (self.replicated, self.parametric_stereo) {
            (Some(false), _) | (Some(true), Some(_)) => true,
            (Some(true) | None, _) => false,
        };
        let has_channels = channel_configuration != 0 || self.program.is_some();
        !(settled && has_channels) && self.inspected < AAC_INSPECTED_UNIT_COUNT_MAX
    }

    /// Takes the next unit, as far as it could be walked.
    pub(super) fn on_block(
        &mut self,
        block: Result<RawDataBlock, BlockError>,
        unit: &[u8],
        core_rate: u32,
    ) {
        self.inspected += 1;
        // One that does not end where its frame does was not read as it was meant.
        let Some(block) = block.ok().filter(|block| block.size == unit.len()) else { return };
        self.program = self.program.take().or(block.program);
        self.replicated = self.replicated.or(Some(block.replication.is_some()));
        let Some(Replication { bits, has_checksum }) = block.replication else { return };
        if block.channels != 1 {
            self.parametric_stereo = Some(false);
            return;
        }
        let mut reader = BitReader::new(unit).until(bits.end);
        let found = reader.skip(bits.start).ok().and_then(|()| {
            self.reader.has_parametric_stereo(&mut reader, has_checksum, 2 * core_rate).ok()
        });
        self.parametric_stereo = self.parametric_stereo.or(found);
    }

    /// What is known of spectral band replication.
    pub(super) fn replicated(&self) -> Replicated {
        match self.replicated {
            Some(true) => Replicated::Yes { parametric_stereo: self.parametric_stereo },
            Some(false) | None => Replicated::No,
        }
    }

    /// The program config element, where one came.
    pub(super) const fn program(&self) -> Option<&ProgramConfig> {
        self.program.as_ref()
    }
}
