//! What is found in a ring's folder when it is opened.
//!
//! A record counts where its trailer is right. In files that were written since the machine
//! started and in sealed ones that is enough; in others the payload is hashed as well, because a
//! power cut may have kept the trailer and lost the payload, and so may memory where a sync failed.
//! What is damaged is left out and
//! counted, and costs no other record: a right head says where the next record begins, and where
//! the head is wrong, the next right one is searched for. A group of records counts where all of
//! it was written.
//!
//! Nothing here changes a file, so that recovery interrupted at any point is begun again.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::limits::{RING_HEADER_SIZE_MAX, RING_TABLE_SIZE_MAX};
use crate::ring::error::RingError;
use crate::ring::file::RingFile;
use crate::ring::format::{
    BootId, FOOTER_BYTES, FOOTER_SIZE, FileEnd, Footer, HEAD_BYTES, HEAD_MAGIC, HEAD_SIZE, Head,
    Identity, Index, IndexEntry, ParsedSuperblock, RECORD_ALIGNMENT, RECORD_STEP, RecordKind,
    SUPERBLOCK_BYTES, SUPERBLOCK_SIZE, Stranded, Superblock, TRAILER_BYTES, TRAILER_SIZE,
    index_entries, parse_trailer,
};
use crate::ring::record::Location;
use crate::units::ContentHash;

/// Read at once where a record may begin: nearly all heads with their headers, and records without
/// a payload whole.
const HEAD_PIECE: usize = 1024;
/// Read at once when hashing and searching.
const PIECE: usize = 256 << 10;

/// A record found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredRecord {
    /// What it is for.
    pub kind: RecordKind,
    /// The opaque header as it was appended.
    pub header: Vec<u8>,
    /// Where its parts are.
    pub location: Location,
    /// As in [`Stored`](crate::ring::Stored).
    pub hash: u64,
}

/// What was left out, as counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Records without a right trailer, as the last ones of a crash are.
    pub torn_records: u64,
    /// Records whose payload isn't what their trailer says.
    pub corrupt_records: u64,
    /// Files whose superblock was unreadable; they have been removed.
    pub lost_files: u64,
    /// Files that were shorter than they say.
    pub short_files: u64,
}

impl Damage {
    pub(super) fn add(&mut self, other: Self) {
        self.torn_records += other.torn_records;
        self.corrupt_records += other.corrupt_records;
        self.lost_files += other.lost_files;
        self.short_files += other.short_files;
    }
}

/// All that was found, or what was in the newest files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// In the order they were appended, from the oldest state record on.
    pub records: Vec<RecoveredRecord>,
    /// What was left out.
    pub damage: Damage,
    /// Number of the oldest file that was read; 0 where there is none.
    pub oldest_read: u64,
    /// Header of the state record that the oldest file begins with, where that file was not read.
    pub oldest_state: Option<Vec<u8>>,
}

/// A ring file found in the folder, and what it says about itself.
#[derive(Clone)]
pub(super) struct FoundFile {
    pub file: Arc<RingFile>,
    pub superblock: Superblock,
    /// Where its records end, by the file that came after it.
    pub end: Option<u64>,
}

/// A folder's files, before anything in it is changed.
#[derive(Default)]
pub(super) struct FoundFolder {
    /// Who the ring is; `None` where it has no file with records.
    pub identity: Option<Identity>,
    /// Files with records, oldest first.
    pub files: Vec<FoundFile>,
    /// Spares; after a power cut one may hold records without a superblock.
    pub blank: Vec<PathBuf>,
    /// Files that can't be read.
    pub damaged: Vec<PathBuf>,
    /// Files that an owner began who had been replaced: no part of the ring.
    pub stale: Vec<FoundFile>,
    /// The largest number of any of them.
    pub last_sequence: u64,
}

/// Looks at the files of a folder. Those of `known` are not opened again.
///
/// # Errors
///
/// Where a file is of a newer format or another ring, or the folder can't be read: then nothing
/// must be touched.
pub(super) fn survey(
    folder: &Path,
    content_version: u32,
    known: &[Arc<RingFile>],
) -> Result<FoundFolder, RingError> {
    let io = |error: std::io::Error| RingError::Io { path: folder.into(), kind: error.kind() };
    let mut sequences = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        sequences.extend(name.to_str().and_then(RingFile::sequence_of));
    }
    sequences.sort_unstable();
    let last_sequence = sequences.last().copied().unwrap_or(0);
    let mut found = FoundFolder { last_sequence, ..FoundFolder::default() };
    for sequence in sequences {
        let path = folder.join(RingFile::name(sequence));
        let known = known.iter().find(|file| file.sequence() == sequence);
        let (opened, block) = read_superblock(&path)
            .map_err(|error| RingError::Io { path: path.clone(), kind: error.kind() })?;
        match Superblock::parse(&block) {
            ParsedSuperblock::Blank => found.blank.push(path),
            ParsedSuperblock::Newer(version) => {
                return Err(RingError::NewerFormat { path, version });
            }
            ParsedSuperblock::Ring(_, Superblock { content_version: version, .. })
                if version > content_version =>
            {
                return Err(RingError::NewerFormat { path, version });
            }
            ParsedSuperblock::Ring(identity, superblock)
                if superblock.sequence == sequence
                    && superblock.size > SUPERBLOCK_SIZE + FOOTER_SIZE =>
            {
                let ring = found.identity.get_or_insert_with(|| (*identity).clone()).ring;
                if ring != identity.ring {
                    return Err(RingError::ForeignFile { path });
                }
                let file = known.map_or_else(
                    || Arc::new(RingFile::new(opened, path, sequence, superblock.size)),
                    Arc::clone,
                );
                found.files.push(FoundFile { file, superblock, end: None });
            }
            ParsedSuperblock::Ring(..) | ParsedSuperblock::Damaged => found.damaged.push(path),
        }
    }
    found.end_predecessors();
    Ok(found)
}

impl FoundFolder {
    /// Notes where files end that an owner left who had been replaced, and sorts out those that he
    /// began: each file says what came before it.
    fn end_predecessors(&mut self) {
        let mut at = self.files.len();
        while at > 0 {
            at -= 1;
            let Some(FileEnd { sequence, end }) = self.files[at].superblock.predecessor else {
                continue;
            };
            let first = self.files.partition_point(|file| file.superblock.sequence <= sequence);
            // A file never names itself or a later one.
            let first = first.min(at);
            self.stale.extend(self.files.drain(first..at));
            at = first;
            let before = first.checked_sub(1).map(|before| &mut self.files[before]);
            if let Some(before) = before.filter(|it| it.superblock.sequence == sequence) {
                before.end = Some(end);
            }
        }
    }
}

/// A file and its first page; a file shorter than that reads as zeros.
fn read_superblock(path: &Path) -> std::io::Result<(File, [u8; SUPERBLOCK_BYTES])> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut block = [0; SUPERBLOCK_BYTES];
    match file.read_exact_at(&mut block, 0) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        _ => Ok((file, block)),
    }
}

/// A record that was found, with all that its index entry says.
struct Found {
    head: Head,
    content: ContentHash,
    header: Vec<u8>,
}

impl From<Found> for RecoveredRecord {
    fn from(found: Found) -> Self {
        let Found { head, content, header } = found;
        Self { kind: head.kind, header, location: Location::from(&head), hash: content.low() }
    }
}

/// What one file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecords {
    /// Number of the file.
    pub file: u64,
    /// In the order they were appended.
    pub records: Vec<RecoveredRecord>,
    /// What was left out.
    pub damage: Damage,
    /// Where the last sound record ends, in bytes.
    pub(super) end: u64,
    /// Bytes that an index of them takes.
    pub(super) index_size: u64,
    pub(super) is_sealed: bool,
    /// It could not be synced in this start of the machine: what it holds is in memory at best.
    pub(super) is_stranded: bool,
}

impl FileRecords {
    /// True where nothing was left out.
    pub(super) fn is_sound(&self) -> bool {
        self.damage == Damage::default()
    }

    /// True where it begins as every file does.
    pub(super) fn begins_with_state(&self) -> bool {
        self.records.first().is_some_and(|first| first.kind.is_state())
    }
}

/// Reads the records of one file: from its index where it has one, else from place to place.
pub(super) fn read_records(found: &FoundFile, identity: &Identity, boot: BootId) -> FileRecords {
    let FoundFile { file, superblock, end } = found;
    let mut block = [0; FOOTER_BYTES];
    let is_read = file.read_at(file.footer_offset(), &mut block).is_ok();
    let footer = Footer::parse(&block, file.sequence(), identity).filter(|_| is_read);
    let stranded = Stranded::parse(&block, file.sequence(), identity);
    let stranded = stranded.filter(|stranded| is_read && stranded.boot == boot);
    let ends = [footer.map(|footer| footer.end), *end, stranded.map(|it| it.kept_end)];
    let mut reader = Reader {
        file,
        identity,
        limit: ends.into_iter().flatten().fold(file.footer_offset(), u64::min),
        verifies: footer.is_none() && (superblock.boot != boot || stranded.is_some()),
        damage: Damage::default(),
        end: SUPERBLOCK_SIZE,
    };
    if !file.is_whole() {
        reader.damage.short_files += 1;
    }
    let indexed = footer.and_then(|footer| reader.read_index(&footer));
    let records = indexed.unwrap_or_else(|| reader.scan());
    let index_size = records.iter().map(|found| Index::entry_size(found.header.len())).sum();
    FileRecords {
        file: file.sequence(),
        index_size,
        records: records.into_iter().map(RecoveredRecord::from).collect(),
        damage: reader.damage,
        end: reader.end,
        is_sealed: footer.is_some(),
        is_stranded: stranded.is_some(),
    }
}

/// The header of the state record that a file begins with.
pub(super) fn read_first_state(found: &FoundFile, identity: &Identity) -> Option<Vec<u8>> {
    let FoundFile { file, .. } = found;
    let damage = Damage::default();
    let limit = file.footer_offset();
    let reader = Reader { file, identity, limit, verifies: false, damage, end: SUPERBLOCK_SIZE };
    match reader.read_record(SUPERBLOCK_SIZE) {
        Slot::Record(Found { head, header, .. }) if head.kind.is_state() => Some(header),
        _ => None,
    }
}

/// The index of a file whose records end at `end`, from what is in it.
pub(super) fn read_for_index(file: &RingFile, identity: &Identity, end: u64) -> Index {
    let damage = Damage::default();
    let mut reader =
        Reader { file, identity, limit: end, verifies: false, damage, end: SUPERBLOCK_SIZE };
    let mut index = Index::default();
    for Found { head, content, header } in reader.scan() {
        index.push(&head.to_bytes(identity), content, &header);
    }
    index
}

/// What is at an offset where a record could begin.
enum Slot {
    Record(Found),
    Torn(Head),
    Corrupt(Head),
    Unknown { blank: bool },
}

struct Reader<'a> {
    file: &'a RingFile,
    identity: &'a Identity,
    /// Where records end at the latest.
    limit: u64,
    /// Whether payloads are hashed.
    verifies: bool,
    /// What was left out so far.
    damage: Damage,
    /// Where the last sound record ends.
    end: u64,
}

/// Records of a group that were found so far.
struct Group {
    /// Where they begin among the records found.
    start: usize,
    /// How many are still to come.
    left: u8,
}

impl Reader<'_> {
    /// The records that the index names; `None` where it isn't the one that was written.
    fn read_index(&mut self, footer: &Footer) -> Option<Vec<Found>> {
        let offset = self.file.footer_offset().checked_sub(footer.index_size)?;
        if footer.index_size == 0 || offset < footer.end {
            return None;
        }
        let mut index = vec![0; usize::try_from(footer.index_size).ok()?];
        self.file.read_at(offset, &mut index).ok()?;
        if !footer.is_of(&index) {
            return None;
        }
        let mut records = Vec::new();
        for entry in index_entries(&index) {
            let IndexEntry { head, content, header } = entry;
            if head.end() > self.limit {
                continue;
            }
            if let Some(header) = header {
                records.push(Found { head, content, header: header.to_vec() });
                continue;
            }
            match self.read_record(head.offset) {
                Slot::Record(found) => records.push(found),
                _ => self.damage.torn_records += 1,
            }
        }
        self.end = footer.end;
        Some(records)
    }

    /// The records from place to place.
    fn scan(&mut self) -> Vec<Found> {
        let mut records = Vec::new();
        let mut group: Option<Group> = None;
        let mut at = SUPERBLOCK_SIZE;
        let mut is_searching = false;
        while at + HEAD_SIZE + TRAILER_SIZE <= self.limit {
            let slot = self.read_record(at);
            let head = match &slot {
                Slot::Record(Found { head, .. }) | Slot::Torn(head) | Slot::Corrupt(head) => *head,
                Slot::Unknown { blank } => {
                    let next = self.find_head(at + RECORD_ALIGNMENT);
                    let is_torn = !blank || next < self.limit;
                    self.damage.torn_records += u64::from(is_torn && !is_searching);
                    is_searching = true;
                    self.drop_group(&mut group, &mut records);
                    at = next;
                    continue;
                }
            };
            is_searching = false;
            at = head.end();
            if group
                .as_ref()
                .is_some_and(|group| u16::from(group.left) != u16::from(head.following) + 1)
            {
                self.drop_group(&mut group, &mut records);
            }
            let start = group.take().map_or(records.len(), |group| group.start);
            group = (head.following > 0).then_some(Group { start, left: head.following });
            match slot {
                Slot::Record(found) => records.push(found),
                // It was whole once: its group is.
                Slot::Corrupt(_) => self.damage.corrupt_records += 1,
                Slot::Torn(_) | Slot::Unknown { .. } => {
                    self.damage.torn_records += 1;
                    group = Some(Group { start, left: 0 });
                    self.drop_group(&mut group, &mut records);
                }
            }
        }
        self.drop_group(&mut group, &mut records);
        self.end = records.last().map_or(SUPERBLOCK_SIZE, |found| found.head.end());
        records
    }

    /// Leaves out the records of a group that is not whole.
    fn drop_group(&mut self, group: &mut Option<Group>, records: &mut Vec<Found>) {
        if let Some(Group { start, .. }) = group.take() {
            self.damage.torn_records += (records.len() - start) as u64;
            records.truncate(start);
        }
    }

    fn read_record(&self, at: u64) -> Slot {
        let mut piece = [0; HEAD_PIECE];
        let read = self.file.read_up_to(at, &mut piece).unwrap_or(0);
        let piece = &piece[..read];
        let Some(&block) = piece.first_chunk::<HEAD_BYTES>() else {
            self.file.mark_lost();
            return Slot::Unknown { blank: false };
        };
        let Some(head) = Head::parse(&block, self.identity).filter(|head| self.is_here(head, at))
        else {
            return Slot::Unknown { blank: block.iter().all(|byte| *byte == 0) };
        };
        let take = |offset: u64, part: &mut [u8]| {
            let from = usize::try_from(offset - at).unwrap_or(usize::MAX);
            match piece.get(from..).and_then(|rest| rest.get(..part.len())) {
                Some(read) => {
                    part.copy_from_slice(read);
                    Ok(())
                }
                None => self.file.read_at(offset, part),
            }
        };
        let mut header = vec![0; head.header_size as usize];
        let mut trailer = [0; TRAILER_BYTES];
        let read = take(head.header_offset(), &mut header)
            .and_then(|()| take(head.trailer_offset(), &mut trailer));
        let content = parse_trailer(&trailer, &block, &header, self.identity);
        let (Ok(()), Some(content)) = (read, content) else { return Slot::Torn(head) };
        if self.verifies && self.hash_content(&head).is_none_or(|found| found != content) {
            return Slot::Corrupt(head);
        }
        Slot::Record(Found { head, content, header })
    }

    fn is_here(&self, head: &Head, at: u64) -> bool {
        head.offset == at
            && head.sequence == self.file.sequence()
            && head.header_size as usize <= RING_HEADER_SIZE_MAX
            && head.table_size as usize <= RING_TABLE_SIZE_MAX
            && head.end() <= self.limit
    }

    /// Hashes table and payload; `None` where they can't be read.
    fn hash_content(&self, head: &Head) -> Option<ContentHash> {
        let mut hasher = Xxh3::new();
        let mut buffer = vec![0; PIECE];
        let mut at = head.table_offset();
        let end = head.payload_offset() + u64::from(head.payload_size);
        while at < end {
            let piece = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
            self.file.read_at(at, &mut buffer[..piece]).ok()?;
            hasher.update(&buffer[..piece]);
            at += piece as u64;
        }
        Some(ContentHash::from_hasher(&hasher))
    }

    /// The next offset from `from` on where a head seems to be; the limit where there is none.
    fn find_head(&self, from: u64) -> u64 {
        let mut buffer = vec![0; PIECE];
        let mut at = from;
        // Most of a file that isn't full was never written to.
        while let Some(data) = self.file.next_data(at).filter(|data| *data < self.limit) {
            at = at.max(data - data % RECORD_ALIGNMENT);
            let piece = usize::try_from(self.limit - at).map_or(PIECE, |left| left.min(PIECE));
            if self.file.read_at(at, &mut buffer[..piece]).is_ok() {
                let mut blocks = buffer[..piece].chunks(RECORD_STEP);
                if let Some(index) = blocks.position(|block| block.starts_with(&HEAD_MAGIC)) {
                    return at + (index * RECORD_STEP) as u64;
                }
            }
            at += piece as u64;
        }
        self.limit
    }
}
