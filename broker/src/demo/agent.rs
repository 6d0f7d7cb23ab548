//! A small A2A agent: an HTTP server with a card and one operation. It knows the broker only from what it is told
//! with a task.

use std::convert::Infallible;
use std::time::Duration;

use async_stream::stream;
use broker_core::extension;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use protocol::binding::{jsonrpc, sse};
use protocol::{Message, Operation, SendMessageRequest, StreamResponse, TaskArtifactUpdateEvent, TaskState};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cli::client::BrokerClient;

/// How long an agent works before it delegates, and before it delivers: slow enough to be watched.
const WORK: Duration = Duration::from_millis(600);

/// What an agent does with a task.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) result: &'static str,
    pub(super) delegations: &'static [Delegation],
}

/// A sub-task for another agent.
#[derive(Clone, Copy)]
pub(super) struct Delegation {
    pub(super) agent: &'static str,
    pub(super) order: &'static str,
}

/// What the broker tells an agent with a task.
#[derive(Deserialize)]
struct Told {
    broker: String,
    grant: String,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Starts an agent on a free port; its URL.
pub(super) async fn start(name: &'static str, part: Part) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let card = card(name, &url);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            let card = card.clone();
            let service = service_fn(move |request| answer(request, card.clone(), name, part));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
            );
        }
    });
    Ok(url)
}

fn card(name: &str, url: &str) -> Value {
    json!({
        "name": name, "description": format!("The {name} of the demonstration"), "version": "1",
        "supportedInterfaces": [{ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
        "capabilities": { "streaming": true },
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "work", "name": "Work", "description": "Does its part", "tags": ["demo"] }],
    })
}

async fn answer(
    request: Request<Incoming>,
    card: Value,
    name: &'static str,
    part: Part,
) -> Result<Response<Body>, Infallible> {
    if request.method() == http::Method::GET {
        return Ok(whole(card.to_string()));
    }
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let call = match jsonrpc::read_request(&body) {
        Ok(call) => call,
        Err(rejected) => return Ok(whole(jsonrpc::write_error(&rejected.id, &rejected.error))),
    };
    let params = protocol::read_params::<SendMessageRequest>(call.params.as_deref());
    let (Operation::SendStreamingMessage, Ok(params)) = (call.operation, params) else {
        let message = "this agent only takes streaming messages";
        let error = protocol::A2aError::new(protocol::ErrorKind::UnsupportedOperation, message);
        return Ok(whole(jsonrpc::write_error(&call.id, &error)));
    };
    let events = work(name, part, params.message);
    let frames = events.map(move |event| {
        let event = jsonrpc::wrap_result(&call.id, event.to_string().as_bytes());
        Ok(Frame::data(Bytes::from(sse::write_event(None, &[&event]))))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let media_type = http::HeaderValue::from_static(sse::MEDIA_TYPE);
    response.headers_mut().insert(http::header::CONTENT_TYPE, media_type);
    Ok(response)
}

fn whole(body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    let media_type = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, media_type);
    response
}

/// The agent at work: its task, a pause, its delegations all at once, its result.
fn work(name: &'static str, part: Part, message: Message) -> impl futures_util::Stream<Item = Value> {
    stream! {
        let (id, context) = (uuid::Uuid::now_v7().to_string(), message.context_id.clone().unwrap_or_default());
        let status = |state: TaskState, text: &str| json!({ "statusUpdate": {
            "taskId": id, "contextId": context,
            "status": { "state": state, "message": Message::agent_text(uuid::Uuid::now_v7().to_string(), text) } } });
        yield json!({ "task": { "id": id, "contextId": context, "status": { "state": TaskState::Submitted },
                                "history": [message] } });
        yield status(TaskState::Working, &format!("{name} begins"));
        tokio::time::sleep(WORK).await;
        let told: Option<Told> = message.metadata.get_as(extension::URI);
        let mut results = vec![part.result.to_owned()];
        if let Some(told) = told {
            for outcome in join_all(part.delegations.iter().map(|order| delegate(&told, *order))).await {
                match outcome {
                    Ok(result) => results.push(result),
                    Err(refusal) => yield status(TaskState::Working, &format!("refused: {refusal}")),
                }
            }
        }
        tokio::time::sleep(WORK).await;
        yield json!({ "artifactUpdate": { "taskId": id, "contextId": context, "lastChunk": true, "artifact": {
            "artifactId": "result", "name": name, "parts": [{ "text": results.join(" ") }] } } });
        yield status(TaskState::Completed, &format!("{name} is done"));
    }
}

/// Has another agent do a part of the task, through the broker, with the task's grant.
async fn delegate(told: &Told, order: Delegation) -> Result<String, String> {
    let broker = BrokerClient::with_key(&told.broker, &told.grant);
    let message = Message::user_text(uuid::Uuid::now_v7().to_string(), order.order);
    let path = format!("/agents/{}", order.agent);
    let request = SendMessageRequest::new(message);
    let events = broker.stream(&path, Operation::SendStreamingMessage, &request).await?;
    let mut events = std::pin::pin!(events);
    let mut result = String::new();
    while let Some(event) = events.next().await.transpose()? {
        if let StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent { artifact, .. }) = event {
            result.extend(artifact.parts.iter().filter_map(protocol::Part::as_text));
        }
    }
    Ok(result)
}
