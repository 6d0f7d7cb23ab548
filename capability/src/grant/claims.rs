//! What a grant says, how it stands in the token, and when it counts.

use serde::{Deserialize, Serialize};

use super::details::{self, Details};
use crate::scope::Scope;

/// Longest life of a grant, in seconds; it is renewed while its task is open.
pub const MAX_GRANT_SECONDS: u64 = 15 * 60;

/// What a grant says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The broker that minted it.
    pub issuer: String,
    /// The principal that owns the tree.
    pub subject: String,
    /// The agents it came through, nearest first; for audit only, never for a decision.
    pub actors: Option<Actor>,
    /// The agent that holds it.
    pub holder: String,
    /// Who it is for.
    pub audience: String,
    /// Names this grant (`jti`); unique.
    pub id: String,
    /// Seconds since the epoch.
    pub issued_at: u64,
    /// Valid from here on; seconds since the epoch.
    pub not_before: u64,
    /// Valid up to, not including; seconds since the epoch.
    pub expires: u64,
    /// The root task.
    pub root: String,
    /// The task: the node of the derivation tree that revocation looks at.
    pub task: String,
    /// Its parent.
    pub parent: Option<String>,
    /// Hops from the root.
    pub depth: u32,
    /// What the holder may do.
    pub scope: Scope,
    /// Thumbprint of the key its bearer must prove to have (`cnf.jkt`, RFC 9449); without one it is a bearer token.
    pub confirmation: Option<String>,
}

/// The chain of agents a delegation came through (the `act` claim of RFC 8693).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The nearest one.
    pub sub: String,
    /// Those before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
}

/// What a verifier insists on.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// Seconds since the epoch.
    pub now: u64,
    /// What came with the grant.
    pub possession: Possession<'a>,
}

/// How far the clock of a broker may be behind that of another which has the same keys: one's grants are valid at the other as
/// soon as they are signed. Nobody signs a grant for later.
pub const CLOCK_SKEW_SECONDS: u64 = 5;

/// What was shown together with a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Possession<'a> {
    /// Nothing but the grant: enough for a bearer token only.
    Bearer,
    /// A verified proof with the key of this thumbprint: enough for a grant bound to that key only.
    Key(&'a str),
    /// The grant is looked at, not used (introspection): its binding is not asked about.
    Inspected,
}

/// Why a grant is no good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Not a token of this form.
    #[error("not a grant: {0}")]
    Malformed(String),
    /// Signed with a key nobody here knows.
    #[error("the grant names a key that is not known here")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the grant's signature does not verify")]
    BadSignature,
    /// Too late.
    #[error("the grant has expired")]
    Expired,
    /// Too early.
    #[error("the grant is not valid yet")]
    NotYetValid,
    /// For somebody else.
    #[error("the grant is for another audience")]
    WrongAudience,
    /// From somebody else.
    #[error("the grant is from another issuer")]
    WrongIssuer,
    /// It demands something that is not understood, or is of another kind.
    #[error("the grant is not supported: {0}")]
    Unsupported(String),
    /// It is bound to a key, and no proof came with it.
    #[error("the grant is bound to a key; send it as `Authorization: DPoP` with a DPoP proof of that key")]
    ProofMissing,
    /// It is bound to another key than the one proved, or to none.
    #[error("the DPoP proof is of another key than the grant is bound to")]
    WrongProof,
    /// Everything cannot be granted.
    #[error("an unbounded scope cannot be minted into a grant")]
    UnboundedScope,
    /// It would live too long, or be too large to be carried.
    #[error("such a grant is not minted: {0}")]
    Unmintable(String),
}

impl Claims {
    /// As they stand in a token: what introspection answers, and what people are shown.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(Wire::from(self)).unwrap_or_default()
    }

    /// Judges what depends on who asks and when: issuer, audience, times, possession. It is over to the second, and may
    /// come from [`CLOCK_SKEW_SECONDS`] ahead.
    pub fn judge(&self, expected: &Expected<'_>) -> Result<(), GrantError> {
        self.judge_within(expected, CLOCK_SKEW_SECONDS, 0)
    }

    /// The same where it may be seen so many seconds before it begins and after it is over.
    pub(super) fn judge_within(
        &self,
        expected: &Expected<'_>,
        early: u64,
        late: u64,
    ) -> Result<(), GrantError> {
        if self.issuer != expected.issuer {
            return Err(GrantError::WrongIssuer);
        }
        if self.audience != expected.audience {
            return Err(GrantError::WrongAudience);
        }
        if expected.now >= self.expires.saturating_add(late) {
            return Err(GrantError::Expired);
        }
        if expected.now.saturating_add(early) < self.not_before.max(self.issued_at) {
            return Err(GrantError::NotYetValid);
        }
        match (self.confirmation.as_deref(), expected.possession) {
            (_, Possession::Inspected) | (None, Possession::Bearer) => Ok(()),
            (Some(bound), Possession::Key(proved)) if bound == proved => Ok(()),
            (Some(_), Possession::Bearer) => Err(GrantError::ProofMissing),
            (_, Possession::Key(_)) => Err(GrantError::WrongProof),
        }
    }
}

/// The claims as they stand in the token.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wire {
    iss: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Actor>,
    client_id: String,
    aud: Audience,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    txn: String,
    task: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    depth: u32,
    /// The scope once more as OAuth knows it, for readers that do not know the details.
    scope: String,
    authorization_details: Vec<Details>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

/// One name, or a list of just that one: a grant is for exactly one audience.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    List([String; 1]),
}

/// Other ways to bind a token are refused: they could not be checked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    jkt: String,
}

impl From<&Claims> for Wire {
    fn from(claims: &Claims) -> Self {
        Self {
            iss: claims.issuer.clone(),
            sub: claims.subject.clone(),
            act: claims.actors.clone(),
            client_id: claims.holder.clone(),
            aud: Audience::One(claims.audience.clone()),
            jti: claims.id.clone(),
            iat: claims.issued_at,
            nbf: claims.not_before,
            exp: claims.expires,
            txn: claims.root.clone(),
            task: claims.task.clone(),
            parent: claims.parent.clone(),
            depth: claims.depth,
            scope: scope_text(&claims.scope),
            authorization_details: details::write(&claims.scope),
            cnf: claims.confirmation.clone().map(|jkt| Confirmation { jkt }),
        }
    }
}

impl TryFrom<Wire> for Claims {
    type Error = GrantError;

    fn try_from(wire: Wire) -> Result<Self, GrantError> {
        let malformed = |problem: &str| GrantError::Malformed(problem.to_owned());
        let scope = details::read(&wire.authorization_details)
            .map_err(|error| GrantError::Malformed(error.to_string()))?;
        if wire.scope != scope_text(&scope) {
            return Err(malformed("scope and authorization_details disagree"));
        }
        if wire.exp.saturating_sub(wire.iat) > MAX_GRANT_SECONDS {
            return Err(malformed("expected a life of at most 15 minutes"));
        }
        let (Audience::One(audience) | Audience::List([audience])) = wire.aud;
        Ok(Self {
            issuer: wire.iss,
            subject: wire.sub,
            actors: wire.act,
            holder: wire.client_id,
            audience,
            id: wire.jti,
            issued_at: wire.iat,
            not_before: wire.nbf,
            expires: wire.exp,
            root: wire.txn,
            task: wire.task,
            parent: wire.parent,
            depth: wire.depth,
            scope,
            confirmation: wire.cnf.map(|bound| bound.jkt),
        })
    }
}

/// The `scope` claim: capabilities are scope-tokens, one space between.
fn scope_text(scope: &Scope) -> String {
    scope.texts().join(" ")
}
