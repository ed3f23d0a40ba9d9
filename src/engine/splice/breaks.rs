//! Breaks and other stretches of the programme, made of splice messages.
//!
//! Messages are read in the order of their times:
//!
//! - a message that is sent again, or says a running stretch's beginning again, changes nothing;
//! - what was announced before it is cancelled by id, and begins after that, does not begin;
//! - a stretch ends with its end message, else with its planned duration, whichever is first; a
//!   duration of 0 is none. A `splice_insert` that leaves the network again ends the one before;
//! - one message may end a stretch and begin another; ends come first.

use super::ad::AdRule;
use super::{SPLICE_REACH, SpliceLog, SpliceMessage};
use crate::engine::scte35::{
    SegmentationDescriptor, SegmentationType, SpliceCommand, SpliceEvent, SpliceInsert, Upid,
    parse_section,
};
use crate::units::MediaTime;

/// An end message this near to a stretch's planned end belongs to it: half a second.
const END_TOLERANCE: MediaTime = MediaTime(45_000);

/// What a stretch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakKind {
    /// Out of the network, by `splice_insert`.
    Insert,
    /// What a segmentation descriptor of this type begins, or says where it has no end.
    Segmentation(SegmentationType),
}

/// A stretch of the programme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break<'a> {
    /// `splice_event_id` or `segmentation_event_id`.
    pub event_id: u32,
    /// What it is.
    pub kind: BreakKind,
    /// Where it begins.
    pub start: MediaTime,
    /// How long it is to last.
    pub planned: Option<MediaTime>,
    /// Where it ends, as far as is known: by a message or as planned.
    pub end: Option<MediaTime>,
    /// True where the endpoint takes it for an advertisement.
    pub is_ad: bool,
    /// What it is called.
    pub upid: Upid,
    /// The message that it began with.
    pub message: &'a SpliceMessage,
    /// The message that it ended with.
    pub end_message: Option<&'a SpliceMessage>,
    /// True where another one of the same id began within a day before it.
    pub is_id_reused: bool,
}

impl Break<'_> {
    /// True where it has begun and not ended at `time`.
    #[must_use]
    pub fn covers(&self, time: MediaTime) -> bool {
        self.start <= time && self.end.is_none_or(|end| time < end)
    }
}

/// The stretches that reach behind `from`, in the order in which they begin.
#[must_use]
pub fn breaks_from(log: &SpliceLog, rule: AdRule, from: MediaTime) -> Vec<Break<'_>> {
    let mut reader = Reader { rule, breaks: Vec::new(), cancelled: Vec::new() };
    for message in log.messages_from(from - SPLICE_REACH) {
        reader.on_message(message);
    }
    let mut breaks = reader.breaks;
    breaks.retain(|it| it.end.is_none_or(|end| end > from || it.start >= from));
    breaks
}

struct Reader<'a> {
    rule: AdRule,
    breaks: Vec<Break<'a>>,
    /// Ids that were cancelled, and when.
    cancelled: Vec<(u32, MediaTime)>,
}

impl<'a> Reader<'a> {
    fn on_message(&mut self, message: &'a SpliceMessage) {
        let Ok(info) = parse_section(&message.section) else { return };
        match &info.command {
            SpliceCommand::Insert(insert) => self.on_insert(message, insert),
            SpliceCommand::TimeSignal(_) => {
                for descriptor in info.segmentations().filter(|it| it.is_cancelled) {
                    self.cancelled.push((descriptor.event_id, message.time));
                }
                let told = || info.segmentations().filter(|it| !it.is_cancelled);
                for descriptor in told() {
                    self.on_end(message, descriptor);
                }
                for descriptor in told().filter(|it| it.kind.start().is_none()) {
                    self.on_start(message, descriptor);
                }
            }
            _ => {}
        }
    }

    /// True where what `message` announces was cancelled before it began.
    fn is_cancelled(&self, event_id: u32, message: &SpliceMessage) -> bool {
        let span = message.arrived..message.time;
        self.cancelled.iter().any(|(id, time)| *id == event_id && span.contains(time))
    }

    fn on_insert(&mut self, message: &'a SpliceMessage, insert: &SpliceInsert) {
        let SpliceInsert { event_id, event } = *insert;
        let Some(event) = event else {
            return self.cancelled.push((event_id, message.time));
        };
        let SpliceEvent { out_of_network, duration, .. } = event;
        if !out_of_network {
            let is_own = |it: &Break<'_>| it.kind == BreakKind::Insert;
            return self.end_where(message, |it| is_own(it) && it.event_id == event_id, is_own);
        }
        if self.is_known(BreakKind::Insert, event_id, message) {
            return;
        }
        for open in &mut self.breaks {
            if open.kind == BreakKind::Insert && open.covers(message.time) {
                open.end = Some(message.time);
            }
        }
        self.begin(message, event_id, BreakKind::Insert, duration.map(|it| it.ticks));
        if let Some(fresh) = self.breaks.last_mut() {
            fresh.is_ad = self.rule.takes_insert();
        }
    }

    fn on_start(&mut self, message: &'a SpliceMessage, descriptor: &SegmentationDescriptor) {
        let kind = BreakKind::Segmentation(descriptor.kind);
        if self.is_known(kind, descriptor.event_id, message) {
            return;
        }
        self.begin(message, descriptor.event_id, kind, descriptor.duration);
        let rule = self.rule;
        if let Some(fresh) = self.breaks.last_mut() {
            fresh.is_ad = rule.takes(descriptor);
            fresh.upid.clone_from(&descriptor.upid);
            if descriptor.kind.end().is_none() {
                // A point, not a stretch.
                (fresh.planned, fresh.end) = (None, Some(message.time));
            }
        }
    }

    fn on_end(&mut self, message: &'a SpliceMessage, descriptor: &SegmentationDescriptor) {
        let Some(start) = descriptor.kind.start() else { return };
        let is_own = |it: &Break<'_>| it.kind == BreakKind::Segmentation(start);
        let id = descriptor.event_id;
        self.end_where(message, |it| is_own(it) && it.event_id == id, is_own);
    }

    /// Ends the running stretch that `is_meant`, else the newest that `is_like` it.
    fn end_where(
        &mut self,
        message: &'a SpliceMessage,
        is_meant: impl Fn(&Break<'_>) -> bool,
        is_like: impl Fn(&Break<'_>) -> bool,
    ) {
        let time = message.time;
        let runs = |it: &Break<'_>| {
            it.end_message.is_none()
                && it.start < time
                && it.end.is_none_or(|end| end + END_TOLERANCE >= time)
        };
        let at = self.breaks.iter().rposition(|it| runs(it) && is_meant(it));
        let at = at.or_else(|| self.breaks.iter().rposition(|it| runs(it) && is_like(it)));
        if let Some(ended) = at.and_then(|at| self.breaks.get_mut(at)) {
            ended.end = Some(time);
            ended.end_message = Some(message);
        }
    }

    /// True where that stretch runs or begins already, or was cancelled.
    fn is_known(&self, kind: BreakKind, event_id: u32, message: &SpliceMessage) -> bool {
        let same = |it: &&Break<'_>| (it.kind, it.event_id) == (kind, event_id);
        let newest = self.breaks.iter().rfind(same);
        newest.is_some_and(|it| it.covers(message.time) || it.start == message.time)
            || self.is_cancelled(event_id, message)
    }

    fn begin(
        &mut self,
        message: &'a SpliceMessage,
        event_id: u32,
        kind: BreakKind,
        ticks: Option<u64>,
    ) {
        let start = message.time;
        let planned = ticks.filter(|ticks| *ticks > 0);
        let planned = planned.and_then(|ticks| i64::try_from(ticks).ok()).map(MediaTime);
        let is_id_reused =
            self.breaks.iter().any(|it| it.event_id == event_id && it.start + SPLICE_REACH > start);
        self.breaks.push(Break {
            event_id,
            kind,
            start,
            planned,
            end: planned.map(|planned| start + planned),
            is_ad: false,
            upid: Upid::default(),
            message,
            end_message: None,
            is_id_reused,
        });
    }
}

#[cfg(test)]
mod tests;
