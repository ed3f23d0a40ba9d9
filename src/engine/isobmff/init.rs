//! Init segments: `ftyp` and `moov` of one track without samples (ISO/IEC 23000-19 §7.3.1, the
//! CMAF header).
//!
//! There is no edit list: decode times stand on the media timeline as they came, and manifests
//! speak of earliest presentation times. All times of creation are zero, so that the bytes are a
//! function of the configuration alone.

use super::sample_entry::write_sample_entry;
use super::writer::BoxWriter;
use super::{FLAGS_DEPENDENT, FLAGS_RANDOM_ACCESS, TRACK_ID};
use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::language::iso_639_2;

/// The identity as fixed-point numbers (ISO/IEC 14496-12 §8.2.2.2).
const UNITY_MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

/// The init segment of a track with this configuration.
///
/// `language` is a BCP 47 tag; it is kept whole in `elng`, and as three letters in `mdhd`.
#[must_use]
pub fn write_init_segment(config: &CodecConfig, language: Option<&str>) -> Vec<u8> {
    let mut writer = BoxWriter::with_capacity(1024);
    // Of CMAF's structural brands `cmfc` fits; `cmf2` would want presentation to begin at `tfdt`.
    writer.boxed(*b"ftyp", |w| {
        w.bytes(b"iso6");
        w.u32(0);
        w.bytes(b"iso6cmfc");
    });
    writer.boxed(*b"moov", |w| {
        write_mvhd(w, config);
        w.boxed(*b"trak", |w| {
            write_tkhd(w, config);
            w.boxed(*b"mdia", |w| write_mdia(w, config, language));
        });
        w.boxed(*b"mvex", |w| write_trex(w, config));
    });
    writer.finish()
}

/// `mvhd` (ISO/IEC 14496-12 §8.2.2). The duration is zero: the movie is in fragments.
fn write_mvhd(writer: &mut BoxWriter, config: &CodecConfig) {
    writer.full_box(*b"mvhd", 0, 0, |w| {
        w.zeros(8); // creation_time, modification_time
        w.u32(config.timescale().per_second());
        w.u32(0); // duration
        w.u32(0x0001_0000); // rate 1.0
        w.u16(0x0100); // volume 1.0
        w.zeros(10); // reserved
        w.u32s(&UNITY_MATRIX);
        w.zeros(24); // pre_defined
        w.u32(TRACK_ID + 1); // next_track_ID
    });
}

/// `tkhd` (ISO/IEC 14496-12 §8.3.2): enabled, in the movie and in its preview.
fn write_tkhd(writer: &mut BoxWriter, config: &CodecConfig) {
    let (width, height) = display_size(config);
    writer.full_box(*b"tkhd", 0, 7, |w| {
        w.zeros(8); // creation_time, modification_time
        w.u32(TRACK_ID);
        w.zeros(4 + 4); // reserved, duration
        w.zeros(8 + 2 + 2); // reserved, layer, alternate_group
        w.u16(if config.kind() == TrackKind::Audio { 0x0100 } else { 0 }); // volume
        w.zeros(2); // reserved
        w.u32s(&UNITY_MATRIX);
        w.u32(width);
        w.u32(height);
    });
}

/// Size on a screen of square pixels, as 16.16 fixed-point numbers; zero without pictures.
fn display_size(config: &CodecConfig) -> (u32, u32) {
    let (CodecConfig::Avc(video) | CodecConfig::Hevc(video)) = config else {
        return (0, 0);
    };
    let (wide, high) = video.aspect;
    let width = (u64::from(video.width) << 16) * u64::from(wide) / u64::from(high.max(1));
    (u32::try_from(width).unwrap_or(u32::MAX), video.height.saturating_mul(1 << 16))
}

/// The content of `mdia` (ISO/IEC 14496-12 §8.4).
fn write_mdia(writer: &mut BoxWriter, config: &CodecConfig, language: Option<&str>) {
    writer.full_box(*b"mdhd", 0, 0, |w| {
        w.zeros(8); // creation_time, modification_time
        w.u32(config.timescale().per_second());
        w.u32(0); // duration
        w.u16(packed_language(iso_639_2(language)));
        w.u16(0); // pre_defined
    });
    let handler = match config.kind() {
        TrackKind::Video => b"vide",
        TrackKind::Audio => b"soun",
        TrackKind::Text => text_media(config).0,
    };
    writer.full_box(*b"hdlr", 0, 0, |w| {
        w.u32(0); // pre_defined
        w.bytes(handler);
        w.zeros(12 + 1); // reserved, an empty name
    });
    if let Some(tag) = language {
        writer.full_box(*b"elng", 0, 0, |w| {
            w.bytes(tag.as_bytes());
            w.u8(0);
        });
    }
    writer.boxed(*b"minf", |w| {
        match config.kind() {
            TrackKind::Video => w.full_box(*b"vmhd", 0, 1, |w| w.zeros(8)),
            TrackKind::Audio => w.full_box(*b"smhd", 0, 0, |w| w.zeros(4)),
            TrackKind::Text => w.full_box(*text_media(config).1, 0, 0, |_| ()),
        }
        w.boxed(*b"dinf", |w| {
            w.full_box(*b"dref", 0, 0, |w| {
                w.u32(1);
                w.full_box(*b"url ", 0, 1, |_| ()); // The media is in the same file.
            });
        });
        w.boxed(*b"stbl", |w| write_stbl(w, config));
    });
}

/// Handler and media header of text: documents are subtitles, cues plain timed text
/// (ISO/IEC 14496-12 §12.5, §12.6).
const fn text_media(config: &CodecConfig) -> (&'static [u8; 4], &'static [u8; 4]) {
    match config {
        CodecConfig::Ttml(_) => (b"subt", b"sthd"),
        _ => (b"text", b"nmhd"),
    }
}

/// The content of `stbl` (ISO/IEC 14496-12 §8.5.1): how to decode, and no sample.
fn write_stbl(writer: &mut BoxWriter, config: &CodecConfig) {
    writer.full_box(*b"stsd", 0, 0, |w| {
        w.u32(1);
        write_sample_entry(w, config);
    });
    writer.full_box(*b"stts", 0, 0, |w| w.zeros(4));
    writer.full_box(*b"stsc", 0, 0, |w| w.zeros(4));
    writer.full_box(*b"stsz", 0, 0, |w| w.zeros(8));
    writer.full_box(*b"stco", 0, 0, |w| w.zeros(4));
}

/// `trex` (ISO/IEC 14496-12 §8.8.3).
fn write_trex(writer: &mut BoxWriter, config: &CodecConfig) {
    let dependent = config.kind() == TrackKind::Video;
    writer.full_box(*b"trex", 0, 0, |w| {
        w.u32(TRACK_ID);
        w.u32(1); // default_sample_description_index
        w.zeros(8); // default_sample_duration, default_sample_size
        w.u32(if dependent { FLAGS_DEPENDENT } else { FLAGS_RANDOM_ACCESS });
    });
}

/// Three letters of five bits each, counted from 0x60 (ISO/IEC 14496-12 §8.4.2.3).
fn packed_language(code: [u8; 3]) -> u16 {
    code.iter().fold(0, |packed, &letter| packed << 5 | u16::from(letter & 0x1f))
}

#[cfg(test)]
mod tests;
