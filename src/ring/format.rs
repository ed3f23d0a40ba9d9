//! The bytes of a ring file, apart from the opaque parts of its records.
//!
//! All integers are little-endian.
//!
//! | part | size | fields |
//! | --- | --- | --- |
//! | superblock, at 0 | 4096 | magic, versions, ring, key, number, size, epoch, boot, before, tag |
//! | record, at a multiple of 64 | | head, header, table, payload, padding, trailer |
//! | head | 64 | magic, kind, rest of the group, three sizes, sequence, offset, epoch, tag |
//! | trailer | 64 | magic, content hash, tag |
//! | index, before the footer | | of each record: head, content hash, header if it is short |
//! | footer, the last | 64 | magic, sequence, end of the records, index's size and hash, tag |
//!
//! `before` is the number of the file before it, and where that one's records end.
//!
//! Tags are HMAC-SHA-256 (RFC 2104) cut to 16 bytes, under a random key that never leaves the
//! ring: media that imitates records is not taken for one. The head's tag makes its sizes known
//! to be right before they are used; the trailer's tag covers head, header and the content hash,
//! so that a header is verified without reading the payload. The content hash is XXH3-128 of
//! table and payload.
//!
//! The trailer is written when everything before it is, and index and footer when the file has
//! been synced and no record will follow.
//!
//! A file that could not be synced has [`Stranded`] in the place of its footer: magic, sequence,
//! boot, end of the records that count, tag.
//!
//! Version 1 has neither groups nor an index; its footer is magic, sequence, end and tag.

use crate::units::{ContentHash, Extent};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

mod stranded;

pub use stranded::Stranded;

/// [`SUPERBLOCK_SIZE`], as the size of a buffer.
pub const SUPERBLOCK_BYTES: usize = 4096;
/// [`HEAD_SIZE`], as the size of a buffer.
pub const HEAD_BYTES: usize = 64;
/// [`TRAILER_SIZE`], as the size of a buffer.
pub const TRAILER_BYTES: usize = 64;
/// [`FOOTER_SIZE`], as the size of a buffer.
pub const FOOTER_BYTES: usize = 64;
/// Bytes of the superblock: a page, so that records don't share one with it.
pub const SUPERBLOCK_SIZE: u64 = SUPERBLOCK_BYTES as u64;
/// Bytes of a record's head.
pub const HEAD_SIZE: u64 = HEAD_BYTES as u64;
/// Bytes of a record's trailer.
pub const TRAILER_SIZE: u64 = TRAILER_BYTES as u64;
/// Bytes of the footer.
pub const FOOTER_SIZE: u64 = FOOTER_BYTES as u64;
/// Records begin at multiples of this: a cache line, and the step of a search for records.
pub const RECORD_ALIGNMENT: u64 = RECORD_STEP as u64;
/// [`RECORD_ALIGNMENT`], as an index step.
pub const RECORD_STEP: usize = 64;
/// Bytes of a record beyond its three parts.
pub const RECORD_OVERHEAD_MAX: u64 = HEAD_SIZE + RECORD_ALIGNMENT - 1 + TRAILER_SIZE;

/// The layout of files described here; a larger number is refused.
pub const FORMAT_VERSION: u32 = 2;
/// Bytes of a record's entry in the index beyond its header: head and content hash.
pub const INDEX_ENTRY_BYTES: usize = HEAD_BYTES + 16;
/// Bytes of the longest header that the index repeats; longer ones, of states as a rule, are read
/// from their record.
pub const INDEXED_HEADER_BYTES: usize = 4096;
/// Bytes of the largest entry of the index.
pub const INDEX_ENTRY_SIZE_MAX: u64 = (INDEX_ENTRY_BYTES + INDEXED_HEADER_BYTES) as u64;

const SUPERBLOCK_MAGIC: [u8; 8] = *b"HEADRING";
/// What a record's head begins with.
pub const HEAD_MAGIC: [u8; 8] = *b"HWrecord";
const TRAILER_MAGIC: [u8; 8] = *b"HWstored";
const FOOTER_MAGIC: [u8; 8] = *b"HWindexd";
const FOOTER_MAGIC_1: [u8; 8] = *b"HWsealed";

const TAG_SIZE: usize = 16;
type Tag = [u8; TAG_SIZE];

/// Which start of the machine this is: what was written since is in the page cache or on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// The running kernel's.
    ///
    /// # Errors
    ///
    /// If `/proc` doesn't give it.
    pub fn current() -> std::io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        u128::from_str_radix(&digits, 16)
            .map(|value| Self(value.to_be_bytes()))
            .map_err(|_| std::io::ErrorKind::InvalidData.into())
    }
}

/// Who a ring is, and what its tags are made with; the same in all of its files.
#[derive(Clone)]
pub struct Identity {
    /// Random name, which tells a file of another ring from one of this.
    pub ring: [u8; 16],
    key: [u8; 32],
    keyed: Hmac<Sha256>,
}

impl Identity {
    /// A ring that there hasn't been.
    ///
    /// # Errors
    ///
    /// If the kernel has no randomness.
    pub fn fresh() -> Result<Self, getrandom::Error> {
        let mut ring = [0; 16];
        let mut key = [0; 32];
        getrandom::fill(&mut ring)?;
        getrandom::fill(&mut key)?;
        Ok(Self::new(ring, key))
    }

    fn new(ring: [u8; 16], key: [u8; 32]) -> Self {
        let keyed = Hmac::new_from_slice(&key).expect("HMAC takes keys of every length");
        Self { ring, key, keyed }
    }

    fn tag(&self, label: [u8; 8], parts: &[&[u8]]) -> Tag {
        let mut keyed = self.keyed.clone();
        keyed.update(&label);
        for part in parts {
            keyed.update(part);
        }
        let mut tag = [0; TAG_SIZE];
        tag.copy_from_slice(&keyed.finalize().into_bytes()[..TAG_SIZE]);
        tag
    }
}

/// Reads fields off a block of known size, one after another.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) =
            self.0.split_first_chunk().expect("blocks are longer than their fields");
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// Puts fields into a block one after another.
fn write_fields(block: &mut [u8], fields: &[&[u8]]) {
    let mut at = 0;
    for field in fields {
        block[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
}

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Layout of the file, up to [`FORMAT_VERSION`].
    pub version: u32,
    /// What its records' headers are, see [`RingConfig`](crate::ring::RingConfig).
    pub content_version: u32,
    /// Number of the file in its ring.
    pub sequence: u64,
    /// Bytes of the file.
    pub size: u64,
    /// The owner's epoch when it was begun.
    pub epoch: u64,
    /// The machine's start in which it was begun.
    pub boot: BootId,
    /// Which file came before it and where that one's records end: what an owner that had been
    /// replaced wrote beyond is no part of the ring. `None` in a ring's first file.
    pub predecessor: Option<FileEnd>,
}

/// Where the records of a file end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileEnd {
    /// Number of the file.
    pub sequence: u64,
    /// Offset of its last record's end in bytes.
    pub end: u64,
}

/// What a superblock's bytes turn out to be.
pub enum ParsedSuperblock {
    /// A ring file of this or an older format.
    Ring(Box<Identity>, Superblock),
    /// Nothing was written: a spare.
    Blank,
    /// A ring file of a format that is not known here.
    Newer(u32),
    /// Torn, overwritten, or no ring file.
    Damaged,
}

const SUPERBLOCK_FIELDS: usize = 8 + 4 + 4 + 16 + 32 + 8 + 8 + 8 + 16 + 8 + 8;
/// The same in version 1, which had no predecessor.
const SUPERBLOCK_FIELDS_1: usize = SUPERBLOCK_FIELDS - 16;

const fn fields_size(version: u32) -> usize {
    if version > 1 { SUPERBLOCK_FIELDS } else { SUPERBLOCK_FIELDS_1 }
}

impl Superblock {
    /// The block to write at the file's start.
    pub fn to_bytes(self, identity: &Identity) -> Vec<u8> {
        let mut block = vec![0; SUPERBLOCK_BYTES];
        let before = self.predecessor.unwrap_or(FileEnd { sequence: 0, end: 0 });
        write_fields(
            &mut block,
            &[
                &SUPERBLOCK_MAGIC,
                &self.version.to_le_bytes(),
                &self.content_version.to_le_bytes(),
                &identity.ring,
                &identity.key,
                &self.sequence.to_le_bytes(),
                &self.size.to_le_bytes(),
                &self.epoch.to_le_bytes(),
                &self.boot.0,
                &before.sequence.to_le_bytes(),
                &before.end.to_le_bytes(),
            ],
        );
        let size = fields_size(self.version);
        let tag = identity.tag(SUPERBLOCK_MAGIC, &[&block[..size]]);
        write_fields(&mut block[size..], &[&tag]);
        block
    }

    /// Reads a block back.
    pub fn parse(block: &[u8; SUPERBLOCK_BYTES]) -> ParsedSuperblock {
        if block.iter().all(|byte| *byte == 0) {
            return ParsedSuperblock::Blank;
        }
        let mut fields = Fields(block);
        if fields.take() != SUPERBLOCK_MAGIC {
            return ParsedSuperblock::Damaged;
        }
        let version = fields.u32();
        if version > FORMAT_VERSION {
            return ParsedSuperblock::Newer(version);
        }
        let content_version = fields.u32();
        let identity = Identity::new(fields.take(), fields.take());
        let mut superblock = Self {
            version,
            content_version,
            sequence: fields.u64(),
            size: fields.u64(),
            epoch: fields.u64(),
            boot: BootId(fields.take()),
            predecessor: None,
        };
        if version > 1 {
            let before = FileEnd { sequence: fields.u64(), end: fields.u64() };
            // Files are numbered from 1.
            superblock.predecessor = (before.sequence > 0).then_some(before);
        }
        let tag = identity.tag(SUPERBLOCK_MAGIC, &[&block[..fields_size(version)]]);
        if fields.take() != tag {
            return ParsedSuperblock::Damaged;
        }
        ParsedSuperblock::Ring(Box::new(identity), superblock)
    }
}

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// All that is needed to continue without older files; begins every file.
    State,
    /// A change of state since.
    Change,
    /// Media.
    Media,
}

impl RecordKind {
    /// True for [`Self::State`].
    #[must_use]
    pub const fn is_state(self) -> bool {
        matches!(self, Self::State)
    }

    const fn code(self) -> u8 {
        match self {
            Self::State => 1,
            Self::Change => 2,
            Self::Media => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::State),
            2 => Some(Self::Change),
            3 => Some(Self::Media),
            _ => None,
        }
    }
}

/// A record's first 64 bytes: where it is and how long its parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What kind of record it is.
    pub kind: RecordKind,
    /// Records right behind it without which it doesn't count: the rest of its group.
    pub following: u8,
    /// Bytes of the header.
    pub header_size: u32,
    /// Bytes of the table.
    pub table_size: u32,
    /// Bytes of the payload.
    pub payload_size: u32,
    /// Number of the file that it is in.
    pub sequence: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// The owner's epoch when it was appended.
    pub epoch: u64,
}

const HEAD_FIELDS: usize = HEAD_BYTES - TAG_SIZE;

impl Head {
    /// Offset of the header's first byte.
    pub const fn header_offset(&self) -> u64 {
        self.offset + HEAD_SIZE
    }

    /// Offset of the table's first byte.
    pub fn table_offset(&self) -> u64 {
        self.header_offset() + u64::from(self.header_size)
    }

    /// Offset of the payload's first byte.
    pub fn payload_offset(&self) -> u64 {
        self.table_offset() + u64::from(self.table_size)
    }

    /// Offset of the trailer.
    pub fn trailer_offset(&self) -> u64 {
        (self.payload_offset() + u64::from(self.payload_size)).next_multiple_of(RECORD_ALIGNMENT)
    }

    /// Offset of the next record.
    pub fn end(&self) -> u64 {
        self.trailer_offset() + TRAILER_SIZE
    }

    /// The bytes to write.
    pub fn to_bytes(self, identity: &Identity) -> [u8; HEAD_BYTES] {
        let mut block = [0; HEAD_BYTES];
        write_fields(
            &mut block,
            &[
                &HEAD_MAGIC,
                &[self.kind.code(), self.following, 0, 0],
                &self.header_size.to_le_bytes(),
                &self.table_size.to_le_bytes(),
                &self.payload_size.to_le_bytes(),
                &self.sequence.to_le_bytes(),
                &self.offset.to_le_bytes(),
                &self.epoch.to_le_bytes(),
            ],
        );
        let tag = identity.tag(HEAD_MAGIC, &[&block[..HEAD_FIELDS]]);
        write_fields(&mut block[HEAD_FIELDS..], &[&tag]);
        block
    }

    /// Reads bytes back; `None` unless this ring wrote them.
    pub fn parse(block: &[u8; HEAD_BYTES], identity: &Identity) -> Option<Self> {
        let tag = identity.tag(HEAD_MAGIC, &[&block[..HEAD_FIELDS]]);
        if block[HEAD_FIELDS..] != tag {
            return None;
        }
        Self::parse_trusted(block)
    }

    /// Reads bytes back that are known to be this ring's.
    pub fn parse_trusted(block: &[u8; HEAD_BYTES]) -> Option<Self> {
        let mut fields = Fields(block);
        if fields.take() != HEAD_MAGIC {
            return None;
        }
        let [kind, following, ..] = fields.take::<4>();
        Some(Self {
            kind: RecordKind::from_code(kind)?,
            following,
            header_size: fields.u32(),
            table_size: fields.u32(),
            payload_size: fields.u32(),
            sequence: fields.u64(),
            offset: fields.u64(),
            epoch: fields.u64(),
        })
    }
}

/// A record's table and payload, and what they must be: to be verified as they come in from a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The table.
    pub table: Extent,
    /// The payload.
    pub payload: Extent,
    /// As in [`Stored::hash`](crate::ring::Stored::hash).
    pub hash: u64,
}

const TRAILER_FIELDS: usize = 8 + 16;

/// The trailer of a record with this head and header.
pub fn trailer_bytes(
    head: &[u8; HEAD_BYTES],
    header: &[u8],
    content: ContentHash,
    identity: &Identity,
) -> [u8; TRAILER_BYTES] {
    let content = content.to_le_bytes();
    let tag = identity.tag(TRAILER_MAGIC, &[head, header, &content]);
    let mut block = [0; TRAILER_BYTES];
    write_fields(&mut block, &[&TRAILER_MAGIC, &content, &tag]);
    block
}

/// The content hash that a record's trailer states; `None` unless this ring wrote it for exactly
/// this head and header.
pub fn parse_trailer(
    block: &[u8; TRAILER_BYTES],
    head: &[u8; HEAD_BYTES],
    header: &[u8],
    identity: &Identity,
) -> Option<ContentHash> {
    let content = ContentHash::from_le_bytes(*block[8..TRAILER_FIELDS].first_chunk()?);
    (*block == trailer_bytes(head, header, content, identity)).then_some(content)
}

/// The index of a sealed file, one entry after another.
#[derive(Debug, Default)]
pub struct Index {
    bytes: Vec<u8>,
}

/// A record as the index has it.
pub struct IndexEntry<'a> {
    /// Its head.
    pub head: Head,
    /// What its trailer states.
    pub content: ContentHash,
    /// Its header; `None` where it is too long for the index.
    pub header: Option<&'a [u8]>,
}

impl Index {
    /// Bytes that the entry of a record with such a header takes.
    pub const fn entry_size(header_size: usize) -> u64 {
        let copied = if header_size > INDEXED_HEADER_BYTES { 0 } else { header_size };
        (INDEX_ENTRY_BYTES + copied) as u64
    }

    /// Adds a record.
    pub fn push(&mut self, head: &[u8; HEAD_BYTES], content: ContentHash, header: &[u8]) {
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(&content.to_le_bytes());
        if header.len() <= INDEXED_HEADER_BYTES {
            self.bytes.extend_from_slice(header);
        }
    }

    /// Bytes so far.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Index and footer of a file whose records end at `end`: its last bytes.
    pub fn into_file_end(self, sequence: u64, end: u64, identity: &Identity) -> Vec<u8> {
        let footer = Footer { end, index_size: self.bytes.len() as u64, index: hash(&self.bytes) };
        let mut bytes = self.bytes;
        bytes.extend_from_slice(&footer.to_bytes(sequence, identity));
        bytes
    }
}

/// The entries of an index that is known to be right; ends early where it is none of ours.
pub fn index_entries(mut bytes: &[u8]) -> impl Iterator<Item = IndexEntry<'_>> {
    std::iter::from_fn(move || {
        let (block, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let (content, rest) = rest.split_first_chunk()?;
        let head = Head::parse_trusted(block)?;
        let header_size = usize::try_from(head.header_size).ok()?;
        let is_copied = header_size <= INDEXED_HEADER_BYTES;
        let (header, rest) = rest.split_at_checked(if is_copied { header_size } else { 0 })?;
        bytes = rest;
        let content = ContentHash::from_le_bytes(*content);
        Some(IndexEntry { head, content, header: is_copied.then_some(header) })
    })
}

fn hash(bytes: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(bytes)
}

/// The last bytes of a sealed file: where its records end, and its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Where the records end.
    pub end: u64,
    /// Bytes of the index right before the footer; 0 where there is none.
    pub index_size: u64,
    index: u128,
}

impl Footer {
    fn to_bytes(self, sequence: u64, identity: &Identity) -> [u8; FOOTER_BYTES] {
        let (sequence, end) = (sequence.to_le_bytes(), self.end.to_le_bytes());
        let (size, index) = (self.index_size.to_le_bytes(), self.index.to_le_bytes());
        let tag = identity.tag(FOOTER_MAGIC, &[&sequence, &end, &size, &index]);
        let mut block = [0; FOOTER_BYTES];
        write_fields(&mut block, &[&FOOTER_MAGIC, &sequence, &end, &size, &index, &tag]);
        block
    }

    /// What a footer states; `None` unless this ring sealed that file.
    pub fn parse(block: &[u8; FOOTER_BYTES], sequence: u64, identity: &Identity) -> Option<Self> {
        let mut fields = Fields(block);
        if fields.take() == FOOTER_MAGIC_1 {
            let _sequence = fields.u64();
            let end = fields.u64();
            let is_ours = *block == footer_bytes_1(sequence, end, identity);
            return is_ours.then_some(Self { end, index_size: 0, index: hash(&[]) });
        }
        let _sequence = fields.u64();
        let (end, index_size) = (fields.u64(), fields.u64());
        let footer = Self { end, index_size, index: u128::from_le_bytes(fields.take()) };
        (*block == footer.to_bytes(sequence, identity)).then_some(footer)
    }

    /// True where these bytes are the index that was written with the footer.
    pub fn is_of(&self, index: &[u8]) -> bool {
        hash(index) == self.index
    }
}

/// The footer of a file of version 1 whose records end at `end`.
pub fn footer_bytes_1(sequence: u64, end: u64, identity: &Identity) -> [u8; FOOTER_BYTES] {
    let (sequence, end) = (sequence.to_le_bytes(), end.to_le_bytes());
    let tag = identity.tag(FOOTER_MAGIC_1, &[&sequence, &end]);
    let mut block = [0; FOOTER_BYTES];
    write_fields(&mut block, &[&FOOTER_MAGIC_1, &sequence, &end, &tag]);
    block
}
