//! Splice messages and tagged segments on their way into the state: each is placed on the timeline
//! with the media that it came with, once however often it comes.
//!
//! A message counts as soon as a segment that carries it is listed, or a copy of a listed one that
//! is not needed itself. What an input says that is apart from the one that leads does not: its
//! times are of another timeline.

use crate::engine::channel::candidate::RecordMeta;
use crate::engine::channel::event::Event;
use crate::engine::channel::grid::unwrap_near;
use crate::engine::channel::state::Change;
use crate::engine::channel::{Channel, DropReason};
use crate::engine::playlist::{MediaPlaylist, name_of_uri, parse_date_time};
use crate::engine::scte35::{
    BreakDuration, SPLICE_TIME_MODULUS, SpliceCommand, SpliceEvent, SpliceInfo, SpliceInsert,
    parse_section, write_section,
};
use crate::engine::segment::MetadataKind;
use crate::engine::splice::source_tags::{self, TagMark};
use crate::engine::splice::{SPLICE_REACH, SourceTags, SpliceMessage};
use crate::units::{InputNumber, MediaTime};

/// Segments that begin this near to each other are the same one: a tenth of a second.
const SEGMENT_TOLERANCE: MediaTime = MediaTime(9_000);

impl Channel {
    /// Takes the messages of a body whose first track begins at media time `start`.
    pub(super) fn note_messages(&mut self, meta: &RecordMeta, start: MediaTime) {
        let shift = start - meta.start;
        for message in meta.metadata.iter().filter(|it| it.kind == MetadataKind::Scte35) {
            let arrived = message.time.map_or(start, |time| unwrap_near(time, shift, start));
            let Ok(info) = parse_section(&message.data) else {
                self.events.push(Event::SpliceRefused(meta.input));
                continue;
            };
            let time = info.splice_time().and_then(|time| i64::try_from(time).ok());
            let time = time.map_or(arrived, |time| unwrap_near(MediaTime(time), shift, arrived));
            if info.is_marker() {
                self.note_splice(meta.input, (time, arrived), &message.data);
            }
        }
    }

    /// The same of a copy that is not kept.
    pub(super) fn note_messages_of_copy(&mut self, meta: &RecordMeta, why: DropReason) {
        let is_of_listed = matches!(why, DropReason::Duplicate | DropReason::Divergent);
        if meta.metadata.is_empty() || !is_of_listed || self.is_apart(meta.input) {
            return;
        }
        let Some(track) = self.track_fed_by(meta) else { return };
        if let Some(start) = self.media_start(track, meta) {
            self.note_messages(meta, start);
        }
    }

    fn note_splice(
        &mut self,
        input: InputNumber,
        (time, arrived): (MediaTime, MediaTime),
        section: &[u8],
    ) {
        if (time - arrived).0.abs() > SPLICE_REACH.0 {
            return self.events.push(Event::SpliceRefused(input));
        }
        let message = SpliceMessage { time, arrived, section: section.to_vec() };
        if !self.state.splices.has_message(&message) {
            self.emit(Change::Splice(message));
            self.events.push(Event::SpliceNoted);
        }
    }

    /// Takes the tags of a leading segment that is being listed, which begins at `start`.
    pub(super) fn note_tags_of(&mut self, meta: &RecordMeta, start: MediaTime) {
        let said = self.inputs.playlists(meta.input).segment(&meta.name);
        let lines = said.map(|said| said.tags.clone()).unwrap_or_default();
        self.note_tags(meta.input, start, lines);
    }

    /// Takes the tags of what is listed already: some encoders send segments before playlists.
    pub(super) fn note_playlist_tags(&mut self, input: InputNumber, list: &MediaPlaylist) {
        let Some(leader) = self.leader().map(|leader| leader.info.id) else { return };
        if self.is_apart(input) {
            return;
        }
        for segment in list.segments.iter().filter(|segment| !segment.tags.is_empty()) {
            let name = name_of_uri(&segment.uri);
            let number = self.recent.number_of(leader, input, name);
            let listed = number.and_then(|number| self.listed_number(leader, number));
            if let Some(start) = listed.map(|listed| listed.start) {
                self.note_tags(input, start, source_tags::of_interest(&segment.tags));
            }
        }
    }

    fn note_tags(&mut self, input: InputNumber, start: MediaTime, lines: Vec<String>) {
        if lines.is_empty() || self.state.splices.has_tags(start, SEGMENT_TOLERANCE) {
            return;
        }
        for mark in source_tags::read(&lines) {
            match mark {
                TagMark::Section { section, date } => {
                    let time = date.and_then(|date| self.media_time_of(&date)).unwrap_or(start);
                    match parse_section(&section) {
                        Ok(info) if info.is_marker() => {
                            self.note_splice(input, (time, start), &section);
                        }
                        Ok(_) => {}
                        Err(_) => self.events.push(Event::SpliceRefused(input)),
                    }
                }
                TagMark::Out(ticks) => self.note_cue(input, start, true, ticks),
                TagMark::In => self.note_cue(input, start, false, None),
            }
        }
        self.emit(Change::Tags(SourceTags { time: start, lines }));
    }

    /// The media time of a date in a playlist, by the channel's clock.
    fn media_time_of(&self, date: &str) -> Option<MediaTime> {
        let date = parse_date_time(date)?;
        Some(MediaTime(date.ticks_90k()) - self.state.clock_offset?)
    }

    /// A cue without a message, as the message that says the same. Its id is that of its time in
    /// tenths of a second, so that it is the same wherever it is made up.
    fn note_cue(&mut self, input: InputNumber, time: MediaTime, out: bool, ticks: Option<u64>) {
        let tenths = (time.0 / 9_000).rem_euclid(1 << 31);
        let pts = u64::try_from(time.0).unwrap_or(0) % SPLICE_TIME_MODULUS;
        let event = SpliceEvent {
            out_of_network: out,
            is_program: true,
            time: Some(pts),
            duration: ticks.map(|ticks| BreakDuration { auto_return: true, ticks }),
            is_id_arbitrary: false,
            program_id: 0,
            avail: 0,
            avails_expected: 0,
        };
        let event_id = u32::try_from(tenths).expect("a remainder of 2^31");
        let info = SpliceInfo {
            protocol_version: 0,
            sap_type: 3,
            pts_adjustment: 0,
            control_word: 0,
            tier: 0xfff,
            command: SpliceCommand::Insert(SpliceInsert { event_id, event: Some(event) }),
            descriptors: Vec::new(),
        };
        let section = write_section(&info).expect("a splice_insert is short");
        self.note_splice(input, (time, time), &section);
    }
}
