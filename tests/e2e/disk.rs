//! Filesystems of their own whose power can be cut, and that freeze, fill up and fail.
//!
//! An ext4 filesystem on a loop device, in a file. Needs the right to mount: where there is none,
//! the test reports that it was skipped.

#![allow(unsafe_code, reason = "an ioctl on a filesystem")]

use crate::origin::eventually;
use crate::report::skipped;
use std::cell::Cell;
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// One at a time: an origin in a mount namespace of its own would keep the others mounted.
static TURN: Mutex<()> = Mutex::new(());

/// What of a device is made slow.
#[derive(Clone, Copy)]
pub enum Direction {
    Reading,
    Writing,
}

/// A filesystem, mounted where a ring will be.
pub struct Disk {
    _turn: MutexGuard<'static, ()>,
    /// Where its image is, in memory.
    backing: TempDir,
    mount: PathBuf,
    /// Its device was made slow: the next one of that number must not be.
    is_slowed: Cell<bool>,
}

/// Runs a program; whether it succeeded.
fn run(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    let succeeded = output.as_ref().is_ok_and(|output| output.status.success());
    if !succeeded {
        eprintln!("{program} {arguments:?}: {output:?}");
    }
    succeeded
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Disk {
    /// A filesystem of `size_mib` at `mount`. `None` where this process may not mount.
    pub fn mounted(mount: PathBuf, size_mib: u64) -> Option<Self> {
        Self::made_with(mount, size_mib, "has_journal")
    }

    /// The same without a journal, so that it goes on where its device has no room for a block.
    pub fn without_journal(mount: PathBuf, size_mib: u64) -> Option<Self> {
        Self::made_with(mount, size_mib, "^has_journal")
    }

    fn made_with(mount: PathBuf, size_mib: u64, features: &str) -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = Self {
            _turn: turn,
            backing: TempDir::new().unwrap(),
            mount,
            is_slowed: Cell::new(false),
        };
        fs::create_dir_all(&disk.mount).unwrap();
        let backing = text(disk.backing.path());
        let room = format!("size={}m", size_mib + 1);
        let image = disk.image();
        let made = run("mount", &["-t", "tmpfs", "-o", &room, "tmpfs", backing])
            && File::create(&image).and_then(|file| file.set_len(size_mib << 20)).is_ok()
            && run(
                "mkfs.ext4",
                &["-q", "-b", "4096", "-O", features, "-E", "lazy_itable_init=0", text(&image)],
            )
            && disk.mount();
        if !made {
            skipped("a failing disk needs root, mkfs.ext4 and loop devices");
        }
        made.then_some(disk)
    }

    /// The filesystem's image.
    pub fn image(&self) -> PathBuf {
        self.backing.path().join("image")
    }

    /// Mounts it, playing back its journal.
    pub fn mount(&self) -> bool {
        run("mount", &["-o", "loop,errors=remount-ro", text(&self.image()), text(&self.mount)])
    }

    /// Takes it away; nothing may use it.
    pub fn unmount(&self) {
        assert!(run("umount", &[text(&self.mount)]));
        // What has ended lately may still be being cleared away, and the filesystem with it.
        eventually("the device is free", || {
            let devices = Command::new("losetup").arg("--associated").arg(self.image()).output();
            devices.unwrap().stdout.is_empty().then_some(())
        });
    }

    /// Cuts the power: nothing that is not on the device yet gets there, not even the journal.
    pub fn cut_power(&self) {
        const EXT4_IOC_SHUTDOWN: libc::Ioctl = 0x8004_587d;
        static NO_LOG_FLUSH: u32 = 2;
        let folder = File::open(&self.mount).unwrap();
        // SAFETY: the call reads the flags, which live until it returns.
        let cut =
            unsafe { libc::ioctl(folder.as_raw_fd(), EXT4_IOC_SHUTDOWN, &raw const NO_LOG_FLUSH) };
        assert_eq!(cut, 0, "{}", std::io::Error::last_os_error());
    }

    /// Has every write wait.
    pub fn freeze(&self) {
        assert!(run("fsfreeze", &["--freeze", text(&self.mount)]));
    }

    /// Lets writes go on.
    pub fn thaw(&self) {
        assert!(run("fsfreeze", &["--unfreeze", text(&self.mount)]));
    }

    /// Has it turn read-only, as it does after an error; for good.
    pub fn turn_read_only(&self) {
        let device = Command::new("findmnt").args(["-no", "SOURCE", text(&self.mount)]).output();
        let device = String::from_utf8(device.unwrap().stdout).unwrap();
        let name = device.trim().trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "a test").unwrap();
    }

    /// Has its device read, or write, no more than so many bytes a second. False where this system
    /// does not offer it.
    pub fn slow_down(&self, direction: Direction, bytes_per_second: u64) -> bool {
        let word = match direction {
            Direction::Reading => "read",
            Direction::Writing => "write",
        };
        let path = format!("/sys/fs/cgroup/blkio/blkio.throttle.{word}_bps_device");
        let device = Command::new("findmnt").args(["-no", "MAJ:MIN", text(&self.mount)]).output();
        let device = String::from_utf8(device.unwrap().stdout).unwrap();
        let line = format!("{} {bytes_per_second}", device.trim());
        let done = fs::write(path, line).is_ok();
        self.is_slowed.set(done);
        if !done {
            skipped("a slow disk needs cgroup v1 with blkio.throttle at its root");
        }
        done
    }

    /// Has it as fast as it is.
    pub fn speed_up(&self) {
        // 0 is no bound.
        self.slow_down(Direction::Reading, 0);
        self.slow_down(Direction::Writing, 0);
    }

    /// Changes the room that the device has.
    pub fn resize_device(&self, device_mib: u64) {
        let room = format!("remount,size={device_mib}m");
        assert!(run("mount", &["-o", &room, text(self.backing.path())]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_slowed.get() {
            self.speed_up();
        }
        // It may be gone, or never have been there.
        let _ = Command::new("fsfreeze").args(["--unfreeze", text(&self.mount)]).output();
        let _ = Command::new("umount").args(["--lazy", text(&self.mount)]).output();
        let _ = Command::new("umount").args(["--lazy", text(self.backing.path())]).output();
    }
}
