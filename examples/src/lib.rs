//! Runs an executor as an A2A server with the official Rust SDK: nothing here knows of the broker.
#![allow(clippy::print_stdout, reason = "an example says where it listens")]

use std::sync::Arc;

use a2a::{AgentCard, Message, Role, StreamResponse, Task, TaskState, TaskStatus, TaskStatusUpdateEvent};
use a2a_server::agent_card::agent_card_router;
use a2a_server::jsonrpc::jsonrpc_router;
use a2a_server::rest::rest_router;
use a2a_server::{AgentExecutor, DefaultRequestHandler, ExecutorContext, InMemoryTaskStore, StaticAgentCard};
use serde_json::json;
use tokio::net::TcpListener;

/// Serves until interrupted; says where on standard output. The port is the first argument, 0 takes a free one.
pub async fn serve(
    executor: impl AgentExecutor,
    name: &str,
    skill: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let card: AgentCard = serde_json::from_value(json!({
        "name": name, "description": format!("The {name} of the examples"), "version": "1.0.0",
        "supportedInterfaces": [
            { "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" },
            { "url": url, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0" },
        ],
        "capabilities": { "streaming": true },
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": skill, "name": skill, "description": format!("Can {skill}"), "tags": ["example"] }],
    }))?;
    let handler = Arc::new(DefaultRequestHandler::new(executor, InMemoryTaskStore::new()));
    let card = agent_card_router(Arc::new(StaticAgentCard::new(card)));
    println!("listening on {url}");
    axum::serve(listener, jsonrpc_router(handler.clone()).merge(rest_router(handler)).merge(card)).await?;
    Ok(())
}

/// The task as the first event of its stream.
pub fn submitted(context: &ExecutorContext) -> StreamResponse {
    StreamResponse::Task(Task {
        id: context.task_id.clone(),
        context_id: context.context_id.clone(),
        status: TaskStatus { state: TaskState::Submitted, message: None, timestamp: None },
        artifacts: None,
        history: Some(context.message.iter().cloned().collect()),
        metadata: None,
    })
}

/// A change of the task's state, with a word about it where there is one.
pub fn status(context: &ExecutorContext, state: TaskState, text: Option<&str>) -> StreamResponse {
    let message = text.map(|text| Message::new(Role::Agent, vec![a2a::Part::text(text)]));
    StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
        task_id: context.task_id.clone(),
        context_id: context.context_id.clone(),
        status: TaskStatus { state, message, timestamp: None },
        metadata: None,
    })
}

/// A text as the task's artifact.
pub fn artifact(context: &ExecutorContext, name: &str, text: &str) -> StreamResponse {
    StreamResponse::ArtifactUpdate(a2a::TaskArtifactUpdateEvent {
        task_id: context.task_id.clone(),
        context_id: context.context_id.clone(),
        artifact: a2a::Artifact {
            artifact_id: a2a::new_artifact_id(),
            name: Some(name.to_owned()),
            description: None,
            parts: vec![a2a::Part::text(text)],
            metadata: None,
            extensions: None,
        },
        append: None,
        last_chunk: Some(true),
        metadata: None,
    })
}
