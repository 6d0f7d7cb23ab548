//! The agent of `scripted.py`, on the official Rust SDK: its message's text is the same JSON script. All bindings of the
//! SDK are open at once: `{url}` has a card that names them all, `{url}/jsonrpc`, `{url}/rest` and `{url}/grpc` one each
//! that names one of them.
#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use a2a::{
    A2AError, AgentCard, Artifact, Message, Part, Role, StreamResponse, Task, TaskArtifactUpdateEvent,
    TaskState, TaskStatus, TaskStatusUpdateEvent,
};
use a2a_grpc::GrpcHandler;
use a2a_pb::proto::a2a_service_server::A2aServiceServer;
use a2a_server::agent_card::agent_card_router;
use a2a_server::jsonrpc::jsonrpc_router;
use a2a_server::rest::rest_router;
use a2a_server::{
    AgentExecutor, DefaultRequestHandler, ExecutorContext, HttpPushSender, HttpPushSenderConfig,
    InMemoryPushConfigStore, InMemoryTaskStore, StaticAgentCard,
};
use axum::Router;
use clap::Parser;
use futures::stream::{self, BoxStream, StreamExt};
use rust_agents::{DELEGATION, Script, WireLog};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    name: String,
    #[arg(long)]
    log: Option<String>,
    #[arg(long, default_value_t = 0)]
    port: u16,
}

type Events = BoxStream<'static, Result<StreamResponse, A2AError>>;

/// A task at work: what stops it, and the broker's task it is for.
struct Running {
    stop: oneshot::Sender<()>,
    told: Value,
}

/// Does what messages tell it.
struct Scripted {
    name: String,
    log: Arc<WireLog>,
    running: Arc<Mutex<HashMap<String, Running>>>,
}

impl AgentExecutor for Scripted {
    fn execute(&self, context: ExecutorContext) -> Events {
        let message = context.message.clone().unwrap_or_else(|| Message::new(Role::User, Vec::new()));
        let told = message.metadata.as_ref().and_then(|all| all.get(DELEGATION)).cloned().unwrap_or_default();
        let task = told.get("task").cloned().unwrap_or_default();
        let ended = json!({ "agent": self.name, "task": task });
        let seen =
            json!({ "agent": self.name, "message_id": message.message_id, "task": task, "told": told });
        self.log.write("received", seen);
        let (stop, stopped) = oneshot::channel();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(context.task_id.clone(), Running { stop, told: task });
        let turn = Turn { task_id: context.task_id, context_id: context.context_id };
        let asked_before =
            context.stored_task.is_some_and(|task| task.status.state == TaskState::InputRequired);
        let work = if asked_before {
            turn.answer(&message)
        } else {
            turn.work(message, Arc::clone(&self.log), ended)
        };
        work.take_until(stopped).boxed()
    }

    fn cancel(&self, context: ExecutorContext) -> Events {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let task = running.remove(&context.task_id).map(|running| {
            let _ = running.stop.send(());
            running.told
        });
        self.log.write("cancel", json!({ "agent": self.name, "task": task }));
        let turn = Turn { task_id: context.task_id, context_id: context.context_id };
        stream::iter([Ok(turn.status(TaskState::Canceled, None))]).boxed()
    }
}

/// One turn of one task, and what it says.
struct Turn {
    task_id: String,
    context_id: String,
}

impl Turn {
    fn answer(self, message: &Message) -> Events {
        let text = format!("answer: {}", message.text().unwrap_or_default());
        let events = [
            self.status(TaskState::Working, None),
            self.artifact("result", &a2a::new_artifact_id(), vec![Part::text(text)], false, true),
            self.status(TaskState::Completed, None),
        ];
        stream::iter(events.map(Ok)).boxed()
    }

    fn work(self, message: Message, log: Arc<WireLog>, ended: Value) -> Events {
        let script = Script::read(message.text().unwrap_or_default());
        async_stream::stream! {
            if let Some(text) = script.message {
                yield Ok(StreamResponse::Message(self.say(&text)));
                return;
            }
            yield Ok(self.submitted(&message));
            yield Ok(self.status(TaskState::Working, None));
            tokio::time::sleep(Duration::from_millis(script.delay_ms)).await;
            if let Some(gate) = script.gate {
                let opened = reqwest::get(gate).await;
                if let Err(error) = opened {
                    yield Err(A2AError::internal(format!("the gate: {error}")));
                    return;
                }
            }
            if let Some(question) = script.ask {
                yield Ok(self.status(TaskState::InputRequired, Some(&question)));
                return;
            }
            if script.echo {
                let parts = message.parts.into_iter().skip(1).collect();
                yield Ok(self.artifact("echo", &a2a::new_artifact_id(), parts, false, true));
            }
            let artifact_id = a2a::new_artifact_id();
            let last = script.chunks.len().saturating_sub(1);
            for (index, chunk) in script.chunks.into_iter().enumerate() {
                tokio::time::sleep(Duration::from_millis(script.pace_ms)).await;
                yield Ok(self.artifact("result", &artifact_id, vec![Part::text(chunk)], index > 0, index == last));
            }
            log.write("ended", ended);
            yield Ok(match script.end.as_deref() {
                Some("failed") => self.status(TaskState::Failed, Some("told to fail")),
                Some("rejected") => self.status(TaskState::Rejected, Some("told to reject")),
                _ => self.status(TaskState::Completed, None),
            });
        }
        .boxed()
    }

    fn say(&self, text: &str) -> Message {
        let mut message = Message::new(Role::Agent, vec![Part::text(text)]);
        message.context_id = Some(self.context_id.clone());
        message
    }

    fn submitted(&self, message: &Message) -> StreamResponse {
        StreamResponse::Task(Task {
            id: self.task_id.clone(),
            context_id: self.context_id.clone(),
            status: TaskStatus { state: TaskState::Submitted, message: None, timestamp: None },
            artifacts: None,
            history: Some(vec![message.clone()]),
            metadata: None,
        })
    }

    fn status(&self, state: TaskState, text: Option<&str>) -> StreamResponse {
        StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
            task_id: self.task_id.clone(),
            context_id: self.context_id.clone(),
            status: TaskStatus { state, message: text.map(|text| self.say(text)), timestamp: None },
            metadata: None,
        })
    }

    fn artifact(
        &self,
        name: &str,
        artifact_id: &str,
        parts: Vec<Part>,
        append: bool,
        last: bool,
    ) -> StreamResponse {
        StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
            task_id: self.task_id.clone(),
            context_id: self.context_id.clone(),
            artifact: Artifact {
                artifact_id: artifact_id.to_owned(),
                name: Some(name.to_owned()),
                description: None,
                parts,
                metadata: None,
                extensions: None,
            },
            append: Some(append),
            last_chunk: Some(last),
            metadata: None,
        })
    }
}

fn card(name: &str, interfaces: &[(&str, String)]) -> Result<AgentCard, serde_json::Error> {
    let interfaces: Vec<Value> = interfaces
        .iter()
        .map(|(binding, url)| json!({ "url": url, "protocolBinding": binding, "protocolVersion": "1.0" }))
        .collect();
    serde_json::from_value(json!({
        "name": name, "description": "Does what it is told", "version": "1.0.0",
        "supportedInterfaces": interfaces,
        "capabilities": { "streaming": true, "pushNotifications": true },
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "work", "name": "Work", "description": "Does what it is told", "tags": ["test"] }],
    }))
}

fn cards(card: AgentCard) -> Router {
    agent_card_router(Arc::new(StaticAgentCard::new(card)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { name, log, port } = Arguments::parse();
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let grpc = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let interfaces = [
        ("JSONRPC", format!("{url}/jsonrpc")),
        ("HTTP+JSON", format!("{url}/rest")),
        ("GRPC", grpc.local_addr()?.to_string()),
    ];
    let card_of_all = card(&name, &interfaces)?;
    let [jsonrpc, rest, over_grpc] = &interfaces;
    let only = |interface: &(&'static str, String)| card(&name, std::slice::from_ref(interface)).map(cards);
    let (jsonrpc, rest, over_grpc) = (only(jsonrpc)?, only(rest)?, only(over_grpc)?);

    let log = Arc::new(WireLog::open(log.as_deref())?);
    let executor = Scripted { name, log, running: Arc::default() };
    // The tests listen on loopback.
    let to_loopback = HttpPushSenderConfig { validate_urls: false, ..HttpPushSenderConfig::default() };
    let handler = DefaultRequestHandler::new(executor, InMemoryTaskStore::new())
        .with_capabilities(card_of_all.capabilities.clone())
        .with_push_notifications(InMemoryPushConfigStore::new(), HttpPushSender::new(Some(to_loopback)));
    let handler = Arc::new(handler);
    let service = A2aServiceServer::new(GrpcHandler::new(Arc::clone(&handler)));
    let serving = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(grpc)));
    let router = cards(card_of_all)
        .nest("/jsonrpc", jsonrpc.merge(jsonrpc_router(Arc::clone(&handler))))
        .nest("/rest", rest.merge(rest_router(handler)))
        .nest("/grpc", over_grpc);
    println!("listening on {url}");
    axum::serve(listener, router).await?;
    Ok(())
}
