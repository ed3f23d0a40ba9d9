//! What a test has to do with the writes of ring files: it follows them, and has syncs fail.
//!
//! In tests alone; without a script for a file's folder nothing happens.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// What was done to a file, which goes by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was made, blank, of so many bytes.
    Made(PathBuf, u64),
    /// Bytes were written to it at an offset.
    Written(PathBuf, u64, Vec<u8>),
    /// A sync of it began.
    SyncBegun(PathBuf),
    /// That sync was reported as a success.
    Synced(PathBuf),
    /// That sync failed: the kernel has marked the pages clean.
    SyncFailed(PathBuf),
    /// It lost its name.
    Unlinked(PathBuf),
    /// What the test itself notes.
    Noted(String),
}

/// The steps of all files of one folder, in order.
#[derive(Debug, Default)]
pub struct Script {
    steps: Mutex<Vec<Step>>,
    failures_due: AtomicUsize,
    held: Mutex<Option<Held>>,
}

/// A sync that waits in the kernel.
#[derive(Debug)]
struct Held {
    begun: Sender<()>,
    ends: Receiver<()>,
}

static SCRIPTS: Mutex<BTreeMap<PathBuf, Arc<Script>>> = Mutex::new(BTreeMap::new());

impl Script {
    /// Follows the files of a folder from now on.
    pub fn of(folder: &Path) -> Arc<Self> {
        let script = Arc::<Self>::default();
        SCRIPTS.lock().unwrap().insert(folder.into(), Arc::clone(&script));
        script
    }

    /// Has so many of the next syncs fail, and those after them report success again.
    pub fn fail_syncs(&self, count: usize) {
        self.failures_due.store(count, Ordering::Release);
    }

    /// Has the next sync wait, once it has told so, until what is returned second is dropped.
    pub fn hold_sync(&self) -> (Receiver<()>, Sender<()>) {
        let ((begun, is_held), (end, ends)) = (channel(), channel());
        *self.held.lock().unwrap() = Some(Held { begun, ends });
        (is_held, end)
    }

    /// Notes something of its own.
    pub fn note(&self, what: String) {
        self.push(Step::Noted(what));
    }

    /// All steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.lock().unwrap().clone()
    }

    fn push(&self, step: Step) {
        self.steps.lock().unwrap().push(step);
    }
}

/// Tells the script of a file's folder of a step.
pub fn on_step(path: &Path, step: impl FnOnce(PathBuf) -> Step) {
    if let (Some(script), Some(name)) = (script_of(path), path.file_name()) {
        script.push(step(name.into()));
    }
}

/// Tells it that a sync begins.
///
/// # Errors
///
/// EIO where the script has it fail.
pub fn on_sync(path: &Path) -> Result<()> {
    on_step(path, Step::SyncBegun);
    let held = script_of(path).and_then(|script| script.held.lock().unwrap().take());
    if let Some(Held { begun, ends }) = held {
        begun.send(()).unwrap();
        assert!(ends.recv().is_err(), "nothing is sent");
    }
    let fails = |due: usize| due.checked_sub(1);
    let due = script_of(path).is_some_and(|script| {
        let (taken, read) = (Ordering::AcqRel, Ordering::Acquire);
        script.failures_due.fetch_update(taken, read, fails).is_ok()
    });
    if !due {
        return Ok(());
    }
    on_step(path, Step::SyncFailed);
    Err(Error::from_raw_os_error(libc::EIO))
}

fn script_of(path: &Path) -> Option<Arc<Script>> {
    SCRIPTS.lock().unwrap().get(path.parent()?).map(Arc::clone)
}
