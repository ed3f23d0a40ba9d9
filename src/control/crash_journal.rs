//! The journal of crashes in `storage.dir`: which bodies were under way when processes before this
//! one crashed. Its lines are written by [`crate::shard::rt::write_last_words_to`].
//!
//! Nothing depends on it: where it is lost, a body may end the process twice more.

use crate::limits::CRASH_JOURNAL_SIZE_MAX;
use crate::shard::quarantine::Quarantine;
use crate::shard::rt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// Name of the file in `storage.dir`.
const NAME: &str = "headwater.crashes";

/// Reads the journal in `dir` and has this process go on with it. What fails is told, and no more:
/// the process serves without it.
pub fn go_on(dir: &Path, quarantine: &Quarantine) {
    let opened = open(&dir.join(NAME), quarantine).and_then(rt::write_last_words_to);
    if let Err(error) = opened {
        tracing::warn!(%error, "no journal of crashes: a body may end process after process");
    }
}

fn open(path: &Path, quarantine: &Quarantine) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    let newest = size.saturating_sub(CRASH_JOURNAL_SIZE_MAX);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(newest))?;
    (&file).take(CRASH_JOURNAL_SIZE_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    for name in quarantine.on_crashes(&text, rt::wall()) {
        tracing::error!(name, "the process crashed over this body twice; it is refused now");
    }
    if size > CRASH_JOURNAL_SIZE_MAX {
        // A process that is being taken over appends to the same file.
        file.set_len(0)?;
        file.write_all(&bytes)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::quarantine::Fingerprint;

    #[test]
    fn the_newest_lines_are_read_and_kept() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join(NAME);
        let quarantine = Quarantine::default();
        let mut journal = open(&path, &quarantine).unwrap();
        let now = rt::wall();
        let [old, new] = [1, 2].map(|size| Fingerprint::of("demo", Some(size), b""));
        let line = |body| format!("{body} {} {} demo/1/a.ts\n", now.0, env!("CARGO_PKG_VERSION"));
        let rest = "x".repeat(usize::try_from(CRASH_JOURNAL_SIZE_MAX).unwrap() - 200);
        for text in [line(old), line(old), rest + "\n", line(new), line(new)] {
            journal.write_all(text.as_bytes()).unwrap();
        }
        let kept = open(&path, &quarantine).unwrap();
        assert!(!quarantine.refuses(old, now));
        assert!(quarantine.refuses(new, now));
        assert_eq!(kept.metadata().unwrap().len(), CRASH_JOURNAL_SIZE_MAX);
        let again = Quarantine::default();
        open(&path, &again).unwrap();
        assert!(again.refuses(new, now), "what was kept is found again");
    }
}
