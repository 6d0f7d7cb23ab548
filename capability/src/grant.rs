//! The grant: a short-lived signed token that carries a task's scope to the agent working on it (JWT, RFC 9068
//! `at+jwt`, EdDSA or ES256). Minting and verifying take the time as an argument. Whether the task is still open is
//! for the broker to ask; a grant alone proves only what was once granted.

mod claims;
mod compact;
mod details;
mod dpop;
mod federated;
mod json;
mod jwks;
mod key;
mod replay;
mod token;
mod verified;

pub use self::claims::{
    Actor, CLOCK_SKEW_SECONDS, Claims, Expected, GrantError, MAX_GRANT_SECONDS, Possession,
};
pub use self::details::{DetailsError, read_details, write_details};
pub use self::dpop::{
    CallSeen, MAX_PROOF_AGE_SECONDS, MAX_PROOF_AHEAD_SECONDS, Proof, ProofError, verify_proof,
};
pub use self::federated::{
    FEDERATED_LEEWAY_SECONDS, FederatedGrant, MAX_LINEAGE, federated_key_id, mint_federated, verify_federated,
};
pub use self::jwks::{KeySet, KeySetError};
pub use self::key::{Algorithm, GrantKey, KeyError, VerifyKey};
pub use self::replay::{ReplayCache, ReplayError};
pub use self::token::{Inspected, MAX_TOKEN_BYTES, inspect, mint, verify};
pub use self::verified::VerifiedGrants;
