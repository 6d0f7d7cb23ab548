//! Further stages of choosing a delegate, by models that are somewhere else. Whatever goes wrong with one is a reason for
//! people, and the ranking that is part of the program stands.

use async_trait::async_trait;
use broker_selection::Agent;
use broker_selection::reranking::Opinion;
use bytes::Bytes;

/// Looks again at the few that lead.
#[async_trait]
pub trait Reranker: Send + Sync + 'static {
    /// Which of the agents shown, the likeliest first, a request is for. An error says why there is no opinion.
    async fn opinion(&self, request: &str, shown: &[Agent]) -> Result<Judged, String>;
}

/// An opinion, and whose.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What it is.
    pub opinion: Opinion,
    /// Which model said it, and in which form.
    pub by: String,
}

/// Turns texts into vectors.
#[async_trait]
pub trait Embeddings: Send + Sync + 'static {
    /// The model; vectors of another are not compared with these.
    fn model(&self) -> &str;

    /// Length of its vectors.
    fn dimensions(&self) -> usize;

    /// The vector of a request that waits for it.
    async fn of_request(&self, text: String) -> Result<Vec<f32>, String>;

    /// One vector a text, for which nobody waits.
    async fn of_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String>;
}

/// A server of models that speaks the protocol of `OpenAI`.
#[async_trait]
pub trait ModelEndpoint: Send + Sync + 'static {
    /// The body of a successful answer to `POST {base URL}{path}`, of bounded size. How long that may take is for whoever
    /// asks to say.
    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Bytes, EndpointError>;
}

/// A server of models did not do what was asked. Texts are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It does not take the question as it was asked.
    #[error("{0}")]
    Refused(String),
    /// It could not be reached, or did not answer as one should.
    #[error("{0}")]
    Failed(String),
}
