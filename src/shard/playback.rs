//! Delivery: a path to a plan. Manifests are rendered once per publication and shard, segments are
//! ranges of ring files or bytes made once.

use crate::engine::assemble;
use crate::engine::manifest::{self, Absent, ManifestId, Resource, SegmentPlan};
use crate::engine::presentation::MediaRef;
use crate::engine::request::{ManifestRequest, RequestError};
use crate::http::plan::{Piece, Plan, Representation};
use crate::http::request::{Method, RequestHead};
use crate::http::response::{CacheControl, Coding, DELIVERY_METHODS, ExtraFields, ResponseHead};
use crate::limits::{
    MANIFEST_ENTRY_COUNT_INLINE_MAX, RESPONSE_CACHE_COUNT_MAX, RESPONSE_CACHE_SIZE_MAX,
};
use crate::ring::{Content, RingFile, Storage};
use crate::shard::counters::{EndpointCounters, Limit, ShardCounters};
use crate::shard::fields;
use crate::shard::made::{Made, MakeError, Value};
use crate::shard::outgoing::FileSource;
use crate::shard::rendering::Renderings;
use crate::shard::rt::{self, oneshot};
use crate::shard::site::{EndpointSite, Published};
use crate::units::{ContentHash, Extent, Monotonic, WallClock};
use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// Compression level of manifests: the text is small and made once.
const GZIP_LEVEL: u32 = 6;

/// Newest ring files whose ranges are taken to be in the page cache where their ends are, if they
/// are our own.
const LIVE_FILE_COUNT: usize = 2;

/// Manifests with parameters take half of the room for kept responses at most: there are as many as
/// viewers care to ask for, and live ones are for everybody.
const SHIFTED_SHARE: usize = 2;

/// A counted reference to a ring file with a record of it, and how to bring its pages in.
#[derive(Clone, Debug)]
pub struct SharedFile {
    file: Arc<RingFile>,
    content: Content,
    storage: Arc<Storage>,
    is_live: bool,
}

impl FileSource for SharedFile {
    fn fd(&self) -> BorrowedFd<'_> {
        self.file.fd()
    }

    fn is_resident(&self, offset: u64, size: u64) -> bool {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let is_known = self.file.is_known(self.content.payload.offset);
        let is_live = self.is_live && self.file.has_resident_ends(offset, size);
        is_live || (is_known && self.file.is_resident(offset, size))
    }

    fn is_wanted_back(&self) -> bool {
        self.file.is_wanted_back()
    }

    fn is_lost(&self) -> bool {
        self.file.is_lost() || self.file.is_unsound(self.content.payload.offset)
    }

    fn mark_lost(&self) {
        self.file.mark_lost();
    }

    /// Brings all of the record in, whatever part is asked for, because only the whole can be told
    /// to be right.
    fn warm(&self, done: oneshot::Sender<()>) {
        // A full queue drops `done`, which the sender of the response takes for what it is.
        let done = Box::new(move || done.complete(()));
        let _told = self.storage.warm(Arc::clone(&self.file), self.content, done);
    }
}

/// A response as a shard keeps it, good for one publication.
type Kept = Representation<SharedFile>;

/// What a shard has answered since the newest publication of each endpoint's channel. Kept
/// responses hold ring files, so what is out of date is dropped with the next tick, asked for or
/// not.
#[derive(Default)]
struct ResponseCache {
    endpoints: HashMap<Arc<str>, EndpointCache>,
    /// Bytes in memory of all that is kept.
    size: u64,
}

struct EndpointCache {
    endpoint: Arc<EndpointSite>,
    serial: u64,
    /// See [`EndpointSite::stale_limit`].
    stale_limit: Option<Duration>,
    size: u64,
    kept: HashMap<String, Kept>,
}

impl EndpointCache {
    fn is_of(&self, endpoint: &Arc<EndpointSite>, serial: u64) -> bool {
        Arc::ptr_eq(&self.endpoint, endpoint) && self.serial == serial
    }

    fn find(&self, key: &str) -> Option<Kept> {
        self.kept.get(key).filter(|kept| !is_lost(&kept.pieces)).cloned()
    }
}

impl ResponseCache {
    /// What is kept of a publication, begun where there is nothing of it.
    fn of(&mut self, endpoint: &Arc<EndpointSite>, published: &Published) -> &mut EndpointCache {
        let known = self.endpoints.get(&endpoint.id);
        if known.is_none_or(|cache| !cache.is_of(endpoint, published.serial)) {
            self.drop_endpoint(&endpoint.id);
            let begun = EndpointCache {
                endpoint: Arc::clone(endpoint),
                serial: published.serial,
                stale_limit: endpoint.stale_limit(published),
                size: 0,
                kept: HashMap::new(),
            };
            self.endpoints.insert(Arc::clone(&endpoint.id), begun);
        }
        self.endpoints.get_mut(&endpoint.id).expect("it is there, or was begun above")
    }

    /// Keeps a response where no more than one part in `share` of the room is taken. Returns false
    /// where there is none.
    fn keep(
        &mut self,
        (endpoint, published): (&Arc<EndpointSite>, &Published),
        key: String,
        kept: &Kept,
        share: usize,
    ) -> bool {
        let size = key.len() as u64 + memory_size(&kept.pieces);
        let total = self.size + size;
        let cache = self.of(endpoint, published);
        let is_full = cache.kept.len() >= RESPONSE_CACHE_COUNT_MAX / share
            || total > RESPONSE_CACHE_SIZE_MAX / share as u64;
        if !is_full && cache.kept.insert(key, kept.clone()).is_none() {
            cache.size += size;
            self.size += size;
        }
        !is_full
    }

    fn drop_endpoint(&mut self, id: &str) {
        if let Some(cache) = self.endpoints.remove(id) {
            self.size -= cache.size;
        }
    }

    /// Drops what a newer publication has replaced.
    fn drop_outdated(&mut self) {
        let is_outdated = |cache: &EndpointCache| {
            cache.endpoint.channel.live.published.load().serial != cache.serial
        };
        let dropped = self.endpoints.extract_if(|_, cache| is_outdated(cache));
        self.size -= dropped.map(|(_, cache)| cache.size).sum::<u64>();
    }
}

fn memory_size(pieces: &[Piece<SharedFile>]) -> u64 {
    let sizes = pieces.iter().map(|piece| match piece {
        Piece::Bytes(bytes) => bytes.len(),
        Piece::File { .. } => size_of::<Piece<SharedFile>>(),
    });
    sizes.sum::<usize>() as u64
}

fn is_lost(pieces: &[Piece<SharedFile>]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::File { file, .. } if file.is_lost()))
}

/// What answers the delivery requests of one shard.
pub struct Playback {
    storage: Arc<Storage>,
    made: MadeShelves,
    cache: RefCell<ResponseCache>,
    renderings: Renderings<Result<Kept, Refusal>>,
    waiting: Cell<u64>,
    written_aside: Cell<u64>,
}

/// Counts a request as waiting for a storage thread while it lives.
struct Waiting<'a>(&'a Cell<u64>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<u64>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Made bytes of the live window, and of what lies behind it: catching up never pushes out live.
#[derive(Clone)]
pub struct MadeShelves {
    /// Segments that manifests list.
    pub live: Arc<Made>,
    /// Older ones.
    pub catch_up: Arc<Made>,
}

impl Playback {
    /// With the storage threads and the shelf that all shards share.
    #[must_use]
    pub fn new(storage: Arc<Storage>, made: MadeShelves) -> Self {
        Self {
            storage,
            made,
            cache: RefCell::default(),
            renderings: Renderings::default(),
            waiting: Cell::default(),
            written_aside: Cell::default(),
        }
    }

    /// Drops what was answered from publications that are replaced by now.
    pub fn on_tick(&self) {
        self.cache.borrow_mut().drop_outdated();
    }

    /// Forgets what was answered before a reload.
    pub fn on_reload(&self) {
        *self.cache.borrow_mut() = ResponseCache::default();
    }

    /// Requests that wait for a storage thread.
    #[must_use]
    pub fn waiting_count(&self) -> u64 {
        self.waiting.get()
    }

    /// Manifests that were too long for the shard to write.
    #[must_use]
    pub fn written_aside_count(&self) -> u64 {
        self.written_aside.get()
    }

    /// Answers a request for `path` below the endpoint.
    pub async fn answer(
        &self,
        endpoint: &Arc<EndpointSite>,
        counters: (&EndpointCounters, &ShardCounters),
        path: &str,
        head: &RequestHead,
    ) -> Plan<SharedFile> {
        if !endpoint.endpoint.headers.cmsd {
            return self.found(endpoint, counters, path, head).await;
        }
        let begun = rt::now();
        let mut plan = self.found(endpoint, counters, path, head).await;
        let delay = rt::now().0.saturating_sub(begun.0);
        plan.head.extra = fields::with_delay(&plan.head.extra, delay);
        plan
    }

    async fn found(
        &self,
        endpoint: &Arc<EndpointSite>,
        (counters, shard): (&EndpointCounters, &ShardCounters),
        path: &str,
        head: &RequestHead,
    ) -> Plan<SharedFile> {
        match head.method {
            Method::Get | Method::Head => {}
            Method::Options => return Plan::status(ResponseHead::preflight()),
            _ => {
                let allow = Some(DELIVERY_METHODS);
                return Plan::status(ResponseHead { allow, ..ResponseHead::new(405) });
            }
        }
        if endpoint.channel.live.is_refused() {
            return refusal(&Refusal::NoRing);
        }
        let (path, request) = match ManifestRequest::parse(path, head.query.as_deref()) {
            Ok(parsed) => parsed,
            Err(error) => return refused(shard, &Refusal::Absent(error.into())),
        };
        let path = &*path;
        let published = endpoint.channel.live.published.load_full();
        let may_be_manifest = manifest::kind_of(path).is_some();
        let gzip = head.accept_encoding_gzip && may_be_manifest;
        // The two forms of a manifest are kept apart by a mark that no path begins with, and
        // parameters by one that is in none.
        let mut key = if gzip { format!(" {path}") } else { path.to_owned() };
        if !request.is_live() {
            key = format!("{key}\n{request}");
        }
        let (stale_limit, kept) = {
            let mut cache = self.cache.borrow_mut();
            let cache = cache.of(endpoint, &published);
            (cache.stale_limit, cache.find(&key))
        };
        let is_old = may_be_manifest && published.is_older(stale_limit, rt::now());
        if is_old && goes_stale(endpoint, &published, path, &request) {
            // Not served as if it were fresh.
            counters.stale.add(1);
            return stale(endpoint.endpoint.stale.status);
        }
        if let Some(kept) = kept {
            return Plan::answer(head, kept);
        }
        let asked = Asked { path, request, gzip };
        match self.make_awaited(endpoint, shard, published, &asked).await {
            Ok((published, (made, keeps))) => {
                if keeps {
                    let share = if asked.request.is_live() { 1 } else { SHIFTED_SHARE };
                    let mut cache = self.cache.borrow_mut();
                    if !cache.keep((endpoint, &published), key, &made, share) {
                        shard.hit(Limit::ResponseCache);
                    }
                }
                Plan::answer(head, made)
            }
            Err(Refusal::Absent(Absent::Stopped)) => {
                counters.stale.add(1);
                stale(endpoint.endpoint.stale.status)
            }
            Err(why) => refused(shard, &why),
        }
    }

    /// [`Playback::make`] of the newest publication, which is waited for where a player's clock
    /// has told it of a segment that is about to come.
    async fn make_awaited(
        &self,
        endpoint: &Arc<EndpointSite>,
        shard: &ShardCounters,
        mut published: Arc<Published>,
        asked: &Asked<'_>,
    ) -> Result<(Arc<Published>, (Kept, bool)), Refusal> {
        let live = &endpoint.channel.live;
        let mut deadline = None;
        loop {
            match self.make(endpoint, &published, asked).await {
                Err(Refusal::Absent(Absent::NotYet)) => {}
                made => return made.map(|made| (published, made)),
            }
            let not_yet = || Refusal::Absent(Absent::NotYet);
            let (settings, presentation) = (&endpoint.endpoint, &published.presentation);
            let span = manifest::next_wait(settings, presentation, asked.path);
            let span = span.ok_or_else(not_yet)?;
            let deadline = *deadline.get_or_insert(Monotonic(rt::now().0 + span));
            let Some(told) = live.held.wait() else {
                shard.hit(Limit::HeldRequests);
                return Err(not_yet());
            };
            let newest = live.published.load_full();
            if newest.serial != published.serial {
                published = newest;
                continue;
            }
            rt::timeout_at(deadline, told).await.map_err(|_| not_yet())?.ok();
            published = live.published.load_full();
        }
    }

    /// The response, and whether it is to be kept: what was made of samples is on the shelf.
    async fn make(
        &self,
        endpoint: &Arc<EndpointSite>,
        published: &Arc<Published>,
        asked: &Asked<'_>,
    ) -> Result<(Kept, bool), Refusal> {
        let (settings, presentation) = (&endpoint.endpoint, &published.presentation);
        let Asked { path, request, gzip } = asked;
        match manifest::resolve(settings, presentation, path)? {
            Resource::Manifest(id) => {
                let entries = manifest::entry_count_max(settings, presentation, &id, request);
                let made = if entries <= MANIFEST_ENTRY_COUNT_INLINE_MAX {
                    render(endpoint, published, &id, request, *gzip)
                } else {
                    self.render_apart(endpoint, published, id, asked).await
                };
                made.map(|made| (made, true))
            }
            // The URLs of media do not depend on what a manifest was asked with.
            _ if !request.is_live() && !manifest::is_beside_media(settings, request) => {
                Err(Absent::from(RequestError::NotAManifest).into())
            }
            Resource::Clock => Ok((clock_of(rt::wall()), false)),
            Resource::Init { init, .. } => {
                let bytes =
                    assemble::write_init(settings, presentation, init).ok_or(Absent::Never)?;
                let cache_control = CacheControl::Immutable(manifest::IMMUTABLE_MAX_AGE_SECONDS);
                let made = Representation {
                    content_type: "video/mp4",
                    cache_control,
                    etag: manifest::etag(&bytes),
                    coding: Coding::Sole,
                    extra: fields::of_init(settings, presentation),
                    pieces: vec![Piece::Bytes(bytes.into())],
                };
                Ok((made, true))
            }
            Resource::Segment(id) => {
                let plan = manifest::plan_segment(settings, presentation, &id)?;
                self.segment(endpoint, published, path, plan).await
            }
            Resource::FragmentInfo(id) => {
                let plan = manifest::plan_segment(settings, presentation, &id)?;
                self.segment(endpoint, published, path, plan.into_fragment_info()).await
            }
        }
    }

    /// A planned segment, and whether it is to be kept.
    async fn segment(
        &self,
        endpoint: &EndpointSite,
        published: &Arc<Published>,
        path: &str,
        plan: SegmentPlan,
    ) -> Result<(Kept, bool), Refusal> {
        let is_view = plan.is_view();
        let pieces = if is_view {
            self.view(published, &plan).await?
        } else {
            self.made(endpoint, published, path, &plan).await?
        };
        let cache_control = if plan.is_immutable() {
            CacheControl::Immutable(plan.max_age_seconds)
        } else {
            CacheControl::MaxAge(plan.max_age_seconds)
        };
        let extra = fields::of_segment(&endpoint.endpoint, &published.presentation, &plan);
        let (content_type, etag, coding) = (plan.content_type, plan.etag, Coding::Sole);
        Ok((Representation { content_type, cache_control, etag, coding, extra, pieces }, is_view))
    }

    /// A long manifest, written by a making thread, once for all who ask meanwhile.
    async fn render_apart(
        &self,
        endpoint: &Arc<EndpointSite>,
        published: &Arc<Published>,
        manifest: ManifestId,
        asked: &Asked<'_>,
    ) -> Result<Kept, Refusal> {
        let (request, gzip) = (asked.request.clone(), asked.gzip);
        let key = format!("{} {} {manifest:?} {gzip} {request}", endpoint.id, published.serial);
        let (endpoint, published) = (Arc::clone(endpoint), Arc::clone(published));
        let _waiting = Waiting::new(&self.waiting);
        let make = move || render(&endpoint, &published, &manifest, &request, gzip);
        let made = self.renderings.value(&self.storage, key, make).await;
        let made = made.unwrap_or(Err(Refusal::Busy));
        self.written_aside.set(self.written_aside.get() + u64::from(made.is_ok()));
        made
    }

    /// Heads and ranges: the payload never enters user memory.
    async fn view(
        &self,
        published: &Published,
        plan: &SegmentPlan,
    ) -> Result<Vec<Piece<SharedFile>>, Refusal> {
        let mut tables = Vec::new();
        for media in plan.media() {
            tables.push(self.read_table(published, media).await?);
        }
        let tables: Vec<&[u8]> = tables.iter().map(Vec::as_slice).collect();
        let heads = assemble::write_heads(plan, &tables).map_err(|error| {
            tracing::error!(%error, "a listed segment cannot be written");
            Refusal::Broken
        })?;
        if !plan.has_payload() {
            return Ok(heads.into_iter().map(|head| Piece::Bytes(Bytes::from(head))).collect());
        }
        let mut pieces = Vec::with_capacity(2 * heads.len());
        for (head, media) in heads.into_iter().zip(plan.media()) {
            let payload = media.payload;
            // Payloads may follow one another without a head between them.
            if !head.is_empty() {
                pieces.push(Piece::Bytes(Bytes::from(head)));
            }
            let newest = published.files.len().saturating_sub(LIVE_FILE_COUNT);
            let live = published.files.get(newest..).unwrap_or_default();
            let is_live = |file: &Arc<RingFile>| file.is_own() && file.sequence() == payload.file;
            let file = SharedFile {
                file: Arc::clone(published.file(payload.file).ok_or(Refusal::Broken)?),
                content: content_of(media),
                storage: Arc::clone(&self.storage),
                is_live: live.iter().any(is_live),
            };
            let size = u64::from(payload.size);
            pieces.push(Piece::File { file, offset: payload.offset, size });
        }
        if is_lost(&pieces) {
            return Err(Refusal::Broken);
        }
        Ok(pieces)
    }

    /// A segment made from its samples by a storage thread, once for all shards.
    async fn made(
        &self,
        endpoint: &EndpointSite,
        published: &Arc<Published>,
        path: &str,
        plan: &SegmentPlan,
    ) -> Result<Vec<Piece<SharedFile>>, Refusal> {
        let key = format!("{}/{path}#{}", endpoint.id, plan.etag);
        let window = i64::from(endpoint.endpoint.window_seconds_max()) * 90_000;
        let edge = published.presentation.edge().unwrap_or_default();
        let is_live = plan.end.ticks() + window >= edge.ticks();
        let shelf = if is_live { &self.made.live } else { &self.made.catch_up };
        let (published, plan) = (Arc::clone(published), plan.clone());
        let _waiting = Waiting::new(&self.waiting);
        let value = shelf.value(&key, move || make_from(&published, &plan)).await;
        match value {
            Ok(Value::Memory(bytes)) => Ok(vec![Piece::Bytes(bytes)]),
            Ok(Value::Kept(file, content)) => {
                let storage = Arc::clone(&self.storage);
                let at = content.payload;
                let file = SharedFile { file, content, storage, is_live };
                Ok(vec![Piece::File { file, offset: at.offset, size: u64::from(at.size) }])
            }
            Err(MakeError::Busy) => Err(Refusal::Busy),
            Err(MakeError::Failed(error)) => {
                tracing::error!(error, path, "a listed segment cannot be made");
                Err(Refusal::Broken)
            }
        }
    }

    /// A record's sample table: from the page cache, else by a storage thread, which has a look at
    /// the whole record.
    async fn read_table(
        &self,
        published: &Published,
        media: &MediaRef,
    ) -> Result<Vec<u8>, Refusal> {
        let (at, content) = (media.table, content_of(media));
        let file = published.file(at.file).ok_or(Refusal::Broken)?;
        let mut bytes = vec![0; usize::try_from(at.size).unwrap_or(0)];
        if file.is_known(media.payload.offset)
            && file.is_resident(at.offset, bytes.len())
            && file.read_cached_at(at.offset, &mut bytes).is_ok_and(|read| read == bytes.len())
        {
            return Ok(bytes);
        }
        let _waiting = Waiting::new(&self.waiting);
        let (done, read) = oneshot::channel();
        let file = Arc::clone(file);
        let job = move || {
            file.warm(&content);
            let read = if file.is_unsound(content.payload.offset) {
                Err(io::ErrorKind::InvalidData.into())
            } else {
                file.read_at(at.offset, &mut bytes).map(|()| bytes)
            };
            done.complete(read);
        };
        self.storage.read(Box::new(job)).map_err(|_| Refusal::Busy)?;
        match read.await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => {
                tracing::error!(%error, file = at.file, offset = at.offset, "ring read failed");
                Err(Refusal::Broken)
            }
            Err(_) => Err(Refusal::Busy),
        }
    }
}

/// A manifest in one of its forms.
fn render(
    endpoint: &EndpointSite,
    published: &Published,
    manifest: &ManifestId,
    request: &ManifestRequest,
    gzip: bool,
) -> Result<Kept, Refusal> {
    let (settings, presentation) = (&endpoint.endpoint, &published.presentation);
    let rendered = manifest::render_requested(settings, presentation, manifest, request)?;
    let is_complete = presentation.ended || manifest::is_complete(settings, presentation, request);
    let extra = fields::of_manifest(settings, presentation, rendered.newest, is_complete);
    Ok(text_of(rendered, extra, gzip))
}

/// What a viewer asks for.
struct Asked<'a> {
    /// Below the endpoint, without parameters.
    path: &'a str,
    request: ManifestRequest,
    gzip: bool,
}

/// Why there is no such response.
#[derive(Clone)]
enum Refusal {
    Absent(Absent),
    /// Storage is overloaded: 503.
    Busy,
    /// The channel's ring could not be read: 503.
    NoRing,
    /// The ring does not hold what is listed: 502, so that a CDN asks the other origin.
    Broken,
}

impl From<Absent> for Refusal {
    fn from(absent: Absent) -> Self {
        Self::Absent(absent)
    }
}

/// What a listed record must be.
const fn content_of(media: &MediaRef) -> Content {
    Content { table: media.table, payload: media.payload, hash: media.hash }
}

/// Writes a segment from the mapped files; waits for the disk, so on a storage thread.
fn make_from(published: &Published, plan: &SegmentPlan) -> Result<Vec<u8>, String> {
    let (mut tables, mut payloads) = (Vec::new(), Vec::new());
    for media in plan.media() {
        let (table, payload) = mapped(published, media).map_err(|error| error.to_string())?;
        tables.push(table);
        payloads.push(payload);
    }
    assemble::make(plan, &tables, &payloads).map_err(|error| error.to_string())
}

/// Table and payload of a record, as they were written. Where a page could not be had, they read
/// as zeros, which their hash shows.
fn mapped<'a>(published: &'a Published, media: &MediaRef) -> io::Result<(&'a [u8], &'a [u8])> {
    let file = published.file(media.payload.file).ok_or(io::ErrorKind::NotFound)?;
    let bytes = |at: Extent| file.bytes(at.offset, usize::try_from(at.size).unwrap_or(usize::MAX));
    let (table, payload) = (bytes(media.table)?, bytes(media.payload)?);
    if ContentHash::of(table, payload).low() != media.hash {
        file.note_verdict(media.payload.offset, false);
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((table, payload))
}

fn text_of(rendered: manifest::Rendered, extra: ExtraFields, gzip: bool) -> Kept {
    let etag = manifest::etag(&rendered.body);
    let cache_control = CacheControl::MaxAge(rendered.max_age_seconds);
    let (body, etag, coding) = if gzip {
        let etag = format!("{}-gz\"", etag.trim_end_matches('"'));
        (compress(&rendered.body), etag, Coding::Gzip)
    } else {
        (rendered.body, etag, Coding::Plain)
    };
    let pieces = vec![Piece::Bytes(body.into())];
    let content_type = rendered.content_type;
    Representation { content_type, cache_control, etag, coding, extra, pieces }
}

/// The wall clock as text, which nobody may keep.
fn clock_of(now: WallClock) -> Kept {
    let text = manifest::write_clock(now);
    Representation {
        content_type: "text/plain; charset=utf-8",
        cache_control: CacheControl::NoStore,
        etag: manifest::etag(text.as_bytes()),
        coding: Coding::Sole,
        extra: ExtraFields::default(),
        pieces: vec![Piece::Bytes(text.into())],
    }
}

/// The gzip form (RFC 1952) with a fixed level and no time in it, so that origins agree.
fn compress(body: &[u8]) -> Vec<u8> {
    let out = Vec::with_capacity(body.len() / 4 + 64);
    let mut encoder = GzBuilder::new().mtime(0).write(out, Compression::new(GZIP_LEVEL));
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("writing to memory does not fail")
}

/// True for manifests that would have changed, had there been media.
fn goes_stale(
    endpoint: &EndpointSite,
    published: &Published,
    path: &str,
    request: &ManifestRequest,
) -> bool {
    let (settings, presentation) = (&endpoint.endpoint, &published.presentation);
    let resolved = manifest::resolve(settings, presentation, path);
    matches!(resolved, Ok(Resource::Manifest(_)))
        && !manifest::is_complete(settings, presentation, request)
}

/// What a live manifest is answered with that has not changed for too long: the CDN asks another
/// origin, or again in a second.
fn stale(status: u16) -> Plan<SharedFile> {
    let retry_after = (status == 503).then_some(1);
    let cache_control = Some(CacheControl::MaxAge(1));
    let head = ResponseHead { cache_control, retry_after, ..ResponseHead::new(status) };
    Plan { reason: Some("stale"), ..Plan::status(head) }
}

/// The answer to a refused request, counted where a bound was hit.
fn refused(shard: &ShardCounters, why: &Refusal) -> Plan<SharedFile> {
    let hit = match why {
        Refusal::Busy => Some(Limit::StorageQueue),
        Refusal::Absent(Absent::Refused(RequestError::TooLong { .. })) => Some(Limit::QuerySize),
        Refusal::Absent(Absent::Refused(RequestError::SpanTooLong)) => Some(Limit::TimeShift),
        _ => None,
    };
    if let Some(limit) = hit {
        shard.hit(limit);
    }
    refusal(why)
}

fn refusal(why: &Refusal) -> Plan<SharedFile> {
    let (status, retry_after) = match why {
        Refusal::Absent(Absent::Refused(_)) => (400, None),
        // Both are told apart from errors, and neither may be cached past the live edge's pace.
        Refusal::Absent(Absent::Unread) | Refusal::Busy | Refusal::NoRing => (503, Some(1)),
        Refusal::Absent(Absent::TooEarly) => (412, None),
        Refusal::Absent(_) => (404, None),
        Refusal::Broken => (502, None),
    };
    let cache_control = Some(CacheControl::MaxAge(1));
    let head = ResponseHead { cache_control, retry_after, ..ResponseHead::new(status) };
    match why {
        // Which names no more of the request than what is known of it.
        Refusal::Absent(why @ (Absent::Refused(_) | Absent::Unselected)) => {
            Plan::text(head, &why.to_string())
        }
        _ => Plan::status(head),
    }
}
