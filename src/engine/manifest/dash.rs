//! Media presentation descriptions (ISO/IEC 23009-1 §5.3, live profile §8.4).
//!
//! The MPD's time zero is 1970 (`availabilityStartTime`), a Period starts where its session does,
//! and `S@t` is media time. Every Representation has a template and timeline of its own, since
//! renditions may have different holes.
//! `UTCTiming` points at the MPD itself, whose response has a Date.

use super::dash_timeline::{Run, runs};
use super::ladder::Ladder;
use super::text::{
    push_attribute, push_date_time, push_duration_attribute, push_escaped, push_hash,
    push_integer_attribute, span_micros,
};
use super::text_purpose::TextPurpose;
use super::view::View;
use super::{Absent, url_hash};
use crate::engine::codec::{CodecConfig, TrackKind, VideoConfig};
use crate::engine::endpoint::{DashPackage, SegmentTemplateFormat};
use crate::engine::presentation::{Track, TrackInfo};
use crate::engine::request::RequestError;
use crate::units::{MediaTime, WallClock};
use std::collections::BTreeSet;

/// Whether an MPD will change (§5.3.1.2, `@type`).
#[derive(Clone, Copy)]
enum Kind {
    Static,
    /// It lists that many seconds, if it slides.
    Dynamic {
        window: u32,
    },
}

/// A Representation of a Period.
struct Representation<'a> {
    info: &'a TrackInfo,
    run: &'a Run,
}

pub(super) fn render(view: &View<'_>, package: &DashPackage) -> Result<String, Absent> {
    let window = view.window_seconds(package.manifest_window_seconds)?;
    let ladder = Ladder::of(view, window)?;
    if ladder.videos.is_empty() && ladder.audios.is_empty() {
        return Err(RequestError::NothingLeft.into());
    }
    let tracks = ladder.videos.iter().chain(&ladder.audios).chain(&ladder.texts);
    let tracks: Result<Vec<(&Track, Vec<Run>)>, Absent> =
        tracks.map(|&track| Ok((track, runs(view, track, window)?))).collect();
    let tracks = tracks?;
    let all = || tracks.iter().flat_map(|(_, runs)| runs);
    let end = all().map(|run| run.end).max().ok_or(Absent::NotYet)?;
    let longest = all().map(|run| run.longest).max().ok_or(Absent::NotYet)?;

    let mut out = String::with_capacity(16 << 10);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let is_complete = tracks.iter().all(|(track, _)| view.is_complete(track));
    let kind = if is_complete { Kind::Static } else { Kind::Dynamic { window } };
    push_mpd(&mut out, view, package, kind, (end, longest));
    let periods: BTreeSet<MediaTime> = all().map(|run| run.period).collect();
    for period in periods {
        push_period(&mut out, view, package, period, &tracks);
    }
    if !is_complete {
        out.push_str("<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:http-head:2014\"");
        push_attribute(&mut out, "value", &format!("{}.mpd", view.endpoint.manifest_name));
        out.push_str("/>\n");
    }
    out.push_str("</MPD>\n");
    Ok(out)
}

/// The start tag of MPD (§5.3.1.2). `publishTime` is the wall clock of the newest segment's end.
fn push_mpd(
    out: &mut String,
    view: &View<'_>,
    package: &DashPackage,
    kind: Kind,
    (end, longest): (MediaTime, MediaTime),
) {
    let seconds = |seconds: u32| u64::from(seconds) * 1_000_000;
    let or = |configured: u32, otherwise: u64| match configured {
        0 => otherwise,
        configured => seconds(configured),
    };
    let longest = span_micros(longest);
    let delay = seconds(view.delay_seconds);
    out.push_str("<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"");
    out.push_str(" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"");
    match kind {
        Kind::Static => {
            out.push_str(" type=\"static\"");
            push_duration_attribute(out, "mediaPresentationDuration", span_micros(view.wall(end)));
        }
        Kind::Dynamic { window } => {
            out.push_str(" type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:00Z\"");
            out.push_str(" publishTime=\"");
            push_date_time(out, view.wall(end));
            out.push('"');
            let update = or(package.min_update_period_seconds, longest);
            push_duration_attribute(out, "minimumUpdatePeriod", update);
            // Both count from the wall clock, behind which everything is by the delay. What does
            // not slide has no depth: all of it stays.
            if !view.span.is_fixed() {
                push_duration_attribute(out, "timeShiftBufferDepth", seconds(window) + delay);
            }
            let behind = or(package.suggested_presentation_delay_seconds, 3 * longest) + delay;
            push_duration_attribute(out, "suggestedPresentationDelay", behind);
        }
    }
    push_duration_attribute(out, "maxSegmentDuration", longest);
    let buffer = or(package.min_buffer_time_seconds, longest + longest / 2);
    push_duration_attribute(out, "minBufferTime", buffer);
    out.push_str(">\n");
}

fn push_period(
    out: &mut String,
    view: &View<'_>,
    package: &DashPackage,
    period: MediaTime,
    tracks: &[(&Track, Vec<Run>)],
) {
    let start = span_micros(view.wall(period));
    out.push_str("<Period");
    push_attribute(out, "id", &format!("p{start}"));
    push_duration_attribute(out, "start", start);
    out.push_str(">\n");
    let mut sets: Vec<Vec<Representation<'_>>> = Vec::new();
    for (track, runs) in tracks {
        let Some(run) = runs.iter().find(|run| run.period == period) else { continue };
        let representation = Representation { info: &track.info, run };
        match sets.iter_mut().find(|set| shares_set(&set[0], &representation)) {
            Some(set) => set.push(representation),
            None => sets.push(vec![representation]),
        }
    }
    let origin = WallClock(i64::try_from(start).unwrap_or(i64::MAX));
    for (id, set) in (1_u32..).zip(&sets) {
        push_set(out, view, package, id, set, origin);
    }
    out.push_str("</Period>\n");
}

/// Representations a player may switch between: all video of one coding, and audio of one
/// language, codec, label and number of channels (§5.3.3.1). Each text stands alone.
fn shares_set(a: &Representation<'_>, b: &Representation<'_>) -> bool {
    let of = |representation: &Representation<'_>| {
        let config = &representation.run.init.config;
        let codec = config.rfc6381();
        let family = codec.split('.').next().unwrap_or_default().to_owned();
        (representation.info.kind, family, config.channels())
    };
    a.info.kind != TrackKind::Text
        && of(a) == of(b)
        && a.info.language == b.info.language
        && a.info.label == b.info.label
}

fn push_set(
    out: &mut String,
    view: &View<'_>,
    package: &DashPackage,
    id: u32,
    set: &[Representation<'_>],
    origin: WallClock,
) {
    let info = set[0].info;
    out.push_str("<AdaptationSet");
    push_integer_attribute(out, "id", id);
    let (content, mime) = match info.kind {
        TrackKind::Audio => ("audio", "audio/mp4"),
        TrackKind::Video => ("video", "video/mp4"),
        TrackKind::Text => ("text", "application/mp4"),
    };
    push_attribute(out, "contentType", content);
    push_attribute(out, "mimeType", mime);
    out.push_str(" segmentAlignment=\"true\" startWithSAP=\"1\"");
    if let Some(language) = &info.language {
        push_attribute(out, "lang", language);
    }
    let resolutions = || set.iter().filter_map(|one| one.run.init.config.resolution());
    if let Some(width) = resolutions().map(|(width, _)| width).max() {
        push_integer_attribute(out, "maxWidth", width);
    }
    if let Some(height) = resolutions().map(|(_, height)| height).max() {
        push_integer_attribute(out, "maxHeight", height);
    }
    if let Some((x, y)) = picture_aspect(&set[0].run.init.config) {
        push_attribute(out, "par", &format!("{x}:{y}"));
    }
    out.push_str(">\n");
    if let Some(label) = &info.label {
        out.push_str("<Label>");
        push_escaped(out, label);
        out.push_str("</Label>\n");
    }
    match info.kind {
        TrackKind::Video => {}
        TrackKind::Audio => push_role(out, "Role", "main"),
        TrackKind::Text => push_text_roles(out, info),
    }
    for representation in set {
        push_representation(out, view, package, representation, origin);
    }
    out.push_str("</AdaptationSet>\n");
}

/// A descriptor of the scheme of roles (§5.8.5.5).
fn push_role(out: &mut String, element: &str, value: &str) {
    out.push('<');
    out.push_str(element);
    push_attribute(out, "schemeIdUri", "urn:mpeg:dash:role:2011");
    push_attribute(out, "value", value);
    out.push_str("/>\n");
}

/// What text is for: a translation, or written sound as well, which CHARACTERISTICS of its source
/// tell (RFC 8216 §4.3.4.1).
fn push_text_roles(out: &mut String, info: &TrackInfo) {
    let purpose = TextPurpose::of(info);
    for (is_so, value) in [(purpose.is_caption, "caption"), (purpose.is_easy, "easyreader")] {
        if is_so {
            push_role(out, "Accessibility", value);
        }
    }
    push_role(
        out,
        "Role",
        match purpose {
            TextPurpose { is_caption: true, .. } => "caption",
            _ if info.forced => "forced-subtitle",
            _ => "subtitle",
        },
    );
    if info.default {
        push_role(out, "Role", "main");
    }
}

fn push_representation(
    out: &mut String,
    view: &View<'_>,
    package: &DashPackage,
    representation: &Representation<'_>,
    origin: WallClock,
) {
    let Representation { info, run } = *representation;
    let config = &run.init.config;
    out.push_str("<Representation");
    push_attribute(out, "id", &info.name);
    push_integer_attribute(out, "bandwidth", info.bandwidth);
    push_attribute(out, "codecs", &config.rfc6381());
    if let CodecConfig::Avc(video) | CodecConfig::Hevc(video) = config {
        push_video_attributes(out, info, video);
    }
    let Some(channels) = config.channels() else {
        out.push_str(">\n");
        return push_template(out, view, package, representation, origin);
    };
    push_integer_attribute(out, "audioSamplingRate", config.timescale().per_second());
    out.push_str(">\n<AudioChannelConfiguration");
    let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
    push_attribute(out, "schemeIdUri", scheme);
    push_integer_attribute(out, "value", channel_configuration(channels));
    out.push_str("/>\n");
    push_template(out, view, package, representation, origin);
}

fn push_video_attributes(out: &mut String, info: &TrackInfo, video: &VideoConfig) {
    push_integer_attribute(out, "width", video.width);
    push_integer_attribute(out, "height", video.height);
    match info.frame_rate {
        (_, 0) | (0, _) => {}
        (pictures, 1) => push_integer_attribute(out, "frameRate", pictures),
        (pictures, seconds) => push_attribute(out, "frameRate", &format!("{pictures}/{seconds}")),
    }
    let (x, y) = video.aspect;
    push_attribute(out, "sar", &format!("{}:{}", x.max(1), y.max(1)));
}

/// `SegmentTemplate` (§5.3.9.4) and the end of its Representation. `origin` is Period@start,
/// and `presentationTimeOffset` is the same instant in media time.
fn push_template(
    out: &mut String,
    view: &View<'_>,
    package: &DashPackage,
    representation: &Representation<'_>,
    origin: WallClock,
) {
    let Representation { info, run } = *representation;
    let init = url_hash::init(&view.endpoint.package, info, &run.init.config);
    let by_number = package.segment_template_format == SegmentTemplateFormat::NumberWithTimeline;
    let media = if by_number && !run.has_hole { "_$Number$.m4s\"" } else { "_t$Time$.m4s\"" };

    let climb = view.request.climb();
    out.push_str("<SegmentTemplate");
    push_integer_attribute(out, "timescale", run.timescale().per_second());
    let offset = time_offset(origin, view.presentation.clock_offset, run);
    push_integer_attribute(out, "presentationTimeOffset", offset);
    push_integer_attribute(out, "startNumber", run.start_number);
    for (attribute, hash, rest) in
        [("initialization", init, "_init.mp4\""), ("media", run.hash, media)]
    {
        out.push(' ');
        out.push_str(attribute);
        out.push_str("=\"");
        out.push_str(&climb);
        out.push_str(&info.name);
        out.push('_');
        push_hash(out, hash);
        out.push_str(rest);
    }
    out.push_str(">\n");
    run.push_timeline(out);
    out.push_str("</SegmentTemplate>\n</Representation>\n");
}

/// round((Period@start − W) × timescale), which is exact in microseconds as W is a
/// multiple of 100 ms.
fn time_offset(origin: WallClock, clock_offset: MediaTime, run: &Run) -> u64 {
    let scale = i128::from(run.timescale().per_second());
    let media_micros = i128::from(origin.0) - i128::from(clock_offset.ticks()) * 100 / 9;
    let offset = (2 * media_micros * scale + 1_000_000).div_euclid(2_000_000);
    u64::try_from(offset).unwrap_or(0)
}

/// The display's aspect ratio in lowest terms (§5.3.3.2, `@par`).
fn picture_aspect(config: &CodecConfig) -> Option<(u64, u64)> {
    let (CodecConfig::Avc(video) | CodecConfig::Hevc(video)) = config else { return None };
    let (x, y) = video.aspect;
    let width = u64::from(video.width) * u64::from(x.max(1));
    let height = u64::from(video.height) * u64::from(y.max(1));
    let (mut divisor, mut rest) = (width, height);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (divisor > 0 && height > 0).then(|| (width / divisor, height / divisor))
}

/// `ChannelConfiguration` of ISO/IEC 23091-3 for the usual layout of so many channels.
const fn channel_configuration(channels: u8) -> u8 {
    match channels {
        7 => 11,
        8 => 12,
        channels => channels,
    }
}
