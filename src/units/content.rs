//! What names a piece of media: a hash of its bytes.

use xxhash_rust::xxh3::Xxh3;

/// XXH3-128 of a record's packed sample table and its payload. It tells copies apart that differ,
/// and shows what a disk has changed; it is no defence against a forger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHash(u128);

impl ContentHash {
    /// Hashes a record.
    #[must_use]
    pub fn of(table: &[u8], payload: &[u8]) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(table);
        hasher.update(payload);
        Self::from_hasher(&hasher)
    }

    /// Takes the hash that `hasher` has come to, fed with table and payload.
    #[must_use]
    pub fn from_hasher(hasher: &Xxh3) -> Self {
        Self(hasher.digest128())
    }

    /// As it is written to a ring.
    #[must_use]
    pub const fn to_le_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// As it was written to a ring.
    #[must_use]
    pub const fn from_le_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    /// The lower half, which names the content wherever it is spoken of.
    #[must_use]
    pub fn low(self) -> u64 {
        u64::try_from(self.0 & u128::from(u64::MAX)).expect("the lower half has 64 bits")
    }
}
