//! The audit log: who was allowed or refused what, and from which facts, so that each decision can be made again.
//!
//! Pure. [`Event`] is what is recorded, [`Head::seal`] gives it its number and chains it to what came before,
//! [`Verifier`] judges a log line by line, and [`Repeats`] keeps refusals from filling the disk. Where entries are
//! stored, and in which transaction, is the store's business. The form is described for users in `docs/audit.md`.

mod chain;
mod checked;
mod event;
mod judged;
mod repeats;
mod verify;

pub use self::chain::{ENTRY_VERSION, Entry, Hash, Head, HeadError};
pub use self::checked::Checked;
pub use self::event::{
    Alike, Approval, AuthenticationFailed, BackedUp, By, CardChanged, CardOutcome, Delegation, Event,
    Forbidden, Grant, GrantAct, Granted, KeyFollows, Presented, Reconfigured, Refused, Registered, Removed,
    Repeated, Resolved, Revoked, Signs,
};
pub use self::judged::{Judged, Used, Verdict};
pub use self::repeats::Repeats;
pub use self::verify::{Fault, Problem, Report, Verifier};
