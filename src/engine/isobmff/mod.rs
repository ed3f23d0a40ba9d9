//! Writes ISO base media files (ISO/IEC 14496-12) as CMAF restricts them (ISO/IEC 23000-19).
//!
//! Every file holds one track. Samples' bytes are never seen here: a fragment's head is written
//! from its sample table, and the payload follows it from wherever it lies. Reading is not done
//! here, for what comes in is never in this format.

mod fragment;
mod init;
mod sample_entry;
mod smooth;
mod writer;
mod wvtt;

pub use fragment::{FragmentPart, write_fragment_heads};
pub use init::write_init_segment;
pub use smooth::SmoothFragment;
pub use wvtt::{CueSamples, write_cue_samples};

/// The only track's `track_ID`.
const TRACK_ID: u32 = 1;

/// `sample_flags` of a sample where decoding can start: it depends on no other
/// (ISO/IEC 14496-12 §8.8.3.1).
const FLAGS_RANDOM_ACCESS: u32 = 2 << 24;

/// `sample_flags` of any other sample: it depends on others, and is not a sync sample.
const FLAGS_DEPENDENT: u32 = 1 << 24 | 1 << 16;
