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
mod dpop;
mod exhaustion;
mod explain;
mod federated;
mod forge;
mod fuzz;
mod grant;
mod keys;
mod laws;
mod ledger;
mod oracle;
mod seen_elsewhere;
mod text;

/// How often each law is tried; ten times as often in the long run.
fn cases() -> proptest::test_runner::Config {
    let factor = if std::env::var_os("BAILIWICK_LONG").is_some() { 10 } else { 1 };
    proptest::test_runner::Config {
        failure_persistence: None,
        ..proptest::test_runner::Config::with_cases(100_000 * factor)
    }
}
