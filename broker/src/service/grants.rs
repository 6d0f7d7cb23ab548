//! Grants as the broker mints and reads them: its own key, its own issuer, the clock as an argument.

use broker_core::Timestamp;
use broker_core::delegation::action::Passport;
use capability::{
    Actor, Claims, Expected, GrantError, GrantKey, KeySet, MAX_GRANT_SECONDS, Possession, Scope,
};
use protocol::A2aError;
use serde_json::Value;

use super::error;

const MILLIS_PER_SECOND: i64 = 1_000;

pub(super) struct Grants {
    key: GrantKey,
    verify_keys: KeySet,
    issuer: String,
}

impl Grants {
    pub(super) fn new(seed: [u8; 32], issuer: String) -> Self {
        let key = GrantKey::from_seed(seed);
        Self { verify_keys: key.verify_key().into(), key, issuer }
    }

    /// Mints the grant of a task for the agent that works on it.
    pub(super) fn mint(&self, passport: &Passport, now: Timestamp) -> Result<String, GrantError> {
        let now = seconds(now);
        let claims = Claims {
            issuer: self.issuer.clone(),
            subject: passport.owner.clone(),
            actors: actors(&passport.chain),
            holder: passport.agent.clone(),
            audience: self.issuer.clone(),
            id: passport.task.to_string(),
            issued_at: now,
            not_before: now,
            expires: seconds(passport.deadline).min(now + MAX_GRANT_SECONDS),
            root: passport.root.to_string(),
            task: passport.task.to_string(),
            parent: passport.parent.map(|parent| parent.to_string()),
            depth: passport.depth,
            // An agent without caps holds nothing, whoever asked; everything is never granted.
            scope: if passport.scope.is_top() { Scope::empty() } else { passport.scope.clone() },
            confirmation: None,
        };
        capability::mint(&self.key, &claims)
    }

    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, A2aError> {
        let expected = Expected {
            issuer: &self.issuer,
            audience: &self.issuer,
            now: seconds(now),
            possession: Possession::Bearer,
        };
        capability::verify(token, &self.verify_keys, &expected)
            .map_err(|refused| error::unauthenticated(&refused.to_string()))
    }

    /// The keys that verify the broker's grants (RFC 7517).
    pub(super) fn jwks(&self) -> Value {
        self.verify_keys.to_jwks()
    }
}

fn actors(chain: &[String]) -> Option<Actor> {
    chain
        .iter()
        .rev()
        .fold(None, |before, agent| Some(Actor { sub: agent.clone(), act: before.map(Box::new) }))
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis() / MILLIS_PER_SECOND).unwrap_or(0)
}
