//! AAC, AC-3 and E-AC-3 elementary streams: PES packets in, raw frames out.
//!
//! ISO/IEC 13818-1 §2.4.3.7: a packet's time is that of the first access unit that *begins* in it.
//! Frames in between are placed by counting samples. AAC loses its ADTS headers; an E-AC-3 access
//! unit is the independent substream with all that depend on it, six blocks of them
//! (ETSI TS 102 366 annex F).
//!
//! A track is of one format: frames of another one are passed over like foreign bytes, and each
//! run of those counts as one dropped unit.

use super::{TrackError, unwrap_near};
use crate::engine::codec::aac::contents::AacContents;
use crate::engine::codec::aac::{AAC_CORE_SAMPLES, ADTS_HEADER_SIZE, AdtsHeader, parse_adts};
use crate::engine::codec::dolby::{
    BLOCK_SAMPLES, SAMPLE_BLOCKS, SYNCFRAME_HEADER_SIZE, Substream, Syncframe, SyncframeError,
    ac3_config, eac3_config, parse_syncframe,
};
use crate::engine::codec::{CodecConfig, DolbyConfig};
use crate::engine::segment::{Damage, Sample, TrackSegment};
use crate::limits::{SEGMENT_SAMPLE_COUNT_MAX, SYNCFRAMES_PER_UNIT_MAX};
use crate::units::{MediaTime, Timescale};
use std::ops::Range;

/// How frames are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioFraming {
    /// AAC in ADTS (ISO/IEC 14496-3 §1.A.2.2).
    Adts,
    /// AC-3 or E-AC-3 syncframes.
    Syncframe,
}

/// A frame's header.
#[derive(Clone, Copy, Debug)]
enum Header {
    Adts(AdtsHeader),
    Syncframe(Syncframe),
}

/// Why no frame can be read at a position.
enum Unread {
    /// The data ends within the frame.
    Incomplete,
    /// There is no frame here.
    NoFrame,
}

impl Header {
    fn parse(framing: AudioFraming, data: &[u8]) -> Result<Self, Unread> {
        match framing {
            AudioFraming::Adts => {
                let header = data.first_chunk::<ADTS_HEADER_SIZE>().ok_or(Unread::Incomplete)?;
                parse_adts(header).map(Self::Adts).map_err(|_| Unread::NoFrame)
            }
            AudioFraming::Syncframe => {
                let head = &data[..data.len().min(SYNCFRAME_HEADER_SIZE)];
                parse_syncframe(head).map(Self::Syncframe).map_err(|error| match error {
                    SyncframeError::Bits(_) if head.len() < SYNCFRAME_HEADER_SIZE => {
                        Unread::Incomplete
                    }
                    _ => Unread::NoFrame,
                })
            }
        }
    }

    const fn frame_size(&self) -> usize {
        match self {
            Self::Adts(header) => header.frame_size,
            Self::Syncframe(frame) => frame.frame_size,
        }
    }

    /// Where in a frame its access units, or its part of one, are. `None` where they cannot be told
    /// apart.
    fn blocks(&self, frame: &[u8]) -> Option<Vec<Range<usize>>> {
        match self {
            Self::Adts(header) => header.blocks(frame).ok(),
            Self::Syncframe(_) => Some(std::iter::once(0..frame.len()).collect()),
        }
    }

    /// PCM samples that this frame adds to its access unit.
    fn samples(&self) -> u32 {
        match self {
            Self::Adts(_) => AAC_CORE_SAMPLES,
            Self::Syncframe(frame) if frame.substream == Substream::Main => {
                u32::from(frame.blocks) * BLOCK_SAMPLES
            }
            Self::Syncframe(_) => 0,
        }
    }

    /// PCM samples of a whole access unit.
    fn unit_samples(&self) -> u32 {
        match self {
            Self::Adts(_) => AAC_CORE_SAMPLES,
            Self::Syncframe(_) => u32::from(SAMPLE_BLOCKS) * BLOCK_SAMPLES,
        }
    }

    fn sample_rate(&self) -> u32 {
        match self {
            Self::Adts(header) => header.sample_rate(),
            Self::Syncframe(frame) => frame.sample_rate,
        }
    }

    /// True where `other` can follow in the same track.
    fn same_format(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Adts(a), Self::Adts(b)) => {
                (a.object_type, a.rate_index, a.channel_configuration)
                    == (b.object_type, b.rate_index, b.channel_configuration)
            }
            (Self::Syncframe(a), Self::Syncframe(b)) => {
                a.enhanced == b.enhanced
                    && a.sample_rate == b.sample_rate
                    && (b.substream != Substream::Main || (a.acmod, a.lfe) == (b.acmod, b.lfe))
            }
            _ => false,
        }
    }
}

/// The access unit that frames are being appended to.
#[derive(Clone, Copy, Debug, Default)]
struct OpenUnit {
    start: usize,
    samples: u32,
}

/// Collects one audio track of a segment.
#[derive(Clone, Debug)]
pub struct AudioAssembler {
    framing: AudioFraming,
    /// Bytes of a frame whose end has not come.
    carry: Vec<u8>,
    /// Where in the carried bytes packets began in which no frame has begun yet, and their times.
    packets: Vec<(usize, Option<u64>)>,
    /// False while a frame's start is searched after one was missing.
    in_sync: bool,
    /// The header that began the track.
    format: Option<Header>,
    /// The syncframes of the first access unit, up to the second independent one.
    first_unit: Vec<Syncframe>,
    first_unit_known: bool,
    /// What AAC frames tell that their headers do not.
    contents: AacContents,
    first_time: Option<i64>,
    /// PCM samples from `first_time` to the end of the last closed access unit.
    elapsed: i64,
    /// PCM samples to drop, because they repeat what is there.
    overlap: i64,
    open: Option<OpenUnit>,
    samples: Vec<Sample>,
    payload: Vec<u8>,
    damage: Damage,
}

impl AudioAssembler {
    /// An empty track.
    #[must_use]
    pub fn new(framing: AudioFraming) -> Self {
        Self {
            framing,
            carry: Vec::new(),
            packets: Vec::new(),
            in_sync: true,
            format: None,
            first_unit: Vec::new(),
            first_unit_known: false,
            contents: AacContents::default(),
            first_time: None,
            elapsed: 0,
            overlap: 0,
            open: None,
            samples: Vec::new(),
            payload: Vec::new(),
            damage: Damage::default(),
        }
    }

    /// Takes the next bytes of the stream; `pts` (33 bits) is that of the first frame that begins
    /// in them.
    ///
    /// # Errors
    ///
    /// [`TrackError`] where the segment holds too many access units.
    pub fn on_bytes(&mut self, pts: Option<u64>, bytes: &[u8]) -> Result<(), TrackError> {
        // Of packets without a byte only the last counts.
        self.packets.pop_if(|(start, _)| *start == self.carry.len());
        self.packets.push((self.carry.len(), pts));
        self.carry.extend_from_slice(bytes);
        self.take_frames(false)
    }

    /// Takes the whole frames out of what is carried; at the `end` also one that no other follows.
    fn take_frames(&mut self, end: bool) -> Result<(), TrackError> {
        let buffer = std::mem::take(&mut self.carry);
        let mut at = 0;
        while let Some(header) = self.next_frame(&buffer, &mut at, end) {
            let frame = &buffer[at..at + header.frame_size()];
            let before = self.packets.partition_point(|(start, _)| *start <= at);
            let mut pts = self.packets.drain(..before).next_back().and_then(|(_, pts)| pts);
            match header.blocks(frame) {
                Some(blocks) => {
                    for block in blocks {
                        self.on_frame(&header, pts.take(), &frame[block])?;
                    }
                }
                None => self.damage.dropped_units += 1,
            }
            at += header.frame_size();
        }
        // What is left begins in the last packet that began at or before it, if in any.
        let before = self.packets.partition_point(|(start, _)| *start <= at);
        let expired = if at == buffer.len() { before } else { before.saturating_sub(1) };
        self.packets.drain(..expired);
        for (start, _) in &mut self.packets {
            *start = start.saturating_sub(at);
        }
        self.carry = buffer;
        self.carry.drain(..at);
        Ok(())
    }

    /// The next whole frame of `buffer` at or behind `at`, which moves to its start, or to the
    /// first byte that may still be of use.
    fn next_frame(&mut self, buffer: &[u8], at: &mut usize, end: bool) -> Option<Header> {
        while let Some(rest) = buffer.get(*at..).filter(|rest| !rest.is_empty()) {
            // Where a packet with a time begins, a frame may be trusted to begin.
            let begins = |(start, pts): &(usize, Option<u64>)| start == at && pts.is_some();
            let trusted = self.in_sync || end || self.packets.iter().any(begins);
            match self.frame_at(rest, trusted) {
                Ok(header) => {
                    self.in_sync = true;
                    return Some(header);
                }
                Err(Unread::Incomplete) if self.in_sync || !end => return None,
                Err(_) => {}
            }
            if self.in_sync {
                self.in_sync = false;
                self.damage.dropped_units += 1;
            }
            let next = memchr::memchr(self.first_sync_byte(), &rest[1..]);
            *at = next.map_or(buffer.len(), |skip| *at + 1 + skip);
        }
        None
    }

    /// The whole frame at the front of `rest`. It must be of the track's format and, where it is
    /// not `trusted`, another one must follow.
    fn frame_at(&self, rest: &[u8], trusted: bool) -> Result<Header, Unread> {
        let header = Header::parse(self.framing, rest)?;
        if self.format.is_some_and(|format| !format.same_format(&header)) {
            return Err(Unread::NoFrame);
        }
        let after = rest.get(header.frame_size()..).ok_or(Unread::Incomplete)?;
        if !trusted {
            Header::parse(self.framing, after)?;
        }
        Ok(header)
    }

    const fn first_sync_byte(&self) -> u8 {
        match self.framing {
            AudioFraming::Adts => 0xff,
            AudioFraming::Syncframe => 0x0b,
        }
    }

    fn on_frame(
        &mut self,
        header: &Header,
        pts: Option<u64>,
        frame: &[u8],
    ) -> Result<(), TrackError> {
        self.format.get_or_insert(*header);
        let samples = header.samples();
        if samples > 0 {
            if self.open.is_some_and(|open| open.samples + samples > header.unit_samples()) {
                self.close_unit()?;
            }
            self.first_unit_known |= !self.first_unit.is_empty();
            if self.open.is_none() {
                if let Some(pts) = pts {
                    self.on_time(pts, header);
                }
                if self.first_time.is_none() || self.overlap > 0 {
                    self.overlap = (self.overlap - i64::from(samples)).max(0);
                    self.damage.dropped_units += 1;
                    return Ok(());
                }
                self.open = Some(OpenUnit { start: self.payload.len(), samples: 0 });
            }
        }
        // A dependent frame without its independent one has no unit to go to.
        let Some(open) = &mut self.open else {
            self.damage.dropped_units += 1;
            return Ok(());
        };
        open.samples += samples;
        if let Header::Syncframe(frame) = header
            && !self.first_unit_known
            && self.first_unit.len() < SYNCFRAMES_PER_UNIT_MAX
        {
            self.first_unit.push(*frame);
        }
        if let Header::Adts(header) = header {
            header.inspect(frame, &mut self.contents);
        }
        self.payload.extend_from_slice(frame);
        Ok(())
    }

    /// An access unit begins at `pts`: compares that with the count of samples.
    fn on_time(&mut self, pts: u64, header: &Header) {
        let Some(rate) = Timescale::new(header.sample_rate()) else { return };
        let Some(first) = self.first_time else {
            self.first_time = Some(unwrap_near(pts, 1 << 32));
            return;
        };
        let expected = first + MediaTime::from_ticks_nearest(self.elapsed, rate).ticks();
        let ahead = MediaTime(unwrap_near(pts, expected) - expected).rescale_nearest(rate);
        if ahead.abs() * 2 <= i64::from(header.unit_samples()) {
            return;
        }
        self.damage.dropped_units += 1;
        if ahead < 0 {
            self.overlap = -ahead;
            return;
        }
        // The sample before the hole lasts until its end, so that what follows is in its place.
        if let Some(last) = self.samples.last_mut()
            && let Some(lasting) =
                u32::try_from(ahead).ok().and_then(|ahead| last.duration.checked_add(ahead))
        {
            last.duration = lasting;
            self.elapsed += ahead;
        }
    }

    fn close_unit(&mut self) -> Result<(), TrackError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if self.samples.len() == SEGMENT_SAMPLE_COUNT_MAX {
            return Err(TrackError::TooManySamples);
        }
        // Frames are at most 8 KiB (13-bit and 12-bit size fields), a unit has a few of them.
        let size = u32::try_from(self.payload.len() - open.start).unwrap_or(u32::MAX);
        self.elapsed += i64::from(open.samples);
        self.samples.push(Sample {
            size,
            duration: open.samples,
            composition_offset: 0,
            random_access: true,
        });
        Ok(())
    }

    /// Packets were lost: gives up the frame that was begun.
    pub fn on_loss(&mut self) {
        self.carry.clear();
        self.packets.clear();
    }

    /// Counts a PES packet that could not be used.
    pub fn on_unusable_packet(&mut self) {
        self.damage.dropped_units += 1;
    }

    /// Bytes of a frame whose end is missing.
    #[must_use]
    pub fn incomplete_size(&self) -> usize {
        self.carry.len()
    }

    /// The track; `None` where no frame came. A frame whose end is missing is counted as dropped.
    ///
    /// # Errors
    ///
    /// As [`Self::on_bytes`].
    pub fn finish(
        mut self,
        pid: u16,
        language: Option<[u8; 3]>,
    ) -> Result<Option<TrackSegment>, TrackError> {
        self.take_frames(true)?;
        self.close_unit()?;
        if !self.carry.is_empty() {
            self.damage.dropped_units += 1;
        }
        let (Some(first), Some(config)) = (self.first_time, self.config()) else {
            return Ok(None);
        };
        if self.samples.is_empty() {
            return Ok(None);
        }
        // Frames were counted as their headers tell, by the core coder's rate.
        if let CodecConfig::Aac(aac) = &config {
            let ticks = aac.frame_samples / AAC_CORE_SAMPLES;
            self.elapsed *= i64::from(ticks);
            for sample in &mut self.samples {
                sample.duration = sample.duration.saturating_mul(ticks);
            }
        }
        let span = MediaTime::from_ticks_nearest(self.elapsed, config.timescale());
        Ok(Some(TrackSegment {
            pid,
            config,
            language,
            first_decode_time: MediaTime(first),
            earliest_presentation_time: MediaTime(first),
            presentation_end: MediaTime(first) + span,
            samples: self.samples,
            payload: self.payload,
            damage: self.damage,
        }))
    }

    fn config(&self) -> Option<CodecConfig> {
        Some(match self.format? {
            Header::Adts(header) => CodecConfig::Aac(header.config(&self.contents)?),
            Header::Syncframe(frame) if frame.enhanced => {
                let config: DolbyConfig = eac3_config(&self.first_unit)?;
                CodecConfig::Eac3(config)
            }
            Header::Syncframe(frame) => CodecConfig::Ac3(ac3_config(&frame)),
        })
    }
}

#[cfg(test)]
mod tests;
