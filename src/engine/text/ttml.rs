//! Writes TTML documents of cues: the text profile of IMSC 1.0.1 (W3C) and EBU-TT-D 1.0.1 (EBU
//! Tech 3380), which it contains.
//!
//! Both are written alike, within what EBU-TT-D allows: styles and regions are defined in the head
//! and referred to, text stands in spans, times are those of a clock.

use super::layout::{CueLayout, DisplayAlign, TextAlign, Writing};
use super::markup::{Colour, Span, Style, parse_markup};
use super::visible::{TextPart, milliseconds, visible_cues};
use crate::engine::codec::TtmlProfile;
use crate::units::MediaTime;
use std::fmt::Write as _;

/// Behind text that asks for no background: black, a fifth of the picture seen through it.
const BACKGROUND: &str = "#000000cc";

/// What a document's times count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBase {
    /// Zero of the media timeline (ISO/IEC 14496-30 §5.2).
    Media,
    /// The document's own begin, as in Smooth Streaming.
    Segment,
}

/// What a document is written from.
#[derive(Clone, Copy, Debug)]
pub struct TtmlDocument<'a> {
    /// What it keeps to.
    pub profile: TtmlProfile,
    /// A BCP 47 tag.
    pub language: Option<&'a str>,
    /// What its times count from.
    pub time_base: TimeBase,
    /// Text of its part of the timeline, and perhaps of more.
    pub parts: &'a [TextPart<'a>],
    /// Where it begins.
    pub start: MediaTime,
    /// Where it ends: what is seen before or after is cut off.
    pub end: MediaTime,
}

/// A cue as it is written.
struct Paragraph {
    from: i64,
    to: i64,
    /// Index of its layout.
    region: usize,
    align: TextAlign,
    /// Each span with the index of its style.
    lines: Vec<Vec<(usize, Span)>>,
}

impl TtmlDocument<'_> {
    /// The document, in UTF-8.
    #[must_use]
    pub fn write(&self) -> String {
        let mut regions = vec![CueLayout::parse("")];
        let mut styles = vec![Style::default()];
        let paragraphs = self.paragraphs(&mut regions, &mut styles);
        let mut out = String::with_capacity(2048);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<tt");
        out.push_str(" xmlns=\"http://www.w3.org/ns/ttml\"");
        out.push_str(" xmlns:ttp=\"http://www.w3.org/ns/ttml#parameter\"");
        out.push_str(" xmlns:tts=\"http://www.w3.org/ns/ttml#styling\"");
        if self.profile == TtmlProfile::EbuTtD {
            out.push_str(" xmlns:ebuttm=\"urn:ebu:tt:metadata\"");
        }
        out.push_str(" xml:lang=\"");
        push_escaped(&mut out, self.language.unwrap_or_default());
        out.push_str("\" ttp:timeBase=\"media\" ttp:cellResolution=\"32 15\"");
        if self.profile == TtmlProfile::Imsc1 {
            out.push_str(" ttp:profile=\"http://www.w3.org/ns/ttml/profile/imsc1/text\"");
        }
        out.push_str(">\n<head>\n");
        if self.profile == TtmlProfile::EbuTtD {
            out.push_str("<metadata><ebuttm:documentMetadata><ebuttm:conformsToStandard>");
            out.push_str("urn:ebu:tt:distribution:2018-04");
            out.push_str("</ebuttm:conformsToStandard></ebuttm:documentMetadata></metadata>\n");
        }
        push_styling(&mut out, &styles, &paragraphs);
        push_layout(&mut out, &regions);
        out.push_str("</head>\n");
        push_body(&mut out, &paragraphs);
        out.push_str("</tt>\n");
        out
    }

    fn paragraphs(&self, regions: &mut Vec<CueLayout>, styles: &mut Vec<Style>) -> Vec<Paragraph> {
        let (start, end) = (milliseconds(self.start), milliseconds(self.end));
        let zero = match self.time_base {
            TimeBase::Media => 0,
            TimeBase::Segment => start,
        };
        let visible = visible_cues(self.parts, self.start, self.end).into_iter();
        let clipped = visible.map(|cue| (cue.from.max(start), cue.to.min(end), cue.cue));
        let written = clipped.filter(|(from, to, _)| from < to).map(|(from, to, cue)| {
            let layout = CueLayout::parse(&cue.settings);
            let lines = parse_markup(&cue.text).into_iter();
            let lines = lines.map(|spans| {
                let styled = |span: Span| (position_of(styles, span.style), span);
                spans.into_iter().map(styled).collect()
            });
            let lines = lines.collect();
            let region =
                position_of(regions, CueLayout { text_align: TextAlign::Center, ..layout });
            Paragraph { from: from - zero, to: to - zero, region, align: layout.text_align, lines }
        });
        written.collect()
    }
}

/// Where `value` is among the `known`, or has been put behind them.
fn position_of<T: PartialEq>(known: &mut Vec<T>, value: T) -> usize {
    known.iter().position(|it| *it == value).unwrap_or_else(|| {
        known.push(value);
        known.len() - 1
    })
}

fn push_styling(out: &mut String, styles: &[Style], paragraphs: &[Paragraph]) {
    out.push_str("<styling>\n<style xml:id=\"p\" tts:fontFamily=\"proportionalSansSerif\"");
    out.push_str(" tts:fontSize=\"80%\" tts:lineHeight=\"normal\"/>\n");
    let mut aligns: Vec<TextAlign> = paragraphs.iter().map(|paragraph| paragraph.align).collect();
    aligns.sort_unstable();
    aligns.dedup();
    for word in aligns.into_iter().map(align_word) {
        let _ = writeln!(out, "<style xml:id=\"{word}\" tts:textAlign=\"{word}\"/>");
    }
    for (at, style) in styles.iter().enumerate() {
        let _ = write!(out, "<style xml:id=\"s{at}\" tts:color=\"");
        push_colour(out, style.colour.unwrap_or(Colour([0xff; 3])));
        out.push_str("\" tts:backgroundColor=\"");
        match style.background {
            Some(colour) => push_colour(out, colour),
            None => out.push_str(BACKGROUND),
        }
        out.push('"');
        for (is_set, attribute) in [
            (style.italic, " tts:fontStyle=\"italic\""),
            (style.bold, " tts:fontWeight=\"bold\""),
            (style.underline, " tts:textDecoration=\"underline\""),
        ] {
            out.push_str(if is_set { attribute } else { "" });
        }
        out.push_str("/>\n");
    }
    out.push_str("</styling>\n");
}

fn push_layout(out: &mut String, regions: &[CueLayout]) {
    out.push_str("<layout>\n");
    for (at, region) in regions.iter().enumerate() {
        let _ = write!(out, "<region xml:id=\"r{at}\"");
        for (name, (a, b)) in
            [("origin", (region.x, region.y)), ("extent", (region.width, region.height))]
        {
            let _ = write!(out, " tts:{name}=\"");
            push_share(out, a);
            out.push(' ');
            push_share(out, b);
            out.push('"');
        }
        let display_align = match region.display_align {
            DisplayAlign::Before => "before",
            DisplayAlign::Center => "center",
            DisplayAlign::After => "after",
        };
        let _ = write!(out, " tts:displayAlign=\"{display_align}\"");
        out.push_str(match region.writing {
            Writing::Horizontal => "",
            Writing::RightToLeft => " tts:writingMode=\"tbrl\"",
            Writing::LeftToRight => " tts:writingMode=\"tblr\"",
        });
        out.push_str(" tts:overflow=\"visible\"/>\n");
    }
    out.push_str("</layout>\n");
}

fn push_body(out: &mut String, paragraphs: &[Paragraph]) {
    if paragraphs.is_empty() {
        out.push_str("<body/>\n");
        return;
    }
    out.push_str("<body>\n<div>\n");
    for (at, paragraph) in paragraphs.iter().enumerate() {
        let align = align_word(paragraph.align);
        let _ = write!(out, "<p xml:id=\"c{at}\" region=\"r{}\"", paragraph.region);
        let _ = write!(out, " style=\"p {align}\" begin=\"");
        push_clock(out, paragraph.from);
        out.push_str("\" end=\"");
        push_clock(out, paragraph.to);
        out.push_str("\">");
        for (at, line) in paragraph.lines.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { "<br/>" });
            for (style, span) in line {
                let _ = write!(out, "<span style=\"s{style}\">");
                push_escaped(out, &span.text);
                out.push_str("</span>");
            }
        }
        out.push_str("</p>\n");
    }
    out.push_str("</div>\n</body>\n");
}

const fn align_word(align: TextAlign) -> &'static str {
    match align {
        TextAlign::Start => "start",
        TextAlign::Center => "center",
        TextAlign::End => "end",
        TextAlign::Left => "left",
        TextAlign::Right => "right",
    }
}

fn push_colour(out: &mut String, Colour([red, green, blue]): Colour) {
    let _ = write!(out, "#{red:02x}{green:02x}{blue:02x}");
}

/// Hundredths of a percent: `33.33%`.
fn push_share(out: &mut String, share: u32) {
    let _ = match share % 100 {
        0 => write!(out, "{}%", share / 100),
        decimals => write!(out, "{}.{decimals:02}%", share / 100),
    };
}

/// Milliseconds as a clock's time (TTML §10.3.1), whose hours have as many digits as they need.
fn push_clock(out: &mut String, milliseconds: i64) {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let _ = write!(out, "{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}");
}

/// Character data and attribute values (XML 1.0 §2.2, §2.4), without what cannot stand in them.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::webvtt::{WebVtt, parse_webvtt};
    use proptest::prelude::*;

    fn document(content: &WebVtt, profile: TtmlProfile, time_base: TimeBase) -> String {
        let parts = [TextPart { content, local_zero: MediaTime(3_600 * 90_000) }];
        let (start, end) = (MediaTime(3_602 * 90_000), MediaTime(3_604 * 90_000));
        let language = Some("de");
        TtmlDocument { profile, language, time_base, parts: &parts, start, end }.write()
    }

    fn content(cues: &str) -> WebVtt {
        parse_webvtt(format!("WEBVTT\n\n{cues}").as_bytes()).expect("valid")
    }

    const CUES: &str = "00:01.500 --> 00:02.500\n<i>early</i> & \"late\"\n\n\
        00:03.000 --> 00:09.000 line:0 align:left position:10%\n<c.yellow>one</c>\ntwo\n\n\
        00:04.000 --> 00:05.000\nnot here\n";

    #[test]
    fn an_imsc_document_in_full() {
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <tt xmlns=\"http://www.w3.org/ns/ttml\" \
            xmlns:ttp=\"http://www.w3.org/ns/ttml#parameter\" \
            xmlns:tts=\"http://www.w3.org/ns/ttml#styling\" xml:lang=\"de\" \
            ttp:timeBase=\"media\" ttp:cellResolution=\"32 15\" \
            ttp:profile=\"http://www.w3.org/ns/ttml/profile/imsc1/text\">\n\
            <head>\n<styling>\n\
            <style xml:id=\"p\" tts:fontFamily=\"proportionalSansSerif\" tts:fontSize=\"80%\" \
            tts:lineHeight=\"normal\"/>\n\
            <style xml:id=\"center\" tts:textAlign=\"center\"/>\n\
            <style xml:id=\"left\" tts:textAlign=\"left\"/>\n\
            <style xml:id=\"s0\" tts:color=\"#ffffff\" tts:backgroundColor=\"#000000cc\"/>\n\
            <style xml:id=\"s1\" tts:color=\"#ffffff\" tts:backgroundColor=\"#000000cc\" \
            tts:fontStyle=\"italic\"/>\n\
            <style xml:id=\"s2\" tts:color=\"#ffff00\" tts:backgroundColor=\"#000000cc\"/>\n\
            </styling>\n<layout>\n\
            <region xml:id=\"r0\" tts:origin=\"0% 5%\" tts:extent=\"100% 90%\" \
            tts:displayAlign=\"after\" tts:overflow=\"visible\"/>\n\
            <region xml:id=\"r1\" tts:origin=\"10% 0%\" tts:extent=\"90% 100%\" \
            tts:displayAlign=\"before\" tts:overflow=\"visible\"/>\n\
            </layout>\n</head>\n<body>\n<div>\n\
            <p xml:id=\"c0\" region=\"r0\" style=\"p center\" begin=\"01:00:02.000\" \
            end=\"01:00:02.500\"><span style=\"s1\">early</span>\
            <span style=\"s0\"> &amp; &quot;late&quot;</span></p>\n\
            <p xml:id=\"c1\" region=\"r1\" style=\"p left\" begin=\"01:00:03.000\" \
            end=\"01:00:04.000\"><span style=\"s2\">one</span><br/>\
            <span style=\"s0\">two</span></p>\n\
            </div>\n</body>\n</tt>\n";
        assert_eq!(document(&content(CUES), TtmlProfile::Imsc1, TimeBase::Media), expected);
    }

    #[test]
    fn ebu_tt_d_says_what_it_is_and_a_fragment_counts_from_its_begin() {
        let written = document(&content(CUES), TtmlProfile::EbuTtD, TimeBase::Segment);
        assert!(written.contains("<ebuttm:conformsToStandard>urn:ebu:tt:distribution:2018-04<"));
        assert!(!written.contains("ttp:profile"));
        assert!(written.contains("begin=\"00:00:00.000\" end=\"00:00:00.500\""), "{written}");
        assert!(written.contains("begin=\"00:00:01.000\" end=\"00:00:02.000\""), "{written}");
        let empty = document(&WebVtt::default(), TtmlProfile::Imsc1, TimeBase::Media);
        assert!(empty.contains("</head>\n<body/>\n</tt>"), "{empty}");
    }

    proptest! {
        /// No text of a stranger's ends an element or an attribute.
        #[test]
        fn tags_are_balanced(text in "[<>&\"'/ibc.#;é\u{b}\n-]{0,40}", settings in "\\PC{0,20}") {
            let cue = crate::engine::webvtt::Cue {
                identifier: String::new(), start_ms: 2_100, end_ms: 2_900, settings, text,
            };
            let content = WebVtt { cues: vec![cue], ..WebVtt::default() };
            let written = document(&content, TtmlProfile::EbuTtD, TimeBase::Media);
            let body = written.split("<div>").nth(1).expect("a cue is seen");
            let count = |what: &str| body.matches(what).count();
            prop_assert_eq!(count("<span style=\"s"), count("</span>"));
            prop_assert_eq!(count("<p "), 1);
            prop_assert_eq!(
                count("<"),
                2 * count("</span>") + count("<br/>") + 2 * count("</p>") + 3
            );
        }
    }
}
