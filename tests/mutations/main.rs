//! Defects made on purpose, each of which a named test must notice: the tests are tested.
//!
//! A suite's run checks that every defect can still be made, so that the list follows the code.
//! `scripts/test --long` makes them, one at a time, in a copy of the sources with a target folder
//! of its own, and runs for each the test that is to notice:
//!
//! `cargo test --test mutations -- --ignored --nocapture`; `HEADWATER_MUTATION=WORDS` makes those
//! alone whose description holds the words.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

mod list;

use list::{MUTATIONS, Mutation};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a build needs.
const SOURCES: &[&str] =
    &["src", "tests", "benches", "perf", "Cargo.toml", "Cargo.lock", "README.md"];
/// Seeds over all worlds of the simulator: enough for the defects of the list.
const SEEDS: &str = "2000";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The source with the defect in it.
fn mutated(source: &str, mutation: &Mutation) -> String {
    let count = source.matches(mutation.old).count();
    let Mutation { what, file, .. } = mutation;
    assert_eq!(count, 1, "{what}: {file} has what is to be replaced {count} times, not once");
    source.replace(mutation.old, mutation.new)
}

#[test]
fn every_defect_can_be_made() {
    for mutation in MUTATIONS {
        let source = std::fs::read_to_string(root().join(mutation.file)).unwrap();
        assert_ne!(mutated(&source, mutation), source, "{}", mutation.what);
    }
}

#[test]
#[ignore = "builds the program once for each defect"]
fn every_defect_is_noticed() {
    let folder = root().join("target/mutations");
    let source = folder.join("source");
    copy_sources(&source);
    let wanted = std::env::var("HEADWATER_MUTATION").unwrap_or_default();
    let mut missed = Vec::new();
    for mutation in MUTATIONS.iter().filter(|mutation| mutation.what.contains(&wanted)) {
        let Mutation { what, file, test, .. } = mutation;
        let path = source.join(file);
        let original = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, mutated(&original, mutation)).unwrap();
        let said = run(&source, &folder, mutation);
        std::fs::write(&path, original).unwrap();
        let noticed = said.lines().any(|line| {
            let fails = line.starts_with("test ") && line.ends_with("FAILED");
            // A panic while a panic unwinds ends the program.
            let aborts = line.starts_with("thread '") && !said.contains("test result:");
            line.contains(test) && (fails || aborts)
        });
        println!("{what}: {}", if noticed { "noticed" } else { "MISSED" });
        if !noticed {
            println!("{said}");
            missed.push(what);
        }
    }
    assert!(missed.is_empty(), "nobody noticed: {missed:#?}");
}

/// Runs the test that is to notice a defect. Returns all it said.
fn run(source: &Path, target: &Path, mutation: &Mutation) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--no-fail-fast"])
        .args(mutation.program)
        .args(["--", "--test-threads", "2", "--format", "pretty", mutation.test])
        .current_dir(source)
        .env("CARGO_TARGET_DIR", target)
        .env("HEADWATER_SIM_SEEDS", SEEDS)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

fn copy_sources(to: &Path) {
    let _absent_at_first = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    let mut left: Vec<PathBuf> = SOURCES.iter().map(PathBuf::from).collect();
    while let Some(path) = left.pop() {
        let from = root().join(&path);
        if from.is_file() {
            std::fs::copy(&from, to.join(&path)).unwrap();
        } else if path.file_name().is_some_and(|name| name != "node_modules") {
            std::fs::create_dir_all(to.join(&path)).unwrap();
            let entries = std::fs::read_dir(from).unwrap();
            left.extend(entries.map(|entry| path.join(entry.unwrap().file_name())));
        }
    }
}
