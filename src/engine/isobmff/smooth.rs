//! Fragments of Smooth Streaming ([MS-SSTR] §2.2.4): one `moof` and one `mdat`, without `styp`.
//!
//! Clients read a single `trun`, so that ring records joined to one fragment share it, and their
//! payloads follow one another in one `mdat`. `tfxd` says where the fragment lies on the timeline,
//! `tfrf` where the next ones do, in the track's timescale and 64 bits. `tfdt`, which [MS-SSTR]
//! does not know, tells decode time: a client that takes `tfxd` or the URL for it would show
//! reordered pictures late by their delay.

use super::fragment::{
    FragmentPart, MDAT_HEADER_SIZE, base_decode_time, write_mdat_header, write_moof,
};
use super::writer::BoxWriter;
use crate::engine::codec::CodecConfig;
use crate::engine::segment::Sample;
use crate::units::MediaTime;

/// Extended types of the `uuid` boxes ([MS-SSTR] §2.2.4.4, §2.2.4.5).
const TFXD: [u8; 16] = 0x6d1d_9b05_42d5_44e6_80e2_141d_aff7_57b2_u128.to_be_bytes();
const TFRF: [u8; 16] = 0xd480_7ef2_ca39_4695_8e54_26cb_9e46_a79f_u128.to_be_bytes();

/// Bytes of a head without its sample rows: `moof` 8, `mfhd` 16, `traf` 8, `tfhd` 28, `tfdt` 20,
/// `trun` 24, `tfxd` 44, `tfrf` 61 with two fragments, `mdat` 8, rounded up.
const HEAD_SIZE_WITHOUT_ROWS: usize = 224;

/// What the head of a fragment is written from.
#[derive(Clone, Copy, Debug)]
pub struct SmoothFragment<'a> {
    /// The track's configuration, whose timescale all times are written in.
    pub config: &'a CodecConfig,
    /// For `mfhd`.
    pub sequence_number: u32,
    /// Its ring records in order; one at least.
    pub parts: &'a [FragmentPart<'a>],
    /// Earliest presentation time.
    pub start: MediaTime,
    /// Presentation end.
    pub end: MediaTime,
    /// Start and end of the fragments that `tfrf` announces, which is left out for none.
    pub next: &'a [(MediaTime, MediaTime)],
}

impl SmoothFragment<'_> {
    /// What precedes each part's payload: `moof` and the header of `mdat` before the first,
    /// nothing before the others.
    ///
    /// # Errors
    ///
    /// The bytes of all payloads, where they are more than one `mdat` of 32 bits can hold.
    ///
    /// # Panics
    ///
    /// If the sizes of a part's samples do not add up to its payload.
    pub fn write_heads(&self) -> Result<Vec<Vec<u8>>, u64> {
        let size: u64 = self.parts.iter().map(|part| u64::from(part.payload_size)).sum();
        let payload_size = u32::try_from(size).map_err(|_| size)?;
        payload_size.checked_add(MDAT_HEADER_SIZE).ok_or(size)?;
        let mut writer = self.moof(payload_size);
        write_mdat_header(&mut writer, payload_size);
        let mut heads = vec![Vec::new(); self.parts.len()];
        if let Some(first) = heads.first_mut() {
            *first = writer.finish();
        }
        Ok(heads)
    }

    /// `moof` alone, as the answer to a `FragmentInfo` request.
    ///
    /// # Panics
    ///
    /// As [`Self::write_heads`].
    #[must_use]
    pub fn write_moof(&self) -> Vec<u8> {
        let size = self.parts.iter().map(|part| part.payload_size).fold(0, u32::saturating_add);
        self.moof(size).finish()
    }

    fn moof(&self, payload_size: u32) -> BoxWriter {
        let (decode_time, samples) = join(self.config, self.parts);
        let mut writer = BoxWriter::with_capacity(HEAD_SIZE_WITHOUT_ROWS + 16 * samples.len());
        let decode_start = self.parts.first().map_or(self.start, |part| part.decode_start);
        let whole = FragmentPart { samples: &samples, decode_start, payload_size };
        write_moof(&mut writer, self.sequence_number, decode_time, &whole, |w| {
            write_uuid(w, TFXD, |w| self.write_span(w, (self.start, self.end)));
            if !self.next.is_empty() {
                write_uuid(w, TFRF, |w| {
                    w.u8(u8::try_from(self.next.len()).expect("a look-ahead is short"));
                    for &span in self.next {
                        self.write_span(w, span);
                    }
                });
            }
        });
        writer
    }

    /// Absolute time and duration. Adjoining fragments' times add up, as in the manifest.
    fn write_span(&self, writer: &mut BoxWriter, (start, end): (MediaTime, MediaTime)) {
        let scaled = |time: MediaTime| {
            u64::try_from(time.rescale_nearest(self.config.timescale())).unwrap_or(0)
        };
        writer.u64(scaled(start));
        writer.u64(scaled(end).saturating_sub(scaled(start)));
    }
}

/// A `uuid` box that is a `FullBox` of version 1.
fn write_uuid(writer: &mut BoxWriter, kind: [u8; 16], body: impl FnOnce(&mut BoxWriter)) {
    writer.boxed(*b"uuid", |w| {
        w.bytes(&kind);
        w.u32(1 << 24);
        body(w);
    });
}

/// The samples of all parts and the first one's decode time. Where a part does not begin where its
/// predecessor ends, the last sample before it lasts as much longer or shorter.
fn join(config: &CodecConfig, parts: &[FragmentPart<'_>]) -> (i64, Vec<Sample>) {
    let count = parts.iter().map(|part| part.samples.len()).sum();
    let mut samples: Vec<Sample> = Vec::with_capacity(count);
    let (mut begin, mut end) = (None, None);
    for part in parts {
        let decode_time = base_decode_time(config, part.decode_start, end);
        if let (Some(end), Some(last)) = (end, samples.last_mut()) {
            let duration = (i64::from(last.duration) + decode_time - end).max(0);
            last.duration = u32::try_from(duration).unwrap_or(u32::MAX);
        }
        begin = begin.or(Some(decode_time));
        samples.extend_from_slice(part.samples);
        let duration: i64 = part.samples.iter().map(|sample| i64::from(sample.duration)).sum();
        end = Some(decode_time + duration);
    }
    (begin.unwrap_or(0), samples)
}

#[cfg(test)]
mod tests;
