//! Reads the Authorization field of digest authentication (RFC 7616 §3.4, RFC 9110 §11.4).
//!
//! Encoders quote parameters that the RFC leaves bare (`algorithm`, `qop`, `nc`) and the other way
//! round: both forms are read alike.

use super::{Algorithm, DigestError};
use crate::http::request::is_token_byte;
use crate::limits::DIGEST_PARAMETER_COUNT_MAX;

/// The quality of protection that is offered: the digest covers method and target (RFC 7616 §3.4).
pub(super) const QOP: &str = "auth";

/// The parameters of a Digest Authorization field, unquoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestFields {
    /// username.
    pub username: String,
    /// realm.
    pub realm: String,
    /// nonce.
    pub nonce: String,
    /// uri.
    pub uri: String,
    /// response: hexadecimal, in lower case.
    pub response: String,
    /// algorithm; MD5 where the client names none (RFC 7616 §3.4).
    pub algorithm: Algorithm,
    /// opaque.
    pub opaque: Option<String>,
    /// cnonce, nc and qop, which go together; `None` for a client of RFC 2069, which knew none.
    pub protection: Option<Protection>,
}

/// What a client of RFC 2617 and later adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// cnonce.
    pub cnonce: String,
    /// nc: how many requests were sent with the nonce, this one included.
    pub count: u32,
    /// nc as it was written, which is what was hashed.
    pub count_text: String,
    /// qop as it was written.
    pub qop: String,
}

/// Parses the value of an Authorization field. Unknown parameters are passed over.
///
/// # Errors
///
/// [`DigestError`]: another scheme, a malformed list, a parameter given twice, missing or of a
/// wrong form.
pub fn parse_authorization(value: &str) -> Result<DigestFields, DigestError> {
    let (scheme, list) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Digest") {
        return Err(DigestError::OtherScheme);
    }
    let mut parameters = Parameters(parse_list(value.len() - list.len(), list)?);
    let algorithm = parameters.take("algorithm");
    let algorithm = match algorithm {
        None => Algorithm::Md5,
        Some(name) => Algorithm::from_name(&name).ok_or(DigestError::UnknownAlgorithm)?,
    };
    let response = parameters.require("response")?.to_ascii_lowercase();
    if response.len() != algorithm.hex_size()
        || !response.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Err(DigestError::Malformed { parameter: "response" });
    }
    Ok(DigestFields {
        username: parameters.require("username")?,
        realm: parameters.require("realm")?,
        nonce: parameters.require("nonce")?,
        uri: parameters.require("uri")?,
        response,
        algorithm,
        opaque: parameters.take("opaque"),
        protection: parameters.take_protection()?,
    })
}

/// The list of parameters, with what was not asked for yet.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    fn require(&mut self, parameter: &'static str) -> Result<String, DigestError> {
        self.take(parameter).ok_or(DigestError::Missing { parameter })
    }

    fn take_protection(&mut self) -> Result<Option<Protection>, DigestError> {
        let Some(qop) = self.take("qop") else { return Ok(None) };
        let cnonce = self.require("cnonce")?;
        let count_text = self.require("nc")?;
        let malformed = DigestError::Malformed { parameter: "nc" };
        if count_text.len() != 8 || !count_text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed);
        }
        match u32::from_str_radix(&count_text, 16) {
            Ok(count) if count > 0 => Ok(Some(Protection { cnonce, count, count_text, qop })),
            _ => Err(malformed),
        }
    }
}

/// `name = value` pairs, comma-separated, empty elements allowed (RFC 9110 §5.6.1); names in lower
/// case, none twice. `base` is where `list` begins in the field's value.
fn parse_list(base: usize, list: &str) -> Result<Vec<(String, String)>, DigestError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(parameters);
        }
        let syntax = |rest: &str| DigestError::Syntax { offset: base + list.len() - rest.len() };
        let name;
        (name, rest) = take_token(rest).ok_or_else(|| syntax(rest))?;
        let name = name.to_ascii_lowercase();
        rest = trim_start(rest).strip_prefix('=').ok_or_else(|| syntax(rest))?;
        let value;
        (value, rest) = take_value(trim_start(rest)).ok_or_else(|| syntax(rest))?;
        rest = trim_start(rest);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(syntax(rest));
        }
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(DigestError::Duplicate);
        }
        if parameters.len() == DIGEST_PARAMETER_COUNT_MAX {
            return Err(DigestError::TooManyParameters { limit: DIGEST_PARAMETER_COUNT_MAX });
        }
        parameters.push((name, value));
    }
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// A token at the front of `text`, and what follows it.
fn take_token(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A token or an unquoted quoted-string (RFC 9110 §5.6.4) at the front of `text`, and what
/// follows it.
fn take_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return take_token(text).map(|(token, rest)| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    loop {
        match characters.next()? {
            (at, '"') => return Some((value, &quoted[at + 1..])),
            (_, '\\') => value.push(characters.next()?.1),
            (_, character) => value.push(character),
        }
    }
}
