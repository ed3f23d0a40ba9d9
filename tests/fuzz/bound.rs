//! What a parser may take for an input: memory by a counting allocator, time by the thread's own
//! clock, which other work on the machine does not move.

use crate::heap;
use std::time::Duration;

/// Bytes at once for each byte of input, and for any input at all.
const MEMORY_PER_BYTE: usize = 32;
const MEMORY_BASE: usize = 64 << 10;
/// Far above what is needed and far below what a loop without end or a square takes.
const TIME_PER_BYTE: Duration = Duration::from_micros(20);
const TIME_BASE: Duration = Duration::from_millis(100);

fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(told, 0);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Runs a parser on `size` bytes and holds it to its bounds.
pub fn measured(name: &str, size: usize, run: impl FnOnce()) {
    let (held, began) = (heap::held(), thread_time());
    heap::forget_peak();
    run();
    let (memory, time) = (heap::peak() - held, thread_time().saturating_sub(began));
    let memory_max = MEMORY_BASE + MEMORY_PER_BYTE * size;
    assert!(memory <= memory_max, "{name}: {memory} bytes of memory for {size} bytes");
    let time_max = TIME_BASE + TIME_PER_BYTE * u32::try_from(size).unwrap();
    assert!(time <= time_max, "{name}: {time:?} for {size} bytes");
}
