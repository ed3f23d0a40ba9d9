//! Disks as power cuts leave them, made from a log of a ring's writes.
//!
//! What was written since a file's last sync may be on the disk or not, page by page or sector by
//! sector, in any order; so may the length of a file that was never synced, and the removal of one.
//! From each such image the ring is opened: what was on the disk for certain is found byte for
//! byte, and nothing is found that was not appended.

use super::*;
use crate::ring::script::{Script, Step};
use crate::units::Extent;
use std::path::PathBuf;

/// Rings that are written, times `TEST_ROUNDS`, and images made of each.
const RINGS: u64 = 12;
const IMAGES: u64 = 10;
/// What disks write whole, and what the kernel does.
const UNITS: [usize; 2] = [512, 4096];

/// A small generator (xorshift64), so that an image is made again by its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A file as the log has it at some step.
#[derive(Default)]
struct LoggedFile {
    size: u64,
    /// What is on the disk for certain.
    durable: Vec<(u64, Vec<u8>)>,
    /// What was written since, or in a sync that failed: on the disk or not.
    floating: Vec<(u64, Vec<u8>)>,
    /// How much of that the sync under way covers.
    covered: usize,
    /// Floating for ever: a sync failed for it.
    given_up: usize,
    /// Its length is on the disk.
    is_synced: bool,
    is_unlinked: bool,
}

impl LoggedFile {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Made(_, size) => self.size = *size,
            Step::Written(_, offset, bytes) => self.floating.push((*offset, bytes.clone())),
            Step::SyncBegun(_) => self.covered = self.floating.len(),
            Step::Synced(_) => {
                self.durable.extend(self.floating.drain(self.given_up..self.covered));
                self.is_synced = true;
            }
            Step::SyncFailed(_) => self.given_up = self.covered,
            Step::Unlinked(_) => self.is_unlinked = true,
            Step::Noted(_) => {}
        }
    }

    fn is_begun(&self) -> bool {
        !self.durable.is_empty() || !self.floating.is_empty()
    }

    /// The bytes that a power cut leaves.
    fn image(&self, dice: &mut Dice) -> Vec<u8> {
        let unit = UNITS[dice.below(UNITS.len())];
        let mut bytes = vec![0; self.size as usize];
        for (offset, written) in &self.durable {
            bytes[*offset as usize..][..written.len()].copy_from_slice(written);
        }
        // Of those that touch a unit, as many as had been when it last went to the disk.
        let mut kept: BTreeMap<usize, usize> = BTreeMap::new();
        for (offset, written) in &self.floating {
            for at in (*offset as usize) / unit..=(*offset as usize + written.len() - 1) / unit {
                *kept.entry(at).or_default() += 1;
            }
        }
        let is_all = dice.below(4) == 0;
        for count in kept.values_mut().filter(|_| !is_all) {
            *count = dice.below(*count + 1);
        }
        for (offset, written) in &self.floating {
            let (mut at, end) = (*offset as usize, *offset as usize + written.len());
            while at < end {
                let next = ((at / unit + 1) * unit).min(end);
                let left = kept.get_mut(&(at / unit)).unwrap();
                if *left > 0 {
                    *left -= 1;
                    let from = at - *offset as usize;
                    bytes[at..next].copy_from_slice(&written[from..from + next - at]);
                }
                at = next;
            }
        }
        if !self.is_synced && dice.below(3) == 0 {
            let pages = bytes.len() / 4096;
            bytes.truncate(dice.below(pages + 1) * 4096);
        }
        bytes
    }
}

/// A ring that was written, step by step.
struct Log {
    steps: Vec<Step>,
    records: Vec<(Record, Location)>,
    /// Files that left the ring, and which ones were begun for that.
    drops: BTreeMap<u64, u64>,
    durability: Durability,
}

impl Log {
    fn written(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let durability = [Durability::Process, Durability::Strict][dice.below(2)];
        let dir = scratch();
        let script = Script::of(dir.path());
        let (mut ring, _) = open(&RingConfig { durability, ..config(dir.path(), 8) }, BOOT);
        let count = 5 + dice.below(120);
        let size_max = [1_000, 20_000, BODY_SIZE_MAX as usize][dice.below(3)];
        let (mut records, mut drops) = (Vec::new(), BTreeMap::new());
        for number in 0..count {
            if dice.below(40) == 0 {
                script.fail_syncs(1);
            }
            let record = media(number as u64, dice.below(size_max));
            let (placed, reply) = append_or_try(&mut ring, &record, &script);
            let began = placed.began_file.unwrap_or(0);
            drops.extend(placed.dropped_files.into_iter().map(|dropped| (dropped, began)));
            records.push((record, placed.location));
            if dice.below(3) == 0 {
                // A record that could not be synced counts as one that was not written.
                let _written_or_not = reply.recv_timeout(PATIENCE).unwrap();
            }
            if dice.below(8) == 0 {
                ring.sync();
            }
        }
        assert!(ring.storage.flush(PATIENCE));
        drop(ring);
        Self { steps: script.steps(), records, drops, durability }
    }

    /// The files as they are after so many steps.
    fn files(&self, steps: usize) -> BTreeMap<PathBuf, LoggedFile> {
        let mut files: BTreeMap<PathBuf, LoggedFile> = BTreeMap::new();
        for step in &self.steps[..steps] {
            let (Step::Made(path, _)
            | Step::Written(path, ..)
            | Step::SyncBegun(path)
            | Step::Synced(path)
            | Step::SyncFailed(path)
            | Step::Unlinked(path)) = step
            else {
                continue;
            };
            files.entry(path.clone()).or_default().take(step);
        }
        files
    }

    /// The numbers of the records that no power cut after so many steps may cost.
    fn certain(&self, steps: usize, files: &BTreeMap<PathBuf, LoggedFile>) -> Vec<usize> {
        let file = |number: u64| files.get(Path::new(&RingFile::name(number)));
        let is_begun = |number: &u64| file(*number).is_some_and(LoggedFile::is_begun);
        let is_certain = |number: &usize| {
            let sequence = self.records[*number].1.header.file;
            let is_gone = file(sequence).is_none_or(|file| file.is_unlinked)
                || self.drops.get(&sequence).is_some_and(is_begun);
            let is_durable = file(sequence).is_some_and(|file| self.is_durable(*number, file));
            let reported = Step::Noted(format!("reported {number}"));
            let is_promised =
                self.durability == Durability::Strict && self.steps[..steps].contains(&reported);
            assert!(is_gone || is_durable || !is_promised, "{number} was reported too early");
            is_durable && !is_gone
        };
        (0..self.records.len()).filter(is_certain).collect()
    }

    /// True where the last of a record's writes is on the disk, and with it all before it.
    fn is_durable(&self, number: usize, file: &LoggedFile) -> bool {
        let Extent { offset, size, .. } = self.records[number].1.payload;
        let trailer = (offset + u64::from(size)).next_multiple_of(64);
        file.durable.iter().any(|(offset, _)| *offset == trailer)
    }
}

/// Appends as soon as the ring takes the record, having it try a disk that has failed.
fn append_or_try(ring: &mut Ring, record: &Record, script: &Arc<Script>) -> (Placed, Reply) {
    let number = u64::from_le_bytes(*record.header.first_chunk().unwrap());
    let started = Instant::now();
    loop {
        let (sender, receiver) = channel();
        let of_done = Arc::clone(script);
        let done = move |result: Result<Stored, WriteError>| {
            if result.is_ok() {
                of_done.note(format!("reported {number}"));
            }
            drop(sender.send(result));
        };
        match ring.append(record.clone(), || b"state".to_vec(), done) {
            Ok(placed) => return (placed, receiver),
            Err(refused) => {
                assert!(matches!(refused, Refused::Busy | Refused::Failing), "{refused:?}");
                assert!(started.elapsed() < PATIENCE, "{:?}", ring.fill());
                ring.sync();
                std::thread::yield_now();
            }
        }
    }
}

/// Writes what is not zero of a file, as sparse as may be.
fn write_sparse(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().create_new(true).write(true).open(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (at, page) in bytes.chunks(4096).enumerate() {
        if page != &[0; 4096][..page.len()] {
            file.write_all_at(page, at as u64 * 4096).unwrap();
        }
    }
}

/// A folder in memory where there is such a place: what is synced there costs nothing.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

/// How much images tell.
#[derive(Debug, Default)]
struct Seen {
    certain: usize,
    lost: usize,
    damaged: usize,
}

/// Opens an image, twice, and checks what is found.
fn check_image(log: &Log, seed: u64, seen: &mut Seen) {
    let mut dice = Dice(seed);
    let steps = dice.below(log.steps.len() + 1);
    let files = log.files(steps);
    let dir = scratch();
    for (path, file) in &files {
        // The removal of a name is not synced.
        if !file.is_unlinked || dice.below(2) == 0 {
            write_sparse(&dir.path().join(path), &file.image(&mut dice));
        }
    }
    let config = config(dir.path(), 8);
    let (mut ring, recovered) = open(&config, NEXT_BOOT);
    let found = media_of(&ring, &recovered);
    let numbers = found.iter().map(|record| {
        let number = u64::from_le_bytes(*record.header.first_chunk().unwrap()) as usize;
        assert!(*record == log.records[number].0, "record {number} is not what was appended");
        number
    });
    let numbers: Vec<usize> = numbers.collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order and once: {numbers:?}");
    let certain = log.certain(steps, &files);
    for number in &certain {
        assert!(numbers.contains(number), "record {number} was on the disk: {numbers:?}");
    }
    seen.certain += certain.len();
    seen.lost += usize::from(numbers.len() < log.records.len());
    seen.damaged += usize::from(recovered.damage != Damage::default());
    let next = media(1 << 32, 1000);
    let dropped = store(&mut ring, &next).0.dropped_files;
    drop(ring);
    let stays = |number: &&usize| !dropped.contains(&log.records[**number].1.header.file);
    let kept = numbers.iter().filter(stays).map(|number| &log.records[*number].0);
    let (ring, recovered) = open(&config, NEXT_BOOT);
    assert!(media_of(&ring, &recovered).iter().eq(kept.chain([&next])));
}

#[test]
fn st_06_st_07_a_power_cut_keeps_what_was_synced_and_nothing_that_is_wrong() {
    let mut seen = Seen::default();
    let rounds = std::env::var("TEST_ROUNDS").map_or(1, |times| times.parse().unwrap());
    for ring in 0..RINGS * rounds {
        let log = Log::written(0x9e37_79b9 + ring);
        for image in 0..IMAGES {
            let seed = (ring + 1) << 32 | (image + 1);
            println!("ring {ring}, image {image}, seed {seed:#x}, {} steps", log.steps.len());
            check_image(&log, seed, &mut seen);
        }
    }
    println!("{seen:?}");
    assert!(seen.certain > 100 && seen.lost > 10 && seen.damaged > 10, "{seen:?}");
}
