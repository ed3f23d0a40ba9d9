//! What a thread was at when the process crashed: a line in a journal, written on the way out.
//!
//! While a future is polled under [`put_down_to`], its [`LastWords`] stand in memory of its thread.
//! That costs a few stores a poll and no system call, and no disk is ever waited for. Where the
//! thread then aborts or faults, a signal handler appends the words to the journal, a file that was
//! opened before. A process that is killed from outside writes nothing: that is nobody's fault.

#![allow(unsafe_code)] // signal handlers

use crate::limits::LAST_WORDS_SIZE_MAX;
use std::cell::Cell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::pin::pin;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, compiler_fence};

const WORD_COUNT: usize = LAST_WORDS_SIZE_MAX / 8;

/// Signals of a crash: an abort, and faults. SIGBUS belongs to whoever maps files.
const SIGNALS: [libc::c_int; 4] = [libc::SIGABRT, libc::SIGSEGV, libc::SIGILL, libc::SIGFPE];

static JOURNAL: OnceLock<File> = OnceLock::new();
/// What a signal did before; by [`SIGNALS`].
static BEFORE: [OnceLock<libc::sigaction>; SIGNALS.len()] = [const { OnceLock::new() }; 4];
/// One fault may lead to another: a stack overflow aborts.
static IS_SAID: AtomicBool = AtomicBool::new(false);

thread_local! {
    static OWN: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

/// One line, ready to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWords {
    words: [u64; WORD_COUNT],
    size: usize,
}

impl LastWords {
    /// The first bytes of `text` that fit, as a line.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let size = text.floor_char_boundary(LAST_WORDS_SIZE_MAX - 1);
        let mut bytes = [0; LAST_WORDS_SIZE_MAX];
        bytes[..size].copy_from_slice(&text.as_bytes()[..size]);
        bytes[size] = b'\n';
        let (chunks, _) = bytes.as_chunks();
        let words = std::array::from_fn(|at| u64::from_ne_bytes(chunks[at]));
        Self { words, size: size + 1 }
    }
}

/// Where the words of one thread stand.
#[derive(Debug)]
pub struct Slot {
    /// Bytes of the words; 0 while the thread is at nothing.
    size: AtomicUsize,
    words: [AtomicU64; WORD_COUNT],
}

/// The thread is at something while this lives.
struct Saying<'a>(&'a Slot);

impl Drop for Saying<'_> {
    fn drop(&mut self) {
        self.0.size.store(0, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
    }
}

impl Slot {
    /// The slot of this thread. A thread's slot outlives it.
    fn own() -> &'static Self {
        OWN.get().unwrap_or_else(|| {
            let words = [const { AtomicU64::new(0) }; WORD_COUNT];
            let slot: &'static Self = Box::leak(Box::new(Self { size: 0.into(), words }));
            OWN.set(Some(slot));
            slot
        })
    }

    fn say(&self, last: &LastWords) -> Saying<'_> {
        for (word, value) in self.words.iter().zip(&last.words) {
            word.store(*value, Ordering::Relaxed);
        }
        self.size.store(last.size, Ordering::Release);
        // The handler runs on this thread: what follows is not to be done before.
        compiler_fence(Ordering::SeqCst);
        Saying(self)
    }

    /// Appends what the thread is at to the journal. Calls nothing that a signal handler may not.
    pub fn write_down(&self) {
        let size = self.size.load(Ordering::Acquire).min(LAST_WORDS_SIZE_MAX);
        let mut bytes = [0; LAST_WORDS_SIZE_MAX];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(&self.words) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        if let Some(mut journal) = JOURNAL.get().filter(|_| size > 0) {
            // There is nobody left to tell where it fails.
            let _ = journal.write(&bytes[..size]);
        }
    }
}

/// The slot of this thread, for others to write down where it does not come back.
#[must_use]
pub fn own_slot() -> &'static Slot {
    Slot::own()
}

/// Runs `future`; a crash of this thread while it is polled is put down to `last`.
pub async fn put_down_to<F: Future>(last: &LastWords, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _saying = Slot::own().say(last);
        future.as_mut().poll(context)
    })
    .await
}

/// Has crashes from here on written to `journal`, which is open for appending.
///
/// # Errors
///
/// Where there is a journal already, or the system refuses a handler.
pub fn write_last_words_to(journal: File) -> io::Result<()> {
    JOURNAL.set(journal).map_err(|_| io::ErrorKind::AlreadyExists)?;
    SIGNALS.iter().zip(&BEFORE).try_for_each(|(&signal, before)| install(signal, before))
}

fn install(signal: libc::c_int, before: &OnceLock<libc::sigaction>) -> io::Result<()> {
    // SAFETY: all zeros is a valid sigaction: default handler, empty mask, no flags.
    let mut known: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `known` outlives the call, and no action is given.
    if unsafe { libc::sigaction(signal, null_mut(), &raw mut known) } != 0 {
        return Err(io::Error::last_os_error());
    }
    before.get_or_init(|| known);
    let mut action = known;
    action.sa_sigaction = on_crash as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the handler is async-signal-safe: it loads and stores atomics, reads a thread-local
    // without a destructor, and makes system calls.
    if unsafe { libc::sigaction(signal, &raw const action, null_mut()) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Says the last words, and leaves the rest to whoever had the signal before.
extern "C" fn on_crash(signal: libc::c_int) {
    if let Some(slot) = OWN.get()
        && !IS_SAID.swap(true, Ordering::Relaxed)
    {
        slot.write_down();
    }
    let before = SIGNALS.iter().zip(&BEFORE).find(|(known, _)| **known == signal);
    if let Some(before) = before.and_then(|(_, before)| before.get()) {
        // SAFETY: sigaction(2) is async-signal-safe, and the action is one that the kernel gave.
        unsafe { libc::sigaction(signal, before, null_mut()) };
    }
    if signal == libc::SIGABRT {
        // A fault comes again by itself; an abort may have come from outside.
        // SAFETY: raise(3) is async-signal-safe. It is dealt with when this handler returns.
        unsafe { libc::raise(signal) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_line_that_fits() {
        for (text, size) in [("", 1), ("a", 2), (&"x".repeat(500), LAST_WORDS_SIZE_MAX)] {
            let last = LastWords::new(text);
            assert_eq!(last.size, size);
        }
        // A character that would be cut is left out.
        let last = LastWords::new(&("x".repeat(LAST_WORDS_SIZE_MAX - 2) + "é"));
        assert_eq!(last.size, LAST_WORDS_SIZE_MAX - 1);
    }

    #[test]
    fn a_thread_is_at_something_only_while_it_polls() {
        let last = LastWords::new("name");
        let slot = own_slot();
        let said = || slot.size.load(Ordering::Relaxed);
        let mut polls = 0;
        let mut future = pin!(put_down_to(
            &last,
            poll_fn(|_| {
                polls += 1;
                assert_eq!(said(), last.size);
                if polls < 3 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
            })
        ));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while future.as_mut().poll(&mut context).is_pending() {
            assert_eq!(said(), 0);
        }
        assert_eq!(said(), 0);
    }
}
