//! A running broker, judged over the wire, with real agents and clients on the official SDK.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod cluster;
mod console;
mod delegation;
mod documents;
mod interop;
mod operating;
mod operator_api;
mod overload;
mod security;
mod soak;
mod spec;
mod suite;
