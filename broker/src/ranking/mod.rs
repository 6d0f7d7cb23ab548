//! What choosing delegates runs on: the table that is part of the program or a model file, which turn texts into vectors;
//! and models behind endpoints, within bounds.

mod embeddings;
mod guard;
mod reranker;

use std::sync::Arc;

use broker_selection::{Embedder, MiniLm, Shipped, Weights, WeightsError};

pub use self::embeddings::VectorModel;
pub use self::guard::Bounds;
pub use self::reranker::LanguageModel;
use crate::config::{SelectionConfig, Tier};

/// The embedder the configuration asks for, and the weights that go with it.
pub fn of(config: &SelectionConfig) -> Result<(Arc<dyn Embedder>, Weights), String> {
    let embedder: Arc<dyn Embedder> = match config.tier {
        Tier::Static => Arc::new(Shipped::new().map_err(|damage| damage.to_string())?),
        Tier::Minilm => {
            let file = std::fs::read(&config.model).map_err(|error| {
                format!(
                    "selection.model {}: {error}; expected all-MiniLM-L6-v2 as int8 ONNX (docs/selection.md says how to \
                     get it)",
                    config.model.display()
                )
            })?;
            Arc::new(MiniLm::load(file).map_err(|failure| failure.to_string())?)
        }
    };
    let weights = Weights::shipped(embedder.tier()).map_err(|damage| damage.to_string())?;
    Ok((embedder, weights))
}

/// The ranker's weights for the vectors of a sentence model of which there are no labelled runs: those of the quality tier.
pub fn weights_of_models() -> Result<Weights, WeightsError> {
    Weights::shipped("minilm")
}
