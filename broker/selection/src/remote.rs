//! Vectors that are made somewhere else, by an endpoint that speaks the protocol of `OpenAI`: how it is asked, how its
//! answer is read, and the stand-in by which an index knows what vectors it holds. Asking is for others.

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::agent::Agent;
use crate::embedding::{EmbedError, Embedder, normalise};

/// Longest vectors an index can do with: its geometry grows with the square, the work on it with the cube.
pub const MAX_DIMENSIONS: usize = 1_024;

/// Most bytes of one text sent: about what a model of 512 tokens reads. One text it refuses would be the end of all.
const MAX_ASKED_BYTES: usize = 1_500;

/// Names vectors, and makes none: an index over it is given them, by [`Index::put_with`](crate::Index::put_with) and
/// [`Index::rank_with`](crate::Index::rank_with).
#[derive(Debug, Clone)]
pub struct Remote {
    tier: String,
    dimensions: usize,
}

impl Remote {
    /// The vectors of a model, of this length.
    pub fn new(model: &str, dimensions: usize) -> Self {
        Self { tier: format!("embeddings:{model}"), dimensions }
    }
}

impl Embedder for Remote {
    fn tier(&self) -> &str {
        &self.tier
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed(&self, _: &str) -> Result<Vec<f32>, EmbedError> {
        let reason = "its vectors are made elsewhere".to_owned();
        Err(EmbedError::Model { model: self.tier.clone(), reason })
    }
}

/// An answer that is not the vectors asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoVectors {
    /// It is no answer of an embeddings endpoint.
    #[error("it is no list of embeddings: {0}")]
    Form(String),
    /// There are more or fewer of them, or some twice.
    #[error("expected one vector for each of {0} texts")]
    Count(usize),
    /// They are of another length.
    #[error("expected vectors of {expected} numbers, found {given}; see selection.embeddings.dimensions")]
    Dimensions {
        /// Numbers given.
        given: usize,
        /// Numbers expected.
        expected: usize,
    },
}

/// The body of `POST /embeddings` for texts. `shorten` asks for vectors of that length, which not all endpoints take.
pub fn question(model: &str, texts: &[String], shorten: Option<usize>) -> Vec<u8> {
    let texts: Vec<&str> = texts.iter().map(|text| asked(text)).collect();
    let mut body = json!({ "model": model, "input": texts });
    if let (Some(dimensions), Value::Object(members)) = (shorten, &mut body) {
        members.insert("dimensions".to_owned(), dimensions.into());
    }
    body.to_string().into_bytes()
}

/// The vectors of so many texts, in their order and of length one, from the answer's body.
pub fn read(answer: &[u8], texts: usize, dimensions: usize) -> Result<Vec<Vec<f32>>, NoVectors> {
    #[derive(Deserialize)]
    struct Answer {
        data: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        index: usize,
        embedding: Vec<f32>,
    }
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|error| NoVectors::Form(error.to_string()))?;
    if answer.data.len() != texts {
        return Err(NoVectors::Count(texts));
    }
    let mut vectors = vec![Vec::new(); texts];
    for One { index, mut embedding } in answer.data {
        if embedding.len() != dimensions {
            return Err(NoVectors::Dimensions { given: embedding.len(), expected: dimensions });
        }
        if !embedding.iter().all(|number| number.is_finite()) {
            return Err(NoVectors::Form("a number is not finite".to_owned()));
        }
        normalise(&mut embedding);
        match vectors.get_mut(index) {
            Some(place) if place.is_empty() => *place = embedding,
            _ => return Err(NoVectors::Count(texts)),
        }
    }
    Ok(vectors)
}

/// The texts of an agent an index wants the vectors of.
pub fn texts_of(agent: &Agent) -> Vec<String> {
    let mut texts = Vec::new();
    // Nothing fails that is only written down.
    let _ = crate::index::Entry::new(agent, &mut |text: &str| {
        texts.push(text.to_owned());
        Ok(vec![0.0])
    });
    texts
}

/// Endpoints refuse texts that are empty, and many refuse long ones.
fn asked(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_ASKED_BYTES.min(text.len()));
    let cut = text.get(..end).unwrap_or_default();
    if cut.trim().is_empty() { "-" } else { cut }
}
