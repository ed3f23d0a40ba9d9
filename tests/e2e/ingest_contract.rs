//! What an encoder is answered, request by request, and what of it is published.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, channel, demo, endpoints, eventually};
use crate::playback::{CMAF, DASH, HLS, listed, listed_with};
use crate::source::{MUXED, SEGMENT_COUNT, Segment};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

const SEGMENT: &str = "channel_0_00000.ts";
/// Bytes per second of a body that is sent slowly: half as much again as it must have.
const SLOW_RATE: usize = 6 << 10;

fn first_body() -> &'static [u8] {
    &MUXED.variants[0].segments[0].body
}

/// Pushes what a first publication needs beside the first segment.
fn push_playlists(encoder: &mut Encoder, count: usize) {
    let playlist = MUXED.variants[0].playlist_of(0..count);
    for (name, text) in [("channel_0.m3u8", &playlist), ("channel.m3u8", &MUXED.multivariant)] {
        assert!(matches!(encoder.put(name, text.as_bytes()).status, 201 | 204), "{name}");
    }
}

#[test]
fn who_has_no_credentials_is_asked_for_them() {
    let origin = Origin::start(&demo());
    let path = format!("/in/v2/demo/1/{SEGMENT}");
    let mut connection = Connection::open(origin.data());
    // The body stays away: a 100 would be the answer to wait for.
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: origin\r\nExpect: 100-continue\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    connection.send(head.as_bytes()).unwrap();
    let response = connection.one_response(false).unwrap();
    assert_eq!(response.status, 401, "before any 100");
    let challenges: Vec<&str> = response.named("www-authenticate").collect();
    assert_eq!(challenges.len(), 2, "{challenges:?}");
    assert!(challenges[0].contains("algorithm=SHA-256"), "{challenges:?}");
    assert!(challenges[1].contains("algorithm=MD5"), "the last, for FFmpeg: {challenges:?}");
    for challenge in challenges {
        assert!(challenge.starts_with("Digest ") && challenge.contains("qop=\"auth\""));
        for quoted in challenge.split('"').skip(1).step_by(2) {
            assert!(quoted.len() <= 128, "FFmpeg's buffers: {quoted}");
        }
    }
    for method in ["POST", "DELETE"] {
        let response = Connection::open(origin.data()).request(method, &path, &[], b"");
        assert_eq!(response.status, 401, "{method}");
    }
}

#[test]
fn whose_path_it_is() {
    let guest = "[[channel]]\nid = \"other\"\nring = \"40MiB\"\nsegment_size_max = \"1MiB\"\n\
                 [[channel.input]]\nusername = \"guest\"\npassword = \"guest secret\"\n";
    let origin = Origin::start(&(demo() + guest));
    for (channel, input, user, password, status) in [
        ("demo", 1, "encoder1", "wrong", 401),
        ("demo", 1, "nobody", "wrong", 401),
        ("demo", 1, "guest", "guest secret", 403),
        ("demo", 1, "encoder2", "second secret", 403),
        ("other", 1, "encoder1", "first secret", 403),
        ("other", 2, "guest", "guest secret", 404),
        ("demo", 3, "encoder1", "first secret", 404),
        ("nobody", 1, "encoder1", "first secret", 404),
    ] {
        let mut encoder = Encoder::with_user(&origin, channel, input, user, password);
        let response = encoder.put(SEGMENT, first_body());
        assert_eq!(response.status, status, "{user} at {channel}/{input}: {}", response.text());
    }
    assert!(!origin.log().contains("secret"), "passwords stay out of the log");
    assert!(!origin.access_log().contains("secret"), "passwords stay out of the access log");
}

#[test]
fn a_captured_request_is_worth_nothing() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    encoder.authenticate();
    let message = encoder.message("PUT", SEGMENT, first_body());
    let mut connection = Connection::open(origin.data());
    connection.send(&message).unwrap();
    assert_eq!(connection.try_response(false).unwrap().status, 201);
    let mut other = Connection::open(origin.data());
    other.send(&message).unwrap();
    let replayed = other.try_response(false).unwrap();
    assert_eq!(replayed.status, 401);
    let challenge = replayed.field("www-authenticate").unwrap();
    assert!(challenge.contains("stale=true"), "{challenge}");

    let path = encoder.path("channel_0_00001.ts");
    let elsewhere = encoder.authorization("PUT", &encoder.path(SEGMENT));
    let response = Connection::open(origin.data()).request(
        "PUT",
        &path,
        &[("Authorization", &elsewhere)],
        first_body(),
    );
    assert_eq!(response.status, 400, "credentials for another path");
}

#[test]
fn unusable_bodies_leave_nothing_and_can_be_sent_again() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    push_playlists(&mut encoder, 1);
    let whole = first_body();
    let foreign: Vec<u8> = whole.iter().map(|byte| byte ^ 0xa5).collect();
    let tables_only = whole[..3 * 188].to_vec();
    for (what, body) in [
        ("empty", &[][..]),
        ("one byte", b"G"),
        ("cut inside a packet", &whole[..whole.len() / 2 / 188 * 188 + 100]),
        ("tables without media", &tables_only),
        ("not a transport stream", &foreign),
        ("a text", b"<html>the encoder's error page</html>"),
    ] {
        let response = encoder.put(SEGMENT, body);
        assert_eq!(response.status, 400, "{what}: {response:?}");
        assert!(response.text().trim().len() >= 10, "{what}: a reason, got {}", response.text());
        for path in [HLS, CMAF, DASH] {
            assert!(listed(&origin, path).is_empty(), "{what}: {path} lists it");
        }
    }
    assert!(origin.metric("headwater_ingest_damaged_total", "input=\"1\"") >= 5);
    let again = encoder.put(SEGMENT, whole);
    assert_eq!(again.status, 201, "{again:?}");
    for path in [HLS, CMAF, DASH] {
        listed_with(&origin, path, 1);
    }
}

#[test]
fn unusable_playlists_are_refused() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let long = format!("#EXTM3U\n#{}\n", "x".repeat(10_000));
    for (what, body) in [
        ("empty", ""),
        ("no playlist", "<html></html>"),
        ("a duration that is none", "#EXTM3U\n#EXTINF:abc,\na.ts\n"),
        ("a duration without end", "#EXTM3U\n#EXTINF:NaN,\na.ts\n"),
        ("a duration beyond all", "#EXTM3U\n#EXTINF:1e308,\na.ts\n"),
        ("a duration below nothing", "#EXTM3U\n#EXTINF:-1,\na.ts\n"),
        ("a line too long", &long),
    ] {
        let response = encoder.put("channel_0.m3u8", body.as_bytes());
        assert_eq!(response.status, 400, "{what}: {response:?}");
        assert!(!response.text().is_empty(), "{what}: a reason");
    }
    let response = encoder.put("channel_0.m3u8", &vec![b'\n'; 2 << 20]);
    assert_eq!(response.status, 413, "two megabytes of playlist");
}

#[test]
fn in_39_no_address_of_a_playlist_is_opened() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let bait = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = bait.local_addr().unwrap();
    let tags = format!(
        "#EXT-X-KEY:METHOD=AES-128,URI=\"http://{address}/key\"\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"file:///etc/passwd\"\n\
         #EXT-X-MAP:URI=\"http://{address}/map\"\n"
    );
    for segment in &MUXED.variants[0].segments {
        assert_eq!(encoder.put(&segment.name, &segment.body).status, 201);
    }
    let playlist = MUXED.variants[0].playlist_of(0..SEGMENT_COUNT);
    let media = playlist.replacen("#EXTINF", &format!("{tags}#EXTINF"), 1);
    // Of an address the name at its end counts, wherever it leads.
    let media = media.replace("\nchannel_0_00001", &format!("\nhttp://{address}/channel_0_00001"));
    let media = media.replace("\nchannel_0_00002", "\n../../channel_0_00002");
    let top = format!(
        "\u{feff}{}#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"http://{address}/key\"\n",
        MUXED.multivariant
    );
    for (name, text) in [("channel_0.m3u8", media), ("channel.m3u8", top)] {
        let response = encoder.put(name, text.as_bytes());
        assert_eq!(response.status, 201, "{response:?}\n{text}");
    }
    for path in [HLS, CMAF, DASH] {
        for rendition in listed_with(&origin, path, SEGMENT_COUNT) {
            for text in ["EXT-X-KEY", "passwd", "http:", "../../"] {
                assert!(!rendition.playlist.contains(text), "{}", rendition.playlist);
            }
        }
        assert!(!origin.get(path).text().contains(&address.to_string()), "{path}");
    }
    bait.set_nonblocking(true).unwrap();
    assert_eq!(bait.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody came");
}

#[test]
fn cut_bodies_leave_nothing_and_can_be_sent_again() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    push_playlists(&mut encoder, 1);
    let whole = first_body();
    let with_length = encoder.message("PUT", SEGMENT, whole);
    let chunked = encoder.chunked(SEGMENT, whole, 8 << 10, true);
    let damaged = || origin.metric("headwater_ingest_damaged_total", "input=\"1\"");
    for (what, message) in
        [("length", &with_length[..with_length.len() - 1000]), ("chunked", &chunked[..])]
    {
        for reset in [false, true] {
            let before = damaged();
            let mut connection = Connection::open(origin.data());
            let message = match reset {
                false => message.to_vec(),
                // Credentials are good for one request.
                true if what == "length" => {
                    let fresh = encoder.message("PUT", SEGMENT, whole);
                    fresh[..fresh.len() - 1000].to_vec()
                }
                true => encoder.chunked(SEGMENT, whole, 8 << 10, true),
            };
            connection.send(&message).unwrap();
            if reset {
                connection.reset();
            } else {
                connection.finish_sending();
                connection.drained();
            }
            eventually("the cut is counted", || (damaged() > before).then_some(()));
            assert!(listed(&origin, HLS).is_empty(), "{what}");
        }
    }
    assert_eq!(encoder.put(SEGMENT, whole).status, 201);
    listed_with(&origin, HLS, 1);
}

#[test]
fn duplicates_and_deletions_change_nothing() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut encoder, 0..3);
    let before = listed_with(&origin, CMAF, 3);
    let bytes: Vec<_> = before.iter().map(|rendition| rendition.fetched(&origin)).collect();
    // An old one from the input in use may be an encoder that begins anew: its playlist tells.
    for at in [0, 1, 2, 2] {
        let segment = &MUXED.variants[0].segments[at];
        let response = encoder.put(&segment.name, &segment.body);
        let wanted = if at == 2 { 204..=204 } else { 201..=204 };
        assert!(wanted.contains(&response.status), "{}: {response:?}", segment.name);
        push_playlists(&mut encoder, 3);
    }
    for name in [SEGMENT, "channel_0.m3u8", "never-there.ts"] {
        let response = encoder.request("DELETE", name, b"");
        assert!((200..300).contains(&response.status), "{name}: {response:?}");
    }
    // As FFmpeg deletes: announced as chunked, and with an expectation.
    let path = encoder.path(SEGMENT);
    let authorization = encoder.authorization("DELETE", &path);
    let message = format!(
        "DELETE {path} HTTP/1.1\r\nHost: origin\r\nTransfer-Encoding: chunked\r\n\
         Expect: 100-continue\r\nAuthorization: {authorization}\r\n\r\n"
    );
    let mut connection = Connection::open(origin.data());
    connection.send(message.as_bytes()).unwrap();
    let interim = connection.one_response(false).unwrap();
    if interim.status == 100 {
        connection.send(b"0\r\n\r\n").unwrap();
        assert!((200..300).contains(&connection.try_response(false).unwrap().status));
    } else {
        assert!((200..300).contains(&interim.status), "{interim:?}");
    }
    assert_eq!(listed(&origin, CMAF), before);
    for (rendition, bytes) in before.iter().zip(bytes) {
        assert!(rendition.fetched(&origin) == bytes, "{}", rendition.name);
    }
    assert!(origin.metric("headwater_ingest_duplicates_total", "input=\"1\"") >= 2);
}

/// Everything that every endpoint serves once all segments are listed.
fn served(origin: &Origin) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for path in [HLS, CMAF, DASH] {
        for rendition in listed_with(origin, path, SEGMENT_COUNT) {
            all.insert(format!("{path} {}", rendition.name), rendition.fetched(origin));
            all.insert(rendition.name, rendition.playlist.into_bytes());
        }
        all.insert(path.to_owned(), origin.get(path).body);
    }
    all
}

#[test]
fn any_order_gives_the_same_output() {
    let in_order = Origin::start(&demo());
    MUXED.push(&mut Encoder::new(&in_order, "demo", 1), 0..SEGMENT_COUNT);
    let wanted = served(&in_order);
    let variant = &MUXED.variants[0];
    // Numbers are segments; `P` stands for the playlists that list everything.
    for order in ["P012345", "012345P", "0P21435", "0P12453", "01P2354", "P103254"] {
        let origin = Origin::start(&demo());
        let mut encoder = Encoder::new(&origin, "demo", 1);
        for step in order.chars() {
            let Some(at) = step.to_digit(10) else {
                push_playlists(&mut encoder, SEGMENT_COUNT);
                continue;
            };
            let segment = &variant.segments[usize::try_from(at).unwrap()];
            assert_eq!(encoder.put(&segment.name, &segment.body).status, 201, "{order}: {at}");
        }
        let got = served(&origin);
        for (name, bytes) in &wanted {
            assert!(got.get(name) == Some(bytes), "{order}: {name} differs");
        }
        assert_eq!(got.len(), wanted.len(), "{order}");
    }
}

#[test]
fn bodies_too_large_are_refused() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    encoder.authenticate();
    // The channel takes one megabyte; the length alone is enough to refuse.
    let path = encoder.path(SEGMENT);
    let authorization = encoder.authorization("PUT", &path);
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: origin\r\nAuthorization: {authorization}\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        (1 << 20) + 1
    );
    let mut connection = Connection::open(origin.data());
    connection.send(head.as_bytes()).unwrap();
    assert_eq!(connection.one_response(false).unwrap().status, 413);

    let packets: Vec<u8> = first_body()[..188].iter().copied().cycle().take(2 << 20).collect();
    let message = encoder.chunked(SEGMENT, &packets, 64 << 10, false);
    let mut connection = Connection::open(origin.data());
    // The refusal may come, and the connection go, while the body is still being sent.
    let _ = connection.send(&message);
    assert_eq!(connection.try_response(false).unwrap().status, 413);
}

#[test]
fn shapes_of_a_body() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    push_playlists(&mut encoder, SEGMENT_COUNT);
    let segments = &MUXED.variants[0].segments;

    let mut connection = Connection::open(origin.data());
    connection.send(&encoder.expecting(&segments[0].name, &segments[0].body)).unwrap();
    assert_eq!(connection.one_response(false).unwrap().status, 100);
    connection.send(&segments[0].body).unwrap();
    assert_eq!(connection.one_response(false).unwrap().status, 201);

    // On the same connection, in chunks of every small size.
    connection.send(&encoder.chunked(&segments[1].name, &segments[1].body, 13, false)).unwrap();
    assert_eq!(connection.try_response(false).unwrap().status, 201);

    // A byte at a time, head and all.
    let message = encoder.message("PUT", &segments[2].name, &segments[2].body);
    let (head, body) = message.split_at(message.len() - segments[2].body.len());
    for piece in head.chunks(1).chain(body.chunks(1000)) {
        connection.send(piece).unwrap();
    }
    assert_eq!(connection.try_response(false).unwrap().status, 201);

    // FIN before the response is read.
    let mut connection = Connection::open(origin.data());
    connection.send(&encoder.message("PUT", &segments[3].name, &segments[3].body)).unwrap();
    connection.finish_sending();
    assert_eq!(connection.try_response(false).unwrap().status, 201);

    // RST instead of reading the response.
    let mut connection = Connection::open(origin.data());
    connection.send(&encoder.message("PUT", &segments[4].name, &segments[4].body)).unwrap();
    let stored = || origin.metric("headwater_ingest_segments_total", "input=\"1\"");
    eventually("the body has arrived", || (stored() >= 5).then_some(()));
    connection.reset();

    let mut connection = Connection::open(origin.data());
    let path = encoder.path(&segments[5].name);
    let authorization = encoder.authorization("POST", &path);
    let fields = [("Authorization", authorization.as_str())];
    assert_eq!(connection.request("POST", &path, &fields, &segments[5].body).status, 201);
    listed_with(&origin, HLS, SEGMENT_COUNT);
}

#[test]
fn requests_may_follow_each_other_unanswered() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    encoder.authenticate();
    let variant = &MUXED.variants[0];
    let mut messages = Vec::new();
    for (at, segment) in variant.segments.iter().enumerate() {
        messages.extend(encoder.chunked(&segment.name, &segment.body, 32 << 10, false));
        let playlist = variant.playlist_of(0..at + 1);
        messages.extend(encoder.chunked(&variant.playlist, playlist.as_bytes(), 99, false));
    }
    messages.extend(encoder.message("PUT", "channel.m3u8", MUXED.multivariant.as_bytes()));
    let mut connection = Connection::open(origin.data());
    connection.send(&messages).unwrap();
    for at in 0..=2 * SEGMENT_COUNT {
        let response = connection.try_response(false).unwrap();
        assert!(matches!(response.status, 201 | 204), "{at}: {response:?}");
    }
    listed_with(&origin, HLS, SEGMENT_COUNT);
}

#[test]
fn malformed_requests_end_the_connection() {
    let origin = Origin::start(&demo());
    let path = format!("/in/v2/demo/1/{SEGMENT}");
    for (what, head, status) in [
        ("no length", format!("PUT {path} HTTP/1.1\r\nHost: o\r\n\r\n"), [411, 401]),
        (
            "two lengths",
            format!(
                "PUT {path} HTTP/1.1\r\nHost: o\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
            ),
            [400, 400],
        ),
        (
            "length and chunks",
            format!(
                "PUT {path} HTTP/1.1\r\nHost: o\r\nContent-Length: 5\r\n\
                 Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            [400, 400],
        ),
        ("no host", format!("GET {HLS} HTTP/1.1\r\n\r\n"), [400, 400]),
        ("two hosts", format!("GET {HLS} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), [400, 400]),
        ("a folded line", format!("GET {HLS} HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"), [400, 400]),
        ("no protocol", format!("GET {HLS}\r\n\r\n"), [400, 505]),
        ("a long line", format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000)), [414, 431]),
        (
            "a large head",
            format!("GET {HLS} HTTP/1.1\r\nHost: o\r\n{}\r\n", "A: b\r\n".repeat(5000)),
            [431, 400],
        ),
    ] {
        let mut connection = Connection::open(origin.data());
        // It may be closed before all of it is sent.
        let _ = connection.send(head.as_bytes());
        let response = connection.try_response(false);
        let response = response.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(status.contains(&response.status), "{what}: {response:?}");
    }
    let mut encoder = Encoder::new(&origin, "demo", 1);
    for method in ["GET", "HEAD", "PATCH", "MKCOL", "PROPFIND", "MOVE", "COPY", "BREW"] {
        let response = encoder.request(method, SEGMENT, b"");
        assert_eq!(response.status, 405, "{method}: {response:?}");
        assert!(response.field("allow").is_some_and(|allow| allow.contains("PUT")), "{method}");
    }
}

#[test]
fn the_other_input_takes_over() {
    let origin = Origin::start(&demo());
    let [mut first, mut second] = [1, 2].map(|input| Encoder::new(&origin, "demo", input));
    for at in 0..3 {
        for encoder in [&mut first, &mut second] {
            let segment = &MUXED.variants[0].segments[at];
            let stored = encoder.put(&segment.name, &segment.body);
            assert!(matches!(stored.status, 201 | 204), "{stored:?}");
            push_playlists(encoder, at + 1);
        }
    }
    let before = listed_with(&origin, CMAF, 3);
    let active =
        |input: usize| origin.metric("headwater_active_input", &format!("input=\"{input}\"")) == 1;
    assert!(active(1) && !active(2), "the first that came");
    // The first encoder is gone; the second goes on with the same timestamps.
    for at in 3..SEGMENT_COUNT {
        let segment = &MUXED.variants[0].segments[at];
        assert_eq!(second.put(&segment.name, &segment.body).status, 201);
        push_playlists(&mut second, at + 1);
    }
    let after = listed_with(&origin, CMAF, SEGMENT_COUNT);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(new.segments[..3], old.segments, "{}", new.name);
        assert!(!new.playlist.contains("#EXT-X-DISCONTINUITY"), "{}", new.playlist);
    }
}

#[test]
fn channels_do_not_meet() {
    let tables = ["demo", "other"].map(|id| channel(id) + &endpoints(id, 2)).concat();
    let origin = Origin::start(&tables);
    let mut demo = Encoder::new(&origin, "demo", 1);
    let mut other = Encoder::new(&origin, "other", 1);
    for at in 0..SEGMENT_COUNT {
        MUXED.push(&mut demo, at..at + 1);
        if at < 2 {
            MUXED.push(&mut other, at..at + 1);
        }
    }
    listed_with(&origin, HLS, SEGMENT_COUNT);
    let renditions = listed_with(&origin, "/out/v1/other-hls/index.m3u8", 2);
    assert!(renditions.iter().all(|rendition| rendition.segments.len() == 2));
}

#[test]
fn in_43_a_flood_of_bodies_is_held_to_its_rate() {
    let channel = channel("demo").replace("per_second = 100000", "per_second = 1");
    let origin = Origin::start(&(channel + &endpoints("demo", 2)));
    let playlist = MUXED.variants[0].playlist_of(0..1);
    let mut flood = Encoder::new(&origin, "demo", 1);
    // A minute's worth passes at once, and one more: the minute begins with it.
    let mut statuses = (0..100).map(|at| {
        let answer = flood.put(&format!("{at}.m3u8"), playlist.as_bytes());
        assert_eq!(answer.field("retry-after").is_some(), answer.status == 429, "{answer:?}");
        answer.status
    });
    let taken = statuses.by_ref().take_while(|status| *status == 201).count();
    assert!((61..80).contains(&taken), "{taken} of 100");
    drop(statuses);
    assert!(origin.metric("headwater_limit_hits_total", "ingest_pace") > 0);
    let mut other = Encoder::new(&origin, "demo", 2);
    MUXED.push(&mut other, 0..SEGMENT_COUNT);
    listed_with(&origin, HLS, SEGMENT_COUNT);
}

/// A PUT's connection of which the head has been sent.
fn begun(encoder: &mut Encoder, origin: &Origin, segment: &Segment) -> Connection {
    let message = encoder.message("PUT", &segment.name, &segment.body);
    let mut connection = Connection::open(origin.data());
    connection.send(&message[..message.len() - segment.body.len()]).unwrap();
    connection
}

#[test]
fn in_29_in_30_who_trickles_is_given_up_and_who_is_slow_is_not() {
    let origin = Origin::start(&demo());
    let [mut first, mut second] = [1, 2].map(|input| Encoder::new(&origin, "demo", input));
    MUXED.push(&mut first, 0..2);
    listed_with(&origin, HLS, 2);
    second.authenticate();
    let segment = &MUXED.variants[0].segments[2];
    let mut silent = begun(&mut first, &origin, segment);
    let answer = silent.try_response(false).unwrap();
    assert_eq!(answer.status, 408, "{answer:?}");
    silent.drained();
    // The honest one has begun before the other, and lasts longer than that one may.
    let mut slow = begun(&mut second, &origin, segment);
    let (start, mut rest) = (Instant::now(), &segment.body[..]);
    let mut trickling = begun(&mut first, &origin, segment);
    let answer = loop {
        let sent = trickling.send(b"G");
        let due = SLOW_RATE * (1 + usize::try_from(start.elapsed().as_secs()).unwrap());
        let (piece, later) = rest.split_at((due + rest.len()).saturating_sub(segment.body.len()));
        slow.send(piece).unwrap();
        rest = later;
        match trickling.response_within(Duration::from_millis(500)) {
            Some(answer) => break answer,
            None => sent.unwrap(),
        }
    };
    assert_eq!(answer.status, 408, "{answer:?}");
    trickling.drained();
    slow.send(rest).unwrap();
    assert_eq!(slow.try_response(false).unwrap().status, 201);
    // With it the other input fills in, and the name may come again.
    push_playlists(&mut second, 3);
    listed_with(&origin, HLS, 3);
    assert!(matches!(first.put(&segment.name, &segment.body).status, 201 | 204));
}
