//! The compact form of a signed token (JWS, RFC 7515): three parts in canonical base64url, a header without surprises.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{self, Given};
use super::key::{GrantKey, KeyError, VerifyKey};

/// What a token's header says. Members that are not understood change nothing (RFC 7515 §4), unless they are
/// `crit`, or would have a reader fetch or trust a key of the token's own choosing.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) typ: Option<String>,
    pub(super) kid: Option<String>,
    pub(super) jwk: Option<Value>,
    #[serde(default)]
    crit: Given,
    #[serde(default)]
    jku: Given,
    #[serde(default)]
    x5u: Given,
    #[serde(default)]
    x5c: Given,
}

/// Why a text is no such token. The text says what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CompactError {
    Malformed(String),
    Unsupported(String),
}

/// A token taken apart; nothing of it is to be believed before its signature is verified.
#[derive(Debug)]
pub(super) struct Compact<'t> {
    pub(super) header: Header,
    signed: &'t str,
    payload: &'t str,
    signature: &'t str,
}

impl<'t> Compact<'t> {
    /// Takes a token of at most `limit` bytes apart and checks its header, save for key and algorithm.
    pub(super) fn read(token: &'t str, limit: usize, typ: &str) -> Result<Self, CompactError> {
        let malformed = |problem: &str| CompactError::Malformed(problem.to_owned());
        if token.len() > limit {
            return Err(CompactError::Malformed(format!("expected at most {limit} bytes")));
        }
        let parts = token.rsplit_once('.').and_then(|(signed, signature)| {
            signed.split_once('.').map(|(header, payload)| (signed, header, payload, signature))
        });
        let (signed, header, payload, signature) = parts
            .filter(|(_, _, payload, _)| !payload.contains('.'))
            .ok_or_else(|| malformed("expected three parts with dots between"))?;
        let header: Header = decode(header, "header")?;
        let refused = [(header.crit, "crit"), (header.jku, "jku"), (header.x5u, "x5u"), (header.x5c, "x5c")];
        if let Some((_, name)) = refused.iter().find(|(given, _)| given.0) {
            return Err(CompactError::Unsupported(format!("header parameter {name}")));
        }
        if !header.typ.as_deref().is_some_and(|given| given.eq_ignore_ascii_case(typ)) {
            return Err(CompactError::Unsupported(format!("a token type other than {typ}")));
        }
        Ok(Self { header, signed, payload, signature })
    }

    /// Whether the header names the key's own algorithm, and the signature is the key's.
    pub(super) fn is_signed_by(&self, key: &VerifyKey) -> Result<bool, CompactError> {
        if self.header.alg != key.algorithm().name() {
            let alg = &self.header.alg;
            return Err(CompactError::Unsupported(format!("algorithm {alg:?}, which is not the key's")));
        }
        bytes(self.signature, "signature")?;
        Ok(key.verifies(self.signature, self.signed.as_bytes()))
    }

    /// The payload.
    pub(super) fn payload<T: DeserializeOwned>(&self) -> Result<T, CompactError> {
        decode(self.payload, "payload")
    }
}

/// Signs a payload.
pub(super) fn write(key: &GrantKey, typ: &str, payload: &impl Serialize) -> Result<String, KeyError> {
    #[derive(Serialize)]
    struct Written<'a> {
        alg: &'a str,
        typ: &'a str,
        kid: &'a str,
    }
    let encode = |json: serde_json::Result<Vec<u8>>| {
        json.map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|error| KeyError::Malformed(error.to_string()))
    };
    let header = Written { alg: key.algorithm().name(), typ, kid: key.id() };
    let mut token = encode(serde_json::to_vec(&header))?;
    token.push('.');
    token.push_str(&encode(serde_json::to_vec(payload))?);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&signature);
    Ok(token)
}

fn decode<T: DeserializeOwned>(text: &str, part: &str) -> Result<T, CompactError> {
    json::read(&bytes(text, part)?).map_err(|problem| CompactError::Malformed(format!("{part}: {problem}")))
}

/// Canonical only: padding, white space and stray bits at the end are refused by the engine.
fn bytes(text: &str, part: &str) -> Result<Vec<u8>, CompactError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| CompactError::Malformed(format!("{part}: expected canonical base64url without padding")))
}
