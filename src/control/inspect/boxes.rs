//! Prints ISO base media files as a tree of boxes (ISO/IEC 14496-12 §4.2), with the fields that
//! tell about timing.

use super::InspectError;
use crate::limits::{BOX_DEPTH_MAX, READ_COUNT_MAX};
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};

/// Boxes that hold nothing but boxes.
const CONTAINERS: [&[u8; 4]; 8] =
    [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"];

/// Types that a file or segment may begin with.
const FIRST_BOXES: [&[u8; 4]; 6] = [b"ftyp", b"styp", b"moof", b"moov", b"sidx", b"emsg"];

/// True where the bytes begin like a file or segment of boxes.
pub fn begins_with_box(bytes: &[u8]) -> bool {
    bytes.get(4..8).is_some_and(|kind| FIRST_BOXES.iter().any(|first| *first == kind))
}

/// The tracks of a movie header, if there is one, then all boxes.
///
/// # Errors
///
/// [`InspectError::Box`] where a box does not fit.
pub fn describe_boxes(bytes: &[u8]) -> Result<String, InspectError> {
    let mut out = String::new();
    let mut tree = String::new();
    write_boxes(&mut tree, bytes, 0, 0)?;
    // A segment alone has no movie header, which this reader asks for: the tree says the rest.
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let reader = Budgeted { bytes: Cursor::new(bytes), operations: READ_COUNT_MAX };
    if let Ok(file) = mp4::Mp4Reader::read_header(reader, size) {
        for (id, track) in file.tracks() {
            let codec = track.media_type().map_or("other codec".to_owned(), |it| it.to_string());
            let (width, height) = (track.width(), track.height());
            let (scale, language) = (track.timescale(), track.language());
            line(
                &mut out,
                &format!("track {id}: {codec}, {width}x{height}, timescale {scale}, {language}"),
            );
        }
    }
    out.push_str(&tree);
    Ok(out)
}

/// A reader that fails when it has been asked too often: the `mp4` crate goes round in circles
/// where a damaged size leads backwards.
struct Budgeted<'a> {
    bytes: Cursor<&'a [u8]>,
    operations: u32,
}

impl Budgeted<'_> {
    fn spend(&mut self) -> std::io::Result<()> {
        self.operations = self.operations.checked_sub(1).ok_or(ErrorKind::TimedOut)?;
        Ok(())
    }
}

impl Read for Budgeted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.spend()?;
        self.bytes.read(buffer)
    }
}

impl Seek for Budgeted<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.spend()?;
        self.bytes.seek(to)
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Writes the boxes of `bytes`, which lie at `offset` of the file.
fn write_boxes(
    out: &mut String,
    bytes: &[u8],
    offset: usize,
    depth: usize,
) -> Result<(), InspectError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let offset = offset + bytes.len() - rest.len();
        let (kind, header_size, size) = parse_header(rest).ok_or(InspectError::Box { offset })?;
        let (whole, after) = rest.split_at(size);
        let content = &whole[header_size..];
        let name = String::from_utf8_lossy(&kind);
        let fields = fields(kind, content).unwrap_or_default();
        line(out, &format!("{:indent$}{name} {size}{fields}", "", indent = 2 * depth));
        if CONTAINERS.contains(&&kind) && depth < BOX_DEPTH_MAX {
            write_boxes(out, content, offset + header_size, depth + 1)?;
        }
        rest = after;
    }
    Ok(())
}

/// Type, bytes of the header and bytes of the whole box at the start of `bytes`.
fn parse_header(bytes: &[u8]) -> Option<([u8; 4], usize, usize)> {
    let short = u32_at(bytes, 0)?;
    let kind = *bytes.get(4..)?.first_chunk::<4>()?;
    let (header_size, size) = match short {
        0 => (8, bytes.len()),
        1 => (16, usize::try_from(u64_at(bytes, 8)?).ok()?),
        _ => (8, usize::try_from(short).ok()?),
    };
    (header_size <= size && size <= bytes.len()).then_some((kind, header_size, size))
}

/// What a box says, where it is one that a reader of segments asks about.
fn fields(kind: [u8; 4], content: &[u8]) -> Option<String> {
    let flags = || u32_at(content, 0).map(|word| word & 0x00ff_ffff);
    let version = content.first().copied()?;
    Some(match &kind {
        b"ftyp" | b"styp" => {
            let brands: Vec<_> = content.chunks_exact(4).map(String::from_utf8_lossy).collect();
            let compatible = brands.get(2..)?.join(" ");
            format!(" major {} compatible {compatible}", brands.first()?)
        }
        b"mdhd" => {
            let at = if version == 1 { 20 } else { 12 };
            format!(" timescale {}", u32_at(content, at)?)
        }
        b"hdlr" => format!(" {}", String::from_utf8_lossy(content.get(8..12)?)),
        b"elng" => format!(" {}", String::from_utf8_lossy(content.get(4..)?.strip_suffix(b"\0")?)),
        b"stsd" => format!(" {}", String::from_utf8_lossy(content.get(12..16)?)),
        b"mfhd" => format!(" sequence {}", u32_at(content, 4)?),
        b"tfhd" => format!(" flags {:#08x} track {}", flags()?, u32_at(content, 4)?),
        b"tfdt" if version == 1 => format!(" decode time {}", u64_at(content, 4)?),
        b"tfdt" => format!(" decode time {}", u32_at(content, 4)?),
        b"trun" => format!(" flags {:#08x} samples {}", flags()?, u32_at(content, 4)?),
        _ => return None,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_be_bytes)
}
