//! Media and channels for tests of this layer.

use crate::engine::body::SegmentParser;
use crate::engine::channel::ChannelConfig;
use crate::engine::channel::switching::Preference;
use crate::engine::playlist::{Playlist, parse_playlist};
use crate::engine::segment::SegmentBody;
use crate::ring::{Durability, Ring, RingConfig, Storage, Tenure, plan_files};
use crate::shard::owner::{self, Owner};
use crate::shard::reopen::{RECORD_VERSION, Reopened};
use crate::shard::rt::oneshot;
use crate::shard::site::{ChannelLive, ChannelSite};
use crate::units::MediaTime;
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// AAC frames of one segment, and ticks of 90 kHz that each lasts at 48 kHz.
const FRAME_COUNT: u64 = 94;
const FRAME_TICKS: u64 = 1_920;
const BODY_SIZE_MAX: u64 = 64 << 10;

/// Segment `number` of a stream: packed AAC, each frame filled with that number.
pub fn packed_aac(number: u8, frame_size: u16) -> Vec<u8> {
    let time = u64::from(number) * FRAME_COUNT * FRAME_TICKS;
    let mut private = b"com.apple.streaming.transportStreamTimestamp\0".to_vec();
    private.extend_from_slice(&time.to_be_bytes());
    let size = u8::try_from(private.len()).expect("short");
    let mut segment = vec![b'I', b'D', b'3', 4, 0, 0, 0, 0, 0, size + 10];
    segment.extend_from_slice(&[b'P', b'R', b'I', b'V', 0, 0, 0, size, 0, 0]);
    segment.extend_from_slice(&private);
    let [high, low] = (frame_size + 7).to_be_bytes();
    let header =
        [0xff, 0xf1, 0x4c, 0x80 | (high >> 3), (high << 5) | (low >> 3), (low << 5) | 0x1f, 0xfc];
    for _ in 0..FRAME_COUNT {
        segment.extend_from_slice(&header);
        segment.extend(std::iter::repeat_n(number, frame_size.into()));
    }
    segment
}

/// The same of a usual size, understood.
pub fn segment(number: u8) -> SegmentBody {
    segment_of(number, 400)
}

/// The same, understood.
pub fn segment_of(number: u8, frame_size: u16) -> SegmentBody {
    let mut parser = SegmentParser::new();
    parser.push(&packed_aac(number, frame_size)).expect("sound");
    parser.finish().expect("sound")
}

/// A media playlist of the first `count` segments that stands alone.
pub fn playlist(count: u8) -> Playlist {
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
    for number in 0..count {
        if number == 0 {
            text.push_str("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n");
        }
        writeln!(text, "#EXTINF:2.005333,\n{}", name(number)).expect("memory");
    }
    parse_playlist(text.as_bytes()).expect("sound")
}

/// The encoder's name for a segment.
pub fn name(number: u8) -> String {
    format!("channel_{number:05}.aac")
}

/// A channel with a small ring in `dir`.
pub fn channel_site(dir: &Path) -> Arc<ChannelSite> {
    let file_size = plan_files(1, BODY_SIZE_MAX).expect_err("too small").file_size;
    Arc::new(ChannelSite {
        live_span: MediaTime(3_600 * 90_000),
        id: "a".into(),
        users: [None, None],
        timeline: ChannelConfig {
            period: Some((FRAME_COUNT * FRAME_TICKS, 1)),
            join_seconds: vec![2],
            window: MediaTime(60 * 90_000),
            preference: Preference::default(),
        },
        ring: RingConfig {
            dir: dir.into(),
            size: 8 * file_size,
            body_size_max: BODY_SIZE_MAX,
            content_version: RECORD_VERSION,
            durability: Durability::Process,
        },
        bodies_per_second: 50,
        bits_per_second: None,
        live: ChannelLive::new(0),
    })
}

/// The same, of which all that is acknowledged is on the disk.
pub fn strict_site(dir: &Path) -> Arc<ChannelSite> {
    let mut site = channel_site(dir);
    let ring = &mut Arc::get_mut(&mut site).expect("nobody else has it").ring;
    ring.durability = Durability::Strict;
    site
}

/// Opens the channel's ring and takes it over.
pub fn owner(site: &Arc<ChannelSite>, storage: &Arc<Storage>) -> Rc<Owner> {
    let (ring, recovered) =
        Ring::open(&site.ring, storage, site.live.placement.tenure()).expect("opens");
    let reopened = Reopened::new(site, ring, &recovered, owner::now()).expect("readable");
    Owner::new(Arc::clone(site), reopened)
}

/// The same as soon as its newest file is read.
pub fn owner_of_newest(site: &Arc<ChannelSite>, storage: &Arc<Storage>) -> Rc<Owner> {
    let tenure = site.live.placement.tenure();
    let (ring, recovered) =
        Ring::open_newest(&site.ring, storage, tenure, |_| true).expect("opens");
    let reopened = Reopened::new(site, ring, &recovered, owner::now()).expect("readable");
    Owner::new(Arc::clone(site), reopened)
}

/// Takes a channel over from its owner, whose tenure has ended with `tenure`.
pub async fn successor(
    site: &Arc<ChannelSite>,
    storage: &Arc<Storage>,
    tenure: Tenure,
) -> Rc<Owner> {
    take_over(site, storage, tenure, false).await
}

/// The same as soon as its newest file is read.
pub async fn successor_of_newest(
    site: &Arc<ChannelSite>,
    storage: &Arc<Storage>,
    tenure: Tenure,
) -> Rc<Owner> {
    take_over(site, storage, tenure, true).await
}

async fn take_over(
    site: &Arc<ChannelSite>,
    storage: &Arc<Storage>,
    tenure: Tenure,
    is_enough: bool,
) -> Rc<Owner> {
    let (done, opened) = oneshot::channel();
    let known = Arc::clone(&site.live.published.load().files);
    let taken = |opened| done.complete(opened);
    let how = (known, move |_: &_| is_enough);
    Ring::take_over(site.ring.clone(), storage, tenure, how, taken).expect("room in the queue");
    let (ring, recovered) = opened.await.expect("answered").expect("opens");
    let reopened = Reopened::new(site, ring, &recovered, owner::now()).expect("readable");
    Owner::new(Arc::clone(site), reopened)
}
