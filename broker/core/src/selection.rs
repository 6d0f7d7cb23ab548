//! Choosing a delegate where nobody named one: who may have a task at all. Who of them fits best is for the ranker
//! (`broker-selection`) to say; what is done with the answer, for [`crate::delegation`].

mod eligibility;

pub use self::eligibility::{Facts, Ineligible, Wanted, judge};
