//! Verifying the grant a request carries.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use capability::{
    CallSeen, Claims, Expected, KeySet, Possession, Proof, ReplayCache, VerifiedGrants, verify_proof,
};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::refusal::Refusal;

/// Grants whose signatures are remembered.
const REMEMBERED_GRANTS: usize = 4_096;
/// DPoP proofs remembered, so that none is used twice.
const REMEMBERED_PROOFS: usize = 65_536;

/// The broker's keys, shared with whoever fetches them anew.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<RwLock<Arc<KeySet>>>);

impl Keys {
    /// A first set.
    pub fn new(keys: KeySet) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    /// From here on, another set.
    pub fn replace(&self, keys: KeySet) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

pub(crate) struct Verifier {
    pub(crate) keys: Keys,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// Seconds since the epoch.
    pub(crate) clock: Clock,
    /// The URL callers know this server by; without one, grants bound to a key are refused.
    pub(crate) proofs_at: Option<String>,
    verified: VerifiedGrants,
    proofs: Mutex<ReplayCache>,
}

impl Verifier {
    pub(crate) fn new(keys: Keys, issuer: String, audience: String) -> Self {
        Self {
            keys,
            issuer,
            audience,
            clock: Arc::new(system_seconds),
            proofs_at: None,
            verified: VerifiedGrants::new(REMEMBERED_GRANTS),
            proofs: Mutex::new(ReplayCache::new(REMEMBERED_PROOFS)),
        }
    }

    /// One that is changed in something and remembers nothing yet.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = Self::new(self.keys.clone(), self.issuer.clone(), self.audience.clone());
        changed.clock = Arc::clone(&self.clock);
        changed.proofs_at.clone_from(&self.proofs_at);
        change(&mut changed);
        changed
    }

    /// What the request's grant says, if it is good.
    pub(crate) fn verify(&self, head: &Parts) -> Result<Arc<Claims>, Refusal> {
        let (scheme, token) = credential(&head.headers)?;
        let proof = match scheme {
            Scheme::Bearer => None,
            Scheme::Dpop => Some(self.proof(head, token)?),
        };
        let possession =
            proof.as_ref().map_or(Possession::Bearer, |proof| Possession::Key(&proof.thumbprint));
        let (issuer, audience, now) = (self.issuer.as_str(), self.audience.as_str(), self.now());
        let expected = Expected { issuer, audience, now, possession };
        let claims = self.verified.verify(token, &self.keys.current(), &expected).map_err(bad)?;
        if let Some(proof) = proof {
            self.proofs.lock().unwrap_or_else(PoisonError::into_inner).first_use(&proof, now).map_err(bad)?;
        }
        Ok(claims)
    }

    /// Seconds since the epoch.
    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    fn proof(&self, head: &Parts, token: &str) -> Result<Proof, Refusal> {
        let base = self.proofs_at.as_ref().ok_or_else(|| bad("DPoP is not taken here"))?;
        let mut sent = head.headers.get_all("dpop").iter();
        let (Some(Ok(proof)), None) = (sent.next().map(HeaderValue::to_str), sent.next()) else {
            return Err(bad("expected one DPoP proof beside the grant"));
        };
        let url = format!("{}{}", base.trim_end_matches('/'), head.uri.path());
        let (method, token, now) = (head.method.as_str(), Some(token), self.now());
        verify_proof(proof, &CallSeen { method, url: &url, token, now }).map_err(bad)
    }
}

enum Scheme {
    Bearer,
    Dpop,
}

fn credential(headers: &HeaderMap) -> Result<(Scheme, &str), Refusal> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let first = sent.next().ok_or(Refusal::NoGrant)?;
    if sent.next().is_some() {
        return Err(Refusal::BadRequest("expected one Authorization header".to_owned()));
    }
    match first.to_str().ok().and_then(|text| text.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok((Scheme::Bearer, token)),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("dpop") => Ok((Scheme::Dpop, token)),
        _ => Err(Refusal::NoGrant),
    }
}

fn bad(why: impl Into<Box<dyn Error>>) -> Refusal {
    Refusal::BadGrant(why.into().to_string())
}

fn system_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
