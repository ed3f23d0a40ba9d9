//! Where a cue stands: its settings (W3C WebVTT §4.4) as a region of the picture.
//!
//! A cue without settings stands at the bottom. Settings that are not well formed are passed over,
//! as browsers do. A cue's own position is only known to who lays its lines out; here it is the
//! region that its lines grow from.

/// Hundredths of a percent of the picture's width or height.
type Share = u32;

/// All of it.
const WHOLE: Share = 10_000;
/// What is kept free at the top and at the bottom.
const MARGIN: Share = 500;
/// Lines that a picture has room for.
const LINE_COUNT: u32 = 15;

/// A region and how text lies in it. Shares are in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CueLayout {
    /// Left edge.
    pub x: Share,
    /// Upper edge.
    pub y: Share,
    /// Width.
    pub width: Share,
    /// Height.
    pub height: Share,
    /// Which edge lines grow from.
    pub display_align: DisplayAlign,
    /// How a line lies between the edges.
    pub text_align: TextAlign,
    /// Direction of lines.
    pub writing: Writing,
}

/// Where a region's lines begin, in the direction in which lines follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DisplayAlign {
    /// At the first edge.
    Before,
    /// In the middle.
    Center,
    /// At the last edge.
    After,
}

/// `align`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextAlign {
    /// By the writing's direction.
    Start,
    /// In the middle.
    #[default]
    Center,
    /// By the writing's direction.
    End,
    /// To the left.
    Left,
    /// To the right.
    Right,
}

/// `vertical`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writing {
    /// Lines are rows.
    #[default]
    Horizontal,
    /// Lines are columns, from right to left.
    RightToLeft,
    /// Lines are columns, from left to right.
    LeftToRight,
}

/// Which of its points a number places: of a line's box, or of the cue's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Start,
    Center,
    End,
}

enum Line {
    /// Counted from the first, or from the last as -1.
    Number(i32),
    Share(Share),
}

#[derive(Default)]
struct Settings {
    line: Option<Line>,
    line_anchor: Option<Anchor>,
    position: Option<Share>,
    position_anchor: Option<Anchor>,
    size: Option<Share>,
    align: TextAlign,
    writing: Writing,
}

impl CueLayout {
    /// The layout that a cue's settings ask for.
    #[must_use]
    pub fn parse(settings: &str) -> Self {
        let settings = Settings::parse(settings);
        let (along, length) = settings.along_lines();
        let (across, depth, display_align) = settings.across_lines();
        let (x, y, width, height) = match settings.writing {
            Writing::Horizontal => (along, across, length, depth),
            // Lines are counted from the right.
            Writing::RightToLeft => (WHOLE - across - depth, along, depth, length),
            Writing::LeftToRight => (across, along, depth, length),
        };
        let (text_align, writing) = (settings.align, settings.writing);
        Self { x, y, width, height, display_align, text_align, writing }
    }
}

impl Settings {
    fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        for (name, value) in text.split_ascii_whitespace().filter_map(|it| it.split_once(':')) {
            let (value, anchor) = match value.split_once(',') {
                Some((value, anchor)) => (value, parse_anchor(anchor)),
                None => (value, None),
            };
            match name {
                "line" => {
                    if let Some(line) = parse_line(value) {
                        (settings.line, settings.line_anchor) = (Some(line), anchor);
                    }
                }
                "position" => {
                    if let Some(position) = parse_share(value) {
                        (settings.position, settings.position_anchor) = (Some(position), anchor);
                    }
                }
                "size" => settings.size = parse_share(value).or(settings.size),
                "align" => settings.align = parse_align(value).unwrap_or(settings.align),
                "vertical" if value == "rl" => settings.writing = Writing::RightToLeft,
                "vertical" if value == "lr" => settings.writing = Writing::LeftToRight,
                _ => {}
            }
        }
        settings
    }

    /// Begin and length of the cue's box in the direction of its lines (§7.2, steps 1 to 9).
    fn along_lines(&self) -> (Share, Share) {
        let (by_align, anchor_by_align) = match self.align {
            TextAlign::Start | TextAlign::Left => (0, Anchor::Start),
            TextAlign::Center => (WHOLE / 2, Anchor::Center),
            TextAlign::End | TextAlign::Right => (WHOLE, Anchor::End),
        };
        let at = self.position.unwrap_or(by_align);
        let anchor = self.position_anchor.unwrap_or(anchor_by_align);
        let room = match anchor {
            Anchor::Start => WHOLE - at,
            Anchor::Center => 2 * at.min(WHOLE - at),
            Anchor::End => at,
        };
        let length = self.size.unwrap_or(WHOLE).min(room);
        let begin = match anchor {
            Anchor::Start => at,
            Anchor::Center => at - length / 2,
            Anchor::End => at - length,
        };
        (begin, length)
    }

    /// Begin and depth of the region across the lines, and the edge that they grow from.
    fn across_lines(&self) -> (Share, Share, DisplayAlign) {
        let (at, anchor) = match self.line {
            None => return (MARGIN, WHOLE - 2 * MARGIN, DisplayAlign::After),
            Some(Line::Number(line @ 0..)) => (lines(line.unsigned_abs()), Anchor::Start),
            Some(Line::Number(line)) => (WHOLE - lines(line.unsigned_abs() - 1), Anchor::End),
            Some(Line::Share(at)) => (at, self.line_anchor.unwrap_or(Anchor::Start)),
        };
        match anchor {
            Anchor::Start => (at, WHOLE - at, DisplayAlign::Before),
            Anchor::Center => {
                let depth = 2 * at.min(WHOLE - at);
                (at - depth / 2, depth, DisplayAlign::Center)
            }
            Anchor::End => (0, at, DisplayAlign::After),
        }
    }
}

/// So many lines, one less than fit at most.
fn lines(count: u32) -> Share {
    count.min(LINE_COUNT - 1) * WHOLE / LINE_COUNT
}

fn parse_line(value: &str) -> Option<Line> {
    match parse_share(value) {
        Some(share) => Some(Line::Share(share)),
        None => value.parse().ok().map(Line::Number),
    }
}

/// `50%` or `33.333%`, of which two decimals are kept.
fn parse_share(value: &str) -> Option<Share> {
    let (whole, decimals) = match value.strip_suffix('%')?.split_once('.') {
        Some((whole, decimals)) => (whole, decimals),
        None => (value.strip_suffix('%')?, ""),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let mut share: Share = whole.parse().ok()?;
    for at in 0..2 {
        let digit = decimals.as_bytes().get(at).map_or(0, |digit| Share::from(digit - b'0'));
        share = 10 * share + digit;
    }
    (share <= WHOLE).then_some(share)
}

fn parse_anchor(value: &str) -> Option<Anchor> {
    match value {
        "start" | "line-left" => Some(Anchor::Start),
        "center" => Some(Anchor::Center),
        "end" | "line-right" => Some(Anchor::End),
        _ => None,
    }
}

fn parse_align(value: &str) -> Option<TextAlign> {
    match value {
        "start" => Some(TextAlign::Start),
        // The older word of the two.
        "center" | "middle" => Some(TextAlign::Center),
        "end" => Some(TextAlign::End),
        "left" => Some(TextAlign::Left),
        "right" => Some(TextAlign::Right),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn settings_make_a_region() {
        use DisplayAlign::{After, Before, Center};
        for (settings, region, display_align) in [
            ("", (0, 500, 10_000, 9_000), After),
            ("nonsense line:x size:101% position:-5% align:up", (0, 500, 10_000, 9_000), After),
            ("line:0", (0, 0, 10_000, 10_000), Before),
            ("line:2", (0, 1_333, 10_000, 8_667), Before),
            ("line:-1", (0, 0, 10_000, 10_000), After),
            ("line:-3", (0, 0, 10_000, 8_667), After),
            ("line:999", (0, 9_333, 10_000, 667), Before),
            ("line:-2147483648", (0, 0, 10_000, 667), After),
            ("line:84.66%,end", (0, 0, 10_000, 8_466), After),
            ("line:25%,center", (0, 0, 10_000, 5_000), Center),
            ("line:10% size:35%", (3_250, 1_000, 3_500, 9_000), Before),
            ("position:20% size:60%", (0, 500, 4_000, 9_000), After),
            ("position:20%,line-left size:60%", (2_000, 500, 6_000, 9_000), After),
            ("align:start", (0, 500, 10_000, 9_000), After),
            ("align:end position:90%", (0, 500, 9_000, 9_000), After),
            ("vertical:rl", (500, 0, 9_000, 10_000), After),
            ("vertical:rl line:20%", (0, 0, 8_000, 10_000), Before),
            ("vertical:lr line:20% size:50%", (2_000, 2_500, 8_000, 5_000), Before),
        ] {
            let layout = CueLayout::parse(settings);
            let found = (layout.x, layout.y, layout.width, layout.height);
            assert_eq!((found, layout.display_align), (region, display_align), "{settings:?}");
        }
        assert_eq!(CueLayout::parse("align:left").text_align, TextAlign::Left);
        assert_eq!(CueLayout::parse("vertical:lr").writing, Writing::LeftToRight);
    }

    proptest! {
        #[test]
        fn a_region_is_in_the_picture(
            settings in "((line|position|size|vertical):[-0-9.]{0,5}%?(,(start|end))? ){0,4}",
        ) {
            let layout = CueLayout::parse(&settings);
            prop_assert!(layout.x + layout.width <= WHOLE);
            prop_assert!(layout.y + layout.height <= WHOLE);
        }
    }
}
