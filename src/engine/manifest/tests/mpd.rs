//! What every MPD keeps, by clause of ISO/IEC 23009-1 and of DASH-IF's guidelines for live
//! services: elements in the order of the schema (annex B), attributes that are required where they
//! are, Periods that do not overlap, timelines without overlap, and URLs that lead somewhere.

use roxmltree::{Document, Node};

/// The children that the schema allows under each element that is written here, in its order.
const ORDER: [(&str, &[&str]); 5] = [
    ("MPD", &["PatchLocation", "Period", "UTCTiming"]),
    ("Period", &["EventStream", "AdaptationSet", "SupplementalProperty"]),
    (
        "AdaptationSet",
        &[
            "AudioChannelConfiguration",
            "ContentProtection",
            "EssentialProperty",
            "SupplementalProperty",
            "InbandEventStream",
            "Label",
            "Accessibility",
            "Role",
            "SegmentTemplate",
            "Representation",
        ],
    ),
    ("Representation", &["AudioChannelConfiguration", "ContentProtection", "SegmentTemplate"]),
    ("SegmentTemplate", &["SegmentTimeline"]),
];

/// Attributes that the schema requires, and those the live profile does (§8.4.2).
const REQUIRED: [(&str, &[&str]); 6] = [
    ("MPD", &["profiles", "minBufferTime", "type"]),
    ("Period", &["id", "start"]),
    ("AdaptationSet", &["id", "contentType", "mimeType", "segmentAlignment", "startWithSAP"]),
    ("Representation", &["id", "bandwidth", "codecs"]),
    ("SegmentTemplate", &["timescale", "media", "initialization", "startNumber"]),
    ("S", &["d"]),
];

fn number(node: Node<'_, '_>, name: &str) -> i128 {
    let text = node.attribute(name).unwrap_or_else(|| panic!("{name} of {node:?}"));
    text.parse().unwrap_or_else(|_| panic!("{name}={text}"))
}

/// Microseconds of `PT…S`.
fn duration(text: &str) -> i128 {
    let seconds = text.strip_prefix("PT").and_then(|text| text.strip_suffix('S'));
    let (whole, rest) = {
        let seconds = seconds.unwrap_or_else(|| panic!("{text}"));
        seconds.split_once('.').unwrap_or((seconds, ""))
    };
    let micros: i128 = format!("{rest:0<6}").parse().expect("digits");
    whole.parse::<i128>().expect("digits") * 1_000_000 + micros
}

/// The template that holds for a Representation: its own, or the set's (§5.3.9.1).
fn template<'a, 'd>(representation: Node<'a, 'd>) -> Node<'a, 'd> {
    let of = |node: Node<'a, 'd>| node.children().find(|it| it.has_tag_name("SegmentTemplate"));
    let set = || representation.parent().and_then(of);
    of(representation).or_else(set).expect("a template")
}

/// Panics where an MPD breaks a rule; returns the paths that it names, below the endpoint.
pub fn check(text: &str) -> Vec<String> {
    let document = Document::parse(text).expect("well-formed");
    let mpd = document.root_element();
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert_eq!(node.tag_name().namespace(), Some("urn:mpeg:dash:schema:mpd:2011"), "{name}");
        if let Some((_, order)) = ORDER.iter().find(|(known, _)| *known == name) {
            let places = node.children().filter(Node::is_element).map(|child| {
                let child = child.tag_name().name();
                order.iter().position(|known| *known == child).expect(child)
            });
            assert!(places.is_sorted(), "order of {name}'s children: {text}");
        }
        let required = REQUIRED.iter().find(|(known, _)| *known == name);
        for attribute in required.into_iter().flat_map(|(_, attributes)| *attributes) {
            assert!(node.attribute(*attribute).is_some(), "{name}@{attribute}: {text}");
        }
    }
    check_live(mpd);
    let periods: Vec<_> = mpd.children().filter(|node| node.has_tag_name("Period")).collect();
    assert!(!periods.is_empty(), "a Period at least (§5.3.2)");
    let starts = periods.iter().map(|period| duration(period.attribute("start").expect("start")));
    let starts: Vec<i128> = starts.collect();
    assert!(starts.is_sorted_by(|a, b| a < b), "Periods in order: {starts:?}");
    let mut paths = Vec::new();
    for (at, period) in periods.iter().enumerate() {
        check_period(*period, starts[at], starts.get(at + 1).copied(), &mut paths);
    }
    paths
}

/// §5.3.1.2: what a dynamic MPD has and a static one has not.
fn check_live(mpd: Node<'_, '_>) {
    let has = |name| mpd.attribute(name).is_some();
    let is_live = mpd.attribute("type") == Some("dynamic");
    for name in ["availabilityStartTime", "publishTime", "minimumUpdatePeriod"] {
        assert_eq!(has(name), is_live, "MPD@{name}");
    }
    assert_eq!(has("mediaPresentationDuration"), !is_live);
    assert!(is_live || !has("timeShiftBufferDepth"));
    if has("timeShiftBufferDepth") && has("suggestedPresentationDelay") {
        let of = |name| duration(mpd.attribute(name).expect("it has one"));
        assert!(of("timeShiftBufferDepth") >= of("maxSegmentDuration"));
    }
}

fn check_period(period: Node<'_, '_>, start: i128, next: Option<i128>, paths: &mut Vec<String>) {
    let unique = |name: &str, tag: &str| {
        let ids = period.descendants().filter(|node| node.has_tag_name(tag));
        let mut ids: Vec<_> = ids.map(|node| node.attribute(name).expect("an id")).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{tag}@{name} within a Period (§5.3.3.2, §5.3.5.2)");
    };
    unique("id", "AdaptationSet");
    unique("id", "Representation");
    for representation in period.descendants().filter(|it| it.has_tag_name("Representation")) {
        let template = template(representation);
        let id = representation.attribute("id").expect("an id");
        let named = |name: &str| {
            let url = template.attribute(name).expect("a URL").replace("$RepresentationID$", id);
            url.trim_start_matches("../").to_owned()
        };
        paths.push(named("initialization"));
        let scale = number(template, "timescale");
        let offset = number(template, "presentationTimeOffset");
        let Some(timeline) = template.children().find(|it| it.has_tag_name("SegmentTimeline"))
        else {
            assert!(number(template, "duration") > 0, "a duration without a timeline (§5.3.9.2)");
            continue;
        };
        let micros = |time: i128| (time - offset) * 1_000_000 / scale + start;
        let mut time = None;
        let mut count = number(template, "startNumber");
        for s in timeline.children().filter(|node| node.has_tag_name("S")) {
            let repeat = s.attribute("r").map_or(0, |_| number(s, "r"));
            let from = s.attribute("t").map(|_| number(s, "t")).or(time).expect("a first S@t");
            assert!(time.is_none_or(|time| from >= time), "no overlap (§5.3.9.6)");
            for at in 0..=repeat {
                let begins = from + at * number(s, "d");
                let url = named("media").replace("$Number$", &count.to_string());
                paths.push(url.replace("$Time$", &begins.to_string()));
                count += 1;
                let middle = micros(begins + number(s, "d") / 2);
                assert!(middle >= start, "{middle} before its Period's start {start}");
                assert!(next.is_none_or(|next| middle <= next), "beyond its Period");
            }
            time = Some(from + (repeat + 1) * number(s, "d"));
        }
    }
}
