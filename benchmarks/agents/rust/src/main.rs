//! The echo on the official Rust SDK, unmodified: a message's text comes back as a message, or with `--tasks` as a task's
//! artifact. One thread, as the core it is given is one.

use std::sync::Arc;

use a2a::{A2AError, AgentCard, Artifact, Message, Part, Role, StreamResponse, Task, TaskState, TaskStatus};
use a2a_server::agent_card::agent_card_router;
use a2a_server::jsonrpc::jsonrpc_router;
use a2a_server::{AgentExecutor, DefaultRequestHandler, ExecutorContext, InMemoryTaskStore, StaticAgentCard};
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::json;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error>;

struct Echo {
    tasks: bool,
}

impl AgentExecutor for Echo {
    fn execute(&self, context: ExecutorContext) -> BoxStream<'static, Result<StreamResponse, A2AError>> {
        let said = context.message.as_ref().and_then(Message::text).unwrap_or_default().to_owned();
        let parts = vec![Part::text(said)];
        let answer = if self.tasks {
            StreamResponse::Task(Task {
                id: context.task_id,
                context_id: context.context_id,
                status: TaskStatus { state: TaskState::Completed, message: None, timestamp: None },
                artifacts: Some(vec![Artifact {
                    artifact_id: "echo".to_owned(),
                    name: None,
                    description: None,
                    parts,
                    metadata: None,
                    extensions: None,
                }]),
                history: None,
                metadata: None,
            })
        } else {
            let mut message = Message::new(Role::Agent, parts);
            message.context_id = Some(context.context_id);
            StreamResponse::Message(message)
        };
        stream::iter([Ok(answer)]).boxed()
    }

    fn cancel(&self, _context: ExecutorContext) -> BoxStream<'static, Result<StreamResponse, A2AError>> {
        stream::iter([Err(A2AError::internal("nothing to cancel"))]).boxed()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().ok_or("usage: sdk-echo PORT [--tasks] [--streaming]")?;
    let flags: Vec<String> = arguments.collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let card: AgentCard = serde_json::from_value(json!({
        "name": "echo", "description": "Echoes", "version": "1.0.0",
        "supportedInterfaces": [{
            "url": format!("http://127.0.0.1:{port}/"), "protocolBinding": "JSONRPC", "protocolVersion": "1.0",
        }],
        "capabilities": { "streaming": has("--streaming"), "pushNotifications": false },
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "echo", "name": "Echo", "description": "Echoes", "tags": ["echo"] }],
    }))?;
    let handler = DefaultRequestHandler::new(Echo { tasks: has("--tasks") }, InMemoryTaskStore::new())
        .with_capabilities(card.capabilities.clone());
    let router =
        agent_card_router(Arc::new(StaticAgentCard::new(card))).merge(jsonrpc_router(Arc::new(handler)));
    axum::serve(TcpListener::bind(format!("127.0.0.1:{port}")).await?, router).await?;
    Ok(())
}
