//! Programme points in the tags of a source's media playlists, in the four styles in use:
//! `EXT-X-CUE-OUT`/`EXT-X-CUE-IN` with `EXT-OATCLS-SCTE35`, `EXT-X-DATERANGE` with `SCTE35-OUT`,
//! `-IN` and `-CMD` (RFC 8216 §4.3.2.7), `EXT-X-SCTE35` (ANSI/SCTE 67), and
//! `EXT-X-SPLICEPOINT-SCTE35`.

use crate::engine::scte35::{from_base64, from_hex};
use crate::limits::{SPLICE_TAG_COUNT_MAX, SPLICE_TAG_LINES_SIZE_MAX};

/// What a tag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagMark {
    /// A message, and the date it belongs to where that is not the segment's beginning.
    Section {
        /// The section's bytes, which may be anything.
        section: Vec<u8>,
        /// START-DATE or END-DATE of a date range, verbatim.
        date: Option<String>,
    },
    /// A break begins, with its duration in 90 kHz ticks where that is told.
    Out(Option<u64>),
    /// The break ends.
    In,
}

/// Tags that speak of programme points; those that begin with one of these.
const NAMES: [&str; 7] = [
    "#EXT-X-CUE",
    "#EXT-OATCLS-SCTE35",
    "#EXT-X-DATERANGE",
    "#EXT-X-SCTE35",
    "#EXT-X-SPLICEPOINT-SCTE35",
    "#EXT-X-ASSET",
    "#EXT-X-BLACKOUT",
];

/// Those of `lines` that speak of programme points; none where they are too many or too long.
#[must_use]
pub fn of_interest(lines: &[String]) -> Vec<String> {
    let speaks = |line: &&String| NAMES.iter().any(|name| line.starts_with(name));
    let lines: Vec<String> = lines.iter().filter(speaks).cloned().collect();
    let size: usize = lines.iter().map(String::len).sum();
    let fits = lines.len() <= SPLICE_TAG_COUNT_MAX && size <= SPLICE_TAG_LINES_SIZE_MAX;
    if fits { lines } else { Vec::new() }
}

/// What the tags before a segment say. A cue beside a message is the same thing, said twice.
#[must_use]
pub fn read(lines: &[String]) -> Vec<TagMark> {
    let marks: Vec<TagMark> = lines.iter().flat_map(|line| read_tag(line)).collect();
    let told = marks.iter().any(|mark| matches!(mark, TagMark::Section { date: None, .. }));
    let counts = |mark: &TagMark| !told || matches!(mark, TagMark::Section { .. });
    marks.into_iter().filter(counts).collect()
}

fn read_tag(line: &str) -> Vec<TagMark> {
    let (tag, value) = line.split_once(':').unwrap_or((line, ""));
    let section = |section: Option<Vec<u8>>, date: Option<&str>| {
        let date = date.map(str::to_owned);
        section.map(|section| TagMark::Section { section, date })
    };
    match tag {
        "#EXT-OATCLS-SCTE35" | "#EXT-X-SPLICEPOINT-SCTE35" => {
            section(from_base64(value.trim()), None).into_iter().collect()
        }
        "#EXT-X-CUE-OUT" => {
            let message = attribute(value, "SCTE35").or_else(|| attribute(value, "CUE"));
            match message.and_then(from_base64) {
                Some(message) => section(Some(message), None).into_iter().collect(),
                None => vec![TagMark::Out(cue_duration(value))],
            }
        }
        "#EXT-X-CUE-IN" => vec![TagMark::In],
        "#EXT-X-SCTE35" => {
            // What goes on was told when it began.
            let goes_on = attribute(value, "CUE-OUT") == Some("CONT");
            let cue = attribute(value, "CUE").filter(|_| !goes_on);
            section(cue.and_then(from_base64), None).into_iter().collect()
        }
        "#EXT-X-DATERANGE" => {
            let of = |name: &str, date: &str| {
                section(from_hex(attribute(value, name)?), attribute(value, date))
            };
            let begins = of("SCTE35-OUT", "START-DATE").or_else(|| of("SCTE35-CMD", "START-DATE"));
            begins.into_iter().chain(of("SCTE35-IN", "END-DATE")).collect()
        }
        _ => Vec::new(),
    }
}

/// Seconds of `30`, `30.03`, `DURATION=30` or `Duration=30,…` in 90 kHz ticks.
fn cue_duration(value: &str) -> Option<u64> {
    let named = attribute(value, "DURATION").or_else(|| attribute(value, "Duration"));
    let text = named.unwrap_or(value).trim();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let (whole, part): (u64, u64) = (whole.parse().ok()?, part.parse().ok()?);
    // Longer than a day is no break.
    (whole < 86_400).then_some((whole * 1_000 + part) * 90)
}

/// The value of an attribute in a list of them, without its quotes.
fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    loop {
        let (key, value) = rest.split_once('=')?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                (value, after.strip_prefix(',').unwrap_or(after))
            }
            None => value.split_once(',').unwrap_or((value, "")),
        };
        if key.trim() == name {
            return Some(value.trim());
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(line: &str) -> Vec<TagMark> {
        read(&[line.to_owned()])
    }

    #[test]
    fn the_four_styles() {
        let section = |date: Option<&str>| TagMark::Section {
            section: b"abc".to_vec(),
            date: date.map(str::to_owned),
        };
        for (line, marks) in [
            ("#EXT-X-CUE-OUT:30.03", vec![TagMark::Out(Some(2_702_700))]),
            ("#EXT-X-CUE-OUT:DURATION=30", vec![TagMark::Out(Some(2_700_000))]),
            ("#EXT-X-CUE-OUT", vec![TagMark::Out(None)]),
            ("#EXT-X-CUE-OUT:soon", vec![TagMark::Out(None)]),
            ("#EXT-X-CUE-OUT-CONT:ElapsedTime=2,Duration=30,SCTE35=YWJj", vec![]),
            ("#EXT-X-CUE-IN", vec![TagMark::In]),
            ("#EXT-OATCLS-SCTE35:YWJj", vec![section(None)]),
            ("#EXT-X-SPLICEPOINT-SCTE35:YWJj", vec![section(None)]),
            ("#EXT-X-SCTE35:ID=\"1,2\",TYPE=0x34,CUE=\"YWJj\",CUE-OUT=YES", vec![section(None)]),
            ("#EXT-X-SCTE35:CUE=\"YWJj\",CUE-OUT=CONT", vec![]),
            (
                "#EXT-X-DATERANGE:ID=\"1\",START-DATE=\"then\",SCTE35-OUT=0x616263",
                vec![section(Some("then"))],
            ),
            (
                "#EXT-X-DATERANGE:ID=\"1\",START-DATE=\"then\",END-DATE=\"now\",SCTE35-IN=0x616263",
                vec![section(Some("now"))],
            ),
            ("#EXT-X-DATERANGE:ID=\"1\",START-DATE=\"then\",CLASS=\"x\"", vec![]),
            ("#EXT-X-ASSET:CAID=0x1", vec![]),
        ] {
            assert_eq!(read_one(line), marks, "{line}");
        }
    }

    #[test]
    fn a_cue_beside_its_message_is_said_once() {
        let lines = ["#EXT-OATCLS-SCTE35:YWJj", "#EXT-X-ASSET:CAID=1", "#EXT-X-CUE-OUT:30"];
        let lines = lines.map(str::to_owned);
        assert_eq!(read(&lines).len(), 1);
        assert_eq!(of_interest(&lines).len(), 3);
        assert!(of_interest(&["#EXT-X-KEY:METHOD=NONE".to_owned()]).is_empty());
        let many = vec!["#EXT-X-CUE-IN".to_owned(); SPLICE_TAG_COUNT_MAX + 1];
        assert!(of_interest(&many).is_empty());
    }
}
