//! The streams of a Smooth Streaming presentation: which tracks are quality levels of one another,
//! which fragments they list, and how far a client may go ([MS-SSTR] §2.2.2.3, §2.2.2.6, §2.2.4.5).
//!
//! A stream's chunk list holds for all of its quality levels, and so does what a fragment
//! announces: both come from all of its tracks together. A fragment can be fetched once the two
//! numbers after it are closed, for it tells where the next two lie. After the presentation's end
//! nothing follows, and at a gap what follows is not waited for.

use super::Absent;
use super::ladder::is_offered;
use super::view::{View, ticks};
use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::presentation::{Joined, Presentation, Track};
use crate::units::{MediaTime, Timescale};
use std::collections::BTreeMap;

/// Fragments that one announces: `LookAheadFragmentCount`.
pub(super) const LOOK_AHEAD_COUNT: u8 = 2;

/// Tracks that a client may switch between, and which count alike.
pub(super) struct Stream<'a> {
    /// In manifests and URLs: letters, digits, `-` and `_`.
    pub(super) name: String,
    /// In the presentation's order, those too that are not listed now.
    pub(super) tracks: Vec<&'a Track>,
}

/// What a fragment says of those that follow.
pub(super) struct LookAhead {
    /// Start and end of each.
    pub(super) next: Vec<(MediaTime, MediaTime)>,
    /// False where another answer may come: late media in a gap, or more after an end.
    pub(super) is_settled: bool,
}

impl LookAhead {
    /// That of a segment which announces nothing.
    pub(super) const NONE: Self = Self { next: Vec::new(), is_settled: true };
}

/// The chunk list of a stream.
pub(super) struct Chunks {
    /// Start and end by number, oldest first; gaps are left out.
    pub(super) spans: BTreeMap<u64, (MediaTime, MediaTime)>,
    /// True where the stream has begun just now: a client that joins so many fragments behind the
    /// edge as one announces would wait for what it can't ask for. Who asks for few gets them.
    pub(super) is_short: bool,
    /// For each of the stream's tracks, the configuration of what is listed of it.
    pub(super) configs: Vec<CodecConfig>,
}

/// Every stream of the endpoint. Names and bit rates must not change while tracks come and go, so
/// that all tracks are seen, listed or not.
pub(super) fn streams<'a>(view: &View<'a>) -> Vec<Stream<'a>> {
    let mut streams: Vec<Stream<'a>> = Vec::new();
    for track in &view.presentation.tracks {
        if !is_offered(view.endpoint, &track.info) {
            continue;
        }
        if let Some(stream) = streams.iter_mut().find(|it| shares_stream(it.tracks[0], track)) {
            stream.tracks.push(track);
            continue;
        }
        let mut name = plain_name(track);
        if streams.iter().any(|stream| stream.name == name) {
            name = format!("{name}_{}", track.info.name);
        }
        streams.push(Stream { name, tracks: vec![track] });
    }
    streams
}

/// `video`, `audio_de`, `audio`, `text_en`.
fn plain_name(track: &Track) -> String {
    let kind = match track.info.kind {
        TrackKind::Video => "video",
        TrackKind::Audio => "audio",
        TrackKind::Text => "text",
    };
    let fits = |language: &&str| language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match track.info.language.as_deref().filter(fits) {
        Some(language) if track.info.kind != TrackKind::Video => format!("{kind}_{language}"),
        _ => kind.to_owned(),
    }
}

fn shares_stream(a: &Track, b: &Track) -> bool {
    let of = |track: &Track| {
        let config = &track.info.config;
        let coding = std::mem::discriminant(config);
        (track.info.kind, track.cadence, coding, config.channels(), config.timescale())
    };
    a.info.kind != TrackKind::Text
        && of(a) == of(b)
        && a.info.language == b.info.language
        && a.info.label == b.info.label
}

impl Stream<'_> {
    /// Ticks per second of the stream's times.
    pub(super) fn timescale(&self) -> Timescale {
        self.tracks[0].info.config.timescale()
    }

    /// `Bitrate` of each track: its bandwidth, or a little more where another one has that.
    pub(super) fn bit_rates(&self) -> Vec<u64> {
        let mut rates: Vec<u64> = Vec::with_capacity(self.tracks.len());
        for track in &self.tracks {
            let mut rate = track.info.bandwidth;
            while rates.contains(&rate) {
                rate += 1;
            }
            rates.push(rate);
        }
        rates
    }

    /// The newest number that is closed on any track.
    fn last_number(&self, view: &View<'_>) -> Option<u64> {
        self.tracks.iter().filter_map(|track| view.last(track)).map(|last| last.number).max()
    }

    /// The newest number that can be fetched.
    pub(super) fn listed_until(&self, view: &View<'_>) -> Option<u64> {
        let last = self.last_number(view)?;
        if view.presentation.ended { Some(last) } else { last.checked_sub(LOOK_AHEAD_COUNT.into()) }
    }

    /// Where the newest fragment ends that can be fetched.
    fn listed_end(&self, view: &View<'_>) -> Option<MediaTime> {
        let until = self.listed_until(view)?;
        let at = |track: &Track| view.presentation.joined_number(track, view.seconds, until);
        self.tracks.iter().find_map(|track| at(track)).map(|joined| joined.end)
    }

    /// True where nothing will be added to the chunk list any more: what a span asks for can be
    /// fetched.
    pub(super) fn is_complete(&self, view: &View<'_>) -> bool {
        self.tracks.iter().all(|track| view.has_all(track, || self.listed_end(view)))
    }

    /// What a manifest of `window_seconds` lists, from where the newest configurations begin:
    /// a client is told one configuration of each track.
    pub(super) fn chunks(&self, view: &View<'_>, window_seconds: u32) -> Result<Chunks, Absent> {
        let is_unread = self.tracks.iter().any(|track| track.unread_until.is_some());
        let nothing = || if is_unread { Absent::Unread } else { Absent::NotYet };
        let until = self.listed_until(view).ok_or_else(nothing)?;
        let end = self.listed_end(view).ok_or_else(nothing)?;
        let from = view.span.from().unwrap_or(end - ticks(window_seconds));
        let mut chunks = Chunks { spans: BTreeMap::new(), is_short: false, configs: Vec::new() };
        let mut since = 0;
        for track in &self.tracks {
            if view.is_unread(track, from - view.target(track) - view.target(track)) {
                return Err(Absent::Unread);
            }
            let mut config = None;
            for joined in view.listed(track, from, until) {
                let Some(init) = view.init_of(track, &joined) else { continue };
                if config.is_some_and(|known| !is_same(view.presentation, known, init)) {
                    since = since.max(joined.number);
                }
                config = Some(init);
                chunks.spans.entry(joined.number).or_insert((joined.start, joined.end));
            }
            let config = config.and_then(|id| view.presentation.inits.get(&id));
            let config = config.map_or(&track.info.config, |init| &init.config);
            chunks.configs.push(view.endpoint.offered(config).clone());
        }
        let asks_for_few = view.request.window_seconds.is_some_and(|asked| {
            !view.span.is_fixed() && asked <= view.seconds * u32::from(LOOK_AHEAD_COUNT)
        });
        let has_few = chunks.spans.len() <= usize::from(LOOK_AHEAD_COUNT);
        chunks.is_short = has_few && !asks_for_few && !self.is_complete(view);
        chunks.spans = chunks.spans.split_off(&since);
        if chunks.spans.is_empty() { Err(nothing()) } else { Ok(chunks) }
    }
}

fn is_same(presentation: &Presentation, a: u32, b: u32) -> bool {
    let config = |id: u32| presentation.inits.get(&id).map(|init| &init.config);
    a == b || config(a) == config(b)
}

/// What the fragment `joined` of `track` announces.
///
/// # Errors
///
/// [`Absent::TooEarly`] where that is not known yet.
pub(super) fn look_ahead(
    view: &View<'_>,
    track: &Track,
    joined: &Joined,
) -> Result<LookAhead, Absent> {
    let mut streams = streams(view).into_iter();
    let of_track = |it: &Track| it.info.id == track.info.id;
    let stream = streams.find(|it| it.tracks.iter().any(|&it| of_track(it)));
    let stream = stream.ok_or(Absent::Never)?;
    if stream.listed_until(view).is_none_or(|until| joined.number > until) {
        return Err(Absent::TooEarly);
    }
    let mut following = BTreeMap::new();
    let count = usize::from(LOOK_AHEAD_COUNT);
    for track in &stream.tracks {
        let Some(last) = view.last(track) else { continue };
        let listed = view.presentation.joined(track, view.seconds, joined.end);
        let listed = listed.take_while(|it| it.number <= last.number);
        for next in listed
            .filter(|it| it.number > joined.number && view.init_of(track, it).is_some())
            .take(count)
        {
            following.entry(next.number).or_insert((next.start, next.end));
        }
    }
    let expected = joined.number + 1..=joined.number + u64::from(LOOK_AHEAD_COUNT);
    let is_settled = expected.into_iter().all(|number| following.contains_key(&number));
    Ok(LookAhead { next: following.into_values().take(count).collect(), is_settled })
}
