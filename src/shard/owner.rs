//! A channel on the shard that owns it: its state machine, its ring, and the order between them.
//!
//! Changes go to the ring before viewers see what they lead to, so that a restart never un-lists
//! what somebody has fetched. One record of changes is written at a time: where that fails, its
//! changes are written again before any later one. Changes are numbered from the ring's first;
//! the state that a ring file begins with says which ones it includes ([`super::reopen`]).

use crate::engine::channel::candidate::RecordMeta;
use crate::engine::channel::state::Change;
use crate::engine::channel::{Channel, ChannelConfig, DropReason, Event, Now, Recovery, Verdict};
use crate::engine::playlist::Playlist;
use crate::engine::presentation::Presentation;
use crate::engine::sample_table;
use crate::engine::segment::SegmentBody;
use crate::limits::{
    CHANGE_BATCH_COUNT_MAX, CHANGE_BATCH_SIZE_MAX, CHANGE_UNWRITTEN_COUNT_MAX, UNLISTED_AGE_MAX,
};
use crate::ring::{Location, Record, RecordKind, Refused, Ring, Stored, Tenure, WriteError};
use crate::shard::counters::ChannelCounters;
use crate::shard::history::History;
use crate::shard::reopen::Reopened;
use crate::shard::rt::{self, oneshot};
use crate::shard::site::{ChannelSite, EdgeAge, Published};
use crate::units::{Extent, InputNumber, MediaTime, Monotonic};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

mod older;
mod picture;

use older::Unread;
use picture::Arrival;

/// A channel and its ring.
pub struct Owner {
    site: RefCell<Arc<ChannelSite>>,
    inner: RefCell<Inner>,
}

struct Inner {
    channel: Channel,
    ring: Ring,
    /// What the ring has: state, windows, and what was committed and is not listed.
    written: Recovery,
    /// Changes that led to them, since the ring's first.
    written_count: u64,
    /// Changes of the record that is being written.
    writing: Vec<Change>,
    /// Changes that the ring has not been given yet.
    unwritten: VecDeque<Change>,
    /// Who waits for changes to be written, and up to which.
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    /// When the channel's state panicked last.
    panicked: Option<Monotonic>,
    /// What the ring had lost at the last look, see [`Ring::loss_count`].
    loss_count: usize,
    /// The ring took no changes at the last try.
    is_refused: bool,
    /// Files that have left the ring, to be told to the channel.
    dropped_files: Vec<u64>,
    /// Files were begun or dropped since the last publication.
    files_changed: bool,
    /// Bytes of the largest recent segment.
    body_size_recent: u64,
    /// For eyes.
    history: History,
    history_changed: bool,
    /// When records that wait to be listed were whole, by their payloads.
    whole: VecDeque<(Extent, Monotonic)>,
    /// The same of those listed since the last presentation, and of those in it that are not shown.
    listed: Vec<Monotonic>,
    presented: Vec<Monotonic>,
    /// Bodies committed since the last tick, to be put into it.
    unplaced: VecDeque<(Arrival, Committed)>,
    /// The age of what was taken over, where nothing has been published yet.
    reopened_age: EdgeAge,
    /// Older files of the ring are being read.
    unread: Option<Unread>,
}

/// What became of a sound segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is in the ring.
    Stored,
    /// The same media is there already, with the same bytes.
    Duplicate,
    /// Media of that time is there already, from the other input, with other bytes.
    Divergent,
    /// It is listed already under that name, with other bytes, which stay.
    Overwritten,
    /// It is of the input that does not lead, is apart from the one that does, and is not needed.
    Standby,
}

impl Committed {
    const fn of_dropped(reason: DropReason) -> Result<Self, Uncommitted> {
        match reason {
            DropReason::Duplicate => Ok(Self::Duplicate),
            DropReason::Divergent => Ok(Self::Divergent),
            DropReason::Overwritten => Ok(Self::Overwritten),
            DropReason::Standby => Ok(Self::Standby),
            DropReason::Crowded => Err(Uncommitted::Crowded),
            DropReason::Implausible => Err(Uncommitted::Implausible),
        }
    }
}

/// Why a sound segment or playlist is not in the ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncommitted {
    /// The ring did not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It could not be written.
    #[error(transparent)]
    Unwritten(#[from] WriteError),
    /// The storage thread went away, or changes that it led to could not be written.
    #[error("storage did not take it")]
    Abandoned,
    /// The channel has another owner by now: what became of it is that one's to say.
    #[error("another shard has taken the channel over")]
    Stale,
    /// Too many segments wait to be listed.
    #[error("too many segments wait to be listed")]
    Crowded,
    /// Its timestamps span nothing, or more than a segment may last.
    #[error("timestamps span nothing, or more than a segment may last")]
    Implausible,
    /// The channel's state had to be restarted while this was looked at.
    #[error("the channel restarted")]
    Restarted,
}

type Receipt = oneshot::Receiver<Result<Vec<Stored>, WriteError>>;

impl Owner {
    /// Takes a channel over on this shard.
    #[must_use]
    pub fn new(site: Arc<ChannelSite>, reopened: Reopened) -> Rc<Self> {
        let Reopened { ring, channel, written, written_count, unwritten, seam, newest_arrival } =
            reopened;
        let at = now();
        site.live.is_filling.store(seam.is_some(), Ordering::Release);
        site.live.counters.ring_unread_files.set(ring.unread_count() as u64);
        let silence = newest_arrival.map_or(0, |newest| at.wall.0.saturating_sub(newest.0));
        let age = Duration::from_micros(u64::try_from(silence).unwrap_or(0));
        let inner = Inner {
            channel,
            ring,
            written,
            written_count,
            writing: Vec::new(),
            unwritten: unwritten.into(),
            waiting: Vec::new(),
            panicked: None,
            loss_count: 0,
            is_refused: false,
            dropped_files: Vec::new(),
            files_changed: true,
            body_size_recent: 0,
            history: History::clone(&site.live.history.load()),
            history_changed: false,
            whole: VecDeque::new(),
            listed: Vec::new(),
            presented: Vec::new(),
            unplaced: VecDeque::new(),
            reopened_age: EdgeAge { age, since: at.monotonic },
            unread: seam.map(Unread::new),
        };
        let owner = Rc::new(Self { site: RefCell::new(site), inner: RefCell::new(inner) });
        owner.publish();
        if owner.inner.borrow().unread.is_some() {
            owner.read_older();
        }
        owner
    }

    /// The channel as configured.
    #[must_use]
    pub fn site(&self) -> Arc<ChannelSite> {
        Arc::clone(&self.site.borrow())
    }

    /// Takes a new configuration: timeline, users, ring size.
    pub fn reconfigure(self: &Rc<Self>, site: &Arc<ChannelSite>) {
        let (size, body_size_max) = (site.ring.size, site.ring.body_size_max);
        let before = self.site();
        let is_resized = (size, body_size_max) != (before.ring.size, before.ring.body_size_max);
        let timeline = site.timeline.clone();
        *self.site.borrow_mut() = Arc::clone(site);
        let mut inner = self.inner.borrow_mut();
        inner.ring.set_durability(site.ring.durability);
        // After a panic the channel goes on with the new timeline just the same.
        let _restarted = inner.step(site, |channel| channel.reconfigure(timeline));
        if is_resized {
            match inner.ring.resize(size, body_size_max) {
                Ok(dropped) => inner.dropped_files.extend(dropped),
                Err(error) => tracing::error!(channel = %site.id, %error, "ring not resized"),
            }
            inner.files_changed = true;
            inner.forget_dropped(site);
        }
        drop(inner);
        self.publish();
    }

    /// What a body of unknown size may take: half as much again as the largest recent one.
    #[must_use]
    pub fn expected_body_size(&self) -> u64 {
        let recent = self.inner.borrow().body_size_recent;
        recent + recent / 2
    }

    /// True until another owner takes the channel over.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.inner.borrow().ring.tenure().is_current()
    }

    /// Lets the channel go, to be taken over by shard `next`: `None` where it has gone already.
    #[must_use]
    pub fn pass_to(&self, next: usize) -> Option<Tenure> {
        self.inner.borrow().ring.tenure().pass_to(next)
    }

    /// Commits a sound segment of `size` body bytes. Returns when it is in the ring, or not needed.
    ///
    /// # Errors
    ///
    /// [`Uncommitted`]; nothing of it is listed then, unless by an owner who took over meanwhile.
    pub async fn commit(
        self: &Rc<Self>,
        input: InputNumber,
        name: &str,
        body: SegmentBody,
        size: u64,
    ) -> Result<Committed, Uncommitted> {
        let arrival = Arrival::of(input, &body);
        let committed = self.judge_and_store(input, name, body, size).await?;
        // What was decided without a write was decided by what another owner may know better.
        if !self.is_current() {
            return Err(Uncommitted::Stale);
        }
        self.inner.borrow_mut().note_arrival(arrival, committed);
        Ok(committed)
    }

    async fn judge_and_store(
        self: &Rc<Self>,
        input: InputNumber,
        name: &str,
        mut body: SegmentBody,
        size: u64,
    ) -> Result<Committed, Uncommitted> {
        let at = now();
        let placed = {
            let (site, mut inner) = (self.site(), self.inner.borrow_mut());
            inner.note_size(size);
            inner.may_write()?;
            let ends = body.tracks.iter().map(|track| track.presentation_end);
            if let Some(end) = ends.max()
                && let Some(lateness) = inner.channel.lateness(at, end)
            {
                site.live.counters.inputs[input.index()].lateness.observe(lateness);
            }
            let judged = inner.step(&site, |channel| channel.on_segment(at, input, name, &body));
            let metas = match judged.ok_or(Uncommitted::Restarted)? {
                Verdict::Store(metas) => metas,
                Verdict::Drop(reason) => {
                    drop(inner);
                    // What waited for a copy may be listed now that it came.
                    self.publish();
                    return Committed::of_dropped(reason);
                }
            };
            let placed = inner.append_body(metas, &mut body);
            inner.forget_dropped(&site);
            placed?
        };
        let (placed, written) = placed;
        let written = written.await.map_err(|_| Uncommitted::Abandoned)??;
        let stored = placed.into_iter().zip(written);
        let stored = stored.map(|((meta, location), written)| (meta, location, written.hash));
        let stored: Vec<_> = stored.collect();
        self.inner.borrow_mut().note_whole(at.monotonic, &stored);
        let listed = self.inner.borrow_mut().list(&self.site(), stored);
        self.publish();
        self.show_ring();
        listed.map(|()| Committed::Stored).ok_or(Uncommitted::Restarted)
    }

    /// Takes a playlist. Returns once what it leads to is in the ring.
    ///
    /// # Errors
    ///
    /// [`Uncommitted`]; the encoder sends it again.
    pub async fn on_playlist(
        self: &Rc<Self>,
        input: InputNumber,
        name: &str,
        playlist: &Playlist,
    ) -> Result<(), Uncommitted> {
        let written = self.inner.borrow_mut().take_playlist(&self.site(), input, name, playlist)?;
        self.publish();
        if let Some(written) = written {
            written.await.map_err(|_| Uncommitted::Abandoned)?;
        }
        if self.is_current() { Ok(()) } else { Err(Uncommitted::Stale) }
    }

    /// Something happened to the channel that its picture is to tell.
    pub fn note(&self, kind: &'static str, text: &str) {
        self.inner.borrow_mut().note(kind, text);
    }

    /// Time passed.
    pub fn on_tick(self: &Rc<Self>) {
        let site = self.site();
        let mut inner = self.inner.borrow_mut();
        inner.look_for_loss(&site);
        let wanted = site.live.take_wanted_input();
        let _restarted = inner.step(&site, |channel| {
            if let Some(input) = wanted {
                channel.switch_to(input);
            }
            channel.on_tick(now());
        });
        drop(inner);
        self.publish();
        let live = &self.site.borrow().live;
        live.counters.edge_age_us.set_span(live.published.load().edge_age.at(rt::now()));
        let mut inner = self.inner.borrow_mut();
        for input in InputNumber::BOTH {
            let is_healthy = inner.channel.input_is_healthy(input, rt::now());
            live.counters.inputs[input.index()].alive.set(u64::from(is_healthy));
        }
        inner.place_arrivals();
        if std::mem::take(&mut inner.history_changed) {
            live.history.store(Arc::new(inner.history.clone()));
        }
    }

    /// Has what was appended synced; to be called every sync interval.
    pub fn sync(&self) {
        self.inner.borrow_mut().ring.sync();
        self.show_ring();
    }

    fn show_ring(&self) {
        let fill = self.inner.borrow().ring.fill();
        let counters = &self.site.borrow().live.counters;
        counters.ring_used_bytes.set(fill.bytes_used);
        counters.ring_bytes.set(fill.bytes_total);
        counters.ring_unsynced_bytes.set(fill.unsynced_bytes);
        if fill.stranded_bytes > counters.ring_stranded_bytes.value() {
            let channel = &*self.site().id;
            let bytes = fill.stranded_bytes;
            tracing::error!(channel, bytes, "not on the disk, and a power cut would cost it");
        }
        counters.ring_stranded_bytes.set(fill.stranded_bytes);
        counters.ring_lingering_files.set(fill.lingering_files as u64);
        counters.ring_failing.set(u64::from(fill.is_failing));
        counters.ring_syncs.set(fill.syncs);
        counters.ring_sync_us.set(fill.sync_us);
        counters.ring_write_failures.set(fill.write_failures);
        counters.ring_sync_failures.set(fill.sync_failures);
        counters.ring_spare_failures.set(fill.spare_failures);
        counters.stale_writes.set(fill.stale_writes);
    }

    /// True where all changes so far are in the ring.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let inner = self.inner.borrow();
        inner.change_count() == inner.written_count
    }

    /// Writes what changed to the ring, and shows it to viewers once it is there.
    fn publish(self: &Rc<Self>) {
        let site = self.site();
        let mut inner = self.inner.borrow_mut();
        if !inner.writing.is_empty() {
            // Whoever waits for that record publishes again.
            return;
        }
        if inner.unwritten.is_empty() {
            inner.waiting.clear();
            if inner.files_changed
                && let Some(published) = inner.present(&site)
            {
                drop(inner);
                self.show(published);
            }
            return;
        }
        let appended = inner.append_changes();
        inner.forget_dropped(&site);
        let written = match appended {
            Ok(written) => written,
            Err(error) => {
                // Tried again with the next tick; viewers keep what they have.
                if !std::mem::replace(&mut inner.is_refused, true) {
                    tracing::warn!(channel = %site.id, %error, "changes wait for the ring");
                }
                inner.waiting.clear();
                return;
            }
        };
        inner.is_refused = false;
        let published = if inner.unwritten.is_empty() { inner.present(&site) } else { None };
        drop(inner);
        let owner = Rc::clone(self);
        rt::spawn(async move {
            let written = written.await;
            owner.on_changes_written(written.ok(), published);
        });
    }

    /// The record of changes is in the ring, or not: `None` where storage has ended.
    fn on_changes_written(
        self: &Rc<Self>,
        written: Option<Result<Vec<Stored>, WriteError>>,
        published: Option<Published>,
    ) {
        let site = self.site();
        let mut inner = self.inner.borrow_mut();
        match written {
            Some(Ok(_)) => {
                let listed = inner.confirm_changes();
                site.live.counters.published_segments.add(listed);
                drop(inner);
                if let Some(published) = published {
                    self.show(published);
                }
                self.publish();
            }
            Some(Err(error)) => {
                tracing::error!(channel = %site.id, %error, "changes not written, to be repeated");
                inner.repeat_changes();
            }
            None => inner.repeat_changes(),
        }
    }

    fn show(&self, mut published: Published) {
        let site = self.site.borrow();
        published.edge_age = self.edge_age(&site.live.published.load(), &published);
        let counters = &site.live.counters;
        let active = self.inner.borrow().channel.active_input();
        counters.active_input.set(active.map_or(0, |input| u64::from(input.number())));
        counters.window_us.set(window_us(&published.presentation));
        site.live.publish(published);
        for whole in self.inner.borrow_mut().presented.drain(..) {
            counters.publication.observe(rt::now().0.saturating_sub(whole.0));
        }
    }

    /// How old the edge of `published` is, which replaces `before`.
    fn edge_age(&self, before: &Published, published: &Published) -> EdgeAge {
        if before.serial == 0 {
            return self.inner.borrow().reopened_age;
        }
        let moved = published.presentation.edge() > before.presentation.edge();
        if moved { EdgeAge { age: Duration::ZERO, since: rt::now() } } else { before.edge_age }
    }
}

impl Inner {
    /// Runs the channel's state machine. A panic in it restarts the channel from what was decided
    /// and committed before, and loses just what was being looked at.
    fn step<T>(&mut self, site: &ChannelSite, step: impl FnOnce(&mut Channel) -> T) -> Option<T> {
        let channel = &mut self.channel;
        // What a panic leaves halfway is thrown away below.
        let stepped = catch_unwind(AssertUnwindSafe(|| step(channel)));
        if stepped.is_err() {
            tracing::error!(channel = %site.id, "media state panicked; the channel restarts");
            site.live.counters.restarts.add(1);
            self.note("restart", "media state panicked; the channel restarts");
            self.restart(site.timeline.clone());
        }
        for event in self.channel.take_events() {
            report(site, &event);
            self.note_event(&event);
        }
        let changes = self.channel.take_changes();
        for change in &changes {
            self.note_change(site, change);
        }
        self.unwritten.extend(changes);
        stepped.ok()
    }

    fn restart(&mut self, config: ChannelConfig) {
        let now = now();
        let mut decided = self.written.clone();
        for change in self.writing.iter().chain(&self.unwritten) {
            decided.on_change(change);
        }
        let before = self.panicked.replace(now.monotonic);
        let again = before.is_some_and(|before| now.monotonic < before + UNLISTED_AGE_MAX);
        if again {
            self.written.forget_unlisted();
        }
        let trusted = (!again).then_some(&mut self.channel);
        self.channel = decided.restart(trusted, config, now);
        self.files_changed = true;
    }

    /// Tells the channel of a body whose tracks are in the ring.
    fn list(&mut self, site: &ChannelSite, stored: Vec<(RecordMeta, Location, u64)>) -> Option<()> {
        let at = now();
        self.step(site, |channel| {
            for (meta, location, hash) in &stored {
                let extents = (location.table, location.payload);
                channel.on_stored(at, meta.clone(), extents, *hash);
            }
            channel.on_body_stored(at);
        })?;
        for (meta, location, hash) in stored {
            self.written.on_media(meta, (location.table, location.payload), hash);
        }
        Some(())
    }

    /// Remembers the largest size, letting it fade by a sixteenth per segment.
    fn note_size(&mut self, size: u64) {
        self.body_size_recent = size.max(self.body_size_recent - self.body_size_recent / 16);
    }

    /// Changes decided so far, written or not.
    fn change_count(&self) -> u64 {
        self.written_count + (self.writing.len() + self.unwritten.len()) as u64
    }

    /// Takes a playlist. Returns what completes once its changes are in the ring; `None` where
    /// they are.
    fn take_playlist(
        &mut self,
        site: &ChannelSite,
        input: InputNumber,
        name: &str,
        playlist: &Playlist,
    ) -> Result<Option<oneshot::Receiver<()>>, Uncommitted> {
        let at = now();
        self.may_write()?;
        let taken = self.step(site, |channel| channel.on_playlist(at, input, name, playlist));
        taken.ok_or(Uncommitted::Restarted)?;
        let up_to = self.change_count();
        if self.written_count == up_to {
            return Ok(None);
        }
        let (done, written) = oneshot::channel();
        self.waiting.push((up_to, done));
        Ok(Some(written))
    }

    /// Refuses while changes pile up that the ring does not take.
    fn may_write(&self) -> Result<(), Refused> {
        if self.unwritten.len() >= CHANGE_UNWRITTEN_COUNT_MAX {
            return Err(Refused::Busy);
        }
        Ok(())
    }

    /// Has what the ring has lost since the last look become gaps.
    fn look_for_loss(&mut self, site: &ChannelSite) {
        let before = std::mem::replace(&mut self.loss_count, self.ring.loss_count());
        if self.loss_count <= before {
            return;
        }
        let lost = self.loss_count - before;
        site.live.counters.ring_checksum_failures.add(lost as u64);
        tracing::error!(channel = %site.id, lost, "records or files of the ring are lost");
        self.forget_lost(site);
    }

    fn forget_lost(&mut self, site: &ChannelSite) {
        let files = self.ring.files();
        let is_lost = |payload: Extent| {
            let file = files.binary_search_by_key(&payload.file, |file| file.sequence());
            let file = file.ok().and_then(|at| files.get(at));
            file.is_none_or(|file| file.is_lost() || file.is_unsound(payload.offset))
        };
        let _restarted = self.step(site, |channel| channel.on_media_lost(is_lost));
    }

    /// Gives the ring a record for each track that must be stored.
    fn append_body(
        &mut self,
        metas: Vec<(usize, RecordMeta)>,
        body: &mut SegmentBody,
    ) -> Result<(Vec<(RecordMeta, Location)>, Receipt), Refused> {
        let record = |(at, meta): &(usize, RecordMeta)| {
            let track = &mut body.tracks[*at];
            Record {
                kind: RecordKind::Media,
                header: postcard::to_stdvec(meta).expect("records are plain data"),
                table: sample_table::encode(&track.samples),
                payload: std::mem::take(&mut track.payload),
            }
        };
        let records = metas.iter().map(record).collect();
        let (locations, written) = self.append(records)?;
        let metas = metas.into_iter().map(|(_, meta)| meta);
        Ok((metas.zip(locations).collect(), written))
    }

    /// Gives the ring a record of the oldest unwritten changes.
    fn append_changes(&mut self) -> Result<Receipt, Refused> {
        assert!(self.writing.is_empty(), "one record of changes at a time");
        let changes = batch(&self.unwritten);
        let count = changes.len();
        let header = postcard::to_stdvec(&(self.written_count, &changes));
        let header = header.expect("changes are plain data");
        let record =
            Record { kind: RecordKind::Change, header, table: Vec::new(), payload: Vec::new() };
        let (_, written) = self.append(vec![record])?;
        self.unwritten.drain(..count);
        self.writing = changes;
        Ok(written)
    }

    fn append(&mut self, records: Vec<Record>) -> Result<(Vec<Location>, Receipt), Refused> {
        let Self { ring, written, written_count, writing, .. } = self;
        let state = || {
            let mut state = written.state().clone();
            for change in &*writing {
                state.apply(change);
            }
            let count = *written_count + writing.len() as u64;
            postcard::to_stdvec(&(count, &state)).expect("states are plain data")
        };
        let (done, receipt) = oneshot::channel();
        let placed = ring.append_group(records, state, move |result| done.complete(result))?;
        self.files_changed |= placed.began_file.is_some() || !placed.dropped_files.is_empty();
        self.dropped_files.extend(placed.dropped_files);
        Ok((placed.location, receipt))
    }

    /// Forgets what lay in files that have left the ring.
    fn forget_dropped(&mut self, site: &ChannelSite) {
        for file in std::mem::take(&mut self.dropped_files) {
            self.written.on_file_dropped(file);
            let _restarted = self.step(site, |channel| channel.on_file_dropped(file));
        }
    }

    /// The changes that were being written are in the ring. Returns the segments listed by them.
    fn confirm_changes(&mut self) -> u64 {
        let mut listed = 0;
        for change in self.writing.drain(..) {
            self.written.on_change(&change);
            self.written_count += 1;
            if let Change::Listed(_, entry) | Change::Filled(_, entry) = &change {
                listed += u64::from(entry.media.is_some());
            }
        }
        if let Some(oldest) = self.ring.files().first() {
            self.written.on_file_dropped(oldest.sequence().saturating_sub(1));
        }
        let written = self.written_count;
        self.waiting.extract_if(.., |(up_to, _)| *up_to <= written).for_each(|(_, waiting)| {
            waiting.complete(());
        });
        listed
    }

    /// The changes that were being written are not in the ring: they come first next time.
    fn repeat_changes(&mut self) {
        for change in self.writing.drain(..).rev() {
            self.unwritten.push_front(change);
        }
        self.waiting.clear();
    }

    /// What viewers are to see once all changes so far are written.
    fn present(&mut self, site: &ChannelSite) -> Option<Published> {
        let presentation = self.step(site, Channel::present)?;
        self.presented.append(&mut self.listed);
        self.files_changed = false;
        let epoch = self.ring.tenure().epoch();
        Some(Published::new(epoch, presentation, self.ring.files()))
    }
}

/// The two clocks.
#[must_use]
pub fn now() -> Now {
    Now { monotonic: rt::now(), wall: rt::wall() }
}

/// The oldest changes, as many as a record takes; one at least.
fn batch(unwritten: &VecDeque<Change>) -> Vec<Change> {
    let mut size = 0;
    let fits = |change: &&Change| {
        let is_first = size == 0;
        size += postcard::to_stdvec(change).expect("changes are plain data").len();
        is_first || size <= CHANGE_BATCH_SIZE_MAX
    };
    unwritten.iter().take(CHANGE_BATCH_COUNT_MAX).take_while(fits).cloned().collect()
}

/// The longest listed window of a track, in microseconds.
fn window_us(presentation: &Presentation) -> u64 {
    let spans = presentation.tracks.iter().filter_map(|track| {
        let (first, last) = (track.segments.first()?, track.segments.last()?);
        Some(last.end - first.start)
    });
    let longest: MediaTime = spans.max().unwrap_or_default();
    u64::try_from(longest.ticks()).unwrap_or(0) * 100 / 9
}

/// Logs and counts what the channel tells.
fn report(site: &ChannelSite, event: &Event) {
    let (channel, kind) = (&*site.id, event.kind());
    if event.is_good() {
        tracing::info!(channel, kind, "{event}");
    } else {
        tracing::warn!(channel, kind, "{event}");
    }
    let counters: &ChannelCounters = &site.live.counters;
    let of_input = |input: &InputNumber| &counters.inputs[input.index()];
    match event {
        Event::InputSwitched { reason, .. } => counters.input_switches[*reason as usize].add(1),
        Event::Misaligned { .. } => counters.misaligned.add(1),
        Event::Discontinuity(cause) => counters.discontinuities[*cause as usize].add(1),
        Event::Gaps(_, count) => counters.gaps.add(*count),
        Event::Flawed { .. } => counters.flawed.add(1),
        Event::Late { input, .. } => of_input(input).unlisted.add(1),
        Event::NameReused(input) => of_input(input).names_reused.add(1),
        Event::PlaylistLate(input) => of_input(input).playlists_late.add(1),
        Event::DeclaredLate(input) => of_input(input).declared_late.add(1),
        Event::Started
        | Event::SwitchRefused(_)
        | Event::Aligned { .. }
        | Event::GridMoved
        | Event::GapFilled(_)
        | Event::Unplaced(_)
        | Event::Ended => {}
    }
}

#[cfg(test)]
mod tests;
