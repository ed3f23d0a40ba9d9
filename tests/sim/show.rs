//! What the encoders make: one programme in segments of pictures and sound, with a record of
//! every body's content hash, so that whatever is published can be told for what it is.

use crate::dice::Dice;
use headwater::engine::codec::{AacConfig, CodecConfig, VideoConfig};
use headwater::engine::playlist::{Multivariant, Rendition, RenditionKind, Variant};
use headwater::engine::sample_table::content_hash;
use headwater::engine::segment::{Damage, Sample, SegmentBody, TrackSegment};
use headwater::units::MediaTime;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Source timestamps are counted modulo this (ISO/IEC 13818-1 §2.4.3.7).
pub const MODULUS: i64 = 1 << 33;

/// Where the sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    None,
    Muxed,
    Apart,
}

/// The programme. Times are 90 kHz ticks from its beginning.
#[derive(Clone, Debug)]
pub struct Show {
    pub length: i64,
    pub period: i64,
    /// Pictures per second, and ticks of one.
    pub rate: (u32, u32),
    pub frame: i64,
    pub rungs: i64,
    pub sound: Sound,
    pub sample_rate: i64,
    /// Timestamp of the first picture.
    pub base: i64,
    /// Playlists carry PROGRAM-DATE-TIME.
    pub dated: bool,
    /// From this segment on the pictures have other parameter sets.
    pub reconfigured: Option<i64>,
}

/// How one encoder makes the show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Make {
    /// Encoders of one coding give the same bytes.
    pub coding: u8,
    /// Its segments begin so many ticks later than the show's.
    pub offset: i64,
    /// Its timestamps are so many ticks ahead, and gain `drift` more with each segment.
    pub shift: i64,
    pub drift: i64,
}

/// How much of a segment is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    Whole,
    /// All of its time, with packets lost.
    Damaged,
    /// Whole but for a first picture that nothing can be decoded from.
    Blind,
    /// The first half: what a dying encoder had.
    Stump,
}

/// What a track's bytes are, by their content hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    pub at: i64,
    pub coding: u8,
    pub shape: Shape,
}

/// One pushed segment.
#[derive(Debug)]
pub struct Body {
    pub media: SegmentBody,
    /// Content hash of each track, and how much of it there is.
    pub hashes: Vec<(u64, Shape)>,
    pub duration: i64,
    pub at: i64,
    pub which: usize,
}

impl Body {
    pub fn is_whole(&self) -> bool {
        self.hashes.iter().all(|(_, shape)| *shape == Shape::Whole)
    }
}

impl Show {
    pub fn draw(dice: &mut Dice, length: i64) -> Self {
        let (period, rate, frame) = dice.pick(&[
            (180_000, (25, 1), 3_600),
            (180_180, (30_000, 1001), 3_003),
            (172_800, (25, 1), 3_600),
        ]);
        let base = dice.pick(&[126_000, MODULUS - 12 * 90_000, MODULUS - 90_000, 5_000_000_000]);
        Self {
            length,
            period,
            rate,
            frame,
            rungs: dice.pick(&[1, 1, 2]),
            sound: dice.pick(&[Sound::None, Sound::Muxed, Sound::Apart]),
            sample_rate: dice.pick(&[48_000, 44_100]),
            base,
            dated: true,
            reconfigured: None,
        }
    }

    pub const fn start(&self, at: i64) -> i64 {
        at * self.period
    }

    /// EXT-X-TARGETDURATION in seconds.
    pub fn target_seconds(&self) -> u32 {
        u32::try_from((self.period + 45_000) / 90_000).expect("small")
    }

    pub const fn target_ms(&self) -> i64 {
        self.period / 90
    }

    /// Stems of the renditions' names.
    pub fn stems(&self) -> Vec<String> {
        let mut stems: Vec<String> = (1..=self.rungs).map(|at| format!("channel_{at}")).collect();
        if self.sound == Sound::Apart {
            stems.push("sound_en".to_owned());
        }
        stems
    }

    /// Output tracks that come of it.
    pub fn track_count(&self) -> usize {
        usize::try_from(self.rungs + i64::from(self.sound != Sound::None)).expect("few")
    }

    /// The multivariant playlist with the first `rungs` of the ladder.
    pub fn top(&self, rungs: i64) -> Multivariant {
        let apart = self.sound == Sound::Apart;
        let variant = |at: i64| Variant {
            uri: format!("channel_{at}.m3u8"),
            bandwidth: Some(1_000_000),
            audio: apart.then(|| "group".to_owned()),
            ..Variant::default()
        };
        let sound = Rendition {
            kind: RenditionKind::Audio,
            group_id: "group".into(),
            name: "English".into(),
            language: None,
            uri: Some("sound_en.m3u8".into()),
            default: true,
            autoselect: true,
            forced: false,
            characteristics: None,
            channels: None,
            instream_id: None,
        };
        Multivariant {
            variants: (1..=rungs).map(variant).collect(),
            renditions: apart.then_some(sound).into_iter().collect(),
        }
    }

    /// Sound of a segment: the whole frames that begin in it, the first at most a frame early.
    fn sound_frames(&self, from: i64, to: i64) -> (i64, i64, i64) {
        let frame = |ticks: i64| ticks * self.sample_rate / 90_000 / 1024;
        let ticks = |frame: i64| frame * 1024 * 90_000 / self.sample_rate;
        let (from, to) = (frame(from), frame(to));
        (ticks(from), ticks(to) - ticks(from), to - from)
    }
}

/// All bodies that were made, each once however many encoders make it.
#[derive(Default)]
pub struct Reel {
    bodies: BTreeMap<(Make, i64, usize, Shape), Rc<Body>>,
    pub made: BTreeMap<u64, Made>,
}

impl Reel {
    /// Segment `at` of rendition `which` as an encoder makes it.
    pub fn body(
        &mut self,
        show: &Show,
        make: Make,
        at: i64,
        which: usize,
        shape: Shape,
    ) -> Rc<Body> {
        let key = (make, at, which, shape);
        if let Some(known) = self.bodies.get(&key) {
            return Rc::clone(known);
        }
        let body = Rc::new(new_body(show, make, at, which, shape));
        for &(hash, shape) in &body.hashes {
            let made = Made { at, coding: make.coding, shape };
            let before = self.made.insert(hash, made);
            assert!(before.is_none_or(|before| before == made), "hashes tell what is what");
        }
        self.bodies.insert(key, Rc::clone(&body));
        body
    }
}

fn new_body(show: &Show, make: Make, at: i64, which: usize, shape: Shape) -> Body {
    let (from, to) = (show.start(at) + make.offset, show.start(at + 1) + make.offset);
    let to =
        if shape == Shape::Stump { from + show.frame * ((to - from) / show.frame / 2) } else { to };
    let lead = show.base + make.shift + make.drift * at;
    let rung = i64::try_from(which).expect("few");
    let mut tracks = Vec::new();
    if rung < show.rungs {
        let tag = u8::from(show.reconfigured.is_some_and(|from| at >= from));
        let config = video(show.rate, which, tag);
        tracks.push(track(config, lead + from, to - from, (to - from) / show.frame));
    }
    if rung == show.rungs || show.sound == Sound::Muxed {
        let (from, duration, count) = show.sound_frames(from, to);
        tracks.push(track(audio(show.sample_rate), lead + from, duration, count));
    }
    let mut hashes = Vec::new();
    for (stream, track) in tracks.iter_mut().enumerate() {
        let is_audio = track.pid == AUDIO_PID;
        // Sound that is muxed into every rung is the same in all, and can always be decoded.
        let stream = if is_audio { 99 } else { stream + 2 * which };
        let shape = if is_audio && shape == Shape::Blind { Shape::Whole } else { shape };
        let id = [at, i64::from(make.coding), make.offset, shape as i64];
        track.payload = id.iter().flat_map(|part| part.to_le_bytes()).collect();
        track.payload.push(u8::try_from(stream).expect("few"));
        match shape {
            Shape::Whole | Shape::Stump => {}
            Shape::Damaged => track.damage.lost_packets = 3,
            Shape::Blind => {
                track.damage.leading_units = 5;
                track.samples[0].random_access = false;
            }
        }
        hashes.push((content_hash(&track.samples, &track.payload), shape));
    }
    let media = SegmentBody { tracks, ..SegmentBody::default() };
    Body { media, hashes, duration: to - from, at, which }
}

const AUDIO_PID: u16 = 257;

fn video(frame_rate: (u32, u32), rung: usize, tag: u8) -> CodecConfig {
    let height = 720 / (u32::try_from(rung).expect("few") + 1);
    CodecConfig::Avc(VideoConfig {
        vps: Vec::new(),
        sps: vec![vec![0x67, u8::try_from(rung).expect("few"), tag]],
        pps: vec![vec![0x68]],
        rfc6381: "avc1.64001f".into(),
        width: height * 16 / 9,
        height,
        aspect: (1, 1),
        frame_rate,
        interlaced: false,
        chroma_format: 1,
        bit_depth_luma: 8,
        bit_depth_chroma: 8,
        colour: None,
    })
}

fn audio(sample_rate: i64) -> CodecConfig {
    CodecConfig::Aac(AacConfig {
        audio_specific_config: vec![0x11, 0x90],
        object_type: 2,
        sample_rate: u32::try_from(sample_rate).expect("small"),
        channels: 2,
        frame_samples: 1024,
    })
}

fn track(config: CodecConfig, start: i64, duration: i64, count: i64) -> TrackSegment {
    let is_audio = matches!(config, CodecConfig::Aac(_));
    let sample = Sample { size: 100, duration: 1, composition_offset: 0, random_access: true };
    let wrapped = MediaTime(start.rem_euclid(MODULUS));
    TrackSegment {
        pid: if is_audio { AUDIO_PID } else { 256 },
        config,
        language: None,
        first_decode_time: wrapped,
        earliest_presentation_time: wrapped,
        presentation_end: wrapped + MediaTime(duration),
        samples: vec![sample; usize::try_from(count).expect("small")],
        payload: Vec::new(),
        damage: Damage::default(),
    }
}
