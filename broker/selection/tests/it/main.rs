//! What the ranker promises: the same answer in whatever order agents came and went, sound metrics, bounded work.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod advice;
mod cards;
mod laws;
mod learning;
mod measures;
mod parts;
#[cfg(feature = "minilm")]
mod quality;
mod remote;
mod reranking;
mod shared_data;
