//! What a passing test has to say, which the test program swallows: lines of a file of their own.
//!
//! `scripts/test` names the file in `TEST_REPORT` and prints it at its end. Without that
//! nothing is written.

use std::fs::File;
use std::io::Write as _;

/// Adds a line. The file is opened to append: lines of many threads and processes stay whole.
pub fn report(line: &str) {
    let Some(path) = std::env::var_os("TEST_REPORT") else { return };
    let file = File::options().create(true).append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    assert!(written.is_ok(), "TEST_REPORT: {written:?}");
}

/// Says that the test of this thread shows nothing here, or not all that it could.
pub fn skipped(reason: &str) {
    let thread = std::thread::current();
    report(&format!("skipped: {}: {reason}", thread.name().unwrap_or("a test")));
}
