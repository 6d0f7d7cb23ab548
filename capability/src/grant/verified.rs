//! Grants whose signature was verified before: the second look at one costs a hash. What changes between two looks
//! (time, audience, possession, whether the key still counts) is judged each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::claims::{Claims, Expected, GrantError};
use super::jwks::KeySet;
use super::key::VerifyKey;
use super::token::open;

type Fingerprint = [u8; 32];

/// Grants seen, at most a fixed number.
#[derive(Debug)]
pub struct VerifiedGrants {
    half: usize,
    seen: Mutex<Generations>,
}

fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token).into()
}

/// When the young generation is full it becomes the old one, and what was not seen since is forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Fingerprint, Seen>,
    old: HashMap<Fingerprint, Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    key: VerifyKey,
    claims: Arc<Claims>,
}

impl VerifiedGrants {
    /// Remembers at most `capacity` grants.
    pub fn new(capacity: usize) -> Self {
        Self { half: (capacity / 2).max(1), seen: Mutex::default() }
    }

    /// As [`super::verify`], quicker for a grant verified before. Nobody waits for another's verification.
    pub fn verify(
        &self,
        token: &str,
        keys: &KeySet,
        expected: &Expected<'_>,
    ) -> Result<Arc<Claims>, GrantError> {
        let fingerprint = fingerprint(token);
        if let Some(seen) = self.recall(&fingerprint)
            && keys.find(seen.key.id()) == Some(&seen.key)
        {
            seen.claims.judge(expected)?;
            return Ok(seen.claims);
        }
        let (key, claims) = open(token, keys)?;
        claims.judge(expected)?;
        let claims = Arc::new(claims);
        self.remember(fingerprint, Seen { key: key.clone(), claims: Arc::clone(&claims) }, expected.now);
        Ok(claims)
    }

    /// Whether the token was verified before. What it is worth now is for [`Self::verify`] to say.
    pub fn has_seen(&self, token: &str) -> bool {
        let (fingerprint, seen) = (fingerprint(token), self.lock());
        seen.young.contains_key(&fingerprint) || seen.old.contains_key(&fingerprint)
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, fingerprint: &Fingerprint) -> Option<Seen> {
        let seen = self.lock();
        seen.young.get(fingerprint).or_else(|| seen.old.get(fingerprint)).cloned()
    }

    fn remember(&self, fingerprint: Fingerprint, grant: Seen, now: u64) {
        let mut seen = self.lock();
        if seen.young.len() >= self.half {
            seen.old = std::mem::take(&mut seen.young);
            seen.old.retain(|_, grant| grant.claims.expires > now);
        }
        seen.young.insert(fingerprint, grant);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        let seen = self.lock();
        seen.young.len() + seen.old.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
