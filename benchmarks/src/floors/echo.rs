//! The least agent: reads a message as far as it must and sends its parts back, as a message, as a task, or as a stream
//! of three events. What it echoes is what was sent, so that an answer can be told from any other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response};
use prost::Message as _;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::body::Pieces;
use super::serving::{Service, whole};
use crate::grpc::{
    self, Artifact, ArtifactUpdate, Payload, SendMessageRequest, Status, StatusUpdate, StreamResponse, Task,
};

const CARD: &str = "/.well-known/agent-card.json";
/// How many messages it has answered.
pub const SERVED: &str = "/served";

#[derive(Clone)]
pub struct Echo {
    card: Bytes,
    tasks: bool,
    served: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    method: &'a str,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    message: Option<Said<'a>>,
    id: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    message_id: &'a str,
    #[serde(borrow)]
    parts: &'a RawValue,
}

impl Echo {
    pub fn new(listen: SocketAddr, streaming: bool, tasks: bool) -> Self {
        let card = json!({
            "name": "echo", "description": "Echoes", "version": "1.0.0",
            "supportedInterfaces": [
                { "url": format!("http://{listen}"), "protocolBinding": "JSONRPC", "protocolVersion": "1.0" },
            ],
            "capabilities": { "streaming": streaming, "pushNotifications": false },
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "skills": [{ "id": "echo", "name": "Echo", "description": "Echoes", "tags": ["echo"] }],
        });
        Self { card: card.to_string().into(), tasks, served: Arc::default() }
    }

    fn call(&self, body: &[u8]) -> Result<Response<Pieces>> {
        let Call { id, method, params } = serde_json::from_slice(body).context("a call")?;
        let said = || params.message.as_ref().context("a message");
        Ok(match method {
            "SendMessage" => {
                self.served.fetch_add(1, Ordering::Relaxed);
                let said = said()?;
                let result = if self.tasks { task_of(said) } else { message_of(said) };
                one(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
            }
            "SendStreamingMessage" => {
                self.served.fetch_add(1, Ordering::Relaxed);
                let events = events_of(said()?);
                sse(events
                    .map(|event| format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{event}}}\n\n")))
            }
            "GetTask" => {
                let task = params.id.context("an id")?;
                one(format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{"id":"{task}","contextId":"c","status":{{"state":"TASK_STATE_COMPLETED"}},"artifacts":[{{"artifactId":"echo","parts":[{{"text":"hi"}}]}}]}}}}"#
                ))
            }
            _ => one(format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"the echo knows no such method"}}}}"#
            )),
        })
    }
}

impl Service for Echo {
    type Body = Pieces;

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Pieces>> {
        if request.method() == Method::GET {
            let body = match request.uri().path() {
                CARD => self.card.clone(),
                SERVED => self.served.load(Ordering::Relaxed).to_string().into(),
                _ => return Ok(Response::builder().status(404).body(Pieces::default())?),
            };
            return Ok(Response::builder()
                .header("content-type", "application/json")
                .body(Pieces::one(body))?);
        }
        let path = request.uri().path();
        let (over_grpc, over_http) = (path == grpc::STREAM, path.ends_with("/message:stream"));
        let body = whole(request.into_body()).await?;
        if over_grpc {
            self.served.fetch_add(1, Ordering::Relaxed);
            return stream_over_grpc(&body);
        }
        if over_http {
            self.served.fetch_add(1, Ordering::Relaxed);
            let params: Params = serde_json::from_slice(&body).context("a message")?;
            let events = events_of(params.message.as_ref().context("a message")?);
            return Ok(sse(events.map(|event| format!("data: {event}\n\n"))));
        }
        self.call(&body)
    }
}

fn one(body: String) -> Response<Pieces> {
    let mut response = Response::new(Pieces::one(body.into()));
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}

fn sse(events: [String; 3]) -> Response<Pieces> {
    let mut response = Response::new(Pieces::events(events.map(Bytes::from), None));
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("text/event-stream"));
    response
}

fn message_of(said: &Said<'_>) -> String {
    let Said { message_id, parts } = said;
    format!(r#"{{"message":{{"messageId":"{message_id}","role":"ROLE_AGENT","parts":{parts}}}}}"#)
}

fn task_of(said: &Said<'_>) -> String {
    let Said { message_id, parts } = said;
    format!(
        r#"{{"task":{{"id":"{message_id}","contextId":"c","status":{{"state":"TASK_STATE_COMPLETED"}},"artifacts":[{{"artifactId":"echo","parts":{parts}}}]}}}}"#
    )
}

fn events_of(said: &Said<'_>) -> [String; 3] {
    let Said { message_id: id, parts } = said;
    [
        format!(r#"{{"task":{{"id":"{id}","contextId":"c","status":{{"state":"TASK_STATE_WORKING"}}}}}}"#),
        format!(
            r#"{{"artifactUpdate":{{"taskId":"{id}","contextId":"c","artifact":{{"artifactId":"echo","parts":{parts}}}}}}}"#
        ),
        format!(
            r#"{{"statusUpdate":{{"taskId":"{id}","contextId":"c","status":{{"state":"TASK_STATE_COMPLETED"}}}}}}"#
        ),
    ]
}

fn stream_over_grpc(body: &[u8]) -> Result<Response<Pieces>> {
    let frame = grpc::take_frame(&mut BytesMut::from(body)).context("a frame")?;
    let message = SendMessageRequest::decode(frame)?.message.context("a message")?;
    let (id, context_id) = (message.message_id, "c".to_owned());
    let status = |state| Some(Status { state });
    let artifact = Some(Artifact { artifact_id: "echo".to_owned(), parts: message.parts });
    let events = [
        Payload::Task(Task {
            id: id.clone(),
            context_id: context_id.clone(),
            status: status(grpc::WORKING),
            artifacts: Vec::new(),
        }),
        Payload::Artifact(ArtifactUpdate { task_id: id.clone(), context_id: context_id.clone(), artifact }),
        Payload::Status(StatusUpdate { task_id: id, context_id, status: status(grpc::COMPLETED) }),
    ];
    let events = events.map(|payload| grpc::frame(&StreamResponse { payload: Some(payload) }));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse()?);
    Ok(Response::builder()
        .header("content-type", "application/grpc")
        .body(Pieces::events(events, Some(trailers)))?)
}
