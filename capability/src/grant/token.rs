//! Minting and verifying grants.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::claims::{Claims, Expected, GrantError, MAX_GRANT_SECONDS, Wire};
use super::compact::{self, Compact, CompactError};
use super::jwks::KeySet;
use super::key::{GrantKey, VerifyKey};

/// `typ` of every grant (RFC 9068).
const TOKEN_TYPE: &str = "at+jwt";
/// Largest grant minted or read, in bytes: servers seldom take larger headers.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// A grant as it reads, without a word on whether it is genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The key it names.
    pub key_id: Option<String>,
    /// The algorithm it names.
    pub algorithm: String,
    /// What it says.
    pub claims: Claims,
}

/// Mints a grant. A scope that is everything, a life beyond [`MAX_GRANT_SECONDS`] and a token larger than
/// [`MAX_TOKEN_BYTES`] are refused.
pub fn mint(key: &GrantKey, claims: &Claims) -> Result<String, GrantError> {
    sign(key, TOKEN_TYPE, claims, &Wire::from(claims))
}

/// Signs what says these claims, and perhaps more, as a token of a type.
pub(super) fn sign(
    key: &GrantKey,
    typ: &str,
    claims: &Claims,
    payload: &impl Serialize,
) -> Result<String, GrantError> {
    let unmintable = |problem: String| GrantError::Unmintable(problem);
    if claims.scope.is_top() {
        return Err(GrantError::UnboundedScope);
    }
    if claims.expires.saturating_sub(claims.issued_at) > MAX_GRANT_SECONDS {
        return Err(unmintable(format!("expected a life of at most {MAX_GRANT_SECONDS} s")));
    }
    let token = compact::write(key, typ, payload).map_err(|error| unmintable(error.to_string()))?;
    if token.len() > MAX_TOKEN_BYTES {
        let found = token.len();
        return Err(unmintable(format!("{found} bytes; ask for fewer capabilities, {MAX_TOKEN_BYTES} fit")));
    }
    Ok(token)
}

/// Verifies a grant: header, signature, then claims, in this order ([`Claims::judge`]).
pub fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, GrantError> {
    let (_, claims) = open(token, keys)?;
    claims.judge(expected)?;
    Ok(claims)
}

/// Reads a grant without verifying anything: for people who look at one, never for a decision.
pub fn inspect(token: &str) -> Result<Inspected, GrantError> {
    let token = Compact::read(token, MAX_TOKEN_BYTES, TOKEN_TYPE)?;
    let claims = Claims::try_from(token.payload::<Wire>()?)?;
    Ok(Inspected { key_id: token.header.kid, algorithm: token.header.alg, claims })
}

/// A grant with a good signature, and the key it is signed with. Issuer, audience and times are still to be judged.
pub(super) fn open<'k>(token: &str, keys: &'k KeySet) -> Result<(&'k VerifyKey, Claims), GrantError> {
    let (key, wire) = open_as::<Wire>(token, keys, TOKEN_TYPE)?;
    Ok((key, Claims::try_from(wire)?))
}

/// What a token of a type says that has a good signature.
pub(super) fn open_as<'k, T: DeserializeOwned>(
    token: &str,
    keys: &'k KeySet,
    typ: &str,
) -> Result<(&'k VerifyKey, T), GrantError> {
    let token = Compact::read(token, MAX_TOKEN_BYTES, typ)?;
    if token.header.jwk.is_some() {
        return Err(GrantError::Unsupported("header parameter jwk".to_owned()));
    }
    let named = token.header.kid.as_deref().ok_or(GrantError::UnknownKey)?;
    let key = keys.find(named).ok_or(GrantError::UnknownKey)?;
    if !token.is_signed_by(key)? {
        return Err(GrantError::BadSignature);
    }
    Ok((key, token.payload()?))
}

impl From<CompactError> for GrantError {
    fn from(error: CompactError) -> Self {
        match error {
            CompactError::Malformed(problem) => Self::Malformed(problem),
            CompactError::Unsupported(problem) => Self::Unsupported(problem),
        }
    }
}
