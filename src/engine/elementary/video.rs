//! H.264 and H.265 elementary streams: PES packets in, length-prefixed access units out.
//!
//! ISO/IEC 13818-1 §2.14 and §2.17 (how they are carried), ISO/IEC 14496-15 §4.3.2 (the sample's
//! form). A PES packet normally holds one access unit; several are told apart by their delimiters,
//! and a unit that goes on in the next packet is joined. Both fields of a frame are one sample.

use super::nal::NalScanner;
use super::parameter_sets::{Noted, ParameterSets};
use super::{Timestamps, TrackError, unwrap_near};
use crate::engine::codec::{CodecConfig, VideoConfig, avc, hevc};
use crate::engine::segment::{Damage, Sample, TrackSegment};
use crate::limits::{PES_SIZE_MAX, SEGMENT_SAMPLE_COUNT_MAX};
use crate::units::MediaTime;

/// Ticks of a picture whose rate neither the stream nor other pictures tell: 25 a second.
const FRAME_TICKS_DEFAULT: i64 = 3600;

/// The two codecs that consist of NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264.
    Avc,
    /// H.265.
    Hevc,
}

/// What a NAL unit is to the demultiplexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NalRole {
    Delimiter,
    Vps,
    Sps,
    Pps,
    /// Filler data, end of sequence, end of stream.
    Unwanted,
    Slice {
        random_access: bool,
    },
    Other,
}

impl VideoCodec {
    fn role(self, first_byte: u8) -> NalRole {
        match self {
            Self::Avc => match first_byte & 0x1f {
                kind @ 1..=5 => NalRole::Slice { random_access: kind == avc::NAL_IDR },
                avc::NAL_SPS => NalRole::Sps,
                avc::NAL_PPS => NalRole::Pps,
                avc::NAL_AUD => NalRole::Delimiter,
                10..=12 => NalRole::Unwanted,
                _ => NalRole::Other,
            },
            Self::Hevc => match first_byte >> 1 & 0x3f {
                kind @ 0..=31 => NalRole::Slice { random_access: matches!(kind, 16..=21) },
                hevc::NAL_VPS => NalRole::Vps,
                hevc::NAL_SPS => NalRole::Sps,
                hevc::NAL_PPS => NalRole::Pps,
                hevc::NAL_AUD => NalRole::Delimiter,
                36..=38 => NalRole::Unwanted,
                _ => NalRole::Other,
            },
        }
    }
}

/// An access unit that is in the payload. Times are unwrapped 90 kHz, `None` where not told.
#[derive(Clone, Copy, Debug)]
struct AccessUnit {
    size: usize,
    times: Option<(i64, i64)>,
    random_access: bool,
    /// The one field it consists of so far.
    field: Option<avc::Field>,
}

/// The access unit whose NAL units are being appended to the payload.
#[derive(Clone, Copy, Debug, Default)]
struct OpenUnit {
    start: usize,
    times: Option<(i64, i64)>,
    has_slice: bool,
    random_access: bool,
    field: Option<avc::Field>,
}

/// Collects one video track of a segment.
#[derive(Clone, Debug)]
pub struct VideoAssembler {
    codec: VideoCodec,
    scanner: NalScanner,
    /// The PES payload that may still go on, from `held_start`, and its times.
    held: Vec<u8>,
    held_start: usize,
    held_times: Timestamps,
    vps: ParameterSets,
    sps: ParameterSets,
    pps: ParameterSets,
    /// The H.264 set that slice headers are read with.
    active_sps: Option<avc::Sps>,
    /// A parameter set changed: what follows belongs to another configuration.
    changed: bool,
    clock: Option<i64>,
    open: OpenUnit,
    units: Vec<AccessUnit>,
    payload: Vec<u8>,
    damage: Damage,
}

impl VideoAssembler {
    /// An empty track.
    #[must_use]
    pub fn new(codec: VideoCodec) -> Self {
        Self {
            codec,
            scanner: NalScanner::default(),
            held: Vec::new(),
            held_start: 0,
            held_times: Timestamps::default(),
            vps: ParameterSets::default(),
            sps: ParameterSets::default(),
            pps: ParameterSets::default(),
            active_sps: None,
            changed: false,
            clock: None,
            open: OpenUnit::default(),
            units: Vec::new(),
            payload: Vec::new(),
            damage: Damage::default(),
        }
    }

    /// Takes memory for `size` bytes of payload at once, so that growing copies none of it. Where
    /// there is none, the payload grows as it comes: `size` is what somebody has declared.
    pub fn reserve(&mut self, size: usize) {
        let _grows_instead = self.payload.try_reserve_exact(size);
    }

    /// Takes the PES payload `packet[start..]`. The buffer is exchanged for an empty one, so that
    /// the payload is not copied before its NAL units are known.
    ///
    /// # Errors
    ///
    /// [`TrackError`] where the segment holds too many access units.
    pub fn on_packet(
        &mut self,
        times: Timestamps,
        packet: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), TrackError> {
        let payload = &packet[start..];
        let continued = self.continued_size(times, payload);
        if self.held.len() + continued <= PES_SIZE_MAX {
            self.held.extend_from_slice(&payload[..continued]);
        } else {
            self.damage.dropped_units += 1;
        }
        if continued < payload.len() {
            self.split_held()?;
            std::mem::swap(&mut self.held, packet);
            self.held_start = start + continued;
            self.held_times = times;
        }
        packet.clear();
        Ok(())
    }

    /// Bytes at the front of `payload` that go on from the packet before: all of them without a
    /// time; with one, where it does not begin with a start code, those before the delimiter.
    fn continued_size(&self, times: Timestamps, payload: &[u8]) -> usize {
        if times.pts.is_none() {
            return payload.len();
        }
        let aligned = payload.starts_with(&[0, 0, 1]) || payload.starts_with(&[0, 0, 0, 1]);
        if aligned || self.held.is_empty() {
            return 0;
        }
        let is_delimiter = |byte| self.codec.role(byte) == NalRole::Delimiter;
        self.scanner.find(payload, is_delimiter).unwrap_or(payload.len())
    }

    /// Splits the held payload into access units.
    fn split_held(&mut self) -> Result<(), TrackError> {
        let mut held = std::mem::take(&mut self.held);
        let times = self.unwrap_times();
        self.open = OpenUnit { start: self.payload.len(), times, ..OpenUnit::default() };
        let scanner = self.scanner.clone();
        for nal in scanner.units(held.get(self.held_start..).unwrap_or_default()) {
            self.on_nal(nal)?;
        }
        self.close_unit()?;
        held.clear();
        self.held = held;
        self.held_start = 0;
        self.held_times = Timestamps::default();
        Ok(())
    }

    fn unwrap_times(&mut self) -> Option<(i64, i64)> {
        let pts = self.held_times.pts?;
        let wrapped = self.held_times.dts.unwrap_or(pts);
        let dts = match self.clock {
            Some(clock) => unwrap_near(wrapped, clock),
            None => unwrap_near(wrapped, 1 << 32),
        };
        self.clock = Some(dts);
        Some((dts, unwrap_near(pts, dts)))
    }

    fn on_nal(&mut self, nal: &[u8]) -> Result<(), TrackError> {
        match self.codec.role(nal[0]) {
            NalRole::Delimiter if self.open.has_slice => {
                self.close_unit()?;
                self.open = OpenUnit { start: self.payload.len(), ..OpenUnit::default() };
            }
            NalRole::Delimiter | NalRole::Unwanted => {}
            role @ (NalRole::Vps | NalRole::Sps | NalRole::Pps) => self.on_parameter_set(role, nal),
            NalRole::Slice { random_access } => {
                if !self.open.has_slice {
                    self.open.has_slice = true;
                    let sps = self.active_sps.as_ref();
                    self.open.field = sps.and_then(|sps| avc::parse_field(nal, sps).ok().flatten());
                }
                self.open.random_access |= random_access;
                self.append(nal);
            }
            NalRole::Other => self.append(nal),
        }
        Ok(())
    }

    fn append(&mut self, nal: &[u8]) {
        // A NAL unit is part of a PES packet, which is far below 4 GiB.
        let size = u32::try_from(nal.len()).expect("PES_SIZE_MAX bounds a NAL unit");
        self.payload.extend_from_slice(&size.to_be_bytes());
        self.payload.extend_from_slice(nal);
    }

    fn on_parameter_set(&mut self, role: NalRole, nal: &[u8]) {
        let sets = match role {
            NalRole::Vps => &mut self.vps,
            NalRole::Sps => &mut self.sps,
            _ => &mut self.pps,
        };
        if sets.contains(nal) {
            return;
        }
        let mut active = None;
        let id = match (self.codec, role) {
            (VideoCodec::Avc, NalRole::Sps) => avc::parse_sps(nal).map(|sps| {
                let id = sps.id;
                active = Some(sps);
                id
            }),
            (VideoCodec::Avc, _) => avc::parse_pps_id(nal),
            (VideoCodec::Hevc, NalRole::Vps) => hevc::parse_vps_id(nal),
            (VideoCodec::Hevc, NalRole::Sps) => hevc::parse_sps(nal).map(|sps| sps.id),
            (VideoCodec::Hevc, _) => hevc::parse_pps_id(nal),
        };
        let fixed = self.open.has_slice || !self.units.is_empty();
        match id.map(|id| sets.note(id, nal, fixed)) {
            Ok(Noted::New) => self.active_sps = active.or(self.active_sps.take()),
            Ok(Noted::Repeated) => {}
            Ok(Noted::Contradiction) => self.changed = true,
            Ok(Noted::TooMuch) | Err(_) => self.damage.dropped_units += 1,
        }
    }

    /// Ends the access unit whose NAL units were appended last.
    fn close_unit(&mut self) -> Result<(), TrackError> {
        let open = std::mem::take(&mut self.open);
        let size = self.payload.len() - open.start;
        if size == 0 {
            return Ok(());
        }
        if let Some(last) = self.units.last_mut()
            && open.has_slice
            && !self.changed
            && is_second_field(last, &open)
        {
            last.size += size;
            last.field = None;
            return Ok(());
        }
        if self.changed || !open.has_slice || self.is_late(&open) {
            self.payload.truncate(open.start);
            self.damage.dropped_units += 1;
            return Ok(());
        }
        if self.units.len() == SEGMENT_SAMPLE_COUNT_MAX {
            return Err(TrackError::TooManySamples);
        }
        let OpenUnit { times, random_access, field, .. } = open;
        self.units.push(AccessUnit { size, times, random_access, field });
        Ok(())
    }

    /// True where decode time runs backwards.
    fn is_late(&self, open: &OpenUnit) -> bool {
        let known = self.units.iter().rev().find_map(|unit| unit.times);
        matches!((known, open.times), (Some((last, _)), Some((dts, _))) if dts <= last)
    }

    /// Counts a PES packet that could not be used.
    pub fn on_unusable_packet(&mut self) {
        self.damage.dropped_units += 1;
    }

    /// The track; `None` where no picture, or no usable parameter set, came.
    ///
    /// # Errors
    ///
    /// As [`Self::on_packet`].
    pub fn finish(
        mut self,
        pid: u16,
        language: Option<[u8; 3]>,
    ) -> Result<Option<TrackSegment>, TrackError> {
        self.split_held()?;
        let missing = self.sps.is_empty()
            || self.pps.is_empty()
            || self.codec == VideoCodec::Hevc && self.vps.is_empty();
        // The first units' times are needed to place the rest.
        let untimed = self.units.iter().take_while(|unit| unit.times.is_none()).count();
        let untimed_size: usize = self.units.drain(..untimed).map(|unit| unit.size).sum();
        self.payload.drain(..untimed_size);
        self.damage.dropped_units += u32::try_from(untimed).unwrap_or(u32::MAX);
        if missing || self.units.is_empty() {
            return Ok(None);
        }
        let (sps, pps) = (self.sps.into_units(), self.pps.into_units());
        let config = match self.codec {
            VideoCodec::Avc => avc::video_config(sps, pps).map(CodecConfig::Avc),
            VideoCodec::Hevc => {
                hevc::video_config(self.vps.into_units(), sps, pps).map(CodecConfig::Hevc)
            }
        };
        let Ok(config) = config else { return Ok(None) };
        let frame_rate = match &config {
            CodecConfig::Avc(VideoConfig { frame_rate, .. })
            | CodecConfig::Hevc(VideoConfig { frame_rate, .. }) => *frame_rate,
            _ => (0, 0),
        };
        let timed = TimedUnits::new(&self.units, frame_rate);
        let leading = self.units.iter().take_while(|unit| !unit.random_access).count();
        self.damage.leading_units = u32::try_from(leading).unwrap_or(u32::MAX);
        Ok(timed.map(|timed| TrackSegment {
            pid,
            config,
            language,
            first_decode_time: MediaTime(timed.first_decode_time),
            earliest_presentation_time: MediaTime(timed.earliest_presentation_time),
            presentation_end: MediaTime(timed.presentation_end),
            samples: timed.samples,
            payload: self.payload,
            damage: self.damage,
        }))
    }
}

/// True where `open` completes the frame whose first field, or first part, is `last`.
fn is_second_field(last: &AccessUnit, open: &OpenUnit) -> bool {
    let same_time = matches!((last.times, open.times), (Some(a), Some(b)) if a == b);
    let other_field = matches!(
        (last.field, open.field),
        (Some(first), Some(second))
            if first.frame_num == second.frame_num && first.bottom != second.bottom
    );
    same_time || other_field && (!open.random_access || last.random_access)
}

/// Access units with all times filled in.
struct TimedUnits {
    first_decode_time: i64,
    earliest_presentation_time: i64,
    presentation_end: i64,
    samples: Vec<Sample>,
}

impl TimedUnits {
    /// `None` where a time does not fit its field of [`Sample`]: the stream jumps by hours.
    fn new(units: &[AccessUnit], frame_rate: (u32, u32)) -> Option<Self> {
        let frame = frame_ticks(units, frame_rate);
        let mut times: Vec<(i64, i64)> = Vec::with_capacity(units.len());
        for unit in units {
            let told =
                unit.times.or_else(|| times.last().map(|&(dts, pts)| (dts + frame, pts + frame)));
            times.push(told?);
        }
        let mut samples = Vec::with_capacity(units.len());
        for (at, unit) in units.iter().enumerate() {
            let (dts, pts) = times[at];
            let duration = match times.get(at + 1) {
                // An extrapolated time may pass the next one that is told.
                Some((next, _)) => (next - dts).max(0),
                None => frame,
            };
            samples.push(Sample {
                size: u32::try_from(unit.size).ok()?,
                duration: u32::try_from(duration).ok()?,
                composition_offset: i32::try_from(pts - dts).ok()?,
                random_access: unit.random_access,
            });
        }
        let ends = times.iter().zip(&samples).map(|((_, pts), s)| pts + i64::from(s.duration));
        Some(Self {
            first_decode_time: times.first()?.0,
            earliest_presentation_time: times.iter().map(|(_, pts)| *pts).min()?,
            presentation_end: ends.max()?,
            samples,
        })
    }
}

/// How long a picture lasts: as the stream says, unless its own times contradict that by more
/// than a tenth; else the median distance of decode times.
fn frame_ticks(units: &[AccessUnit], (pictures, seconds): (u32, u32)) -> i64 {
    let mut distances: Vec<i64> =
        units.windows(2).filter_map(|pair| Some(pair[1].times?.0 - pair[0].times?.0)).collect();
    distances.sort_unstable();
    let median = distances.get(distances.len() / 2).copied();
    let told = (pictures > 0).then(|| {
        let (pictures, ticks) = (i64::from(pictures), 90_000 * i64::from(seconds));
        (ticks + pictures / 2) / pictures
    });
    match (told.filter(|&ticks| ticks > 0), median) {
        (Some(told), Some(median)) if (told - median).abs() * 10 > told => median,
        (Some(told), _) => told,
        (None, median) => median.unwrap_or(FRAME_TICKS_DEFAULT),
    }
}

#[cfg(test)]
mod tests;
