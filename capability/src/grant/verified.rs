//! Grants whose signature was verified before: the second look at one costs a hash. What changes between two looks
//! (time, audience, possession, whether the key still counts) is judged each time.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::claims::{Claims, Expected, GrantError};
use super::jwks::KeySet;
use super::key::VerifyKey;
use super::token::open;

type Fingerprint = [u8; 32];

/// Grants seen, at most a fixed number. Two generations: when the young one is full it becomes the old one, and what
/// was not looked at since is forgotten.
#[derive(Debug)]
pub struct VerifiedGrants {
    half: usize,
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
        Self { half: (capacity / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// As [`super::verify`], quicker for a grant verified before.
    pub fn verify(
        &mut self,
        token: &str,
        keys: &KeySet,
        expected: &Expected<'_>,
    ) -> Result<Arc<Claims>, GrantError> {
        let fingerprint: Fingerprint = Sha256::digest(token).into();
        let known = self.young.get(&fingerprint).or_else(|| self.old.get(&fingerprint));
        if let Some(seen) = known.filter(|seen| keys.find(seen.key.id()) == Some(&seen.key)) {
            seen.claims.judge(expected)?;
            return Ok(Arc::clone(&seen.claims));
        }
        let (key, claims) = open(token, keys)?;
        claims.judge(expected)?;
        let claims = Arc::new(claims);
        self.remember(fingerprint, Seen { key: key.clone(), claims: Arc::clone(&claims) }, expected.now);
        Ok(claims)
    }

    fn remember(&mut self, fingerprint: Fingerprint, seen: Seen, now: u64) {
        if self.young.len() >= self.half {
            self.young.retain(|_, seen| seen.claims.expires > now);
        }
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, seen);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
