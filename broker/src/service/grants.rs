//! Grants as the broker mints, reads, narrows and revokes them: its own keys, its own issuer, the clock a port.
//! A grant proves what was once granted; whether its task is still open is asked at every use.

mod error;
mod exchange;
mod introspection;
mod keys;

use std::sync::{Arc, Mutex, PoisonError};

use broker_core::delegation::action::Passport;
use broker_core::{TaskId, Timestamp};
use capability::{
    Actor, CallSeen, Claims, Expected, FederatedGrant, GrantError, GrantKey, MAX_GRANT_SECONDS, Possession,
    Proof, ReplayCache, Scope, VerifiedGrants, mint_federated, verify_proof,
};
use protocol::A2aError;

pub use self::error::{OAuthCode, OAuthError};
pub use self::exchange::{Issued, TokenRequest};
use super::caller::Identity;
use super::signing_keys::{KeyOptions, KeyRing, SigningKeys};
use super::trees::TreeCell;
use super::{Broker, error as told};
use crate::ports::clock::Clock;
use crate::ports::store::Store;

/// Grants whose signatures are remembered.
const REMEMBERED_GRANTS: usize = 8_192;
/// DPoP proofs remembered, so that none is used twice: about a thousand a second.
const REMEMBERED_PROOFS: usize = 65_536;
const MILLIS_PER_SECOND: i64 = 1_000;

/// A DPoP proof as sent, and the request it came with.
#[derive(Clone)]
pub struct SentProof {
    /// The proof.
    pub proof: String,
    /// HTTP method.
    pub method: String,
    /// The URL below the broker's own that was asked.
    pub path: String,
}

pub(super) struct Grants {
    clock: Arc<dyn Clock>,
    issuer: String,
    keys: SigningKeys,
    verified: VerifiedGrants,
    proofs: Mutex<ReplayCache>,
}

/// A grant whose task is open.
struct Live {
    root: TaskId,
    task: TaskId,
    cell: Arc<TreeCell>,
}

impl Grants {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        issuer: String,
        options: KeyOptions,
    ) -> Self {
        Self {
            keys: SigningKeys::new(store, Arc::clone(&clock), keys::PURPOSE, options),
            clock,
            issuer,
            verified: VerifiedGrants::new(REMEMBERED_GRANTS),
            proofs: Mutex::new(ReplayCache::new(REMEMBERED_PROOFS)),
        }
    }

    /// Mints the grant of a task for the agent that works on it, bound to the agent's key if it has published one.
    pub(super) fn mint(
        &self,
        passport: &Passport,
        confirmation: Option<String>,
    ) -> Result<String, GrantError> {
        self.sign(&self.claims(passport, confirmation))
    }

    /// What the grant of a task says.
    pub(super) fn claims(&self, passport: &Passport, confirmation: Option<String>) -> Claims {
        let now = self.now();
        Claims {
            issuer: self.issuer.clone(),
            subject: passport.owner.clone(),
            actors: actors(&passport.chain),
            holder: passport.agent.clone(),
            audience: self.issuer.clone(),
            id: self.new_id(),
            issued_at: now,
            not_before: now,
            expires: expiry(passport.deadline, now),
            root: passport.root.to_string(),
            task: passport.task.to_string(),
            parent: passport.parent.map(|parent| parent.to_string()),
            depth: passport.depth,
            // An agent without caps holds nothing, whoever asked; everything is never granted.
            scope: if passport.scope.is_top() { Scope::empty() } else { passport.scope.clone() },
            confirmation,
        }
    }

    fn sign(&self, claims: &Claims) -> Result<String, GrantError> {
        self.with_key(|key| capability::mint(key, claims))
    }

    /// Signs a grant for another broker.
    pub(super) fn sign_federated(&self, grant: &FederatedGrant) -> Result<String, GrantError> {
        self.with_key(|key| mint_federated(key, grant))
    }

    /// Signs with the key of the day.
    fn with_key(
        &self,
        sign: impl FnOnce(&GrantKey) -> Result<String, GrantError>,
    ) -> Result<String, GrantError> {
        let ring = self.ring();
        let key = ring.signing(self.now());
        sign(key.ok_or_else(|| GrantError::Unmintable("the broker has no key yet".to_owned()))?)
    }

    /// Verifies a grant for the broker, with what was shown of its key. A proof is good for one use.
    fn verify(&self, token: &str, proof: Option<&Proof>) -> Result<Arc<Claims>, GrantError> {
        let possession = proof.map_or(Possession::Bearer, |proof| Possession::Key(&proof.thumbprint));
        let expected = self.expected(&self.issuer, possession);
        let claims = self.verified.verify(token, self.ring().published(), &expected)?;
        if let Some(proof) = proof {
            self.use_up(proof)?;
        }
        Ok(claims)
    }

    /// Whether a token was verified as one of the broker's own grants before, whatever it is worth now.
    pub(super) fn is_known(&self, token: &str) -> bool {
        self.verified.has_seen(token)
    }

    fn expected<'a>(&'a self, audience: &'a str, possession: Possession<'a>) -> Expected<'a> {
        Expected { issuer: &self.issuer, audience, now: self.now(), possession }
    }

    /// Judges a proof against the request it came with, and the token it came with, if one did.
    fn judge_proof(&self, sent: &SentProof, token: Option<&str>) -> Result<Proof, capability::ProofError> {
        let url = format!("{}{}", self.issuer, sent.path);
        verify_proof(&sent.proof, &CallSeen { method: &sent.method, url: &url, token, now: self.now() })
    }

    /// After the grant is found good, so that nobody without one fills the memory.
    fn use_up(&self, proof: &Proof) -> Result<(), GrantError> {
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        proofs.first_use(proof, self.now()).map_err(|error| GrantError::Unsupported(error.to_string()))
    }

    /// What grants are signed with.
    pub(super) fn keys(&self) -> &SigningKeys {
        &self.keys
    }

    fn ring(&self) -> Arc<KeyRing> {
        self.keys.ring()
    }

    fn new_id(&self) -> String {
        self.clock.new_task_id().to_string()
    }

    /// Seconds since the epoch.
    pub(super) fn now(&self) -> u64 {
        seconds(self.clock.now())
    }
}

impl Broker {
    /// Who calls with a grant: the agent at work on its task, within what the grant says.
    pub(super) async fn judge_grant(
        &self,
        token: &str,
        proof: Option<&SentProof>,
    ) -> Result<Identity, A2aError> {
        let proof = proof.map(|sent| self.grants.judge_proof(sent, Some(token)));
        let proof = proof.transpose().map_err(|error| told::unauthenticated(&error.to_string()))?;
        let claims = self.grants.verify(token, proof.as_ref());
        let claims = claims.map_err(|error| told::unauthenticated(&error.to_string()))?;
        let live = self.live(&claims).await?.ok_or_else(|| {
            told::unauthenticated(
                "the grant's task is over, canceled, revoked, or with another agent now; the grant opens nothing",
            )
        })?;
        Ok(Identity::Delegate { root: live.root, task: live.task, held: claims.scope.clone() })
    }

    /// The open task of a verified grant; `None` once it is over, canceled or revoked, or anything above it is, or once
    /// another agent has it.
    async fn live(&self, claims: &Claims) -> Result<Option<Live>, A2aError> {
        let Some((root, task)) = claims.root.parse().ok().zip(claims.task.parse().ok()) else {
            return Ok(None);
        };
        let Some(cell) = self.trees.load(root).await? else { return Ok(None) };
        let granted = {
            let tree = cell.tree.lock().await;
            tree.is_granted(task) && tree.agent(task) == Some(&claims.holder)
        };
        Ok(granted.then_some(Live { root, task, cell }))
    }
}

fn actors(chain: &[String]) -> Option<Actor> {
    chain
        .iter()
        .rev()
        .fold(None, |before, agent| Some(Actor { sub: agent.clone(), act: before.map(Box::new) }))
}

/// 15 minutes, and never past the task's deadline.
fn expiry(deadline: Timestamp, now: u64) -> u64 {
    seconds(deadline).min(now.saturating_add(MAX_GRANT_SECONDS))
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis() / MILLIS_PER_SECOND).unwrap_or(0)
}
