//! Heads of media segments: `styp`, `moof` and the header of `mdat`, from sample tables alone.
//!
//! An output segment is joined of several ring records. Each of them becomes one CMAF fragment
//! (ISO/IEC 23000-19 §7.3.2.3): it begins at a random access point as CMAF wants, needs no copy of
//! its neighbours' tables, and a hole between two parts is just a later `tfdt`.

use super::writer::BoxWriter;
use super::{FLAGS_DEPENDENT, FLAGS_RANDOM_ACCESS, TRACK_ID};
use crate::engine::codec::CodecConfig;
use crate::engine::segment::Sample;
use crate::units::MediaTime;

/// `tfhd` flags (ISO/IEC 14496-12 §8.8.7.1).
const DEFAULT_DURATION: u32 = 0x8;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;

/// `trun` flags (ISO/IEC 14496-12 §8.8.8.1).
const DATA_OFFSET: u32 = 0x1;
const FIRST_SAMPLE_FLAGS: u32 = 0x4;
const SAMPLE_DURATION: u32 = 0x100;
const SAMPLE_SIZE: u32 = 0x200;
const SAMPLE_FLAGS: u32 = 0x400;
const SAMPLE_COMPOSITION_OFFSET: u32 = 0x800;

/// Bytes of an `mdat` header: size and type.
pub(super) const MDAT_HEADER_SIZE: u32 = 8;

/// Bytes of a head without its sample rows: `styp` 24, `moof` 8, `mfhd` 16, `traf` 8, `tfhd` 28,
/// `tfdt` 20, `trun` 24, `mdat` 8, rounded up.
const HEAD_SIZE_WITHOUT_ROWS: usize = 144;

/// One ring record of an output segment.
#[derive(Clone, Copy, Debug)]
pub struct FragmentPart<'a> {
    /// Samples in decode order.
    pub samples: &'a [Sample],
    /// Media time at which the first sample is decoded.
    pub decode_start: MediaTime,
    /// Bytes of all samples, which follow the part's head.
    pub payload_size: u32,
}

/// What precedes the payload of each part in one output segment: as many heads as there are
/// `parts`, in their order. The segment is head, payload, head, payload, and so on.
///
/// The first head begins with `styp`. Fragments are numbered upwards from `sequence_number`, so a
/// caller that passes the base number of the first part never repeats one.
///
/// Video's `tfdt` is exact. Audio's is rounded to its sample rate once: a later part that begins
/// within one frame of where its predecessor ends continues from there, so that rounding adds
/// neither gaps nor overlaps.
///
/// # Panics
///
/// If the sizes of a part's samples do not add up to its payload.
#[must_use]
pub fn write_fragment_heads(
    config: &CodecConfig,
    sequence_number: u32,
    parts: &[FragmentPart<'_>],
) -> Vec<Vec<u8>> {
    let mut sequence_number = sequence_number;
    let mut previous_end = None;
    let mut heads = Vec::with_capacity(parts.len());
    for part in parts {
        let decode_time = base_decode_time(config, part.decode_start, previous_end);
        let capacity = HEAD_SIZE_WITHOUT_ROWS + 16 * part.samples.len();
        let mut writer = BoxWriter::with_capacity(capacity);
        if heads.is_empty() {
            write_styp(&mut writer);
        }
        write_moof(&mut writer, sequence_number, decode_time, part, |_| ());
        write_mdat_header(&mut writer, part.payload_size);
        heads.push(writer.finish());

        sequence_number = sequence_number.wrapping_add(1);
        let duration: i64 = part.samples.iter().map(|sample| i64::from(sample.duration)).sum();
        previous_end = Some(decode_time + duration);
    }
    heads
}

/// `decode_start` in the track's timescale, or `previous_end` where that is meant.
pub(super) fn base_decode_time(
    config: &CodecConfig,
    decode_start: MediaTime,
    previous_end: Option<i64>,
) -> i64 {
    let rounded = decode_start.rescale_nearest(config.timescale());
    match (config.frame_samples(), previous_end) {
        (Some(frame), Some(end)) if rounded.abs_diff(end) <= u64::from(frame) => end,
        _ => rounded,
    }
}

/// `styp`: a DASH media segment that is a CMAF segment (ISO/IEC 14496-12 §8.16.2,
/// ISO/IEC 23000-19 §7.2).
fn write_styp(writer: &mut BoxWriter) {
    writer.boxed(*b"styp", |w| {
        w.bytes(b"msdh");
        w.u32(0);
        w.bytes(b"msdhcmfs");
    });
}

/// `moof` with one `traf` of one `trun` (ISO/IEC 14496-12 §8.8.4), which `extensions` of the same
/// `traf` follow.
pub(super) fn write_moof(
    writer: &mut BoxWriter,
    sequence_number: u32,
    decode_time: i64,
    part: &FragmentPart<'_>,
    extensions: impl FnOnce(&mut BoxWriter),
) {
    let rows = Rows::of(part.samples);
    let start = writer.position();
    let mut data_offset_at = start;
    writer.boxed(*b"moof", |w| {
        w.full_box(*b"mfhd", 0, 0, |w| w.u32(sequence_number));
        w.boxed(*b"traf", |w| {
            write_tfhd(w, &rows);
            // Media time counts from 1970; what a broken clock puts before that begins there.
            // Version 1 holds 64 bits: 32 would wrap after 13 hours at 90 kHz.
            let decode_time = u64::try_from(decode_time).unwrap_or(0);
            w.full_box(*b"tfdt", 1, 0, |w| w.u64(decode_time));
            data_offset_at = write_trun(w, &rows, part.samples);
            extensions(w);
        });
    });
    let moof_size = u32::try_from(writer.position() - start).expect("boxes are under 4 GiB");
    writer.patch_u32(data_offset_at, moof_size + MDAT_HEADER_SIZE);

    let sizes: u64 = part.samples.iter().map(|sample| u64::from(sample.size)).sum();
    assert_eq!(sizes, u64::from(part.payload_size), "samples are the payload");
}

/// `mdat` up to its content (ISO/IEC 14496-12 §8.1.1).
pub(super) fn write_mdat_header(writer: &mut BoxWriter, payload_size: u32) {
    let size = payload_size.checked_add(MDAT_HEADER_SIZE).expect("segments are far below 4 GiB");
    writer.u32(size);
    writer.bytes(b"mdat");
}

/// Which columns a run's rows need, and what holds for all rows of the other columns.
struct Rows {
    duration: Option<u32>,
    size: Option<u32>,
    default_flags: u32,
    first_flags: Option<u32>,
    flags_vary: bool,
    composition: bool,
}

impl Rows {
    fn of(samples: &[Sample]) -> Self {
        let first = samples.first();
        let second = samples.get(1).or(first);
        let flags_vary = samples.iter().skip(2).any(|sample| {
            second.is_some_and(|second| second.random_access != sample.random_access)
        });
        let default_flags = second.map_or(FLAGS_DEPENDENT, sample_flags);
        let first_flags = first.map(sample_flags).filter(|&flags| flags != default_flags);
        Self {
            duration: constant(samples, |sample| sample.duration),
            size: constant(samples, |sample| sample.size),
            default_flags,
            first_flags: first_flags.filter(|_| !flags_vary),
            flags_vary,
            composition: samples.iter().any(|sample| sample.composition_offset != 0),
        }
    }

    fn trun_flags(&self) -> u32 {
        let flag = |needed: bool, flag: u32| if needed { flag } else { 0 };
        DATA_OFFSET
            | flag(self.first_flags.is_some(), FIRST_SAMPLE_FLAGS)
            | flag(self.duration.is_none(), SAMPLE_DURATION)
            | flag(self.size.is_none(), SAMPLE_SIZE)
            | flag(self.flags_vary, SAMPLE_FLAGS)
            | flag(self.composition, SAMPLE_COMPOSITION_OFFSET)
    }
}

/// The value of `column` where all samples have the same.
fn constant(samples: &[Sample], column: impl Fn(&Sample) -> u32) -> Option<u32> {
    let value = samples.first().map(&column)?;
    samples.iter().all(|sample| column(sample) == value).then_some(value)
}

fn sample_flags(sample: &Sample) -> u32 {
    if sample.random_access { FLAGS_RANDOM_ACCESS } else { FLAGS_DEPENDENT }
}

/// `tfhd` (ISO/IEC 14496-12 §8.8.7).
fn write_tfhd(writer: &mut BoxWriter, rows: &Rows) {
    let mut flags = DEFAULT_BASE_IS_MOOF | DEFAULT_FLAGS;
    if rows.duration.is_some() {
        flags |= DEFAULT_DURATION;
    }
    if rows.size.is_some() {
        flags |= DEFAULT_SIZE;
    }
    writer.full_box(*b"tfhd", 0, flags, |w| {
        w.u32(TRACK_ID);
        for value in [rows.duration, rows.size].into_iter().flatten() {
            w.u32(value);
        }
        w.u32(rows.default_flags);
    });
}

/// `trun` (ISO/IEC 14496-12 §8.8.8), version 1: composition offsets are signed.
/// Returns where `data_offset` is, which is known only when `moof` is complete.
fn write_trun(writer: &mut BoxWriter, rows: &Rows, samples: &[Sample]) -> usize {
    let mut data_offset_at = 0;
    let count = u32::try_from(samples.len()).expect("a segment's samples are bounded");
    writer.full_box(*b"trun", 1, rows.trun_flags(), |w| {
        w.u32(count);
        data_offset_at = w.position();
        w.u32(0);
        if let Some(flags) = rows.first_flags {
            w.u32(flags);
        }
        for sample in samples {
            if rows.duration.is_none() {
                w.u32(sample.duration);
            }
            if rows.size.is_none() {
                w.u32(sample.size);
            }
            if rows.flags_vary {
                w.u32(sample_flags(sample));
            }
            if rows.composition {
                w.u32(sample.composition_offset.cast_unsigned());
            }
        }
    });
    data_offset_at
}

#[cfg(test)]
mod tests;
