//! Numbers that must not be mixed up.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One of a channel's two inputs: 1 or 2, as it stands in the ingest URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InputNumber(u8);

impl InputNumber {
    /// The first input.
    pub const ONE: Self = Self(1);
    /// The second input.
    pub const TWO: Self = Self(2);

    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::ONE, Self::TWO];

    /// The input that a URL names, or `None` for anything but 1 and 2.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            1 | 2 => Some(Self(number)),
            _ => None,
        }
    }

    /// 1 or 2.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// 0 or 1, for indexing a pair.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// The one that this is not.
    #[must_use]
    pub const fn other(self) -> Self {
        Self(3 - self.0)
    }
}

impl fmt::Display for InputNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An output track of a channel. Stable for the channel's life, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrackId(pub u16);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
