//! The wire: what comes in goes out, what is wrong is refused, nothing panics.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod canonical;
mod card_signature;
mod errors;
mod fuzz;
mod grpc;
mod grpc_frames;
mod operations;
mod passing_through;
mod strange_input;
mod streams;
mod v03;
