//! The media core: bytes and time in, decisions and bytes out.
//!
//! No clock, descriptor, thread, `async` or `unsafe` here, and no log line: what must be told is
//! returned. Media payload is seen as a slice while parsing; afterwards the engine speaks of
//! [extents](crate::units::Extent).

pub mod assemble;
pub mod bits;
pub mod body;
pub mod channel;
pub mod cmsd;
pub mod codec;
pub mod elementary;
pub mod endpoint;
pub mod intake;
pub mod isobmff;
pub mod language;
pub mod log;
pub mod manifest;
pub mod mpegts;
pub mod packed_audio;
pub mod playlist;
pub mod presentation;
pub mod request;
pub mod sample_table;
pub mod scte35;
pub mod segment;
pub mod splice;
pub mod text;
pub mod webvtt;
pub mod webvtt_writer;
