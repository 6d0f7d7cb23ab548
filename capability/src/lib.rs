//! Who may delegate what to whom: capabilities, scopes, the meet, the decision, the grant.
//!
//! Pure: no I/O, no clock, no async; keys and the time are arguments. The model is `docs/capability_model.md`.

mod capability;
mod decision;
mod explain;
mod grant;
pub mod ledger;
mod scope;

pub use capability::{
    Arg, Capability, JsonError, MAX_CONSTRAINTS, MAX_HOPS, ParseError, Request, money, parse_money,
};
pub use decision::{
    Allowed, Decision, Demand, Denied, DenyRule, Giver, Invocation, SkillRequirement, decide, effective,
};
pub use explain::{Explanation, Factor, Lack, Step, explain};
pub use grant::{
    Actor, Algorithm, CLOCK_SKEW_SECONDS, CallSeen, Claims, DetailsError, Expected, FEDERATED_LEEWAY_SECONDS,
    FederatedGrant, GrantError, GrantKey, Inspected, KeyError, KeySet, KeySetError, MAX_GRANT_SECONDS,
    MAX_LINEAGE, MAX_PROOF_AGE_SECONDS, MAX_PROOF_AHEAD_SECONDS, MAX_TOKEN_BYTES, Possession, Proof,
    ProofError, ReplayCache, ReplayError, VerifiedGrants, VerifyKey, federated_key_id, inspect, mint,
    mint_federated, read_details, verify, verify_federated, verify_proof, write_details,
};
pub use scope::{
    DETAILS_TYPE, LimitExceeded, MAX_CAPABILITIES, MAX_CAPABILITIES_AFTER_MEET, Scope, ScopeError,
};
