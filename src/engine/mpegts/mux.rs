//! Multiplexes one output segment into a transport stream (ISO/IEC 13818-1).
//!
//! The bytes are a function of the arguments alone: tables come first, every continuity counter
//! begins at zero, and the first packet of each PID says so with `discontinuity_indicator`. PTS and
//! DTS are media time modulo 2^33; the clock reference runs a constant span ahead of them.
//!
//! A whole segment is made in memory, for it is kept in a cache and served many times.

mod elementary;
mod packets;
mod tables;

use crate::engine::codec::{CodecConfig, TrackKind};
use crate::engine::segment::Sample;
use crate::units::MediaTime;
use elementary::append_access_unit;
use packets::{PacketWriter, Timestamps};
use std::ops::Range;
use tables::{ElementaryStream, write_tables};

/// Ticks of 90 kHz by which the clock reference precedes decoding: the time a decoder has to
/// receive an access unit. Half a second covers an intra picture at a tenth of the peak rate.
const CLOCK_LEAD: i64 = 45_000;

/// Bytes of audio gathered into one PES packet: with its header, 16 full transport packets.
const AUDIO_PES_PAYLOAD_SIZE_MAX: usize = 16 * packets::PAYLOAD_SIZE - 14;

/// Ticks of 90 kHz between two clock references at most (ISO/IEC 13818-1 §2.7.2: 100 ms).
const CLOCK_INTERVAL_MAX: i64 = 9_000;

/// One track of an output segment.
#[derive(Clone, Debug)]
pub struct MuxTrack<'a> {
    /// What its samples need to be decoded.
    pub config: &'a CodecConfig,
    /// BCP 47 tag for the language descriptor of audio.
    pub language: Option<&'a str>,
    /// Ring records in the order of their decode times.
    pub parts: Vec<MuxPart<'a>>,
}

/// One ring record of a track.
#[derive(Clone, Copy, Debug)]
pub struct MuxPart<'a> {
    /// Samples in decode order.
    pub samples: &'a [Sample],
    /// Media time at which the first sample is decoded.
    pub decode_start: MediaTime,
    /// The samples' bytes in the ring's form ([`crate::engine::segment::TrackSegment`]).
    pub payload: &'a [u8],
}

/// The transport stream of one output segment.
///
/// PIDs follow the order of `tracks`; the first video track carries the clock reference, or the
/// first track where there is no video. Text is left out: WebVTT has no stream type.
///
/// # Panics
///
/// If a part's samples do not lie in its payload.
#[must_use]
pub fn mux_segment(tracks: &[MuxTrack<'_>]) -> Vec<u8> {
    let tracks: Vec<&MuxTrack<'_>> =
        tracks.iter().filter(|track| track.config.kind() != TrackKind::Text).collect();
    let clock = tracks.iter().position(|track| track.config.kind() == TrackKind::Video);
    let clock = clock.unwrap_or(0);
    let streams: Vec<ElementaryStream> =
        tracks.iter().map(|track| ElementaryStream::of(track.config, track.language)).collect();

    let mut units: Vec<Unit<'_>> = Vec::new();
    for (index, track) in tracks.iter().enumerate() {
        append_units(&mut units, index, track, index == clock);
    }
    // Stable: units of equal times keep the order of their tracks.
    units.sort_by_key(|unit| unit.decode_time);

    let mut writer = PacketWriter::new(streams.len(), capacity(&units));
    let mut elementary = Vec::new();
    for (position, unit) in units.iter().enumerate() {
        let config = tracks[unit.track].config;
        let is_clock = unit.track == clock;
        let entry = is_clock && config.kind() == TrackKind::Video && unit.random_access();
        if position == 0 || entry {
            write_tables(&mut writer, &streams, clock);
        }
        elementary.clear();
        let mut rest = unit.payload;
        for sample in unit.samples {
            let (bytes, after) = rest.split_at(index_of(sample.size));
            append_access_unit(&mut elementary, config, bytes, sample.random_access);
            rest = after;
        }
        writer.write_pes(
            unit.track,
            streams[unit.track].stream_id,
            Timestamps {
                presentation: unit.presentation_time,
                decode: unit.decode_time,
                clock: is_clock.then_some(unit.decode_time - CLOCK_LEAD),
            },
            is_clock && unit.random_access(),
            &elementary,
        );
    }
    writer.finish()
}

/// What goes into one PES packet: a picture, or some frames of audio.
struct Unit<'a> {
    track: usize,
    decode_time: i64,
    presentation_time: i64,
    samples: &'a [Sample],
    payload: &'a [u8],
}

impl Unit<'_> {
    fn random_access(&self) -> bool {
        self.samples.first().is_some_and(|sample| sample.random_access)
    }
}

/// Cuts a track into the units of its PES packets.
fn append_units<'a>(
    units: &mut Vec<Unit<'a>>,
    index: usize,
    track: &MuxTrack<'a>,
    carries_clock: bool,
) {
    let scale = track.config.timescale();
    for part in &track.parts {
        let mut payload = part.payload;
        let mut samples = part.samples;
        let mut elapsed = 0;
        while let Some(first) = samples.first() {
            let span = if track.config.kind() == TrackKind::Video {
                0..1
            } else {
                audio_frames(samples, track.config, carries_clock)
            };
            let (taken, samples_after) = samples.split_at(span.end);
            let size: usize = taken.iter().map(|sample| index_of(sample.size)).sum();
            let (bytes, payload_after) = payload.split_at(size);
            // Each unit's time is rounded by itself, so that rounding never adds up.
            let decode_time = part.decode_start + MediaTime::from_ticks_nearest(elapsed, scale);
            units.push(Unit {
                track: index,
                decode_time: decode_time.ticks(),
                presentation_time: decode_time.ticks() + i64::from(first.composition_offset),
                samples: taken,
                payload: bytes,
            });
            elapsed += taken.iter().map(|sample| i64::from(sample.duration)).sum::<i64>();
            (samples, payload) = (samples_after, payload_after);
        }
    }
}

/// How many audio frames the next PES packet takes: at least one, then as many as fit its size,
/// and the interval of clock references where it carries one.
fn audio_frames(samples: &[Sample], config: &CodecConfig, carries_clock: bool) -> Range<usize> {
    let scale = config.timescale();
    let overhead = elementary::overhead(config);
    let (mut size, mut duration) = (0, 0);
    let count = samples.iter().take_while(|sample| {
        size += index_of(sample.size) + overhead;
        duration += i64::from(sample.duration);
        let span = MediaTime::from_ticks_nearest(duration, scale).ticks();
        size <= AUDIO_PES_PAYLOAD_SIZE_MAX && (!carries_clock || span <= CLOCK_INTERVAL_MAX)
    });
    0..count.count().max(1)
}

/// Bytes that the packets of `units` will take, generously.
fn capacity(units: &[Unit<'_>]) -> usize {
    let payload: usize = units.iter().map(|unit| unit.payload.len()).sum();
    payload + payload / 16 + (units.len() + 4) * 2 * packets::PACKET_SIZE
}

/// A sample's size as an index; never truncates, for `usize` has 32 bits at least.
fn index_of(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
