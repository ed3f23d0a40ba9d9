//! Client manifests of Smooth Streaming ([MS-SSTR] §2.2.2).
//!
//! `DVRWindowLength` and `Duration` count in the protocol's 10 MHz. The times of a stream are near
//! Unix time and would pass 2^53 in that, where clients written for the web lose the last digits,
//! so that each stream has the timescale of its track.

use super::ladder::Ladder;
use super::smooth_codec::smooth_codec;
use super::smooth_timeline::{Chunks, LOOK_AHEAD_COUNT, Stream, streams};
use super::text::{push_attribute, push_hash, push_integer, push_integer_attribute};
use super::text_purpose::TextPurpose;
use super::view::View;
use super::{Absent, url_hash};
use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::endpoint::MssPackage;
use crate::engine::request::RequestError;
use crate::units::MediaTime;
use std::fmt::Write as _;

/// Ticks per second of the manifest's own spans: the protocol's default.
const TIMESCALE: u64 = 10_000_000;

/// What becomes of what is listed.
#[derive(Clone, Copy)]
enum Window {
    /// Nothing: it is complete.
    Whole,
    /// More comes, and nothing leaves.
    Grows,
    /// More comes, and what is older than so many seconds leaves.
    Slides(u32),
}

pub(super) fn render(view: &View<'_>, package: &MssPackage) -> Result<String, Absent> {
    let window = view.window_seconds(package.manifest_window_seconds)?;
    let ladder = Ladder::of(view, window)?.without_stopped(view);
    if ladder.videos.is_empty() && ladder.audios.is_empty() {
        return Err(RequestError::NothingLeft.into());
    }
    let (mut listed, mut is_complete) = (Vec::new(), true);
    for mut stream in streams(view) {
        let rates = stream.bit_rates();
        let known = stream.tracks.iter().copied().zip(rates);
        let mut levels: Vec<_> = known
            .filter_map(|(track, rate)| {
                let ladder = ladder.videos.iter().chain(&ladder.audios).chain(&ladder.texts);
                let rank = ladder.into_iter().position(|it| it.info.id == track.info.id)?;
                Some((rank, track, rate))
            })
            .collect();
        levels.sort_by_key(|&(rank, ..)| rank);
        if levels.is_empty() {
            continue;
        }
        stream.tracks = levels.iter().map(|&(_, track, _)| track).collect();
        let rates: Vec<u64> = levels.iter().map(|&(.., rate)| rate).collect();
        let stream_is_complete = stream.is_complete(view);
        is_complete &= stream_is_complete;
        match stream.chunks(view, window) {
            Err(Absent::NotYet) if stream_is_complete => {}
            chunks => listed.push((stream, rates, chunks?)),
        }
    }
    if listed.is_empty() {
        return Err(Absent::NotYet);
    }
    if listed.iter().all(|(.., chunks)| chunks.is_short) {
        return Err(Absent::NotYet);
    }
    let mut out = String::with_capacity(16 << 10);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let window = if view.span.is_fixed() { Window::Grows } else { Window::Slides(window) };
    push_start(&mut out, if is_complete { Window::Whole } else { window }, &listed);
    let hash = url_hash::fragments(&view.endpoint.package, view.seconds);
    for (stream, rates, chunks) in &listed {
        push_stream(&mut out, stream, rates, chunks, hash);
    }
    out.push_str("</SmoothStreamingMedia>\n");
    Ok(out)
}

/// The start tag of `SmoothStreamingMedia` (§2.2.2.1). A complete presentation is not live.
fn push_start(out: &mut String, window: Window, listed: &[(Stream<'_>, Vec<u64>, Chunks)]) {
    out.push_str("<SmoothStreamingMedia MajorVersion=\"2\" MinorVersion=\"2\"");
    push_integer_attribute(out, "TimeScale", TIMESCALE);
    if matches!(window, Window::Whole) {
        let spans = || listed.iter().flat_map(|(.., chunks)| chunks.spans.values());
        let start = spans().map(|&(start, _)| start).min().unwrap_or_default();
        let end = spans().map(|&(_, end)| end).max().unwrap_or_default();
        push_integer_attribute(out, "Duration", in_10_mhz(end - start));
    } else {
        push_integer_attribute(out, "Duration", 0);
        out.push_str(" IsLive=\"TRUE\" CanSeek=\"TRUE\" CanPause=\"TRUE\"");
        push_integer_attribute(out, "LookAheadFragmentCount", LOOK_AHEAD_COUNT);
        // None means that nothing leaves.
        let seconds = if let Window::Slides(seconds) = window { seconds } else { 0 };
        push_integer_attribute(out, "DVRWindowLength", u64::from(seconds) * TIMESCALE);
    }
    out.push_str(">\n");
}

/// A span of 90 kHz ticks in 10 MHz, floored.
fn in_10_mhz(span: MediaTime) -> u64 {
    u64::try_from(i128::from(span.ticks()) * 1000 / 9).unwrap_or(0)
}

/// `StreamIndex` (§2.2.2.3) with its quality levels and chunks.
fn push_stream(out: &mut String, stream: &Stream<'_>, rates: &[u64], chunks: &Chunks, hash: u32) {
    let info = &stream.tracks[0].info;
    let kind = match info.kind {
        TrackKind::Video => "video",
        TrackKind::Audio => "audio",
        TrackKind::Text => "text",
    };
    out.push_str("<StreamIndex");
    push_attribute(out, "Type", kind);
    if info.kind == TrackKind::Text {
        let is_caption = TextPurpose::of(info).is_caption;
        push_attribute(out, "Subtype", if is_caption { "CAPT" } else { "SUBT" });
    }
    push_attribute(out, "Name", &stream.name);
    if let Some(language) = &info.language {
        push_attribute(out, "Language", language);
    }
    push_integer_attribute(out, "TimeScale", stream.timescale().per_second());
    push_integer_attribute(out, "Chunks", chunks.spans.len());
    push_integer_attribute(out, "QualityLevels", stream.tracks.len());
    let sizes = || chunks.configs.iter().filter_map(CodecConfig::resolution);
    for (name, size) in [
        ("MaxWidth", sizes().map(|(width, _)| width).max()),
        ("MaxHeight", sizes().map(|(_, height)| height).max()),
    ] {
        if let Some(size) = size {
            push_integer_attribute(out, name, size);
        }
    }
    out.push_str(" Url=\"Events(");
    push_hash(out, hash);
    out.push_str(")/QualityLevels({bitrate})/Fragments(");
    out.push_str(&stream.name);
    out.push_str("={start time})\">\n");
    for (index, (config, &rate)) in chunks.configs.iter().zip(rates).enumerate() {
        push_level(out, index, config, rate);
    }
    push_chunks(out, stream, chunks);
    out.push_str("</StreamIndex>\n");
}

/// `QualityLevel` (§2.2.2.5).
fn push_level(out: &mut String, index: usize, config: &CodecConfig, rate: u64) {
    let Some(codec) = smooth_codec(config) else { return };
    out.push_str("<QualityLevel");
    push_integer_attribute(out, "Index", index);
    push_integer_attribute(out, "Bitrate", rate);
    push_attribute(out, "FourCC", codec.four_cc);
    if let Some((width, height)) = config.resolution() {
        push_integer_attribute(out, "MaxWidth", width);
        push_integer_attribute(out, "MaxHeight", height);
    }
    if let (Some(tag), Some(channels)) = (codec.audio_tag, config.channels()) {
        push_integer_attribute(out, "SamplingRate", config.timescale().per_second());
        push_integer_attribute(out, "Channels", channels);
        push_integer_attribute(out, "BitsPerSample", 16);
        push_integer_attribute(out, "PacketSize", 2 * u16::from(channels));
        push_integer_attribute(out, "AudioTag", tag);
    }
    out.push_str(" CodecPrivateData=\"");
    for byte in codec.private_data {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02X}");
    }
    out.push_str("\"/>\n");
}

/// `c` (§2.2.2.6), as many chunks in one as last alike: `r` counts them all. A chunk says when it
/// begins where that is not where the one before it ends.
fn push_chunks(out: &mut String, stream: &Stream<'_>, chunks: &Chunks) {
    let scaled = |time: MediaTime| time.rescale_nearest(stream.timescale());
    let push = |out: &mut String, (time, duration, repeat): (Option<i64>, i64, u64)| {
        out.push_str("<c");
        if let Some(time) = time {
            push_integer_attribute(out, "t", time);
        }
        push_integer_attribute(out, "d", duration);
        if repeat > 1 {
            out.push_str(" r=\"");
            push_integer(out, repeat);
            out.push('"');
        }
        out.push_str("/>\n");
    };
    let mut expected = None;
    let mut open: Option<(Option<i64>, i64, u64)> = None;
    for &(start, end) in chunks.spans.values() {
        let (time, duration) = (scaled(start), scaled(end) - scaled(start));
        match &mut open {
            Some((_, known, repeat)) if *known == duration && expected == Some(time) => {
                *repeat += 1;
            }
            _ => {
                if let Some(done) = open {
                    push(out, done);
                }
                open = Some(((expected != Some(time)).then_some(time), duration, 1));
            }
        }
        expected = Some(time + duration);
    }
    if let Some(done) = open {
        push(out, done);
    }
}
