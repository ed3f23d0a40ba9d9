//! Twins push the same stream into both inputs and die in turn, in every way an encoder can.

use crate::client::{Connection, Encoder};
use crate::endless::{Life, put, segment, stump};
use crate::origin::{Origin, channel_with, endpoints, eventually};
use crate::playback::{CMAF, DASH, HLS, listed, media_playlists, served};
use std::time::Instant;

/// Deaths in a run.
const DEATH_COUNT: i64 = 20;
/// Segments from one death to the next: one dies in the first, and is back with the third.
const DEATH_INTERVAL: i64 = 4;
const SEGMENT_COUNT: i64 = DEATH_COUNT * DEATH_INTERVAL + 4;

/// Segments of 2.002 s that every manifest of 60 s lists at least.
const LISTED_COUNT: usize = 25;

/// How an encoder ends.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// Its process is killed while it sends a segment: the connection is reset.
    MidBody,
    /// It sent the segment, not the playlist that lists it.
    BeforePlaylist,
    /// Its packets are lost: half a segment, and nothing more on a connection that stays open.
    Silent,
    /// It is asked to end: a well-formed stump, listed, with ENDLIST.
    Stump,
    /// Nothing came of the segment at all.
    Between,
}

const DEATHS: [Death; 5] =
    [Death::MidBody, Death::BeforePlaylist, Death::Silent, Death::Stump, Death::Between];

/// One encoder of a pair.
struct Twin {
    encoder: Encoder,
    life: Life,
    /// Connections that were never closed.
    left_open: Vec<Connection>,
}

impl Twin {
    fn new(origin: &Origin, input: usize) -> Self {
        let encoder = Encoder::new(origin, "demo", input);
        Self { encoder, life: Life { first: 0 }, left_open: Vec::new() }
    }

    fn die(&mut self, origin: &Origin, number: i64, death: Death) {
        let name = self.life.name(number);
        let body = segment(number);
        match death {
            Death::MidBody | Death::Silent => {
                let path = self.encoder.path(&name);
                let credentials = self.encoder.authorization("PUT", &path);
                let mut connection = Connection::open(origin.data());
                let head = format!(
                    "PUT {path} HTTP/1.1\r\nHost: origin\r\nAuthorization: {credentials}\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                );
                connection.send(&[head.as_bytes(), &body[..body.len() / 2]].concat()).unwrap();
                match death {
                    Death::Silent => self.left_open.push(connection),
                    _ => connection.reset(),
                }
            }
            Death::BeforePlaylist => put(&mut self.encoder, &name, &body),
            Death::Stump => {
                put(&mut self.encoder, &name, &stump(number));
                let playlist = self.life.playlist(number);
                let (head, _) = playlist.rsplit_once("#EXTINF").unwrap();
                let playlist = format!("{head}#EXTINF:1.034,\n{name}\n#EXT-X-ENDLIST\n");
                put(&mut self.encoder, "channel_0.m3u8", playlist.as_bytes());
            }
            Death::Between => {}
        }
    }
}

/// The newest segment of a media playlist.
fn newest(origin: &Origin, path: &str) -> String {
    let playlist = origin.get(path).text();
    playlist.lines().last().unwrap().to_owned()
}

#[test]
fn in_01_twenty_deaths_leave_no_trace() {
    let tables = channel_with("demo", "40MiB", "1MiB") + &endpoints("demo", 2);
    let origin = Origin::start(&tables);
    let mut twins = [Twin::new(&origin, 1), Twin::new(&origin, 2)];
    let mut delays = Vec::new();
    let mut pictures = None;
    for number in 0..SEGMENT_COUNT {
        let (round, phase) = (number / DEATH_INTERVAL, number % DEATH_INTERVAL);
        let dead = (round >= 1).then_some(usize::try_from(round % 2).unwrap());
        let death = DEATHS[usize::try_from(round / 2 % 5).unwrap()];
        let mut first = None;
        // Who dies is the first to send.
        let order = if dead == Some(1) { [1, 0] } else { [0, 1] };
        let before = pictures.as_ref().map(|path: &String| newest(&origin, path));
        for at in order {
            let twin = &mut twins[at];
            match (dead == Some(at), phase) {
                (true, 0) => twin.die(&origin, number, death),
                (true, 1) => {}
                (revived, _) => {
                    if revived && phase == 2 {
                        // It names its segments from 0 again.
                        twin.life = Life { first: number };
                        twin.encoder = Encoder::new(&origin, "demo", at + 1);
                    }
                    let life = twin.life;
                    life.push(&mut twin.encoder, number);
                    first.get_or_insert_with(Instant::now);
                }
            }
        }
        match (&pictures, before, first) {
            (Some(path), Some(before), Some(first)) => {
                let what = format!("{death:?} of {dead:?}: segment {number} is listed");
                delays.push(eventually(&what, || {
                    (newest(&origin, path) != before).then(|| first.elapsed())
                }));
            }
            _ => {
                let top = origin.get(CMAF);
                pictures = (top.status == 200)
                    .then(|| media_playlists(CMAF, &top.text()))
                    .and_then(|paths| paths.into_iter().find(|path| path.contains("v1")));
            }
        }
    }
    delays.sort_unstable();
    println!(
        "from the first whole copy to its listing, polls included: median {:?}, p99 {:?}, of {}",
        delays[delays.len() / 2],
        delays[delays.len() * 99 / 100],
        delays.len()
    );

    // One encoder that never died, alone at another origin, leads to the same.
    let reference = Origin::start(&tables);
    let mut alone = Twin::new(&reference, 1);
    for number in 0..SEGMENT_COUNT {
        alone.life.push(&mut alone.encoder, number);
    }
    let (expected, bytes) = served(&reference, LISTED_COUNT);
    let (found, found_bytes) = served(&origin, LISTED_COUNT);
    for path in [HLS, CMAF] {
        for rendition in listed(&origin, path) {
            for sign in ["#EXT-X-DISCONTINUITY\n", "#EXT-X-GAP\n"] {
                assert!(!rendition.playlist.contains(sign), "{}", rendition.playlist);
            }
            rendition.assert_consecutive();
        }
    }
    assert_eq!(origin.get(DASH).text().matches("<Period").count(), 1);
    assert_eq!(found, expected);
    assert!(found_bytes == bytes, "the same bytes");
    for name in ["headwater_discontinuities_total", "headwater_gaps_total"] {
        assert_eq!(origin.metric(name, "channel=\"demo\""), 0, "{name}");
    }
    assert!(origin.metric("headwater_input_switches_total", "channel=\"demo\"") < 40);
}
