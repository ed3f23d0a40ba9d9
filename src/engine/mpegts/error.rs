//! What makes a transport stream useless as a whole.

use crate::engine::elementary::TrackError;
use crate::limits::TS_JUNK_SIZE_MAX;

/// A transport stream that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TsError {
    /// Too many bytes are no packets.
    #[error("no transport packets for {TS_JUNK_SIZE_MAX} bytes before byte {offset}")]
    NoSync {
        /// Where the search was given up.
        offset: u64,
    },
    /// The last packet is cut.
    #[error("transport stream ends with {size} of 188 bytes of the packet at byte {offset}")]
    Truncated {
        /// Where the last packet begins.
        offset: u64,
        /// Bytes of it.
        size: usize,
    },
    /// The tables that say what the stream holds never came.
    #[error("no program map in {packets} transport packets")]
    NoProgram {
        /// Packets read.
        packets: u64,
    },
    /// None of the streams gave a track.
    #[error("no usable track: {listed} listed, of which {unknown} of unknown type")]
    NoTrack {
        /// Elementary streams in the program map.
        listed: usize,
        /// Those whose type is not understood.
        unknown: usize,
    },
    /// A track goes beyond what a segment may hold.
    #[error("PID {pid}: {error}")]
    Track {
        /// Its PID.
        pid: u16,
        /// What is too much.
        error: TrackError,
    },
}
