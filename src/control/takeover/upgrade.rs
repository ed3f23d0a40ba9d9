//! SIGUSR2: the process starts its own program anew, to take over from it.

use std::ffi::OsStr;
use std::io;
use std::process::Command;
use std::thread;

/// What tells `headwater serve` to take over.
const FLAG: &str = "--takeover";

/// Starts the program that this process was started with, looked for anew, with the same
/// arguments and environment and the flag to take over. A thread waits for its end.
///
/// # Errors
///
/// Where there is no such program, process or thread to be had.
pub fn start_successor() -> io::Result<()> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().ok_or(io::ErrorKind::NotFound)?;
    let others = arguments.filter(|argument| argument != OsStr::new(FLAG));
    let mut child = Command::new(program).args(others).arg(FLAG).spawn()?;
    let thread = thread::Builder::new().name("upgrade".to_owned());
    thread.spawn(move || {
        let pid = child.id();
        match child.wait() {
            Ok(status) => tracing::error!(pid, %status, "the process that was to follow ended"),
            Err(error) => tracing::error!(pid, %error, "the process that was to follow is lost"),
        }
    })?;
    Ok(())
}
