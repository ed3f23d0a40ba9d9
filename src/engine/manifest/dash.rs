//! Media presentation descriptions (ISO/IEC 23009-1 §5.3, live profile §8.4).
//!
//! The MPD's time zero is 1970 (`availabilityStartTime`), a Period starts where its session does,
//! and `S@t` is media time.
//!
//! Where segments are told by a nominal duration, a client's clock tells it which there are: it is
//! told to be behind by the endpoint's delay. What is asked for with a start, or is complete, is
//! listed one by one all the same, since no clock tells what is in the past.

use super::dash_mpd::{Mpd, Representation};
use super::dash_period::{Cut, Cuts};
use super::dash_set::{push_set, sets};
use super::dash_timeline::{Run, runs};
use super::ladder::Ladder;
use super::text::{push_attribute, push_date_time, push_duration_attribute, span_micros};
use super::view::{View, ticks};
use super::{Absent, DashList};
use crate::engine::endpoint::{DashProfile, UtcTiming};
use crate::engine::presentation::Track;
use crate::engine::request::RequestError;
use crate::units::{MediaTime, WallClock};
use std::collections::BTreeMap;

/// The tracks that are listed, each with what is listed of it.
type Listed<'a> = Vec<(&'a Track, Vec<Run>)>;

pub(super) fn render(view: &View<'_>, list: &DashList<'_>) -> Result<String, Absent> {
    let settings = list.settings;
    let window = view.window_seconds(settings.manifest_window_seconds)?;
    let ladder = Ladder::of(view, window)?;
    if ladder.videos.is_empty() && ladder.audios.is_empty() {
        return Err(RequestError::NothingLeft.into());
    }
    let tracks = ladder.videos.iter().chain(&ladder.audios).chain(&ladder.texts);
    let tracks: Vec<&Track> = tracks.copied().collect();
    let cuts = Cuts::of(view, settings, &tracks);
    let listed: Result<Listed<'_>, Absent> =
        tracks.iter().map(|&track| Ok((track, runs(view, track, window, &cuts)?))).collect();
    let listed = listed?;
    let all = || listed.iter().flat_map(|(_, runs)| runs);
    let end = all().map(|run| run.end).max().ok_or(Absent::NotYet)?;
    let longest = all().map(|run| run.longest).max().ok_or(Absent::NotYet)?;

    let climb = format!("{}{}", view.request.climb(), list.climb);
    let mpd = Mpd {
        view,
        settings,
        format: view.template_format(settings),
        base: format!("{climb}{}", list.prefix),
        name: list.name,
        climb,
        window,
        is_complete: tracks.iter().all(|track| view.is_complete(track)),
    };
    let mut out = String::with_capacity(16 << 10);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    push_mpd(&mut out, &mpd, (end, longest));
    let periods: BTreeMap<MediaTime, Cut> = all().map(|run| (run.period.at, run.period)).collect();
    for cut in periods.values() {
        push_period(&mut out, &mpd, *cut, &listed);
    }
    push_timing(&mut out, &mpd, end);
    out.push_str("</MPD>\n");
    Ok(out)
}

/// The start tag of MPD (§5.3.1.2). `publishTime` is the wall clock of the newest segment's end.
fn push_mpd(out: &mut String, mpd: &Mpd<'_>, (end, longest): (MediaTime, MediaTime)) {
    let Mpd { view, settings, .. } = mpd;
    let seconds = |seconds: u32| u64::from(seconds) * 1_000_000;
    let or = |configured: u32, otherwise: u64| match configured {
        0 => otherwise,
        configured => seconds(configured),
    };
    let longest = span_micros(longest);
    out.push_str("<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"");
    push_attribute(out, "profiles", profiles(settings.profile));
    if mpd.is_complete {
        out.push_str(" type=\"static\"");
        push_duration_attribute(out, "mediaPresentationDuration", span_micros(view.wall(end)));
    } else {
        // Either time zero is later by the delay, or all that counts from the wall clock is behind
        // by it.
        let (zero, delay) = if mpd.format.has_timeline() {
            (MediaTime(0), seconds(view.delay_seconds))
        } else {
            (ticks(view.delay_seconds), 0)
        };
        out.push_str(" type=\"dynamic\" availabilityStartTime=\"");
        push_zero(out, zero);
        out.push_str("\" publishTime=\"");
        push_date_time(out, view.wall(end));
        out.push('"');
        let update = or(settings.min_update_period_seconds, longest);
        push_duration_attribute(out, "minimumUpdatePeriod", update);
        // What does not slide has no depth: all of it stays.
        if !view.span.is_fixed() {
            push_duration_attribute(out, "timeShiftBufferDepth", seconds(mpd.window) + delay);
        }
        let behind = or(settings.suggested_presentation_delay_seconds, 3 * longest) + delay;
        push_duration_attribute(out, "suggestedPresentationDelay", behind);
    }
    push_duration_attribute(out, "maxSegmentDuration", longest);
    let buffer = or(settings.min_buffer_time_seconds, longest + longest / 2);
    push_duration_attribute(out, "minBufferTime", buffer);
    out.push_str(">\n");
}

/// Appends a whole second as `availabilityStartTime` has it.
fn push_zero(out: &mut String, zero: MediaTime) {
    push_date_time(out, zero);
    let seconds = out.len() - ".000Z".len();
    out.replace_range(seconds.., "Z");
}

/// `@profiles` (§8.1): the live profile, behind what restricts it further.
const fn profiles(profile: DashProfile) -> &'static str {
    match profile {
        DashProfile::None | DashProfile::Hybridcast => "urn:mpeg:dash:profile:isoff-live:2011",
        // ETSI TS 102 796 V1.2.1 §E.2.1.
        DashProfile::Hbbtv15 => {
            "urn:hbbtv:dash:profile:isoff-live:2012,urn:mpeg:dash:profile:isoff-live:2011"
        }
        // ETSI TS 103 285 §4.1.
        DashProfile::DvbDash2014 => {
            "urn:dvb:dash:profile:dvb-dash:2014,urn:dvb:dash:profile:dvb-dash:isoff-ext-live:2014,\
             urn:mpeg:dash:profile:isoff-live:2011"
        }
    }
}

fn push_period(out: &mut String, mpd: &Mpd<'_>, cut: Cut, listed: &Listed<'_>) {
    let start = span_micros(mpd.view.wall(cut.at));
    out.push_str("<Period");
    push_attribute(out, "id", &format!("p{start}"));
    push_duration_attribute(out, "start", start);
    out.push_str(">\n");
    let representations = listed.iter().filter_map(|(track, runs)| {
        let run = runs.iter().find(|run| run.period.at == cut.at)?;
        Some(Representation { info: &track.info, run })
    });
    let origin = WallClock(i64::try_from(start).unwrap_or(i64::MAX));
    for (id, set) in (1_u32..).zip(&sets(representations.collect())) {
        push_set(out, mpd, id, set, origin);
    }
    out.push_str("</Period>\n");
}

/// `UTCTiming` (§5.8.4.11). Without a configured URI it is the origin itself: the MPD, whose
/// response has a Date, or the endpoint's clock. What is complete needs no clock. The time in an
/// MPD itself is that of the live edge, as every byte here is a function of media: to a client that
/// takes it for now, nothing is missing.
fn push_timing(out: &mut String, mpd: &Mpd<'_>, end: MediaTime) {
    if mpd.is_complete {
        return;
    }
    let clock = || format!("{}{}", mpd.climb, super::CLOCK_NAME);
    let (scheme, own) = match mpd.settings.utc_timing {
        UtcTiming::None => return,
        UtcTiming::HttpHead => ("http-head", format!("{}.mpd", mpd.name)),
        UtcTiming::HttpIso => ("http-iso", clock()),
        UtcTiming::HttpXsdate => ("http-xsdate", clock()),
        UtcTiming::Direct => {
            let mut now = String::new();
            push_date_time(&mut now, mpd.view.wall(end));
            ("direct", now)
        }
    };
    out.push_str("<UTCTiming");
    push_attribute(out, "schemeIdUri", &format!("urn:mpeg:dash:utc:{scheme}:2014"));
    let configured = mpd.settings.utc_timing_uri.as_deref();
    push_attribute(out, "value", configured.unwrap_or(&own));
    out.push_str("/>\n");
}
