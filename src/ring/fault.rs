//! What happens where a mapped page cannot be had: the file is marked lost, the process lives.
//!
//! A read through a mapping meets SIGBUS where the disk fails or a stranger has truncated the
//! file. The handler finds the mapping in a table of fixed size, marks its file lost, and puts a
//! page of zeros in the hole, so that the read ends. Who has read asks afterwards whether the file
//! was lost, and throws away what it made. A SIGBUS anywhere else ends the process as ever.

#![allow(unsafe_code)] // a signal handler, and the page it maps

use crate::limits::MAPPED_FILE_COUNT_MAX;
use std::io::{Error, Result};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

const PAGE_SIZE: usize = 4096;

/// A mapping as the handler sees it; free where `start` is 0.
struct Slot {
    start: AtomicUsize,
    size: AtomicUsize,
    lost: AtomicPtr<AtomicBool>,
}

static SLOTS: [Slot; MAPPED_FILE_COUNT_MAX] = [const {
    Slot { start: AtomicUsize::new(0), size: AtomicUsize::new(0), lost: AtomicPtr::new(null_mut()) }
}; MAPPED_FILE_COUNT_MAX];

/// Keeps a mapping in the table; to be dropped before the mapping is.
#[derive(Debug)]
pub struct Guarded {
    slot: usize,
    lost: Arc<AtomicBool>,
}

impl Guarded {
    /// Enters the mapping of `size` bytes at `start`. `None` where the table is full or the kernel
    /// refuses the handler: the mapping is then not to be read.
    pub fn new(start: usize, size: usize) -> Option<Self> {
        static INSTALLED: OnceLock<bool> = OnceLock::new();
        if !INSTALLED.get_or_init(|| install().is_ok()) {
            return None;
        }
        let lost = Arc::new(AtomicBool::new(false));
        let free = |slot: &Slot| {
            // 1 is no address of a page: the slot is taken, and matches nothing yet.
            slot.start.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let slot = SLOTS.iter().position(free)?;
        SLOTS[slot].size.store(size, Ordering::Relaxed);
        SLOTS[slot].lost.store(Arc::as_ptr(&lost).cast_mut(), Ordering::Relaxed);
        SLOTS[slot].start.store(start, Ordering::Release);
        Some(Self { slot, lost })
    }

    /// True once a page of the mapping could not be had.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        SLOTS[self.slot].start.store(0, Ordering::Release);
    }
}

fn install() -> Result<()> {
    // SAFETY: all zeros is a valid sigaction: default handler, empty mask, no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_bus_error as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler is async-signal-safe: it loads and stores atomics and makes system calls.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, null_mut()) } == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}

extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo_t.
    let info = unsafe { &*info };
    // SAFETY: for SIGBUS the field is the address of the fault.
    let address = unsafe { info.si_addr() }.addr();
    for slot in &SLOTS {
        let start = slot.start.load(Ordering::Acquire);
        let inside = address
            .checked_sub(start)
            .is_some_and(|at| start > 1 && at < slot.size.load(Ordering::Relaxed));
        if inside {
            let lost = slot.lost.load(Ordering::Relaxed);
            // SAFETY: whoever reads the mapping holds it, so its `Guarded`, and with that the
            // flag, lives until this handler has returned.
            unsafe { &*lost }.store(true, Ordering::Release);
            if fill(address - address % PAGE_SIZE) {
                return;
            }
        }
    }
    // SAFETY: signal(2) is async-signal-safe. The read faults again, and ends the process.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}

/// Puts a page of zeros at `address`.
fn fill(address: usize) -> bool {
    // SAFETY: the page lies inside a mapping of ours, which is read-only and has lost this page;
    // it is unmapped together with the mapping.
    let page = unsafe {
        libc::mmap(
            std::ptr::with_exposed_provenance_mut(address),
            PAGE_SIZE,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    page != libc::MAP_FAILED
}
