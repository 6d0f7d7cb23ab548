//! Probing an agent: one real, cheap message, sent as all messages are, outside of every tree and without a grant. Its
//! card proves nothing; whether it answers a message does.

use std::sync::{Arc, Weak};
use std::time::Duration;

use broker_core::Timestamp;
use broker_core::delegation::input::Failure;
use futures_util::StreamExt;
use protocol::{
    A2aError, ErrorKind, Message, SendMessageConfiguration, SendMessageRequest, StreamResponse, TaskState,
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::ports::downstream::{Binding, Endpoint};
use crate::service::{Broker, Caller, error};

/// What only an operator may do here.
const PROBE: &str = "probe an agent";
/// Begins the ids of messages and contexts of probes, so that an agent's owner can tell them from work.
const PREFIX: &str = "probe.";
/// Longest message of a probe, in characters: it is to be cheap.
pub const MAX_PROBE_CHARS: usize = 4_096;
/// Longest text of an agent that is repeated, in characters.
const QUOTE_CHARS: usize = 500;
/// Agents probed at a time.
const AT_ONCE: usize = 16;
/// Wait before looking again whether there is something to probe, where the configuration asks for very many.
const SHORTEST_ROUND: Duration = Duration::from_secs(1);

/// How agents are probed.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// What is said to them.
    pub message: String,
    /// Time to an answer, and again to clean up.
    pub timeout: Duration,
    /// Between two probes of each agent; zero: only when somebody asks.
    pub every: Duration,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self { message: "ping".to_owned(), timeout: Duration::from_secs(10), every: Duration::ZERO }
    }
}

/// What came of a probe.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Probed {
    /// The agent.
    pub agent: String,
    /// What it did.
    pub outcome: Outcome,
    /// Why, where it did not answer; what it said, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Whether it answered with a task or with a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// To its first word, or to when it was given up.
    pub latency_ms: u64,
    /// The binding spoken.
    pub binding: &'static str,
    /// The version spoken.
    pub version: &'static str,
    /// What became of the task the probe left open, if it left one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleaned_up: Option<CleanedUp>,
    /// The id of the message, to be found in the agent's log.
    pub message_id: String,
    /// When it was sent.
    pub at: Timestamp,
}

/// What an agent did with a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ProbeOutcome")]
pub enum Outcome {
    /// It answered.
    Answered,
    /// It certainly did not get the message: there was no connection, or it said that it takes none now.
    Unavailable,
    /// It will not do it.
    Refused,
    /// It answered with an error of its own.
    Errored,
    /// It answered with something that is not A2A.
    Invalid,
    /// The connection broke after it may have got the message.
    Broken,
    /// It was there, and did not answer in time.
    TimedOut,
}

/// An answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(rename = "ProbeAnswer")]
pub enum Answer {
    /// A message, and no task.
    Message,
    /// A task.
    Task {
        /// The agent's id of it.
        id: String,
        /// Its state at the first word.
        state: TaskState,
    },
}

/// What became of a task that a probe left open.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CleanedUp {
    /// The agent's id of it, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Whether it is over.
    pub over: bool,
    /// In words.
    pub said: String,
}

impl Probed {
    /// Whether the agent answered.
    pub fn is_good(&self) -> bool {
        self.outcome == Outcome::Answered
    }
}

impl Broker {
    /// Sends an agent one real message and says what it answered. For operators: it can cost money.
    pub async fn probe_agent(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        message: Option<&str>,
    ) -> Result<Probed, A2aError> {
        self.require_operator(caller, PROBE)?;
        let text = message.unwrap_or(&self.probing.message);
        if !(1..=MAX_PROBE_CHARS).contains(&text.chars().count()) {
            let problem = format!("expected 1 to {MAX_PROBE_CHARS} characters");
            return Err(error::invalid("message", &problem));
        }
        self.registry.resolved(name).await?;
        let endpoint = self.registry.endpoint(name).await;
        let endpoint = endpoint.map_err(|reason| A2aError::new(ErrorKind::Unavailable, reason))?;
        let (broker, text) = (Arc::clone(self), text.to_owned());
        // A caller that hangs up ends its waiting, not the probe: what it leaves open is still to be cancelled.
        let probed = tokio::spawn(async move { broker.probe(&endpoint, &text).await }).await;
        probed.map_err(|_| error::internal())
    }

    async fn probe(&self, endpoint: &Endpoint, text: &str) -> Probed {
        let id = format!("{PREFIX}{}", self.clock.new_task_id());
        let (at, began) = (self.clock.now(), Instant::now());
        let first =
            timeout(self.probing.timeout, self.first_word(endpoint, request(endpoint, &id, text))).await;
        let latency = began.elapsed();
        let mut probed = Probed {
            agent: endpoint.agent.clone(),
            outcome: Outcome::Answered,
            said: None,
            answer: None,
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            binding: endpoint.binding.name(),
            version: endpoint.version.name(),
            cleaned_up: None,
            message_id: id.clone(),
            at,
        };
        match first {
            Ok(Ok(event)) => {
                self.health.answered(&endpoint.agent, &*self.clock);
                self.on_answer(endpoint, event, &mut probed).await;
            }
            Ok(Err(failure)) => {
                let (outcome, reason) = classify(failure);
                match outcome {
                    Outcome::Refused => self.health.answered(&endpoint.agent, &*self.clock),
                    _ => self.health.failed(&endpoint.agent, &reason, &*self.clock),
                }
                (probed.outcome, probed.said) = (outcome, Some(reason));
            }
            Err(_) => {
                let reason = format!("no answer within {} ms", self.probing.timeout.as_millis());
                self.health.failed(&endpoint.agent, &reason, &*self.clock);
                (probed.outcome, probed.said) = (Outcome::TimedOut, Some(reason));
            }
        }
        if matches!(probed.outcome, Outcome::TimedOut | Outcome::Broken) {
            probed.cleaned_up = Some(self.clean_up_unseen(endpoint, &id).await);
        }
        probed
    }

    /// The first thing an agent says to a message. A stream is left after it: the rest is not wanted.
    async fn first_word(
        &self,
        endpoint: &Endpoint,
        request: SendMessageRequest,
    ) -> Result<StreamResponse, Failure> {
        let mut events = self.downstream.send(endpoint, request).await?;
        events.next().await.unwrap_or(Err(Failure::StreamEnded))
    }

    async fn on_answer(&self, endpoint: &Endpoint, event: StreamResponse, probed: &mut Probed) {
        let (id, state) = match event {
            StreamResponse::Message(message) => {
                probed.said = quote(&message);
                probed.answer = Some(Answer::Message);
                return;
            }
            StreamResponse::Task(task) => {
                probed.said = task.status.message.as_deref().and_then(quote);
                (task.id, task.status.state)
            }
            StreamResponse::StatusUpdate(update) => {
                probed.said = update.status.message.as_deref().and_then(quote);
                (update.task_id, update.status.state)
            }
            // Work that has begun, without a word of its state.
            StreamResponse::ArtifactUpdate(update) => (update.task_id, TaskState::Working),
        };
        if !state.is_terminal() {
            probed.cleaned_up = Some(self.clean_up(endpoint, &id).await);
        }
        probed.answer = Some(Answer::Task { id, state });
    }

    /// Cancels a task that a probe left open.
    async fn clean_up(&self, endpoint: &Endpoint, id: &str) -> CleanedUp {
        let task = Some(id.to_owned());
        let cancelled = timeout(self.probing.timeout, self.downstream.cancel_task(endpoint, id)).await;
        let (over, said) = match cancelled {
            Ok(Ok(cancelled)) => {
                let state = cancelled.status.state;
                let done = if state.is_terminal() { "cancelled" } else { "asked to cancel, it may go on" };
                (state.is_terminal(), format!("{done}; it says {}", state.as_str()))
            }
            // It may have finished meanwhile, which is as good.
            Ok(Err(error)) => {
                match timeout(self.probing.timeout, self.downstream.get_task(endpoint, id)).await {
                    Ok(Ok(task)) if task.status.state.is_terminal() => (
                        true,
                        format!("over before it could be cancelled; it says {}", task.status.state.as_str()),
                    ),
                    _ => (false, format!("not cancelled, it may go on: {error}")),
                }
            }
            Err(_) => (false, "asked to cancel, no answer; it may go on".to_owned()),
        };
        CleanedUp { task, over, said }
    }

    /// Looks for a task that a message may have made which was never answered, and cancels it.
    async fn clean_up_unseen(&self, endpoint: &Endpoint, id: &str) -> CleanedUp {
        let found = timeout(self.probing.timeout, self.downstream.find_task(endpoint, id, id)).await;
        match found {
            Ok(Ok(Some(task))) if !task.status.state.is_terminal() => self.clean_up(endpoint, &task.id).await,
            Ok(Ok(Some(task))) => {
                let said = format!("it began a task, which is over; it says {}", task.status.state.as_str());
                CleanedUp { task: Some(task.id), over: true, said }
            }
            Ok(Ok(None)) => {
                CleanedUp { task: None, over: true, said: "it lists no task of the probe".to_owned() }
            }
            Ok(Err(_)) | Err(_) => {
                let said = "whether it began a task is not known".to_owned();
                CleanedUp { task: None, over: false, said }
            }
        }
    }
}

fn request(endpoint: &Endpoint, id: &str, text: &str) -> SendMessageRequest {
    let mut message = Message::user_text(id, text);
    message.context_id = Some(id.to_owned());
    let mut request = SendMessageRequest::new(message);
    request.tenant.clone_from(&endpoint.tenant);
    let configuration =
        SendMessageConfiguration { return_immediately: true, ..SendMessageConfiguration::default() };
    request.configuration = Some(Box::new(configuration));
    request
}

fn classify(failure: Failure) -> (Outcome, String) {
    match failure {
        Failure::NeverSent(reason) | Failure::Down { reason, .. } | Failure::Unreachable(reason) => {
            (Outcome::Unavailable, reason)
        }
        Failure::Refused(reason) | Failure::Busy { reason, .. } => (Outcome::Refused, reason),
        Failure::Errored(reason) => (Outcome::Errored, reason),
        Failure::Invalid(reason) | Failure::Unaccepted(reason) => (Outcome::Invalid, reason),
        Failure::Broken(reason) | Failure::Gone(reason) => (Outcome::Broken, reason),
        Failure::StreamEnded | Failure::Silent { .. } | Failure::Absent { .. } => {
            (Outcome::Invalid, "it ended its answer before it said anything".to_owned())
        }
    }
}

fn quote(message: &Message) -> Option<String> {
    let text = protocol::beginning(&message.joined_text(), QUOTE_CHARS);
    (!text.is_empty()).then_some(text)
}

impl Binding {
    /// As cards write it.
    fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "GRPC",
        }
    }
}

/// Probes every agent in turn, where the configuration asks for it. An agent whose card is not known is not probed.
pub(in crate::service) async fn tend(broker: Weak<Broker>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Some(every) = broker.upgrade().map(|broker| broker.probing.every) else { return };
        if every.is_zero() {
            return;
        }
        tokio::time::sleep(every.max(SHORTEST_ROUND)).await;
        let Some(broker) = broker.upgrade() else { return };
        let endpoints = broker
            .registry
            .all()
            .into_iter()
            .filter_map(|agent| Some(agent.resolved.as_ref()?.endpoint.clone()));
        for endpoint in endpoints {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let broker = Arc::clone(&broker);
            tokio::spawn(async move {
                let probed = broker.probe(&endpoint, &broker.probing.message).await;
                if !probed.is_good() {
                    tracing::warn!(agent = probed.agent, outcome = ?probed.outcome, said = probed.said, "a probe failed");
                }
                drop(place);
            });
        }
    }
}
