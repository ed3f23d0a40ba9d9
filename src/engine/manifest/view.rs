//! What an endpoint offers of a presentation: the one place that decides which output segments are
//! listed, which can be fetched, and which audio is muxed with a video track.

pub(super) use super::shift::ticks;
use super::shift::{OVERLAP_MIN, Span};
use super::url_hash::{self, Shape};
use super::{Absent, Container};
use crate::engine::codec::CodecConfig;
use crate::engine::codec::TrackKind;
use crate::engine::endpoint::{DashSettings, Endpoint, Package, SegmentTemplateFormat};
use crate::engine::presentation::{Grid, Init, Joined, Presentation, Track};
use crate::engine::request::{ManifestRequest, RequestError};
use crate::units::MediaTime;
use std::ops::Range;
use std::sync::Arc;

/// Targets after a span's end at which what is missing still will not come any more.
const MISSING_TARGET_COUNT: i64 = 4;

/// What a viewer asks for who asks for nothing.
static LIVE: ManifestRequest = ManifestRequest::LIVE;

/// An endpoint looking at a presentation.
pub(super) struct View<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) presentation: &'a Presentation,
    /// Wanted duration of an output segment.
    pub(super) seconds: u32,
    /// What the manifest was asked with.
    pub(super) request: &'a ManifestRequest,
    /// Seconds by which everything is held back.
    pub(super) delay_seconds: u32,
    /// Nothing that ends later is offered: the live edge less the delay.
    pub(super) until: MediaTime,
    /// The part of the past that is asked for.
    pub(super) span: Span,
    /// A number is listed only once every track of its set has it.
    pub(super) waits_for_sets: bool,
    /// Text is looked at as samples of fragmented MP4, and not as WebVTT bodies.
    pub(super) has_text_samples: bool,
}

impl<'a> View<'a> {
    /// Looking at the live edge.
    pub(super) fn new(
        endpoint: &'a Endpoint,
        presentation: &'a Presentation,
    ) -> Result<Self, Absent> {
        Self::requested(endpoint, presentation, &LIVE)
    }

    /// Looking at what `request` asks for.
    pub(super) fn requested(
        endpoint: &'a Endpoint,
        presentation: &'a Presentation,
        request: &'a ManifestRequest,
    ) -> Result<Self, Absent> {
        let edge = presentation.edge().ok_or(Absent::NotYet)?;
        let sound_is_unread = |track: &Track| {
            track.info.kind == TrackKind::Audio
                && track.unread_until.is_some()
                && track.segments.is_empty()
        };
        // Which sound belongs to which pictures depends on what there is of it.
        if presentation.tracks.iter().any(sound_is_unread) {
            return Err(Absent::Unread);
        }
        let delay_seconds = match (endpoint.time_delay_seconds, request.time_delay_seconds) {
            (configured, None) => configured,
            (0, Some(asked)) => asked,
            // What is configured cannot be overridden.
            (_, Some(_)) => return Err(Absent::Never),
        };
        if request.time_delay_seconds.is_some_and(|asked| asked > endpoint.reach_seconds()) {
            return Err(RequestError::Delay.into());
        }
        let until = edge - ticks(delay_seconds);
        let seconds = endpoint.segment_duration_seconds();
        let span = Span::of(endpoint, presentation, request, until)?;
        let waits_for_sets = matches!(endpoint.package, Package::Dash(_) | Package::Mss(_));
        Ok(Self {
            endpoint,
            presentation,
            seconds,
            request,
            delay_seconds,
            until,
            span,
            waits_for_sets,
            has_text_samples: waits_for_sets,
        })
    }

    /// The same, looking at what an MPD lists.
    pub(super) fn of_mpd(self) -> Self {
        Self { waits_for_sets: true, has_text_samples: true, ..self }
    }

    /// The same, looking at segments that are written as `container`.
    pub(super) fn of_segments(self, container: Container) -> Self {
        let has_text_samples = self.has_text_samples || container == Container::Fmp4;
        Self { has_text_samples, ..self }
    }

    /// The wall-clock reading of `time` in 90 kHz ticks since 1970.
    pub(super) fn wall(&self, time: MediaTime) -> MediaTime {
        time + self.presentation.clock_offset
    }

    /// The newest output segment of `track` that is offered.
    pub(super) fn last(&self, track: &Track) -> Option<Joined> {
        let mut position = track.segments.partition_point(|listed| listed.end <= self.until);
        loop {
            position = position.checked_sub(1)?;
            let joined = self.presentation.joined_at(track, self.seconds, position);
            if let Some(joined) = joined.filter(|joined| self.is_closed(track, joined)) {
                return Some(joined);
            }
        }
    }

    /// The output segments of `track` that a manifest of `window_seconds` lists, oldest first: as
    /// many as have more than half of themselves in the window, and one at least.
    pub(super) fn window(
        &self,
        track: &'a Track,
        window_seconds: u32,
    ) -> Result<impl Iterator<Item = Joined> + use<'a>, Absent> {
        let last = self.last(track).ok_or(nothing_of(track))?;
        let from = self.span.from().unwrap_or(last.end - ticks(window_seconds));
        // The first segment may begin before the window, by half of itself and more.
        if self.is_unread(track, from - self.target(track) - self.target(track)) {
            return Err(Absent::Unread);
        }
        Ok(self.listed(track, from, last.number))
    }

    /// The output segments of `track` that a list holds which begins at `from` and ends with
    /// `number`.
    pub(super) fn listed(
        &self,
        track: &'a Track,
        from: MediaTime,
        number: u64,
    ) -> impl Iterator<Item = Joined> + use<'a> {
        let span = self.span;
        let outside = move |joined: &Joined| {
            let slid_out = !span.is_fixed() && joined.number < number && joined.middle() <= from;
            slid_out || span.is_clipped(joined)
        };
        let listed = move |it: &Joined| it.number <= number && span.begins_before_end(it);
        let joined = self.presentation.joined(track, self.seconds, from);
        joined.skip_while(outside).take_while(listed)
    }

    /// True where segments of `track`, or of what is muxed with it, that end after `from` are still
    /// to be read back.
    pub(super) fn is_unread(&self, track: &Track, from: MediaTime) -> bool {
        let is_unread = |track: &Track| track.unread_until.is_some_and(|until| until > from);
        is_unread(track) || self.muxed_audio(track).is_some_and(is_unread)
    }

    /// The output segment `number` of `track`, if it can be fetched: for one window and two
    /// targets after the last manifest that may begin with it.
    pub(super) fn fetchable(&self, track: &Track, number: u64) -> Result<Joined, Absent> {
        let last = self.last(track).ok_or(nothing_of(track))?;
        if number > last.number {
            return Err(Absent::NotYet);
        }
        let joined = self.presentation.joined_number(track, self.seconds, number);
        let is_unread = track.unread_until.is_some();
        let joined = joined.ok_or(if is_unread { Absent::Unread } else { Absent::Never })?;
        let target = self.target(track);
        let window = ticks(self.endpoint.window_seconds_max());
        let kept = ticks(self.endpoint.reach_seconds()) + window + target + target;
        if joined.middle() <= last.end - kept {
            return Err(Absent::Never);
        }
        let early = self.presentation.grid(joined.grid).map_or(MediaTime(0), Grid::sound_early_max);
        if self.muxed_audio(track).is_some_and(|audio| {
            audio.unread_until.is_some_and(|until| until > joined.start - early)
        }) {
            return Err(Absent::Unread);
        }
        // Media that comes late may still take a gap's place.
        if self.init_of(track, &joined).is_none() { Err(Absent::NotYet) } else { Ok(joined) }
    }

    /// Id of the configuration of `joined`; `None` for a gap. Text that is written as samples has
    /// none: where no text came, and comes late none is taken, there is a segment that says
    /// nothing.
    pub(super) fn init_of(&self, track: &Track, joined: &Joined) -> Option<u32> {
        joined.init.or_else(|| {
            let of_text = self.has_text_samples && track.info.kind == TrackKind::Text;
            let mut inits = self.presentation.inits.iter().filter(|_| of_text);
            inits.find(|(_, init)| init.track == track.info.id).map(|(&id, _)| id)
        })
    }

    /// The configuration with this id as the endpoint offers it.
    pub(super) fn offered_init(&self, id: u32) -> Option<Arc<Init>> {
        let init = self.presentation.inits.get(&id)?;
        let config = self.endpoint.offered(&init.config);
        Some(if *config == init.config {
            Arc::clone(init)
        } else {
            Arc::new(Init { config: config.clone(), track: init.track })
        })
    }

    /// True where nothing will be added to `track`'s list any more.
    pub(super) fn is_complete(&self, track: &Track) -> bool {
        self.has_all(track, || self.last(track).map(|last| last.end))
    }

    /// True where nothing will be added to a list of `track` any more that ends at `listed_end`.
    pub(super) fn has_all(
        &self,
        track: &Track,
        listed_end: impl FnOnce() -> Option<MediaTime>,
    ) -> bool {
        let is_past = |end: MediaTime| {
            let missing = MISSING_TARGET_COUNT * self.target(track).ticks();
            end + MediaTime(missing) <= self.until
                || listed_end().is_some_and(|last| last + OVERLAP_MIN >= end)
        };
        self.presentation.ended || self.span.end.is_some_and(is_past)
    }

    /// The seconds that a sliding list holds where `configured` are configured.
    pub(super) fn window_seconds(&self, configured: u32) -> Result<u32, Absent> {
        let Some(asked) = self.request.window_seconds else { return Ok(configured) };
        let allowed = 2 * self.seconds..=configured;
        if allowed.contains(&asked) { Ok(asked) } else { Err(RequestError::Window.into()) }
    }

    /// How an MPD of `settings` tells its segments: no clock leads to what is in the past.
    pub(super) fn template_format(&self, settings: &DashSettings) -> SegmentTemplateFormat {
        let format = settings.segment_template_format;
        let is_past = self.span.is_fixed() || self.presentation.ended;
        if is_past && !format.has_timeline() {
            SegmentTemplateFormat::NumberWithTimeline
        } else {
            format
        }
    }

    /// Duration of `track`'s whole output segments, by its newest grid.
    pub(super) fn target(&self, track: &Track) -> MediaTime {
        let grid = track.segments.last().and_then(|last| self.presentation.grid(last.grid));
        grid.map_or(ticks(self.seconds), |grid| grid.joined_ticks(self.seconds))
    }

    /// The audio track that goes into `track`'s transport stream: the first of its group.
    pub(super) fn muxed_audio(&self, track: &Track) -> Option<&'a Track> {
        let muxes = |package: &Package| match package {
            Package::Hls(package) => !package.use_audio_rendition_group,
            Package::Cmaf(_) | Package::Dash(_) | Package::Mss(_) => false,
        };
        if !muxes(&self.endpoint.package) || track.info.kind != TrackKind::Video {
            return None;
        }
        self.audio_of(track).next()
    }

    /// The audio tracks that belong to a video track: those of its group, or all where the source
    /// has no group for it.
    pub(super) fn audio_of(&self, video: &Track) -> impl Iterator<Item = &'a Track> + use<'a> {
        let all = || {
            let tracks = self.presentation.tracks.iter();
            tracks.filter(|track| track.info.kind == TrackKind::Audio && !track.segments.is_empty())
        };
        let group = video.info.audio_group.clone();
        let grouped = group.is_some() && all().any(|track| track.info.audio_group == group);
        all().filter(move |track| !grouped || track.info.audio_group == group)
    }

    /// Positions of the base segments of `audio` that are muxed with `joined` of a video track:
    /// those that begin in it, or up to a quarter of a base period before it.
    pub(super) fn muxed_range(&self, audio: &Track, joined: &Joined) -> Range<usize> {
        let early = self.presentation.grid(joined.grid).map_or(MediaTime(0), Grid::sound_early_max);
        let before =
            |time: MediaTime| audio.segments.partition_point(|listed| listed.start < time - early);
        before(joined.start)..before(joined.end)
    }

    /// The hashes in the URLs of `track`'s segments.
    pub(super) fn hashes<'v>(&'v self, track: &'v Track) -> Hashes<'v> {
        Hashes { view: self, track, audio: self.muxed_audio(track), init: None, known: None }
    }

    /// True where nothing that belongs to `joined` can still come.
    fn is_closed(&self, track: &Track, joined: &Joined) -> bool {
        if joined.end > self.until {
            return false;
        }
        let Some(grid) = self.presentation.grid(joined.grid) else { return false };
        if self.presentation.ended {
            return true;
        }
        if self.waits_for_sets {
            let last = track.segments.get(joined.position + joined.count - 1);
            let edge = self.presentation.set_edges.get(&(track.info.kind, track.cadence));
            return edge.is_none_or(|&edge| last.is_some_and(|last| last.number < edge));
        }
        self.muxed_audio(track).is_none_or(|audio| {
            let sound = audio.segments.last();
            self.presentation.sound_edge >= joined.end
                || sound.is_some_and(|last| grid.has_sound_until(last.end, joined.end))
        })
    }
}

/// Why no segment of `track` is offered.
fn nothing_of(track: &Track) -> Absent {
    if track.unread_until.is_some() { Absent::Unread } else { Absent::NotYet }
}

/// URL hashes of one track's segments, made anew only where something they cover changes.
pub(super) struct Hashes<'v> {
    view: &'v View<'v>,
    track: &'v Track,
    audio: Option<&'v Track>,
    /// Configuration of the newest media seen, which a gap is named by.
    init: Option<u32>,
    /// The newest hash, and the grid and configurations it holds for.
    known: Option<(HashKey, u32)>,
}

/// Grid, configuration, and configuration of muxed audio with the number of its base segments.
type HashKey = (u32, Option<u32>, Option<(u32, usize)>);

impl Hashes<'_> {
    /// The hash for `joined`; `None` where its grid is not known.
    pub(super) fn of(&mut self, joined: &Joined) -> Option<u32> {
        self.init = joined.init.or(self.init);
        let sound = self.audio.and_then(|audio| {
            let positions = self.view.muxed_range(audio, joined);
            let parts = audio.segments.iter_from(positions.start).take(positions.len());
            let mut media = parts.filter_map(|part| part.media.as_ref());
            let init = media.next()?.init;
            Some((init, 1 + media.count()))
        });
        let key = (joined.grid, self.init, sound);
        if let Some((known, hash)) = self.known
            && known == key
        {
            return Some(hash);
        }
        let shape = Shape {
            package: &self.view.endpoint.package,
            seconds: self.view.seconds,
            grid: self.view.presentation.grid(joined.grid)?,
            track: &self.track.info,
            config: self
                .offered(self.init)
                .unwrap_or_else(|| self.view.endpoint.offered(&self.track.info.config)),
            audio: self.audio.zip(sound).and_then(|(audio, (init, parts))| {
                Some((&*audio.info, self.offered(Some(init))?, parts))
            }),
        };
        let hash = url_hash::segment(&shape);
        self.known = Some((key, hash));
        Some(hash)
    }

    fn offered(&self, init: Option<u32>) -> Option<&CodecConfig> {
        let init = self.view.presentation.inits.get(&init?)?;
        Some(self.view.endpoint.offered(&init.config))
    }
}
