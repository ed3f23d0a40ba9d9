//! Fixtures made by ffmpeg, and ffprobe's reading of them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use serde_json::Value;
use std::process::Command;
use tempfile::TempDir;

/// A segment body that ffmpeg made.
pub struct Fixture {
    /// The body.
    pub bytes: Vec<u8>,
    dir: TempDir,
    name: String,
}

impl Fixture {
    /// A transport stream made with ffmpeg's `arguments`.
    pub fn ts(arguments: &str) -> Self {
        Self::made("body.ts", &format!("{arguments} -f mpegts"))
    }

    /// The file `name` that ffmpeg makes with `arguments`.
    pub fn made(name: &str, arguments: &str) -> Self {
        let dir = TempDir::new().expect("temporary directory");
        let path = dir.path().join(name);
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y"])
            .args(arguments.split_whitespace())
            .arg(&path)
            .output()
            .expect("ffmpeg runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(&path).expect("ffmpeg wrote it");
        Self { bytes, dir, name: name.to_owned() }
    }

    fn probe(&self, arguments: &[&str]) -> Value {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-of", "json"])
            .args(arguments)
            .arg(self.dir.path().join(&self.name))
            .output()
            .expect("ffprobe runs");
        serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON")
    }

    /// ffprobe's description of each stream.
    pub fn streams(&self) -> Vec<Value> {
        self.probe(&["-show_streams"])["streams"].as_array().cloned().unwrap_or_default()
    }

    /// ffprobe's description of each packet of a stream.
    pub fn packets(&self, stream: usize) -> Vec<Value> {
        let select = stream.to_string();
        let packets = self.probe(&["-show_packets", "-select_streams", &select]);
        packets["packets"].as_array().cloned().unwrap_or_default()
    }

    /// The bytes of each packet of a stream, as ffprobe dumps them.
    pub fn packet_bytes(&self, stream: usize) -> Vec<Vec<u8>> {
        let select = stream.to_string();
        let packets = self.probe(&["-show_packets", "-show_data", "-select_streams", &select]);
        let packets = packets["packets"].as_array().cloned().unwrap_or_default();
        packets.iter().map(|packet| undump(text(&packet["data"]))).collect()
    }
}

/// The bytes of ffprobe's hexadecimal dump: offset, eight groups, the characters.
fn undump(dump: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in dump.lines().filter(|line| !line.is_empty()) {
        let groups = &line[10..line.len().min(50)];
        let digits: Vec<u8> = groups.bytes().filter(u8::is_ascii_hexdigit).collect();
        for pair in digits.chunks_exact(2) {
            let pair = std::str::from_utf8(pair).expect("digits");
            bytes.push(u8::from_str_radix(pair, 16).expect("digits"));
        }
    }
    bytes
}

/// A number, which ffprobe may write as text.
pub fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).expect("a number")
}

/// A text.
pub fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A packed audio segment: the timestamp's ID3 tag, then `frames`.
pub fn packed(time: u64, frames: &[u8]) -> Vec<u8> {
    let mut private = b"com.apple.streaming.transportStreamTimestamp\0".to_vec();
    private.extend_from_slice(&time.to_be_bytes());
    let size = u8::try_from(private.len()).expect("short");
    let mut segment = vec![b'I', b'D', b'3', 4, 0, 0, 0, 0, 0, size + 10];
    segment.extend_from_slice(&[b'P', b'R', b'I', b'V', 0, 0, 0, size, 0, 0]);
    segment.extend_from_slice(&private);
    segment.extend_from_slice(frames);
    segment
}

/// The PID of a transport packet.
pub fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// A small transport stream of one second: H.264 on PID 256, AAC on 257, the map on 4096.
pub fn small_ts() -> Fixture {
    Fixture::ts(
        "-f lavfi -i testsrc2=size=160x90:rate=25:duration=1 -f lavfi -i sine=duration=1 \
         -c:v libx264 -c:a aac",
    )
}
