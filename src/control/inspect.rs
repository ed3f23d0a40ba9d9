//! `headwater inspect`: prints what a segment, an init segment or a playlist holds.
//!
//! Whatever an encoder may push is read by the reader that ingest uses, so that the answer is what
//! the origin would make of it. Fragmented MP4, which is only written here, is read by the `mp4`
//! crate as far as it goes and printed as a tree of boxes.

mod boxes;

use crate::engine::body::{BodyError, SegmentParser};
use crate::engine::codec::CodecConfig;
use crate::engine::playlist::{
    MediaPlaylist, Multivariant, Playlist, PlaylistError, RenditionKind, parse_playlist,
};
use crate::engine::segment::{SegmentBody, TrackSegment};
use crate::limits::INSPECTED_SIZE_MAX;
use std::fmt::Write;
use std::io::Read;

/// Why there is nothing to print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// The file cannot be read.
    #[error("{kind}")]
    File {
        /// As given.
        path: String,
        /// What the system says.
        kind: std::io::ErrorKind,
    },
    /// The server cannot be reached, or answers otherwise than with success.
    #[error("{reason}")]
    Fetch {
        /// As given.
        url: String,
        /// The client's words.
        reason: String,
    },
    /// Only plain HTTP is spoken here.
    #[error("an http:// URL is expected")]
    Scheme {
        /// As given.
        url: String,
    },
    /// There is more than anybody would want printed.
    #[error("more than {INSPECTED_SIZE_MAX} bytes")]
    TooLarge,
    /// Begins with `#EXTM3U` but is not a playlist.
    #[error(transparent)]
    Playlist(#[from] PlaylistError),
    /// A box's size does not fit the bytes around it.
    #[error("box at byte {offset}: its header or size does not fit")]
    Box {
        /// Where the box begins.
        offset: usize,
    },
    /// An MPD, which any XML viewer shows better.
    #[error("XML: segments, initialisation segments and HLS playlists are inspected")]
    Xml,
    /// Not a playlist and not MP4, and ingest would refuse it too.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// A description of the file or `http://` URL `target`, in lines.
///
/// # Errors
///
/// [`InspectError`] where it cannot be had or is in no format known here.
pub fn inspect(target: &str) -> Result<String, InspectError> {
    let bytes = if target.contains("://") { fetch(target)? } else { read(target)? };
    describe(&bytes)
}

fn read(path: &str) -> Result<Vec<u8>, InspectError> {
    let failed =
        |error: std::io::Error| InspectError::File { path: path.to_owned(), kind: error.kind() };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(INSPECTED_SIZE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > INSPECTED_SIZE_MAX { Err(InspectError::TooLarge) } else { Ok(bytes) }
}

fn fetch(url: &str) -> Result<Vec<u8>, InspectError> {
    if !url.starts_with("http://") {
        return Err(InspectError::Scheme { url: url.to_owned() });
    }
    let failed = |error: ureq::Error| match error {
        ureq::Error::BodyExceedsLimit(_) => InspectError::TooLarge,
        other => InspectError::Fetch { url: url.to_owned(), reason: other.to_string() },
    };
    let mut answer = ureq::get(url).call().map_err(failed)?;
    answer.body_mut().with_config().limit(INSPECTED_SIZE_MAX).read_to_vec().map_err(failed)
}

/// A description of these bytes, by the format that they begin with.
fn describe(bytes: &[u8]) -> Result<String, InspectError> {
    let mut out = String::new();
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // The formats of strings below never fail.
    let _ = if text.starts_with(b"#EXTM3U") {
        match parse_playlist(bytes)? {
            Playlist::Multivariant(list) => write_multivariant(&mut out, &list),
            Playlist::Media(list) => write_media_playlist(&mut out, &list),
        }
    } else if text.trim_ascii_start().starts_with(b"<") {
        return Err(InspectError::Xml);
    } else if boxes::begins_with_box(bytes) {
        return boxes::describe_boxes(bytes);
    } else {
        let mut parser = SegmentParser::new();
        parser.push(bytes)?;
        write_body(&mut out, &parser.finish()?)
    };
    Ok(out)
}

fn write_multivariant(out: &mut String, list: &Multivariant) -> std::fmt::Result {
    let (variants, renditions) = (list.variants.len(), list.renditions.len());
    writeln!(out, "multivariant playlist: {variants} variants, {renditions} renditions")?;
    for variant in &list.variants {
        write!(out, "variant {}", variant.uri)?;
        if let Some(bandwidth) = variant.bandwidth {
            write!(out, ", {bandwidth} bit/s")?;
        }
        if let Some((width, height)) = variant.resolution {
            write!(out, ", {width}x{height}")?;
        }
        let groups = [("codecs", &variant.codecs), ("audio", &variant.audio)];
        for (name, value) in groups.into_iter().chain([("subtitles", &variant.subtitles)]) {
            if let Some(value) = value {
                write!(out, ", {name} {value}")?;
            }
        }
        writeln!(out)?;
    }
    for rendition in &list.renditions {
        let kind = match rendition.kind {
            RenditionKind::Audio => "audio",
            RenditionKind::Video => "video",
            RenditionKind::Subtitles => "subtitles",
            RenditionKind::ClosedCaptions => "closed captions",
        };
        let language = rendition.language.as_deref().unwrap_or("no language");
        let uri = rendition.uri.as_deref().unwrap_or("in the variants");
        let (group, name) = (&rendition.group_id, &rendition.name);
        writeln!(out, "{kind} group {group}, \"{name}\", {language}, {uri}")?;
    }
    Ok(())
}

fn write_media_playlist(out: &mut String, list: &MediaPlaylist) -> std::fmt::Result {
    let ticks: i64 = list.segments.iter().map(|segment| segment.duration.ticks()).sum();
    let total = crate::units::MediaTime(ticks).seconds();
    writeln!(
        out,
        "media playlist: {} segments, {total:.3} s, target {} s, sequence {}, \
         discontinuity sequence {}, {}",
        list.segments.len(),
        list.target_duration,
        list.media_sequence,
        list.discontinuity_sequence,
        if list.ended { "ended" } else { "live" },
    )?;
    for (number, segment) in (list.media_sequence..).zip(&list.segments) {
        let mark = |set: bool, word: &'static str| if set { word } else { "" };
        writeln!(
            out,
            "{number} {} {:.6} s{}{}",
            segment.uri,
            segment.duration.seconds(),
            mark(segment.discontinuity, ", after a discontinuity"),
            mark(segment.gap, ", a gap"),
        )?;
    }
    Ok(())
}

fn write_body(out: &mut String, body: &SegmentBody) -> std::fmt::Result {
    writeln!(out, "segment: {} tracks, {} messages", body.tracks.len(), body.metadata.len())?;
    for track in &body.tracks {
        write_track(out, track)?;
    }
    for message in &body.metadata {
        let (kind, pid, size) = (message.kind, message.pid, message.data.len());
        writeln!(out, "message {kind:?}, PID {pid}, {size} bytes")?;
    }
    if body.dropped_messages > 0 {
        writeln!(out, "{} messages are too large or too many", body.dropped_messages)?;
    }
    for (pid, stream_type) in &body.unknown_streams {
        writeln!(out, "PID {pid}: stream type {stream_type:#04x} is not understood")?;
    }
    Ok(())
}

fn write_track(out: &mut String, track: &TrackSegment) -> std::fmt::Result {
    write!(out, "track PID {}, {}", track.pid, track.config.rfc6381())?;
    match &track.config {
        CodecConfig::Avc(video) | CodecConfig::Hevc(video) => {
            write!(out, ", {}x{}", video.width, video.height)?;
        }
        audio => {
            if let Some(channels) = audio.channels() {
                write!(out, ", {} Hz, {channels} channels", audio.timescale().per_second())?;
            }
        }
    }
    if let Some(language) = &track.language {
        write!(out, ", {}", String::from_utf8_lossy(language))?;
    }
    let entries = track.samples.iter().filter(|sample| sample.random_access).count();
    writeln!(
        out,
        ", {} samples ({entries} random access points), {} bytes",
        track.samples.len(),
        track.payload.len()
    )?;
    writeln!(
        out,
        "  decode from {:.6} s, presented {:.6} s to {:.6} s",
        track.first_decode_time.seconds(),
        track.earliest_presentation_time.seconds(),
        track.presentation_end.seconds()
    )?;
    let damage = track.damage;
    if !damage.is_none() || damage.leading_units > 0 {
        writeln!(
            out,
            "  damage: {} packets lost, {} units dropped, {} before the first random access point",
            damage.lost_packets, damage.dropped_units, damage.leading_units
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
