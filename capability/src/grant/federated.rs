//! The grant one broker sends another with a task it delegates to an agent of that one. It is a token of its own type, so
//! that neither is ever taken for the other: what an agent holds opens nothing at another broker, and this opens nothing
//! at the one that signed it.

use serde::{Deserialize, Serialize};

use super::claims::{Claims, Expected, GrantError, Wire};
use super::jwks::KeySet;
use super::key::GrantKey;
use super::token::{open_as, sign};

/// `typ` of such a grant (RFC 8725, section 3.11).
const TOKEN_TYPE: &str = "bailiwick-federated+jwt";
/// Most agents in a lineage.
pub const MAX_LINEAGE: usize = 64;
/// How far the clocks of two brokers may differ.
pub const FEDERATED_LEEWAY_SECONDS: u64 = 30;
/// Longest fingerprint of one, bytes.
const MAX_FINGERPRINT_BYTES: usize = 64;

/// What a broker says of a task to the broker of its delegate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederatedGrant {
    /// The task as it stands at its own broker: whose it is, how deep, and in the other one's names what the delegate may
    /// do. The audience is the other broker.
    pub claims: Claims,
    /// Fingerprints of the agents at work on it and above it: none of them may be given any of it.
    pub lineage: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct FederatedWire {
    #[serde(flatten)]
    claims: Wire,
    lineage: Vec<String>,
}

/// Mints a grant for another broker; refused is what [`super::mint`] refuses, and a lineage that would not be read.
pub fn mint_federated(key: &GrantKey, grant: &FederatedGrant) -> Result<String, GrantError> {
    check(&grant.lineage).map_err(|problem| GrantError::Unmintable(problem.to_owned()))?;
    let payload = FederatedWire { claims: Wire::from(&grant.claims), lineage: grant.lineage.clone() };
    sign(key, TOKEN_TYPE, &grant.claims, &payload)
}

/// Verifies a grant of another broker, whose clock may differ by [`FEDERATED_LEEWAY_SECONDS`]: header, signature, then
/// claims, in this order.
pub fn verify_federated(
    token: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
) -> Result<FederatedGrant, GrantError> {
    let (_, FederatedWire { claims, lineage }) = open_as::<FederatedWire>(token, keys, TOKEN_TYPE)?;
    let claims = Claims::try_from(claims)?;
    check(&lineage).map_err(|problem| GrantError::Malformed(problem.to_owned()))?;
    claims.judge_within(expected, FEDERATED_LEEWAY_SECONDS, FEDERATED_LEEWAY_SECONDS)?;
    Ok(FederatedGrant { claims, lineage })
}

/// The id of the key a token names, of a grant for another broker: to know which keys are needed, and nothing else.
pub fn federated_key_id(token: &str) -> Result<String, GrantError> {
    let token = super::compact::Compact::read(token, super::token::MAX_TOKEN_BYTES, TOKEN_TYPE)?;
    token.header.kid.ok_or(GrantError::UnknownKey)
}

fn check(lineage: &[String]) -> Result<(), &'static str> {
    let is_fingerprint = |text: &String| {
        (1..=MAX_FINGERPRINT_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if lineage.len() <= MAX_LINEAGE && lineage.iter().all(is_fingerprint) {
        return Ok(());
    }
    Err("lineage: expected at most 64 fingerprints of at most 64 characters of base64url")
}
