//! The cache rings: a folder of their own for each process, so that one that takes over fills its
//! own while the one before it still sends from its.

use crate::control::config::Config;
use crate::ring::{RingError, Storage};
use crate::shard::made::{Give, Made};
use crate::shard::playback::MadeShelves;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Begins the folders' names. No channel id begins with a dot.
const PREFIX: &str = ".cache";

/// The folder of the process that was started by `takeovers` takeovers, one after another.
#[must_use]
pub fn folder(storage: &Path, takeovers: u64) -> PathBuf {
    storage.join(format!("{PREFIX}-{takeovers}"))
}

/// Empty cache rings in `folder`, half of the cache each. Folders of processes before the
/// predecessor are removed.
///
/// # Errors
///
/// [`RingError`], where the space cannot be had above all.
pub fn open(
    config: &Config,
    takeovers: u64,
    storage: &Arc<Storage>,
) -> Result<MadeShelves, RingError> {
    let dir = &config.storage.dir;
    let own = folder(dir, takeovers);
    let kept = [Some(own.clone()), takeovers.checked_sub(1).map(|before| folder(dir, before))];
    remove_others(dir, &kept)
        .map_err(|error| RingError::Io { path: dir.clone(), kind: error.kind() })?;
    let open = |name: &str, give: Give| {
        Made::open(&own.join(name), config.storage.cache_bytes / 2, storage, give).map(Arc::new)
    };
    Ok(MadeShelves {
        live: open("live", Storage::make)?,
        // What lies behind the live window is cold as a rule: it waits among the cold ranges.
        catch_up: open("catch-up", Storage::read)?,
    })
}

fn remove_others(dir: &Path, kept: &[Option<PathBuf>]) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let is_cache = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        let path = entry.path();
        if is_cache && !kept.iter().flatten().any(|kept| *kept == path) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// Removes a folder with all that is in it; who still sends from it is not disturbed.
pub fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "cache not removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_of_earlier_processes_are_removed() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        let names = [".cache-live", ".cache-2", ".cache-3", ".cache-4", "demo", "cache"];
        for name in names {
            fs::create_dir_all(path(name).join("live")).unwrap();
        }
        let kept = [Some(folder(dir.path(), 4)), Some(folder(dir.path(), 3))];
        remove_others(dir.path(), &kept).unwrap();
        let left: Vec<&str> = names.into_iter().filter(|name| path(name).exists()).collect();
        assert_eq!(left, [".cache-3", ".cache-4", "demo", "cache"]);
        remove(&path(".cache-3"));
        remove(&path(".cache-3"));
        assert!(!path(".cache-3").exists());
    }
}
