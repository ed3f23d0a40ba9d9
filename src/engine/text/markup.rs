//! What the text of a cue looks like: lines of spans (W3C WebVTT §4.2.2, §6.4, §6.5).
//!
//! Italics, bold, underlining and the default colour classes (§5.1) make a span's style. Voices,
//! languages and ruby keep their text alone, and timestamps inside a cue are passed over, as are
//! tags that nobody knows.

use std::borrow::Cow;

/// How a span is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Style {
    /// `<i>`.
    pub italic: bool,
    /// `<b>`.
    pub bold: bool,
    /// `<u>`.
    pub underline: bool,
    /// A class like `yellow`.
    pub colour: Option<Colour>,
    /// A class like `bg_blue`.
    pub background: Option<Colour>,
}

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Colour(pub [u8; 3]);

/// Text of one style, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Characters, freed of escapes.
    pub text: String,
    /// How they are drawn.
    pub style: Style,
}

/// W3C WebVTT §5.1.
const COLOURS: [(&str, Colour); 8] = [
    ("white", Colour([0xff, 0xff, 0xff])),
    ("lime", Colour([0x00, 0xff, 0x00])),
    ("cyan", Colour([0x00, 0xff, 0xff])),
    ("red", Colour([0xff, 0x00, 0x00])),
    ("yellow", Colour([0xff, 0xff, 0x00])),
    ("magenta", Colour([0xff, 0x00, 0xff])),
    ("blue", Colour([0x00, 0x00, 0xff])),
    ("black", Colour([0x00, 0x00, 0x00])),
];

/// Escapes that cue text may have by its syntax, and the two others of XML.
const ESCAPES: [(&str, char); 8] = [
    ("amp;", '&'),
    ("lt;", '<'),
    ("gt;", '>'),
    ("lrm;", '\u{200e}'),
    ("rlm;", '\u{200f}'),
    ("nbsp;", '\u{a0}'),
    ("quot;", '"'),
    ("apos;", '\''),
];

/// The lines of a cue's text, each a row of spans, which is empty for an empty line.
#[must_use]
pub fn parse_markup(text: &str) -> Vec<Vec<Span>> {
    let mut lines = vec![Vec::new()];
    let mut style = Style::default();
    // The tags that are open, each with the style around it.
    let mut open: Vec<(&str, Style)> = Vec::new();
    for token in tokens(text) {
        match token {
            Token::Text(text) => {
                for (at, line) in text.split('\n').enumerate() {
                    if at > 0 {
                        lines.push(Vec::new());
                    }
                    if let Some(spans) = lines.last_mut() {
                        append(spans, line, style);
                    }
                }
            }
            Token::Tag(tag) => {
                if let Some(name) = tag.strip_prefix('/') {
                    if let Some(&(_, around)) = open.last().filter(|(known, _)| *known == name) {
                        style = around;
                        open.pop();
                    }
                    continue;
                }
                // Classes follow dots, an annotation a space.
                let tag = tag.split([' ', '\t', '\n']).next().unwrap_or_default();
                let mut parts = tag.split('.');
                let name = parts.next().unwrap_or_default();
                if matches!(name, "b" | "c" | "i" | "lang" | "rt" | "ruby" | "u" | "v") {
                    open.push((name, style));
                    style = styled(style, name, parts);
                }
            }
        }
    }
    lines
}

/// `text` without timestamps inside: they count from where cues do in its source alone.
#[must_use]
pub fn without_timestamps(text: &str) -> Cow<'_, str> {
    let is_timestamp =
        |tag: &str| tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains(':');
    if !tokens(text).any(|token| matches!(token, Token::Tag(tag) if is_timestamp(tag))) {
        return Cow::Borrowed(text);
    }
    let kept = tokens(text).map(|token| match token {
        Token::Text(text) => text.to_owned(),
        Token::Tag(tag) if is_timestamp(tag) => String::new(),
        Token::Tag(tag) => format!("<{tag}>"),
    });
    Cow::Owned(kept.collect())
}

enum Token<'t> {
    Text(&'t str),
    /// What stands between `<` and `>`, or the text's end.
    Tag(&'t str),
}

fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(tag) = rest.strip_prefix('<') {
            let (tag, after) = tag.split_once('>').unwrap_or((tag, ""));
            rest = after;
            return Some(Token::Tag(tag));
        }
        let (text, after) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        rest = after;
        Some(Token::Text(text))
    })
}

fn styled<'t>(style: Style, name: &str, classes: impl Iterator<Item = &'t str>) -> Style {
    let mut style = style;
    style.italic |= name == "i";
    style.bold |= name == "b";
    style.underline |= name == "u";
    for class in classes {
        let (class, is_background) = match class.strip_prefix("bg_") {
            Some(class) => (class, true),
            None => (class, false),
        };
        let Some(&(_, colour)) = COLOURS.iter().find(|(name, _)| *name == class) else { continue };
        *(if is_background { &mut style.background } else { &mut style.colour }) = Some(colour);
    }
    style
}

fn append(spans: &mut Vec<Span>, text: &str, style: Style) {
    if text.is_empty() {
        return;
    }
    match spans.last_mut() {
        Some(last) if last.style == style => push_unescaped(&mut last.text, text),
        _ => {
            let mut span = Span { text: String::new(), style };
            push_unescaped(&mut span.text, text);
            spans.push(span);
        }
    }
}

fn push_unescaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let named = ESCAPES.iter().find_map(|(name, c)| Some((*c, after.strip_prefix(name)?)));
        if let Some((c, after)) = named.or_else(|| numbered(after)) {
            out.push(c);
            rest = after;
        } else {
            out.push('&');
            rest = after;
        }
    }
    out.push_str(rest);
}

/// `#233;` or `#xe9;`, which is what follows an ampersand, and what is behind it.
fn numbered(text: &str) -> Option<(char, &str)> {
    let (number, after) = text.strip_prefix('#')?.split_once(';')?;
    let value = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((char::from_u32(value)?, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    fn drawn(text: &str) -> String {
        let span = |span: &Span| {
            let Style { italic, bold, underline, colour, background } = span.style;
            let mut marks = String::new();
            for (mark, is_set) in [('i', italic), ('b', bold), ('u', underline)] {
                marks.extend(is_set.then_some(mark));
            }
            for (mark, colour) in [('#', colour), ('@', background)] {
                if let Some(Colour([r, g, b])) = colour {
                    let _ = write!(marks, "{mark}{r:02x}{g:02x}{b:02x}");
                }
            }
            format!("[{marks}|{}]", span.text)
        };
        let lines = parse_markup(text);
        let lines: Vec<String> = lines.iter().map(|line| line.iter().map(span).collect()).collect();
        lines.join("/")
    }

    #[test]
    fn styles_nest_and_lines_break() {
        for (text, expected) in [
            ("plain", "[|plain]"),
            ("", ""),
            ("one\n\ntwo", "[|one]//[|two]"),
            ("a <i>b <b>c</b></i> d", "[|a ][i|b ][ib|c][| d]"),
            ("<i>over\nlines</i>", "[i|over]/[i|lines]"),
            ("<c.yellow.bg_blue>x</c><c.loud>y</c>", "[#ffff00@0000ff|x][|y]"),
            ("<v.cyan Dr. Who>x</v> y", "[#00ffff|x][| y]"),
            ("<lang en-GB><u>x</u></lang>", "[u|x]"),
            ("<ruby>a<rt>b</rt></ruby>", "[|ab]"),
            ("<i>not closed </b>here", "[i|not closed here]"),
            ("a<00:00:01.000>b<blink>c</blink>", "[|abc]"),
            (
                "1 &lt; 2 &amp;&amp; 3 &gt; 2&nbsp;&#233;&#xE9; &wrong; &",
                "[|1 < 2 && 3 > 2\u{a0}éé &wrong; &]",
            ),
            ("ends in <i", "[|ends in ]"),
        ] {
            assert_eq!(drawn(text), expected, "{text:?}");
        }
    }

    #[test]
    fn timestamps_go_and_nothing_else() {
        for (text, expected) in [
            ("<v A>x <i>y</i> &amp; <3", "<v A>x <i>y</i> &amp; <3"),
            ("a <00:01.000>b <00:00:02.000><i>c</i>", "a b <i>c</i>"),
        ] {
            assert_eq!(without_timestamps(text), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_has_its_lines(text in "[<>/a-c.&;#0-9 \n]{0,60}") {
            let count = tokens(&text).map(|token| match token {
                Token::Text(text) => text.matches('\n').count(),
                Token::Tag(_) => 0,
            });
            prop_assert_eq!(parse_markup(&text).len(), 1 + count.sum::<usize>());
        }
    }
}
