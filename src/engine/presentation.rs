//! What a channel offers at one moment: an immutable snapshot that every core reads.
//!
//! The channel's owner makes a new [`Presentation`] at each publication; packagers turn it into
//! manifests and segment plans. A base segment has a *number* that is consecutive on its track.
//! Endpoints join N of them; [`Presentation::joined`] is the one place where that is done.

use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::log::Log;
use crate::engine::splice::SpliceLog;
use crate::units::{Extent, InputNumber, MediaTime, TrackId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A snapshot of a channel's listed media.
#[derive(Clone, Debug, Default)]
pub struct Presentation {
    /// Grows by one with each publication.
    pub version: u64,
    /// W: wall clock minus media time, in 90 kHz ticks; a multiple of 100 ms.
    pub clock_offset: MediaTime,
    /// Output tracks: video in the source's order, then audio, then text.
    pub tracks: Vec<Track>,
    /// Grids that listed segments refer to, ascending by id.
    pub grids: Vec<Arc<Grid>>,
    /// Decoder configurations that listed segments refer to, by id.
    pub inits: BTreeMap<u32, Arc<Init>>,
    /// Per kind and cadence: the first base number that DASH does not list yet. A number is listed
    /// once every track that counts together has it, or half a target after the first had it.
    pub set_edges: BTreeMap<(TrackKind, u16), u64>,
    /// Transport streams wait no more for sound before this: it is in, or has been given up.
    pub sound_edge: MediaTime,
    /// Every live input has sent ENDLIST: the presentation is complete.
    pub ended: bool,
    /// What the source says of its programme's points, in the window and a day before it.
    pub splices: SpliceLog,
}

/// One output track and its listed segments.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its description, which is frozen for a session.
    pub info: Arc<TrackInfo>,
    /// Listed base segments: numbers are consecutive, each is media or a gap.
    pub segments: Log<Listed>,
    /// Where listed segments end that come before those of `segments` and are not known yet: the
    /// ring files they lie in are still to be read, after a start. `None` once all are known.
    pub unread_until: Option<MediaTime>,
    /// Discontinuities ever listed on this track, those in `segments` included. Playlists count
    /// back from it (RFC 8216 §4.3.3.3), so that a short one costs nothing in a long window.
    pub discontinuity_count: u64,
    /// Grids that number it: those of the same cadence. 0 is the leading video's.
    pub cadence: u16,
}

/// What manifests say of a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackInfo {
    /// The track.
    pub id: TrackId,
    /// `v1`, `v2`, `a1`, `t1`: kind and order in the source. Part of URLs.
    pub name: String,
    /// Kind of medium.
    pub kind: TrackKind,
    /// Configuration of its first segment in this session (codec string, resolution, channels).
    pub config: CodecConfig,
    /// BCP 47 language from the source's playlist, or the stream's descriptor.
    pub language: Option<String>,
    /// NAME of the source's rendition.
    pub label: Option<String>,
    /// DEFAULT of the source's rendition.
    pub default: bool,
    /// AUTOSELECT of the source's rendition.
    pub autoselect: bool,
    /// FORCED of the source's rendition.
    pub forced: bool,
    /// CHARACTERISTICS of the source's rendition.
    pub characteristics: Option<String>,
    /// Bits per second for BANDWIDTH: this track's own share, frozen for the session.
    pub bandwidth: u64,
    /// Bits per second for AVERAGE-BANDWIDTH: this track's own share, frozen for the session.
    pub average_bandwidth: u64,
    /// Pictures per second as a fraction, (0, 0) for other kinds or where unknown.
    pub frame_rate: (u32, u32),
    /// Audio group of the source's variant this track came from; equal for tracks that a
    /// variant's AUDIO or an alternative's GROUP-ID ties together.
    pub audio_group: Option<String>,
}

/// A listed base segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Consecutive on its track.
    pub number: u64,
    /// Grid it lies on.
    pub grid: u32,
    /// Earliest presentation time.
    pub start: MediaTime,
    /// Presentation end; the start of what follows on the timeline if there is no hole.
    pub end: MediaTime,
    /// True where a discontinuity lies before it: a new session, or a new configuration. Either
    /// begins a new grid, so that segments are never joined across it.
    pub discontinuity: bool,
    /// The media, or `None` for a gap.
    pub media: Option<MediaRef>,
}

/// Where a listed segment's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRef {
    /// Decode time of the first sample.
    pub decode_start: MediaTime,
    /// Decoder configuration, an id of [`Presentation::inits`].
    pub init: u32,
    /// Packed sample table ([`crate::engine::sample_table`]).
    pub table: Extent,
    /// Samples' bytes.
    pub payload: Extent,
    /// Number of samples.
    pub sample_count: u32,
    /// The lower half of XXH3-128 of table and payload.
    pub hash: u64,
    /// Input that delivered it. For operators: no output byte depends on it.
    pub input: InputNumber,
    /// What is wrong with it. For operators, too.
    pub flaws: Flaws,
}

/// What is wrong with media that is listed for want of a better copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaws {
    /// Packets, PES packets or access units were lost.
    pub damaged: bool,
    /// It does not begin at a random access point.
    pub no_random_access: bool,
    /// It does not last as long as its place on the timeline: a dying encoder's last, or frames
    /// are missing.
    pub odd_duration: bool,
}

impl Flaws {
    /// True where nothing is wrong.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !(self.damaged || self.no_random_access || self.odd_duration)
    }
}

/// A decoder configuration and where it came up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// The configuration.
    pub config: CodecConfig,
    /// Track it belongs to.
    pub track: TrackId,
}

/// Numbering of a stretch of the timeline: media time over the period, to the nearest, counted on
/// from the first segment's number, so that numbers never fall or skip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Ascending.
    pub id: u32,
    /// Tracks whose segments begin together share a cadence and its grids.
    pub cadence: u16,
    /// Session it belongs to, ascending.
    pub session: u32,
    /// Presentation time that DASH Period@start is taken from, and the Period's identity: 0 for
    /// the very first session (so that it does not depend on when an origin was started), and the
    /// first EPT for a later session or a later grid. Grids of tracks that count by themselves
    /// share it with the session's, so that all tracks change Periods together.
    pub session_start: MediaTime,
    /// Period P: `numerator / denominator` ticks of 90 kHz.
    pub period: (u64, u32),
    /// EPT mod P in ticks, floored.
    pub phase: MediaTime,
    /// First base number; 0 for the very first grid, whose numbers count from 1970.
    pub first_number: u64,
    /// Index, (EPT − phase) ÷ P, of the segment with `first_number`.
    pub first_index: i64,
    /// Last base number, once a later grid has begun.
    pub last_number: Option<u64>,
    /// True where a discontinuity lies before it: a new session or a new configuration.
    pub breaks: bool,
    /// For each segment duration in use, in seconds: the joined number that `first_number` belongs
    /// to, which is [`Grid::joined_after`] of the grid before. Kept by duration and not by joining
    /// factor: endpoints that agree on the factor here may have disagreed in the grid before.
    pub joined_first: BTreeMap<u32, u64>,
}

/// N base segments of a track joined into one output segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Output number.
    pub number: u64,
    /// Position in [`Track::segments`] of its first base segment.
    pub position: usize,
    /// Base segments it takes: N, or fewer before a break.
    pub count: usize,
    /// Earliest presentation time of the first.
    pub start: MediaTime,
    /// Presentation end of the last.
    pub end: MediaTime,
    /// A discontinuity lies before it.
    pub discontinuity: bool,
    /// None of its base segments has media.
    pub gap: bool,
    /// Grid it lies on.
    pub grid: u32,
    /// Init of its first media; `None` for a gap.
    pub init: Option<u32>,
}

impl Track {
    /// Listed discontinuities from `position` on. One lies only where a grid begins, so that this
    /// takes a step for each grid, however long the window is.
    #[must_use]
    pub fn discontinuities_from(&self, mut position: usize) -> u64 {
        let mut count = 0;
        while let Some(first) = self.segments.get(position) {
            count += u64::from(first.discontinuity);
            let on_grid = |listed: &Listed| listed.grid == first.grid;
            position = self.segments.partition_point_from(position, on_grid);
        }
        count
    }
}

impl Joined {
    /// The middle of its presentation: it belongs to a window that holds more than half of it.
    #[must_use]
    pub const fn middle(&self) -> MediaTime {
        MediaTime(i64::midpoint(self.start.0, self.end.0))
    }
}

impl Grid {
    /// Period in 90 kHz ticks, rounded to the nearest.
    #[must_use]
    pub fn period_ticks(&self) -> MediaTime {
        let (numerator, denominator) = self.period;
        let denominator = u64::from(denominator.max(1));
        MediaTime(i64::try_from((2 * numerator + denominator) / (2 * denominator)).unwrap_or(1))
    }

    /// How many base segments come nearest to `seconds`; at least one.
    #[must_use]
    pub fn join_factor(&self, seconds: u32) -> u32 {
        let wanted = u128::from(seconds) * 90_000 * u128::from(self.period.1);
        let period = u128::from(self.period.0.max(1));
        u32::try_from(((2 * wanted + period) / (2 * period)).max(1)).unwrap_or(u32::MAX)
    }

    /// Duration of a whole join for `seconds`, in 90 kHz ticks, rounded to the nearest.
    #[must_use]
    pub fn joined_ticks(&self, seconds: u32) -> MediaTime {
        let (numerator, denominator) = self.period;
        let denominator = u128::from(denominator.max(1));
        let whole = u128::from(numerator) * u128::from(self.join_factor(seconds));
        let ticks = (2 * whole + denominator) / (2 * denominator);
        MediaTime(i64::try_from(ticks).unwrap_or(i64::MAX))
    }

    /// The joined number that base number `number` belongs to, for endpoints of `seconds`.
    #[must_use]
    pub fn joined_number(&self, number: u64, seconds: u32) -> u64 {
        let n = u64::from(self.join_factor(seconds));
        self.joined_first(seconds) + number.saturating_sub(self.first_number) / n
    }

    /// Base numbers that joined number `joined` takes, fewer than N at this grid's end. `None`
    /// where the number is not on this grid.
    #[must_use]
    pub fn base_numbers(&self, joined: u64, seconds: u32) -> Option<Range<u64>> {
        let n = u64::from(self.join_factor(seconds));
        let steps = joined.checked_sub(self.joined_first(seconds))?.checked_mul(n)?;
        let first = self.first_number.checked_add(steps)?;
        let after = first.checked_add(n)?;
        let after = self.last_number.map_or(after, |last| after.min(last.saturating_add(1)));
        (first < after).then_some(first..after)
    }

    /// Where the segment with `first_index` nominally begins, floored.
    #[must_use]
    pub fn first_time(&self) -> MediaTime {
        let (numerator, denominator) = self.period;
        let elapsed = i128::from(self.first_index) * i128::from(numerator);
        let elapsed = elapsed.div_euclid(i128::from(denominator.max(1)));
        self.phase + MediaTime(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }

    /// The joined number, for endpoints of `seconds`, whose nominal start is nearest to `time`,
    /// also where this grid begins later.
    #[must_use]
    pub fn joined_near(&self, time: MediaTime, seconds: u32) -> u64 {
        let (numerator, denominator) = self.period;
        let step = i128::from(numerator.max(1)) * i128::from(self.join_factor(seconds));
        let elapsed = i128::from((time - self.first_time()).ticks()) * i128::from(denominator);
        let steps = (2 * elapsed + step).div_euclid(2 * step);
        let number = i128::from(self.joined_first(seconds)) + steps;
        u64::try_from(number.max(0)).unwrap_or(u64::MAX)
    }

    /// The joined number that follows this grid's last one; `None` while it is open.
    #[must_use]
    pub fn joined_after(&self, seconds: u32) -> Option<u64> {
        Some(self.joined_number(self.last_number?, seconds) + 1)
    }

    /// How far before the pictures the sound that is muxed with them may begin.
    #[must_use]
    pub fn sound_early_max(&self) -> MediaTime {
        MediaTime(self.period_ticks().0 / 4)
    }

    /// True where sound that is listed up to `sound` is all that is muxed with pictures up to
    /// `end`: what comes next begins there or a frame before, and a sixteenth of a period is longer
    /// than a frame.
    #[must_use]
    pub fn has_sound_until(&self, sound: MediaTime, end: MediaTime) -> bool {
        sound + self.sound_early_max() >= end + MediaTime(self.period_ticks().0 / 16)
    }

    fn joined_first(&self, seconds: u32) -> u64 {
        let kept = self.joined_first.get(&seconds).copied();
        kept.unwrap_or_else(|| self.first_number.div_ceil(u64::from(self.join_factor(seconds))))
    }
}

impl Presentation {
    /// The track with this URL name.
    #[must_use]
    pub fn track(&self, name: &str) -> Option<&Track> {
        self.tracks.iter().find(|track| track.info.name == name)
    }

    /// The grid with this id.
    #[must_use]
    pub fn grid(&self, id: u32) -> Option<&Grid> {
        let at = self.grids.binary_search_by_key(&id, |grid| grid.id).ok()?;
        self.grids.get(at).map(Arc::as_ref)
    }

    /// The newest presentation end of all tracks, or `None` where nothing is listed.
    #[must_use]
    pub fn edge(&self) -> Option<MediaTime> {
        self.tracks.iter().filter_map(|track| track.segments.last()).map(|last| last.end).max()
    }

    /// `track`'s output segments for endpoints that want `seconds` each, from the first whole one
    /// that ends after `from`, oldest first, up to the last that is closed.
    ///
    /// A number that has lost base segments at the front of the window is not offered; one cut
    /// short by the next grid or by the presentation's end is.
    pub fn joined<'a>(
        &'a self,
        track: &'a Track,
        seconds: u32,
        from: MediaTime,
    ) -> impl Iterator<Item = Joined> + 'a {
        let mut position = track.segments.partition_point(|listed| listed.end <= from);
        std::iter::from_fn(move || {
            // Not whole at the front: the next one may be. Not closed at the edge: the end.
            loop {
                let listed = track.segments.get(position)?;
                let grid = self.grid(listed.grid)?;
                let number = grid.joined_number(listed.number, seconds);
                let wanted = grid.base_numbers(number, seconds)?;
                let joined = self.join(track, grid, number, wanted.clone());
                if let Some(joined) = joined {
                    let next = joined.position + joined.count;
                    assert!(next > position, "a grid's entries end with its last number");
                    position = next;
                    return Some(joined);
                }
                position += usize::try_from(wanted.end - listed.number).ok()?;
            }
        })
    }

    /// The output segment that `track`'s base segment at `position` belongs to; `None` where it is
    /// not whole.
    #[must_use]
    pub fn joined_at(&self, track: &Track, seconds: u32, position: usize) -> Option<Joined> {
        let listed = track.segments.get(position)?;
        let grid = self.grid(listed.grid)?;
        let number = grid.joined_number(listed.number, seconds);
        self.join(track, grid, number, grid.base_numbers(number, seconds)?)
    }

    /// `track`'s output segment `number` for endpoints that want `seconds` each.
    #[must_use]
    pub fn joined_number(&self, track: &Track, seconds: u32, number: u64) -> Option<Joined> {
        // Of every cadence: a track that left one has segments on its grids still.
        self.grids.iter().rev().find_map(|grid| {
            let wanted = grid.base_numbers(number, seconds)?;
            self.join(track, grid, number, wanted)
        })
    }

    fn join(&self, track: &Track, grid: &Grid, number: u64, wanted: Range<u64>) -> Option<Joined> {
        let front = track.segments.first()?.number;
        let position = usize::try_from(wanted.start.checked_sub(front)?).ok()?;
        let head = track.segments.get(position)?;
        if head.grid != grid.id {
            return None;
        }
        let count = usize::try_from(wanted.end - wanted.start).ok()?;
        // A track that left this cadence ends its last number early.
        let parts = track.segments.iter_from(position).take(count);
        let available = parts.take_while(|part| part.grid == grid.id).count();
        if available < count && position + available == track.segments.len() && !self.ended {
            return None;
        }
        let mut joined = Joined {
            number,
            position,
            count: available,
            start: head.start,
            end: head.end,
            discontinuity: false,
            gap: true,
            grid: grid.id,
            init: None,
        };
        for part in track.segments.iter_from(position).take(available) {
            joined.end = part.end;
            joined.discontinuity |= part.discontinuity;
            joined.gap &= part.media.is_none();
            joined.init = joined.init.or(part.media.as_ref().map(|media| media.init));
        }
        Some(joined)
    }
}
