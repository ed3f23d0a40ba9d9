//! Media playlists (RFC 8216 §4.3.3): segments with their durations, dates and breaks.
//!
//! `EXT-X-PROGRAM-DATE-TIME` may stand before or after its `EXTINF`: it belongs to the next URI.

use super::date_time::{parse_date_time, parse_seconds};
use super::{Line, PlaylistError};
use crate::limits::{PLAYLIST_DURATION_SECONDS_MAX, PLAYLIST_KEPT_TAG_COUNT_MAX};
use crate::units::{MediaTime, WallClock};

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaPlaylist {
    /// EXT-X-TARGETDURATION in seconds; where it is missing, the longest EXTINF rounded up.
    pub target_duration: u32,
    /// EXT-X-MEDIA-SEQUENCE: number of the first segment.
    pub media_sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE of the first segment.
    pub discontinuity_sequence: u64,
    /// Segments, oldest first.
    pub segments: Vec<PlaylistSegment>,
    /// EXT-X-ENDLIST: nothing will be added.
    pub ended: bool,
}

/// A segment of a media playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaylistSegment {
    /// Its URI, as written.
    pub uri: String,
    /// EXTINF in 90 kHz ticks, rounded to the nearest.
    pub duration: MediaTime,
    /// EXT-X-PROGRAM-DATE-TIME of this very segment.
    pub program_date_time: Option<WallClock>,
    /// Date of its first sample: the explicit one, or a neighbour's carried on by the durations
    /// between them, never across a discontinuity (RFC 8216 §6.3.3).
    pub date: Option<WallClock>,
    /// EXT-X-DISCONTINUITY lies before it.
    pub discontinuity: bool,
    /// EXT-X-GAP: there is no media.
    pub gap: bool,
    /// Tags between the last segment and this one that are not understood here, verbatim.
    pub tags: Vec<String>,
}

/// Tags that speak of the whole playlist and change nothing here.
const IGNORED_TAGS: [&str; 8] = [
    "#EXTM3U",
    "#EXT-X-VERSION",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-ALLOW-CACHE",
    "#EXT-X-START",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-PART-INF",
];

#[derive(Default)]
struct Parser<'a> {
    playlist: MediaPlaylist,
    /// What the tags before the next URI said.
    open: PlaylistSegment,
    /// The EXTINF that waits for its URI.
    extinf: Option<Line<'a>>,
    target: Option<u32>,
    kept_tags: usize,
}

pub(super) fn parse(lines: &[Line<'_>]) -> Result<MediaPlaylist, PlaylistError> {
    let mut parser = Parser::default();
    for &line in lines {
        if line.text.starts_with("#EXT") {
            parser.on_tag(line)?;
        } else if !line.text.starts_with('#') {
            parser.on_uri(line)?;
        }
    }
    if let Some(line) = parser.extinf {
        return Err(line.error("a URI after #EXTINF"));
    }
    let Parser { mut playlist, target, .. } = parser;
    playlist.target_duration = match (target, lines.last()) {
        (Some(target), _) => target,
        (None, Some(last)) if playlist.segments.is_empty() => {
            return Err(last.error("#EXT-X-STREAM-INF, #EXT-X-TARGETDURATION or #EXTINF"));
        }
        (None, _) => longest_in_seconds(&playlist.segments),
    };
    carry_dates(&mut playlist.segments);
    Ok(playlist)
}

impl<'a> Parser<'a> {
    fn on_tag(&mut self, line: Line<'a>) -> Result<(), PlaylistError> {
        let (tag, value) = line.text.split_once(':').unwrap_or((line.text, ""));
        match tag {
            "#EXTINF" => {
                let seconds = value.split(',').next().unwrap_or(value).trim();
                self.open.duration = parse_seconds(seconds, PLAYLIST_DURATION_SECONDS_MAX)
                    .ok_or_else(|| line.error("decimal seconds in #EXTINF"))?;
                self.extinf = Some(line);
            }
            "#EXT-X-TARGETDURATION" => {
                let target = parse_seconds(value.trim(), PLAYLIST_DURATION_SECONDS_MAX);
                let target = target.ok_or_else(|| line.error("seconds in the target duration"))?;
                self.target = Some(seconds_rounded_up(target));
            }
            "#EXT-X-MEDIA-SEQUENCE" => self.playlist.media_sequence = parse_integer(line, value)?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.playlist.discontinuity_sequence = parse_integer(line, value)?;
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                let date = parse_date_time(value.trim());
                let date = date.ok_or_else(|| line.error("an ISO 8601 date and time"))?;
                self.open.program_date_time = Some(date);
            }
            "#EXT-X-DISCONTINUITY" => self.open.discontinuity = true,
            "#EXT-X-GAP" => self.open.gap = true,
            "#EXT-X-ENDLIST" => self.playlist.ended = true,
            _ if IGNORED_TAGS.contains(&tag) => {}
            _ => {
                if self.kept_tags == PLAYLIST_KEPT_TAG_COUNT_MAX {
                    return Err(line.error("fewer tags that are not understood"));
                }
                self.kept_tags += 1;
                self.open.tags.push(line.text.to_owned());
            }
        }
        Ok(())
    }

    fn on_uri(&mut self, line: Line<'a>) -> Result<(), PlaylistError> {
        if self.extinf.take().is_none() {
            return Err(line.error("#EXTINF before a URI"));
        }
        let segment = std::mem::take(&mut self.open);
        self.playlist.segments.push(PlaylistSegment { uri: line.text.to_owned(), ..segment });
        Ok(())
    }
}

fn parse_integer(line: Line<'_>, value: &str) -> Result<u64, PlaylistError> {
    value.trim().parse().map_err(|_| line.error("a decimal integer"))
}

fn seconds_rounded_up(time: MediaTime) -> u32 {
    u32::try_from(time.ticks().max(0).unsigned_abs().div_ceil(90_000)).unwrap_or(u32::MAX)
}

fn longest_in_seconds(segments: &[PlaylistSegment]) -> u32 {
    let longest = segments.iter().map(|segment| segment.duration).max();
    longest.map_or(0, seconds_rounded_up)
}

/// Fills in [`PlaylistSegment::date`]: forwards from each explicit date, then backwards to the
/// segments before the first one. Durations are added up in ticks, so that nothing drifts.
fn carry_dates(segments: &mut [PlaylistSegment]) {
    let mut carried: Option<i64> = None;
    for segment in segments.iter_mut() {
        if segment.discontinuity {
            carried = None;
        }
        if let Some(explicit) = segment.program_date_time {
            carried = Some(explicit.ticks_90k());
            segment.date = Some(explicit);
        } else {
            segment.date = carried.map(WallClock::from_ticks_90k);
        }
        carried = carried.and_then(|ticks| ticks.checked_add(segment.duration.ticks()));
    }
    let mut following: Option<i64> = None;
    for segment in segments.iter_mut().rev() {
        if segment.date.is_none() {
            let ticks = following.and_then(|next| next.checked_sub(segment.duration.ticks()));
            segment.date = ticks.map(WallClock::from_ticks_90k);
        }
        following = segment.date.map(WallClock::ticks_90k).filter(|_| !segment.discontinuity);
    }
}
