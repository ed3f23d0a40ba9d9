//! HLS multivariant playlists (RFC 8216 §4.3.4).
//!
//! Audio is grouped by the source's group and by codec, so that a player without one of the codecs
//! still finds variants it can play. In a transport stream endpoint the first audio track of a
//! variant is muxed with it and stands in its group without a URI (RFC 8216 §4.3.4.2.1).

use super::ladder::Ladder;
use super::text::{push_integer, push_quoted, push_thousandths};
use super::view::View;
use super::{Absent, HlsList};
use crate::engine::codec::TrackKind;
use crate::engine::endpoint::Package;
use crate::engine::presentation::{Track, TrackInfo};
use crate::units::TrackId;

/// GROUP-ID of subtitles.
const SUBTITLES: &str = "subtitles";

/// What media playlists are called.
struct Playlists<'a> {
    /// Begins their names.
    name: &'a str,
    /// Follows them.
    query: &'a str,
}

/// Audio tracks that a variant can choose from.
struct AudioGroup<'a> {
    id: String,
    codec: String,
    tracks: Vec<&'a Track>,
}

/// A line of the ladder.
struct Variant<'a> {
    main: &'a TrackInfo,
    muxed: Option<&'a TrackInfo>,
    group: Option<&'a AudioGroup<'a>>,
}

pub(super) fn render(view: &View<'_>, list: &HlsList<'_>) -> Result<String, Absent> {
    let ladder = Ladder::of(view, list.window_seconds)?.without_stopped(view);
    let (mains, groups, muxed): (_, _, Vec<TrackId>) = if ladder.videos.is_empty() {
        let (mains, groups) = split_languages(&ladder.audios);
        let in_itself = mains.iter().map(|main| main.info.id).collect();
        (mains, groups, in_itself)
    } else {
        let mains = ladder.videos.clone();
        let muxed = mains.iter().filter_map(|main| view.muxed_audio(main));
        let muxed = muxed.map(|audio| audio.info.id).collect();
        (mains, group_by_codec(&ladder.audios), muxed)
    };

    let query = view.request.media_playlist_query();
    let list = &Playlists { name: list.name, query: &query };
    let mut out = String::with_capacity(4096);
    out.push_str("#EXTM3U\n#EXT-X-VERSION:");
    out.push_str(if matches!(view.endpoint.package, Package::Hls(_)) { "4" } else { "6" });
    out.push_str("\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for group in groups.iter().filter(|group| is_choice(group, &muxed)) {
        push_renditions(&mut out, list, "AUDIO", &group.id, &group.tracks, &muxed);
    }
    push_renditions(&mut out, list, "SUBTITLES", SUBTITLES, &ladder.texts, &[]);
    for variant in variants(view, &mains, &groups) {
        let choice = variant.group.filter(|group| is_choice(group, &muxed));
        push_variant(&mut out, list, &Variant { group: choice, ..variant }, &muxed, &ladder);
    }
    Ok(out)
}

/// Each main track with each group it may be played with, the first group's variants first.
fn variants<'a>(
    view: &View<'a>,
    mains: &[&'a Track],
    groups: &'a [AudioGroup<'a>],
) -> Vec<Variant<'a>> {
    let mut variants = Vec::with_capacity(mains.len() * groups.len().max(1));
    let muxed = |main: &Track| view.muxed_audio(main).map(|audio| &*audio.info);
    for group in groups {
        let belongs = |main: &Track| {
            let mut own = view.audio_of(main);
            main.info.kind == TrackKind::Audio
                || own.any(|audio| group.tracks.iter().any(|one| one.info.id == audio.info.id))
        };
        let of_group = mains.iter().filter(|main| belongs(main));
        variants.extend(of_group.map(|main| Variant {
            main: &main.info,
            muxed: muxed(main),
            group: Some(group),
        }));
    }
    for main in mains {
        if !variants.iter().any(|variant| variant.main.id == main.info.id) {
            variants.push(Variant { main: &main.info, muxed: muxed(main), group: None });
        }
    }
    variants
}

/// True where a group has to be written: it has more to offer than what is in the variant anyway.
fn is_choice(group: &AudioGroup<'_>, muxed: &[TrackId]) -> bool {
    group.tracks.len() > 1 || group.tracks.iter().any(|track| !muxed.contains(&track.info.id))
}

fn group_by_codec<'a>(audios: &[&'a Track]) -> Vec<AudioGroup<'a>> {
    let mut groups: Vec<AudioGroup<'a>> = Vec::new();
    for &track in audios {
        let codec = track.info.config.rfc6381();
        let same = |group: &&mut AudioGroup<'_>| {
            group.codec == codec
                && group.tracks.iter().all(|other| other.info.audio_group == track.info.audio_group)
        };
        if let Some(group) = groups.iter_mut().find(same) {
            group.tracks.push(track);
        } else {
            let id = format!("audio{}", groups.len() + 1);
            groups.push(AudioGroup { id, codec, tracks: vec![track] });
        }
    }
    groups
}

/// A channel of sound alone: bit rates of the first language are variants, other languages are
/// their alternatives.
fn split_languages<'a>(audios: &[&'a Track]) -> (Vec<&'a Track>, Vec<AudioGroup<'a>>) {
    let language = audios.first().and_then(|track| track.info.language.as_ref());
    let (mains, others): (Vec<_>, Vec<_>) =
        audios.iter().copied().partition(|track| track.info.language.as_ref() == language);
    let mut groups = Vec::new();
    if let (Some(&main), Some(other)) = (mains.first(), others.first()) {
        let codec = other.info.config.rfc6381();
        let tracks = std::iter::once(main).chain(others.iter().copied()).collect();
        groups.push(AudioGroup { id: "audio1".to_owned(), codec, tracks });
    }
    (mains, groups)
}

fn push_renditions(
    out: &mut String,
    list: &Playlists<'_>,
    kind: &str,
    group: &str,
    tracks: &[&Track],
    muxed: &[TrackId],
) {
    let declared = tracks.iter().position(|track| track.info.default);
    // Somebody has to be heard; subtitles stay off unless the source says otherwise.
    let default = if kind == "AUDIO" { declared.or(Some(0)) } else { declared };
    let mut names: Vec<String> = Vec::with_capacity(tracks.len());
    for (at, track) in tracks.iter().enumerate() {
        let info = &track.info;
        out.push_str("#EXT-X-MEDIA:TYPE=");
        out.push_str(kind);
        out.push_str(",GROUP-ID=");
        push_quoted(out, group);
        out.push_str(",NAME=");
        push_quoted(out, &unique_name(info, &mut names));
        if let Some(language) = &info.language {
            out.push_str(",LANGUAGE=");
            push_quoted(out, language);
        }
        let default = default == Some(at);
        out.push_str(if default { ",DEFAULT=YES" } else { ",DEFAULT=NO" });
        let autoselect = default || info.autoselect || kind == "AUDIO";
        out.push_str(if autoselect { ",AUTOSELECT=YES" } else { ",AUTOSELECT=NO" });
        if kind == "SUBTITLES" {
            out.push_str(if info.forced { ",FORCED=YES" } else { ",FORCED=NO" });
        }
        if let Some(characteristics) = &info.characteristics {
            out.push_str(",CHARACTERISTICS=");
            push_quoted(out, characteristics);
        }
        if let Some(channels) = info.config.channels() {
            out.push_str(",CHANNELS=\"");
            push_integer(out, channels);
            out.push('"');
        }
        if !muxed.contains(&info.id) {
            out.push_str(",URI=");
            push_quoted(out, &media_playlist(list, info));
        }
        out.push('\n');
    }
}

/// NAME must differ within a group (RFC 8216 §4.3.4.1.1).
fn unique_name(info: &TrackInfo, names: &mut Vec<String>) -> String {
    let label = info.label.as_ref().or(info.language.as_ref()).unwrap_or(&info.name);
    let name =
        if names.contains(label) { format!("{label} ({})", info.name) } else { label.clone() };
    names.push(name.clone());
    name
}

fn push_variant(
    out: &mut String,
    list: &Playlists<'_>,
    variant: &Variant<'_>,
    muxed: &[TrackId],
    ladder: &Ladder<'_>,
) {
    let main = variant.main;
    let alternatives = || {
        let tracks = variant.group.map_or(&[][..], |group| &group.tracks);
        tracks.iter().map(|track| &*track.info).filter(|info| !muxed.contains(&info.id))
    };
    let share = |of: fn(&TrackInfo) -> u64| {
        let alternative = alternatives().map(of).max().unwrap_or(0);
        of(main) + variant.muxed.map_or(0, of) + alternative
    };
    out.push_str("#EXT-X-STREAM-INF:BANDWIDTH=");
    push_integer(out, share(|info| info.bandwidth));
    out.push_str(",AVERAGE-BANDWIDTH=");
    push_integer(out, share(|info| info.average_bandwidth));

    let mut codecs = vec![main.config.rfc6381()];
    for info in variant.muxed.into_iter().chain(alternatives()) {
        let codec = info.config.rfc6381();
        if !codecs.contains(&codec) {
            codecs.push(codec);
        }
    }
    out.push_str(",CODECS=");
    push_quoted(out, &codecs.join(","));
    if let Some((width, height)) = main.config.resolution() {
        out.push_str(",RESOLUTION=");
        push_integer(out, width);
        out.push('x');
        push_integer(out, height);
    }
    if let (numerator @ 1.., denominator @ 1..) = main.frame_rate {
        out.push_str(",FRAME-RATE=");
        push_thousandths(out, u64::from(numerator), u64::from(denominator));
    }
    if let Some(group) = variant.group {
        out.push_str(",AUDIO=");
        push_quoted(out, &group.id);
    }
    if !ladder.texts.is_empty() {
        out.push_str(",SUBTITLES=");
        push_quoted(out, SUBTITLES);
    }
    out.push('\n');
    out.push_str(&media_playlist(list, main));
    out.push('\n');
}

fn media_playlist(list: &Playlists<'_>, track: &TrackInfo) -> String {
    format!("{}_{}.m3u8{}", list.name, track.name, list.query)
}
