//! What the broker needs of an agent: to be sent a message, asked about a task, listened to, and told to cancel; and what its card is for
//! those it knows.
//! Failures say what is known about the agent's side, because that decides what may be tried again.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use broker_core::delegation::input::Failure;
use futures_util::Stream;
use protocol::{AgentCard, SendMessageRequest, StreamResponse, Task, Version};

use super::agent_auth::AgentAuth;
use super::fetch::{Caching, Validators};
use broker_core::trace::TraceParent;

use crate::address::Destination;

/// Where and how an agent is reached, chosen from its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The agent's registered name, for messages to people.
    pub agent: String,
    /// The interface's URL, judged.
    pub at: Destination,
    /// The interface's binding.
    pub binding: Binding,
    /// The version spoken there.
    pub version: Version,
    /// The tenant the interface declares; echoed in every request.
    pub tenant: Option<String>,
    /// What the broker shows the agent to prove itself; nothing a caller presented ever goes there.
    pub auth: Option<Arc<AgentAuth>>,
    /// URIs of the extensions to ask for there, beside the broker's own.
    pub extensions: Vec<String>,
    /// Where the agent goes on from in a trace.
    pub trace: Option<TraceParent>,
    /// The URL of the broker that the agent is of, where that is another one.
    pub broker: Option<String>,
    /// The card offers streaming.
    pub streaming: bool,
    /// The card offers push notifications and no streaming.
    pub pushes: bool,
}

impl Endpoint {
    /// Whether a stream that broke can be taken up again. In 1.0 a subscription begins with the task as it stands
    /// (spec §3.1.6); in 0.3 it goes on from wherever the agent is by then: what was said in between would be heard by
    /// nobody. There the task is asked for instead.
    pub fn resumes(&self) -> bool {
        self.streaming && self.version == Version::V1
    }

    /// Whether its tasks can be listed, and so a message whose outcome nobody knows be looked for: not in 0.3.
    pub fn lists_tasks(&self) -> bool {
        self.version == Version::V1
    }
}

/// A protocol binding the broker speaks to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// JSON-RPC 2.0 (spec §9).
    JsonRpc,
    /// HTTP+JSON (spec §11).
    HttpJson,
    /// gRPC (spec §10).
    Grpc,
}

/// What an agent says, in order. Ends after an error.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<StreamResponse, Failure>> + Send>>;

/// Why an agent did not answer a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It does not know the task.
    #[error("{0}")]
    NotFound(String),
    /// It does not offer the operation, or not for this task.
    #[error("{0}")]
    Unsupported(String),
    /// It could not be reached, or broke off.
    #[error("{0}")]
    Unreachable(String),
    /// It answered more than is read.
    #[error("{0}")]
    TooLarge(String),
    /// It answered something else, or not A2A at all.
    #[error("{0}")]
    Invalid(String),
}

/// The client side of A2A.
#[async_trait]
pub trait Downstream: Send + Sync + 'static {
    /// Sends a message. A streaming agent's events follow as they come; of any other agent, the one answer
    /// (`returnImmediately` is set for it) follows and the stream ends.
    async fn send(&self, to: &Endpoint, request: SendMessageRequest) -> Result<EventStream, Failure>;

    /// The agent's task as it stands (`GetTask`).
    async fn get_task(&self, to: &Endpoint, agent_task: &str) -> Result<Task, AskError>;

    /// Looks for the task a message made, by southbound context and message id (`ListTasks`).
    async fn find_task(
        &self,
        to: &Endpoint,
        agent_context: &str,
        message_id: &str,
    ) -> Result<Option<Task>, AskError>;

    /// Listens to a running task (`SubscribeToTask`).
    async fn subscribe(&self, to: &Endpoint, agent_task: &str) -> Result<EventStream, AskError>;

    /// Asks for cancellation (`CancelTask`); the task as the agent then sees it.
    async fn cancel_task(&self, to: &Endpoint, agent_task: &str) -> Result<Task, AskError>;

    /// Tells the broker that an agent is of that the grants of a task it works on are dead.
    async fn revoke_task(&self, to: &Endpoint, agent_task: &str) -> Result<(), AskError>;

    /// The card it has for those it knows (`GetExtendedAgentCard`), as it sent it.
    async fn extended_card(&self, to: &Endpoint) -> Result<bytes::Bytes, AskError>;
}

/// An agent's card as fetched.
#[derive(Debug, Clone)]
pub struct FetchedCard {
    /// The parsed card.
    pub card: AgentCard,
    /// The bytes as served, kept unchanged.
    pub original: bytes::Bytes,
    /// Where it was found.
    pub url: String,
    /// How long it may be used without asking, and what to ask with.
    pub caching: Caching,
}

/// An answer to whether a card has changed.
#[derive(Debug, Clone)]
pub enum Refetched {
    /// It is the one that is known.
    Unchanged(Caching),
    /// The card as it is now; its bytes may still be those that are known.
    Changed(Box<FetchedCard>),
}

/// Finds an agent's card.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// Fetches the card from an agent's base URL, or from the card's own URL. Errors are sentences for people.
    async fn fetch_card(&self, url: &str) -> Result<FetchedCard, String>;

    /// The same, unless it is still the card that was fetched with `known`.
    async fn refetch_card(&self, url: &str, known: &Validators) -> Result<Refetched, String>;
}
