//! What is accepted, check by check, and what hostile criteria and results come to.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod citations;
mod criteria;
mod expression;
mod judge;
mod receipts;
mod results;
mod schema;
