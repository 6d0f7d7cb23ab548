//! Whether an agent's card is what the operator's pinned keys vouch for. A key is trusted because the operator pinned it,
//! never because a card names it or a place to fetch it from (`jku`); and a signature says who wrote a card, not whose it
//! is, so a vouched card must also place the agent where the operator registered it.

use std::fmt;

use capability::VerifyKey;
use protocol::v03::read_card;
use protocol::{AgentCard, CardSignature, SignedForm, canonicalize};
use serde_json::value::RawValue;
use url::Url;

use crate::address;
use crate::ports::downstream::FetchedCard;

/// Most keys pinned for an agent: the one in use, its follower, and room.
const MAX_CARD_KEYS: usize = 8;
/// Most signatures of a card that are looked at.
const MAX_SIGNATURES: usize = 16;

/// How a card stands with the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// A pinned key has signed it.
    Verified {
        /// The key.
        kid: String,
    },
    /// It carries no signature, and none is demanded.
    Unsigned,
    /// It carries signatures that nobody here can judge.
    Unjudged,
}

/// Where an operator has said that an agent is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home<'a> {
    /// The registered URL.
    pub(super) url: &'a str,
    /// Another host the operator has named for it (`auth.host`).
    pub(super) host: Option<&'a str>,
}

/// Reads the keys an operator pins, or says what is wrong with them.
pub(crate) fn read_keys(jwks: &[serde_json::Value]) -> Result<Vec<VerifyKey>, String> {
    if jwks.len() > MAX_CARD_KEYS {
        return Err(format!("expected at most {MAX_CARD_KEYS} keys; leave out those that sign no more"));
    }
    let mut keys: Vec<VerifyKey> = Vec::new();
    for (index, jwk) in jwks.iter().enumerate() {
        let key = VerifyKey::from_jwk(jwk).map_err(|problem| format!("[{index}]: {problem}"))?;
        if keys.iter().any(|known| known.id() == key.id()) {
            return Err(format!("[{index}]: kid {:?} stands twice; each key needs one of its own", key.id()));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Judges a card. Where keys are pinned, what comes back is what one of them vouches for, and nothing else of the card.
pub(super) fn judge(
    pinned: &[VerifyKey],
    home: Home<'_>,
    fetched: FetchedCard,
) -> Result<(FetchedCard, Standing), String> {
    let raw: &RawValue = serde_json::from_slice(&fetched.original).map_err(|error| error.to_string())?;
    // Else the broker could not sign what it serves of it, in the agent's card nor in its own.
    canonicalize(raw).map_err(|invalid| format!("it has no canonical form (RFC 8785): {invalid}"))?;
    if pinned.is_empty() {
        let is_signed =
            fetched.card.unknown.get("signatures").is_some_and(|raw| !matches!(raw.get(), "null" | "[]"));
        return Ok((fetched, if is_signed { Standing::Unjudged } else { Standing::Unsigned }));
    }
    let signatures = CardSignature::of_card(raw).map_err(|invalid| invalid.to_string())?;
    let (form, kid) = verify(pinned, raw, &signatures)?;
    let vouched = form.vouched(raw).map_err(|invalid| invalid.to_string())?;
    let card = read_card(vouched.as_bytes()).map_err(|invalid| invalid.to_string())?;
    check_home(&card, home)?;
    Ok((FetchedCard { card, ..fetched }, Standing::Verified { kid }))
}

/// The first signature that is good, and the form it is over. One is enough (spec §8.4.3).
fn verify(
    pinned: &[VerifyKey],
    card: &RawValue,
    signatures: &[CardSignature],
) -> Result<(SignedForm, String), String> {
    let kids = pinned.iter().map(VerifyKey::id).collect::<Vec<_>>().join(", ");
    if signatures.is_empty() {
        return Err(format!(
            "it carries no signature, but card_keys are pinned for the agent ({kids}); have the card signed with one of \
             them, or take card_keys out of the agent's registration"
        ));
    }
    let mut contents: Vec<(SignedForm, String)> = Vec::new();
    for form in SignedForm::ALL {
        let content = form.content(card).map_err(|invalid| invalid.to_string())?;
        let content = content.filter(|content| !contents.iter().any(|(_, known)| known == content));
        contents.extend(content.map(|content| (form, content)));
    }
    let mut problems = Vec::new();
    for (number, signature) in signatures.iter().take(MAX_SIGNATURES).enumerate() {
        match verify_one(pinned, &contents, signature) {
            Ok(verified) => return Ok(verified),
            Err(problem) => problems.push(format!("signature {}: {problem}", number + 1)),
        }
    }
    Err(format!(
        "none of its signatures counts ({}); expected one by a pinned key (card_keys: {kids}). If the agent signs with a \
         new key, get that key from its operator by a way you trust, and pin it: card_keys of [[agents]], or `agent add \
         --card-key`",
        problems.join("; ")
    ))
}

fn verify_one(
    pinned: &[VerifyKey],
    contents: &[(SignedForm, String)],
    signature: &CardSignature,
) -> Result<(SignedForm, String), String> {
    let header = signature.header()?;
    let is_named = |key: &&VerifyKey| header.kid.as_deref().is_none_or(|kid| kid == key.id());
    let named: Vec<&VerifyKey> = pinned.iter().filter(is_named).collect();
    if named.is_empty() {
        return Err(format!("its key {:?} is not pinned", header.kid.unwrap_or_default()));
    }
    // RFC 9864 gives EdDSA on this curve a name of its own.
    let alg = if header.alg == "Ed25519" { "EdDSA" } else { &header.alg };
    let fitting: Vec<&VerifyKey> = named.into_iter().filter(|key| key.algorithm().name() == alg).collect();
    if fitting.is_empty() {
        return Err(format!("its algorithm {:?} is not the key's", header.alg));
    }
    for (form, content) in contents {
        let input = CardSignature::signing_input(&signature.protected, content);
        if let Some(key) = fitting.iter().find(|key| key.verifies(&signature.signature, input.as_bytes())) {
            return Ok((*form, key.id().to_owned()));
        }
    }
    Err("it is not over this content: the card was changed after it was signed, or was signed in a form that is not \
         known here"
        .to_owned())
}

/// Else a card that the same key signed for another agent could be played back here.
fn check_home(card: &AgentCard, home: Home<'_>) -> Result<(), String> {
    let registered = Url::parse(home.url).ok().as_ref().and_then(address::host).unwrap_or_default();
    let is_home = |host: &String| {
        host.eq_ignore_ascii_case(&registered)
            || home.host.is_some_and(|home| host.eq_ignore_ascii_case(home))
    };
    let hosts: Vec<String> =
        card.supported_interfaces.iter().filter_map(|interface| interface_host(&interface.url)).collect();
    if hosts.iter().any(is_home) {
        return Ok(());
    }
    Err(format!(
        "it is well signed, but none of its interfaces is at {registered}, where the agent is registered (they are at \
         {}): it may be another agent's card. Register the agent by a host its card names",
        hosts.join(", ")
    ))
}

/// gRPC's interfaces are a host and a port, without a scheme.
fn interface_host(url: &str) -> Option<String> {
    let parsed = if url.contains("://") { Url::parse(url) } else { Url::parse(&format!("https://{url}")) };
    parsed.ok().as_ref().and_then(address::host)
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified { kid } => write!(f, "verified by kid {kid}"),
            Self::Unsigned => f.write_str("unsigned"),
            Self::Unjudged => f.write_str("present, not verified: no card_keys pinned"),
        }
    }
}

#[cfg(test)]
mod tests;
