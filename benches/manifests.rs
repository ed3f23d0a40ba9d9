//! Each manifest at windows of a minute, two hours and a day; and what a publication costs, which
//! is to be the same for all of them.

#![allow(missing_docs, reason = "made by criterion's macros")]

mod fixture;

use criterion::{Criterion, criterion_group, criterion_main};
use fixture::Source;
use headwater::engine::endpoint::Endpoint;
use headwater::engine::manifest::{ManifestId, render};
use headwater::engine::presentation::Presentation;
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
        let [hls, cmaf, dash] =
            [fixture::hls_endpoint, fixture::cmaf_endpoint, fixture::dash_endpoint]
                .map(|endpoint| endpoint(seconds));
        for (name, endpoint, id) in [
            ("HLS multivariant playlist", &hls, top),
            ("HLS media playlist, TS", &hls, media),
            ("HLS media playlist, CMAF", &cmaf, media),
            ("MPD", &dash, ManifestId::Mpd { list: 0 }),
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

criterion_group!(benches, manifests);
criterion_main!(benches);
