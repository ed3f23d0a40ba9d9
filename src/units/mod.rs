//! The vocabulary: times, identifiers and byte ranges. Imports nothing of ours.

pub mod content;
pub mod extent;
pub mod ids;
pub mod time;

pub use content::ContentHash;
pub use extent::Extent;
pub use ids::{InputNumber, TrackId};
pub use time::{MediaTime, Monotonic, Timescale, WallClock};
