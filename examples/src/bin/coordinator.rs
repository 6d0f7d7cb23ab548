//! A coordinator: delegates to two specialists through the broker, in parallel, and merges their results.

use a2a::{
    A2AError, Message, Part, Role, SendMessageRequest, SendMessageResponse, StreamResponse, TaskState,
};
use a2a_client::A2AClient;
use a2a_client::jsonrpc::JsonRpcTransport;
use a2a_server::{AgentExecutor, ExecutorContext};
use async_stream::stream;
use futures::stream::{self, BoxStream, StreamExt};
use reqwest::header::{AUTHORIZATION, HeaderMap};

const DELEGATION: &str = "urn:bailiwick:ext:delegation:v1";

/// Has an agent do a part of the task this agent is working on; the text of what it made.
async fn delegate(
    task: &Message,
    agent: &str,
    text: &str,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    // What the broker told us with the task: where it is, and what we may do in the task's name.
    let told = task
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.get(DELEGATION))
        .ok_or("not called by a broker")?;
    let (broker, grant) =
        (told["broker"].as_str().unwrap_or_default(), told["grant"].as_str().unwrap_or_default());
    let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {grant}").parse()?)]);
    let http = reqwest::Client::builder().default_headers(headers).build()?;
    let client = A2AClient::new(JsonRpcTransport::new(http, format!("{broker}/agents/{agent}")));
    let message = Message::new(Role::User, vec![Part::text(text)]);
    let request = SendMessageRequest { message, configuration: None, metadata: None, tenant: None };
    // From here on it is only about what came back.
    match client.send_message(&request).await? {
        SendMessageResponse::Message(message) => Ok(message.text().unwrap_or_default().to_owned()),
        SendMessageResponse::Task(task) => {
            let parts = task.artifacts.iter().flatten().flat_map(|artifact| &artifact.parts);
            Ok(parts.filter_map(Part::as_text).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// Asks `left` and `right` at the same time.
struct Coordinator;

impl AgentExecutor for Coordinator {
    fn execute(&self, context: ExecutorContext) -> BoxStream<'static, Result<StreamResponse, A2AError>> {
        stream! {
            yield Ok(examples::submitted(&context));
            yield Ok(examples::status(&context, TaskState::Working, None));
            let Some(message) = &context.message else { return };
            let text = message.text().unwrap_or_default();
            match futures::try_join!(delegate(message, "left", text), delegate(message, "right", text)) {
                Ok((left, right)) => {
                    yield Ok(examples::artifact(&context, "merged", &format!("{left}\n{right}")));
                    yield Ok(examples::status(&context, TaskState::Completed, None));
                }
                Err(problem) => {
                    yield Ok(examples::status(&context, TaskState::Failed, Some(&problem.to_string())));
                }
            }
        }
        .boxed()
    }

    fn cancel(&self, context: ExecutorContext) -> BoxStream<'static, Result<StreamResponse, A2AError>> {
        stream::iter([Ok(examples::status(&context, TaskState::Canceled, None))]).boxed()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    examples::serve(Coordinator, "coordinator", "coordinate").await
}
