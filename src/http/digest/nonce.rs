//! Nonces that the server need not remember (RFC 7616 §3.3): issue time, serial number and a
//! keyed checksum of both, in hexadecimal.

use crate::http::request::hex_value;
use crate::limits::CHALLENGE_VALUE_SIZE_MAX;
use crate::units::WallClock;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

/// Bytes of the issue time (microseconds since 1970, big-endian) and of the serial.
const STAMP_SIZE: usize = 16;
/// Bytes kept of the checksum: 128 bits are beyond guessing online.
const TAG_SIZE: usize = 16;

const _: () = assert!(2 * (STAMP_SIZE + TAG_SIZE) <= CHALLENGE_VALUE_SIZE_MAX);

/// What a nonce says, once its checksum is known to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nonce {
    /// When it was issued.
    pub issued: WallClock,
    /// Tells apart nonces of one instant.
    pub serial: u64,
}

impl Nonce {
    /// Whether `now` is within `lifetime` of the issue, either way: the clocks of two nodes that
    /// share keys may differ.
    #[must_use]
    pub fn is_fresh(self, now: WallClock, lifetime: Duration) -> bool {
        Duration::from_micros(now.0.abs_diff(self.issued.0)) <= lifetime
    }
}

/// The keys that nonces and the opaque value are made with. Whoever shares the secret, be it
/// another shard, another node or the next process, accepts the same nonces.
#[derive(Clone)]
pub struct NonceKeys {
    mac: Hmac<Sha256>,
    opaque: String,
}

impl fmt::Debug for NonceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceKeys").finish_non_exhaustive()
    }
}

impl NonceKeys {
    /// Keys made from a secret of 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret)
            .expect("HMAC takes a key of any length");
        let tag = mac.clone().chain_update(b"opaque").finalize().into_bytes();
        Self { mac, opaque: hex(&tag[..TAG_SIZE]) }
    }

    /// The opaque value of every challenge (RFC 7616 §3.3): 32 hexadecimal digits.
    #[must_use]
    pub fn opaque(&self) -> &str {
        &self.opaque
    }

    /// The text of a nonce: 64 hexadecimal digits. No two calls may give the same time and serial.
    #[must_use]
    pub fn issue(&self, nonce: Nonce) -> String {
        let mut bytes = [0; STAMP_SIZE + TAG_SIZE];
        bytes[..8].copy_from_slice(&nonce.issued.0.to_be_bytes());
        bytes[8..STAMP_SIZE].copy_from_slice(&nonce.serial.to_be_bytes());
        let tag = self.mac.clone().chain_update(&bytes[..STAMP_SIZE]).finalize().into_bytes();
        bytes[STAMP_SIZE..].copy_from_slice(&tag[..TAG_SIZE]);
        hex(&bytes)
    }

    /// Reads a nonce that these keys issued; `None` for any other text.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Nonce> {
        let bytes = parse_hex::<{ STAMP_SIZE + TAG_SIZE }>(text)?;
        let (stamp, tag) = bytes.split_at(STAMP_SIZE);
        self.mac.clone().chain_update(stamp).verify_truncated_left(tag).ok()?;
        Some(Nonce {
            issued: WallClock(i64::from_be_bytes(*bytes.first_chunk()?)),
            serial: u64::from_be_bytes(*stamp.last_chunk()?),
        })
    }
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Exactly `N` bytes from hexadecimal.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_value(*high)? << 4 | hex_value(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: Nonce = Nonce { issued: WallClock(1_700_000_000_000_000), serial: 7 };

    #[test]
    fn a_nonce_is_fresh_for_its_lifetime() {
        let lifetime = Duration::from_mins(5);
        for (micros, fresh) in [(0, true), (300_000_000, true), (300_000_001, false)] {
            assert_eq!(NONCE.is_fresh(WallClock(NONCE.issued.0 + micros), lifetime), fresh);
            assert_eq!(NONCE.is_fresh(WallClock(NONCE.issued.0 - micros), lifetime), fresh);
        }
        let extreme = Nonce { issued: WallClock(i64::MIN), serial: 0 };
        assert!(!extreme.is_fresh(WallClock(i64::MAX), lifetime));
    }

    #[test]
    fn only_the_same_secret_reads_a_nonce() {
        let keys = NonceKeys::new(&[1; 32]);
        let text = keys.issue(NONCE);
        assert_eq!(text.len(), 64);
        assert_eq!(NonceKeys::new(&[1; 32]).read(&text), Some(NONCE));
        assert_eq!(NonceKeys::new(&[2; 32]).read(&text), None);
        assert_eq!(keys.read(&format!("{text}00")), None);
        assert_ne!(keys.opaque(), NonceKeys::new(&[2; 32]).opaque());
        assert!(!format!("{keys:?}").contains(keys.opaque()));
    }

    proptest! {
        #[test]
        fn nonces_survive_the_round_trip_and_no_change(
            issued: i64, serial: u64, at in 0_usize..64, digit in "[0-9a-f]",
        ) {
            let keys = NonceKeys::new(&[3; 32]);
            let nonce = Nonce { issued: WallClock(issued), serial };
            let mut text = keys.issue(nonce);
            prop_assert_eq!(keys.read(&text), Some(nonce));
            let before = text.clone();
            text.replace_range(at..=at, &digit);
            prop_assert_eq!(keys.read(&text).is_some(), text == before);
            prop_assert_eq!(keys.read(&text[1..]), None);
        }

        #[test]
        fn any_text_is_judged(text in "\\PC{0,140}") {
            prop_assert_eq!(NonceKeys::new(&[4; 32]).read(&text), None);
        }
    }
}
