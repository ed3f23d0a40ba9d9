//! A channel on the shard that owns it: its state machine, its ring, and the order between them.
//!
//! Changes go to the ring before viewers see what they lead to, so that a restart never un-lists
//! what somebody has fetched. The state that a new ring file begins with is the one *before* the
//! changes that are written next.

use crate::engine::channel::candidate::RecordMeta;
use crate::engine::channel::state::{Change, State, Windows};
use crate::engine::channel::{Channel, DropReason, Event, Now, Recovery, Verdict};
use crate::engine::playlist::Playlist;
use crate::engine::presentation::Presentation;
use crate::engine::sample_table;
use crate::engine::segment::SegmentBody;
use crate::ring::{
    Location, Record, RecordKind, Recovered, Refused, Ring, RingError, Stored, WriteError,
};
use crate::shard::counters::ChannelCounters;
use crate::shard::rt::{self, oneshot};
use crate::shard::site::{ChannelSite, Published};
use crate::units::{InputNumber, MediaTime};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A channel and its ring.
pub struct Owner {
    site: RefCell<Arc<ChannelSite>>,
    inner: RefCell<Inner>,
}

struct Inner {
    channel: Channel,
    ring: Ring,
    /// State and windows as the ring has them.
    written: (State, Windows),
    /// Changes that the ring has not taken yet.
    unwritten: Vec<Change>,
    /// Files were begun or dropped since the last publication.
    files_changed: bool,
    /// Bytes of the largest recent segment.
    body_size_recent: u64,
}

/// What became of a sound segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is in the ring.
    Stored,
    /// It was not needed.
    Dropped(DropReason),
}

/// Why a sound segment is not in the ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncommitted {
    /// The ring did not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It could not be written.
    #[error(transparent)]
    Unwritten(#[from] WriteError),
    /// The storage thread went away.
    #[error("storage ended")]
    Abandoned,
    /// The channel's state had to be restarted while this segment was looked at.
    #[error("the channel restarted")]
    Restarted,
}

/// A channel read back from its ring, before its shard runs.
pub struct Reopened {
    ring: Ring,
    channel: Channel,
    written: (State, Windows),
    unwritten: Vec<Change>,
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
}

impl Reopened {
    /// Rebuilds a channel from the records of its ring.
    ///
    /// # Errors
    ///
    /// [`ReopenError`]; the ring's files are left as they are.
    pub fn new(site: &ChannelSite, ring: Ring, recovered: Recovered) -> Result<Self, ReopenError> {
        let mut recovery: Option<Recovery> = None;
        let mut present = std::collections::HashSet::new();
        for record in recovered.records {
            let Location { header, table, payload } = record.location;
            let unreadable = |_| ReopenError::Header { file: header.file, offset: header.offset };
            match record.kind {
                // Later files begin with what the changes before have led to already.
                RecordKind::State if recovery.is_some() => {}
                RecordKind::State => {
                    let state = postcard::from_bytes(&record.header).map_err(unreadable)?;
                    recovery = Some(Recovery::new(state));
                }
                RecordKind::Change => {
                    let changes: Vec<Change> =
                        postcard::from_bytes(&record.header).map_err(unreadable)?;
                    let recovery = recovery.get_or_insert_default();
                    for change in &changes {
                        recovery.on_change(change);
                    }
                }
                RecordKind::Media => {
                    let meta = postcard::from_bytes(&record.header).map_err(unreadable)?;
                    present.insert(payload);
                    let recovery = recovery.get_or_insert_default();
                    recovery.on_media(meta, (table, payload), record.hash);
                }
            }
        }
        let exists = |listed: &crate::engine::presentation::Listed| {
            listed.media.as_ref().is_some_and(|media| present.contains(&media.payload))
        };
        let mut recovery = recovery.unwrap_or_default();
        let lost = recovery.drop_lost(exists);
        if lost > 0 {
            tracing::warn!(channel = %site.id, lost, "listed segments are gone from the ring");
        }
        let written = recovery.snapshot();
        let mut channel = recovery.finish(site.timeline.clone(), now());
        let unwritten = channel.take_changes();
        Ok(Self { ring, channel, written, unwritten })
    }
}

impl Owner {
    /// Takes a channel over on this shard.
    #[must_use]
    pub fn new(site: Arc<ChannelSite>, reopened: Reopened) -> Rc<Self> {
        let Reopened { ring, channel, written, unwritten } = reopened;
        let inner =
            Inner { channel, ring, written, unwritten, files_changed: true, body_size_recent: 0 };
        let owner = Rc::new(Self { site: RefCell::new(site), inner: RefCell::new(inner) });
        owner.publish();
        owner
    }

    /// The channel as configured.
    #[must_use]
    pub fn site(&self) -> Arc<ChannelSite> {
        Arc::clone(&self.site.borrow())
    }

    /// Takes a new configuration: timeline, users, ring size.
    pub fn reconfigure(self: &Rc<Self>, site: Arc<ChannelSite>) {
        let size = site.ring.size;
        let mut inner = self.inner.borrow_mut();
        inner.channel.reconfigure(site.timeline.clone());
        if size != self.site.borrow().ring.size {
            match inner.ring.resize(size) {
                Ok(dropped) => inner.on_files_dropped(&dropped),
                Err(error) => tracing::error!(channel = %site.id, %error, "ring not resized"),
            }
        }
        *self.site.borrow_mut() = site;
        drop(inner);
        self.publish();
    }

    /// What a body of unknown size may take: half as much again as the largest recent one.
    #[must_use]
    pub fn expected_body_size(&self) -> u64 {
        let recent = self.inner.borrow().body_size_recent;
        recent + recent / 2
    }

    /// Commits a sound segment of `size` body bytes. Returns when it is in the ring, or not needed.
    ///
    /// # Errors
    ///
    /// [`Uncommitted`]; nothing of it is kept then.
    pub async fn commit(
        self: &Rc<Self>,
        input: InputNumber,
        name: &str,
        mut body: SegmentBody,
        size: u64,
    ) -> Result<Committed, Uncommitted> {
        self.inner.borrow_mut().note_size(size);
        let verdict = self.guarded(|inner| inner.channel.on_segment(now(), input, name, &body));
        let metas = match verdict.ok_or(Uncommitted::Restarted)? {
            Verdict::Drop(reason) => return Ok(Committed::Dropped(reason)),
            Verdict::Store(metas) => metas,
        };
        let mut writing = Vec::with_capacity(metas.len());
        for (at, meta) in metas {
            let track = &mut body.tracks[at];
            let table = sample_table::encode(&track.samples);
            let payload = std::mem::take(&mut track.payload);
            let placed = self.inner.borrow_mut().append_media(&meta, table, payload)?;
            writing.push((meta, placed));
        }
        let mut stored = Vec::with_capacity(writing.len());
        for (meta, (location, done)) in writing {
            let Stored { hash } = done.await.map_err(|_| Uncommitted::Abandoned)??;
            stored.push((meta, location, hash));
        }
        let listed = self.guarded(|inner| {
            for (meta, location, hash) in stored {
                inner.channel.on_stored(now(), meta, (location.table, location.payload), hash);
            }
            inner.channel.on_body_stored(now());
        });
        self.publish();
        listed.map(|()| Committed::Stored).ok_or(Uncommitted::Restarted)
    }

    /// Takes a playlist. Returns once what it leads to is under way to the ring.
    ///
    /// # Errors
    ///
    /// [`Uncommitted::Restarted`].
    pub fn on_playlist(
        self: &Rc<Self>,
        input: InputNumber,
        name: &str,
        playlist: &Playlist,
    ) -> Result<(), Uncommitted> {
        let taken = self.guarded(|inner| inner.channel.on_playlist(now(), input, name, playlist));
        self.publish();
        taken.ok_or(Uncommitted::Restarted)
    }

    /// Time passed.
    pub fn on_tick(self: &Rc<Self>) {
        let _restarted = self.guarded(|inner| inner.channel.on_tick(now()));
        self.publish();
    }

    /// Has what was appended synced; to be called every sync interval.
    pub fn sync(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.ring.sync();
        let fill = inner.ring.fill();
        let counters = &self.site.borrow().live.counters;
        counters.ring_used_bytes.set(fill.bytes_used);
        counters.ring_bytes.set(fill.bytes_total);
    }

    /// Runs the channel's state machine. A panic in it restarts the channel from what the ring
    /// has, and loses just what was being looked at.
    fn guarded<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> Option<T> {
        let mut inner = self.inner.borrow_mut();
        // The ring is not touched by a step, and the rest is replaced where it was left halfway.
        let stepped = catch_unwind(AssertUnwindSafe(|| step(&mut inner)));
        let site = self.site.borrow();
        let Ok(value) = stepped else {
            tracing::error!(channel = %site.id, "media state panicked; the channel restarts");
            site.live.counters.restarts.add(1);
            inner.restart(site.timeline.clone());
            return None;
        };
        let events = inner.channel.take_events();
        for event in &events {
            report(&site, event);
        }
        Some(value)
    }

    /// Writes what changed to the ring, and shows it to viewers once it is there.
    fn publish(self: &Rc<Self>) {
        let mut inner = self.inner.borrow_mut();
        let changes = inner.channel.take_changes();
        inner.unwritten.extend(changes);
        if inner.unwritten.is_empty() && !inner.files_changed {
            return;
        }
        let (done, written) = oneshot::channel();
        if inner.unwritten.is_empty() {
            done.complete(Ok(Stored { hash: 0 }));
        } else if let Err(error) = inner.append_changes(move |result| done.complete(result)) {
            // Tried again with the next tick; viewers keep what they have.
            tracing::warn!(channel = %self.site.borrow().id, %error, "changes wait for the ring");
            return;
        }
        inner.files_changed = false;
        let presentation = inner.channel.present();
        let files = inner.ring.files();
        drop(inner);
        let owner = Rc::clone(self);
        rt::spawn(async move {
            match written.await {
                Ok(Ok(_)) => owner.show(Published { presentation, files }),
                Ok(Err(error)) => {
                    tracing::error!(channel = %owner.site.borrow().id, %error, "changes lost");
                }
                Err(_) => {}
            }
        });
    }

    fn show(&self, published: Published) {
        let site = self.site.borrow();
        let counters = &site.live.counters;
        let active = self.inner.borrow().channel.active_input();
        counters.active_input.set(active.map_or(0, |input| u64::from(input.number())));
        counters.window_us.set(window_us(&published.presentation));
        site.live.published.store(Arc::new(published));
    }
}

impl Inner {
    /// Remembers the largest size, letting it fade by a sixteenth per segment.
    fn note_size(&mut self, size: u64) {
        self.body_size_recent = size.max(self.body_size_recent - self.body_size_recent / 16);
    }

    fn append_media(
        &mut self,
        meta: &RecordMeta,
        table: Vec<u8>,
        payload: Vec<u8>,
    ) -> Result<(Location, oneshot::Receiver<Result<Stored, WriteError>>), Refused> {
        let header = postcard::to_stdvec(meta).expect("records have no unserialisable parts");
        let record = Record { kind: RecordKind::Media, header, table, payload };
        let (done, written) = oneshot::channel();
        let location = self.append(record, move |result| done.complete(result))?;
        Ok((location, written))
    }

    fn append_changes(
        &mut self,
        done: impl FnOnce(Result<Stored, WriteError>) + Send + 'static,
    ) -> Result<(), Refused> {
        let header = postcard::to_stdvec(&self.unwritten).expect("changes are plain data");
        let record =
            Record { kind: RecordKind::Change, header, table: Vec::new(), payload: Vec::new() };
        self.append(record, done)?;
        for change in self.unwritten.drain(..) {
            self.written.0.apply(&change);
            self.written.1.apply(&change);
        }
        Ok(())
    }

    fn append(
        &mut self,
        record: Record,
        done: impl FnOnce(Result<Stored, WriteError>) + Send + 'static,
    ) -> Result<Location, Refused> {
        let state = &self.written.0;
        let state = || postcard::to_stdvec(state).expect("states are plain data");
        let placed = self.ring.append(record, state, done)?;
        self.files_changed |= placed.began_file.is_some();
        self.on_files_dropped(&placed.dropped_files);
        Ok(placed.location)
    }

    fn on_files_dropped(&mut self, dropped: &[u64]) {
        for &file in dropped {
            self.channel.on_file_dropped(file);
            self.written.1.drop_files(file);
            self.files_changed = true;
        }
    }

    fn restart(&mut self, config: crate::engine::channel::ChannelConfig) {
        let (state, windows) = self.written.clone();
        self.channel = Channel::resume(config, state, windows);
        self.unwritten.clear();
        self.files_changed = true;
    }
}

fn now() -> Now {
    Now { monotonic: rt::now(), wall: rt::wall() }
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
    let counters: &ChannelCounters = &site.live.counters;
    let channel = &*site.id;
    match event {
        Event::Started => tracing::info!(channel, "on air"),
        Event::InputSwitched(input) => {
            counters.input_switches.add(1);
            tracing::warn!(channel, input = input.number(), "the other input leads");
        }
        Event::Discontinuity => {
            counters.discontinuities.add(1);
            tracing::warn!(channel, "discontinuity: the source's timeline broke");
        }
        Event::GridMoved => tracing::warn!(channel, "the source's segment duration moved"),
        Event::Gaps(track, count) => {
            counters.gaps.add(*count);
            tracing::warn!(channel, track = track.0, count, "segments are missing");
        }
        Event::GapFilled(track) => {
            tracing::info!(channel, track = track.0, "late segment in place");
        }
        Event::Late(track) => tracing::warn!(channel, track = track.0, "segment came too late"),
        Event::Unplaced(name) => tracing::warn!(channel, name, "segment belongs nowhere"),
        Event::Ended => tracing::info!(channel, "ended by the source"),
    }
}

/// How often a channel looks at the time.
pub const TICK_SPAN: Duration = Duration::from_millis(100);
