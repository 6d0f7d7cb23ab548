//! How good the ranking is, measured on labelled sets: reading them, the metrics, the run, and the table that stands
//! beside known baselines.

pub mod metrics;
mod runner;
pub mod sets;

pub use runner::{SetReport, evaluate, index_of, teach};
pub use sets::{Request, Set, SetError, Split};
