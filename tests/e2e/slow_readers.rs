//! The recycle canary over HTTP: slow readers while the ring turns over under them.
//!
//! Each segment's payload is one byte over and over. A reader who asked for a segment and does not
//! read gets either all of it later, or the beginning of it: never another segment's bytes.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, channel_with, endpoints, eventually};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const FRAME_COUNT: u64 = 470;
const FRAME_TICKS: u64 = 1_920;
/// Bytes of one AAC frame, header not counted.
const FRAME_SIZE: u16 = 8_000;
const PAYLOAD_SIZE: usize = 470 * 8_000;
/// Enough to fill the ring once and a half; none fits a socket's buffers.
const SEGMENT_COUNT: u8 = 60;
/// Readers of one segment at once.
const CROWD: usize = 1_000;
/// Files that such a ring keeps empty: what it has dropped takes the place of these.
const SPARE_COUNT: usize = 2;

/// Segment `number`: packed AAC, each frame filled with that number.
fn packed_aac(number: u8) -> Vec<u8> {
    let time = u64::from(number) * FRAME_COUNT * FRAME_TICKS;
    let mut private = b"com.apple.streaming.transportStreamTimestamp\0".to_vec();
    private.extend_from_slice(&time.to_be_bytes());
    let size = u8::try_from(private.len()).unwrap();
    let mut segment = vec![b'I', b'D', b'3', 4, 0, 0, 0, 0, 0, size + 10];
    segment.extend_from_slice(&[b'P', b'R', b'I', b'V', 0, 0, 0, size, 0, 0]);
    segment.extend_from_slice(&private);
    let [high, low] = (FRAME_SIZE + 7).to_be_bytes();
    let sizes = [0x80 | (high >> 3), (high << 5) | (low >> 3), (low << 5) | 0x1f];
    for _ in 0..FRAME_COUNT {
        segment.extend_from_slice(&[0xff, 0xf1, 0x4c]);
        segment.extend_from_slice(&sizes);
        segment.push(0xfc);
        segment.extend(std::iter::repeat_n(number, FRAME_SIZE.into()));
    }
    segment
}

fn playlist(count: u8) -> String {
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n".to_owned();
    text.push_str("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n");
    for number in 0..count {
        text.extend(["#EXTINF:10.026667,\n", &number.to_string(), ".aac\n"]);
    }
    text
}

/// A reader with next to no buffer, who has asked for `path` and reads nothing yet.
fn ask(origin: &Origin, path: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(&origin.data().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

/// Reads what comes. Returns whether that was all, after looking at each byte.
fn finish(mut stream: TcpStream) -> bool {
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    let text = String::from_utf8_lossy(&received[..received.len().min(1_000)]).into_owned();
    assert!(text.starts_with("HTTP/1.1 200 ") || received.is_empty(), "{text}");
    let length = text.split("Content-Length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let head = received.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let body = &received[head..];
    assert!(body.len() <= length && (length == 0 || length > PAYLOAD_SIZE));
    let payload = body.get(length.saturating_sub(PAYLOAD_SIZE)..).unwrap_or_default();
    let wrong = payload.iter().position(|byte| *byte != payload[0]);
    assert_eq!(wrong, None, "bytes of another segment");
    length > 0 && body.len() == length
}

/// The newest segment that the CMAF endpoint lists.
fn newest(origin: &Origin) -> Option<String> {
    let folder = "/out/v1/demo-cmaf/hls/";
    let get = |path: &str| {
        let response = Connection::open(origin.data()).request("GET", path, &[], b"");
        (response.status == 200).then(|| response.text())
    };
    let uri = |text: &str| text.lines().rfind(|line| !line.starts_with('#')).map(str::to_owned);
    let media = uri(&get(&format!("{folder}index.m3u8"))?)?;
    let segment = uri(&get(&format!("{folder}{media}"))?)?;
    Some(match segment.strip_prefix("../") {
        Some(rest) => format!("/out/v1/demo-cmaf/{rest}"),
        None => format!("{folder}{segment}"),
    })
}

/// Pushes segment `number` until the ring takes it.
fn push(encoder: &mut Encoder, number: u8) {
    let body = packed_aac(number);
    eventually("the ring takes a segment, cutting readers where it must", || {
        let stored = encoder.put(&format!("{number}.aac"), &body);
        assert!(matches!(stored.status, 201 | 204 | 503), "{}", stored.text());
        (stored.status != 503).then_some(())
    });
}

/// Has the kernel send RST, as for a process that is killed with data unread.
fn vanish(stream: TcpStream) {
    socket2::Socket::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn st_20_st_21_a_thousand_readers_of_one_file_hold_its_space_no_longer_than_they_may() {
    let tables = channel_with("demo", "128MiB", "4MiB") + &endpoints("demo", 10);
    let origin = Origin::start(&tables);
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let stored = encoder.put("channel.m3u8", playlist(SEGMENT_COUNT).as_bytes());
    assert_eq!(stored.status, 201, "{}", stored.text());
    let mut number = 0;
    let path = loop {
        push(&mut encoder, number);
        number += 1;
        if let Some(path) = newest(&origin) {
            break path;
        }
    };
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| ask(&origin, &path)).collect();
    for stream in &crowd {
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1, "each is being answered");
    }
    let connections = |origin: &Origin| origin.metric("headwater_shard_connections", "");
    assert!(connections(&origin) >= CROWD as u64);
    crowd.drain(CROWD / 2..).for_each(vanish);
    eventually("those that vanished are let go of", || {
        (connections(&origin) < CROWD as u64 / 2 + 10).then_some(())
    });
    // The ring turns over; the others hold on to what it drops, until it needs the space.
    let mut held = 0;
    while held == 0 {
        assert!(number < SEGMENT_COUNT, "they hold nothing");
        push(&mut encoder, number);
        number += 1;
        held = origin.unnamed_file_count();
    }
    assert!(held <= SPARE_COUNT, "{held} files without a name take space");
    eventually("the space is back", || {
        let lingering = origin.metric("headwater_ring_lingering_files", "demo");
        (lingering == 0 && origin.unnamed_file_count() == 0).then_some(())
    });
    for stream in crowd {
        // Whole, or cut; another segment's bytes never.
        finish(stream);
    }
}

#[test]
fn a_ring_turns_over_under_readers_who_wait() {
    let tables = channel_with("demo", "128MiB", "4MiB") + &endpoints("demo", 10);
    let origin = Origin::start(&tables);
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let mut readers: Vec<TcpStream> = Vec::new();
    let mut asked = None;
    for number in 0..SEGMENT_COUNT {
        if number % 10 == 0 {
            let stored = encoder.put("channel.m3u8", playlist(SEGMENT_COUNT).as_bytes());
            assert_eq!(stored.status, 201, "{}", stored.text());
        }
        push(&mut encoder, number);
        let listed = newest(&origin);
        if let Some(path) = listed.filter(|path| asked.as_ref() != Some(path)) {
            readers.push(ask(&origin, &path));
            asked = Some(path);
        }
    }
    assert!(readers.len() > usize::from(SEGMENT_COUNT) / 2, "{} readers", readers.len());
    let all = readers.len();
    let whole = readers.into_iter().map(finish).filter(|is_whole| *is_whole).count();
    assert!((1..all).contains(&whole), "{whole} of {all} came whole: the others were cut");
    let spliced = origin.metric("headwater_shard_spliced_bytes_total", "");
    let copied = origin.metric("headwater_shard_copied_bytes_total", "");
    assert!(spliced > 20 * copied, "{spliced} by sendfile, {copied} copied");
}
