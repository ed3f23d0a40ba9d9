//! Adaptation sets and Representations of an MPD (ISO/IEC 23009-1 §5.3.3, §5.3.5).
//!
//! In a compact layout the template that most Representations of a set share stands in the set, and
//! a Representation that counts otherwise keeps its own, which overrides it (§5.3.9.1). Times are
//! in the media's own timescale, which is one for all pictures: their frame rates need not agree.

use super::dash_mpd::{Mpd, Naming, Representation};
use super::dash_template::push_template;
use super::text::{push_attribute, push_escaped, push_integer_attribute};
use super::text_purpose::TextPurpose;
use crate::engine::codec::{CodecConfig, TrackKind, VideoConfig};
use crate::engine::endpoint::DashProfile;
use crate::engine::presentation::TrackInfo;
use crate::units::WallClock;
use std::cmp::Ordering;

/// A Period's Representations in sets that a player may switch within: all video of one coding,
/// and audio of one language, codec, label and number of channels (§5.3.3.1). A text is alone.
pub(super) fn sets<'a>(all: Vec<Representation<'a>>) -> Vec<Vec<Representation<'a>>> {
    let mut sets: Vec<Vec<Representation<'a>>> = Vec::new();
    for representation in all {
        match sets.iter_mut().find(|set| shares_set(&set[0], &representation)) {
            Some(set) => set.push(representation),
            None => sets.push(vec![representation]),
        }
    }
    sets
}

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

/// Appends an `AdaptationSet`. `origin` is Period@start.
pub(super) fn push_set(
    out: &mut String,
    mpd: &Mpd<'_>,
    id: u32,
    set: &[Representation<'_>],
    origin: WallClock,
) {
    let info = set[0].info;
    push_set_start(out, mpd, id, set);
    if let Some(label) = &info.label {
        out.push_str("<Label>");
        push_escaped(out, label);
        out.push_str("</Label>\n");
    }
    match info.kind {
        TrackKind::Text => push_text_roles(out, info),
        TrackKind::Audio => push_role(out, "Role", "main"),
        TrackKind::Video if mpd.names_roles() => push_role(out, "Role", "main"),
        TrackKind::Video => {}
    }
    let naming = mpd.naming();
    let shared = match naming {
        Naming::Track => None,
        Naming::RepresentationId => most_shared(set),
    };
    if let Some(shared) = shared {
        push_template(out, mpd, shared, origin, naming);
    }
    for representation in set {
        push_representation_start(out, mpd, representation, naming);
        let inherits = shared.is_some_and(|shared| shared.run.counts_like(representation.run));
        if !inherits {
            push_template(out, mpd, representation, origin, naming);
        }
        out.push_str("</Representation>\n");
    }
    out.push_str("</AdaptationSet>\n");
}

/// The Representation whose segments begin and end as those of most others do, the first of them.
fn most_shared<'s, 'a>(set: &'s [Representation<'a>]) -> Option<&'s Representation<'a>> {
    let likes = |one: &Representation<'_>| {
        set.iter().filter(|other| one.run.counts_like(other.run)).count()
    };
    let best = set.iter().map(|one| (likes(one), one));
    let best = best.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.filter(|&(count, _)| count > 1 || set.len() == 1).map(|(_, one)| one)
}

fn push_set_start(out: &mut String, mpd: &Mpd<'_>, id: u32, set: &[Representation<'_>]) {
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
    if mpd.settings.profile == DashProfile::DvbDash2014 {
        let rates = set.iter().map(|one| one.info.frame_rate).filter(|&(_, per)| per > 0);
        if let Some(rate) = rates.max_by(|&a, &b| compare_rates(a, b)) {
            push_frame_rate(out, "maxFrameRate", rate);
        }
    }
    if let Some((x, y)) = picture_aspect(&set[0].run.init.config) {
        push_attribute(out, "par", &format!("{x}:{y}"));
    }
    out.push_str(">\n");
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

fn compare_rates(a: (u32, u32), b: (u32, u32)) -> Ordering {
    let scaled = |x: u32, y: u32| u64::from(x) * u64::from(y);
    scaled(a.0, b.1).cmp(&scaled(b.0, a.1))
}

fn push_representation_start(
    out: &mut String,
    mpd: &Mpd<'_>,
    representation: &Representation<'_>,
    naming: Naming,
) {
    let Representation { info, run } = *representation;
    let config = &run.init.config;
    out.push_str("<Representation");
    push_attribute(out, "id", &naming.representation_id(representation));
    push_integer_attribute(out, "bandwidth", info.bandwidth);
    push_attribute(out, "codecs", &config.rfc6381());
    if let CodecConfig::Avc(video) | CodecConfig::Hevc(video) = config {
        push_video_attributes(out, info, video);
    }
    let Some(channels) = config.channels() else {
        out.push_str(">\n");
        return;
    };
    push_integer_attribute(out, "audioSamplingRate", config.timescale().per_second());
    out.push_str(">\n<AudioChannelConfiguration");
    let is_dolby = matches!(config, CodecConfig::Ac3(_) | CodecConfig::Eac3(_));
    if let Some(layout) = dolby_layout(channels).filter(|_| is_dolby && mpd.is_dvb()) {
        let scheme = "tag:dolby.com,2014:dash:audio_channel_configuration:2011";
        push_attribute(out, "schemeIdUri", scheme);
        push_attribute(out, "value", layout);
    } else {
        let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
        push_attribute(out, "schemeIdUri", scheme);
        push_integer_attribute(out, "value", channel_configuration(channels));
    }
    out.push_str("/>\n");
}

fn push_video_attributes(out: &mut String, info: &TrackInfo, video: &VideoConfig) {
    push_integer_attribute(out, "width", video.width);
    push_integer_attribute(out, "height", video.height);
    push_frame_rate(out, "frameRate", info.frame_rate);
    let (x, y) = video.aspect;
    push_attribute(out, "sar", &format!("{}:{}", x.max(1), y.max(1)));
}

/// Appends a frame rate, if it is known.
fn push_frame_rate(out: &mut String, name: &str, rate: (u32, u32)) {
    match rate {
        (_, 0) | (0, _) => {}
        (pictures, 1) => push_integer_attribute(out, name, pictures),
        (pictures, seconds) => push_attribute(out, name, &format!("{pictures}/{seconds}")),
    }
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

/// The channel map of ETSI TS 102 366 §E.1.3.1.8 for the usual layouts, in hex.
const fn dolby_layout(channels: u8) -> Option<&'static str> {
    match channels {
        1 => Some("4000"),
        2 => Some("A000"),
        6 => Some("F801"),
        8 => Some("FA01"),
        _ => None,
    }
}
