//! Headwater: a live video origin.
//!
//! Encoders push HLS by HTTP PUT to the two inputs of a channel. Headwater keeps the media of a
//! startover window in ring files and packages it on request, as HLS with transport streams, HLS
//! with fragmented MP4 (CMAF) and DASH. This page is the map: what the parts are, how a byte
//! travels through them, and what each part may rely on.
//!
//! # Layers
//!
//! Imports point down only, and no two modules import each other; `tests/tidy` holds both.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`control`] | configuration, commands, metrics, console, logs: one thread, the cold path |
//! | [`shard`] | one pinned thread per core with its connections, channels and mailbox |
//! | [`http`] | HTTP/1.1 without sockets: heads, bodies; responses are [plans](http::plan) |
//! | [`ring`] | files that are written once and unlinked whole; recovery; storage threads |
//! | [`engine`] | the media core: codecs, containers, playlists, timeline, manifests |
//! | [`units`], [`limits`] | times, identifiers, ranges; every bound of the program |
//!
//! # The way of a byte in
//!
//! 1. A [`shard::listener`] accepts the encoder's connection, [`shard::connection`] reads a
//!    [request head](http::request), and [`shard::node`] finds the channel in the
//!    [`Site`](shard::site::Site). Where another shard owns it, the connection moves there through
//!    a [`mailbox`](shard::mailbox), at a request boundary and with all bytes read already.
//! 2. [`shard::ingest`] asks the [`Authenticator`](http::digest::Authenticator), reserves memory,
//!    and feeds the body to the [`IntakeParser`](engine::intake::IntakeParser) as it arrives. Out
//!    comes a playlist, or a [`SegmentBody`](engine::segment::SegmentBody): samples of each track
//!    in the form that fragmented MP4 needs.
//! 3. The [`Owner`](shard::owner::Owner) shows it to the [`Channel`](engine::channel::Channel),
//!    which decides whether it is needed, and appends a record for each track to the
//!    [`Ring`](ring::Ring). A [storage thread](ring::Storage) writes it. Then the encoder gets its
//!    2xx.
//! 4. The channel gives each committed segment its place in time and its number, and tells what
//!    changed. Changes are appended to the ring too; once they are there, a new
//!    [`Presentation`](engine::presentation::Presentation) is swapped in for viewers.
//!
//! # The way of a byte out
//!
//! 1. The shard that accepted a viewer's connection answers it: [`shard::playback`] loads what the
//!    channel [publishes](shard::site::Published) without a lock.
//! 2. [`engine::manifest`] says what a path means. A manifest is rendered once per publication and
//!    shard. A segment is planned: which records, behind which heads.
//! 3. The [`Plan`](http::plan::Plan) is a list of pieces, each bytes in memory or a range of a ring
//!    file. [`shard::outgoing`] sends heads with `sendmsg` and ranges with `sendfile`: media goes
//!    from the page cache to the socket and never through user memory.
//! 4. What is no view of a ring (transport streams, joined tables) is [made](shard::made) once on a
//!    storage thread, however many ask.
//!
//! # What a start reads
//!
//! Each ring file begins with the whole state of its channel, so that the newest ones are enough to
//! go on and to write live manifests: [`shard::reopen`] reads those, the owner publishes, and has
//! the others read one by one, the newest first, on a storage thread of their own. What a file
//! listed is put before the window ([`engine::channel::older`]). Until then the presentation says
//! where what is not known yet ends, and what would depend on it is refused for a moment.
//!
//! # When one process follows another
//!
//! A new process takes everything over from the running one ([`control::takeover`]): listening
//! sockets are passed, never closed; pushes under way end, and the shards let their channels go
//! ([`shard::changeover`]); the new process reads the rings as after any restart, publishes, and
//! serves. Each [connection](shard::moving) follows with its next request.
//!
//! # Invariants
//!
//! *Invariant:* no byte of a ring file changes once it has been handed out. Nothing overwrites,
//! truncates or punches holes: sockets share pages with the file, and would send what came later.
//!
//! *Invariant:* there is no 2xx without a commit, and a refused body leaves nothing behind.
//!
//! *Invariant:* viewers see nothing that the ring could forget in a crash of the process: a change
//! is shown after it is written.
//!
//! *Invariant:* the engine has no clock, descriptor, thread or lock. It takes time as an argument
//! and returns what is to be told, so that every sequence of events can be tested, and every output
//! byte is a function of configuration and media.
//!
//! *Invariant:* no shard waits for a disk. Whatever may block is a job of a storage thread, behind
//! a bounded queue; a full queue is an answer (503), never a wait.
//!
//! *Invariant:* a channel has one owner at a time. Each change of owner raises its
//! [epoch](ring::Placement), and what an earlier owner asks of the ring is refused from then on,
//! however late that owner notices. [`shard::succession`] is how the channels, connections and
//! listeners of a shard that is lost go to others.
//!
//! *Invariant:* no shard waits for another. What crosses threads is owned by its message or is an
//! immutable snapshot behind an atomic pointer.
//!
//! *Invariant:* nothing that a stranger sends has a size without a bound in [`limits`], and nothing
//! he sends ends the process. A panic in a channel's media state restarts that channel alone. What
//! does end the process is known by name to the next one, and refused ([`shard::quarantine`]).
//!
//! *Invariant:* no media byte passes through [`control`]. Viewers do not notice when it dies.
//!
//! # Where to start reading
//!
//! [`engine::segment`] and [`engine::presentation`] are the two shapes that everything turns on:
//! what comes in, and what is listed. Then [`shard::ingest`] and [`shard::playback`], which are the
//! two ways above in code. [`engine::channel`] is where the timeline's rules live, [`ring`] where
//! the promise to encoders is kept, and [`control::start`] puts it all together.

pub mod control;
pub mod engine;
pub mod http;
pub mod limits;
pub mod ring;
pub mod shard;
pub mod units;

#[cfg(test)]
#[path = "../tests/support/report.rs"]
mod report;
