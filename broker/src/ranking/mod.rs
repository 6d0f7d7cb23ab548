//! What turns texts into vectors for choosing delegates: the table that is part of the program, or a model named in the
//! configuration.

use std::sync::Arc;

use broker_selection::{Embedder, Table, Weights};

use crate::config::SelectionConfig;

/// The embedder the configuration asks for, and the weights that go with it.
pub fn of(_config: &SelectionConfig) -> Result<(Arc<dyn Embedder>, Weights), String> {
    let table = Table::shipped().map_err(|damage| damage.to_string())?;
    let weights = Weights::shipped(table.tier()).map_err(|damage| damage.to_string())?;
    Ok((Arc::new(table), weights))
}
