//! However a history lies in files, reading it from its end gives what reading it from its
//! beginning does.

use super::*;
use crate::engine::channel::state::{Session, TrackState};
use crate::engine::channel::{Recovery, tests::audio};
use crate::engine::codec::TrackKind;
use crate::engine::presentation::{Flaws, Grid, MediaRef, TrackInfo};
use crate::units::InputNumber;
use proptest::prelude::*;

const TRACKS: [TrackId; 2] = [TrackId(1), TrackId(2)];

fn track(id: TrackId) -> Change {
    let info = TrackInfo {
        id,
        name: format!("a{}", id.0),
        kind: TrackKind::Audio,
        config: audio(),
        language: None,
        label: None,
        default: false,
        autoselect: false,
        forced: false,
        characteristics: None,
        bandwidth: 1,
        average_bandwidth: 1,
        frame_rate: (0, 0),
        audio_group: None,
    };
    Change::Track(TrackState {
        info,
        sources: Vec::new(),
        order: 0,
        cadence: 0,
        end: MediaTime(0),
        next_number: None,
        session: None,
        grid: None,
        init: None,
        discontinuity_count: 0,
    })
}

fn grid() -> Change {
    Change::Grid(Grid {
        id: 0,
        cadence: 0,
        session: 0,
        session_start: MediaTime(0),
        period: (180_000, 1),
        phase: MediaTime(0),
        first_number: 0,
        first_index: 0,
        last_number: None,
        breaks: false,
        joined_first: BTreeMap::new(),
    })
}

/// What happens to a channel.
#[derive(Clone, Debug)]
enum Step {
    /// A segment is listed; its media lies so many files back. `None` for a gap.
    List(usize, Option<u64>),
    /// Late media takes the place of the segment so many before a track's newest.
    Fill(usize, u64),
    /// A track begins anew.
    Anew(usize),
    /// Changes so far are written as one record.
    Write,
    /// A file begins, by media, with the state after all changes so far.
    Begin,
    /// The oldest file leaves the ring.
    Drop,
}

fn any_step() -> impl Strategy<Value = Step> {
    let track = 0..TRACKS.len();
    prop_oneof![
        12 => (track.clone(), prop::option::weighted(0.9, 0..2_u64)).prop_map(|(track, media)| {
            Step::List(track, media)
        }),
        2 => (track.clone(), 0..40_u64).prop_map(|(track, back)| Step::Fill(track, back)),
        1 => track.prop_map(Step::Anew),
        8 => Just(Step::Write),
        3 => Just(Step::Begin),
        1 => Just(Step::Drop),
    ]
}

/// A channel that decides, and the files that it writes.
struct Writer {
    /// What it has decided.
    live: Recovery,
    count: u64,
    unwritten: Vec<Change>,
    files: Vec<FileContent>,
    offset: u64,
}

impl Writer {
    fn new() -> Self {
        let mut writer = Self {
            live: Recovery::default(),
            count: 0,
            unwritten: Vec::new(),
            files: Vec::new(),
            offset: 0,
        };
        writer.begin();
        let session = Session { id: 0, shift: MediaTime(0), start: MediaTime(0) };
        for change in [Change::Session(session), grid(), track(TRACKS[0]), track(TRACKS[1])] {
            writer.decide(change);
        }
        writer.write();
        writer
    }

    fn decide(&mut self, change: Change) {
        self.live.on_change(&change);
        self.unwritten.push(change);
    }

    fn write(&mut self) {
        let changes = std::mem::take(&mut self.unwritten);
        let first = self.count;
        self.count += changes.len() as u64;
        self.files.last_mut().expect("begun").changes.push((first, changes));
    }

    fn begin(&mut self) {
        let count = self.count + self.unwritten.len() as u64;
        let state = Some((count, self.live.state().clone()));
        let file = self.files.last().map_or(1, |last| last.file + 1);
        self.files.push(FileContent { file, state, ..FileContent::default() });
    }

    fn media(&mut self, back: u64) -> MediaRef {
        let at = self.files.len() - 1;
        let at = at.saturating_sub(usize::try_from(back).expect("small"));
        let file = &mut self.files[at];
        self.offset += 1;
        let payload = Extent { file: file.file, offset: self.offset, size: 1 };
        file.payloads.insert(payload);
        MediaRef {
            decode_start: MediaTime(0),
            init: 0,
            table: payload,
            payload,
            sample_count: 1,
            hash: self.offset,
            input: InputNumber::ONE,
            flaws: Flaws::default(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::List(at, back) => {
                let id = TRACKS[*at];
                let number = self.live.state().track(id).and_then(|it| it.next_number);
                let number = number.unwrap_or(self.offset + 1_000);
                let media = back.map(|back| self.media(back));
                let at = |number: u64| MediaTime(i64::try_from(number).expect("small") * 180_000);
                let (start, end) = (at(number), at(number + 1));
                let listed = Listed { number, grid: 0, start, end, discontinuity: false, media };
                self.decide(Change::Listed(id, listed));
            }
            Step::Fill(at, back) => {
                let id = TRACKS[*at];
                let segments = self.live.windows().segments(id);
                let Some(position) = segments.and_then(|it| {
                    it.len().checked_sub(1 + usize::try_from(*back).expect("small"))
                }) else {
                    return;
                };
                let listed = segments.and_then(|it| it.get(position)).expect("held").clone();
                let media = Some(self.media(0));
                self.decide(Change::Filled(id, Listed { media, ..listed }));
            }
            Step::Anew(at) => self.decide(track(TRACKS[*at])),
            Step::Write => self.write(),
            Step::Begin => self.begin(),
            Step::Drop if self.files.len() > 2 => {
                let dropped = self.files.remove(0);
                self.live.on_file_dropped(dropped.file);
            }
            Step::Drop => {}
        }
    }
}

/// Reads the `newest` files as a start does.
fn read_newest(files: &[FileContent], newest: usize) -> (Recovery, Seam, usize) {
    let first = files.len() - newest.clamp(1, files.len());
    let (mut count, state) = files[first].state.clone().expect("files begin with it");
    let mut seam = Seam::before(&state, count);
    let mut recovery = Recovery::new(state);
    let records = files[first..].iter().flat_map(|file| &file.changes);
    for (number, change) in records.flat_map(|(first, changes)| (*first..).zip(changes)) {
        seam.on_change(number, change, recovery.windows());
        if number == count {
            recovery.on_change(change);
            count += 1;
        }
    }
    recovery.set_unread(&seam);
    let older = recovery.windows().payloads();
    let older: Vec<Extent> = older.filter(|it| it.file < files[first].file).collect();
    for payload in older {
        seam.await_payload(payload);
    }
    (recovery, seam, first)
}

/// What is listed of each track, from the first media on: gaps at the front say nothing, and may
/// outlive the file that they were listed in.
fn listed(recovery: &Recovery) -> Vec<Vec<Listed>> {
    let of = |id| recovery.windows().segments(id).into_iter().flat_map(|it| it.iter().cloned());
    let from_media = |id| of(id).skip_while(|listed| listed.media.is_none()).collect();
    TRACKS.into_iter().map(from_media).collect()
}

fn drop_before(recovery: &mut Recovery, files: &[FileContent]) {
    let oldest = files.first().expect("a ring has files").file;
    recovery.on_file_dropped(oldest - 1);
}

proptest! {
    #[test]
    fn reading_from_the_end_gives_what_reading_from_the_beginning_does(
        steps in prop::collection::vec(any_step(), 1..300),
        later in prop::collection::vec(any_step(), 0..30),
        newest in 1_usize..4,
    ) {
        let mut writer = Writer::new();
        for step in &steps {
            writer.take(step);
        }
        writer.write();
        let files = writer.files.clone();
        let (mut recovery, mut seam, first) = read_newest(&files, newest);
        let (state, mut windows) = writer.live.snapshot();
        if let Some(part) = seam.bridge(&windows.present(&state)) {
            let mut follower = recovery.clone();
            follower.on_older(Some(&part));
            drop_before(&mut follower, &files);
            prop_assert_eq!(listed(&follower), listed(&writer.live));
        }
        // The channel goes on meanwhile, with what follows.
        let mut later = later.iter();
        for content in files[..first].iter().rev() {
            if content.file < writer.files[0].file {
                break;
            }
            let part = seam.extend(content.clone()).expect("nothing is missing");
            prop_assert_eq!(&part.lost, &[]);
            recovery.on_older(Some(&part));
            seam = part.seam;
            // A gap is filled near the edge, which is always read.
            if let Some(step) = later.next().filter(|step| !matches!(step, Step::Fill(..))) {
                let before = writer.unwritten.len();
                writer.take(step);
                let decided: Vec<Change> =
                    writer.unwritten.get(before..).map(<[Change]>::to_vec).unwrap_or_default();
                for change in &decided {
                    recovery.on_change(change);
                }
            }
            drop_before(&mut recovery, &writer.files);
        }
        recovery.on_older(None);
        drop_before(&mut recovery, &writer.files);
        writer.write();
        let (mut whole, _, _) = read_newest(&writer.files, writer.files.len());
        whole.on_older(None);
        drop_before(&mut whole, &writer.files);
        prop_assert_eq!(listed(&recovery), listed(&whole));
        prop_assert_eq!(recovery.state(), writer.live.state());
    }
}

#[test]
fn a_file_whose_state_is_lost_is_read_by_its_changes() {
    let mut writer = Writer::new();
    for _ in 0..4 {
        for _ in 0..5 {
            writer.take(&Step::List(0, Some(0)));
        }
        writer.take(&Step::Write);
        writer.take(&Step::Begin);
    }
    let mut files = writer.files.clone();
    files[2].state = None;
    let (mut recovery, mut seam, first) = read_newest(&files, 1);
    for content in files[..first].iter().rev() {
        let part = seam.extend(content.clone()).expect("nothing is missing");
        recovery.on_older(Some(&part));
        seam = part.seam;
    }
    assert_eq!(listed(&recovery), listed(&writer.live));
}

#[test]
fn missing_changes_and_payloads_are_told() {
    let mut writer = Writer::new();
    for back in [0, 0, 1, 1] {
        writer.take(&Step::List(0, Some(back)));
        writer.take(&Step::Write);
        writer.take(&Step::List(1, Some(0)));
        writer.take(&Step::Write);
        writer.take(&Step::Begin);
    }
    let mut files = writer.files.clone();
    // What the last file but two holds is listed in it and in the next.
    let gone = std::mem::take(&mut files[2].payloads);
    let (_, seam, first) = read_newest(&files, 2);
    assert_eq!(first, 3);
    let mut lost = seam.clone().extend(files[2].clone()).expect("nothing is missing").lost;
    lost.sort_by_key(|payload| payload.offset);
    let mut expected: Vec<Extent> = gone.into_iter().collect();
    expected.sort_by_key(|payload| payload.offset);
    assert_eq!(lost, expected);

    let last = files[2].changes.last().expect("two records").0;
    files[2].changes.pop();
    let missing = seam.extend(files[2].clone()).unwrap_err();
    assert_eq!(missing, MissingChanges { file: 3, from: last, to: last + 1 });
}
