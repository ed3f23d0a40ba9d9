//! Which output tracks there are: built from the source's renditions and the streams found in them.

use crate::engine::channel::Channel;
use crate::engine::channel::candidate::{Candidate, RecordMeta};
use crate::engine::channel::source::{Rendition, RenditionKey, SourceTop};
use crate::engine::channel::state::{Change, TrackState};
use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::presentation::TrackInfo;
use crate::limits;
use crate::units::{MediaTime, TrackId};

/// Undeclared and exceeded bit rates are rounded up to a power of this, so that origins whose
/// first segments differ a little agree.
const BIT_RATE_STEP: f64 = 1.05;

/// Sound is rounded up to the next of these, in bits per second: they lie between the rates that
/// encoders offer, so that what a first segment has more or less of one makes no difference.
const SOUND_BIT_RATES: [u64; 15] = [
    40_000, 56_000, 72_000, 88_000, 104_000, 120_000, 144_000, 176_000, 208_000, 240_000, 288_000,
    352_000, 416_000, 544_000, 704_000,
];

impl Channel {
    /// The output track that a candidate belongs to, where there is one already.
    pub(super) fn track_of(&self, candidate: &Candidate) -> Option<TrackId> {
        let source = (candidate.rendition?, candidate.meta.ordinal);
        let kind = candidate.meta.kind();
        let mut tracks = self.state.tracks.iter();
        let fits = |track: &&TrackState| track.info.kind == kind && track.sources.contains(&source);
        tracks.find(fits).map(|track| track.info.id)
    }

    /// Makes the tracks that waiting candidates call for. Returns true where there is a new one.
    pub(super) fn extend_layout(&mut self) -> bool {
        let mut fresh: Vec<(RenditionKey, u8, usize)> = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            let Some(key) = candidate.rendition else { continue };
            if self.track_of(candidate).is_none() {
                fresh.push((key, candidate.meta.ordinal, at));
            }
        }
        // Source order, not arrival order, so that both origins name tracks alike.
        fresh.sort_unstable();
        let mut grown = false;
        for (_, _, at) in fresh {
            let candidate = self.candidates[at].clone();
            if self.track_of(&candidate).is_none() {
                grown |= self.add_track(&candidate);
            }
        }
        grown
    }

    fn add_track(&mut self, candidate: &Candidate) -> bool {
        let (Some(key), meta) = (candidate.rendition, &candidate.meta) else { return false };
        if let Some(copy) = self.muxed_copy(key, meta) {
            self.emit(Change::Track(copy));
            return false;
        }
        if self.state.tracks.len() >= limits::TRACK_COUNT_MAX {
            return false;
        }
        let top = self.top(meta.input).cloned().unwrap_or_default();
        let declared = top.rendition(key).cloned();
        let kind = meta.kind();
        let highest = self.state.tracks.iter().map(|track| track.info.id.0).max();
        let id = TrackId(highest.map_or(0, |highest| highest + 1));
        let (bandwidth, average_bandwidth) = self.bit_rates(candidate, declared.as_ref(), kind);
        let said = match key {
            RenditionKey::Variant(_) if kind != TrackKind::Video => {
                muxed(&top, declared.as_ref(), meta)
            }
            _ => declared.as_ref(),
        };
        let info = TrackInfo {
            id,
            name: self.track_name(kind, key, meta.ordinal),
            kind,
            config: meta.config.clone(),
            language: said.and_then(|said| said.language.clone()).or_else(|| language(meta)),
            label: said.and_then(|said| said.label.clone()),
            default: said.is_some_and(|said| said.default),
            autoselect: said.is_none_or(|said| said.autoselect),
            forced: said.is_some_and(|said| said.forced),
            characteristics: said.and_then(|said| said.characteristics.clone()),
            bandwidth,
            average_bandwidth,
            frame_rate: frame_rate(&meta.config, declared.as_ref(), meta),
            audio_group: declared.as_ref().and_then(|declared| declared.group.clone()),
        };
        let start = self.state.session.map_or(MediaTime(0), |session| session.start);
        self.emit(Change::Track(TrackState {
            info,
            sources: vec![(key, meta.ordinal)],
            order: order(key, meta.ordinal),
            cadence: 0,
            end: start,
            next_number: None,
            session: None,
            grid: None,
            init: None,
            discontinuity_count: 0,
        }));
        true
    }

    /// The track of which this stream is one more muxed copy, with the copy added to its sources.
    fn muxed_copy(&self, key: RenditionKey, meta: &RecordMeta) -> Option<TrackState> {
        let RenditionKey::Variant(_) = key else { return None };
        let same = |track: &&TrackState| {
            let of_variant = |&(source, ordinal): &(RenditionKey, u8)| {
                matches!(source, RenditionKey::Variant(_)) && ordinal == meta.ordinal
            };
            track.sources.iter().any(of_variant) && same_sound(&track.info.config, &meta.config)
        };
        let mut copy = self.state.tracks.iter().find(same)?.clone();
        copy.sources.push((key, meta.ordinal));
        Some(copy)
    }

    fn track_name(&self, kind: TrackKind, key: RenditionKey, ordinal: u8) -> String {
        let count = self.state.tracks.iter().filter(|track| track.info.kind == kind).count();
        match (kind, key) {
            (TrackKind::Video, RenditionKey::Variant(at)) if ordinal == 0 => format!("v{}", at + 1),
            (TrackKind::Video, _) => format!("v{}x{ordinal}", count + 1),
            (TrackKind::Audio, _) => format!("a{}", count + 1),
            (TrackKind::Text, _) => format!("t{}", count + 1),
        }
    }

    /// BANDWIDTH and AVERAGE-BANDWIDTH shares: as declared, or, where nothing is declared or the
    /// start exceeds it by far, as measured and rounded up.
    ///
    /// What is measured depends on when an origin was started, so that two origins agree on what
    /// is declared alone: a peak somewhat above its declaration is the encoder's rate control, and
    /// an average that nobody declared is not made up from one segment.
    fn bit_rates(
        &self,
        candidate: &Candidate,
        declared: Option<&Rendition>,
        kind: TrackKind,
    ) -> (u64, u64) {
        let own = |other: &&Candidate| {
            other.rendition == candidate.rendition
                && other.meta.ordinal == candidate.meta.ordinal
                && other.meta.kind() == kind
        };
        let own_metas = || self.candidates.iter().filter(own).map(|other| &other.meta);
        let peak = own_metas().map(bit_rate).max().unwrap_or(0);
        // A variant's value counts its sound; what is muxed beside is taken off the picture's.
        let beside = |other: &&Candidate| {
            other.meta.name == candidate.meta.name
                && other.meta.input == candidate.meta.input
                && other.meta.kind() != kind
        };
        let muxed: u64 = self.candidates.iter().filter(beside).map(|it| rounded(&it.meta)).sum();
        let share = |value: Option<u64>| {
            value.filter(|_| kind == TrackKind::Video).map(|value| value.saturating_sub(muxed))
        };
        let bandwidth = share(declared.and_then(|declared| declared.bandwidth));
        let average_declared = share(declared.and_then(|declared| declared.average_bandwidth));
        let bandwidth = bandwidth.filter(|&value| value + value / 2 >= peak);
        let bandwidth = bandwidth.unwrap_or_else(|| own_metas().map(rounded).max().unwrap_or(0));
        (bandwidth, average_declared.unwrap_or(bandwidth).min(bandwidth))
    }
}

fn bit_rate(meta: &RecordMeta) -> u64 {
    let ticks = u64::try_from(meta.duration().0).unwrap_or(0).max(1);
    u64::from(meta.payload_size) * 8 * 90_000 / ticks
}

/// The bit rate of a record, rounded up.
fn rounded(meta: &RecordMeta) -> u64 {
    let rate = bit_rate(meta);
    let of_sound = SOUND_BIT_RATES.into_iter().find(|&step| step >= rate);
    of_sound.filter(|_| meta.kind() == TrackKind::Audio).unwrap_or_else(|| step_up(rate))
}

/// `rate` rounded up a 5 % ladder that begins at 1 kbit/s.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "bit rates are far below 2^53, and the ladder starts at 1000"
)]
fn step_up(rate: u64) -> u64 {
    let mut step = 1_000.0_f64;
    while step.round() < rate as f64 {
        step *= BIT_RATE_STEP;
    }
    step.round() as u64
}

fn same_sound(one: &CodecConfig, other: &CodecConfig) -> bool {
    one.kind() == TrackKind::Audio
        && std::mem::discriminant(one) == std::mem::discriminant(other)
        && one.timescale() == other.timescale()
        && one.channels() == other.channels()
}

/// What `EXT-X-MEDIA` without a URI says of the sound muxed into a variant.
fn muxed<'a>(
    top: &'a SourceTop,
    declared: Option<&Rendition>,
    meta: &RecordMeta,
) -> Option<&'a Rendition> {
    let group = declared?.group.as_ref()?;
    let mut group = top.muxed.iter().filter(|rendition| rendition.group.as_ref() == Some(group));
    group.nth(usize::from(meta.ordinal))
}

fn language(meta: &RecordMeta) -> Option<String> {
    let code = meta.language?;
    let text = std::str::from_utf8(&code).ok()?;
    (text != "und" && text.bytes().all(|byte| byte.is_ascii_lowercase())).then(|| text.to_owned())
}

fn frame_rate(config: &CodecConfig, said: Option<&Rendition>, meta: &RecordMeta) -> (u32, u32) {
    let (CodecConfig::Avc(video) | CodecConfig::Hevc(video)) = config else { return (0, 0) };
    if video.frame_rate.0 > 0 {
        return video.frame_rate;
    }
    if let Some(milli) = said.and_then(|said| said.frame_rate_milli) {
        return (milli, 1000);
    }
    let frame = u32::try_from(meta.frame().0).unwrap_or(0);
    if frame > 0 { (90_000, frame) } else { (0, 0) }
}

fn order(key: RenditionKey, ordinal: u8) -> u32 {
    let (rank, at) = match key {
        RenditionKey::Variant(at) => (0, at),
        RenditionKey::Audio(at) => (1, at),
        RenditionKey::Text(at) => (2, at),
    };
    (rank << 24) + (u32::from(at) << 8) + u32::from(ordinal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_rises_by_five_percent() {
        for (rate, step) in [(0, 1000), (1000, 1000), (1001, 1050), (128_000, 131_501)] {
            assert_eq!(step_up(rate), step);
        }
    }
}
