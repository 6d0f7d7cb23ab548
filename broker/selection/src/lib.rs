//! Which agent is right for a request: a ranked, calibrated and explained list, from the agents' cards and from what
//! became of earlier requests. Pure: no I/O, clock or chance; knows nothing of tasks, the journal or HTTP.

mod agent;
pub mod algebra;
mod confidence;
pub mod disagreement;
mod embedding;
pub mod evaluation;
mod explanation;
mod features;
mod geometry;
mod index;
mod layer;
mod leading;
mod lexical;
pub mod lint;
mod outcomes;
mod ranking;
mod record;
pub mod remote;
pub mod reranking;
mod rivals;
pub mod text;

pub use agent::{Agent, Skill};
pub use confidence::{SIGNAL_NAMES, SIGNALS, confidence_signals};
#[cfg(feature = "minilm")]
pub use embedding::MiniLm;
pub use embedding::{EmbedError, Embedder, Quantised, Shipped, Table, TableError, normalise};
pub use features::{COMPLETE, Examination, Examined, FAILED_WEIGHT, FEATURES, NAMES, Row};
pub use index::Index;
pub use layer::{Weights, WeightsError};
pub use leading::LEADING;
pub use outcomes::{Learned, MAX_BAD, MAX_GOOD, Outcome, OutcomeError, OutcomeKind, Outcomes};
pub use ranking::{Candidate, Contribution, Query, Ranking};
pub use record::Record;
