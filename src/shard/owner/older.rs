//! The older files of a channel's ring, read while the channel runs: a file at a time, the newest
//! first, on the storage thread for that. Viewers see what a file listed once it is before the
//! rest; until then what would need it is refused for a moment, see
//! [`Absent::Unread`](crate::engine::manifest::Absent::Unread).

use super::{Inner, Owner};
use crate::engine::channel::older::{OlderPart, Seam};
use crate::limits::SHARD_TICK_SPAN;
use crate::ring::{FileRecords, QueueFull};
use crate::shard::reopen::{ReopenError, read_older};
use crate::shard::rt::{self, oneshot};
use crate::shard::site::ChannelSite;
use crate::units::Monotonic;
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering;

/// Where reading has got to.
pub(super) struct Unread {
    seam: Seam,
    since: Monotonic,
}

impl Unread {
    pub(super) fn new(seam: Seam) -> Self {
        Self { seam, since: rt::now() }
    }
}

/// What a file holds, and what that adds to what is listed.
type Read = (FileRecords, Result<OlderPart, ReopenError>);

impl Owner {
    /// Has all of them read, as long as there is this owner.
    pub(super) fn read_older(self: &Rc<Self>) {
        rt::spawn(read_all(Rc::downgrade(self)));
    }

    fn ask_for_older(&self) -> Option<Result<oneshot::Receiver<Read>, QueueFull>> {
        let inner = self.inner.borrow();
        let seam = inner.unread.as_ref()?.seam.clone();
        let (done, read) = oneshot::channel();
        let asked = inner.ring.read_older(move |mut held| {
            let part = read_older(seam, &held);
            held.records = Vec::new();
            done.complete((held, part));
        });
        match asked {
            Ok(true) => Some(Ok(read)),
            Ok(false) => None,
            Err(full) => Some(Err(full)),
        }
    }

    /// A file was read, or reading it panicked.
    fn on_older_read(self: &Rc<Self>, read: Option<Read>) {
        let site = self.site();
        self.inner.borrow_mut().take_older(&site, read);
        self.publish();
    }
}

async fn read_all(owner: Weak<Owner>) {
    loop {
        let Some(asked) = owner.upgrade().and_then(|owner| owner.ask_for_older()) else { return };
        let Ok(read) = asked else {
            rt::sleep_until(rt::now() + SHARD_TICK_SPAN).await;
            continue;
        };
        let read = read.await.ok();
        let Some(owner) = owner.upgrade() else { return };
        owner.on_older_read(read);
    }
}

impl Inner {
    fn take_older(&mut self, site: &ChannelSite, read: Option<Read>) {
        let Some((held, part)) = read else {
            if self.ring.tenure().is_current() {
                tracing::error!(channel = %site.id, "reading an older ring file panicked");
            }
            return self.end_older(site);
        };
        let counters = &site.live.counters;
        counters.ring_torn_records.add(held.damage.torn_records);
        counters.ring_checksum_failures.add(held.damage.corrupt_records);
        counters.ring_lost_files.add(held.damage.short_files);
        if !self.ring.on_older_read(&held) {
            // It has left the ring meanwhile, and all that is older.
            return self.end_older(site);
        }
        let part = match part {
            Ok(part) => part,
            Err(error) => {
                tracing::error!(channel = %site.id, %error, "what is older cannot be listed");
                return self.end_older(site);
            }
        };
        self.written.on_older(Some(&part));
        let _restarted = self.step(site, |channel| channel.on_older(Some(&part)));
        for payload in &part.lost {
            if let Some(file) = self.ring.file(payload.file) {
                file.note_verdict(payload.offset, false);
            }
        }
        // What was lost before is not looked for any more.
        if self.ring.loss_count() > 0 {
            self.forget_lost(site);
        }
        self.files_changed = true;
        if let Some(unread) = &mut self.unread {
            unread.seam = part.seam;
        }
        counters.ring_unread_files.set(self.ring.unread_count() as u64);
        if self.ring.unread_count() == 0 {
            self.end_older(site);
        }
    }

    /// All is read, or no more of it can be.
    fn end_older(&mut self, site: &ChannelSite) {
        self.ring.give_up_unread();
        self.written.on_older(None);
        let _restarted = self.step(site, |channel| channel.on_older(None));
        if let Some(oldest) = self.ring.files().first() {
            // Files that went meanwhile, and what only older segments referred to.
            self.dropped_files.push(oldest.sequence().saturating_sub(1));
            self.forget_dropped(site);
        }
        self.files_changed = true;
        let counters = &site.live.counters;
        counters.ring_unread_files.set(0);
        if let Some(Unread { since, .. }) = self.unread.take() {
            let span = rt::now().0.saturating_sub(since.0);
            counters.ring_fill_us.set_span(span);
            tracing::info!(channel = %site.id, ?span, "all of the ring is read");
        }
        site.live.is_filling.store(false, Ordering::Release);
    }
}
