//! What Bailiwick promises beyond A2A.

mod audit;
mod authority;
mod budgets;
mod crash;
mod credentials;
mod misbehaviour;
mod steering;
mod tree;
