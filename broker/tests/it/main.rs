//! The broker's adapters: the store against its contract and against SIGKILL, the configuration, the command line, and what goes
//! out to agents.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod callers;
mod command_line;
mod command_line_cap;
mod configuration;
mod engines;
mod house;
mod push_histories;
mod retention;
mod simulation;
mod southbound;
mod store_audit;
mod store_contract;
mod store_crash;
mod store_days;
mod store_housekeeping;
mod store_outbox;
mod store_retention;
mod store_sharing;
mod store_trees;

/// What turns texts into vectors, read once: many brokers live in these tests.
fn embedder() -> std::sync::Arc<broker_selection::Table> {
    static TABLE: std::sync::LazyLock<std::sync::Arc<broker_selection::Table>> =
        std::sync::LazyLock::new(|| std::sync::Arc::new(broker_selection::Table::shipped().unwrap()));
    std::sync::Arc::clone(&TABLE)
}
