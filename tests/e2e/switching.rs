//! Which of two inputs leads: by preference at the start, then as an operator wants.

use crate::client::{Connection, Encoder};
use crate::endless::{Life, put, segment};
use crate::origin::{Origin, channel, endpoints, eventually};

/// Pushes the next segment of both encoders, which are twins.
fn push_next(encoders: &mut [Encoder; 2], next: &mut i64) {
    encoders.iter_mut().for_each(|encoder| Life { first: 0 }.push(encoder, *next));
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
