//! Channels on a shard: commits, failures, panics, and what is read back afterwards.

mod fixtures;

use super::*;
use crate::limits::SHARD_TICK_SPAN;
use crate::ring::Storage;
use crate::ring::script::Script;
use crate::shard::rt::{DriverChoice, run_shard};
use fixtures::{
    channel_site, name, owner, owner_of_newest, playlist, segment, segment_of, strict_site,
    successor, successor_of_newest,
};

/// Reached only where something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

fn on_a_shard(test: impl AsyncFnOnce(Arc<Storage>)) {
    let storage = Storage::start(1).expect("threads");
    run_shard(0, None, DriverChoice::Best, async |_| test(storage).await).expect("a driver");
}

/// Numbers that viewers are shown, and whether each has media.
fn shown(site: &ChannelSite) -> Vec<(u64, bool)> {
    let published = site.live.published.load();
    let Some(track) = published.presentation.tracks.first() else { return Vec::new() };
    track.segments.iter_from(0).map(|listed| (listed.number, listed.media.is_some())).collect()
}

/// Waits until `condition` holds, letting time pass for the channel.
async fn until(owner: &Rc<Owner>, what: &str, condition: impl Fn() -> bool) {
    let deadline = rt::now() + PATIENCE;
    while !condition() {
        assert!(rt::now() < deadline, "{what}: {:?}", shown(&owner.site()));
        owner.on_tick();
        rt::sleep_until(rt::now() + SHARD_TICK_SPAN / 10).await;
    }
}

async fn push(owner: &Rc<Owner>, number: u8) -> Result<Committed, Uncommitted> {
    owner.commit(InputNumber::ONE, &name(number), segment(number), 38_000).await
}

/// Pushes until the channel takes it.
async fn push_again(owner: &Rc<Owner>, number: u8) {
    let deadline = rt::now() + PATIENCE;
    while let Err(error) = push(owner, number).await {
        assert!(rt::now() < deadline, "{error}");
        rt::sleep_until(rt::now() + SHARD_TICK_SPAN).await;
    }
}

async fn begin(owner: &Rc<Owner>, count: u8) {
    let begun = owner.on_playlist(InputNumber::ONE, "channel.m3u8", &playlist(250)).await;
    assert_eq!(begun, Ok(()));
    for number in 0..count {
        assert_eq!(push(owner, number).await, Ok(Committed::Stored), "{number}");
    }
    let site = owner.site();
    until(owner, "listed", || shown(&site).len() == usize::from(count)).await;
}

#[test]
fn what_is_shown_is_read_back_after_an_abrupt_end() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = channel_site(dir.path());
        let first = owner(&site, &storage);
        begin(&first, 8).await;
        let before = shown(&site);
        drop(first);
        assert!(storage.flush(PATIENCE));
        let again = channel_site(dir.path());
        let second = owner(&again, &storage);
        until(&second, "shown", || !shown(&again).is_empty()).await;
        assert_eq!(shown(&again), before);
        assert_eq!(push(&second, 7).await, Ok(Committed::Duplicate));
        assert_eq!(push(&second, 8).await, Ok(Committed::Stored));
        until(&second, "goes on", || shown(&again).len() == 9).await;
        assert_eq!(shown(&again)[..8], before);
        let published = again.live.counters.published_segments.value();
        assert_eq!(published, 1, "those of before are not counted again");
    });
}

#[test]
fn an_owner_that_was_replaced_acknowledges_and_shows_nothing() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = channel_site(dir.path());
        let first = owner(&site, &storage);
        begin(&first, 4).await;
        let before = shown(&site);
        let tenure = first.pass_to(1).expect("nobody else owns it");
        assert!(first.pass_to(2).is_none(), "it has gone");
        let second = successor(&site, &storage, tenure).await;
        until(&second, "shown", || site.live.published.load().epoch == 1).await;
        assert_eq!(shown(&site), before);

        assert_eq!(push(&first, 3).await, Err(Uncommitted::Stale), "not even what it knows");
        let refused = Err(Uncommitted::Refused(Refused::Stale));
        assert_eq!(push(&first, 4).await, refused);
        let told = first.on_playlist(InputNumber::ONE, "channel.m3u8", &playlist(250)).await;
        assert_eq!(told, Err(Uncommitted::Stale));
        assert_eq!(push(&second, 3).await, Ok(Committed::Duplicate), "it was acknowledged");
        assert_eq!(push(&second, 4).await, Ok(Committed::Stored));
        until(&second, "goes on", || shown(&site).len() == 5).await;
        first.on_tick();
        first.show(Published::new(0, Presentation::default(), Arc::default()));
        assert_eq!(shown(&site).len(), 5, "viewers keep what the later owner shows");
    });
}

#[test]
fn a_panic_restarts_its_channel_alone() {
    on_a_shard(async |storage| {
        let dirs = [tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two")];
        let sites = dirs.each_ref().map(|dir| channel_site(dir.path()));
        let owners = sites.each_ref().map(|site| owner(site, &storage));
        for owner in &owners {
            begin(owner, 3).await;
        }
        let serial = sites[0].live.published.load().serial;
        for _ in 0..2 {
            let mut inner = owners[0].inner.borrow_mut();
            let stepped = inner.step(&sites[0], |_| -> () { panic!("a defect of the channel") });
            assert_eq!(stepped, None);
        }
        assert_eq!(sites.each_ref().map(|it| it.live.counters.restarts.value()), [2, 0]);
        for (owner, site) in owners.iter().zip(&sites) {
            let _again = owner.on_playlist(InputNumber::ONE, "channel.m3u8", &playlist(250)).await;
            for number in 3..6 {
                assert_eq!(push(owner, number).await, Ok(Committed::Stored), "{number}");
            }
            until(owner, "goes on", || shown(site).len() == 6).await;
            assert!(shown(site).iter().all(|(_, has_media)| *has_media));
        }
        assert!(sites[0].live.published.load().serial > serial, "no serial comes twice");
    });
}

#[test]
fn a_panic_loses_nothing_that_was_committed() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = channel_site(dir.path());
        let owner = owner(&site, &storage);
        begin(&owner, 3).await;
        assert_eq!(push(&owner, 4).await, Ok(Committed::Stored), "waits for the one before it");
        assert_eq!(shown(&site).len(), 3);
        {
            let mut inner = owner.inner.borrow_mut();
            let stepped = inner.step(&site, |_| -> () { panic!("a defect of the channel") });
            assert_eq!(stepped, None);
            assert_eq!(inner.channel.active_input(), Some(InputNumber::ONE));
            assert!(inner.channel.input_heard(InputNumber::ONE).is_some(), "still leads");
        }
        assert_eq!(push(&owner, 4).await, Ok(Committed::Duplicate), "it waits still");
        assert_eq!(push(&owner, 3).await, Ok(Committed::Stored));
        until(&owner, "both are listed", || shown(&site).len() == 5).await;
        assert!(shown(&site).iter().all(|(_, has_media)| *has_media));
    });
}

#[test]
fn a_failed_write_is_told_and_repeated() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = channel_site(dir.path());
        let first = owner(&site, &storage);
        begin(&first, 4).await;
        let newest = site.live.published.load().files.last().map(|file| file.sequence());
        let path = dir.path().join(format!("{:020}.ring", newest.expect("a file")));
        std::fs::File::options().write(true).open(path).and_then(|it| it.set_len(0)).expect("cut");
        // What the playlist changes cannot be written, so the encoder is not told that it was.
        let other = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\nchannel_1.m3u8\n";
        let other = crate::engine::playlist::parse_playlist(other.as_bytes()).expect("sound");
        let before = site.live.published.load().serial;
        let told = first.on_playlist(InputNumber::TWO, "channel.m3u8", &other).await;
        assert_eq!(told, Err(Uncommitted::Abandoned));
        assert_eq!(site.live.published.load().serial, before, "viewers are shown what is kept");
        push_again(&first, 4).await;
        until(&first, "goes on", || shown(&site).len() == 5 && first.is_settled()).await;
        let newest = shown(&site)[4].0;
        assert!(
            first.inner.borrow().written.state().sources[1].is_some(),
            "the change came after all"
        );
        drop(first);
        assert!(storage.flush(PATIENCE));
        let again = channel_site(dir.path());
        let second = owner(&again, &storage);
        push_again(&second, 5).await;
        until(&second, "goes on", || shown(&again).last() == Some(&(newest + 1, true))).await;
        assert!(second.inner.borrow().written.state().sources[1].is_some());
    });
}

#[test]
fn a_reload_makes_a_channel_strict() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = channel_site(dir.path());
        let owner = owner(&site, &storage);
        begin(&owner, 3).await;
        let unsynced = site.live.counters.ring_unsynced_bytes.value();
        assert!(unsynced > 0, "nothing has asked for it");
        let mut strict = strict_site(dir.path());
        Arc::get_mut(&mut strict).expect("nobody else has it").live = Arc::clone(&site.live);
        owner.reconfigure(&strict);
        assert_eq!(push(&owner, 3).await, Ok(Committed::Stored));
        // The sync took along what was there, and what the segment led to is synced as well.
        until(&owner, "listed", || owner.is_settled() && shown(&strict).len() == 4).await;
        owner.show_ring();
        assert_eq!(strict.live.counters.ring_unsynced_bytes.value(), 0);
    });
}

#[test]
fn st_13_what_a_strict_channel_could_not_sync_is_written_when_it_comes_again_after_a_restart() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let first = owner(&strict_site(dir.path()), &storage);
        begin(&first, 3).await;
        Script::of(dir.path()).fail_syncs(1);
        let unsynced = push(&first, 3).await;
        let expected = matches!(unsynced, Err(Uncommitted::Unwritten(WriteError::Unsynced { .. })));
        assert!(expected, "{unsynced:?}");
        drop(first);
        assert!(storage.flush(PATIENCE));
        let site = strict_site(dir.path());
        let second = owner(&site, &storage);
        assert_eq!(push(&second, 2).await, Ok(Committed::Duplicate), "it was acknowledged");
        assert_eq!(push(&second, 3).await, Ok(Committed::Stored), "it is in memory alone");
        until(&second, "listed", || shown(&site).len() == 4).await;
        second.show_ring();
        let counters = &site.live.counters;
        let (all, stranded) = (&counters.ring_unsynced_bytes, &counters.ring_stranded_bytes);
        assert_eq!(all.value(), stranded.value(), "but for the file that was left");
    });
}

#[test]
fn what_waits_to_be_listed_is_taken_over_and_so_is_what_is_being_committed() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = strict_site(dir.path());
        let first = owner(&site, &storage);
        begin(&first, 3).await;
        assert_eq!(push(&first, 4).await, Ok(Committed::Stored), "waits for the one before it");
        let (is_held, free) = Script::of(dir.path()).hold_sync();
        let (done, told) = oneshot::channel();
        let pushing = Rc::clone(&first);
        rt::spawn(async move { done.complete(push(&pushing, 6).await) });
        until(&first, "it waits for the disk", || is_held.try_recv().is_ok()).await;
        let tenure = first.pass_to(1).expect("nobody else owns it");
        drop(free);
        let second = successor(&site, &storage, tenure).await;
        assert_eq!(told.await, Ok(Err(Uncommitted::Stale)), "not acknowledged");
        for number in [4, 6] {
            assert_eq!(push(&second, number).await, Ok(Committed::Duplicate), "{number} waits");
        }
        for number in [3, 5] {
            assert_eq!(push(&second, number).await, Ok(Committed::Stored), "{number}");
        }
        until(&second, "all are listed", || shown(&site).len() == 7).await;
        assert!(shown(&site).iter().all(|(_, has_media)| *has_media));
    });
}

#[test]
fn a_channel_is_taken_over_while_its_older_files_are_being_read() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = channel_site(dir.path());
        let first = owner(&site, &storage);
        begin(&first, 3).await;
        let files = || site.live.published.load().files.len();
        let mut number = 3;
        while files() < 4 {
            let body = segment_of(number, 5_000);
            let stored = first.commit(InputNumber::ONE, &name(number), body, 470_000).await;
            number += u8::from(stored.is_ok());
            assert!(number < 200, "{stored:?}");
            first.on_tick();
            rt::sleep_until(rt::now() + SHARD_TICK_SPAN / 100).await;
        }
        until(&first, "listed", || shown(&site).len() == usize::from(number)).await;
        let before = shown(&site);
        drop(first);
        assert!(storage.flush(PATIENCE));

        let site = channel_site(dir.path());
        let mut owner = owner_of_newest(&site, &storage);
        assert!(site.live.is_filling.load(Ordering::Acquire) && shown(&site).len() < before.len());
        for next in [1, 0, 1] {
            let tenure = owner.pass_to(next).expect("nobody else owns it");
            owner = successor_of_newest(&site, &storage, tenure).await;
        }
        assert_eq!(push(&owner, number).await, Ok(Committed::Stored), "encoders are not held up");
        let is_full = || !site.live.is_filling.load(Ordering::Acquire);
        until(&owner, "all is read", || is_full() && shown(&site).len() > before.len()).await;
        assert_eq!(shown(&site)[..before.len()], before);
    });
}

#[test]
fn copies_are_told_apart() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = channel_site(dir.path());
        let owner = owner(&site, &storage);
        begin(&owner, 3).await;
        assert_eq!(push(&owner, 2).await, Ok(Committed::Duplicate));
        let mut other = segment(2);
        other.tracks[0].payload[0] ^= 1;
        let came = owner.commit(InputNumber::ONE, &name(2), other, 38_000).await;
        assert_eq!(came, Ok(Committed::Overwritten), "under the name that is listed");
    });
}

#[test]
fn twins_use_the_ring_once() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = channel_site(dir.path());
        let owner = owner(&site, &storage);
        begin(&owner, 3).await;
        let twin = owner.on_playlist(InputNumber::TWO, "channel.m3u8", &playlist(250)).await;
        assert_eq!(twin, Ok(()));
        let orders = [(InputNumber::ONE, InputNumber::TWO), (InputNumber::TWO, InputNumber::ONE)];
        for (number, (first, second)) in (3..).zip(orders) {
            let push = async |input| {
                let body = segment_of(number, 8_000);
                owner.commit(input, &name(number), body, 760_000).await
            };
            assert_eq!(push(first).await, Ok(Committed::Stored), "{number}");
            let used = owner.inner.borrow().ring.fill().bytes_used;
            assert_eq!(push(second).await, Ok(Committed::Duplicate), "{number}");
            until(&owner, "listed", || shown(&site).len() == usize::from(number) + 1).await;
            assert_eq!(push(second).await, Ok(Committed::Duplicate), "{number} once listed");
            let grown = owner.inner.borrow().ring.fill().bytes_used - used;
            assert!(grown < 100_000, "{number}: {grown} bytes more");
        }
    });
}

#[test]
fn a_ring_turns_over_while_old_responses_are_held() {
    on_a_shard(async |storage| {
        let dir = tempfile::tempdir().expect("a directory");
        let site = channel_site(dir.path());
        let owner = owner(&site, &storage);
        begin(&owner, 3).await;
        let (held, oldest) = (site.live.published.load().files.to_vec(), shown(&site)[0].0);
        let is_gone = || {
            let files = Arc::clone(&site.live.published.load().files);
            files.first().is_some_and(|first| first.sequence() > held[0].sequence())
        };
        let mut number = 3;
        while !is_gone() {
            let (name, body) = (name(number), segment_of(number, 5_000));
            let stored = owner.commit(InputNumber::ONE, &name, body, 470_000).await;
            let refused = Err(Uncommitted::Refused(Refused::Busy));
            assert!(stored == Ok(Committed::Stored) || stored == refused, "{stored:?}");
            number += u8::from(stored.is_ok());
            owner.on_tick();
            rt::sleep_until(rt::now() + SHARD_TICK_SPAN / 100).await;
            assert!(number < 200, "{:?}", owner.inner.borrow().ring.fill());
        }
        until(&owner, "listed", || shown(&site).last().is_some_and(|it| it.1)).await;
        assert!(shown(&site)[0].0 > oldest, "what lay in the file is not listed any more");
        assert!(held[0].read_at(0, &mut [0; 8]).is_ok(), "who holds it still has it");
    });
}

#[test]
fn a_record_takes_as_many_changes_as_its_header_may_hold() {
    let top = crate::engine::channel::source::SourceTop {
        name: Some("x".repeat(100_000)),
        ..Default::default()
    };
    let large = Change::Source(InputNumber::ONE, top);
    let mut unwritten: VecDeque<Change> = std::iter::repeat_n(large, 20).collect();
    unwritten.extend((0..2_000).map(|at| Change::Ended(at % 2 == 0)));
    let mut taken = Vec::new();
    let all = unwritten.clone();
    while !unwritten.is_empty() {
        let changes = batch(&unwritten);
        let size = postcard::to_stdvec(&(u64::MAX, &changes)).expect("plain data").len();
        assert!(!changes.is_empty() && size <= crate::limits::RING_HEADER_SIZE_MAX);
        assert!(changes.len() <= CHANGE_BATCH_COUNT_MAX);
        unwritten.drain(..changes.len());
        taken.extend(changes);
    }
    assert_eq!(VecDeque::from(taken), all);
}
