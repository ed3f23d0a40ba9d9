//! A transport stream's packets, as they arrive, to the tracks of one segment.
//!
//! ISO/IEC 13818-1 §2.4.3 and §2.4.4. Only the first program is used. Packets that come before the
//! tables which explain them are kept and read again. Where packets are lost, what was begun ends
//! there and the next unit is waited for; the losses are counted per track.
//!
//! A segment is read by itself: no state is carried from one to the next.

use super::crc::crc32;
use super::error::TsError;
use super::packet::{
    PACKET_SIZE, PID_NULL, PID_PAT, PID_TABLES_END, Packet, PacketFault, SYNC_BYTE, parse_packet,
};
use super::pes::{PesHeader, parse_pes_header};
use super::psi::{ElementaryStream, SectionAssembler, StreamFormat, parse_pat, parse_pmt};
use super::sync::Synchroniser;
use crate::engine::elementary::audio::{AudioAssembler, AudioFraming};
use crate::engine::elementary::video::{VideoAssembler, VideoCodec};
use crate::engine::segment::{MetadataKind, SegmentBody, TimedMetadata, TrackSegment};
use crate::limits::{
    METADATA_SIZE_MAX, PES_SIZE_MAX, SEGMENT_METADATA_COUNT_MAX, SEGMENT_METADATA_SIZE_MAX,
    SEGMENT_TRACK_COUNT_MAX, TS_PENDING_SIZE_MAX,
};
use crate::units::MediaTime;

/// `table_id` of a `splice_info_section` (ANSI/SCTE 35 §9.6).
const TABLE_SPLICE_INFO: u8 = 0xfc;

/// What a PID's packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// Not known yet.
    Pending,
    Ignored,
    Pat,
    Pmt,
    /// Index of an elementary stream.
    Stream(u8),
}

/// Where an elementary stream's bytes go.
#[derive(Clone, Debug)]
enum Sink {
    Video(Box<VideoAssembler>),
    Audio(Box<AudioAssembler>),
    Id3,
    Scte35(SectionAssembler),
}

/// One elementary stream that is read.
#[derive(Clone, Debug)]
struct Stream {
    source: ElementaryStream,
    sink: Sink,
    continuity: Option<u8>,
    /// The PES packet being put together; empty while its start is waited for.
    pes: Vec<u8>,
    lost_packets: u32,
}

/// Reads a transport stream.
#[derive(Clone, Debug)]
pub struct TsDemuxer {
    sync: Synchroniser,
    routes: Box<[Route]>,
    pat: SectionAssembler,
    pmt: SectionAssembler,
    pmt_pid: Option<u16>,
    /// The program map in force, verbatim: most repetitions change nothing.
    program: Vec<u8>,
    streams: Vec<Stream>,
    pending: Vec<[u8; PACKET_SIZE]>,
    /// Losses that belong to no stream in particular, or to tables.
    lost_packets: u32,
    packets: u64,
    listed: usize,
    /// Bytes to take memory for when the first video track comes, which is nearly all of them.
    expected_size: usize,
    messages: Messages,
    body: SegmentBody,
}

/// Timed messages of a segment, up to as many and as large as it may have.
#[derive(Clone, Debug, Default)]
struct Messages {
    kept: Vec<TimedMetadata>,
    /// Bytes of all that are kept.
    size: usize,
    /// Those that were too large or too many.
    dropped: u32,
    /// The newest presentation time of the program.
    newest: Option<MediaTime>,
}

impl Default for TsDemuxer {
    fn default() -> Self {
        let mut routes = vec![Route::Pending; usize::from(PID_NULL) + 1].into_boxed_slice();
        routes[..usize::from(PID_TABLES_END)].fill(Route::Ignored);
        routes[usize::from(PID_PAT)] = Route::Pat;
        routes[usize::from(PID_NULL)] = Route::Ignored;
        Self {
            sync: Synchroniser::default(),
            routes,
            pat: SectionAssembler::default(),
            pmt: SectionAssembler::default(),
            pmt_pid: None,
            program: Vec::new(),
            streams: Vec::new(),
            pending: Vec::new(),
            lost_packets: 0,
            packets: 0,
            listed: 0,
            expected_size: 0,
            messages: Messages::default(),
            body: SegmentBody::default(),
        }
    }
}

impl TsDemuxer {
    /// For a stream of about `size` bytes.
    #[must_use]
    pub fn with_expected_size(size: usize) -> Self {
        Self { expected_size: size, ..Self::default() }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    ///
    /// [`TsError`] where no packets are found, or a track has too many access units.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), TsError> {
        let mut sync = std::mem::take(&mut self.sync);
        let result = sync.on_bytes(bytes, |packet| self.on_packet(packet));
        self.sync = sync;
        result
    }

    fn on_packet(&mut self, bytes: &[u8; PACKET_SIZE]) -> Result<(), TsError> {
        debug_assert_eq!(bytes[0], SYNC_BYTE);
        self.packets += 1;
        let Ok(packet) = parse_packet(bytes) else {
            self.lost_packets += 1;
            return Ok(());
        };
        match self.routes[usize::from(packet.pid)] {
            Route::Ignored => {}
            Route::Stream(at) => {
                let Self { streams, messages, .. } = self;
                streams[usize::from(at)].on_packet(&packet, messages)?;
            }
            Route::Pending if self.pending.len() < TS_PENDING_SIZE_MAX / PACKET_SIZE => {
                self.pending.push(*bytes);
            }
            Route::Pending => self.lost_packets += 1,
            Route::Pat | Route::Pmt if packet.fault.is_some() => self.lost_packets += 1,
            Route::Pat => self.on_pat_packet(&packet)?,
            Route::Pmt => self.on_pmt_packet(&packet)?,
        }
        Ok(())
    }

    fn on_pat_packet(&mut self, packet: &Packet<'_>) -> Result<(), TsError> {
        let mut found = None;
        let mut damaged = 0;
        let payload = packet.payload.unwrap_or_default();
        self.pat.on_payload(packet.unit_start, payload, |section| match parse_pat(section) {
            Ok(pids) => found = pids.first().copied().or(found),
            Err(_) => damaged += 1,
        });
        self.lost_packets += damaged;
        match found.filter(|&pid| Some(pid) != self.pmt_pid && pid >= PID_TABLES_END) {
            Some(pid) if self.routes[usize::from(pid)] == Route::Pending => {
                self.pmt_pid = Some(pid);
                self.pmt.reset();
                self.routes[usize::from(pid)] = Route::Pmt;
                self.replay_pending()
            }
            _ => Ok(()),
        }
    }

    fn on_pmt_packet(&mut self, packet: &Packet<'_>) -> Result<(), TsError> {
        let mut found = None;
        let mut damaged = 0;
        let program = &mut self.program;
        let payload = packet.payload.unwrap_or_default();
        self.pmt.on_payload(packet.unit_start, payload, |section| {
            if section == program.as_slice() {
                return;
            }
            match parse_pmt(section) {
                Ok(streams) => {
                    section.clone_into(program);
                    found = Some(streams);
                }
                Err(_) => damaged += 1,
            }
        });
        self.lost_packets += damaged;
        let Some(listed) = found else { return Ok(()) };
        self.on_program(&listed);
        self.replay_pending()
    }

    /// A program map came: new PIDs are read from here on, known ones go on as they are.
    fn on_program(&mut self, listed: &[ElementaryStream]) {
        let first = self.listed == 0;
        for source in listed {
            if self.routes[usize::from(source.pid)] != Route::Pending {
                continue;
            }
            self.listed += 1;
            let index = u8::try_from(self.streams.len()).ok();
            let index = index.filter(|&at| usize::from(at) < SEGMENT_TRACK_COUNT_MAX);
            let (route, sink) = match (Sink::new(source.format), index) {
                (Some(sink), Some(index)) => (Route::Stream(index), Some(sink)),
                _ => (Route::Ignored, None),
            };
            self.routes[usize::from(source.pid)] = route;
            match sink {
                Some(mut sink) => {
                    if let Sink::Video(video) = &mut sink {
                        video.reserve(std::mem::take(&mut self.expected_size));
                    }
                    self.streams.push(Stream::new(*source, sink));
                }
                None => self.body.unknown_streams.push((source.pid, source.stream_type)),
            }
        }
        if first {
            // From now on a PID that no table names is none of the program's.
            self.pending.retain(|packet| {
                let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
                self.routes[usize::from(pid)] != Route::Pending
            });
        }
    }

    /// Reads again what came before the table that explains it.
    fn replay_pending(&mut self) -> Result<(), TsError> {
        for packet in std::mem::take(&mut self.pending) {
            self.packets -= 1;
            self.on_packet(&packet)?;
        }
        Ok(())
    }

    /// The segment's content.
    ///
    /// # Errors
    ///
    /// [`TsError`] where the last packet is cut or no track came out.
    pub fn finish(mut self) -> Result<SegmentBody, TsError> {
        let mut sync = std::mem::take(&mut self.sync);
        sync.finish(|packet| self.on_packet(packet))?;
        if self.program.is_empty() {
            return Err(TsError::NoProgram { packets: self.packets });
        }
        let lost = self.lost_packets.saturating_add(sync.slips());
        for stream in self.streams {
            let track = stream.finish(&mut self.messages)?;
            self.body.tracks.extend(track.map(|mut track| {
                track.damage.lost_packets = track.damage.lost_packets.saturating_add(lost);
                track
            }));
        }
        if self.body.tracks.is_empty() {
            let unknown = self.body.unknown_streams.len();
            return Err(TsError::NoTrack { listed: self.listed, unknown });
        }
        self.body.metadata = self.messages.kept;
        self.body.dropped_messages = self.messages.dropped;
        Ok(self.body)
    }
}

impl Sink {
    fn new(format: StreamFormat) -> Option<Self> {
        let video = |codec| Some(Self::Video(Box::new(VideoAssembler::new(codec))));
        let audio = |framing| Some(Self::Audio(Box::new(AudioAssembler::new(framing))));
        match format {
            StreamFormat::Avc => video(VideoCodec::Avc),
            StreamFormat::Hevc => video(VideoCodec::Hevc),
            StreamFormat::Adts => audio(AudioFraming::Adts),
            StreamFormat::Dolby => audio(AudioFraming::Syncframe),
            StreamFormat::Id3 => Some(Self::Id3),
            StreamFormat::Scte35 => Some(Self::Scte35(SectionAssembler::default())),
            StreamFormat::Unknown => None,
        }
    }
}

impl Stream {
    const fn new(source: ElementaryStream, sink: Sink) -> Self {
        Self { source, sink, continuity: None, pes: Vec::new(), lost_packets: 0 }
    }

    fn on_packet(&mut self, packet: &Packet<'_>, messages: &mut Messages) -> Result<(), TsError> {
        match packet.fault {
            Some(PacketFault::Transmission) => return self.on_loss(messages, None),
            Some(PacketFault::Scrambled) => return self.on_loss(messages, Some(packet.continuity)),
            None => {}
        }
        let Some(payload) = packet.payload else { return Ok(()) };
        match self.continuity.filter(|_| !packet.discontinuity) {
            // A packet may be sent twice (§2.4.3.3).
            Some(last) if last == packet.continuity && self.pes.ends_with(payload) => return Ok(()),
            Some(last) if (last + 1) & 0x0f != packet.continuity => {
                self.on_loss(messages, Some(packet.continuity))?;
            }
            _ => self.continuity = Some(packet.continuity),
        }
        if let Sink::Scte35(sections) = &mut self.sink {
            let pid = self.source.pid;
            sections.on_payload(packet.unit_start, payload, |section| {
                if section.first() == Some(&TABLE_SPLICE_INFO) && crc32(section) == 0 {
                    messages.keep(MetadataKind::Scte35, pid, messages.newest, section);
                }
            });
            return Ok(());
        }
        if packet.unit_start {
            self.deliver(messages)?;
            messages.on_unit_start(payload);
        } else if self.pes.is_empty() {
            return Ok(());
        }
        if self.pes.len() + payload.len() > PES_SIZE_MAX {
            self.pes.clear();
            self.on_unusable();
            return Ok(());
        }
        self.pes.extend_from_slice(payload);
        Ok(())
    }

    /// Packets are missing in front of the one counted `continuity`: what was begun ends here.
    fn on_loss(&mut self, messages: &mut Messages, continuity: Option<u8>) -> Result<(), TsError> {
        self.continuity = continuity;
        self.lost_packets = self.lost_packets.saturating_add(1);
        self.deliver(messages)?;
        match &mut self.sink {
            Sink::Audio(audio) => audio.on_loss(),
            Sink::Scte35(sections) => sections.reset(),
            Sink::Video(_) | Sink::Id3 => {}
        }
        Ok(())
    }

    fn on_unusable(&mut self) {
        match &mut self.sink {
            Sink::Video(video) => video.on_unusable_packet(),
            Sink::Audio(audio) => audio.on_unusable_packet(),
            Sink::Id3 | Sink::Scte35(_) => {}
        }
    }

    /// Passes on the PES packet that was put together.
    fn deliver(&mut self, messages: &mut Messages) -> Result<(), TsError> {
        if self.pes.is_empty() {
            return Ok(());
        }
        let Ok(PesHeader { times, payload_start, end }) = parse_pes_header(&self.pes) else {
            self.pes.clear();
            self.on_unusable();
            return Ok(());
        };
        if let Some(end) = end {
            if end > self.pes.len() {
                self.lost_packets = self.lost_packets.saturating_add(1);
            }
            self.pes.truncate(end);
        }
        let pid = self.source.pid;
        let result = match &mut self.sink {
            Sink::Video(video) => video.on_packet(times, &mut self.pes, payload_start),
            Sink::Audio(audio) => audio.on_bytes(times.pts, &self.pes[payload_start..]),
            Sink::Id3 => {
                let data = &self.pes[payload_start..];
                messages.keep(MetadataKind::Id3, pid, times.pts.and_then(media_time), data);
                Ok(())
            }
            Sink::Scte35(_) => Ok(()),
        };
        self.pes.clear();
        result.map_err(|error| TsError::Track { pid, error })
    }

    fn finish(mut self, messages: &mut Messages) -> Result<Option<TrackSegment>, TsError> {
        self.deliver(messages)?;
        let ElementaryStream { pid, language, .. } = self.source;
        let track = match self.sink {
            Sink::Video(video) => video.finish(pid, language),
            Sink::Audio(audio) => audio.finish(pid, language),
            Sink::Id3 | Sink::Scte35(_) => Ok(None),
        };
        let mut track = track.map_err(|error| TsError::Track { pid, error })?;
        if let Some(track) = &mut track {
            track.damage.lost_packets = self.lost_packets;
        }
        Ok(track)
    }
}

impl Messages {
    /// A PES packet begins with `payload`: what comes behind it arrives at its time, or later.
    fn on_unit_start(&mut self, payload: &[u8]) {
        let pts = parse_pes_header(payload).ok().and_then(|header| header.times.pts);
        self.newest = pts.and_then(media_time).or(self.newest);
    }

    fn keep(&mut self, kind: MetadataKind, pid: u16, time: Option<MediaTime>, data: &[u8]) {
        let size = self.size + data.len();
        let fits = data.len() <= METADATA_SIZE_MAX && size <= SEGMENT_METADATA_SIZE_MAX;
        if fits && self.kept.len() < SEGMENT_METADATA_COUNT_MAX {
            self.size = size;
            self.kept.push(TimedMetadata { kind, pid, time, data: data.to_owned() });
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

fn media_time(pts: u64) -> Option<MediaTime> {
    i64::try_from(pts).ok().map(MediaTime)
}
