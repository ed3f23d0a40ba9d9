//! Which of two inputs leads: by preference, at the start and after a failure, and as an operator
//! wants.

use crate::client::{Connection, Encoder};
use crate::endless::{Life, put, segment};
use crate::origin::{Origin, channel, endpoints, eventually};
use std::thread;
use std::time::Duration;

/// Pushes the next segment of both encoders, which are twins.
fn push_next(encoders: &mut [Encoder; 2], next: &mut i64) {
    for encoder in encoders.iter_mut() {
        Life { first: 0 }.push(encoder, *next);
    }
    *next += 1;
}

fn is_set(origin: &Origin, gauge: &str, input: usize) -> bool {
    origin.metric(gauge, &format!("input=\"{input}\"")) == 1
}

#[test]
fn the_preferred_input_leads_until_an_operator_wants_the_other_and_back() {
    let preference = "[[channel]]\npreferred_input = 2\nfail_back = false\n";
    let tables = channel("demo").replacen("[[channel]]\n", preference, 1);
    let origin = Origin::start(&(tables + &endpoints("demo", 2)));
    let (mut encoders, mut next) = ([1, 2].map(|input| Encoder::new(&origin, "demo", input)), 0);
    let leads = |input| is_set(&origin, "headwater_active_input", input);
    // Input 1 is the first with each segment.
    eventually("an input leads", || {
        push_next(&mut encoders, &mut next);
        (leads(1) || leads(2)).then_some(())
    });
    assert!(leads(2), "the preferred one");
    for (wanted, count) in [(1, 1), (2, 2)] {
        eventually("the input that is wanted leads", || {
            // Healthy inputs alone are switched to, and these are as long as they push.
            push_next(&mut encoders, &mut next);
            let path = format!("/api/channels/demo/switch?input={wanted}");
            let response = Connection::open(origin.control()).request("POST", &path, &[], b"");
            assert_eq!(response.status, 202);
            leads(wanted).then_some(())
        });
        let switches = origin.metric("headwater_input_switches_total", "reason=\"manual\"");
        assert_eq!(switches, count);
    }
    assert_eq!(origin.metric("headwater_discontinuities_total", "channel=\"demo\""), 0);
}

/// How often the encoders push, media of twice that: so that an input is healthy for the hold-down.
const PACE: Duration = Duration::from_secs(1);
/// Pushes within which the preferred input leads again: the hold-down and as much again.
const RETURN_PUSHES_MAX: usize = 60;

#[test]
fn in_04_the_preferred_input_that_failed_leads_again_after_the_hold_down() {
    let preference = "[[channel]]\npreferred_input = 1\nfail_back = true\n";
    let tables = channel("demo").replacen("[[channel]]\n", preference, 1);
    let origin = Origin::start(&(tables + &endpoints("demo", 2)));
    let (mut encoders, mut next) = ([1, 2].map(|input| Encoder::new(&origin, "demo", input)), 0);
    let leads = |input| is_set(&origin, "headwater_active_input", input);
    eventually("the preferred input leads", || {
        push_next(&mut encoders, &mut next);
        leads(1).then_some(())
    });
    eventually("the other one leads where it is missing or late", || {
        Life { first: 0 }.push(&mut encoders[1], next);
        next += 1;
        leads(2).then_some(())
    });
    let is_back = (0..RETURN_PUSHES_MAX).any(|_| {
        push_next(&mut encoders, &mut next);
        thread::sleep(PACE);
        leads(1)
    });
    assert!(is_back, "sound for longer than the hold-down");
    let switches = |reason| origin.metric("headwater_input_switches_total", reason);
    assert_eq!((switches("\"fail_back\""), switches("")), (1, 2), "there and back");
    for sign in ["headwater_discontinuities_total", "headwater_gaps_total"] {
        assert_eq!(origin.metric(sign, "channel=\"demo\""), 0, "{sign}: the inputs are twins");
    }
}

#[test]
fn an_input_that_pushes_the_same_again_and_again_is_not_alive() {
    let origin = Origin::start(&(channel("demo") + &endpoints("demo", 2)));
    let (mut encoders, mut next) = ([1, 2].map(|input| Encoder::new(&origin, "demo", input)), 0);
    let alive = |input| is_set(&origin, "headwater_input_alive", input);
    eventually("both are alive", || {
        push_next(&mut encoders, &mut next);
        (alive(1) && alive(2)).then_some(())
    });
    let last = next - 1;
    eventually("input 1 is dead, though it pushes, and input 2 is alive", || {
        Life { first: 0 }.push(&mut encoders[1], next);
        next += 1;
        put(&mut encoders[0], &Life::name(last), &segment(last));
        (!alive(1) && alive(2)).then_some(())
    });
    let status = Connection::open(origin.control()).request("GET", "/api/status", &[], b"").text();
    assert!(status.contains("{\"input\":1,\"alive\":false,"), "{status}");
}
