//! The core under random histories and in named scenarios.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod acceptance;
mod admission;
mod adversary;
mod attempts;
mod audit;
mod budgets;
mod choice;
mod context;
mod escalation;
mod federation;
mod histories;
mod model;
mod modes;
mod purity;
mod push;
mod quota;
mod scenarios;
mod steps;
mod turns;
mod world;
