//! What an input's playlists say: which renditions there are, and which segment belongs to which.
//!
//! Names are lookup hints only. A segment belongs to the playlist that lists it, else to the
//! rendition whose names share its stem: ffmpeg sends segments before any playlist.

use crate::engine::playlist::{MediaPlaylist, Multivariant, RenditionKind, name_of_uri};
use crate::limits;
use crate::units::{MediaTime, WallClock};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// A rendition by its place in the source's multivariant playlist, which redundant encoders share
/// even where their file names differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RenditionKey {
    /// The n-th distinct URI of `EXT-X-STREAM-INF`.
    Variant(u16),
    /// The n-th `EXT-X-MEDIA` of type AUDIO that has a URI.
    Audio(u16),
    /// The n-th `EXT-X-MEDIA` of type SUBTITLES.
    Text(u16),
}

/// The multivariant playlist as far as the output needs it, or what stands in for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTop {
    /// Name of the multivariant playlist; `None` where media playlists stand alone.
    pub name: Option<String>,
    /// Renditions with a playlist of their own, in the source's order.
    pub renditions: Vec<Rendition>,
    /// Names and languages of audio that is muxed into variants, by audio group.
    pub muxed: Vec<Rendition>,
}

/// One rendition as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its place.
    pub key: RenditionKey,
    /// Name of its media playlist; empty for muxed ones.
    pub playlist: String,
    /// BANDWIDTH of the variant.
    pub bandwidth: Option<u64>,
    /// AVERAGE-BANDWIDTH of the variant.
    pub average_bandwidth: Option<u64>,
    /// FRAME-RATE of the variant in thousandths.
    pub frame_rate_milli: Option<u32>,
    /// The variant's AUDIO, or the rendition's GROUP-ID.
    pub group: Option<String>,
    /// LANGUAGE.
    pub language: Option<String>,
    /// NAME.
    pub label: Option<String>,
    /// DEFAULT.
    pub default: bool,
    /// AUTOSELECT.
    pub autoselect: bool,
    /// FORCED.
    pub forced: bool,
    /// CHARACTERISTICS.
    pub characteristics: Option<String>,
}

impl Rendition {
    fn bare(key: RenditionKey, playlist: &str) -> Self {
        Self {
            key,
            playlist: playlist.to_owned(),
            bandwidth: None,
            average_bandwidth: None,
            frame_rate_milli: None,
            group: None,
            language: None,
            label: None,
            default: false,
            autoselect: true,
            forced: false,
            characteristics: None,
        }
    }
}

impl SourceTop {
    /// Reads a multivariant playlist called `name`.
    #[must_use]
    pub fn from_multivariant(name: &str, list: &Multivariant) -> Self {
        let mut top = Self { name: Some(name.to_owned()), ..Self::default() };
        let (mut variants, mut audios, mut texts) = (0, 0, 0);
        for variant in &list.variants {
            let playlist = name_of_uri(&variant.uri);
            if top.renditions.iter().any(|known| known.playlist == playlist) {
                continue;
            }
            top.renditions.push(Rendition {
                bandwidth: variant.bandwidth,
                average_bandwidth: variant.average_bandwidth,
                frame_rate_milli: variant.frame_rate.as_deref().and_then(milli),
                group: variant.audio.clone(),
                ..Rendition::bare(RenditionKey::Variant(variants), playlist)
            });
            variants += 1;
        }
        for media in &list.renditions {
            let playlist = media.uri.as_deref().map_or("", name_of_uri);
            let key = match media.kind {
                RenditionKind::Audio => RenditionKey::Audio(audios),
                RenditionKind::Subtitles => RenditionKey::Text(texts),
                RenditionKind::Video | RenditionKind::ClosedCaptions => continue,
            };
            let rendition = Rendition {
                group: Some(media.group_id.clone()),
                language: media.language.clone(),
                label: Some(media.name.clone()),
                default: media.default,
                autoselect: media.autoselect,
                forced: media.forced,
                characteristics: media.characteristics.clone(),
                ..Rendition::bare(key, playlist)
            };
            if top.renditions.iter().any(|known| known.playlist == playlist) || playlist.is_empty()
            {
                top.muxed.push(rendition);
                continue;
            }
            match key {
                RenditionKey::Audio(_) => audios += 1,
                _ => texts += 1,
            }
            top.renditions.push(rendition);
        }
        top
    }

    /// Stands in for a multivariant playlist: each media playlist is a variant, by name.
    #[must_use]
    pub fn from_media_playlists<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let variants =
            names.zip(0..).map(|(name, at)| Rendition::bare(RenditionKey::Variant(at), name));
        Self { name: None, renditions: variants.collect(), muxed: Vec::new() }
    }

    /// The rendition with this key.
    #[must_use]
    pub fn rendition(&self, key: RenditionKey) -> Option<&Rendition> {
        self.renditions.iter().find(|rendition| rendition.key == key)
    }
}

/// What a media playlist says of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedName {
    /// Media playlist that lists it.
    pub playlist: String,
    /// Media sequence number there.
    pub sequence: u64,
    /// EXTINF.
    pub duration: MediaTime,
    /// PROGRAM-DATE-TIME, its own or carried on from an earlier segment's.
    pub program_date_time: Option<WallClock>,
    /// EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// Source time at which the body of that name began, once it was delivered.
    body: Option<MediaTime>,
}

/// An input's playlists, as far as they are remembered. Rebuilt from what the encoder sends on.
#[derive(Clone, Debug, Default)]
pub struct Playlists {
    lists: BTreeMap<String, KnownPlaylist>,
    /// Names of the newest bodies, and the source times at which they begin.
    bodies: VecDeque<(String, MediaTime)>,
    /// Playlists taken so far.
    taken: u64,
}

#[derive(Clone, Debug)]
struct KnownPlaylist {
    /// Which of all playlists it was.
    turn: u64,
    target: MediaTime,
    ended: bool,
    segments: BTreeMap<String, ListedName>,
}

impl Playlists {
    /// Takes a media playlist called `name` in place of its predecessor. Returns the names of
    /// segments before which it declares a discontinuity that its predecessor did not.
    ///
    /// Only the newest [`limits::PLAYLIST_NAME_COUNT_MAX`] segments are kept: older ones are
    /// listed already or too late to be. Where another playlist would be one too many
    /// ([`limits::PLAYLIST_COUNT_MAX`]), the one that was not renewed for longest is forgotten.
    pub fn on_media(&mut self, name: &str, list: &MediaPlaylist) -> Vec<String> {
        if !self.lists.contains_key(name) && self.lists.len() >= limits::PLAYLIST_COUNT_MAX {
            let oldest = self.lists.iter().min_by_key(|(_, list)| list.turn);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.lists.remove(&oldest);
            }
        }
        self.taken += 1;
        let skip = list.segments.len().saturating_sub(limits::PLAYLIST_NAME_COUNT_MAX);
        let numbered = list.segments.iter().zip(list.media_sequence..).skip(skip);
        let segments = numbered.map(|(segment, sequence)| {
            let listed = ListedName {
                playlist: name.to_owned(),
                sequence,
                duration: segment.duration,
                program_date_time: segment.date,
                discontinuity: segment.discontinuity,
                body: None,
            };
            (name_of_uri(&segment.uri).to_owned(), listed)
        });
        let mut segments: BTreeMap<_, _> = segments.collect();
        let before = self.lists.get(name);
        let mut declared = Vec::new();
        for (name, listed) in &mut segments {
            // The same entry speaks of the same body, a new one of the newest.
            let same = before.and_then(|list| list.segments.get(name));
            let same = same.filter(|it| ListedName { body: None, ..(*it).clone() } == *listed);
            listed.body = match same {
                Some(same) => same.body,
                None => self.body_called(name),
            };
            if listed.discontinuity && same.is_none() {
                declared.push(name.clone());
            }
        }
        let known = KnownPlaylist {
            turn: self.taken,
            target: MediaTime(i64::from(list.target_duration) * 90_000),
            ended: list.ended,
            segments,
        };
        self.lists.insert(name.to_owned(), known);
        declared
    }

    /// A body called `name` was delivered, whose media begins at source time `start`. Where an
    /// encoder began anew and uses its names again, what its old playlists say is of other media.
    pub fn on_body(&mut self, name: &str, start: MediaTime) {
        if self.bodies.len() == limits::PLAYLIST_NAME_COUNT_MAX {
            self.bodies.pop_front();
        }
        self.bodies.push_back((name.to_owned(), start));
        for list in self.lists.values_mut() {
            let Some(listed) = list.segments.get_mut(name) else { continue };
            let is_other = listed.body.is_some_and(|body| body != start);
            if is_other && listed.program_date_time.is_some() {
                list.segments.remove(name);
            } else {
                listed.body = Some(start);
            }
        }
    }

    /// Where the newest body of that name begins.
    fn body_called(&self, name: &str) -> Option<MediaTime> {
        self.bodies.iter().rfind(|(known, _)| known == name).map(|(_, start)| *start)
    }

    /// What is known of the segment called `name`.
    #[must_use]
    pub fn segment(&self, name: &str) -> Option<&ListedName> {
        self.lists.values().find_map(|list| list.segments.get(name))
    }

    /// The segment with media sequence number `sequence` in the playlist `playlist`.
    #[must_use]
    pub fn segment_at(&self, playlist: &str, sequence: u64) -> Option<&str> {
        let list = self.lists.get(playlist)?;
        let found = list.segments.iter().find(|(_, listed)| listed.sequence == sequence);
        found.map(|(name, _)| name.as_str())
    }

    /// True where EXT-X-DISCONTINUITY stands behind a listed segment.
    #[must_use]
    pub fn breaks_after(&self, listed: &ListedName) -> bool {
        let list = self.lists.get(&listed.playlist);
        let next = |it: &&ListedName| it.sequence == listed.sequence + 1;
        list.and_then(|list| list.segments.values().find(next)).is_some_and(|it| it.discontinuity)
    }

    /// True where a segment called `name` is the last of its playlist.
    #[must_use]
    pub fn ends_with(&self, name: &str) -> bool {
        let list = self.lists.values().find(|list| list.segments.contains_key(name));
        let last = list.and_then(|list| list.segments.iter().max_by_key(|(_, it)| it.sequence));
        last.is_some_and(|(last, _)| last == name)
    }

    /// Names of the media playlists, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lists.keys().map(String::as_str)
    }

    /// The largest EXT-X-TARGETDURATION.
    #[must_use]
    pub fn target(&self) -> Option<MediaTime> {
        self.lists.values().map(|list| list.target).max()
    }

    /// True where there are playlists and all of them end with ENDLIST.
    #[must_use]
    pub fn ended(&self) -> bool {
        !self.lists.is_empty() && self.lists.values().all(|list| list.ended)
    }

    /// Media arrived after ENDLIST: the encoder goes on.
    pub fn resume(&mut self) {
        self.lists.values_mut().for_each(|list| list.ended = false);
    }

    /// The rendition that the segment called `name` belongs to.
    #[must_use]
    pub fn rendition_of(&self, top: &SourceTop, name: &str) -> Option<RenditionKey> {
        let listing = self.segment(name).map(|listed| listed.playlist.as_str());
        if let Some(playlist) = listing {
            return top.renditions.iter().find(|known| known.playlist == playlist).map(|it| it.key);
        }
        let stem = stem_of(name);
        let shares = |playlist: &str| {
            let rest = stem.strip_prefix(stem_of(playlist))?;
            // `channel_1` must not claim `channel_10_0004`, nor `low` claim `lower_1`.
            let apart = rest.chars().next().is_none_or(|next| !next.is_alphabetic());
            apart.then_some(stem_of(playlist).len())
        };
        let named = top.renditions.iter().filter_map(|it| Some((shares(&it.playlist)?, it.key)));
        let longest = named.max_by_key(|&(length, key)| (length, std::cmp::Reverse(key)));
        // A single rendition needs no name to be told from others.
        match (longest, top.renditions.as_slice()) {
            (Some((_, key)), _) => Some(key),
            (None, [only]) => Some(only.key),
            (None, _) => None,
        }
    }
}

/// A decimal number of pictures per second in thousandths.
fn milli(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(part.parse().ok()?)
}

/// A name without its extension.
fn stem_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(playlists: &[&str]) -> SourceTop {
        SourceTop::from_media_playlists(playlists.iter().copied())
    }

    #[test]
    fn a_segment_belongs_to_the_longest_stem_it_shares() {
        let top = top(&["channel_1.m3u8", "channel_10.m3u8", "channel.m3u8"]);
        let playlists = Playlists::default();
        for (name, variant) in [
            ("channel_1_00042.ts", Some(0)),
            ("channel_100042.ts", Some(1)),
            ("channel_10_00042.ts", Some(1)),
            ("channel-00042.ts", Some(2)),
            ("channelhigh-00042.ts", None),
            ("other.ts", None),
        ] {
            let key = playlists.rendition_of(&top, name);
            assert_eq!(key, variant.map(RenditionKey::Variant), "{name}");
        }
    }

    #[test]
    fn the_playlist_that_was_not_renewed_for_longest_is_forgotten() {
        let list = |target_duration, ended| MediaPlaylist {
            target_duration,
            ended,
            ..MediaPlaylist::default()
        };
        let mut playlists = Playlists::default();
        playlists.on_media("kept.m3u8", &list(2, false));
        playlists.on_media("gone.m3u8", &list(60, false));
        for at in 2..limits::PLAYLIST_COUNT_MAX {
            playlists.on_media(&format!("{at}.m3u8"), &list(2, true));
        }
        playlists.on_media("kept.m3u8", &list(2, true));
        assert_eq!(playlists.target(), Some(MediaTime(60 * 90_000)));
        assert!(!playlists.ended());
        playlists.on_media("new.m3u8", &list(2, true));
        assert_eq!(playlists.names().count(), limits::PLAYLIST_COUNT_MAX);
        assert_eq!(playlists.target(), Some(MediaTime(2 * 90_000)));
        assert!(playlists.ended() && playlists.names().any(|name| name == "kept.m3u8"));
    }

    #[test]
    fn a_lone_rendition_takes_any_name() {
        let key = Playlists::default().rendition_of(&top(&["live.m3u8"]), "7.ts");
        assert_eq!(key, Some(RenditionKey::Variant(0)));
    }
}
