//! The program config element: which channels a stream has, where its header does not tell.
//!
//! ISO/IEC 14496-3 §4.4.1.1 (table 4.2).

use crate::engine::bits::{BitError, BitReader, BitWriter};

/// A program config element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramConfig {
    /// Channels, the low-frequency ones counted.
    pub channels: u8,
    /// Its fields up to the alignment, as they came, each with its size in bits.
    fields: Vec<(u8, u8)>,
}

/// Reads a program config element behind its identifier. Bytes are counted from the reader's first.
///
/// # Errors
///
/// [`BitError`] where it is cut.
pub fn parse_program_config(bits: &mut BitReader<'_>) -> Result<ProgramConfig, BitError> {
    let mut fields = Vec::new();
    let mut take = |bits: &mut BitReader<'_>, size: u8| {
        let field = bits.small(size)?;
        fields.push((field, size));
        Ok(field)
    };
    take(bits, 4)?; // element_instance_tag
    take(bits, 2)?; // object_type
    take(bits, 4)?; // sampling_frequency_index
    let mut channel_elements = 0;
    for _ in 0..3 {
        channel_elements += take(bits, 4)?; // front, side, back
    }
    let low_frequency = take(bits, 2)?;
    let data_streams = take(bits, 3)?;
    let couplings = take(bits, 4)?;
    for size in [4, 4, 3] {
        // Mono, stereo and matrix mixdown.
        if take(bits, 1)? == 1 {
            take(bits, size)?;
        }
    }
    let mut channels = low_frequency;
    for _ in 0..channel_elements {
        channels += 1 + take(bits, 1)?; // one of a pair of channels
        take(bits, 4)?;
    }
    for _ in 0..low_frequency + data_streams {
        take(bits, 4)?;
    }
    for _ in 0..couplings {
        take(bits, 5)?;
    }
    bits.skip((8 - bits.position() % 8) % 8)?;
    let comment_size = usize::from(bits.small(8)?);
    bits.skip(comment_size * 8)?;
    Ok(ProgramConfig { channels, fields })
}

impl ProgramConfig {
    /// Appends it, without its comment, to what begins at a byte's start and has `size` bits.
    pub fn write(&self, out: &mut BitWriter, size: usize) {
        let mut end = size;
        for &(field, size) in &self.fields {
            out.put(u32::from(field), size);
            end += usize::from(size);
        }
        for _ in end..end.next_multiple_of(8) {
            out.put(0, 1);
        }
        out.put(0, 8);
    }
}
