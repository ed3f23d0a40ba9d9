//! Ingest: a pushed body from its head to its reply. Runs on the shard that owns the channel.
//!
//! The body is understood as it arrives. A 2xx says that it is committed; anything else left
//! nothing behind, and its text says why.

use crate::engine::intake::{Intake, IntakeError, IntakeParser};
use crate::engine::manifest;
use crate::engine::playlist::Playlist;
use crate::engine::segment::SegmentBody;
use crate::http::digest::{Authenticator, Nonce, SignedRequest, Verdict, parse_authorization};
use crate::http::gunzip::{Gunzip, GunzipError};
use crate::http::plan::{Piece, Plan};
use crate::http::request::{Framing, Method, RequestHead};
use crate::http::response::{INGEST_METHODS, ResponseHead};
use crate::limits::{
    BODY_RESERVATION_SIZE_MIN, FINGERPRINT_SIZE, MULTIVARIANT_SIZE_MAX, PLAYLIST_SIZE_MAX,
};
use crate::ring::{Refused, WriteError};
use crate::shard::backoff::Backoff;
use crate::shard::counters::{Limit, ShardCounters};
use crate::shard::incoming::{Body, BodyError};
use crate::shard::log_gate::LogGate;
use crate::shard::owner::{Committed, Owner, Uncommitted};
use crate::shard::playback::SharedFile;
use crate::shard::quarantine::{Fingerprint, Quarantine, Suspect};
use crate::shard::rt;
use crate::shard::site::{ChannelSite, PROCESS_MEMORY, Reservation, Site};
use crate::units::InputNumber;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a connection keeps between an encoder's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderSession {
    /// The user who was let in on this connection.
    username: Option<String>,
    /// The nonce that was accepted on this connection: it does not expire while in use here.
    nonce: Option<String>,
    /// Hand-overs since the last request that was let in.
    pub(super) hand_overs: u32,
}

/// Numbers nonces, so that two issued in one microsecond differ.
static NONCE_SERIAL: AtomicU64 = AtomicU64::new(0);

/// Why a body was refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Uncommitted(#[from] Uncommitted),
    #[error("body of more than {size_max} bytes")]
    TooLarge { size_max: u64 },
    #[error("multivariant playlist of more than {MULTIVARIANT_SIZE_MAX} bytes")]
    MultivariantSize,
    #[error("no memory left for bodies under way")]
    NoMemory,
    #[error("gzip is accepted for playlists, and no other content coding")]
    Coded,
    #[error(transparent)]
    Gunzip(#[from] GunzipError),
    #[error("a body needs a Content-Length or the chunked coding")]
    NoLength,
    #[error("the channel was taken away")]
    Removed,
    #[error("a body that begins like this one made the process fail")]
    Quarantined,
    #[error("more bodies or bytes than this input may send; see the channel's limits")]
    TooMuch,
}

impl Refusal {
    /// Transient trouble is never 400 or 403: encoders may be told not to try those again.
    const fn status(&self) -> u16 {
        match self {
            Self::Body(BodyError::Paused { .. }) => 408,
            Self::TooLarge { .. }
            | Self::MultivariantSize
            | Self::Gunzip(GunzipError::TooLarge { .. })
            | Self::Intake(IntakeError::PlaylistSize)
            | Self::Uncommitted(Uncommitted::Refused(Refused::TooLarge { .. })) => 413,
            Self::Body(_)
            | Self::Quarantined
            | Self::Intake(_)
            | Self::Gunzip(GunzipError::Corrupt { .. })
            | Self::Uncommitted(Uncommitted::Implausible) => 400,
            Self::Coded | Self::Gunzip(GunzipError::Ratio) => 415,
            Self::NoLength => 411,
            Self::TooMuch => 429,
            Self::Uncommitted(
                Uncommitted::Refused(Refused::NoSpace)
                | Uncommitted::Unwritten(WriteError::NoSpace { .. }),
            ) => 507,
            Self::Uncommitted(_) | Self::NoMemory | Self::Removed => 503,
        }
    }

    /// The bound that was hit, if it was one.
    const fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooLarge { .. }
            | Self::Uncommitted(Uncommitted::Refused(Refused::TooLarge { .. })) => {
                Some(Limit::SegmentSize)
            }
            Self::Intake(IntakeError::PlaylistSize)
            | Self::MultivariantSize
            | Self::Gunzip(GunzipError::TooLarge { .. }) => Some(Limit::PlaylistSize),
            Self::Gunzip(GunzipError::Ratio) => Some(Limit::GzipRatio),
            Self::NoMemory | Self::Uncommitted(Uncommitted::Crowded) => Some(Limit::IngestMemory),
            Self::TooMuch => Some(Limit::IngestPace),
            Self::Uncommitted(Uncommitted::Refused(Refused::Busy)) => Some(Limit::StorageQueue),
            Self::Uncommitted(Uncommitted::Refused(Refused::NoSpace)) => Some(Limit::RingSpares),
            _ => None,
        }
    }
}

/// What a push came to: 201 or 204.
enum Accepted {
    New,
    Known,
}

/// A request to an input of a channel.
pub struct Push<'a> {
    /// All channels, to know their users.
    pub site: &'a Site,
    /// The channel.
    pub channel: &'a Arc<ChannelSite>,
    /// The input.
    pub input: InputNumber,
    /// The encoder's name for the body.
    pub name: &'a str,
    /// The request.
    pub head: &'a RequestHead,
    /// Where it comes from.
    pub peer: IpAddr,
    /// Bodies that made the process fail.
    pub quarantine: &'a Quarantine,
    /// Counters of the shard that answers.
    pub shard: &'a ShardCounters,
    /// Its gate for log lines.
    pub lines: &'a LogGate,
}

/// Who may push: credentials and those who guess them.
pub struct Gate<'a> {
    /// Judges credentials.
    pub authenticator: &'a Authenticator,
    /// Slows down guesses.
    pub backoff: &'a Backoff,
}

impl Push<'_> {
    /// Answers the request; `owner` is asked for once who pushes is let in.
    pub async fn answer(
        &self,
        gate: &Gate<'_>,
        owner: impl Future<Output = Option<Rc<Owner>>>,
        session: &mut EncoderSession,
        body: &mut Body<'_>,
    ) -> Plan<SharedFile> {
        let counters = &self.channel.live.counters.inputs[self.input.index()];
        let refused = self.refuse_method().or_else(|| self.authenticate(gate, session));
        let plan = match refused {
            Some(refused) => refused,
            None => self.answer_let_in(owner.await, body).await,
        };
        counters.received_bytes.add(body.received());
        counters.responses.count(plan.head.status);
        plan
    }

    async fn answer_let_in(
        &self,
        owner: Option<Rc<Owner>>,
        body: &mut Body<'_>,
    ) -> Plan<SharedFile> {
        let Some(owner) = owner else {
            let is_refused = self.channel.live.is_refused();
            let why =
                if is_refused { "the ring cannot be read" } else { "the channel is starting" };
            return transient(why);
        };
        // Retention is ours: what the encoder's window has left stays in ours.
        if self.head.method == Method::Delete {
            return Plan::status(ResponseHead::new(204));
        }
        match self.take_in_pace(owner, body).await {
            Ok(Accepted::New) => Plan::status(ResponseHead::new(201)),
            Ok(Accepted::Known) => Plan::status(ResponseHead::new(204)),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// Folders are there from the start: MKCOL is told so by the same 405 (RFC 4918 §9.3.1), and
    /// nothing is put in their place (§9.7.2). MOVE is refused, too: a body is there whole or not at
    /// all, so that no encoder needs a name for the time being.
    fn refuse_method(&self) -> Option<Plan<SharedFile>> {
        let is_folder = self.name.is_empty() || self.name.ends_with('/');
        match self.head.method {
            Method::Put | Method::Post if !is_folder => None,
            Method::Delete => None,
            _ => {
                let allow = Some(INGEST_METHODS);
                Some(Plan::status(ResponseHead { allow, ..ResponseHead::new(405) }))
            }
        }
    }

    /// `None` where the encoder may push here, else the answer.
    fn authenticate(
        &self,
        Gate { authenticator, backoff }: &Gate<'_>,
        session: &mut EncoderSession,
    ) -> Option<Plan<SharedFile>> {
        let Some(user) = self.channel.users[self.input.index()].as_ref() else {
            return Some(Plan::status(ResponseHead::new(404)));
        };
        let counters = &self.channel.live.counters.inputs[self.input.index()];
        let credentials = self.head.authorization.as_deref().map(parse_authorization);
        let named = credentials.and_then(Result::ok).map(|fields| fields.username);
        let named = named.as_deref();
        // Whoever was let in on this connection knows the password of that user.
        let guessed = named.filter(|name| session.username.as_deref() != Some(name));
        if guessed.is_some_and(|name| !backoff.admits(self.peer, name, rt::now())) {
            self.shard.hit(Limit::LoginGuesses);
            counters.unauthorized.add(1);
            return Some(Plan::status(ResponseHead {
                retry_after: Some(1),
                ..ResponseHead::new(429)
            }));
        }
        let request = SignedRequest {
            method: self.head.method.as_str(),
            target: &self.head.target,
            now: rt::wall(),
            connection_nonce: session.nonce.as_deref(),
        };
        let lookup = |name: &str| {
            if name == user.name { Some(&user.hashes) } else { self.site.user(name) }
        };
        let verdict = authenticator.judge(self.head.authorization.as_deref(), &request, lookup);
        match verdict {
            Verdict::Accept { username, nonce } if username == user.name => {
                backoff.on_success(self.peer, &username);
                session.username = Some(username);
                session.nonce = Some(nonce);
                session.hand_overs = 0;
                None
            }
            Verdict::Accept { .. } => {
                counters.unauthorized.add(1);
                Some(Plan::status(ResponseHead::new(403)))
            }
            Verdict::Challenge { stale } => {
                // The first request of a connection comes without credentials as a rule.
                let nonce = Nonce {
                    issued: rt::wall(),
                    serial: NONCE_SERIAL.fetch_add(1, Ordering::Relaxed),
                };
                if self.head.authorization.is_some() {
                    counters.unauthorized.add(1);
                }
                if let Some(name) = named.filter(|_| !stale) {
                    backoff.on_failure(self.peer, name, rt::now());
                    // The name and address tell which encoder; guesses are slowed down above.
                    if let Some(left_out) = self.admit_line() {
                        tracing::warn!(
                            channel = %self.channel.id, input = self.input.number(),
                            peer = %self.peer, left_out, "credentials refused"
                        );
                    }
                }
                let www_authenticate = authenticator.challenges(nonce, stale);
                Some(Plan::status(ResponseHead { www_authenticate, ..ResponseHead::new(401) }))
            }
            Verdict::Refuse(error) => {
                counters.unauthorized.add(1);
                Some(explained(400, &error.to_string()))
            }
        }
    }

    /// Takes the body where the input has not sent too much lately.
    async fn take_in_pace(
        &self,
        owner: Rc<Owner>,
        body: &mut Body<'_>,
    ) -> Result<Accepted, Refusal> {
        let limits = self.channel.pace_limits();
        let pace = &self.channel.live.paces[self.input.index()];
        if !pace.admits(rt::now(), limits) {
            return Err(Refusal::TooMuch);
        }
        body.limit_pause(self.channel.body_pause_max());
        let taken = self.take(owner, body).await;
        pace.on_bytes(rt::now(), body.received(), limits);
        taken
    }

    /// Reads the body and commits what is in it, unless one like it made the process fail.
    async fn take(&self, owner: Rc<Owner>, body: &mut Body<'_>) -> Result<Accepted, Refusal> {
        let reserved = self.memory_for(&owner)?;
        // A channel may be taken away while a body arrives; its ring is not held up by that.
        let weak_owner = Rc::downgrade(&owner);
        drop(owner);
        let budgets = [&self.channel.live.memory, &PROCESS_MEMORY];
        let reservation = Reservation::of(budgets, reserved).ok_or(Refusal::NoMemory)?;
        let mut beginning = Vec::new();
        while beginning.len() < FINGERPRINT_SIZE
            && let Some(bytes) = body.next().await?
        {
            beginning.extend_from_slice(bytes);
        }
        let suspect = self.suspect(&beginning).ok_or(Refusal::Quarantined)?;
        // In memory of its own, which connections that wait for a request do without.
        let taking = Box::pin(async {
            if self.head.content_encoding.is_some() {
                self.take_coded(weak_owner, &beginning, body).await
            } else {
                self.take_plain(weak_owner, &beginning, body, reservation).await
            }
        });
        let taken = suspect.answer_for(taking).await;
        if matches!(taken, Err(Refusal::Uncommitted(Uncommitted::Restarted))) {
            suspect.strike();
        }
        taken
    }

    /// Bytes to be reserved for the body, of which nothing has been read.
    fn memory_for(&self, owner: &Owner) -> Result<u64, Refusal> {
        let size_max = self.channel.ring.body_size_max;
        if let Some(coding) = &self.head.content_encoding {
            let is_gzip = ["gzip", "x-gzip"].iter().any(|known| coding.eq_ignore_ascii_case(known));
            return match self.head.framing {
                _ if !is_gzip || manifest::kind_of(self.name).is_none() => Err(Refusal::Coded),
                Framing::None => Err(Refusal::NoLength),
                Framing::Length(_) | Framing::Chunked => Ok(PLAYLIST_SIZE_MAX),
            };
        }
        match self.head.framing {
            Framing::Length(size) if size > size_max => Err(Refusal::TooLarge { size_max }),
            Framing::Length(size) => Ok(size),
            Framing::Chunked => {
                Ok(owner.expected_body_size().max(BODY_RESERVATION_SIZE_MIN).min(size_max))
            }
            Framing::None => Err(Refusal::NoLength),
        }
    }

    /// The body by its beginning; `None` where it is refused.
    fn suspect(&self, beginning: &[u8]) -> Option<Suspect<'_>> {
        let size = match self.head.framing {
            Framing::Length(size) => Some(size),
            Framing::Chunked | Framing::None => None,
        };
        let (channel, input) = (&*self.channel.id, self.input.number());
        let fingerprint = Fingerprint::of(channel, size, beginning);
        let folder = format_args!("{channel}/{input}");
        Suspect::admit(self.quarantine, self.shard, fingerprint, folder, self.name)
    }

    /// Understands a body as it arrives, and commits it.
    async fn take_plain(
        &self,
        owner: Weak<Owner>,
        beginning: &[u8],
        body: &mut Body<'_>,
        reservation: Reservation<'_>,
    ) -> Result<Accepted, Refusal> {
        let size_max = self.channel.ring.body_size_max;
        let budgets = [&self.channel.live.memory, &PROCESS_MEMORY];
        let mut reserved = reservation.size();
        let mut reservations = vec![reservation];
        let expected_size = usize::try_from(reserved).unwrap_or(0);
        let mut parser = IntakeParser::with_expected_size(expected_size);
        let mut received = beginning.len() as u64;
        parser.push(beginning)?;
        while let Some(bytes) = body.next().await? {
            received += bytes.len() as u64;
            if received > size_max {
                return Err(Refusal::TooLarge { size_max });
            }
            if received > reserved {
                // Chunked and larger than its kind was so far: room for as much again.
                reservations.push(Reservation::of(budgets, reserved).ok_or(Refusal::NoMemory)?);
                reserved *= 2;
            }
            parser.push(bytes)?;
        }
        let understood = parser.finish()?;
        let owner = owner.upgrade().ok_or(Refusal::Removed)?;
        match understood {
            Intake::Playlist(playlist) => self.take_playlist(&owner, &playlist, received).await,
            Intake::Segment(segment) => self.commit(&owner, segment, received).await,
        }
    }

    /// Reads a body in a content coding: a playlist in gzip, and nothing else.
    async fn take_coded(
        &self,
        owner: Weak<Owner>,
        beginning: &[u8],
        body: &mut Body<'_>,
    ) -> Result<Accepted, Refusal> {
        let mut gunzip = Gunzip::new(usize::try_from(PLAYLIST_SIZE_MAX).unwrap_or(usize::MAX));
        gunzip.push(beginning)?;
        while let Some(bytes) = body.next().await? {
            gunzip.push(bytes)?;
        }
        let text = gunzip.finish()?;
        let mut parser = IntakeParser::with_expected_size(text.len());
        parser.push(&text)?;
        match parser.finish()? {
            Intake::Playlist(playlist) => {
                let owner = owner.upgrade().ok_or(Refusal::Removed)?;
                self.take_playlist(&owner, &playlist, text.len() as u64).await
            }
            Intake::Segment(_) => Err(Refusal::Coded),
        }
    }

    async fn take_playlist(
        &self,
        owner: &Rc<Owner>,
        playlist: &Playlist,
        size: u64,
    ) -> Result<Accepted, Refusal> {
        if matches!(playlist, Playlist::Multivariant(_)) && size > MULTIVARIANT_SIZE_MAX {
            return Err(Refusal::MultivariantSize);
        }
        owner.on_playlist(self.input, self.name, playlist).await?;
        Ok(Accepted::New)
    }

    /// Whether a line may be logged now; `None` where it is left out and counted.
    fn admit_line(&self) -> Option<u64> {
        let admitted = self.lines.admit(rt::now());
        if admitted.is_none() {
            self.shard.hit(Limit::RefusalLines);
        }
        admitted
    }

    async fn commit(
        &self,
        owner: &Rc<Owner>,
        segment: SegmentBody,
        size: u64,
    ) -> Result<Accepted, Refusal> {
        let counters = &self.channel.live.counters.inputs[self.input.index()];
        let damage: Vec<_> = segment.tracks.iter().map(|track| track.damage).collect();
        if damage.iter().any(|damage| !damage.is_none()) {
            counters.damaged.add(1);
            if let Some(left_out) = self.admit_line() {
                tracing::warn!(
                    channel = %self.channel.id, input = self.input.number(), name = self.name,
                    ?damage, left_out, "damaged segment"
                );
            }
        }
        let at = rt::wall().0;
        match owner.commit(self.input, self.name, segment, size).await? {
            Committed::Stored => {
                counters.segment_at_us.set(u64::try_from(at).unwrap_or(0));
                counters.segments.add(1);
                Ok(Accepted::New)
            }
            known => {
                let counter = match known {
                    Committed::Divergent => &counters.divergent,
                    Committed::Overwritten => &counters.overwritten,
                    Committed::Standby => &counters.standby,
                    Committed::Stored | Committed::Duplicate => &counters.duplicates,
                };
                counters.segment_at_us.set(u64::try_from(at).unwrap_or(0));
                counter.add(1);
                Ok(Accepted::Known)
            }
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Plan<SharedFile> {
        if let Some(limit) = refusal.limit() {
            self.shard.hit(limit);
        }
        if let Some(left_out) = self.admit_line() {
            tracing::warn!(
                channel = %self.channel.id, input = self.input.number(), name = self.name,
                status = refusal.status(), error = %refusal, left_out, "push refused"
            );
        }
        let status = refusal.status();
        let counters = &self.channel.live.counters.inputs[self.input.index()];
        match refusal {
            Refusal::Quarantined => counters.quarantined.add(1),
            _ if status == 400 => counters.damaged.add(1),
            _ => {}
        }
        let mut plan = explained(status, &refusal.to_string());
        plan.head.retry_after = matches!(status, 429 | 503).then_some(1);
        plan
    }
}

/// A reply with a text that says what was wrong.
fn explained(status: u16, text: &str) -> Plan<SharedFile> {
    let bytes = Bytes::from(format!("{text}\n"));
    let head = ResponseHead {
        content_length: Some(bytes.len() as u64),
        content_type: Some("text/plain; charset=utf-8".into()),
        ..ResponseHead::new(status)
    };
    Plan::new(head, vec![Piece::Bytes(bytes)])
}

/// 503, to be tried again in a second.
pub(super) fn transient(text: &'static str) -> Plan<SharedFile> {
    let mut plan = explained(503, text);
    plan.head.retry_after = Some(1);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_storage_refuses_has_a_status_of_its_own() {
        for (uncommitted, status, limit) in [
            (Uncommitted::Refused(Refused::NoSpace), 507, Some(Limit::RingSpares)),
            (Uncommitted::Unwritten(WriteError::NoSpace { file: 1, offset: 0 }), 507, None),
            (Uncommitted::Refused(Refused::Busy), 503, Some(Limit::StorageQueue)),
            (Uncommitted::Refused(Refused::Failing), 503, None),
            (Uncommitted::Refused(Refused::Stale), 503, None),
            (Uncommitted::Crowded, 503, Some(Limit::IngestMemory)),
            (Uncommitted::Implausible, 400, None),
        ] {
            let refusal = Refusal::from(uncommitted);
            assert_eq!((refusal.status(), refusal.limit()), (status, limit), "{refusal:?}");
        }
    }
}
