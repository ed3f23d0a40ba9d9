//! Twins push the same stream into both inputs and die in turn, in every way an encoder can.

use crate::client::{Connection, Encoder};
use crate::endless::{Life, put, segment, stump};
use crate::origin::{Origin, channel_with, endpoints, eventually};
use crate::playback::{CMAF, DASH, HLS, listed, media_playlists, served};
use crate::report::report;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Deaths at one origin, and origins: two dozen in all.
const DEATH_COUNT: i64 = 6;
const ORIGIN_COUNT: usize = 4;
/// Segments from one death to the next: one dies in the first, and is back with the third.
const DEATH_INTERVAL: i64 = 4;
const SEGMENT_COUNT: i64 = (DEATH_COUNT + 2) * DEATH_INTERVAL;
/// What each pause of an encoder that grows slower is longer than the one before.
const PAUSE_GROWTH: Duration = Duration::from_millis(10);
/// Segments that every manifest lists at least.
const LISTED_COUNT: usize = 20;

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
    /// It sends slower and slower: each piece half of the one before, after a longer pause.
    Slower,
}

const DEATHS: [Death; 6] = [
    Death::MidBody,
    Death::BeforePlaylist,
    Death::Silent,
    Death::Stump,
    Death::Between,
    Death::Slower,
];

/// One encoder of a pair.
struct Twin {
    encoder: Encoder,
    life: Life,
    /// Connections that were never closed.
    left_open: Vec<Connection>,
    /// Who sends slower and slower, on a connection that is never closed.
    slowing: Vec<JoinHandle<Connection>>,
}

impl Twin {
    fn new(origin: &Origin, input: usize) -> Self {
        let encoder = Encoder::new(origin, "demo", input);
        Self { encoder, life: Life { first: 0 }, left_open: Vec::new(), slowing: Vec::new() }
    }

    fn die(&mut self, origin: &Origin, number: i64, death: Death) {
        let name = Life::name(number);
        let body = segment(number);
        match death {
            Death::MidBody | Death::Silent | Death::Slower => {
                let path = self.encoder.path(&name);
                let credentials = self.encoder.authorization("PUT", &path);
                let mut connection = Connection::open(origin.data());
                let head = format!(
                    "PUT {path} HTTP/1.1\r\nHost: origin\r\nAuthorization: {credentials}\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                );
                connection.send(&[head.as_bytes(), &body[..body.len() / 2]].concat()).unwrap();
                let rest = body[body.len() / 2..].to_vec();
                match death {
                    Death::Slower => {
                        self.slowing
                            .push(thread::spawn(move || slower_and_slower(connection, &rest)));
                    }
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

/// Sends halves of what is left, and never the last byte.
fn slower_and_slower(mut connection: Connection, mut rest: &[u8]) -> Connection {
    let mut pause = PAUSE_GROWTH;
    while rest.len() > 1 {
        thread::sleep(pause);
        pause += PAUSE_GROWTH;
        let (piece, later) = rest.split_at(rest.len() / 2);
        if connection.send(piece).is_err() {
            break;
        }
        rest = later;
    }
    connection
}

/// The newest segment of a media playlist.
fn newest(origin: &Origin, path: &str) -> String {
    let playlist = origin.get(path).text();
    playlist.lines().last().unwrap().to_owned()
}

/// Who dies in a round of [`DEATH_INTERVAL`] segments, and how; the first round is without.
fn victim(origin: usize, round: i64) -> Option<(usize, Death)> {
    let round = usize::try_from(round).unwrap().checked_sub(1)?;
    // Each death comes to each input at two of the origins.
    let death = DEATHS[(round + origin) % DEATHS.len()];
    (round < DEATHS.len()).then_some(((round + origin / 2) % 2, death))
}

/// Pushes a stream whose encoders die in turn; each segment is listed before the next is sent.
fn push_dying(origin: &Origin, order: usize) {
    let mut twins = [Twin::new(origin, 1), Twin::new(origin, 2)];
    let mut pictures = None;
    for number in 0..SEGMENT_COUNT {
        let phase = number % DEATH_INTERVAL;
        let dying = victim(order, number / DEATH_INTERVAL);
        let before = pictures.as_ref().map(|path: &String| newest(origin, path));
        // Who dies is the first to send.
        let last = dying.map_or(1, |(at, _)| 1 - at);
        for at in [1 - last, last] {
            let twin = &mut twins[at];
            match (dying.filter(|(victim, _)| *victim == at), phase) {
                (Some((_, death)), 0) => twin.die(origin, number, death),
                (Some(_), 1) => {}
                (revived, _) => {
                    if revived.is_some() && phase == 2 {
                        twin.life = Life { first: number };
                        twin.encoder = Encoder::new(origin, "demo", at + 1);
                    }
                    let life = twin.life;
                    life.push(&mut twin.encoder, number);
                }
            }
        }
        if let (Some(path), Some(before)) = (&pictures, before) {
            let what = format!("segment {number} is listed; {dying:?}");
            eventually(&what, || (newest(origin, path) != before).then_some(()));
        } else {
            let top = origin.get(CMAF);
            pictures = (top.status == 200)
                .then(|| media_playlists(CMAF, &top.text()))
                .and_then(|paths| paths.into_iter().find(|path| path.contains("v1")));
        }
    }
}

#[test]
fn in_01_two_dozen_deaths_leave_no_trace() {
    // One encoder that never died leads to the same.
    let tables = channel_with("demo", "40MiB", "1MiB") + &endpoints("demo", 2);
    let reference = Origin::start(&tables);
    let mut alone = Encoder::new(&reference, "demo", 1);
    for number in 0..SEGMENT_COUNT {
        Life { first: 0 }.push(&mut alone, number);
    }
    let expected = served(&reference, LISTED_COUNT);
    let mut publications: Vec<(String, u64)> = Vec::new();
    for order in 0..ORIGIN_COUNT {
        let origin = Origin::start(&tables);
        push_dying(&origin, order);
        for path in [HLS, CMAF] {
            for rendition in listed(&origin, path) {
                for sign in ["#EXT-X-DISCONTINUITY\n", "#EXT-X-GAP\n"] {
                    assert!(!rendition.playlist.contains(sign), "{}", rendition.playlist);
                }
                rendition.assert_consecutive();
            }
        }
        assert_eq!(origin.get(DASH).text().matches("<Period").count(), 1);
        let found = served(&origin, LISTED_COUNT);
        assert_eq!(found.0, expected.0);
        assert!(found.1 == expected.1, "the same bytes");
        for name in ["headwater_discontinuities_total", "headwater_gaps_total"] {
            assert_eq!(origin.metric(name, "channel=\"demo\""), 0, "{name}");
        }
        let buckets = origin.buckets("headwater_publication_seconds");
        publications.resize_with(buckets.len(), Default::default);
        for ((known, sum), (bound, seen)) in publications.iter_mut().zip(buckets) {
            *known = bound;
            *sum += seen;
        }
    }
    let count = publications.last().unwrap().1;
    let below = |percent: u64| {
        &publications.iter().find(|(_, seen)| seen * 100 >= count * percent).unwrap().0
    };
    report(&format!(
        "from a segment's first sound copy to its publication while twins die: median within \
         {} s, p99 within {} s, of {count}",
        below(50),
        below(99)
    ));
}
