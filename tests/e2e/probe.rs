//! ffprobe's reading of a file, packet by packet.

use serde_json::Value;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// Names for what is fetched, by container.
pub const TRANSPORT_STREAM: &str = "fetched.ts";
pub const FRAGMENTED: &str = "fetched.mp4";

/// One packet as ffprobe tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// In units of the stream's time base.
    pub pts: i64,
    /// In units of the stream's time base.
    pub dts: i64,
    pub is_key: bool,
    pub bytes: Vec<u8>,
}

/// One stream.
#[derive(Clone, Debug)]
pub struct Stream {
    pub codec: String,
    /// Whether it comes from a file with an init segment, not from a transport stream.
    pub is_fragmented: bool,
    /// Ticks per second of its packets' times.
    pub timescale: i64,
    /// ffprobe's description.
    pub about: Value,
    pub packets: Vec<Packet>,
}

impl Stream {
    pub fn is_video(&self) -> bool {
        self.about["codec_type"] == "video"
    }

    /// What its init segment brings for the decoder.
    pub fn extradata(&self) -> Option<Vec<u8>> {
        let dump = self.is_fragmented.then(|| self.about["extradata"].as_str())?;
        dump.map(undump)
    }
}

/// Reads `bytes` as a file of this name; ffprobe must have nothing to complain of.
pub fn probe(name: &str, bytes: &[u8]) -> Vec<Stream> {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(name), bytes).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_streams", "-show_packets", "-show_data", name])
        .current_dir(dir.path())
        .output()
        .expect("ffprobe is installed");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{name}: {complaints}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let streams = told["streams"].as_array().unwrap().iter();
    let mut streams: Vec<Stream> = streams.map(|about| stream(name, about)).collect();
    for packet in told["packets"].as_array().unwrap() {
        let index = usize::try_from(packet["stream_index"].as_u64().unwrap()).unwrap();
        streams[index].packets.push(Packet {
            pts: packet["pts"].as_i64().expect("a presentation time"),
            dts: packet["dts"].as_i64().expect("a decode time"),
            is_key: packet["flags"].as_str().unwrap().starts_with('K'),
            bytes: undump(packet["data"].as_str().unwrap()),
        });
    }
    streams
}

fn stream(name: &str, about: &Value) -> Stream {
    let time_base = about["time_base"].as_str().unwrap();
    Stream {
        codec: about["codec_name"].as_str().unwrap().to_owned(),
        is_fragmented: name == FRAGMENTED,
        timescale: time_base.strip_prefix("1/").unwrap().parse().unwrap(),
        about: about.clone(),
        packets: Vec::new(),
    }
}

/// The bytes of ffprobe's hexadecimal dump: offset, eight groups, the characters.
fn undump(dump: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in dump.lines().filter(|line| !line.is_empty()) {
        let groups = &line[10..line.len().min(50)];
        let digits: Vec<u8> = groups.bytes().filter(u8::is_ascii_hexdigit).collect();
        for pair in digits.chunks_exact(2) {
            let pair = std::str::from_utf8(pair).unwrap();
            bytes.push(u8::from_str_radix(pair, 16).unwrap());
        }
    }
    bytes
}
