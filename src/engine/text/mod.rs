//! Text between what comes in and what goes out: which cues are seen in a segment, what their
//! markup and settings mean, and TTML documents that say the same.
//!
//! Text comes in as WebVTT ([`crate::engine::webvtt`]). It goes out as WebVTT segments
//! ([`crate::engine::webvtt_writer`]), as samples ([`crate::engine::isobmff`]), or as TTML. Boxes
//! are not written here.

mod layout;
mod markup;
mod ttml;
mod visible;

pub use layout::{CueLayout, DisplayAlign, TextAlign, Writing};
pub use markup::{Colour, Span, Style, parse_markup, without_timestamps};
pub use ttml::{TimeBase, TtmlDocument};
pub use visible::{TextPart, VisibleCue, milliseconds, visible_cues};

/// Ticks of 90 kHz in a millisecond, the unit of cue times.
pub const TICKS_PER_MILLISECOND: i64 = 90;
