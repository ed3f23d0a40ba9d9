//! Digest authentication of encoders (RFC 7616, `qop=auth`), by SHA-256 and MD5.
//!
//! Nonces are stateless, replays are caught by a window that all shards share, and an unknown
//! user costs the same time as a wrong password. Not offered: RFC 2069 digests without `qop`,
//! `auth-int`, session variants, user hashing. Slowing down guesses is the connection's business.

mod fields;
mod nonce;
mod replay;
#[cfg(test)]
mod tests;

pub use fields::{DigestFields, Protection, parse_authorization};
pub use nonce::{Nonce, NonceKeys};
pub use replay::{ReplayWindow, Replays};

use super::request::split_authority;
use crate::units::WallClock;
use fields::QOP;
use md5::Md5;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq};

/// How long a nonce may be used to begin with. On a connection that already used it, it does not
/// end: encoders with persistent connections give up at `stale=true`.
pub const NONCE_LIFETIME: Duration = Duration::from_mins(5);

/// A hash that digests are made with (RFC 7616 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// MD5, the only one that FFmpeg speaks.
    Md5,
}

impl Algorithm {
    const ALL: [Self; 2] = [Self::Sha256, Self::Md5];

    /// The name in a challenge.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// The algorithm of that name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    /// Hexadecimal digits of a hash.
    const fn hex_size(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Md5 => 32,
        }
    }

    /// The hash of `parts` joined by colons, in lower-case hexadecimal.
    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        match self {
            Self::Sha256 => nonce::hex(&Sha256::digest(text)),
            Self::Md5 => nonce::hex(&Md5::digest(text)),
        }
    }
}

/// What stands for a password: H(username:realm:password) by each algorithm (RFC 7616 §3.4.2).
#[derive(Clone, PartialEq, Eq)]
pub struct UserHashes {
    sha256: String,
    md5: String,
}

impl fmt::Debug for UserHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserHashes").finish_non_exhaustive()
    }
}

impl UserHashes {
    /// Hashes a user's password, once, when the configuration is read.
    #[must_use]
    pub fn new(username: &str, realm: &str, password: &str) -> Self {
        let hash = |algorithm: Algorithm| algorithm.hash(&[username, realm, password]);
        Self { sha256: hash(Algorithm::Sha256), md5: hash(Algorithm::Md5) }
    }

    fn by(&self, algorithm: Algorithm) -> &str {
        match algorithm {
            Algorithm::Sha256 => &self.sha256,
            Algorithm::Md5 => &self.md5,
        }
    }
}

/// What is offered to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestPolicy {
    /// The algorithms accepted, offered in this order. MD5 belongs last: FFmpeg takes the last
    /// challenge it reads.
    pub algorithms: Vec<Algorithm>,
    /// The realm, without quotes, backslashes or control characters.
    pub realm: String,
    /// How long a nonce may be used to begin with.
    pub nonce_lifetime: Duration,
}

/// An Authorization field that no challenge asked for; the reply is 400, but for
/// [`OtherScheme`](Self::OtherScheme).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// A scheme other than Digest: to be challenged as if there were no credentials.
    #[error("scheme is not Digest")]
    OtherScheme,
    /// Not a list of `name=value`.
    #[error("byte {offset}: expected name=value")]
    Syntax {
        /// Byte offset in the field's value.
        offset: usize,
    },
    /// A parameter given twice.
    #[error("parameter given twice")]
    Duplicate,
    /// More parameters than are read.
    #[error("more than {limit} parameters")]
    TooManyParameters {
        /// Parameters allowed.
        limit: usize,
    },
    /// A parameter that must stand does not.
    #[error("no {parameter}")]
    Missing {
        /// Its name.
        parameter: &'static str,
    },
    /// A parameter of a wrong form.
    #[error("malformed {parameter}")]
    Malformed {
        /// Its name.
        parameter: &'static str,
    },
    /// An algorithm that is never offered.
    #[error("unknown algorithm")]
    UnknownAlgorithm,
    /// The digest is for another target than the request is (RFC 7616 §3.4.6).
    #[error("uri is not the request's target")]
    UriMismatch,
}

/// The request that a digest is to cover, and when it came.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method's token.
    pub method: &'a str,
    /// The target as it stands in the request line.
    pub target: &'a str,
    /// Arrival.
    pub now: WallClock,
    /// The nonce that was last accepted on this connection, if any.
    pub connection_nonce: Option<&'a str>,
}

/// The judgement on a request's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The digest is right.
    Accept {
        /// Who sent it.
        username: String,
        /// To be handed in as the connection's nonce from now on.
        nonce: String,
    },
    /// 401 with fresh challenges.
    Challenge {
        /// The client knows the password and need only repeat the request with the new nonce.
        stale: bool,
    },
    /// 400.
    Refuse(DigestError),
}

/// Judges credentials and makes challenges; one for all shards.
#[derive(Debug)]
pub struct Authenticator {
    policy: DigestPolicy,
    keys: NonceKeys,
    replay: ReplayWindow,
    /// Stands in for users that do not exist, so that they cost the same time.
    nobody: UserHashes,
}

impl Authenticator {
    /// An authenticator that makes nonces with `secret`, which is random.
    ///
    /// # Panics
    ///
    /// If the policy's realm cannot be quoted: the configuration has checked it.
    #[must_use]
    pub fn new(policy: DigestPolicy, secret: &[u8; 32]) -> Self {
        let quotable = |c: char| !c.is_control() && c != '"' && c != '\\';
        assert!(policy.realm.chars().all(quotable), "realm {:?}", policy.realm);
        let nobody = UserHashes::new("", &policy.realm, "");
        Self { policy, keys: NonceKeys::new(secret), replay: ReplayWindow::default(), nobody }
    }

    /// The nonce counts used, which another process that makes nonces with the same secret must
    /// know.
    #[must_use]
    pub fn replay_window(&self) -> &ReplayWindow {
        &self.replay
    }

    /// The values of the WWW-Authenticate lines of a 401, one for each algorithm in the policy's
    /// order (RFC 7616 §3.3). No two calls may give the same nonce.
    #[must_use]
    pub fn challenges(&self, nonce: Nonce, stale: bool) -> Vec<String> {
        let nonce = self.keys.issue(nonce);
        let DigestPolicy { realm, algorithms, .. } = &self.policy;
        let opaque = self.keys.opaque();
        let stale = if stale { ", stale=true" } else { "" };
        let challenge = |algorithm: &Algorithm| {
            format!(
                "Digest realm=\"{realm}\", qop=\"{QOP}\", algorithm={}, nonce=\"{nonce}\", \
                 opaque=\"{opaque}\"{stale}",
                algorithm.as_str()
            )
        };
        algorithms.iter().map(challenge).collect()
    }

    /// Judges the Authorization field of a request; `lookup` knows the users by name.
    ///
    /// The digest comes first: only who knows the password is told that a nonce is stale, or
    /// takes room in the replay window.
    pub fn judge<'u>(
        &self,
        authorization: Option<&str>,
        request: &SignedRequest,
        lookup: impl FnOnce(&str) -> Option<&'u UserHashes>,
    ) -> Verdict {
        let Some(authorization) = authorization else {
            return Verdict::Challenge { stale: false };
        };
        match parse_authorization(authorization) {
            Ok(fields) => self.verify(fields, request, lookup),
            Err(DigestError::OtherScheme) => Verdict::Challenge { stale: false },
            Err(error) => Verdict::Refuse(error),
        }
    }

    fn verify<'u>(
        &self,
        fields: DigestFields,
        request: &SignedRequest,
        lookup: impl FnOnce(&str) -> Option<&'u UserHashes>,
    ) -> Verdict {
        if split_authority(&fields.uri).1 != split_authority(request.target).1 {
            return Verdict::Refuse(DigestError::UriMismatch);
        }
        let user = lookup(&fields.username);
        let offered =
            fields.realm == self.policy.realm && self.policy.algorithms.contains(&fields.algorithm);
        let protection = fields.protection.as_ref().filter(|p| offered && p.qop == QOP);
        let Some(protection) = protection else {
            return Verdict::Challenge { stale: false };
        };
        let hashes = user.unwrap_or(&self.nobody);
        let expected = expected_response(&fields, protection, request.method, hashes);
        let known = Choice::from(u8::from(user.is_some()));
        let right = expected.as_bytes().ct_eq(fields.response.as_bytes()) & known;
        if !bool::from(right) {
            return Verdict::Challenge { stale: false };
        }
        if !self.nonce_holds(&fields, protection.count, request) {
            return Verdict::Challenge { stale: true };
        }
        Verdict::Accept { username: fields.username, nonce: fields.nonce }
    }

    /// Whether a nonce that came with a right digest is ours, in its lifetime or in use on this
    /// connection, and its count new.
    fn nonce_holds(&self, fields: &DigestFields, count: u32, request: &SignedRequest) -> bool {
        let Some(nonce) = self.keys.read(&fields.nonce) else { return false };
        if fields.opaque.as_deref() != Some(self.keys.opaque()) {
            return false;
        }
        let in_use = request.connection_nonce == Some(fields.nonce.as_str());
        if !in_use && !nonce.is_fresh(request.now, self.policy.nonce_lifetime) {
            return false;
        }
        self.replay.admit(nonce, count, request.now, in_use)
    }
}

/// The response that a client which knows the password sends (RFC 7616 §3.4.1).
fn expected_response(
    fields: &DigestFields,
    protection: &Protection,
    method: &str,
    hashes: &UserHashes,
) -> String {
    let algorithm = fields.algorithm;
    let request_hash = algorithm.hash(&[method, &fields.uri]);
    let Protection { cnonce, count_text, qop, .. } = protection;
    let secret = hashes.by(algorithm);
    algorithm.hash(&[secret, &fields.nonce, count_text, cnonce, qop, &request_hash])
}
