//! A channel read back from the records of its ring: of the newest files before its owner takes it
//! over, of the others behind that ([`super::owner`]).
//!
//! A change record is the number of its first change and the changes; a state record is the number
//! of the change after those that it includes, and the state. By the numbers, changes that were
//! written again after a failure count once, and where records are missing the channel goes on
//! from the next state that includes them.

use crate::engine::channel::candidate::RecordMeta;
use crate::engine::channel::older::{FileContent, MissingChanges, OlderPart, Seam};
use crate::engine::channel::state::{Change, State};
use crate::engine::channel::{Channel, Now, Recovery};
use crate::engine::presentation::Listed;
use crate::limits::UNLISTED_AGE_MAX;
use crate::ring::{FileRecords, Location, RecordKind, Recovered, RecoveredRecord, Ring, RingError};
use crate::shard::site::ChannelSite;
use crate::units::{Extent, MediaTime, WallClock};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the headers of records are. To be counted up with every change by which postcard reads an
/// older [`State`], [`Change`] or [`RecordMeta`] wrongly, or an older release a newer one: a field
/// more or less. A variant more at an enum's end is none for us, but is one for older releases.
pub const RECORD_VERSION: u32 = 3;

/// A channel that is ready to be taken over.
pub struct Reopened {
    pub(super) ring: Ring,
    pub(super) channel: Channel,
    pub(super) written: Recovery,
    pub(super) written_count: u64,
    pub(super) unwritten: Vec<Change>,
    /// Where what has been read begins, if there is more.
    pub(super) seam: Option<Seam>,
    /// When the newest media of the ring arrived.
    pub(super) newest_arrival: Option<WallClock>,
}

/// Why a channel cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    /// Its ring cannot be opened.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// A state, change or media header is not readable: written by another version.
    #[error("record header at offset {offset} of ring file {file} is not readable")]
    Header {
        /// Number of the file.
        file: u64,
        /// Offset of the header in bytes.
        offset: u64,
    },
    /// What older files list does not lead to what newer ones do.
    #[error(transparent)]
    Missing(#[from] MissingChanges),
}

fn unreadable(record: &RecoveredRecord) -> ReopenError {
    let Extent { file, offset, .. } = record.location.header;
    ReopenError::Header { file, offset }
}

/// Tells when the newest files of a ring have been read that a channel needs to go on, and to offer
/// its live manifests.
pub struct Newest {
    span: MediaTime,
    edge: Option<MediaTime>,
    arrived: Option<WallClock>,
}

impl Newest {
    /// Where `span` before the live edge is needed.
    #[must_use]
    pub const fn of(span: MediaTime) -> Self {
        Self { span, edge: None, arrived: None }
    }

    /// Looks at the records of one file, newer ones first: true where none before it is needed. It
    /// lists media from before the span, and holds media that, if not listed by then, had been
    /// given up.
    pub fn is_enough(&mut self, held: &FileRecords) -> bool {
        let records = || held.records.iter();
        self.edge = self.edge.or_else(|| Some(records().rev().find_map(listed_by)?.end));
        self.arrived = self.arrived.or_else(|| records().rev().find_map(arrival_of));
        let start = records().find_map(listed_by).map(|listed| listed.start);
        let is_listed = self.edge.zip(start).is_some_and(|(edge, it)| it <= edge - self.span);
        let arrived = records().find_map(arrival_of);
        is_listed && arrived.is_some_and(|arrived| arrived < oldest_unlisted(self.arrived))
    }
}

/// The first segment that a record lists. What cannot be read is told where it is taken.
fn listed_by(record: &RecoveredRecord) -> Option<Listed> {
    if record.kind != RecordKind::Change {
        return None;
    }
    let (_, changes): (u64, Vec<Change>) = postcard::from_bytes(&record.header).ok()?;
    changes.into_iter().find_map(|change| match change {
        Change::Listed(_, listed) => Some(listed),
        _ => None,
    })
}

/// When the media of a record arrived.
fn arrival_of(record: &RecoveredRecord) -> Option<WallClock> {
    if record.kind != RecordKind::Media {
        return None;
    }
    Some(postcard::from_bytes::<RecordMeta>(&record.header).ok()?.arrived)
}

/// What an older file of a ring adds to what was listed.
///
/// # Errors
///
/// [`ReopenError`]: neither it nor what is older can be listed.
pub fn read_older(seam: Seam, held: &FileRecords) -> Result<OlderPart, ReopenError> {
    let mut content = FileContent { file: held.file, ..FileContent::default() };
    for record in &held.records {
        match record.kind {
            RecordKind::State => {
                let read = postcard::from_bytes(&record.header);
                content.state = Some(read.map_err(|_| unreadable(record))?);
            }
            RecordKind::Change => {
                let read = postcard::from_bytes(&record.header);
                content.changes.push(read.map_err(|_| unreadable(record))?);
            }
            RecordKind::Media => {
                content.payloads.insert(record.location.payload);
            }
        }
    }
    Ok(seam.extend(content)?)
}

/// What the records so far have led to.
#[derive(Default)]
struct Reading {
    recovery: Option<Recovery>,
    /// Changes that it includes, since the ring's first.
    count: u64,
    /// A file began with a state that includes others.
    other: Option<(u64, State)>,
    /// Changes that could not be applied, for want of those before them.
    lost: u64,
    /// A record could not be taken without a panic: what follows waits for the next state.
    is_broken: bool,
    present: HashSet<Extent>,
    /// Before the first state; `None` where what was before it is lost.
    seam: Option<Seam>,
}

impl Reading {
    /// Takes a record; of media, where it arrived since `oldest`, that it may wait to be listed. A
    /// defect of ours that one brings to light must not end the process, and with the next start
    /// end it again: what was read is given up for the next file's state.
    fn on_record_guarded(
        &mut self,
        record: &RecoveredRecord,
        oldest: Option<WallClock>,
    ) -> Result<(), postcard::Error> {
        // What a panic leaves halfway is thrown away.
        catch_unwind(AssertUnwindSafe(|| self.on_record(record, oldest))).unwrap_or_else(|_| {
            (self.recovery, self.other, self.is_broken) = (None, None, true);
            self.seam = None;
            self.lost += 1;
            Ok(())
        })
    }

    fn on_record(
        &mut self,
        record: &RecoveredRecord,
        oldest: Option<WallClock>,
    ) -> Result<(), postcard::Error> {
        match record.kind {
            RecordKind::State => {
                let (count, state) = postcard::from_bytes(&record.header)?;
                self.on_state(count, state);
            }
            RecordKind::Change => {
                let (first, changes): (u64, Vec<Change>) = postcard::from_bytes(&record.header)?;
                self.on_changes(first, &changes);
            }
            RecordKind::Media => {
                let Location { table, payload, .. } = record.location;
                self.present.insert(payload);
                let Some(oldest) = oldest else { return Ok(()) };
                let meta: RecordMeta = postcard::from_bytes(&record.header)?;
                if meta.arrived >= oldest && !self.is_broken {
                    let recovery = self.recovery.get_or_insert_default();
                    recovery.on_media(meta, (table, payload), record.hash);
                }
            }
        }
        Ok(())
    }

    fn on_state(&mut self, count: u64, state: State) {
        if self.recovery.is_none() {
            if !self.is_broken {
                self.seam = Some(Seam::before(&state, count));
            }
            self.is_broken = false;
            (self.recovery, self.count) = (Some(Recovery::new(state)), count);
        } else {
            // The changes in between may follow, written again.
            self.other = (count != self.count).then_some((count, state));
        }
    }

    fn on_changes(&mut self, first: u64, changes: &[Change]) {
        if let Some((count, state)) = self.other.take_if(|(count, _)| *count == first)
            && first != self.count
        {
            self.lost += count.saturating_sub(self.count);
            self.seam = None;
            (self.recovery, self.count) = (Some(Recovery::new(state)), count);
        }
        if self.is_broken {
            self.lost += changes.len() as u64;
            return;
        }
        if first > self.count {
            self.lost += changes.len() as u64;
            return;
        }
        let recovery = self.recovery.get_or_insert_default();
        for (number, change) in (first..).zip(changes) {
            if let Some(seam) = &mut self.seam {
                seam.on_change(number, change, recovery.windows());
            }
            if number == self.count {
                recovery.on_change(change);
                self.count += 1;
            }
        }
    }
}

impl Reopened {
    /// True while nobody else owns the channel.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.ring.tenure().is_current()
    }

    /// Rebuilds a channel from the records of its ring.
    ///
    /// # Errors
    ///
    /// [`ReopenError`]; the ring's files are left as they are.
    pub fn new(
        site: &ChannelSite,
        mut ring: Ring,
        recovered: &Recovered,
        now: Now,
    ) -> Result<Self, ReopenError> {
        let (counters, damage) = (&site.live.counters, &recovered.damage);
        counters.ring_torn_records.add(damage.torn_records);
        counters.ring_checksum_failures.add(damage.corrupt_records);
        counters.ring_lost_files.add(damage.lost_files + damage.short_files);
        let mut reading = Reading::default();
        let (newest_arrival, recent) = recent_media(&recovered.records);
        let oldest = oldest_unlisted(newest_arrival);
        for (at, record) in recovered.records.iter().enumerate() {
            let read = reading.on_record_guarded(record, (at >= recent).then_some(oldest));
            read.map_err(|_| unreadable(record))?;
        }
        let Reading { recovery, count: written_count, lost, present, seam, .. } = reading;
        let mut recovery = recovery.unwrap_or_default();
        let seam = seam.filter(|_| ring.unread_count() > 0);
        let mut seam = seam.and_then(|seam| look_before(seam, recovered, site, &mut recovery));
        if seam.is_none() {
            ring.give_up_unread();
        }
        let gone = drop_absent(&mut recovery, seam.as_mut(), &ring, (recovered, &present));
        if gone > 0 || lost > 0 {
            tracing::warn!(channel = %site.id, gone, lost, "listed segments or changes are gone");
        }
        let finish = |recovery: &Recovery| {
            let recovery = recovery.clone();
            let finish = || recovery.finish(site.timeline.clone(), now);
            catch_unwind(AssertUnwindSafe(finish)).ok()
        };
        let mut finished = finish(&recovery);
        if finished.is_none() {
            tracing::error!(channel = %site.id, "media state panicked; unlisted media is dropped");
            recovery.forget_unlisted();
            finished = finish(&recovery);
        }
        let mut channel = finished.unwrap_or_else(|| {
            tracing::error!(channel = %site.id, "media state panicked again; it begins anew");
            recovery = Recovery::default();
            ring.begin_file_next();
            Channel::new(site.timeline.clone())
        });
        let (written, unwritten) = (recovery, channel.take_changes());
        if channel.state().tracks.is_empty() {
            // It began anew: nothing leads to what is older.
            seam = None;
            ring.give_up_unread();
        }
        Ok(Self { ring, channel, written, written_count, unwritten, seam, newest_arrival })
    }
}

/// What is known of what lies before the newest files: that there is nothing, or what the owner
/// before has shown. `None` where that is all of it, and the files need not be read.
fn look_before(
    mut seam: Seam,
    recovered: &Recovered,
    site: &ChannelSite,
    recovery: &mut Recovery,
) -> Option<Seam> {
    let oldest = recovered.oldest_state.as_ref();
    if let Some(Ok((_, state))) = oldest.map(|it| postcard::from_bytes::<(u64, State)>(it)) {
        seam.compare_oldest(&state);
    }
    recovery.set_unread(&seam);
    let Some(part) = seam.bridge(&site.live.published.load().presentation) else {
        return Some(seam);
    };
    recovery.on_older(Some(&part));
    None
}

/// Forgets what is listed and has left the ring, and has what is not in its file become gaps, which
/// it counts. What lies in a file that is still to be read is noted at the `seam`.
fn drop_absent(
    recovery: &mut Recovery,
    seam: Option<&mut Seam>,
    ring: &Ring,
    (recovered, present): (&Recovered, &HashSet<Extent>),
) -> usize {
    let files = ring.files();
    if let Some(oldest) = files.first() {
        recovery.on_file_dropped(oldest.sequence().saturating_sub(1));
    }
    let is_older = |payload: &Extent| payload.file < recovered.oldest_read;
    let gone = recovery.drop_lost(|listed: &Listed| {
        listed.media.as_ref().map(|media| media.payload).is_some_and(|payload| {
            let is_in_ring = || ring.file(payload.file).is_some();
            if is_older(&payload) { is_in_ring() } else { present.contains(&payload) }
        })
    });
    if let Some(seam) = seam {
        for payload in recovery.windows().payloads().filter(is_older) {
            seam.await_payload(payload);
        }
    }
    gone
}

/// When the newest media of a ring arrived, and the position of a record before which all media had
/// been given up if it was not listed.
fn recent_media(records: &[RecoveredRecord]) -> (Option<WallClock>, usize) {
    let mut newest = None;
    for (at, record) in records.iter().enumerate().rev() {
        let Some(arrived) = arrival_of(record) else { continue };
        newest = newest.max(Some(arrived));
        if arrived < oldest_unlisted(newest) {
            return (newest, at);
        }
    }
    (newest, 0)
}

/// What arrived before this and was not listed had been given up when the process ended.
fn oldest_unlisted(newest: Option<WallClock>) -> WallClock {
    let age = i64::try_from(UNLISTED_AGE_MAX.as_micros()).unwrap_or(i64::MAX);
    WallClock(newest.map_or(i64::MIN, |newest| newest.0.saturating_sub(age)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MediaTime;
    use proptest::prelude::*;

    /// Change `number` of a ring; each leads to another state.
    fn change(number: u64) -> Change {
        Change::Clock(MediaTime(i64::try_from(number).expect("small")))
    }

    fn changes(numbers: std::ops::Range<u64>) -> Vec<Change> {
        numbers.map(change).collect()
    }

    fn state(count: u64) -> State {
        let mut state = State::default();
        for change in &changes(0..count) {
            state.apply(change);
        }
        state
    }

    fn end_of(reading: &Reading) -> (u64, u64, State) {
        let recovery = reading.recovery.as_ref().expect("something was read");
        (reading.count, reading.lost, recovery.snapshot().0)
    }

    #[test]
    fn changes_written_again_count_once() {
        let mut reading = Reading::default();
        reading.on_state(0, state(0));
        reading.on_changes(0, &changes(0..3));
        // The record of 3 and 4 failed after a file with their state was begun.
        reading.on_state(5, state(5));
        reading.on_changes(3, &changes(3..5));
        reading.on_changes(5, &changes(5..6));
        assert_eq!(end_of(&reading), (6, 0, state(6)));
        // The files before that one have left the ring.
        let mut reading = Reading::default();
        reading.on_state(5, state(5));
        reading.on_changes(3, &changes(3..6));
        assert_eq!(end_of(&reading), (6, 0, state(6)));
    }

    #[test]
    fn lost_changes_are_made_up_for_by_the_next_state() {
        let mut reading = Reading::default();
        reading.on_state(0, state(0));
        reading.on_changes(0, &changes(0..3));
        reading.on_changes(5, &changes(5..7));
        assert_eq!(end_of(&reading), (3, 2, state(3)));
        reading.on_state(7, state(7));
        reading.on_changes(7, &changes(7..8));
        assert_eq!(end_of(&reading), (8, 6, state(8)));
    }

    #[test]
    fn co_03_a_record_that_panics_costs_the_media_before_the_next_state() {
        let record = |kind, header| RecoveredRecord {
            kind,
            header,
            location: Location {
                header: Extent { file: 1, offset: 0, size: 0 },
                table: Extent { file: 1, offset: 0, size: 0 },
                payload: Extent { file: 1, offset: 0, size: 0 },
            },
            hash: 0,
        };
        let encode = |first: u64, changes: &[Change]| {
            postcard::to_stdvec(&(first, changes)).expect("plain data")
        };
        let state_of = |count: u64| postcard::to_stdvec(&(count, state(count))).expect("plain");
        // Listed on a track that there isn't.
        let listed = crate::engine::presentation::Listed {
            number: 1,
            grid: 0,
            start: MediaTime(0),
            end: MediaTime(1),
            discontinuity: false,
            media: None,
        };
        let broken = Change::Listed(crate::units::TrackId(7), listed);
        let records = [
            record(RecordKind::State, state_of(0)),
            record(RecordKind::Change, encode(0, &changes(0..3))),
            record(RecordKind::Change, encode(3, &[broken])),
            record(RecordKind::Change, encode(4, &changes(4..6))),
            record(RecordKind::State, state_of(6)),
            record(RecordKind::Change, encode(6, &changes(6..8))),
        ];
        let mut reading = Reading::default();
        for record in &records {
            assert_eq!(reading.on_record_guarded(record, Some(WallClock(0))), Ok(()));
        }
        assert_eq!(end_of(&reading), (8, 3, state(8)));
    }

    proptest! {
        /// However records are cut, repeated, and mixed with states, what is read is what was
        /// decided.
        #[test]
        fn any_history_is_read_back(
            steps in prop::collection::vec((1_u64..4, any::<bool>(), any::<bool>()), 1..20),
        ) {
            let mut reading = Reading::default();
            reading.on_state(0, state(0));
            let mut count = 0;
            for (size, begins_file, fails) in steps {
                if begins_file {
                    // Begun by media while the changes were on their way.
                    reading.on_state(count + size, state(count + size));
                }
                if !fails {
                    reading.on_changes(count, &changes(count..count + size));
                    count += size;
                }
            }
            prop_assert_eq!(end_of(&reading), (count, 0, state(count)));
        }
    }
}
