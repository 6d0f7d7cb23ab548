//! What Bailiwick promises beyond A2A.

mod audit;
mod authority;
mod budgets;
mod crash;
mod credentials;
pub(crate) mod grants;
mod misbehaviour;
mod places;
mod steering;
mod tree;
mod ways;
