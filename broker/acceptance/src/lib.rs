//! Whether a result is what was asked for. A delegator says in advance what it accepts ([`Acceptance`]); what a delegate
//! produces ([`Produced`]) is checked against it, cheapest and surest first: receipts, then what code can check, and a
//! judge last, who is an agent and so not asked here. What cannot be decided is *unverified*, never a silent pass.
//!
//! Pure: no clock, no I/O, no network, whatever a criterion names. Both sides may be hostile, so that everything has its
//! bound: criteria when they are read, work when they are applied. Whoever calls bounds the time all the same.

mod citations;
mod criteria;
mod expected;
mod expression;
mod judge;
mod judgement;
mod numbers;
mod produced;
mod receipts;
mod schema;
mod specification;
mod verdict;

pub use self::citations::{Citations, Source};
pub use self::criteria::{Acceptance, ArtifactWish, MAX_ACCEPT_BYTES, Wrong};
pub use self::expected::Criteria;
pub use self::judge::{Judge, Judgement};
pub use self::judgement::judge;
pub use self::numbers::whole;
pub use self::produced::Produced;
pub use self::specification::{Reference, Specification};
pub use self::verdict::{Check, Criterion, Outcome, Verdict};
