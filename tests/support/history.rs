//! Rings as channels leave them that ran for hours, written in seconds: small payloads in the
//! records that a channel's owner writes.

#![allow(dead_code, reason = "each program uses a part of it")]

use headwater::engine::channel::switching::Preference;
use headwater::engine::channel::{Channel, ChannelConfig, Now, Verdict};
use headwater::engine::codec::{AacConfig, CodecConfig, VideoConfig};
use headwater::engine::playlist::parse_playlist;
use headwater::engine::sample_table;
use headwater::engine::segment::{Damage, Sample, SegmentBody, TrackSegment};
use headwater::ring::{Location, Record, RecordKind, Refused, Ring, RingConfig, Storage, Tenure};
use headwater::units::{ContentHash, InputNumber, MediaTime, Monotonic, WallClock};
use std::sync::Arc;
use std::time::Duration;

const VARIANTS: u64 = 3;
const TOP: &str = "#EXTM3U\n\
    #EXT-X-STREAM-INF:BANDWIDTH=6500000,RESOLUTION=1280x720\nchannel_1.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3500000,RESOLUTION=1280x720\nchannel_2.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1500000,RESOLUTION=1280x720\nchannel_3.m3u8\n";
/// How long the disk may take at the end.
const FLUSH_SPAN_MAX: Duration = Duration::from_mins(2);

/// What a channel has had pushed: H.264 and AAC in three variants.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// Seconds of a segment.
    pub segment_seconds: u32,
    /// Segments of each variant.
    pub count: u32,
    /// When the first one begins.
    pub start: WallClock,
    /// Bytes of a second of each track, a multiple of 4.
    pub sample_size: u32,
}

impl History {
    /// The timeline's configuration.
    pub fn timeline(self) -> ChannelConfig {
        ChannelConfig {
            period: Some((u64::from(self.segment_seconds) * 90_000, 1)),
            join_seconds: vec![self.segment_seconds],
            window: MediaTime(60 * 90_000),
            preference: Preference::default(),
        }
    }

    /// The clocks at the end of segment `number`.
    pub fn now(self, number: u32) -> Now {
        let since = Duration::from_secs(u64::from(self.segment_seconds) * (u64::from(number) + 1));
        let since_us = i64::try_from(since.as_micros()).expect("far from the end of time");
        Now { monotonic: Monotonic(since), wall: WallClock(self.start.0 + since_us) }
    }

    fn track(self, number: u32, config: CodecConfig) -> TrackSegment {
        let duration = i64::from(self.segment_seconds) * 90_000;
        let start = i64::from(number) * duration;
        let timescale = config.timescale().per_second();
        let sample = Sample {
            size: self.sample_size,
            duration: timescale,
            composition_offset: 0,
            random_access: true,
        };
        let samples = vec![sample; self.segment_seconds as usize];
        TrackSegment {
            pid: 256,
            config,
            language: None,
            first_decode_time: MediaTime(start),
            earliest_presentation_time: MediaTime(start),
            presentation_end: MediaTime(start + duration),
            payload: number.to_be_bytes().repeat(samples.len() * self.sample_size as usize / 4),
            samples,
            damage: Damage::default(),
        }
    }

    fn body(self, number: u32) -> SegmentBody {
        let tracks = vec![self.track(number, video()), self.track(number, audio())];
        SegmentBody { tracks, ..SegmentBody::default() }
    }

    /// Writes the ring of such a channel.
    pub fn write(self, config: &RingConfig, storage: &Arc<Storage>) {
        let (ring, _) = Ring::open(config, storage, Tenure::sole()).expect("room");
        let channel = Channel::new(self.timeline());
        let mut writer = Writer { ring, channel, changes_written: 0 };
        let top = parse_playlist(TOP.as_bytes()).expect("a multivariant playlist");
        writer.channel.on_playlist(self.now(0), InputNumber::ONE, "channel.m3u8", &top);
        for number in 0..self.count {
            let body = self.body(number);
            for variant in 1..=VARIANTS {
                let name = format!("channel_{variant}_{number:06}.ts");
                writer.push(self.now(number), &name, &body);
            }
        }
        // Full files are sealed with the next look at the ring.
        writer.ring.sync();
        assert!(storage.flush(FLUSH_SPAN_MAX), "written");
    }
}

fn video() -> CodecConfig {
    CodecConfig::Avc(VideoConfig {
        vps: Vec::new(),
        sps: vec![vec![0x67, 0x64, 0x00, 0x1f]],
        pps: vec![vec![0x68, 0xee]],
        rfc6381: "avc1.64001f".into(),
        width: 1280,
        height: 720,
        aspect: (1, 1),
        frame_rate: (25, 1),
        interlaced: false,
        chroma_format: 1,
        bit_depth_luma: 8,
        bit_depth_chroma: 8,
        colour: None,
    })
}

fn audio() -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x11, 0x90],
        object_type: 2,
        sample_rate: 48_000,
        channels: 2,
        frame_samples: 1024,
    })
}

/// Writes a channel's records as its owner does.
struct Writer {
    ring: Ring,
    channel: Channel,
    changes_written: u64,
}

impl Writer {
    fn append(&mut self, records: &[Record]) -> Vec<Location> {
        loop {
            let state = || {
                postcard::to_stdvec(&(self.changes_written, self.channel.state()))
                    .expect("states are plain data")
            };
            match self.ring.append_group(records.to_vec(), state, drop) {
                Ok(placed) => {
                    for file in placed.dropped_files {
                        self.channel.on_file_dropped(file);
                    }
                    return placed.location;
                }
                Err(Refused::Busy) => std::thread::yield_now(),
                Err(refused) => panic!("{refused}"),
            }
        }
    }

    fn append_changes(&mut self) {
        let changes = self.channel.take_changes();
        self.channel.take_events();
        if changes.is_empty() {
            return;
        }
        let header = postcard::to_stdvec(&(self.changes_written, &changes));
        let record = Record {
            kind: RecordKind::Change,
            header: header.expect("changes are plain data"),
            table: Vec::new(),
            payload: Vec::new(),
        };
        // A file that this begins has a state that the changes are in.
        let count = changes.len() as u64;
        self.changes_written += count;
        self.append(&[record]);
    }

    fn push(&mut self, now: Now, name: &str, body: &SegmentBody) {
        let verdict = self.channel.on_segment(now, InputNumber::ONE, name, body);
        let Verdict::Store(metas) = verdict else { panic!("{name} is new") };
        let record = |(at, meta): &(usize, _)| Record {
            kind: RecordKind::Media,
            header: postcard::to_stdvec(meta).expect("records are plain data"),
            table: sample_table::encode(&body.tracks[*at].samples),
            payload: body.tracks[*at].payload.clone(),
        };
        let records: Vec<Record> = metas.iter().map(record).collect();
        let locations = self.append(&records);
        for (((_, meta), at), record) in metas.into_iter().zip(locations).zip(&records) {
            let hash = ContentHash::of(&record.table, &record.payload).low();
            self.channel.on_stored(now, meta, (at.table, at.payload), hash);
        }
        self.channel.on_body_stored(now);
        self.append_changes();
    }
}
