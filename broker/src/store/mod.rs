//! Adapters of the store port. Every engine passes the same contract (`tests/it/store_contract.rs`).

pub(crate) mod archive;
pub mod embedded;
pub mod postgres;
mod queue;
