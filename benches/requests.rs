//! A request before its first byte is sent: the head read and its path resolved.

#![allow(missing_docs, reason = "made by criterion's macros")]

mod fixture;

use criterion::{Criterion, criterion_group, criterion_main};
use fixture::Source;
use headwater::engine::manifest::{ManifestId, Resource, plan_segment, render, resolve};
use headwater::http::request::parse_head;
use std::hint::black_box;

/// What a browser sends; `{}` is the path.
const HEAD: &str = "GET {} HTTP/1.1\r\n\
    Host: origin.example:8080\r\n\
    Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Accept: */*\r\n\
    Origin: http://player.example\r\n\
    Referer: http://player.example/\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\r\n";

fn requests(criterion: &mut Criterion) {
    let window_seconds = 600;
    let presentation = Source::new(window_seconds).present();
    let endpoint = fixture::cmaf_endpoint(window_seconds);
    let track = presentation.tracks.first().expect("a picture").info.id;
    let playlist = render(&endpoint, &presentation, &ManifestId::Media { list: 0, track });
    let playlist = String::from_utf8(playlist.expect("media is listed").body).expect("text");
    let segment = playlist.lines().rfind(|line| !line.starts_with('#')).expect("is listed");
    let segment = segment.trim_start_matches("../");
    let prefix = "/out/v1/bench-cmaf/";
    for (name, path) in [("playlist", "hls/index_v1.m3u8"), ("segment", segment)] {
        let head = HEAD.replace("{}", &format!("{prefix}{path}"));
        criterion.bench_function(&format!("request head, {name}"), |bencher| {
            bencher.iter(|| parse_head(black_box(head.as_bytes())).expect("valid"));
        });
        criterion.bench_function(&format!("request head and route, {name}"), |bencher| {
            bencher.iter(|| {
                let (head, _) =
                    parse_head(black_box(head.as_bytes())).expect("valid").expect("complete");
                let path = head.path.strip_prefix(prefix).expect("as requested");
                resolve(&endpoint, &presentation, path).expect("is there")
            });
        });
    }
    let Ok(Resource::Segment(id)) = resolve(&endpoint, &presentation, segment) else {
        panic!("{segment} is a segment");
    };
    criterion.bench_function("plan of a segment", |bencher| {
        bencher.iter(|| plan_segment(&endpoint, black_box(&presentation), &id).expect("is there"));
    });
}

criterion_group!(benches, requests);
criterion_main!(benches);
