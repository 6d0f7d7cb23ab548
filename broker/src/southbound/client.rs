//! The A2A client: one request of one binding, and what its answer means.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use broker_core::delegation::input::Failure;
use broker_core::extension;
use broker_core::trace::TRACE_HEADER;
use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, TE};
use http::{HeaderValue, Method, Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use protocol::binding::grpc::{path_of, write_request};
use protocol::binding::http_json::percent_encode;
use protocol::binding::sse;
use protocol::{Operation, Role, SendMessageRequest, SendMessageResponse, Task, VERSION_HEADER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::credentials::Credentials;
use super::dialer::Dialer;
use super::discovery::MAX_CARD_BYTES;
use super::failure::{Trouble, is_unauthenticated};
use super::wire::Wire;
use super::{body, grpc, retry_after, stream as events};
use crate::address::Destination;
use crate::ports::downstream::{AskError, Binding, Downstream, Endpoint, EventStream};

/// Most pages of an agent's tasks read to find one.
const FIND_PAGES: usize = 10;
/// Tasks per such page.
const FIND_PAGE_SIZE: u32 = 100;

/// Bounds on talking to agents.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// From a request to the head of its answer, and from there to the end of one that is no stream.
    pub response_timeout: Duration,
    /// Of one event.
    pub max_event_bytes: usize,
    /// Of one answer that is no stream.
    pub max_response_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            response_timeout: Duration::from_secs(30),
            max_event_bytes: 1024 * 1024,
            max_response_bytes: 72 * 1024 * 1024,
        }
    }
}

/// An A2A client.
pub struct A2aClient {
    dialer: Arc<Dialer>,
    credentials: Credentials,
    options: Options,
    next_id: AtomicU64,
}

impl A2aClient {
    /// A client within these bounds.
    pub fn new(dialer: Arc<Dialer>, options: Options) -> Self {
        let credentials = Credentials::new(Arc::clone(&dialer), options.response_timeout);
        Self { dialer, credentials, options, next_id: AtomicU64::new(1) }
    }

    /// Makes a request and waits for the head of the answer. `patience` bounds the wait, where there is a bound.
    async fn call(
        &self,
        to: &Endpoint,
        operation: Operation,
        task: &str,
        params: &impl Serialize,
        patience: Option<Duration>,
    ) -> Result<Response<Incoming>, Trouble> {
        let request = self.request(to, operation, task, params)?;
        self.send_as(to, &to.at, request, patience).await
    }

    /// Sends a request with what the broker shows an agent, to that agent or whoever it is with.
    pub(super) async fn send_as(
        &self,
        to: &Endpoint,
        at: &Destination,
        mut request: Request<Full<Bytes>>,
        patience: Option<Duration>,
    ) -> Result<Response<Incoming>, Trouble> {
        let Some(auth) = &to.auth else {
            return self.dialer.send(at.reach(), request, patience).await;
        };
        let without = |reason| Trouble::Connect(format!("the broker's credential for it: {reason}"));
        let (name, value) = self.credentials.header(auth).await.map_err(without)?;
        request.headers_mut().insert(name.clone(), value.clone());
        let answer = self.dialer.send(at.reach(), request.clone(), patience).await?;
        if !is_unauthenticated(&answer) {
            return Ok(answer);
        }
        // It says that nothing was done, so asking again with another credential repeats nothing.
        let Some((name, value)) = self.credentials.other_than(&(name, value), auth).await else {
            return Ok(answer);
        };
        request.headers_mut().insert(name, value);
        self.dialer.send(at.reach(), request, patience).await
    }

    fn request(
        &self,
        to: &Endpoint,
        operation: Operation,
        task: &str,
        params: &impl Serialize,
    ) -> Result<Request<Full<Bytes>>, Trouble> {
        let wire = Wire::of(to, operation);
        let mut version = Version::default();
        let (method, uri, body) = match to.binding {
            Binding::JsonRpc => {
                let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                (Method::POST, to.at.url().to_owned(), wire.call(id, params)?)
            }
            Binding::HttpJson => {
                let uri = http_json_uri(to, operation, task, params);
                let (method, body) = match operation.route().0 {
                    "GET" => (Method::GET, Vec::new()),
                    _ => (Method::POST, wire.body(params)?),
                };
                (method, uri, body)
            }
            Binding::Grpc => {
                version = Version::HTTP_2;
                let uri = format!("{}{}", to.at.url().trim_end_matches('/'), path_of(operation));
                let body = write_request(operation, params).map_err(Trouble::Inexpressible)?;
                (Method::POST, uri, body)
            }
        };
        let accept =
            if operation.streams() { "text/event-stream, application/json" } else { "application/json" };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .version(version)
            .header(CONTENT_TYPE, wire.media_type())
            .header(ACCEPT, accept)
            .header(VERSION_HEADER, wire.version_name())
            .header(wire.extensions_header(), extensions(to))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| {
                Trouble::Connect(format!("the interface URL {:?} cannot be used: {error}", to.at.url()))
            })?;
        if let Some(trace) = to.trace.and_then(|trace| HeaderValue::try_from(trace.to_string()).ok()) {
            request.headers_mut().insert(TRACE_HEADER, trace);
        }
        if is_asked_once(to, operation) {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if to.binding == Binding::Grpc {
            // What gRPC finds proxies by that would lose the status.
            request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        }
        Ok(request)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        to: &Endpoint,
        operation: Operation,
        task: &str,
        params: &impl Serialize,
    ) -> Result<T, Trouble> {
        let patience = Some(self.options.response_timeout);
        let answer = self.call(to, operation, task, params, patience).await?;
        self.read(Wire::of(to, operation), answer).await
    }

    /// Reads an answer that is no stream, for as long as the head was waited for: an agent that falls silent in the middle
    /// is as silent as one that never began.
    async fn read<T: DeserializeOwned>(&self, wire: Wire, answer: Response<Incoming>) -> Result<T, Trouble> {
        let patience = self.options.response_timeout;
        let late = |_| Trouble::Timeout(format!("its answer did not end within {} s", patience.as_secs()));
        tokio::time::timeout(patience, self.read_whole(wire, answer)).await.map_err(late)?
    }

    async fn read_whole<T: DeserializeOwned>(
        &self,
        wire: Wire,
        answer: Response<Incoming>,
    ) -> Result<T, Trouble> {
        let limit = match wire.operation() {
            Operation::GetExtendedAgentCard => MAX_CARD_BYTES,
            _ => self.options.max_response_bytes,
        };
        if let Some(operation) = wire.grpc_operation() {
            return grpc::read(operation, answer, limit).await;
        }
        let (status, wait) = (answer.status(), retry_after::read(answer.headers()));
        let bytes = body::read(answer.into_body(), limit).await?;
        wire.read_answer(status, &bytes).map_err(|trouble| trouble.with_wait(wait))
    }

    /// Opens a stream; an agent that answers with one object instead is heard out all the same.
    async fn open(
        &self,
        to: &Endpoint,
        operation: Operation,
        task: &str,
        params: &impl Serialize,
    ) -> Result<EventStream, Trouble> {
        let answer = self.call(to, operation, task, params, None).await?;
        let limit = match operation {
            // It begins with the whole task.
            Operation::SubscribeToTask => self.options.max_event_bytes.max(self.options.max_response_bytes),
            _ => self.options.max_event_bytes,
        };
        if to.binding == Binding::Grpc {
            return grpc::open(operation, answer, limit).await;
        }
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if answer.status().is_success() && media_type.is_some_and(sse::is_media_type) {
            let wire = Wire::of(to, operation);
            return Ok(events::events(answer.into_body(), wire, limit));
        }
        let response: SendMessageResponse = self.read(Wire::of(to, operation), answer).await?;
        Ok(Box::pin(stream::iter([Ok(response.into())])))
    }

    async fn get(&self, to: &Endpoint, agent_task: &str) -> Result<Task, Trouble> {
        self.ask(to, Operation::GetTask, agent_task, &with_tenant(to, json!({ "id": agent_task }))).await
    }
}

#[async_trait]
impl Downstream for A2aClient {
    async fn send(&self, to: &Endpoint, request: SendMessageRequest) -> Result<EventStream, Failure> {
        if to.streaming {
            return self
                .open(to, Operation::SendStreamingMessage, "", &request)
                .await
                .map_err(Trouble::of_send);
        }
        let answer: SendMessageResponse =
            self.ask(to, Operation::SendMessage, "", &request).await.map_err(Trouble::of_send)?;
        Ok(Box::pin(stream::iter([Ok(answer.into())])))
    }

    async fn get_task(&self, to: &Endpoint, agent_task: &str) -> Result<Task, AskError> {
        self.get(to, agent_task).await.map_err(Trouble::of_ask)
    }

    async fn find_task(
        &self,
        to: &Endpoint,
        agent_context: &str,
        message_id: &str,
    ) -> Result<Option<Task>, AskError> {
        if !to.lists_tasks() {
            return Err(AskError::Unsupported("A2A 0.3 cannot list tasks".to_owned()));
        }
        let (mut page_token, mut mute) = (String::new(), None);
        for _ in 0..FIND_PAGES {
            let params =
                json!({ "contextId": agent_context, "pageSize": FIND_PAGE_SIZE, "pageToken": page_token });
            let page: Page = self
                .ask(to, Operation::ListTasks, "", &with_tenant(to, params))
                .await
                .map_err(Trouble::of_ask)?;
            for mut task in page.tasks {
                if !shows_its_caller(&task) {
                    task = self.get(to, &task.id).await.map_err(Trouble::of_ask)?;
                }
                if task.history.iter().any(|message| is_of_attempt(&message.message_id, message_id)) {
                    return Ok(Some(task));
                }
                if !shows_its_caller(&task) {
                    mute = Some(task.id);
                }
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return match mute {
                    None => Ok(None),
                    Some(id) => Err(AskError::Unsupported(format!(
                        "it does not show what began its task {id}, which may be the one"
                    ))),
                };
            }
        }
        Err(AskError::Unsupported(format!("more than {FIND_PAGES} pages of tasks in one context")))
    }

    async fn subscribe(&self, to: &Endpoint, agent_task: &str) -> Result<EventStream, AskError> {
        let params = with_tenant(to, json!({ "id": agent_task }));
        self.open(to, Operation::SubscribeToTask, agent_task, &params).await.map_err(Trouble::of_ask)
    }

    async fn cancel_task(&self, to: &Endpoint, agent_task: &str) -> Result<Task, AskError> {
        let params = with_tenant(to, json!({ "id": agent_task }));
        self.ask(to, Operation::CancelTask, agent_task, &params).await.map_err(Trouble::of_ask)
    }

    async fn revoke_task(&self, to: &Endpoint, agent_task: &str) -> Result<(), AskError> {
        let told = self.tell_revoked(to, agent_task, self.options.response_timeout).await;
        told.map_err(Trouble::of_ask)
    }

    async fn extended_card(&self, to: &Endpoint) -> Result<Bytes, AskError> {
        let params = with_tenant(to, json!({}));
        let card: Box<RawValue> =
            self.ask(to, Operation::GetExtendedAgentCard, "", &params).await.map_err(Trouble::of_ask)?;
        Ok(Bytes::from(String::from(Box::<str>::from(card))))
    }
}

/// Whether it is certain beforehand that nobody can say afterwards if a request has come: a message to an agent whose tasks
/// cannot be listed. It goes over a connection of its own, which the agent does not close for being idle while the message is
/// on its way.
fn is_asked_once(to: &Endpoint, operation: Operation) -> bool {
    let is_message = matches!(operation, Operation::SendMessage | Operation::SendStreamingMessage);
    is_message && !to.lists_tasks()
}

/// What is read of a ListTasks answer; agents leave out what is empty.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    tasks: Vec<Task>,
    #[serde(default)]
    next_page_token: String,
}

/// Whether a task's history, cut short as it may be, says who wrote to it.
fn shows_its_caller(task: &Task) -> bool {
    task.history.iter().any(|message| message.role == Role::User)
}

/// Whether a message belongs to the same attempt as another: the broker's ids end with the task and the attempt.
fn is_of_attempt(message_id: &str, other: &str) -> bool {
    let attempt = |id: &str| id.rmatch_indices('.').nth(1).map(|(at, _)| id[at..].to_owned());
    message_id == other || attempt(message_id).is_some_and(|own| Some(own) == attempt(other))
}

/// The extensions asked for, as one header (spec §14.2.2).
fn extensions(to: &Endpoint) -> String {
    let others = to.extensions.iter().map(String::as_str).filter(|uri| *uri != extension::URI);
    std::iter::once(extension::URI).chain(others).collect::<Vec<_>>().join(",")
}

fn with_tenant(to: &Endpoint, mut params: Value) -> Value {
    if let (Some(tenant), Some(members)) = (&to.tenant, params.as_object_mut()) {
        members.insert("tenant".to_owned(), tenant.clone().into());
    }
    params
}

/// The operation's path below the interface, with parameters in the query where there is no body (spec §11.5).
fn http_json_uri(to: &Endpoint, operation: Operation, task: &str, params: &impl Serialize) -> String {
    let tenant =
        to.tenant.as_deref().map(|tenant| format!("/{}", percent_encode(tenant))).unwrap_or_default();
    let path = Wire::of(to, operation).path(task);
    let mut uri = format!("{}{tenant}{path}", to.at.url().trim_end_matches('/'));
    if operation == Operation::ListTasks {
        let members = serde_json::to_value(params).unwrap_or_default();
        let pairs: Vec<String> = members
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, value)| *name != "tenant" && **value != json!(""))
            .map(|(name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                format!("{name}={}", percent_encode(&value))
            })
            .collect();
        uri = format!("{uri}?{}", pairs.join("&"));
    }
    uri
}
