//! The expression of `aws.manifestfilter`: `key:value,value;key:low-high`. Terms are joined by AND,
//! values by OR. Each key judges tracks of one kind and lets the others through.
//!
//! The trick-play keys are read and judge nothing where an endpoint has no such tracks.

use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::presentation::TrackInfo;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// Which tracks a manifest is to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    terms: BTreeMap<Key, Values>,
}

/// Why an expression is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A term without a known key.
    #[error("expected a known key at byte {offset}")]
    Key {
        /// Where the term begins.
        offset: usize,
    },
    /// A key that came before.
    #[error("a key given again at byte {offset}")]
    Repeated {
        /// Where the term begins.
        offset: usize,
    },
    /// A value that the key does not take.
    #[error("a value that {key} does not take in the term at byte {offset}")]
    Value {
        /// The key.
        key: &'static str,
        /// Where the term begins.
        offset: usize,
    },
}

/// The values of a key, any of which is right.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Values {
    /// In lower case, ascending.
    Words(Vec<String>),
    /// Ascending by their ends.
    Ranges(Vec<RangeInclusive<u64>>),
}

/// What a key takes.
enum Kind {
    Text,
    Choice(&'static [&'static str]),
    Number(RangeInclusive<u64>),
    /// Thousandths.
    Fraction(RangeInclusive<u64>),
}

macro_rules! keys {
    ($($variant:ident $name:literal $kind:expr,)*) => {
        /// A property of tracks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        enum Key {
            $($variant,)*
        }

        impl Key {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => $kind,)*
                }
            }
        }
    };
}

/// The largest number there is.
const INT_MAX: u64 = 2_147_483_647;

keys! {
    AudioBitrate "audio_bitrate" Kind::Number(0..=INT_MAX),
    AudioChannels "audio_channels" Kind::Number(1..=32_767),
    AudioCodec "audio_codec" Kind::Choice(&["aacl", "aach", "ac-3", "ec-3"]),
    AudioLanguage "audio_language" Kind::Text,
    AudioSampleRate "audio_sample_rate" Kind::Number(0..=INT_MAX),
    SubtitleLanguage "subtitle_language" Kind::Text,
    TrickplayHeight "trickplay_height" Kind::Number(1..=INT_MAX),
    TrickplayType "trickplay_type" Kind::Choice(&["iframe", "image", "none"]),
    VideoBitrate "video_bitrate" Kind::Number(0..=INT_MAX),
    VideoCodec "video_codec" Kind::Choice(&["h264", "h265", "av1"]),
    VideoDynamicRange "video_dynamic_range" Kind::Choice(&["hdr10", "hlg", "sdr", "dv"]),
    VideoFramerate "video_framerate" Kind::Fraction(1_000..=999_999),
    VideoHeight "video_height" Kind::Number(1..=32_767),
}

impl Filter {
    /// All tracks.
    pub const ALL: Self = Self { terms: BTreeMap::new() };

    /// Reads an expression, in any case.
    ///
    /// # Errors
    ///
    /// [`FilterError`] names the term that is not as it should be.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut terms = BTreeMap::new();
        let mut offset = 0;
        for term in text.split(';') {
            let (name, values) = term.split_once(':').ok_or(FilterError::Key { offset })?;
            let mut keys = Key::ALL.iter().copied();
            let key = keys.find(|key| key.name().eq_ignore_ascii_case(name));
            let key = key.ok_or(FilterError::Key { offset })?;
            let refused = FilterError::Value { key: key.name(), offset };
            let values = key.kind().values(values).ok_or(refused)?;
            if terms.insert(key, values).is_some() {
                return Err(FilterError::Repeated { offset });
            }
            offset += term.len() + 1;
        }
        Ok(Self { terms })
    }

    /// True where all tracks are wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// True where the track is wanted.
    #[must_use]
    pub fn allows(&self, track: &TrackInfo) -> bool {
        self.terms.iter().all(|(key, values)| {
            key.judges(track.kind).is_none_or(|property| values.hold(&property(track)))
        })
    }
}

/// What a track has for a key.
enum Property {
    Word(Option<String>),
    Number(Option<u64>),
}

impl Key {
    /// How this key looks at tracks of `kind`; `None` where it says nothing of them.
    fn judges(self, kind: TrackKind) -> Option<fn(&TrackInfo) -> Property> {
        let language: fn(&TrackInfo) -> Property =
            |track| Property::Word(track.language.as_ref().map(|tag| tag.to_lowercase()));
        let bitrate: fn(&TrackInfo) -> Property = |track| Property::Number(Some(track.bandwidth));
        let (of, property): (TrackKind, fn(&TrackInfo) -> Property) = match self {
            Self::AudioBitrate => (TrackKind::Audio, bitrate),
            Self::AudioLanguage => (TrackKind::Audio, language),
            Self::SubtitleLanguage => (TrackKind::Text, language),
            Self::VideoBitrate => (TrackKind::Video, bitrate),
            Self::AudioChannels => {
                (TrackKind::Audio, |track| Property::Number(track.config.channels().map(u64::from)))
            }
            Self::AudioSampleRate => (TrackKind::Audio, |track| {
                Property::Number(Some(track.config.timescale().per_second().into()))
            }),
            Self::AudioCodec | Self::VideoCodec => {
                let kind =
                    if self == Self::AudioCodec { TrackKind::Audio } else { TrackKind::Video };
                (kind, |track| Property::Word(codec(&track.config)))
            }
            Self::VideoDynamicRange => (TrackKind::Video, |track| {
                Property::Word(Some(dynamic_range(&track.config).to_owned()))
            }),
            Self::VideoFramerate => (TrackKind::Video, |track| {
                Property::Number(frame_rate_thousandths(track.frame_rate))
            }),
            Self::VideoHeight => (TrackKind::Video, |track| {
                Property::Number(track.config.resolution().map(|(_, height)| height.into()))
            }),
            Self::TrickplayHeight | Self::TrickplayType => return None,
        };
        (of == kind).then_some(property)
    }
}

impl Kind {
    fn values(&self, text: &str) -> Option<Values> {
        let values = text.split(',');
        match self {
            Self::Text | Self::Choice(_) => {
                let words = values.map(str::to_lowercase).map(|word| {
                    let known = match self {
                        Self::Choice(words) => words.contains(&word.as_str()),
                        _ => !word.is_empty() && !word.contains(':'),
                    };
                    known.then_some(word)
                });
                let mut words: Vec<String> = words.collect::<Option<_>>()?;
                words.sort_unstable();
                words.dedup();
                Some(Values::Words(words))
            }
            Self::Number(bounds) => ranges(values, bounds, integer),
            Self::Fraction(bounds) => ranges(values, bounds, thousandths),
        }
    }
}

fn ranges<'a>(
    values: impl Iterator<Item = &'a str>,
    bounds: &RangeInclusive<u64>,
    number: fn(&str) -> Option<u64>,
) -> Option<Values> {
    let ranges = values.map(|value| {
        let (low, high) = value.split_once('-').unwrap_or((value, value));
        let (low, high) = (number(low)?, number(high)?);
        (low <= high && bounds.contains(&low) && bounds.contains(&high)).then_some(low..=high)
    });
    let mut ranges: Vec<RangeInclusive<u64>> = ranges.collect::<Option<_>>()?;
    ranges.sort_unstable_by_key(|range| (*range.start(), *range.end()));
    ranges.dedup();
    Some(Values::Ranges(ranges))
}

fn integer(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Thousandths of a number with at most three decimals.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let whole = integer(whole)?.checked_mul(1000)?;
    let scale = match decimals.len() {
        1 => 100,
        2 => 10,
        3 => 1,
        _ => return None,
    };
    whole.checked_add(integer(decimals)? * scale)
}

impl Values {
    fn hold(&self, property: &Property) -> bool {
        match (self, property) {
            (Self::Words(words), Property::Word(Some(word))) => words.contains(word),
            (Self::Ranges(ranges), Property::Number(Some(number))) => {
                ranges.iter().any(|range| range.contains(number))
            }
            _ => false,
        }
    }
}

fn codec(config: &CodecConfig) -> Option<String> {
    let word = match config {
        CodecConfig::Avc(_) => "h264",
        CodecConfig::Hevc(_) => "h265",
        // Spectral band replication, with or without parametric stereo, is high efficiency.
        CodecConfig::Aac(aac) if matches!(aac.object_type, 5 | 29) => "aach",
        CodecConfig::Aac(_) => "aacl",
        CodecConfig::Ac3(_) => "ac-3",
        CodecConfig::Eac3(_) => "ec-3",
        CodecConfig::WebVtt | CodecConfig::Ttml(_) => return None,
    };
    Some(word.to_owned())
}

/// By the transfer characteristics (ISO/IEC 23091-2 §8.2): perceptual quantisation, hybrid
/// log-gamma.
fn dynamic_range(config: &CodecConfig) -> &'static str {
    let (CodecConfig::Avc(video) | CodecConfig::Hevc(video)) = config else { return "sdr" };
    match video.colour {
        Some((_, 16, _, _)) => "hdr10",
        Some((_, 18, _, _)) => "hlg",
        _ => "sdr",
    }
}

/// Rounded to the nearest, so that 29.97 is what it is called.
fn frame_rate_thousandths((numerator, denominator): (u32, u32)) -> Option<u64> {
    let (numerator, denominator) = (u64::from(numerator), u64::from(denominator));
    (numerator * 2000 + denominator).checked_div(2 * denominator)
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, values) in &self.terms {
            write!(f, "{}:{values:?};", key.name())?;
        }
        Ok(())
    }
}
