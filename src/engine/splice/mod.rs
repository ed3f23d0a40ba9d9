//! What a source says of its programme's points on the output timeline: splice messages, from
//! whatever carried them, and the playlist tags they came in.
//!
//! The log is part of a channel's state. It is a function of what came alone: the same message from
//! two inputs, or in several renditions, is there once. What it means for an endpoint is told by
//! [`breaks`].

pub mod ad;
pub mod breaks;
pub mod source_tags;

use crate::limits::{SPLICE_LOG_COUNT_MAX, SPLICE_LOG_SIZE_MAX};
use crate::units::MediaTime;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Equal messages this near to each other are one that was sent again: 10 s.
const REPEAT_SPAN: MediaTime = MediaTime(10 * 90_000);

/// How far before a window a message may lie that still matters in it, and how far ahead of its
/// arrival a splice may be: a day.
pub const SPLICE_REACH: MediaTime = MediaTime(24 * 3_600 * 90_000);

/// A splice message (ANSI/SCTE 35) and where on the timeline it belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpliceMessage {
    /// Where it takes effect: its splice time, or where it came where that is at once.
    pub time: MediaTime,
    /// Where in the media it came.
    pub arrived: MediaTime,
    /// The `splice_info_section`, checksum included.
    pub section: Vec<u8>,
}

/// The tags of a source's playlist that speak of programme points, as they stood before a segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourceTags {
    /// Where the segment begins.
    pub time: MediaTime,
    /// The lines, verbatim.
    pub lines: Vec<String>,
}

/// Messages and tags of a window, each in the order of their times. Cheap to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Entries", into = "Entries")]
pub struct SpliceLog {
    entries: Arc<Entries>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entries {
    messages: Vec<SpliceMessage>,
    tags: Vec<SourceTags>,
    /// Bytes of both.
    size: usize,
}

impl From<Entries> for SpliceLog {
    fn from(entries: Entries) -> Self {
        Self { entries: Arc::new(entries) }
    }
}

impl From<SpliceLog> for Entries {
    fn from(log: SpliceLog) -> Self {
        Arc::unwrap_or_clone(log.entries)
    }
}

impl SpliceMessage {
    fn size(&self) -> usize {
        size_of::<Self>() + self.section.len()
    }
}

impl SourceTags {
    fn size(&self) -> usize {
        size_of::<Self>() + self.lines.iter().map(|line| line.len() + 8).sum::<usize>()
    }
}

impl SpliceLog {
    /// The messages, in the order of their times.
    #[must_use]
    pub fn messages(&self) -> &[SpliceMessage] {
        &self.entries.messages
    }

    /// The messages from `time` on.
    #[must_use]
    pub fn messages_from(&self, time: MediaTime) -> &[SpliceMessage] {
        let first = self.entries.messages.partition_point(|message| message.time < time);
        self.entries.messages.get(first..).unwrap_or_default()
    }

    /// The tags of segments that begin at `start` and before `end`.
    #[must_use]
    pub fn tags_between(&self, start: MediaTime, end: MediaTime) -> &[SourceTags] {
        let tags = &self.entries.tags;
        let first = tags.partition_point(|it| it.time < start);
        let last = tags.partition_point(|it| it.time < end);
        tags.get(first..last).unwrap_or_default()
    }

    /// True where the message, or one that is the same sent again, is there.
    #[must_use]
    pub fn has_message(&self, message: &SpliceMessage) -> bool {
        let near = self.messages_from(message.time - REPEAT_SPAN);
        let near = near.iter().take_while(|known| known.time <= message.time + REPEAT_SPAN);
        near.into_iter().any(|known| known.section == message.section)
    }

    /// True where tags of the segment that begins at `time`, give or take `tolerance`, are there.
    #[must_use]
    pub fn has_tags(&self, time: MediaTime, tolerance: MediaTime) -> bool {
        !self.tags_between(time - tolerance, time + tolerance).is_empty()
    }

    /// Adds a message. The oldest leave where there are too many.
    pub fn add_message(&mut self, message: SpliceMessage) {
        let entries = Arc::make_mut(&mut self.entries);
        entries.size += message.size();
        let at = entries.messages.partition_point(|known| *known < message);
        entries.messages.insert(at, message);
        entries.keep_bounds();
    }

    /// Adds a segment's tags. The oldest leave where there are too many.
    pub fn add_tags(&mut self, tags: SourceTags) {
        let entries = Arc::make_mut(&mut self.entries);
        entries.size += tags.size();
        let at = entries.tags.partition_point(|known| *known < tags);
        entries.tags.insert(at, tags);
        entries.keep_bounds();
    }

    /// Forgets what lies so far before a window that begins at `start` that it says nothing of it.
    pub fn forget_before(&mut self, start: MediaTime) {
        let from = start - SPLICE_REACH;
        let is_old = self.entries.messages.first().is_some_and(|it| it.time < from)
            || self.entries.tags.first().is_some_and(|it| it.time < start);
        if is_old {
            let entries = Arc::make_mut(&mut self.entries);
            entries.messages.retain(|it| it.time >= from);
            entries.tags.retain(|it| it.time >= start);
            let messages = entries.messages.iter().map(SpliceMessage::size);
            entries.size = messages.chain(entries.tags.iter().map(SourceTags::size)).sum();
        }
    }
}

impl Entries {
    fn keep_bounds(&mut self) {
        while self.messages.len() + self.tags.len() > SPLICE_LOG_COUNT_MAX
            || self.size > SPLICE_LOG_SIZE_MAX
        {
            let (message, tags) = (self.messages.first(), self.tags.first());
            let of_tags = tags.is_some_and(|tags| message.is_none_or(|it| tags.time <= it.time));
            let gone =
                if of_tags { self.tags.remove(0).size() } else { self.messages.remove(0).size() };
            self.size -= gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(time: i64, section: &[u8]) -> SpliceMessage {
        let time = MediaTime(time);
        SpliceMessage { time, arrived: time, section: section.to_vec() }
    }

    #[test]
    fn the_log_is_in_order_and_knows_what_is_sent_again() {
        let mut log = SpliceLog::default();
        for (time, section) in [(500, b"b"), (0, b"a"), (500, b"a")] {
            log.add_message(message(time, section));
        }
        let order: Vec<_> = log.messages().iter().map(|it| (it.time.0, it.section[0])).collect();
        assert_eq!(order, [(0, b'a'), (500, b'a'), (500, b'b')]);
        assert!(log.has_message(&message(900_000, b"a")));
        assert!(!log.has_message(&message(900_501, b"a")) && !log.has_message(&message(0, b"c")));
        assert_eq!(log.messages_from(MediaTime(1)).len(), 2);
        let read: SpliceLog =
            postcard::from_bytes(&postcard::to_stdvec(&log).expect("plain")).expect("as written");
        assert_eq!(read, log);
    }

    #[test]
    fn it_is_bounded_and_leaves_with_the_window() {
        let mut log = SpliceLog::default();
        for at in 0..10_000 {
            log.add_message(message(at, &at.to_be_bytes()));
            log.add_tags(SourceTags { time: MediaTime(at), lines: vec!["#EXT".to_owned()] });
        }
        assert!(log.entries.size <= SPLICE_LOG_SIZE_MAX);
        assert!(log.messages().len() + log.entries.tags.len() <= SPLICE_LOG_COUNT_MAX);
        assert_eq!(log.messages().last().map(|it| it.time.0), Some(9_999), "the oldest leave");
        log.forget_before(MediaTime(9_990));
        assert_eq!(log.tags_between(MediaTime(0), MediaTime(20_000)).len(), 10);
        assert!(log.messages().len() > 10, "what may reach into the window stays");
        log.forget_before(MediaTime(9_999) + SPLICE_REACH);
        assert_eq!((log.messages().len(), log.entries.tags.len()), (1, 0));
        assert_eq!(log.entries.size, log.messages()[0].size());
    }
}
