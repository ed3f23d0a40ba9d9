//! Keeps a flood of refused requests out of the log: so many lines a second, the rest counted.

use crate::limits::REFUSAL_LINE_COUNT_MAX;
use crate::units::Monotonic;
use std::cell::Cell;

/// One shard's gate for lines that strangers can cause.
#[derive(Debug, Default)]
pub struct LogGate {
    /// The second that is counted, and lines let through in it.
    second: Cell<(u64, u32)>,
    suppressed: Cell<u64>,
}

impl LogGate {
    /// Whether a line may be written now: how many were left out since the last one, or `None`
    /// where this one is left out, too.
    pub fn admit(&self, now: Monotonic) -> Option<u64> {
        let (second, count) = self.second.get();
        let count = if second == now.0.as_secs() { count } else { 0 };
        if count == REFUSAL_LINE_COUNT_MAX {
            self.suppressed.set(self.suppressed.get() + 1);
            return None;
        }
        self.second.set((now.0.as_secs(), count + 1));
        Some(self.suppressed.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_leaves_so_many_lines_a_second_and_a_count() {
        let gate = LogGate::default();
        let at = |ms| gate.admit(Monotonic(Duration::from_millis(ms)));
        let flood = u64::from(REFUSAL_LINE_COUNT_MAX) + 30;
        let written = (0..flood).filter(|number| at(5_000 + number).is_some()).count();
        assert_eq!(written, REFUSAL_LINE_COUNT_MAX as usize);
        assert_eq!(at(5_999), None);
        assert_eq!(at(6_000), Some(31), "the next one says how many were left out");
        assert_eq!(at(6_001), Some(0));
    }
}
