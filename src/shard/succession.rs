//! What a lost shard had goes to others: its channels, its connections, its listeners.
//!
//! One thread, which judges the shards ([`super::watch`]) and does all of this, so that nothing is
//! decided twice. For each channel it ends the tenure first. From then on whatever the lost shard
//! still does to the ring is refused, and the ring is read back on a storage thread for the shard
//! that is next, which goes on in fresh files. Connections are shut down, never closed: encoders
//! come back with the nonces that they have, which every shard knows. Connections that wait to be
//! accepted are accepted by another shard until this one serves again.
//!
//! A shard that comes back has nothing. One that was started again after a panic gets its channels
//! back, each at a moment when nothing of it is under way (`Succession::look` reads it back for
//! its home as for anyone).

use crate::limits::SHARD_TICK_SPAN;
use crate::ring::{QueueFull, Recovered, Ring, RingError, Tenure};
use crate::shard::member::{Cause, Standing};
use crate::shard::owner;
use crate::shard::reopen::{Newest, ReopenError, Reopened};
use crate::shard::rt;
use crate::shard::shared::{Adoption, Shared};
use crate::shard::site::ChannelSite;
use crate::shard::watch::{Judge, Sign, Verdict};
use crate::units::Monotonic;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, process};

/// How long reading a ring back rests after a failure.
const RETRY_SPAN: Duration = Duration::from_secs(1);
/// How long the log has to write down why the process ends.
const LAST_WORDS_SPAN: Duration = Duration::from_millis(300);

/// The thread that watches the shards.
#[derive(Debug)]
pub struct Watch {
    end: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    ///
    /// Where the system gives no thread.
    pub fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let mut succession = Succession::new(Arc::clone(shared));
        let thread = thread::Builder::new().name("watch".to_owned());
        let thread = thread.spawn(move || {
            let mut looked = Instant::now();
            while ended.recv_timeout(SHARD_TICK_SPAN) == Err(RecvTimeoutError::Timeout) {
                let now = Instant::now();
                succession.look(now - looked);
                looked = now;
            }
        })?;
        Ok(Self { end, thread })
    }

    /// Ends the thread, once no shard is left to be watched.
    pub fn finish(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            tracing::error!("the thread that watches the shards panicked");
        }
    }
}

type Opened = Result<Reopened, ReopenError>;

/// A ring that is being read back for its next owner.
struct Opening {
    site: Arc<ChannelSite>,
    tenure: Tenure,
    lost: Option<Monotonic>,
    /// What comes of it; `None` between two tries.
    opened: Option<mpsc::Receiver<Opened>>,
    /// When the next try is due.
    due: Monotonic,
}

impl Opening {
    fn begin(&mut self, shared: &Shared) -> Result<(), QueueFull> {
        let (done, opened) = mpsc::channel();
        let site = Arc::clone(&self.site);
        let read_back = move |ring: Result<(Ring, Recovered), RingError>| {
            let reopened = ring
                .map_err(ReopenError::from)
                .and_then(|(ring, recovered)| Reopened::new(&site, ring, &recovered, owner::now()));
            // Who asked for it may have ended meanwhile, with the process.
            let _ = done.send(reopened);
        };
        let known = Arc::clone(&self.site.live.published.load().files);
        let (config, tenure) = (self.site.ring.clone(), self.tenure.clone());
        let mut newest = Newest::of(self.site.live_span);
        let how = (known, move |held: &_| newest.is_enough(held));
        Ring::take_over(config, &shared.storage, tenure, how, read_back)?;
        self.opened = Some(opened);
        Ok(())
    }

    /// What has come of it, if it has: `None` also after a failure, which is tried again.
    fn poll(&mut self, shared: &Shared, now: Monotonic) -> Option<Reopened> {
        let Some(opened) = &self.opened else {
            if now >= self.due && self.begin(shared).is_err() {
                self.due = now + RETRY_SPAN;
            }
            return None;
        };
        let failure = match opened.try_recv() {
            Ok(Ok(reopened)) => return Some(reopened),
            Err(TryRecvError::Empty) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(TryRecvError::Disconnected) => "reading it panicked".to_owned(),
        };
        tracing::error!(channel = %self.site.id, failure, "the ring cannot be taken over");
        (self.opened, self.due) = (None, now + RETRY_SPAN);
        None
    }
}

struct Succession {
    shared: Arc<Shared>,
    judges: Vec<Judge>,
    opening: Vec<Opening>,
    /// Channels given away, so that the next one goes to the next shard.
    given: usize,
}

impl Succession {
    fn new(shared: Arc<Shared>) -> Self {
        let judges = vec![Judge::default(); shared.shard_count()];
        Self { shared, judges, opening: Vec::new(), given: 0 }
    }

    /// Looks at all shards, `elapsed` after the last look, and does what is due.
    fn look(&mut self, elapsed: Duration) {
        let shared = Arc::clone(&self.shared);
        for (shard, member) in shared.members.iter().enumerate() {
            if member.standing() == Standing::Away {
                continue;
            }
            let judge = &mut self.judges[shard];
            // Asked of the kernel only where it may matter.
            let activity = if judge.silence().is_zero() { None } else { member.activity() };
            let verdict = judge.look(elapsed, Sign { beats: member.beats(), activity });
            shared.counters[shard].heartbeat_age_us.set_span(judge.silence());
            match verdict {
                Verdict::Well => {}
                Verdict::Stalled => self.on_stall(shard),
                Verdict::Stuck => {
                    member.write_last_words();
                    end_process(shard);
                }
            }
            match member.standing() {
                Standing::Lost => self.succeed(shard),
                Standing::Vacant => self.sweep(shard, &self.heirs(shard)),
                Standing::Away | Standing::Serving => {}
            }
        }
        let leaving = std::mem::take(&mut *lock(&shared.leaving));
        for (site, tenure) in leaving {
            self.open(site, tenure, None);
        }
        self.hand_out();
    }

    /// Shards that can take what `shard` had.
    fn heirs(&self, shard: usize) -> Vec<usize> {
        self.shared.serving().filter(|&heir| heir != shard).collect()
    }

    fn on_stall(&self, shard: usize) {
        // Where there is nobody else, or the process ends anyway, it is waited for.
        let is_given_up = !self.shared.draining.load(Ordering::Acquire)
            && !self.heirs(shard).is_empty()
            && self.shared.members[shard].on_stall();
        if is_given_up {
            tracing::error!(shard, "a shard is silent; others take over what it has");
        }
    }

    /// Gives away what a shard had that has just been lost.
    fn succeed(&mut self, shard: usize) {
        let shared = Arc::clone(&self.shared);
        let member = &shared.members[shard];
        let mut heirs = self.heirs(shard);
        if heirs.is_empty() {
            // After a panic it is started again, and is its own successor.
            heirs.push(shard);
        }
        self.sweep(shard, &heirs);
        member.shut_down();
        let counters = &shared.counters[shard];
        match member.cause() {
            Cause::Stall => counters.stalls.add(1),
            Cause::Panic => counters.panics.add(1),
        }
        member.step(Standing::Lost, Standing::Vacant);
        tracing::warn!(shard, cause = member.cause().name(), ?heirs, "succeeded");
    }

    /// Gives away whatever is placed with a shard that does not serve: all at once when it is lost,
    /// later what is sent to it or placed there since.
    fn sweep(&mut self, shard: usize, heirs: &[usize]) {
        let shared = Arc::clone(&self.shared);
        let Some(&first) = heirs.first() else { return };
        let lost = rt::now();
        for site in shared.site.load().channels.values() {
            let placement = &site.live.placement;
            let tenure = placement.tenure();
            if placement.owner() != shard || site.live.is_refused() {
                continue;
            }
            self.given += 1;
            if let Some(tenure) = tenure.pass_to(heirs[self.given % heirs.len()]) {
                self.open(Arc::clone(site), tenure, Some(lost));
            }
        }
        let member = &shared.members[shard];
        if first != shard && member.stand_in().is_none_or(|other| !shared.members[other].serves()) {
            member.set_stand_in(first);
        }
        for moved in shared.mailboxes[shard].take_waiting() {
            // Where that mailbox is full, the connection closes.
            let _ = shared.mailboxes[first].try_send(moved);
        }
    }

    fn open(&mut self, site: Arc<ChannelSite>, tenure: Tenure, lost: Option<Monotonic>) {
        self.opening.push(Opening { site, tenure, lost, opened: None, due: Monotonic::default() });
    }

    /// Leaves channels that have been read back where their owners look for them.
    fn hand_out(&mut self) {
        let now = rt::now();
        let shared = Arc::clone(&self.shared);
        let configured = shared.site.load();
        self.opening.retain_mut(|opening| {
            let known = configured.channels.get(&*opening.site.id);
            let is_known = known.is_some_and(|it| Arc::ptr_eq(&it.live, &opening.site.live));
            if !is_known || !opening.tenure.is_current() {
                return false;
            }
            let Some(reopened) = opening.poll(&shared, now) else { return true };
            let (site, lost) = (Arc::clone(&opening.site), opening.lost);
            lock(&shared.adoptions).push(Adoption { site, reopened, lost });
            false
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A shard that does not come back holds what only the end of the process frees.
fn end_process(shard: usize) {
    tracing::error!(shard, "a shard is stuck; the process ends, to be started anew");
    thread::sleep(LAST_WORDS_SPAN);
    process::abort();
}
