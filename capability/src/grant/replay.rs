//! Proofs seen already: each opens one door once.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest, Sha256};

use super::dpop::{MAX_PROOF_AGE_SECONDS, MAX_PROOF_AHEAD_SECONDS, Proof};

/// A proof issued as far ahead as is allowed is refused by its age after this long.
const REMEMBERED_SECONDS: u64 = MAX_PROOF_AHEAD_SECONDS + MAX_PROOF_AGE_SECONDS + 1;

/// The proofs of the last minute, at most a fixed number.
#[derive(Debug)]
pub struct ReplayCache {
    capacity: usize,
    seen: HashSet<[u8; 32]>,
    /// In the order seen, so that the oldest is found at once: (forgotten from here on, proof).
    order: VecDeque<(u64, [u8; 32])>,
}

/// Why a proof is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Seen before.
    #[error("the DPoP proof was used before; make a new one for each request")]
    Replayed,
    /// Too many proofs in a minute to remember them all; none is let through unremembered.
    #[error("too many DPoP proofs at a time; try again in a minute")]
    Full,
}

impl ReplayCache {
    /// Remembers at most `capacity` proofs.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, seen: HashSet::new(), order: VecDeque::new() }
    }

    /// Lets a proof through the first time. `now` in seconds since the epoch.
    pub fn first_use(&mut self, proof: &Proof, now: u64) -> Result<(), ReplayError> {
        while let Some((_, digest)) = self.order.front().copied().filter(|(until, _)| *until <= now) {
            self.order.pop_front();
            self.seen.remove(&digest);
        }
        // A thumbprint has one length, so the two parts cannot be mistaken for each other.
        let digest = Sha256::new().chain_update(&proof.thumbprint).chain_update(&proof.id).finalize().into();
        if self.seen.contains(&digest) {
            return Err(ReplayError::Replayed);
        }
        if self.seen.len() >= self.capacity {
            return Err(ReplayError::Full);
        }
        self.seen.insert(digest);
        self.order.push_back((now.saturating_add(REMEMBERED_SECONDS), digest));
        Ok(())
    }
}
