//! Plays rounds with agents as an unmodified client on the official Rust SDK; see `rounds.py` for what is printed.
#![allow(clippy::print_stdout, reason = "it prints what it saw")]

use std::sync::Arc;
use std::time::Duration;

use a2a::{
    A2AError, Artifact, CancelTaskRequest, GetTaskRequest, Message, Part, Role, SendMessageConfiguration,
    SendMessageRequest, SendMessageResponse, StreamResponse, SubscribeToTaskRequest, Task,
    TaskPushNotificationConfig, TaskState,
};
use a2a_client::agent_card::AgentCardResolver;
use a2a_client::jsonrpc::JsonRpcTransportFactory;
use a2a_client::rest::RestTransportFactory;
use a2a_client::{A2AClient, A2AClientFactory, BoxStream, Transport, TransportFactory};
use a2a_grpc::GrpcTransportFactory;
use clap::Parser;
use futures::StreamExt;
use serde_json::json;

const POLL_EVERY: Duration = Duration::from_millis(50);
/// How long a round may take; a minute is far more than any needs.
const ROUND_LIMIT: Duration = Duration::from_mins(1);

type Client = A2AClient<Box<dyn Transport>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    /// Where the agents are.
    #[arg(required = true)]
    urls: Vec<String>,
    #[arg(long)]
    binding: String,
    #[arg(long, value_delimiter = ',')]
    rounds: Vec<String>,
    #[arg(long)]
    script: String,
    #[arg(long)]
    slow: String,
    #[arg(long)]
    endless: String,
    #[arg(long)]
    asking: String,
    #[arg(long)]
    gate: Option<String>,
    #[arg(long)]
    webhook: Option<String>,
}

/// What events add up to.
#[derive(Default)]
struct Heard {
    states: Vec<TaskState>,
    artifacts: Vec<(String, String)>,
    pieces: Vec<(String, bool, bool)>,
    tasks: Vec<String>,
    context: String,
    said: String,
}

impl Heard {
    fn take(&mut self, event: StreamResponse) {
        match event {
            StreamResponse::Task(task) => self.see(task),
            StreamResponse::StatusUpdate(update) => {
                self.states.push(update.status.state);
                self.said_by(update.status.message.as_ref());
            }
            StreamResponse::ArtifactUpdate(update) => {
                let (text, append) = (text_of(&update.artifact), update.append.unwrap_or_default());
                self.pieces.push((text.clone(), append, update.last_chunk.unwrap_or_default()));
                let id = update.artifact.artifact_id;
                match self.artifacts.iter_mut().find(|(known, _)| *known == id) {
                    Some((_, whole)) if append => whole.push_str(&text),
                    Some((_, whole)) => *whole = text,
                    None => self.artifacts.push((id, text)),
                }
            }
            StreamResponse::Message(message) => message.text().unwrap_or_default().clone_into(&mut self.said),
        }
    }

    fn see(&mut self, task: Task) {
        self.states.push(task.status.state);
        self.said_by(task.status.message.as_ref());
        let artifacts = task.artifacts.unwrap_or_default();
        self.artifacts =
            artifacts.iter().map(|artifact| (artifact.artifact_id.clone(), text_of(artifact))).collect();
        self.context = task.context_id;
        if !self.tasks.contains(&task.id) {
            self.tasks.push(task.id);
        }
    }

    fn said_by(&mut self, message: Option<&Message>) {
        if let Some(message) = message {
            message.text().unwrap_or_default().clone_into(&mut self.said);
        }
    }

    fn text(&self) -> String {
        self.artifacts.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn task(&self) -> String {
        self.tasks.last().cloned().unwrap_or_default()
    }
}

fn text_of(artifact: &Artifact) -> String {
    artifact.parts.iter().filter_map(Part::as_text).collect()
}

fn request(text: &str) -> SendMessageRequest {
    let message = Message::new(Role::User, vec![Part::text(text)]);
    SendMessageRequest { message, configuration: None, metadata: None, tenant: None }
}

fn at_once(text: &str) -> SendMessageRequest {
    let mut request = request(text);
    request.configuration = Some(SendMessageConfiguration {
        accepted_output_modes: None,
        task_push_notification_config: None,
        history_length: None,
        return_immediately: Some(true),
    });
    request
}

fn hook(url: String, task_id: String) -> TaskPushNotificationConfig {
    TaskPushNotificationConfig { url, id: None, task_id, token: None, authentication: None, tenant: None }
}

/// One agent, and the scripts of the rounds.
struct Rounds<'a> {
    url: &'a str,
    arguments: &'a Arguments,
}

impl Rounds<'_> {
    async fn connect(&self) -> Result<Client, A2AError> {
        let card = AgentCardResolver::new(None).resolve(self.url).await?;
        let transport: Arc<dyn TransportFactory> = match self.arguments.binding.as_str() {
            "GRPC" => Arc::new(GrpcTransportFactory::new()),
            "HTTP+JSON" => Arc::new(RestTransportFactory::new(None)),
            _ => Arc::new(JsonRpcTransportFactory::new(None)),
        };
        A2AClientFactory::builder().no_defaults().register(transport).build().create_from_card(&card).await
    }

    async fn play(&self, round: &str) -> Result<Heard, Failure> {
        match round {
            "send" => self.send(request(&self.arguments.script)).await,
            "stream" => self.stream().await,
            "poll" => self.poll().await,
            "subscribe" => self.subscribe().await,
            "cancel" => self.cancel().await,
            "ask" => self.ask().await,
            "push" => self.push().await,
            other => Err(format!("{other} is no round").into()),
        }
    }

    async fn send(&self, request: SendMessageRequest) -> Result<Heard, Failure> {
        let mut heard = Heard::default();
        heard.take(match self.connect().await?.send_message(&request).await? {
            SendMessageResponse::Task(task) => StreamResponse::Task(task),
            SendMessageResponse::Message(message) => StreamResponse::Message(message),
        });
        Ok(heard)
    }

    async fn open(
        &self,
        request: SendMessageRequest,
    ) -> Result<BoxStream<'static, Result<StreamResponse, A2AError>>, Failure> {
        Ok(self.connect().await?.send_streaming_message(&request).await?)
    }

    /// Hears a stream to its end; the gate is opened once it is known to flow.
    async fn hear(
        &self,
        mut heard: Heard,
        mut events: BoxStream<'static, Result<StreamResponse, A2AError>>,
        gate: Option<&str>,
    ) -> Result<Heard, Failure> {
        let mut gate = gate;
        while let Some(event) = events.next().await {
            heard.take(event?);
            if let Some(id) = gate.take() {
                self.open_gate(id).await?;
            }
        }
        Ok(heard)
    }

    /// What the agent makes before the stream begins is in its first event, and comes in no piece: it has to wait.
    async fn stream(&self) -> Result<Heard, Failure> {
        let (slow, gate) = self.gated();
        self.hear(Heard::default(), self.open(request(&slow)).await?, Some(&gate)).await
    }

    async fn poll(&self) -> Result<Heard, Failure> {
        let (slow, gate) = self.gated();
        let heard = self.send(at_once(&slow)).await?;
        self.open_gate(&gate).await?;
        self.until(heard, TaskState::is_terminal).await
    }

    async fn until(&self, mut heard: Heard, is_it: fn(&TaskState) -> bool) -> Result<Heard, Failure> {
        let client = self.connect().await?;
        while !heard.states.last().is_some_and(is_it) {
            tokio::time::sleep(POLL_EVERY).await;
            let get = GetTaskRequest { id: heard.task(), history_length: None, tenant: None };
            heard.see(client.get_task(&get).await?);
        }
        Ok(heard)
    }

    async fn subscribe(&self) -> Result<Heard, Failure> {
        let (slow, gate) = self.gated();
        let heard = self.send(at_once(&slow)).await?;
        let subscribe = SubscribeToTaskRequest { id: heard.task(), tenant: None };
        let events = self.connect().await?.subscribe_to_task(&subscribe).await?;
        self.hear(heard, events, Some(&gate)).await
    }

    async fn cancel(&self) -> Result<Heard, Failure> {
        let heard = self.send(at_once(&self.arguments.endless)).await?;
        // The agent has to have it before it can be told to stop.
        let mut heard = self.until(heard, |state| *state != TaskState::Submitted).await?;
        let cancel = CancelTaskRequest { id: heard.task(), metadata: None, tenant: None };
        heard.see(self.connect().await?.cancel_task(&cancel).await?);
        Ok(heard)
    }

    async fn ask(&self) -> Result<Heard, Failure> {
        let asked =
            self.hear(Heard::default(), self.open(request(&self.arguments.asking)).await?, None).await?;
        let mut answer = request("blue");
        answer.message.task_id = Some(asked.task());
        answer.message.context_id = Some(asked.context.clone());
        let answered = self.hear(Heard::default(), self.open(answer).await?, None).await?;
        let mut both = Heard { tasks: asked.tasks.clone(), ..Heard::default() };
        both.tasks.extend(answered.tasks.iter().filter(|task| !asked.tasks.contains(task)).cloned());
        both.states.extend(asked.states.last().cloned());
        both.states.extend(answered.states.last().cloned());
        both.artifacts = vec![(String::new(), asked.said.clone()), (String::new(), answered.text())];
        Ok(both)
    }

    /// One webhook comes with the message, one is added to the task.
    async fn push(&self) -> Result<Heard, Failure> {
        let webhook = self.arguments.webhook.clone().ok_or("push needs --webhook")?;
        let (slow, gate) = self.gated();
        let mut request = at_once(&slow);
        if let Some(configuration) = request.configuration.as_mut() {
            configuration.task_push_notification_config =
                Some(hook(format!("{webhook}/sent"), String::new()));
        }
        let heard = self.send(request).await?;
        let added = hook(format!("{webhook}/added"), heard.task());
        self.connect().await?.create_push_config(&added).await?;
        self.open_gate(&gate).await?;
        self.until(heard, TaskState::is_terminal).await
    }

    /// The slow script with a gate of its own, and its name.
    fn gated(&self) -> (String, String) {
        let id = uuid::Uuid::now_v7().to_string();
        (self.arguments.slow.replace("$ID", &id), id)
    }

    async fn open_gate(&self, id: &str) -> Result<(), Failure> {
        if let Some(gate) = &self.arguments.gate {
            reqwest::get(format!("{gate}/open/{id}")).await?.error_for_status()?;
        }
        Ok(())
    }
}

async fn play_all(url: &str, arguments: &Arguments) {
    for round in &arguments.rounds {
        let played = tokio::time::timeout(ROUND_LIMIT, Rounds { url, arguments }.play(round)).await;
        let line = match played.unwrap_or_else(|_| Err(format!("not over within {ROUND_LIMIT:?}").into())) {
            Ok(heard) => json!({
                "url": url, "round": round, "states": heard.states.iter().map(name_of).collect::<Vec<_>>(),
                "text": heard.text(), "tasks": heard.tasks, "pieces": heard.pieces,
            }),
            Err(error) => json!({ "url": url, "round": round, "error": error.to_string() }),
        };
        println!("{line}");
    }
}

/// A state as 0.3 writes it.
fn name_of(state: &TaskState) -> String {
    let name = serde_json::to_value(state).unwrap_or_default();
    name.as_str().unwrap_or_default().trim_start_matches("TASK_STATE_").to_lowercase().replace('_', "-")
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    futures::future::join_all(arguments.urls.iter().map(|url| play_all(url, &arguments))).await;
}
