//! HLS media playlists (RFC 8216 §4.3.3), over transport streams, CMAF or WebVTT segments.
//!
//! MEDIA-SEQUENCE is the number of the first segment, as in its URL. TARGETDURATION is the duration
//! of a whole join, which does not change while the source's segment duration doesn't; a longer
//! segment in the list raises it, because a player may give up on a list that breaks its promise.

use super::ladder::is_offered;
use super::stale::has_stopped;
use super::text::{
    push_date_time, push_hash, push_integer, push_seconds_between, push_thousandths,
};
use super::view::{View, ticks};
use super::{Absent, HlsList, url_hash};
use crate::engine::codec::TrackKind;
use crate::engine::endpoint::{HlsListSettings, Package, PlaylistType};
use crate::engine::presentation::{Joined, Track};
use crate::units::{MediaTime, TrackId};

/// Target durations from a list's end in which no segment is left out of a delta update (RFC
/// 8216bis §4.4.3.8: six at least). Lists twice as long offer delta updates.
const SKIP_TARGET_COUNT: i64 = 6;

/// What a segment's lines take at most, nearly always.
const SEGMENT_LINES_SIZE: usize = 112;

/// Writes one track's list while its segments come by.
struct Writer<'a> {
    view: &'a View<'a>,
    track: &'a Track,
    /// Begins every segment's and init's URI.
    prefix: String,
    extension: &'static str,
    /// Seconds between dates; `None` for no dates.
    date_interval: Option<MediaTime>,
    lines: String,
    /// Init that the last EXT-X-MAP named.
    map: Option<u32>,
    /// The last segment that has a date.
    dated: Option<MediaTime>,
    longest: MediaTime,
    has_gap: bool,
    /// Segments left out at the front of a delta update.
    skipped_count: u64,
}

pub(super) fn render(
    view: &View<'_>,
    list: &HlsList<'_>,
    track: TrackId,
) -> Result<String, Absent> {
    let track = view.presentation.tracks.iter().find(|known| known.info.id == track);
    let track = track.filter(|track| is_offered(view.endpoint, &track.info));
    let track = track.ok_or(Absent::Never)?;
    if !view.is_complete(track) && has_stopped(view, track) {
        return Err(Absent::Stopped);
    }
    let mut segments = view.window(track, list.window_seconds)?.peekable();
    let first = segments.peek().cloned().ok_or(Absent::NotYet)?;
    let last = view.last(track).ok_or(Absent::NotYet)?;

    let interval = list.settings.program_date_time_interval_seconds;
    let mut writer = Writer::new(view, track, (interval > 0).then(|| ticks(interval)));
    writer.reserve(list.window_seconds);
    if view.request.skips {
        // The boundary is as far as the whole list says, not just what a delta update lists of it.
        let all = view.window(track, list.window_seconds)?;
        writer.longest = all.map(|joined| joined.end - joined.start).max().unwrap_or_default();
    }
    let mut hashes = view.hashes(track);
    let mut end = first.start;
    let skip_until = writer.skip_until(&first, last.end).filter(|_| view.request.skips);
    for joined in segments {
        end = joined.end;
        if skip_until.is_some_and(|until| joined.end <= until) {
            writer.skipped_count += 1;
            continue;
        }
        let hash = hashes.of(&joined).ok_or(Absent::Never)?;
        writer.push_segment(&joined, hash);
    }
    Ok(writer.finish(list.settings, &first, end))
}

impl<'a> Writer<'a> {
    fn new(view: &'a View<'a>, track: &'a Track, date_interval: Option<MediaTime>) -> Self {
        let climb = view.request.climb();
        let prefix = match &view.endpoint.package {
            Package::Cmaf(package) if package.segment_prefix.is_empty() => format!("{climb}../"),
            Package::Cmaf(package) => format!("{climb}../{}_", package.segment_prefix),
            Package::Hls(_) | Package::Dash(_) | Package::Mss(_) => climb,
        };
        let extension = match (track.info.kind, &view.endpoint.package) {
            (TrackKind::Text, _) => ".vtt\n",
            (_, Package::Hls(_)) => ".ts\n",
            (_, Package::Cmaf(_) | Package::Dash(_) | Package::Mss(_)) => ".m4s\n",
        };
        Self {
            view,
            track,
            prefix: format!("{prefix}{}_", track.info.name),
            extension,
            date_interval,
            lines: String::new(),
            map: None,
            dated: None,
            longest: MediaTime(0),
            has_gap: false,
            skipped_count: 0,
        }
    }

    fn reserve(&mut self, window_seconds: u32) {
        let target = self.view.target(self.track).ticks().max(1);
        let count = ticks(window_seconds).ticks() / target + 2;
        self.lines.reserve(usize::try_from(count).unwrap_or(0) * SEGMENT_LINES_SIZE);
    }

    /// Where the skip boundary lies in a list from `first` to `end`: segments that end before it
    /// may be left out. `None` where the list is too short for that to be of use,
    /// or complete.
    fn skip_until(&self, first: &Joined, end: MediaTime) -> Option<MediaTime> {
        let boundary = ticks(u32::try_from(self.skip_boundary()).ok()?);
        let is_long = end - first.start >= boundary + boundary;
        (is_long && !self.view.is_complete(self.track)).then(|| end - boundary)
    }

    /// Seconds for CAN-SKIP-UNTIL.
    fn skip_boundary(&self) -> i64 {
        SKIP_TARGET_COUNT * self.target_duration()
    }

    fn push_segment(&mut self, joined: &Joined, hash: u32) {
        if joined.discontinuity {
            self.lines.push_str("#EXT-X-DISCONTINUITY\n");
        }
        self.push_map(joined);
        self.push_date(joined);
        if joined.gap {
            self.has_gap = true;
            self.lines.push_str("#EXT-X-GAP\n");
        }
        self.longest = self.longest.max(joined.end - joined.start);
        self.lines.push_str("#EXTINF:");
        push_seconds_between(&mut self.lines, joined.start, joined.end);
        self.lines.push_str(",\n");
        self.lines.push_str(&self.prefix);
        push_hash(&mut self.lines, hash);
        self.lines.push('_');
        push_integer(&mut self.lines, joined.number);
        self.lines.push_str(self.extension);
    }

    /// EXT-X-MAP where the init changes (RFC 8216 §4.3.2.5).
    fn push_map(&mut self, joined: &Joined) {
        let Some(id) = joined.init.filter(|_| self.extension == ".m4s\n") else { return };
        if self.map == Some(id) {
            return;
        }
        let Some(init) = self.view.presentation.inits.get(&id) else { return };
        self.map = Some(id);
        let hash = url_hash::init(&self.view.endpoint.package, &self.track.info, &init.config);
        self.lines.push_str("#EXT-X-MAP:URI=\"");
        self.lines.push_str(&self.prefix);
        push_hash(&mut self.lines, hash);
        self.lines.push_str("_init.mp4\"\n");
    }

    /// EXT-X-PROGRAM-DATE-TIME on the first segment, after a discontinuity, and at the interval.
    fn push_date(&mut self, joined: &Joined) {
        let Some(interval) = self.date_interval else { return };
        let due = |dated| joined.discontinuity || joined.start - dated >= interval;
        if self.dated.is_none_or(due) {
            self.dated = Some(joined.start);
            self.lines.push_str("#EXT-X-PROGRAM-DATE-TIME:");
            push_date_time(&mut self.lines, self.view.wall(joined.start));
            self.lines.push('\n');
        }
    }

    fn finish(self, settings: &HlsListSettings, first: &Joined, end: MediaTime) -> String {
        let mut out = String::with_capacity(self.lines.len() + 256);
        out.push_str("#EXTM3U\n#EXT-X-VERSION:");
        // EXT-X-SKIP came with version 9, EXT-X-GAP with 8, EXT-X-MAP outside I-frame lists with 6.
        let version = match self.extension {
            _ if self.skipped_count > 0 => "9",
            _ if self.has_gap => "8",
            ".m4s\n" => "6",
            _ => "3",
        };
        out.push_str(version);
        out.push_str("\n#EXT-X-TARGETDURATION:");
        push_integer(&mut out, self.target_duration());
        if self.skip_until(first, end).is_some() {
            out.push_str("\n#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=");
            push_integer(&mut out, self.skip_boundary());
        }
        out.push_str("\n#EXT-X-MEDIA-SEQUENCE:");
        push_integer(&mut out, first.number);
        let since = self.track.discontinuities_from(first.position);
        let before = self.track.discontinuity_count.saturating_sub(since);
        if before > 0 {
            out.push_str("\n#EXT-X-DISCONTINUITY-SEQUENCE:");
            push_integer(&mut out, before);
        }
        self.push_type(&mut out, settings.playlist_type);
        out.push_str("\n#EXT-X-INDEPENDENT-SEGMENTS\n");
        push_start(&mut out, settings, end - first.start);
        if self.skipped_count > 0 {
            out.push_str("#EXT-X-SKIP:SKIPPED-SEGMENTS=");
            push_integer(&mut out, self.skipped_count);
            out.push('\n');
        }
        out.push_str(&self.lines);
        if self.view.is_complete(self.track) {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        out
    }

    /// EXT-X-PLAYLIST-TYPE (RFC 8216 §4.3.3.5), where segments stay: in lists with a start of their
    /// own. `VOD` promises that none is added either, which an ended channel may do once it is
    /// started again.
    fn push_type(&self, out: &mut String, playlist_type: PlaylistType) {
        let span = self.view.span;
        let is_closed = span.end.is_some() && self.view.is_complete(self.track);
        match playlist_type {
            PlaylistType::Event if span.is_fixed() => out.push_str("\n#EXT-X-PLAYLIST-TYPE:EVENT"),
            PlaylistType::Vod if is_closed => out.push_str("\n#EXT-X-PLAYLIST-TYPE:VOD"),
            PlaylistType::None | PlaylistType::Event | PlaylistType::Vod => {}
        }
    }

    /// EXT-X-TARGETDURATION: the whole join of each grid in use, and the longest listed segment,
    /// rounded to the nearest second (RFC 8216 §4.3.3.1).
    fn target_duration(&self) -> i64 {
        let grids = &self.view.presentation.grids;
        let whole = grids.iter().map(|grid| grid.joined_ticks(self.view.seconds)).max();
        let longest = self.longest.max(whole.unwrap_or(self.longest));
        ((longest.ticks() + 45_000) / 90_000).max(1)
    }
}

/// EXT-X-START (RFC 8216 §4.3.5.2), unless it lies outside a list that lasts `duration`.
fn push_start(out: &mut String, settings: &HlsListSettings, duration: MediaTime) {
    let Some(start) = settings.start else { return };
    let milliseconds = start.milliseconds.unsigned_abs();
    if i64::try_from(milliseconds * 90).is_ok_and(|ticks| ticks >= duration.ticks()) {
        return;
    }
    out.push_str("#EXT-X-START:TIME-OFFSET=");
    if start.milliseconds < 0 {
        out.push('-');
    }
    push_thousandths(out, milliseconds, 1000);
    out.push_str(if start.precise { ",PRECISE=YES\n" } else { "\n" });
}
