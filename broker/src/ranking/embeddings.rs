//! An endpoint's vectors, in batches and within bounds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broker_selection::remote;
use broker_selection::reranking::tokens_used;

use super::guard::{Bounds, Guard, Silence};
use crate::ports::stages::{Embeddings, ModelEndpoint};

const PATH: &str = "/embeddings";
/// How long the vectors of cards are waited for, which nobody waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A model behind an endpoint that turns texts into vectors.
pub struct VectorModel {
    guard: Guard,
    model: String,
    dimensions: usize,
    shorten: bool,
}

impl VectorModel {
    /// The model of this name, whose vectors are so long (`shorten`: if it is told so), asked within bounds.
    pub fn new(
        endpoint: Arc<dyn ModelEndpoint>,
        model: String,
        (dimensions, shorten): (usize, bool),
        bounds: Bounds,
    ) -> Self {
        Self { guard: Guard::new(endpoint, bounds), model, dimensions, shorten }
    }

    async fn ask(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Silence> {
        let shorten = self.shorten.then_some(self.dimensions);
        let question = remote::question(&self.model, texts, shorten);
        let answer = self.guard.ask(PATH, question, tokens_used).await?;
        remote::read(&answer, texts.len(), self.dimensions)
            .map_err(|no_vectors| Silence::Failed(no_vectors.to_string()))
    }
}

#[async_trait]
impl Embeddings for VectorModel {
    fn model(&self) -> &str {
        &self.model
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    async fn of_request(&self, text: String) -> Result<Vec<f32>, String> {
        let vectors = self.guard.within(self.guard.timeout(), self.ask(&[text])).await;
        let vectors = vectors.map_err(|silence| silence.to_string())?;
        vectors.into_iter().next().ok_or_else(|| "it gave no vector".to_owned())
    }

    async fn of_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
        self.guard.within(PATIENCE, self.ask(texts)).await.map_err(|silence| silence.to_string())
    }
}
