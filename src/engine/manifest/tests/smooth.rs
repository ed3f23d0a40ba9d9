//! Smooth Streaming: the client manifest in full, and what a client can fetch from it.

use super::*;
use roxmltree::Document;

const MANIFEST: &str = "index.ism/Manifest";
/// What the first fragment of [`Channel::push_many`] begins at, in 90 kHz.
const FIRST: i64 = NOON;

/// The paths of all fragments of a manifest, by stream name.
fn fragments(manifest: &str) -> HashMap<String, Vec<String>> {
    let document = Document::parse(manifest).expect("it is XML");
    let mut paths: HashMap<String, Vec<String>> = HashMap::new();
    for stream in document.descendants().filter(|node| node.has_tag_name("StreamIndex")) {
        let attribute = |name| stream.attribute(name).expect("it is told");
        let levels = stream.children().filter(|node| node.has_tag_name("QualityLevel"));
        for rate in levels.map(|level| level.attribute("Bitrate").expect("it is told")) {
            let (mut time, mut count) = (0, 0);
            for chunk in stream.children().filter(|node| node.has_tag_name("c")) {
                let number = |name| chunk.attribute(name).map(str::parse::<i64>);
                let number = |name| number(name).transpose().expect("an integer");
                time = number("t").unwrap_or(time);
                for _ in 0..number("r").unwrap_or(1) {
                    let url = attribute("Url").replace("{bitrate}", rate);
                    let url = url.replace("{start time}", &time.to_string());
                    let path = format!("index.ism/{url}");
                    paths.entry(attribute("Name").to_owned()).or_default().push(path);
                    time += number("d").expect("a duration");
                    count += 1;
                }
            }
            assert_eq!(attribute("Chunks"), count.to_string(), "{manifest}");
        }
    }
    paths
}

fn plan(endpoint: &Endpoint, channel: &Channel, path: &str) -> Result<SegmentPlan, Absent> {
    match resolve(endpoint, &channel.presentation, path)? {
        Resource::Segment(id) => plan_segment(endpoint, &channel.presentation, &id),
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn client_manifest_in_full() {
    let mut channel = Channel::ladder().push_many(8);
    channel.push(Some(2));
    let channel = channel.push_many(4);
    let endpoint = mss(2, 10);
    let text = channel.text(&endpoint, MANIFEST);
    let hash = text.split_once("Events(").expect("a hash").1[..8].to_owned();
    let (video, audio) = (FIRST + 6 * TWO_SECONDS, (FIRST + 6 * TWO_SECONDS) / 90_000 * 48_000);
    let level = "SamplingRate=\"48000\" Channels=\"2\" BitsPerSample=\"16\" PacketSize=\"4\" \
                 AudioTag=\"255\" CodecPrivateData=\"1190\"";
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <SmoothStreamingMedia MajorVersion=\"2\" MinorVersion=\"2\" TimeScale=\"10000000\" \
         Duration=\"0\" IsLive=\"TRUE\" CanSeek=\"TRUE\" CanPause=\"TRUE\" \
         LookAheadFragmentCount=\"2\" DVRWindowLength=\"100000000\">\n\
         <StreamIndex Type=\"video\" Name=\"video\" TimeScale=\"90000\" Chunks=\"5\" \
         QualityLevels=\"2\" MaxWidth=\"1280\" MaxHeight=\"720\" \
         Url=\"Events({hash})/QualityLevels({{bitrate}})/Fragments(video={{start time}})\">\n\
         <QualityLevel Index=\"0\" Bitrate=\"2000000\" FourCC=\"H264\" MaxWidth=\"1280\" \
         MaxHeight=\"720\" CodecPrivateData=\"00000001670000000168\"/>\n\
         <QualityLevel Index=\"1\" Bitrate=\"800000\" FourCC=\"H264\" MaxWidth=\"640\" \
         MaxHeight=\"360\" CodecPrivateData=\"00000001670000000168\"/>\n\
         <c t=\"{video}\" d=\"180000\" r=\"5\"/>\n</StreamIndex>\n\
         <StreamIndex Type=\"audio\" Name=\"audio_de\" Language=\"de\" TimeScale=\"48000\" \
         Chunks=\"4\" QualityLevels=\"1\" \
         Url=\"Events({hash})/QualityLevels({{bitrate}})/Fragments(audio_de={{start time}})\">\n\
         <QualityLevel Index=\"0\" Bitrate=\"128000\" FourCC=\"AACL\" {level}/>\n\
         <c t=\"{audio}\" d=\"96000\" r=\"2\"/>\n<c t=\"{}\" d=\"96000\" r=\"2\"/>\n\
         </StreamIndex>\n\
         <StreamIndex Type=\"audio\" Name=\"audio_en\" Language=\"en\" TimeScale=\"48000\" \
         Chunks=\"5\" QualityLevels=\"1\" \
         Url=\"Events({hash})/QualityLevels({{bitrate}})/Fragments(audio_en={{start time}})\">\n\
         <QualityLevel Index=\"0\" Bitrate=\"96000\" FourCC=\"AACL\" {level}/>\n\
         <c t=\"{audio}\" d=\"96000\" r=\"5\"/>\n</StreamIndex>\n\
         <StreamIndex Type=\"text\" Subtype=\"SUBT\" Name=\"text_en\" Language=\"en\" \
         TimeScale=\"90000\" Chunks=\"5\" QualityLevels=\"1\" \
         Url=\"Events({hash})/QualityLevels({{bitrate}})/Fragments(text_en={{start time}})\">\n\
         <QualityLevel Index=\"0\" Bitrate=\"1000\" FourCC=\"TTML\" CodecPrivateData=\"\"/>\n\
         <c t=\"{video}\" d=\"180000\" r=\"5\"/>\n</StreamIndex>\n\
         </SmoothStreamingMedia>\n",
        audio + 3 * 96_000
    );
    assert_eq!(text, expected);
    assert_ne!(hash, channel.text(&mss(4, 20), MANIFEST).split_once("Events(").unwrap().1[..8]);
}

#[test]
fn what_is_listed_can_be_fetched_and_announces_what_follows() {
    for (seconds, gap) in [(2, None), (6, None), (2, Some(0)), (2, Some(2)), (4, Some(2))] {
        let endpoint = mss(seconds, 40);
        let mut channel = Channel::ladder().push_many(20);
        channel.push(gap);
        for _ in 0..12 {
            let listed = fragments(&channel.text(&endpoint, MANIFEST));
            assert_eq!(listed.len(), 4);
            for path in listed.values().flatten() {
                let found = plan(&endpoint, &channel, path);
                let missing = gap == Some(0) && found == Err(Absent::NotYet);
                assert!(found.is_ok() || missing, "{path}: {found:?}");
                let Ok(found) = found else { continue };
                assert_eq!(found.container, Container::Smooth);
                assert!(found.next.iter().all(|next| next.0 >= found.end), "{path}");
                // A gap nearby may still be filled, so that the answer is not for good.
                let span = found.end - found.start;
                let adjoining = |at: usize, from| found.next.get(at).is_some_and(|it| it.0 == from);
                let whole = adjoining(0, found.end) && adjoining(1, found.end + span);
                assert_eq!(found.is_immutable(), whole, "{path} {found:?}");
            }
            channel.push(None);
        }
    }
}

#[test]
fn the_edge_is_two_fragments_away() {
    let endpoint = mss(2, 40);
    let mut channel = Channel::ladder().push_many(10);
    let listed = fragments(&channel.text(&endpoint, MANIFEST))["video"].clone();
    let (first, last) = (&listed[0], &listed[7]);
    let (base, time) = last.rsplit_once('=').expect("a time");
    let time: i64 = time.trim_end_matches(')').parse().expect("an integer");
    let at = |offset: i64| format!("{base}={})", time + offset * TWO_SECONDS);
    assert_eq!(time, FIRST + 7 * TWO_SECONDS);
    let statuses = |channel: &Channel| -> Vec<Option<Absent>> {
        (0..5).map(|offset| plan(&endpoint, channel, &at(offset)).err()).collect()
    };
    let early = || Some(Absent::TooEarly);
    let later = || Some(Absent::NotYet);
    assert_eq!(statuses(&channel), [None, early(), early(), later(), later()]);
    channel.push(None);
    assert_eq!(statuses(&channel), [None, None, early(), early(), later()]);
    channel.presentation.ended = true;
    assert_eq!(statuses(&channel), [None, None, None, None, later()]);
    let text = channel.text(&endpoint, MANIFEST);
    assert!(text.contains("Duration=\"220000000\">") && !text.contains("IsLive"), "{text}");
    assert!(!plan(&endpoint, &channel, &at(3)).expect("the last").is_immutable());

    let never = [
        first.replace("Events(", "Events(0"),
        first.replace("2000000", "2000001"),
        first.replace("video=", "audio="),
        first.replace("video=", "video=0"),
        first.replace("Fragments", "KeyFrames"),
        first.replace("QualityLevels", "qualitylevels"),
        format!("{first}/"),
        at(0).replace(')', ""),
        format!("{base}={})", time + 1),
        format!("{base}=-1)"),
        format!("{base}=99999999999999999999)"),
    ];
    for path in never {
        let found = resolve(&endpoint, &channel.presentation, &path);
        assert_eq!(found, Err(Absent::Never), "{path}");
    }
}

#[test]
fn what_tells_of_a_fragment_is_another_representation() {
    let endpoint = mss(2, 40);
    let channel = Channel::ladder().push_many(10);
    let path = &fragments(&channel.text(&endpoint, MANIFEST))["audio_de"][0];
    let info = path.replace("/Fragments(", "/FragmentInfo(");
    let Ok(Resource::FragmentInfo(id)) = resolve(&endpoint, &channel.presentation, &info) else {
        panic!("{info}")
    };
    assert_eq!(resolve(&endpoint, &channel.presentation, path), Ok(Resource::Segment(id)));
    let fragment = plan(&endpoint, &channel, path).expect("it is listed");
    let info = fragment.clone().into_fragment_info();
    assert_ne!(info.etag, fragment.etag);
    assert!(fragment.has_payload() && !info.has_payload() && info.is_view());
}

#[test]
fn equal_bit_rates_are_told_apart_and_a_new_configuration_begins_the_list() {
    let tracks = vec![
        info(1, "v1", avc(1280, 720), 2_000_000),
        info(2, "v2", avc(640, 360), 2_000_000),
        info(3, "a1", aac(), 128_000),
    ];
    let endpoint = mss(2, 40);
    let mut channel = Channel::new(tracks).push_many(6);
    let text = channel.text(&endpoint, MANIFEST);
    let listed = &fragments(&text)["video"];
    let names = [&listed[0], &listed[4]].map(|path| {
        plan(&endpoint, &channel, path).expect("it is listed").tracks[0].info.name.clone()
    });
    assert_eq!(names, ["v1", "v2"], "{text}");

    // v2 changes its configuration under the same id of its track.
    channel.begin_session(2);
    let from = channel.next;
    channel = channel.push_many(6);
    let init = Init { config: avc(960, 540), track: TrackId(2) };
    channel.presentation.inits.insert(9, Arc::new(init));
    let changed = channel.presentation.tracks[1].segments.clone();
    let mut segments = crate::engine::log::Log::default();
    for listed in changed.iter_from(0) {
        let mut listed = listed.clone();
        if listed.number >= from {
            listed.media.iter_mut().for_each(|media| media.init = 9);
        }
        segments.push(listed);
    }
    channel.presentation.tracks[1].segments = segments;
    let text = channel.text(&endpoint, MANIFEST);
    assert!(text.contains("MaxWidth=\"960\""), "{text}");
    let listed = fragments(&text);
    assert_eq!((listed["video"].len(), listed["audio"].len()), (2 * 4, 10), "{text}");
}

proptest! {
    #[test]
    fn no_path_of_a_stranger_is_trouble(
        path in "(index\\.ism/)?(Events\\([0-9a-f]{0,9}\\)/)?(QualityLevels\\([0-9]{0,22}\\)/)?\
                 (Fragments|FragmentInfo)?\\(?(video|audio_de)?=?-?[0-9]{0,22}\\)?"
    ) {
        let channel = Channel::ladder().push_many(5);
        prop_assert!(resolve(&mss(2, 40), &channel.presentation, &path).is_err());
    }
}

#[test]
fn a_manifest_waits_for_as_many_fragments_as_one_announces_and_one() {
    let endpoint = mss(2, 40);
    let mut channel = Channel::ladder();
    for count in 1..8 {
        channel.push(None);
        let manifest = render(&endpoint, &channel.presentation, &ManifestId::Smooth);
        // The two newest can be announced, but not fetched.
        assert_eq!(manifest.is_ok(), count >= 5, "after {count}");
    }
    let mut short = Channel::ladder().push_many(2);
    short.presentation.ended = true;
    assert!(short.text(&endpoint, MANIFEST).contains("Chunks=\"2\""), "all there will be");
}
