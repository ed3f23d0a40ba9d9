//! Each manifest at windows of a minute, two hours and a day; what a publication costs, which is to
//! be the same for all of them; filtered manifests; and two hours out of the middle of a day and of
//! 14 days, which are to cost the same.

#![allow(missing_docs, reason = "made by criterion's macros")]

mod fixture;

use criterion::{Criterion, criterion_group, criterion_main};
use fixture::Source;
use headwater::engine::endpoint::Endpoint;
use headwater::engine::manifest::{ManifestId, render, render_requested};
use headwater::engine::presentation::Presentation;
use headwater::engine::request::{Bound, Filter, ManifestRequest};
use headwater::units::WallClock;
use std::hint::black_box;

fn manifest(
    criterion: &mut Criterion,
    (name, window): (&str, &str),
    (endpoint, id): (&Endpoint, ManifestId),
    presentation: &Presentation,
) {
    criterion.bench_function(&format!("{name}/{window}"), |bencher| {
        bencher.iter(|| render(endpoint, black_box(presentation), &id).expect("media is listed"));
    });
}

fn manifests(criterion: &mut Criterion) {
    for &(window, seconds) in fixture::windows() {
        let mut source = Source::new(seconds);
        let presentation = source.present();
        let track = presentation.tracks.first().expect("a picture").info.id;
        let (top, media) =
            (ManifestId::Multivariant { list: 0 }, ManifestId::Media { list: 0, track });
        let [hls, cmaf, dash, mss] = [
            fixture::hls_endpoint,
            fixture::cmaf_endpoint,
            fixture::dash_endpoint,
            fixture::mss_endpoint,
        ]
        .map(|endpoint| endpoint(seconds));
        for (name, endpoint, id) in [
            ("HLS multivariant playlist", &hls, top),
            ("HLS media playlist, TS", &hls, media),
            ("HLS media playlist, CMAF", &cmaf, media),
            ("MPD", &dash, ManifestId::Mpd { list: 0 }),
            ("Smooth Streaming manifest", &mss, ManifestId::Smooth),
        ] {
            manifest(criterion, (name, window), (endpoint, id), &presentation);
        }
        criterion.bench_function(&format!("publication/{window}"), |bencher| {
            bencher.iter(|| {
                source.step();
                source.present()
            });
        });
    }
}

/// The live manifests of some tracks.
fn filtered(criterion: &mut Criterion) {
    let &(window, seconds) = fixture::windows().get(1).unwrap_or(&fixture::windows()[0]);
    let presentation = Source::new(seconds).present();
    let filter = Filter::parse("video_codec:h264;audio_language:en").expect("it is one");
    let request = ManifestRequest { filter, ..ManifestRequest::LIVE };
    let top = ManifestId::Multivariant { list: 0 };
    for (name, endpoint, id) in [
        ("filtered HLS multivariant playlist", fixture::cmaf_endpoint(seconds), top),
        ("filtered MPD", fixture::dash_endpoint(seconds), ManifestId::Mpd { list: 0 }),
        ("filtered Smooth Streaming manifest", fixture::mss_endpoint(seconds), ManifestId::Smooth),
    ] {
        requested(criterion, (name, window), (&endpoint, id), &presentation, &request);
    }
}

fn requested(
    criterion: &mut Criterion,
    (name, window): (&str, &str),
    (endpoint, id): (&Endpoint, ManifestId),
    presentation: &Presentation,
    request: &ManifestRequest,
) {
    criterion.bench_function(&format!("{name}/{window}"), |bencher| {
        bencher.iter(|| {
            render_requested(endpoint, black_box(presentation), &id, request).expect("listed")
        });
    });
}

/// Two hours out of the middle of what is kept.
fn spans(criterion: &mut Criterion) {
    let few = Source::new(60).present();
    let (span, logs): (u64, &[(&str, u64)]) = if fixture::is_measured() {
        (7_200, &[("of a day", 86_400), ("of 14 days", 1_209_600)])
    } else {
        (60, &[("of 10 minutes", 600)])
    };
    for &(name, seconds) in logs {
        let presentation = fixture::kept_for(&few, seconds);
        let edge = presentation.edge().expect("media") + presentation.clock_offset;
        let seconds = i64::try_from(seconds / 2).expect("days");
        let at = |later: u64| {
            let later = i64::try_from(later).expect("hours");
            let at = WallClock((edge.ticks() / 90_000 - seconds + later) * 1_000_000);
            Some(Bound { at, in_path: false })
        };
        let request = ManifestRequest { start: at(0), end: at(span), ..ManifestRequest::LIVE };
        let track = presentation.tracks.first().expect("a picture").info.id;
        let kept = 1_209_600;
        for (kind, endpoint, id) in [
            (
                "HLS media playlist",
                fixture::cmaf_endpoint(kept),
                ManifestId::Media { list: 0, track },
            ),
            ("MPD", fixture::dash_endpoint(kept), ManifestId::Mpd { list: 0 }),
            ("Smooth Streaming manifest", fixture::mss_endpoint(kept), ManifestId::Smooth),
        ] {
            let kind = format!("span, {kind}");
            requested(criterion, (&kind, name), (&endpoint, id), &presentation, &request);
        }
    }
}

criterion_group!(benches, manifests, filtered, spans);
criterion_main!(benches);
