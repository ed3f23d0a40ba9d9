//! Load for `perf/ingest`: pushes transport stream segments over kept connections, one channel
//! and one thread each, as fast as the server takes them. Prints how many it took while it warmed
//! up, and after that how many more.
//!
//! The given files are sent round and round; their PCR, PTS and DTS are moved on with every round,
//! so that each segment is new media to the server. Speaks digest authentication (RFC 7616, MD5,
//! `qop=auth`) where asked to. Not an encoder: no playlist follows the segments.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use md5::{Digest as _, Md5};

const PACKET_SIZE: usize = 188;
const CREDENTIALS: &str = "perf";
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Pushes segments and prints how many were taken.
#[derive(Parser)]
struct Arguments {
    /// The server, as `host:port`.
    #[arg(long)]
    address: String,
    /// How long to push at first, apart.
    #[arg(long)]
    warm_up: u64,
    /// How long to push then.
    #[arg(long)]
    seconds: u64,
    /// Channels `perf1`, `perf2`, …: one connection each.
    #[arg(long)]
    channels: u32,
    /// Consecutive segments of one stream.
    #[arg(required = true)]
    segments: Vec<PathBuf>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let read = arguments.segments.iter().map(std::fs::read).collect::<io::Result<Vec<_>>>()?;
    let segments: Vec<Segment> = read.into_iter().map(Segment::new).collect();
    let warm = Instant::now() + Duration::from_secs(arguments.warm_up);
    let deadline = warm + Duration::from_secs(arguments.seconds);
    let taken = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (1..=arguments.channels)
        .map(|channel| {
            let (address, segments) = (arguments.address.clone(), segments.clone());
            let taken = Arc::clone(&taken);
            thread::spawn(move || push(&address, channel, segments, deadline, &taken))
        })
        .collect();
    thread::sleep(Duration::from_secs(arguments.warm_up));
    let before = taken.load(Ordering::Relaxed);
    println!("{before}");
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a connection's thread panicked"))??;
    }
    println!("{}", taken.load(Ordering::Relaxed) - before);
    Ok(())
}

/// Pushes until the deadline; counts the segments that the server answered with 2xx.
fn push(
    address: &str,
    channel: u32,
    mut segments: Vec<Segment>,
    deadline: Instant,
    taken: &AtomicU64,
) -> io::Result<()> {
    let mut connection = Connection::open(address)?;
    let round_ticks = round_ticks(&segments);
    let mut count = 0_u64;
    loop {
        for segment in &mut segments {
            if Instant::now() >= deadline {
                return Ok(());
            }
            // Names come again, so that a server of plain files does not fill the disk.
            let path = format!("/in/v2/perf{channel}/1/channel_1_{:03}.ts", count % 100);
            connection.put(&path, &segment.bytes)?;
            segment.advance(round_ticks);
            count += 1;
            taken.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Duration of all segments together: their even spacing times their count.
fn round_ticks(segments: &[Segment]) -> u64 {
    match segments {
        [first, .., last] => {
            let count = u64::try_from(segments.len()).unwrap_or(u64::MAX);
            (last.video_start - first.video_start) / (count - 1) * count
        }
        _ => 180_000, // one segment of two seconds
    }
}

/// One segment and where its clocks stand.
#[derive(Clone)]
struct Segment {
    bytes: Vec<u8>,
    /// Offsets of five-byte PTS and DTS fields (ISO/IEC 13818-1 §2.4.3.7).
    stamps: Vec<usize>,
    /// Offsets of six-byte PCR fields (§2.4.3.5).
    clocks: Vec<usize>,
    /// PTS of the first picture.
    video_start: u64,
}

impl Segment {
    fn new(bytes: Vec<u8>) -> Self {
        let (mut stamps, mut clocks, mut video_start) = (Vec::new(), Vec::new(), None);
        for at in (0..bytes.len()).step_by(PACKET_SIZE) {
            let packet = &bytes[at..(at + PACKET_SIZE).min(bytes.len())];
            let has_adaptation = packet[3] & 0x20 != 0;
            if has_adaptation && packet[4] > 0 && packet[5] & 0x10 != 0 {
                clocks.push(at + 6);
            }
            let payload = if has_adaptation { 5 + usize::from(packet[4]) } else { 4 };
            let starts = packet[1] & 0x40 != 0;
            if starts && packet.get(payload..payload + 3) == Some(&[0, 0, 1]) {
                let flags = packet[payload + 7];
                let present = [flags & 0x80 != 0, flags & 0x40 != 0];
                if packet[payload + 3] & 0xf0 == 0xe0 {
                    let pts = stamp(read_number::<5>(&packet[payload + 9..]));
                    video_start = video_start.or(Some(pts));
                }
                let fields = present.iter().filter(|is_present| **is_present).count();
                stamps.extend((0..fields).map(|index| at + payload + 9 + 5 * index));
            }
        }
        Self { bytes, stamps, clocks, video_start: video_start.unwrap_or(0) }
    }

    /// Moves every clock on by `ticks` of 90 kHz, modulo 2^33.
    fn advance(&mut self, ticks: u64) {
        const MASK: u64 = (1 << 33) - 1;
        for &at in &self.stamps {
            let field = read_number::<5>(&self.bytes[at..]);
            let stamp = (stamp(field) + ticks) & MASK;
            let kept = field & (0xf << 36 | MARKERS);
            let spread = stamp >> 30 << 33 | (stamp >> 15 & 0x7fff) << 17 | (stamp & 0x7fff) << 1;
            self.bytes[at..at + 5].copy_from_slice(&(kept | spread).to_be_bytes()[3..]);
        }
        for &at in &self.clocks {
            let field = read_number::<6>(&self.bytes[at..]);
            let base = ((field >> 15) + ticks) & MASK;
            let moved = base << 15 | field & 0x7fff;
            self.bytes[at..at + 6].copy_from_slice(&moved.to_be_bytes()[2..]);
        }
    }
}

/// The marker bits of a PTS or DTS field.
const MARKERS: u64 = 1 << 32 | 1 << 16 | 1;

/// The first `N` bytes as a number.
fn read_number<const N: usize>(bytes: &[u8]) -> u64 {
    bytes[..N].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The 33 bits between the markers of a PTS or DTS field.
fn stamp(field: u64) -> u64 {
    (field >> 33 & 7) << 30 | (field >> 17 & 0x7fff) << 15 | field >> 1 & 0x7fff
}

/// A kept connection with the challenge it was given.
struct Connection {
    stream: BufReader<TcpStream>,
    challenge: Option<Challenge>,
}

/// What an MD5 challenge fixes for all requests that answer it.
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    count: u32,
}

impl Connection {
    fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), challenge: None })
    }

    /// Sends one body; the first time without it, to be given the challenge.
    fn put(&mut self, path: &str, body: &[u8]) -> io::Result<()> {
        if self.challenge.is_none() {
            let (status, challenges) = self.exchange(path, &[])?;
            if status == 401 {
                self.challenge = challenges.iter().find_map(|line| Challenge::parse(line));
                if self.challenge.is_none() {
                    return Err(io::Error::other("no MD5 challenge among the 401's"));
                }
            }
        }
        loop {
            match self.exchange(path, body)? {
                (200..300, _) => return Ok(()),
                // The disk does not keep up: again, as an encoder does it.
                (503, _) => thread::sleep(RETRY_PAUSE),
                (status, _) => return Err(io::Error::other(format!("{path}: {status}"))),
            }
        }
    }

    /// One request; returns the status and the `WWW-Authenticate` fields.
    fn exchange(&mut self, path: &str, body: &[u8]) -> io::Result<(u16, Vec<String>)> {
        let mut head =
            format!("PUT {path} HTTP/1.1\r\nHost: perf\r\nContent-Length: {}\r\n", body.len());
        if let Some(challenge) = &mut self.challenge {
            head += &challenge.answer(path);
        }
        head += "\r\n";
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        self.read_response()
    }

    fn read_response(&mut self) -> io::Result<(u16, Vec<String>)> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {line:?}")))?;
        let (mut size, mut challenges) = (0, Vec::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => size = value.parse().map_err(io::Error::other)?,
                "www-authenticate" => challenges.push(value.to_owned()),
                _ => {}
            }
        }
        io::copy(&mut self.stream.by_ref().take(size), &mut io::sink())?;
        Ok((status, challenges))
    }
}

impl Challenge {
    fn parse(line: &str) -> Option<Self> {
        let field = |name: &str| {
            let rest = &line[line.find(&format!("{name}="))? + name.len() + 1..];
            let quoted = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
            quoted.or_else(|| rest.split(',').next()).map(str::to_owned)
        };
        if field("algorithm").is_some_and(|algorithm| !algorithm.eq_ignore_ascii_case("MD5")) {
            return None;
        }
        Some(Self {
            realm: field("realm")?,
            nonce: field("nonce")?,
            opaque: field("opaque"),
            count: 0,
        })
    }

    /// The `Authorization` line of the next request (RFC 7616 §3.4).
    fn answer(&mut self, path: &str) -> String {
        self.count += 1;
        let Self { realm, nonce, opaque, count } = self;
        let secret = hash(&format!("{CREDENTIALS}:{realm}:{CREDENTIALS}"));
        let request = hash(&format!("PUT:{path}"));
        let response = hash(&format!("{secret}:{nonce}:{count:08x}:0a4f113b:auth:{request}"));
        let opaque = opaque.as_ref().map_or(String::new(), |text| format!(", opaque=\"{text}\""));
        format!(
            "Authorization: Digest username=\"{CREDENTIALS}\", realm=\"{realm}\", \
             nonce=\"{nonce}\", uri=\"{path}\", algorithm=MD5, qop=auth, nc={count:08x}, \
             cnonce=\"0a4f113b\", response=\"{response}\"{opaque}\r\n"
        )
    }
}

fn hash(text: &str) -> String {
    let mut hex = String::with_capacity(32);
    for byte in Md5::digest(text.as_bytes()) {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
