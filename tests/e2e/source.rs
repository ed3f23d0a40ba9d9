//! What an encoder would push: made by ffmpeg once, faster than real time, kept in memory.

use crate::client::Encoder;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

/// Seconds of media of every source here.
const SOURCE_SECONDS: u32 = 12;
/// Segments of every variant here: 2 s each.
pub const SEGMENT_COUNT: usize = 6;

/// One rendition of a source.
pub struct Variant {
    /// Name of its playlist.
    pub playlist: String,
    head: String,
    pub segments: Vec<Segment>,
}

/// One segment.
pub struct Segment {
    pub name: String,
    /// Its lines in the playlist.
    lines: String,
    pub body: Vec<u8>,
}

impl Variant {
    /// The playlist that lists these segments.
    pub fn playlist_of(&self, listed: Range<usize>) -> String {
        self.playlist_with_breaks(listed, &[])
    }

    /// The same with a discontinuity before some of them.
    pub fn playlist_with_breaks(&self, listed: Range<usize>, breaks: &[usize]) -> String {
        let mut text = self.head.clone();
        writeln!(text, "#EXT-X-MEDIA-SEQUENCE:{}", listed.start).unwrap();
        for at in listed {
            if breaks.contains(&at) {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            text.push_str(&self.segments[at].lines);
        }
        text
    }

    /// All segments one after another.
    pub fn concatenated(&self) -> Vec<u8> {
        self.segments.iter().flat_map(|segment| segment.body.iter().copied()).collect()
    }
}

/// A whole stream.
pub struct Source {
    /// The multivariant playlist.
    pub multivariant: String,
    pub variants: Vec<Variant>,
}

/// A picture with B-frames and its sound, muxed: what most tests push.
pub static MUXED: LazyLock<Source> =
    LazyLock::new(|| Source::encoded(&format!("{PICTURE} {SOUND} {H264} -c:a aac"), "v:0,a:0"));

/// A small picture and its sound in short segments, for as long as a crash test may last.
pub static LONG: LazyLock<Source> = LazyLock::new(|| {
    let arguments = "-f lavfi -i testsrc2=size=64x36:rate=25 \
        -f lavfi -i sine=frequency=440:sample_rate=48000 -c:v libx264 -preset ultrafast \
        -pix_fmt yuv420p -g 25 -keyint_min 25 -sc_threshold 0 -c:a aac -b:a 32k";
    Source::encoded_to(arguments, "v:0,a:0", LONG_SECONDS, 1)
});
/// Seconds, and segments, of it.
const LONG_SECONDS: u32 = 240;

/// A picture and the sound of a checked-in file of 4 s, which follows itself and is not encoded
/// again.
pub fn with_sound_of(file: &str) -> Source {
    let dir = TempDir::new().unwrap();
    let sound = fs::read(format!("{}/tests/fixtures/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let path = dir.path().join(file);
    fs::write(&path, sound.repeat(4)).unwrap();
    let path = path.display();
    Source::encoded(&format!("{PICTURE} -i {path} {H264} -c:a copy"), "v:0,a:0")
}

pub const PICTURE: &str = "-f lavfi -i testsrc2=size=320x180:rate=25";
pub const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000";
pub const H264: &str =
    "-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 2 -g 50 -keyint_min 50 -sc_threshold 0";

impl Source {
    /// Encodes with ffmpeg's `arguments` into the variants of `stream_map` (`-var_stream_map`).
    pub fn encoded(arguments: &str, stream_map: &str) -> Self {
        let source = Self::encoded_for(SOURCE_SECONDS, arguments, stream_map);
        for variant in &source.variants {
            assert_eq!(variant.segments.len(), SEGMENT_COUNT, "{}", variant.playlist);
        }
        source
    }

    /// The same of so many seconds.
    pub fn encoded_for(seconds: u32, arguments: &str, stream_map: &str) -> Self {
        Self::encoded_to(arguments, stream_map, seconds, 2)
    }

    /// The same with as many seconds in each segment.
    fn encoded_to(arguments: &str, stream_map: &str, seconds: u32, each: u32) -> Self {
        let dir = TempDir::new().unwrap();
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y"])
            .args(arguments.split_whitespace())
            .args(["-t", &seconds.to_string(), "-f", "hls", "-hls_time", &each.to_string()])
            .args(["-hls_list_size", "0", "-hls_flags", "program_date_time+independent_segments"])
            .args(["-var_stream_map", stream_map, "-master_pl_name", "channel.m3u8"])
            .args(["-hls_segment_filename", "channel_%v_%05d.ts", "channel_%v.m3u8"])
            .current_dir(dir.path())
            .output()
            .expect("ffmpeg is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let variants = (0..stream_map.split(' ').count()).map(|number| {
            let playlist = format!("channel_{number}.m3u8");
            let text = read(&playlist);
            let (head, segments) =
                split_playlist(&text, |name| fs::read(dir.path().join(name)).unwrap());
            Variant { playlist, head, segments }
        });
        let variants = variants.collect();
        Self { multivariant: read("channel.m3u8"), variants }
    }

    /// Pushes these segments as ffmpeg does: segment and playlist of every variant, then, the
    /// first time, the multivariant playlist.
    pub fn push(&self, encoder: &mut Encoder, range: Range<usize>) {
        for at in range {
            for variant in &self.variants {
                let segment = &variant.segments[at];
                let stored = encoder.put(&segment.name, &segment.body);
                assert_eq!(stored.status, 201, "{}: {stored:?}", segment.name);
                let playlist = variant.playlist_of(0..at + 1);
                let stored = encoder.put(&variant.playlist, playlist.as_bytes());
                assert!(matches!(stored.status, 201 | 204), "{}: {stored:?}", variant.playlist);
            }
            if at == 0 {
                let stored = encoder.put("channel.m3u8", self.multivariant.as_bytes());
                assert_eq!(stored.status, 201, "{stored:?}");
            }
        }
    }
}

/// The head of a media playlist without its number, and its segments.
fn split_playlist(text: &str, body: impl Fn(&str) -> Vec<u8>) -> (String, Vec<Segment>) {
    let (mut head, mut lines, mut segments) = (String::new(), String::new(), Vec::new());
    for line in text.lines() {
        let of_segment = line.starts_with("#EXTINF") || !lines.is_empty();
        if line.starts_with("#EXT-X-MEDIA-SEQUENCE") || line == "#EXT-X-ENDLIST" {
            continue;
        }
        let target = if of_segment { &mut lines } else { &mut head };
        target.push_str(line);
        target.push('\n');
        if !line.starts_with('#') {
            let lines = std::mem::take(&mut lines);
            segments.push(Segment { name: line.to_owned(), lines, body: body(line) });
        }
    }
    (head, segments)
}
