//! Multivariant playlists (RFC 8216 §4.3.4): the ladder and its renditions.

use super::attributes::Attributes;
use super::{Line, PlaylistError};
use crate::limits::PLAYLIST_RENDITION_COUNT_MAX;

/// A multivariant playlist, in the order it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multivariant {
    /// `EXT-X-STREAM-INF` with their URIs.
    pub variants: Vec<Variant>,
    /// `EXT-X-MEDIA`.
    pub renditions: Vec<Rendition>,
}

/// A variant stream (RFC 8216 §4.3.4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// URI of its media playlist.
    pub uri: String,
    /// BANDWIDTH: peak bits per second.
    pub bandwidth: Option<u64>,
    /// AVERAGE-BANDWIDTH: bits per second.
    pub average_bandwidth: Option<u64>,
    /// CODECS, as written.
    pub codecs: Option<String>,
    /// RESOLUTION: width and height.
    pub resolution: Option<(u32, u32)>,
    /// FRAME-RATE, as written: decimal pictures per second.
    pub frame_rate: Option<String>,
    /// AUDIO: a group of [`Multivariant::renditions`].
    pub audio: Option<String>,
    /// SUBTITLES: a group.
    pub subtitles: Option<String>,
    /// CLOSED-CAPTIONS: a group, or the word `NONE`.
    pub closed_captions: Option<String>,
}

/// A rendition (RFC 8216 §4.3.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// TYPE.
    pub kind: RenditionKind,
    /// GROUP-ID.
    pub group_id: String,
    /// NAME.
    pub name: String,
    /// LANGUAGE, BCP 47.
    pub language: Option<String>,
    /// URI of its media playlist; `None` where it is muxed with the variant.
    pub uri: Option<String>,
    /// DEFAULT.
    pub default: bool,
    /// AUTOSELECT; implied by DEFAULT.
    pub autoselect: bool,
    /// FORCED.
    pub forced: bool,
    /// CHARACTERISTICS, as written.
    pub characteristics: Option<String>,
    /// CHANNELS, as written.
    pub channels: Option<String>,
    /// INSTREAM-ID of captions in the video.
    pub instream_id: Option<String>,
}

/// TYPE of an `EXT-X-MEDIA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenditionKind {
    /// `AUDIO`.
    Audio,
    /// `CLOSED-CAPTIONS`.
    ClosedCaptions,
    /// `SUBTITLES`.
    Subtitles,
    /// `VIDEO`.
    Video,
}

pub(super) fn parse(lines: &[Line<'_>]) -> Result<Multivariant, PlaylistError> {
    let mut playlist = Multivariant::default();
    let mut open: Option<(Line<'_>, Variant)> = None;
    for &line in lines {
        if playlist.variants.len() + playlist.renditions.len() > PLAYLIST_RENDITION_COUNT_MAX {
            return Err(line.error("fewer variants and renditions"));
        }
        if let Some(list) = line.after("#EXT-X-STREAM-INF:") {
            open = Some((line, parse_variant(&Attributes::parse(line, list)?)?));
        } else if let Some(list) = line.after("#EXT-X-MEDIA:") {
            playlist.renditions.push(parse_rendition(line, &Attributes::parse(line, list)?)?);
        } else if !line.text.starts_with('#') {
            let Some((_, variant)) = open.take() else {
                return Err(line.error("#EXT-X-STREAM-INF before a URI"));
            };
            playlist.variants.push(Variant { uri: line.text.to_owned(), ..variant });
        }
    }
    match open {
        Some((line, _)) => Err(line.error("a URI after #EXT-X-STREAM-INF")),
        None => Ok(playlist),
    }
}

fn parse_variant(attributes: &Attributes<'_>) -> Result<Variant, PlaylistError> {
    Ok(Variant {
        uri: String::new(),
        bandwidth: attributes.integer("BANDWIDTH")?,
        average_bandwidth: attributes.integer("AVERAGE-BANDWIDTH")?,
        codecs: attributes.text("CODECS"),
        resolution: attributes.value("RESOLUTION").and_then(|resolution| {
            let (width, height) = resolution.split_once(['x', 'X'])?;
            Some((width.parse().ok()?, height.parse().ok()?))
        }),
        frame_rate: attributes.text("FRAME-RATE"),
        audio: attributes.text("AUDIO"),
        subtitles: attributes.text("SUBTITLES"),
        closed_captions: attributes.text("CLOSED-CAPTIONS"),
    })
}

fn parse_rendition(
    line: Line<'_>,
    attributes: &Attributes<'_>,
) -> Result<Rendition, PlaylistError> {
    let kind = match attributes.value("TYPE") {
        Some("AUDIO") => RenditionKind::Audio,
        Some("CLOSED-CAPTIONS") => RenditionKind::ClosedCaptions,
        Some("SUBTITLES") => RenditionKind::Subtitles,
        Some("VIDEO") => RenditionKind::Video,
        _ => return Err(line.error("TYPE=AUDIO, VIDEO, SUBTITLES or CLOSED-CAPTIONS")),
    };
    let default = attributes.flag("DEFAULT");
    Ok(Rendition {
        kind,
        group_id: attributes.text("GROUP-ID").ok_or_else(|| line.error("GROUP-ID"))?,
        name: attributes.text("NAME").unwrap_or_default(),
        language: attributes.text("LANGUAGE"),
        uri: attributes.text("URI"),
        default,
        autoselect: default || attributes.flag("AUTOSELECT"),
        forced: attributes.flag("FORCED"),
        characteristics: attributes.text("CHARACTERISTICS"),
        channels: attributes.text("CHANNELS"),
        instream_id: attributes.text("INSTREAM-ID"),
    })
}
