//! Where the newest listed segments came from, and what copies of them were called: tells a retry
//! from an encoder that began anew.

use crate::limits;
use crate::units::{InputNumber, TrackId};
use std::collections::VecDeque;

/// Where the newest listed segments came from, and their copies from the other input. Bounded;
/// forgotten at a restart.
#[derive(Clone, Debug, Default)]
pub struct RecentNames {
    entries: VecDeque<(TrackId, u64, InputNumber, String)>,
}

impl RecentNames {
    pub(super) fn push(&mut self, track: TrackId, number: u64, input: InputNumber, name: &str) {
        if self.entries.len() == limits::RECENT_NAME_COUNT_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((track, number, input, name.to_owned()));
    }

    /// True where something of `input` was listed lately.
    pub(super) fn knows(&self, input: InputNumber) -> bool {
        self.entries.iter().any(|entry| entry.2 == input)
    }

    pub(super) fn source_of(&self, track: TrackId, number: u64) -> Option<(InputNumber, &str)> {
        // What is listed was there before its copies.
        let found = self.entries.iter().find(|entry| (entry.0, entry.1) == (track, number));
        found.map(|(_, _, input, name)| (*input, name.as_str()))
    }

    /// The number of an input's newest segment that is listed on a track, or whose twin is.
    pub(super) fn newest_of(&self, track: TrackId, input: InputNumber) -> Option<(u64, &str)> {
        let same =
            |entry: &&(TrackId, u64, InputNumber, String)| (entry.0, entry.2) == (track, input);
        self.entries.iter().rfind(same).map(|entry| (entry.1, entry.3.as_str()))
    }

    pub(super) fn number_of(&self, track: TrackId, input: InputNumber, name: &str) -> Option<u64> {
        let same = |entry: &&(TrackId, u64, InputNumber, String)| {
            entry.0 == track && entry.2 == input && entry.3 == name
        };
        self.entries.iter().rfind(same).map(|entry| entry.1)
    }
}
