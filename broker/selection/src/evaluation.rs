//! How good the ranking is, measured on labelled sets: reading them, the metrics, the run, and the table that stands
//! beside known baselines.

mod agreement;
mod growth;
pub mod metrics;
mod report;
mod runner;
mod sets;

pub use agreement::{Agreement, agreement};
pub use growth::{Point, growth};
pub use report::{Report, report};
pub use runner::{SetReport, evaluate, index_of, teach};
pub use sets::{Request, Set, SetError, Split};
