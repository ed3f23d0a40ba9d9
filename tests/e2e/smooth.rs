//! Smooth Streaming as a client sees it: the manifest, every fragment in it, and the live edge.
//!
//! ffprobe reads the fragments behind the init segment that CMAF has for the same track, as there
//! is none in Smooth Streaming; what takes its place in the manifest is compared with it.

use crate::client::Encoder;
use crate::origin::{Origin, demo, eventually};
use crate::playback::{CMAF, Rendition, listed_with};
use crate::probe::{FRAGMENTED, Stream, probe};
use crate::source::{H264, MUXED, PICTURE, SEGMENT_COUNT, SOUND, Source};
use roxmltree::{Document, Node};
use std::fs;
use std::process::Command;
use tempfile::TempDir;

const SMOOTH: &str = "/out/v1/demo-mss/index.ism/Manifest";
const JOINED: &str = "/out/v1/demo-mss-joined/index.ism/Manifest";

/// A quality level and the paths of its fragments.
struct Level {
    kind: String,
    four_cc: String,
    private_data: String,
    fragments: Vec<String>,
    /// Paths of the two fragments that follow the last one, and of the one after them.
    following: Vec<String>,
}

/// An origin with Smooth Streaming endpoints of 2 and 4 s beside those of [`demo`].
fn origin() -> Origin {
    let endpoint = |id: &str, seconds: u32| {
        format!(
            "[[endpoint]]\nid = \"{id}\"\nchannel = \"demo\"\nstale_limit_seconds = 3600\n\
             startover_window_seconds = 300\n[endpoint.mss_package]\n\
             segment_duration_seconds = {seconds}\n"
        )
    };
    Origin::start(&(demo() + &endpoint("demo-mss", 2) + &endpoint("demo-mss-joined", 4)))
}

fn levels(manifest: &str, path: &str) -> Vec<Level> {
    let base = path.strip_suffix("Manifest").unwrap();
    let document = Document::parse(manifest).unwrap();
    let streams = document.descendants().filter(|node| node.has_tag_name("StreamIndex"));
    let levels = streams.flat_map(|stream| {
        let (times, duration) = times(&stream);
        let levels = stream.children().filter(|node| node.has_tag_name("QualityLevel"));
        levels.map(move |level| {
            let attribute = |name| level.attribute(name).unwrap().to_owned();
            let path = |time: i64| {
                let url = stream.attribute("Url").unwrap();
                let url = url.replace("{bitrate}", level.attribute("Bitrate").unwrap());
                format!("{base}{}", url.replace("{start time}", &time.to_string()))
            };
            let last = *times.last().unwrap();
            Level {
                kind: stream.attribute("Type").unwrap().to_owned(),
                four_cc: attribute("FourCC"),
                private_data: attribute("CodecPrivateData").to_lowercase(),
                fragments: times.iter().map(|&time| path(time)).collect(),
                following: (1..4).map(|step| path(last + step * duration)).collect(),
            }
        })
    });
    levels.collect()
}

/// When the chunks of a stream begin, and how long the last one lasts.
fn times(stream: &Node<'_, '_>) -> (Vec<i64>, i64) {
    let (mut times, mut time, mut duration) = (Vec::new(), 0, 0);
    for chunk in stream.children().filter(|node| node.has_tag_name("c")) {
        let number = |name| chunk.attribute(name).map(|text: &str| text.parse::<i64>().unwrap());
        time = number("t").unwrap_or(time);
        duration = number("d").unwrap();
        for _ in 0..number("r").unwrap_or(1) {
            times.push(time);
            time += duration;
        }
    }
    (times, duration)
}

/// The quality levels once each of them lists so many fragments.
fn listed(origin: &Origin, path: &str, count: usize) -> Vec<Level> {
    eventually(&format!("{path} lists {count} fragments"), || {
        let manifest = origin.get(path);
        let found = if manifest.status == 200 { levels(&manifest.text(), path) } else { vec![] };
        let done = !found.is_empty() && found.iter().all(|level| level.fragments.len() == count);
        done.then_some(found)
    })
}

/// Says that nothing more comes.
fn end(encoder: &mut Encoder, source: &Source) {
    for variant in &source.variants {
        let last = variant.playlist_of(0..SEGMENT_COUNT) + "#EXT-X-ENDLIST\n";
        assert_eq!(encoder.put(&variant.playlist, last.as_bytes()).status, 201);
    }
}

#[test]
fn what_is_listed_is_there_and_what_follows_is_not_yet() {
    let origin = origin();
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..SEGMENT_COUNT);
    let levels = listed(&origin, SMOOTH, SEGMENT_COUNT - 2);
    let manifest = origin.get(SMOOTH);
    assert_eq!(manifest.field("content-type"), Some("text/xml"));
    assert!(manifest.text().contains("IsLive=\"TRUE\""), "{}", manifest.text());
    assert_eq!(levels.len(), 2);
    for level in &levels {
        for path in &level.fragments {
            let fragment = origin.get(path);
            assert_eq!(fragment.status, 200, "{path}");
            let content_type = format!("{}/mp4", level.kind);
            assert_eq!(fragment.field("content-type"), Some(content_type.as_str()), "{path}");
            let caching = fragment.field("cache-control").unwrap();
            assert!(caching.contains("immutable"), "{path}: {caching}");
            let head = origin.get(&path.replace("/Fragments(", "/FragmentInfo("));
            let size = u32::from_be_bytes(fragment.body[..4].try_into().unwrap());
            let moof = &fragment.body[..usize::try_from(size).unwrap()];
            assert_eq!((head.status, head.body.as_slice()), (200, moof), "{path}");
        }
    }
    let video = levels.iter().find(|level| level.kind == "video").unwrap();
    let statuses: Vec<u16> = video.following.iter().map(|path| origin.get(path).status).collect();
    assert_eq!(statuses, [412, 412, 404]);
    let caching = origin.get(&video.following[0]);
    assert_eq!(caching.field("cache-control"), Some("max-age=1"));

    let before = origin.get(&video.fragments[0]);
    end(&mut encoder, &MUXED);
    let all = listed(&origin, SMOOTH, SEGMENT_COUNT);
    assert!(!origin.get(SMOOTH).text().contains("IsLive"));
    assert_eq!(origin.get(&all[0].fragments[0]).body, before.body, "it stays what it was");
    let last = origin.get(all[0].fragments.last().unwrap());
    assert!(!last.field("cache-control").unwrap().contains("immutable"), "more may come");
}

#[test]
fn every_sample_of_h264_and_aac() {
    check(&MUXED, &["H264", "AACL"]);
}

#[test]
fn every_sample_of_hevc_and_eac3() {
    let hevc = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p \
                -x265-params log-level=none:keyint=50:min-keyint=50:scenecut=0:open-gop=0";
    let arguments = format!("{PICTURE} {SOUND} {hevc} -c:a eac3 -ac 2");
    check(&Source::encoded(&arguments, "v:0,a:0"), &["HVC1", "EC-3"]);
}

#[test]
fn every_sample_of_two_languages() {
    let sound = format!("{SOUND}:duration=11.9");
    let arguments = format!("{PICTURE} {sound} -map 0:v -map 1:a -map 1:a {H264} -c:a aac");
    let streams = "v:0,agroup:sound a:0,agroup:sound,language:de,default:yes \
                   a:1,agroup:sound,language:en";
    check(&Source::encoded(&arguments, streams), &["H264", "AACL", "AACL"]);
}

/// Compares the samples of every quality level with those of CMAF, joined and not.
fn check(source: &Source, codecs: &[&str]) {
    let origin = origin();
    let mut encoder = Encoder::new(&origin, "demo", 1);
    source.push(&mut encoder, 0..SEGMENT_COUNT);
    end(&mut encoder, source);
    let renditions = listed_with(&origin, CMAF, SEGMENT_COUNT);
    for (path, count) in [(SMOOTH, SEGMENT_COUNT), (JOINED, SEGMENT_COUNT / 2)] {
        let levels = listed(&origin, path, count);
        let four_ccs: Vec<&str> = levels.iter().map(|level| level.four_cc.as_str()).collect();
        assert_eq!(four_ccs, codecs, "{path}");
        // Both list tracks in the order of the presentation.
        for (at, level) in levels.iter().enumerate() {
            let name = format!("_{}{}.m3u8", &level.kind[..1], if at < 2 { 1 } else { at });
            let rendition = renditions.iter().find(|one| one.name.ends_with(&name)).unwrap();
            let whole = probe(FRAGMENTED, &rendition.fetched(&origin)).swap_remove(0);
            let mut bytes = origin.get(&rendition.inits[0]).body;
            for path in &level.fragments {
                let response = origin.get(path);
                assert_eq!(response.status, 200, "{path}");
                bytes.extend(response.body);
            }
            let found = probe(FRAGMENTED, &bytes).swap_remove(0);
            // What is joined begins at a whole segment, with the second one at the latest.
            let missing = whole.packets.len() - found.packets.len();
            assert!(missing <= whole.packets.len() / SEGMENT_COUNT + 1, "{path} {name}");
            assert!(found.packets == whole.packets[missing..], "{path} {name}");
            assert!(path == JOINED || missing == 0, "{path} {name}");
            check_private_data(level, &found);
        }
    }
}

/// `CodecPrivateData` tells the decoder what the init segment does.
fn check_private_data(level: &Level, stream: &Stream) {
    let hex = |bytes: &[u8]| crate::client::hex(bytes);
    match level.four_cc.as_str() {
        "AACL" => assert_eq!(level.private_data, hex(&stream.extradata().unwrap())),
        "EC-3" => assert_eq!(level.private_data.len(), 2 * (22 + 5)),
        _ => {
            let extradata = hex(&stream.extradata().unwrap());
            let sets: Vec<&str> = level.private_data.split("00000001").skip(1).collect();
            assert!(sets.len() >= 2 && sets.iter().all(|set| extradata.contains(set)), "{sets:?}");
        }
    }
}

/// GStreamer's demuxer knows the manifest, the fragments and the timeline by itself.
#[test]
fn gstreamer_reads_every_sample() {
    for element in ["souphttpsrc", "mssdemux", "qtdemux"] {
        let known = Command::new("gst-inspect-1.0").args(["--exists", element]).status();
        if !known.is_ok_and(|status| status.success()) {
            crate::report::skipped(&format!("GStreamer has no {element}"));
            return;
        }
    }
    let origin = origin();
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..SEGMENT_COUNT);
    end(&mut encoder, &MUXED);
    listed(&origin, SMOOTH, SEGMENT_COUNT);
    let whole = listed_with(&origin, CMAF, SEGMENT_COUNT);
    let dir = TempDir::new().unwrap();
    let output = Command::new("gst-launch-1.0")
        .args(["-q", "souphttpsrc"])
        .arg(format!("location=http://{}{SMOOTH}", origin.data()))
        .args("! mssdemux name=smooth".split(' '))
        .args("smooth.video_00 ! queue ! qtdemux ! filesink location=v1".split(' '))
        .args("smooth.audio_00 ! queue ! qtdemux ! filesink location=a1".split(' '))
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["v1", "a1"] {
        let named = |one: &&Rendition| one.name.ends_with(&format!("_{name}.m3u8"));
        let rendition = whole.iter().find(named).unwrap();
        let stream = probe(FRAGMENTED, &rendition.fetched(&origin)).swap_remove(0);
        let samples: Vec<u8> = stream.packets.into_iter().flat_map(|packet| packet.bytes).collect();
        let found = fs::read(dir.path().join(name)).unwrap();
        assert!(found == samples, "{name}: {} of {} bytes", found.len(), samples.len());
    }
}
