//! Meaning as a vector: what turns a text into one, and how the index keeps them, as one signed byte a dimension.

#[cfg(feature = "minilm")]
mod minilm;
mod quantised;
mod table;

#[cfg(feature = "minilm")]
pub use minilm::MiniLm;
pub use quantised::Quantised;
pub(crate) use quantised::{dot, dot_wide};
pub use table::{Shipped, Table, TableError};

use thiserror::Error;

/// Turns a text into a vector of length one; texts that mean the same get vectors that point the same way.
pub trait Embedder: Send + Sync {
    /// Which set of weights goes with it, and what vectors may be compared: two embedders of one name agree.
    fn tier(&self) -> &str;

    /// Length of its vectors.
    fn dimensions(&self) -> usize;

    /// The vector of a text; all zeros for a text it knows nothing of.
    fn embed(&self, text: &str) -> Result<Vec<f32>, EmbedError>;
}

/// A text got no vector.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EmbedError {
    /// The model did not run.
    #[error("the embedding model {model} failed: {reason}; use the static tier, or another model file")]
    Model {
        /// Which model.
        model: String,
        /// What it said.
        reason: String,
    },
    /// The model answered with another kind of vector than it had promised.
    #[error(
        "the embedding model {model} gave {given} numbers, expected {expected}; check that the file is the model named"
    )]
    Dimensions {
        /// Which model.
        model: String,
        /// Numbers given.
        given: usize,
        /// Numbers expected.
        expected: usize,
    },
}

/// Scales a vector to length one; a vector of zeros stays.
pub fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > f32::EPSILON {
        for x in vector {
            *x /= length;
        }
    }
}
