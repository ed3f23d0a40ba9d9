//! What an operator sees of two inputs: the picture of the last minutes, as JSON and in a browser.

use crate::client::{Connection, Encoder};
use crate::origin::{Origin, demo, eventually};
use crate::playback::{HLS, listed_with};
use crate::source::{MUXED, SEGMENT_COUNT};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Both inputs push the same, the second one without segment 3.
fn two_inputs_and_a_lost_segment() -> (Origin, Value) {
    let origin = Origin::start(&demo());
    let mut encoders = [1, 2].map(|input| Encoder::new(&origin, "demo", input));
    for encoder in &mut encoders {
        let stored = encoder.put("channel.m3u8", MUXED.multivariant.as_bytes());
        assert!(matches!(stored.status, 201 | 204), "{stored:?}");
    }
    let variant = &MUXED.variants[0];
    for at in 0..SEGMENT_COUNT {
        for (index, encoder) in encoders.iter_mut().enumerate() {
            if (index, at) != (1, 3) {
                let segment = &variant.segments[at];
                let stored = encoder.put(&segment.name, &segment.body);
                assert!(matches!(stored.status, 201 | 204), "{stored:?}");
            }
            let stored = encoder.put(&variant.playlist, variant.playlist_of(0..at + 1).as_bytes());
            assert!(matches!(stored.status, 201 | 204), "{stored:?}");
        }
    }
    listed_with(&origin, HLS, SEGMENT_COUNT);
    let shown = eventually("the picture shows all of it", || {
        let shown = timeline(&origin);
        let is_whole = (0..3).all(|row| marks(&shown, row).len() == SEGMENT_COUNT);
        is_whole.then_some(shown)
    });
    (origin, shown)
}

fn timeline(origin: &Origin) -> Value {
    let mut control = Connection::open(origin.control());
    let response = control.request("GET", "/api/channels/demo/timeline", &[], b"");
    assert_eq!(response.status, 200);
    serde_json::from_slice(&response.body).unwrap()
}

/// The marks of each cell of a row, oldest first.
fn marks(timeline: &Value, row: usize) -> Vec<Vec<&str>> {
    let cells = timeline["rows"][row]["cells"].as_array().unwrap();
    cells
        .iter()
        .map(|cell| {
            let marks = cell["marks"].as_array().unwrap();
            marks.iter().map(|mark| mark.as_str().unwrap()).collect()
        })
        .collect()
}

#[test]
fn a_lost_segment_is_seen_in_the_row_of_its_input() {
    let (origin, shown) = two_inputs_and_a_lost_segment();
    let names: Vec<&Value> =
        shown["rows"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["input 1", "input 2", "output"]);
    let second = marks(&shown, 1);
    let missing: Vec<usize> =
        (0..second.len()).filter(|&at| second[at].contains(&"missing")).collect();
    assert_eq!(missing.len(), 1, "{shown}");
    assert!(marks(&shown, 0).iter().all(|cell| !cell.contains(&"missing")), "{shown}");
    // The first and the last sound of a source are not as long as the others.
    let whole = |cell: &Vec<&str>| cell.iter().all(|mark| *mark == "odd");
    assert!(marks(&shown, 2).iter().all(whole), "the output lacks nothing: {shown}");
    let kinds: Vec<&Value> =
        shown["happenings"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert!(kinds.contains(&&Value::from("start")), "{shown}");
    let listed = |input| {
        let labels = format!("channel=\"demo\",input=\"{input}\"");
        origin.metric("headwater_ingest_listed_total", &labels)
    };
    // Pictures and sound of each.
    assert_eq!(listed(1) + listed(2), 2 * SEGMENT_COUNT as u64);
    let published = origin.metric("headwater_publication_seconds_count", "channel=\"demo\"");
    assert_eq!(published, 2 * SEGMENT_COUNT as u64);
    let mut control = Connection::open(origin.control());
    assert_eq!(control.request("GET", "/api/channels/none/timeline", &[], b"").status, 404);
}

#[test]
fn the_console_draws_the_rows_and_the_lost_segment() {
    let (origin, _) = two_inputs_and_a_lost_segment();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/players");
    let output = Command::new("node")
        .arg(folder.join("console.mjs"))
        .args(["--url", &format!("http://{}/", origin.control()), "--channel", "demo"])
        .args(std::env::var("CONSOLE_SCREENSHOT").map(|path| format!("--screenshot={path}")))
        .output()
        .expect("node is installed");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let rows: Value = serde_json::from_str(&told).unwrap();
    for (row, missing) in [("input 1", 0), ("input 2", 1), ("output", 0)] {
        let cells = rows[row].as_array().unwrap();
        assert!(!cells.is_empty(), "{told}");
        let lacking = cells.iter().filter(|cell| cell["marks"] == "missing");
        assert_eq!(lacking.clone().count(), missing, "{row}: {told}");
        for cell in lacking {
            // Readable without colours: a sign and a text.
            assert_eq!(cell["sign"], "×", "{told}");
            assert!(cell["title"].as_str().unwrap().contains("did not come"), "{told}");
        }
    }
}
