//! The laws of the lattice, the text, the decision and the grant.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod decision;
mod grant;
mod laws;
mod oracle;
mod seen_elsewhere;
mod text;
