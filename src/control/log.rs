//! The program's one log, on standard error: for eyes on a terminal, JSON lines elsewhere.
//!
//! Lines go through a bounded queue to a thread of their own, so that a blocked terminal or pipe
//! holds up no shard; lines that find no room are counted.

use super::config::{Log, LogFormat};
use super::metrics::ProcessCounters;
use crate::limits::LOG_QUEUE_LINE_COUNT_MAX;
use crossbeam::channel::{Sender, bounded};
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::thread;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Installs the log for the whole process.
///
/// # Errors
///
/// If the filter is none, the thread cannot be started, or a log is installed already.
pub fn install(log: &Log, counters: Arc<ProcessCounters>) -> io::Result<()> {
    let filter = EnvFilter::try_new(&log.level).map_err(io::Error::other)?;
    let human = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stderr().is_terminal(),
    };
    let lines = queue_to(io::stderr(), counters)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    let installed = if human {
        builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    installed.map_err(io::Error::other)
}

/// Makes writers that put whole lines into the queue.
struct Lines {
    queue: Sender<Vec<u8>>,
    counters: Arc<ProcessCounters>,
}

fn queue_to(
    mut out: impl Write + Send + 'static,
    counters: Arc<ProcessCounters>,
) -> io::Result<Lines> {
    let (queue, lines) = bounded::<Vec<u8>>(LOG_QUEUE_LINE_COUNT_MAX);
    let lost = Arc::clone(&counters);
    thread::Builder::new().name("log".to_owned()).spawn(move || {
        for line in lines {
            if out.write_all(&line).is_err() {
                lost.log_lines_lost.add(1);
            }
        }
    })?;
    Ok(Lines { queue, counters })
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { lines: self, line: Vec::new() }
    }
}

/// Gathers one event's line and queues it when the event is over.
struct LineWriter<'a> {
    lines: &'a Lines,
    line: Vec<u8>,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter<'_> {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && self.lines.queue.try_send(line).is_err() {
            self.lines.counters.log_lines_lost.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::{Receiver, bounded};

    /// Takes a byte string only when asked to.
    struct Gate(Receiver<()>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_log_loses_lines_and_counts_them() {
        let (open, gate) = bounded(1);
        let counters = Arc::new(ProcessCounters::default());
        let lines = queue_to(Gate(gate), Arc::clone(&counters)).unwrap();
        // One line may be with the thread; beyond it and the queue, each line is lost.
        for _ in 0..LOG_QUEUE_LINE_COUNT_MAX + 10 {
            lines.make_writer().write_all(b"line\n").unwrap();
        }
        assert!((9..=10).contains(&counters.log_lines_lost.value()));
        drop(open);
    }
}
