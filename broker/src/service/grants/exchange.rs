//! Token exchange (RFC 8693): the holder of a grant gets another one that says no more, for the broker or for a tool.
//! The grant it shows is its proof of identity.

use broker_core::audit::GrantAct;
use capability::{Claims, GrantError, Scope, read_details};
use serde_json::Value;
use url::Url;

use super::{Grants, Live, OAuthCode, OAuthError, SentProof, expiry};
use crate::service::Broker;

/// The space of capabilities that are for the broker: to have an agent work. A tool is told of the others only.
const INVOKE_SPACE: &str = "a2a";

/// An exchange, as asked for.
#[derive(Clone, Default)]
pub struct TokenRequest {
    /// The holder's own grant.
    pub subject_token: String,
    /// What the new one is to say, as scope-tokens; the same if left out.
    pub scope: Option<String>,
    /// The same as RFC 9396 details.
    pub authorization_details: Option<String>,
    /// URL of the tool it is for; the broker if left out.
    pub resource: Option<String>,
    /// A DPoP proof: demanded where the grant is bound to a key; otherwise the new grant is bound to the proof's.
    pub proof: Option<SentProof>,
}

/// An issued grant.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The grant.
    pub token: String,
    /// What it says.
    pub scope: Scope,
    /// Its life from now on, in seconds.
    pub expires_in: u64,
    /// Whether it is bound to a key.
    pub bound: bool,
}

impl Issued {
    /// The scope as `authorization_details`.
    pub fn details(&self) -> Value {
        capability::write_details(&self.scope)
    }
}

impl Broker {
    /// Exchanges a grant for one that says the same or less, for the broker or for a tool.
    pub async fn exchange(&self, request: &TokenRequest) -> Result<Issued, OAuthError> {
        let claims = self.grants.subject(request)?;
        let over = || {
            let problem =
                "the task of the subject_token is over, canceled or revoked; nothing is granted for it";
            OAuthError::new(OAuthCode::InvalidGrant, problem)
        };
        let Live { task, cell, .. } = self.live(&claims).await?.ok_or_else(over)?;
        let tree = cell.tree.lock().await;
        let deadline = tree.summary(task).ok_or_else(over)?.deadline;
        let left = tree.scope_left(task).ok_or_else(over)?;
        drop(tree);
        let audience = audience(request.resource.as_deref(), &self.public_url)?;
        let scope = if audience == self.public_url {
            narrowed(request, &claims.scope, "")?
        } else {
            for_tool(request, &claims.scope, &left)?
        };
        let is_same = audience == claims.audience && scope == claims.scope;
        let now = self.grants.now();
        let issued = Claims {
            audience,
            id: self.grants.new_id(),
            issued_at: now,
            not_before: now,
            expires: expiry(deadline, now),
            scope,
            ..claims
        };
        let token = self.grants.sign(&issued);
        let token = token.map_err(|error| OAuthError::new(OAuthCode::InvalidScope, error.to_string()))?;
        self.note_grant(if is_same { GrantAct::Renewed } else { GrantAct::Exchanged }, &issued);
        Ok(Issued {
            token,
            expires_in: issued.expires.saturating_sub(now),
            bound: issued.confirmation.is_some(),
            scope: issued.scope,
        })
    }
}

impl Grants {
    /// What the subject token says, its key proved where it is bound to one.
    fn subject(&self, request: &TokenRequest) -> Result<Claims, OAuthError> {
        let token = request.subject_token.as_str();
        let sent = request.proof.as_ref().map(|sent| self.judge_proof(sent, None)).transpose();
        let proof = sent.map_err(|error| OAuthError::new(OAuthCode::InvalidDpopProof, error.to_string()))?;
        let refused = |error: GrantError| {
            let code = match error {
                GrantError::ProofMissing | GrantError::WrongProof => OAuthCode::InvalidDpopProof,
                _ => OAuthCode::InvalidGrant,
            };
            let next = "subject_token has to be the unexpired grant this broker gave the task's agent";
            OAuthError::new(code, format!("{error}; {next}"))
        };
        match (self.verify(token, proof.as_ref()), proof) {
            // A bearer grant and a proof: the new one is bound to the proof's key.
            (Err(GrantError::WrongProof), Some(proof)) => {
                let claims = self.verify(token, None).map_err(|_| refused(GrantError::WrongProof))?;
                self.use_up(&proof).map_err(refused)?;
                Ok(Claims { confirmation: Some(proof.thumbprint), ..Claims::clone(&claims) })
            }
            (claims, _) => claims.map(|claims| Claims::clone(&claims)).map_err(refused),
        }
    }
}

/// Whom the new grant is for (RFC 8707).
fn audience(resource: Option<&str>, broker: &str) -> Result<String, OAuthError> {
    let Some(resource) = resource else { return Ok(broker.to_owned()) };
    let url = Url::parse(resource).ok().filter(|url| url.has_host() && url.fragment().is_none());
    url.map(|_| resource.to_owned()).ok_or_else(|| {
        let problem = "resource: expected the absolute URL of the tool, without a fragment";
        OAuthError::new(OAuthCode::InvalidTarget, problem)
    })
}

/// What a tool may be told of: no delegation, and no more of a ceiling than is left now, which the tool cannot ask. The
/// broker counts at every use, so a grant for itself keeps its ceilings: what comes back can be used again.
fn for_tool(request: &TokenRequest, held: &Scope, left: &Scope) -> Result<Scope, OAuthError> {
    let left = left.meet(held).map_err(|limit| invalid(format!("{limit}; ask for fewer capabilities")))?;
    let held = Scope::of(left.iter().filter(|one| one.space() != INVOKE_SPACE).cloned());
    let whom = "for a tool (a2a capabilities are the broker's; ceilings are what is left of them) ";
    let scope = narrowed(request, &held, whom)?;
    if scope.is_empty() {
        return Err(invalid(
            "the grant holds nothing a tool could admit; the operator can add it to the agent's caps".into(),
        ));
    }
    Ok(scope)
}

/// What the new grant says: what is held, lowered to what is asked for. Computed, then checked.
fn narrowed(request: &TokenRequest, held: &Scope, whom: &str) -> Result<Scope, OAuthError> {
    let texts = request.scope.as_deref().map(|scope| Scope::parse(scope.split(' ')));
    let texts = texts.transpose().map_err(|error| invalid(format!("scope: {error}")))?;
    let details = request.authorization_details.as_deref().map(read_details).transpose();
    let details = details.map_err(|error| OAuthError::new(OAuthCode::InvalidRequest, error.to_string()))?;
    let mut scope = held.clone();
    for asked in [texts, details].into_iter().flatten() {
        let missing: Vec<String> =
            asked.iter().filter(|one| !held.covers(one)).map(ToString::to_string).collect();
        if !missing.is_empty() {
            return Err(invalid(format!(
                "missing: {}; the grant holds {whom}{}; ask for that or less",
                missing.join(" "),
                said(held)
            )));
        }
        scope =
            scope.meet(&asked).map_err(|limit| invalid(format!("{limit}; ask for fewer capabilities")))?;
    }
    if !scope.le(held) {
        return Err(OAuthError::new(OAuthCode::TemporarilyUnavailable, "internal error"));
    }
    Ok(scope)
}

fn invalid(problem: String) -> OAuthError {
    OAuthError::new(OAuthCode::InvalidScope, problem)
}

fn said(scope: &Scope) -> String {
    if scope.is_empty() { "nothing".to_owned() } else { scope.texts().join(" ") }
}
