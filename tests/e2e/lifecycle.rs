//! Reloads, drains and guesses: what happens to those who are connected meanwhile.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, channel, demo, endpoints, eventually};
use crate::source::MUXED;

fn reloaded(origin: &Origin, tables: &str, count: u64) {
    origin.configure("", tables);
    origin.signal("HUP");
    eventually("the reload is carried out", || {
        let counted = origin.metric("headwater_config_reloads_total", "");
        (counted >= count).then_some(())
    });
}

#[test]
fn a_channel_is_taken_away_and_given_back_beside_another() {
    let both = demo() + &channel("other") + &endpoints("other", 2);
    let origin = Origin::start(&both);
    let mut kept = Encoder::new(&origin, "other", 1);
    let mut taken = Encoder::new(&origin, "demo", 1);
    MUXED.push(&mut kept, 0..2);
    MUXED.push(&mut taken, 0..2);
    reloaded(&origin, &(channel("other") + &endpoints("other", 2)), 1);
    eventually("the channel is gone", || {
        let there = origin.get("/out/v1/demo-hls/index.m3u8").status;
        let pushed = taken.put("channel_0_00002.ts", b"x").status;
        (there == 404 && pushed == 404).then_some(())
    });
    // The same configuration twice, and the channel again while its ring may still be released.
    reloaded(&origin, &both, 2);
    reloaded(&origin, &both, 3);
    let segment = &MUXED.variants[0].segments[2];
    let mut again = Encoder::new(&origin, "demo", 1);
    eventually("the channel goes on", || {
        let status = again.put(&segment.name, &segment.body).status;
        matches!(status, 201 | 204).then_some(())
    });
    assert_eq!(origin.get("/out/v1/demo-hls/index.m3u8").status, 200, "its ring was read back");
    let stored = kept.put(&segment.name, &segment.body);
    assert_eq!(stored.status, 201, "the other one never noticed");
}

#[test]
fn a_drain_ends_idle_connections_at_once_and_lets_a_body_end() {
    let mut origin = Origin::start(&demo());
    let mut idle = Connection::open(origin.data());
    assert_eq!(idle.request("GET", "/nothing", &[], b"").status, 404);
    let mut encoder = Encoder::new(&origin, "demo", 1);
    encoder.authenticate();
    let segment = &MUXED.variants[0].segments[0];
    let message = encoder.message("PUT", &segment.name, &segment.body);
    let mut pushing = Connection::open(origin.data());
    let (begin, rest) = message.split_at(message.len() / 2);
    pushing.send(begin).unwrap();
    // Until the origin has read some of it, it may take the connection for an idle one.
    let mut other = Connection::open(origin.data());
    assert_eq!(other.request("GET", "/nothing", &[], b"").status, 404);
    origin.signal("TERM");
    idle.drained();
    other.drained();
    pushing.send(rest).unwrap();
    let stored = pushing.try_response(false).unwrap();
    assert_eq!(stored.status, 201);
    assert!(origin.ends_well());
    origin.restart();
    let again = Encoder::new(&origin, "demo", 1).put(&segment.name, &segment.body);
    assert_eq!(again.status, 204, "what was answered 201 is there");
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    encoder.authenticate();
    let message = encoder.message("PUT", "channel_0_00000.ts", &[0x47; 10_000]);
    let mut pushing = Connection::open(origin.data());
    pushing.send(&message[..message.len() - 1]).unwrap();
    eventually("the body has begun", || {
        let mut other = Connection::open(origin.data());
        (other.request("GET", "/nothing", &[], b"").status == 404).then_some(())
    });
    origin.signal("TERM");
    origin.signal("TERM");
    assert!(origin.ends_well(), "long before the body's time is up");
}

#[test]
fn guesses_are_slowed_down() {
    let origin = Origin::start(&demo());
    let statuses = (0..12).map(|_| {
        let mut guesser = Encoder::with_user(&origin, "demo", 1, "encoder1", "a guess");
        let response = guesser.put("channel.m3u8", b"#EXTM3U\n");
        (response.status, response.field("retry-after").is_some())
    });
    let statuses: Vec<(u16, bool)> = statuses.collect();
    assert_eq!(statuses[..10], [(401, false); 10]);
    assert!(statuses[10..].contains(&(429, true)), "{statuses:?}");
    assert!(origin.metric("headwater_limit_hits_total", "login_guesses") >= 1);
    // Once a guess is due again, the right password gets in.
    let mut encoder = Encoder::new(&origin, "demo", 1);
    eventually("the encoder gets in", || {
        let response = encoder.put("channel.m3u8", MUXED.multivariant.as_bytes());
        (response.status == 201).then_some(())
    });
}

#[test]
fn who_was_let_in_may_not_guess_for_others() {
    let origin = Origin::start(&demo());
    let mut encoder = Encoder::new(&origin, "demo", 1);
    let path = encoder.path("channel.m3u8");
    let mut connection = Connection::open(origin.data());
    let mut put = |user: &mut Encoder| {
        let authorization = user.authorization("PUT", &path);
        let fields = [("Authorization", authorization.as_str())];
        connection.request("PUT", &path, &fields, MUXED.multivariant.as_bytes()).status
    };
    encoder.authenticate();
    assert_eq!(put(&mut encoder), 201);
    let mut guesser = Encoder::with_user(&origin, "demo", 1, "encoder2", "a guess");
    let challenge = Connection::open(origin.data()).request("PUT", &path, &[], b"");
    guesser.accept_challenge(&challenge);
    let statuses: Vec<u16> = (0..12).map(|_| put(&mut guesser)).collect();
    assert_eq!(statuses[..10], [401; 10]);
    assert!(statuses[10..].contains(&429), "{statuses:?}");
    assert_eq!(put(&mut encoder), 201, "who was let in still is");
}
