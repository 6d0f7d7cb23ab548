//! Proof of possession (DPoP, RFC 9449): a small signed note, made for one request, that its sender has the key a
//! grant is bound to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use super::compact::{Compact, CompactError};
use super::key::{KeyError, VerifyKey};

/// `typ` of every proof.
const PROOF_TYPE: &str = "dpop+jwt";
/// Largest proof read, in bytes.
const MAX_PROOF_BYTES: usize = 8 * 1024;
/// Longest `jti` read, in bytes.
const MAX_ID_BYTES: usize = 256;
/// Oldest proof let through, in seconds.
pub const MAX_PROOF_AGE_SECONDS: u64 = 60;
/// How far ahead of ours the sender's clock may be, in seconds.
pub const MAX_PROOF_AHEAD_SECONDS: u64 = 5;

/// The request a proof came with.
#[derive(Debug, Clone, Copy)]
pub struct CallSeen<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// The URL as the caller knows it; query and fragment do not matter.
    pub url: &'a str,
    /// The access token the proof came with; `None` at a token endpoint, where none is used.
    pub token: Option<&'a str>,
    /// Seconds since the epoch.
    pub now: u64,
}

/// A good proof. Whether it is used for the first time is for [`super::ReplayCache`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Of the key (RFC 7638).
    pub thumbprint: String,
    /// Names the proof (`jti`).
    pub id: String,
}

/// Why a proof is no good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not a proof of this form.
    #[error("not a DPoP proof: {0}")]
    Malformed(String),
    /// The key in it cannot be used.
    #[error("the DPoP proof's jwk: {0}")]
    Key(#[from] KeyError),
    /// Not signed with the key in it.
    #[error("the DPoP proof's signature does not verify with its jwk")]
    BadSignature,
    /// For another method.
    #[error("the DPoP proof's htm is not the request's method")]
    WrongMethod,
    /// For another address.
    #[error("the DPoP proof's htu is not the request's URL")]
    WrongUrl,
    /// For another token.
    #[error("the DPoP proof's ath is not the SHA-256 of the token, in base64url")]
    WrongToken,
    /// Too old, or too far ahead.
    #[error("the DPoP proof's iat is not within the last minute; make a new proof for each request")]
    WrongTime,
}

#[derive(Deserialize)]
struct Wire {
    jti: String,
    htm: String,
    htu: String,
    iat: u64,
    ath: Option<String>,
}

/// Verifies a proof against the request it came with (RFC 9449 §4.3).
pub fn verify_proof(proof: &str, call: &CallSeen<'_>) -> Result<Proof, ProofError> {
    let proof = Compact::read(proof, MAX_PROOF_BYTES, PROOF_TYPE)?;
    let jwk = proof.header.jwk.as_ref();
    let jwk =
        jwk.ok_or_else(|| ProofError::Malformed("expected the public key as jwk in its header".into()))?;
    let key = VerifyKey::from_jwk(jwk)?;
    if !proof.is_signed_by(&key)? {
        return Err(ProofError::BadSignature);
    }
    let said: Wire = proof.payload()?;
    if said.htm != call.method {
        return Err(ProofError::WrongMethod);
    }
    if address(&said.htu).is_none_or(|htu| Some(htu) != address(call.url)) {
        return Err(ProofError::WrongUrl);
    }
    let token_hash = call.token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
    if token_hash.is_some() && said.ath != token_hash {
        return Err(ProofError::WrongToken);
    }
    let (oldest, latest) =
        (call.now.saturating_sub(MAX_PROOF_AGE_SECONDS), call.now.saturating_add(MAX_PROOF_AHEAD_SECONDS));
    if !(oldest..=latest).contains(&said.iat) {
        return Err(ProofError::WrongTime);
    }
    if said.jti.is_empty() || said.jti.len() > MAX_ID_BYTES {
        return Err(ProofError::Malformed(format!("jti: expected 1 to {MAX_ID_BYTES} bytes")));
    }
    Ok(Proof { thumbprint: key.thumbprint(), id: said.jti })
}

/// An address without query and fragment, normalised by syntax and scheme (RFC 3986 §6.2.2, §6.2.3).
fn address(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    Some(normal_escapes(url.as_str()))
}

/// Escapes in upper case, and none for characters that need none.
fn normal_escapes(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut normal = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => normal.push(byte.into()),
            Some(byte) => normal.extend(['%', hex(byte >> 4), hex(byte & 15)]),
            None => normal.push('%'),
        }
        normal.push_str(if code.is_some() { piece.get(2..).unwrap_or_default() } else { piece });
    }
    normal
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase()
}

impl From<CompactError> for ProofError {
    fn from(error: CompactError) -> Self {
        let (CompactError::Malformed(problem) | CompactError::Unsupported(problem)) = error;
        Self::Malformed(problem)
    }
}
