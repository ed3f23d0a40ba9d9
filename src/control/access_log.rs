//! The access log: JSON lines with the field names of MediaPackage v2's access logs.
//!
//! One thread empties the shards' queues every 100 ms and writes; a slow disk holds up nothing
//! else, and what it can't take is counted as lost. Rotation: rename the file, send SIGHUP.

use super::metrics::ProcessCounters;
use crate::http::access_record::{AccessQueue, AccessRecord, AccessTarget};
use crate::units::InputNumber;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const TURN: Duration = Duration::from_millis(100);

/// A running access log.
#[derive(Debug)]
pub struct AccessLog {
    signals: Arc<Signals>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Signals {
    reopen: AtomicBool,
    stop: AtomicBool,
}

impl AccessLog {
    /// Opens `path` for appending and starts to write down what comes through `queues`.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or the thread cannot be started.
    pub fn start(
        path: &Path,
        queues: Vec<Arc<AccessQueue>>,
        counters: Arc<ProcessCounters>,
    ) -> io::Result<Self> {
        let signals = Arc::new(Signals::default());
        let file = open(path)?;
        for queue in &queues {
            queue.open();
        }
        let writer = Writer {
            path: path.to_owned(),
            file,
            queues,
            counters,
            failed: 0,
            signals: Arc::clone(&signals),
        };
        let thread = thread::Builder::new().name("access-log".to_owned());
        let writer = Some(thread.spawn(move || writer.run())?);
        Ok(Self { signals, writer })
    }

    /// Opens the file anew at the writer's next turn.
    pub fn reopen(&self) {
        self.signals.reopen.store(true, Ordering::Relaxed);
    }
}

impl Drop for AccessLog {
    /// Writes what is queued, then ends.
    fn drop(&mut self) {
        self.signals.stop.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // A writer that panicked has nothing left to be waited for.
            let _ = writer.join();
        }
    }
}

fn open(path: &Path) -> io::Result<BufWriter<File>> {
    Ok(BufWriter::new(OpenOptions::new().create(true).append(true).open(path)?))
}

struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    queues: Vec<Arc<AccessQueue>>,
    counters: Arc<ProcessCounters>,
    failed: u64,
    signals: Arc<Signals>,
}

impl Writer {
    fn run(mut self) {
        loop {
            let last = self.signals.stop.load(Ordering::Relaxed);
            if self.signals.reopen.swap(false, Ordering::Relaxed) {
                match open(&self.path) {
                    Ok(file) => self.file = file,
                    Err(error) => {
                        tracing::error!(path = %self.path.display(), %error, "access log kept");
                    }
                }
            }
            self.drain();
            if last {
                return;
            }
            thread::park_timeout(TURN);
        }
    }

    fn drain(&mut self) {
        for queue in &self.queues {
            while let Some(record) = queue.pop() {
                match write_line(&mut self.file, &record) {
                    Ok(()) => self.counters.access_records.add(1),
                    Err(_) => self.failed += 1,
                }
            }
        }
        if self.file.flush().is_err() {
            self.failed += 1;
        }
        let lost: u64 = self.queues.iter().map(|queue| queue.lost()).sum();
        self.counters.access_records_lost.set(lost + self.failed);
    }
}

/// A record's line, in this order.
#[derive(Serialize)]
struct Line<'a> {
    event_timestamp: String,
    client_ip: std::net::IpAddr,
    time_to_first_byte: f64,
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    received_bytes: u64,
    sent_bytes: u64,
    method: &'a str,
    request: &'a str,
    protocol: &'a str,
    user_agent: &'a str,
    request_id: String,
    domain_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_index: Option<InputNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_type: Option<&'a str>,
    request_query_params: &'a str,
}

impl<'a> From<&'a AccessRecord> for Line<'a> {
    fn from(record: &'a AccessRecord) -> Self {
        let timestamp = jiff::Timestamp::from_microsecond(record.event_timestamp.0);
        let mut line = Line {
            event_timestamp: timestamp.map_or_else(|_| "-".to_owned(), |time| format!("{time:.3}")),
            client_ip: record.client_ip,
            time_to_first_byte: record.time_to_first_byte.as_secs_f64(),
            status_code: record.status_code,
            reason: record.reason,
            received_bytes: record.received_bytes,
            sent_bytes: record.sent_bytes,
            method: &record.method,
            request: &record.request,
            protocol: record.protocol,
            user_agent: record.user_agent.as_deref().unwrap_or("-"),
            request_id: format!("{:016x}", record.request_id),
            domain_name: record.domain_name.as_deref().unwrap_or("-"),
            channel_id: None,
            input_index: None,
            endpoint_id: None,
            manifest_name: None,
            manifest_type: None,
            request_query_params: record.request_query_params.as_deref().unwrap_or(""),
        };
        match &record.target {
            AccessTarget::Unknown => {}
            AccessTarget::Ingest { channel_id, input_index } => {
                line.channel_id = Some(channel_id);
                line.input_index = Some(*input_index);
            }
            AccessTarget::Egress { channel_id, endpoint_id, manifest_name, manifest_type } => {
                line.channel_id = Some(channel_id);
                line.endpoint_id = Some(endpoint_id);
                line.manifest_name = Some(manifest_name.as_deref().unwrap_or(""));
                line.manifest_type = Some(manifest_type.unwrap_or(""));
            }
        }
        line
    }
}

fn write_line(out: &mut impl Write, record: &AccessRecord) -> io::Result<()> {
    let line = Line::from(record);
    line.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Visible))?;
    out.write_all(b"\n")
}

/// JSON in which no control character is left, not even those that RFC 8259 §7 allows: a log is
/// looked at on terminals.
struct Visible;

impl serde_json::ser::Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for part in fragment.split_inclusive(char::is_control) {
            let end = part.char_indices().next_back().filter(|(_, letter)| letter.is_control());
            let (plain, control) = match end {
                Some((at, control)) => (part.get(..at).unwrap_or(""), Some(control)),
                None => (part, None),
            };
            out.write_all(plain.as_bytes())?;
            if let Some(control) = control {
                write!(out, "\\u{:04x}", u32::from(control))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::WallClock;

    fn record(target: AccessTarget) -> AccessRecord {
        AccessRecord {
            event_timestamp: WallClock(1_700_000_000_123_456),
            client_ip: [192, 0, 2, 1].into(),
            time_to_first_byte: Duration::from_micros(250),
            status_code: 200,
            reason: None,
            received_bytes: 0,
            sent_bytes: 42,
            method: "GET".into(),
            request: "/out/v1/demo/\"\n\u{7f}\u{9b}x".into(),
            request_query_params: Some("a=b".into()),
            protocol: "HTTP/1.1",
            user_agent: None,
            domain_name: None,
            request_id: 255,
            target,
        }
    }

    fn egress() -> AccessTarget {
        AccessTarget::Egress {
            channel_id: "demo".into(),
            endpoint_id: "demo-hls".into(),
            manifest_name: None,
            manifest_type: None,
        }
    }

    fn line(target: AccessTarget) -> String {
        let mut out = Vec::new();
        write_line(&mut out, &record(target)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_json_without_control_characters() {
        let text = line(egress());
        let expected = concat!(
            r#"{"event_timestamp":"2023-11-14T22:13:20.123Z","client_ip":"192.0.2.1","#,
            r#""time_to_first_byte":0.00025,"status_code":200,"received_bytes":0,"#,
            r#""sent_bytes":42,"method":"GET","request":"/out/v1/demo/\"\n\u007f\u009bx","#,
            r#""protocol":"HTTP/1.1","user_agent":"-","request_id":"00000000000000ff","#,
            r#""domain_name":"-","channel_id":"demo","endpoint_id":"demo-hls","#,
            r#""manifest_name":"","manifest_type":"","request_query_params":"a=b"}"#,
            "\n"
        );
        assert_eq!(text, expected);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["request"], "/out/v1/demo/\"\n\u{7f}\u{9b}x");
    }

    #[test]
    fn an_input_is_named() {
        let target =
            AccessTarget::Ingest { channel_id: "demo".into(), input_index: InputNumber::TWO };
        let value: serde_json::Value = serde_json::from_str(&line(target)).unwrap();
        assert_eq!((&value["channel_id"], &value["input_index"]), (&"demo".into(), &2.into()));
        assert!(value.get("endpoint_id").is_none());
    }

    #[test]
    fn what_is_queued_is_written_and_what_does_not_fit_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.jsonl");
        let queue = Arc::new(AccessQueue::default());
        let beyond = 3;
        for _ in 0..crate::limits::ACCESS_RECORD_COUNT_MAX + beyond {
            queue.push(record(egress()));
        }
        let counters = Arc::new(ProcessCounters::default());
        drop(AccessLog::start(&path, vec![queue], Arc::clone(&counters)).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), crate::limits::ACCESS_RECORD_COUNT_MAX);
        assert_eq!(counters.access_records_lost.value(), 3);
    }

    #[test]
    fn a_rotated_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.jsonl");
        let queue = Arc::new(AccessQueue::default());
        let log = AccessLog::start(&path, vec![Arc::clone(&queue)], Arc::default()).unwrap();
        std::fs::rename(&path, dir.path().join("old.jsonl")).unwrap();
        log.reopen();
        queue.push(record(egress()));
        drop(log);
        // Reopened before the record or after it, it is in one of the two and the new one exists.
        let old = std::fs::read_to_string(dir.path().join("old.jsonl")).unwrap();
        let new = std::fs::read_to_string(&path).unwrap();
        assert_eq!(old.lines().count() + new.lines().count(), 1);
    }
}
