//! A small client of a running broker: JSON-RPC for tasks, the operator API for agents and trees.

use std::time::{Duration, Instant};

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use protocol::binding::http_json::percent_encode;
use protocol::binding::jsonrpc::{self, ResponseError};
use protocol::binding::sse::{self, Decoder};
use protocol::{Operation, PROTOCOL_VERSION, StreamResponse, VERSION_HEADER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::arguments::Connection;
use super::http::{Http, Unanswered};

/// Largest event read.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;
/// How long a broker may take to listen: `bailiwick serve &` and the next command are often pasted together.
const START_PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct BrokerClient {
    http: Http,
    base: String,
    key: Option<String>,
}

impl BrokerClient {
    pub(super) fn new(connection: &Connection) -> Self {
        let http = Http::believing(connection.ca_file.clone());
        Self { http, key: connection.key.clone(), ..Self::to(&connection.broker) }
    }

    /// A client without a credential.
    pub(crate) fn to(base: &str) -> Self {
        Self { http: Http::default(), base: base.trim_end_matches('/').to_owned(), key: None }
    }

    /// A client with a key or a grant.
    pub(crate) fn with_key(base: &str, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..Self::to(base) }
    }

    /// The HTTP client that knows whom to believe.
    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// Sends a request, with a body of JSON or with none. A broker that nobody answers for may have been started a moment
    /// ago.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, String> {
        let base = &self.base;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header(VERSION_HEADER, PROTOCOL_VERSION);
        if let Some(key) = &self.key {
            let header = HeaderValue::try_from(format!("Bearer {key}"));
            let mut header = header.map_err(|_| "--key: expected a key of one line".to_owned())?;
            header.set_sensitive(true);
            request = request.header(AUTHORIZATION, header);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default())).map_err(|error| {
            format!("{base}{path}: {error}; expected a URL such as http://127.0.0.1:8420")
        })?;
        let patience = Instant::now() + START_PATIENCE;
        loop {
            match self.http.send(request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Unanswered { is_refused: true, .. }) if Instant::now() < patience => {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                Err(Unanswered { is_refused: true, .. }) => {
                    return Err(format!(
                        "no broker answers at {base}; start one with `bailiwick serve`, or name it with --broker"
                    ));
                }
                Err(Unanswered { why, .. }) => return Err(format!("{base}: {why}")),
            }
        }
    }

    /// Calls the operator API; the answer's body, or null where there is none.
    pub(crate) async fn api(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let body = body.map(|body| body.to_string().into_bytes());
        let body = self.answered(method, path, body).await?;
        Ok(serde_json::from_str(&body).unwrap_or_default())
    }

    /// Calls the operator API for something that is not one JSON document.
    pub(super) async fn api_text(&self, method: Method, path: &str) -> Result<String, String> {
        self.answered(method, path, None).await
    }

    /// A backup, in pieces.
    pub(super) async fn backup(&self) -> Result<impl Stream<Item = Result<Bytes, String>> + use<>, String> {
        let answer = good(self.send(Method::POST, "/api/v1/backup", None).await?).await?;
        let pieces = answer.into_body().into_data_stream();
        Ok(pieces.map(|piece| piece.map_err(|error| error.to_string())))
    }

    /// The body of a good answer, or what a bad one says.
    async fn answered(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<String, String> {
        let answer = good(self.send(method, path, body).await?).await?;
        Ok(String::from_utf8_lossy(&whole(answer).await?).into_owned())
    }

    async fn post(
        &self,
        path: &str,
        operation: Operation,
        params: &impl Serialize,
    ) -> Result<Response<Incoming>, String> {
        let body =
            jsonrpc::write_request(1, operation.method(), params).map_err(|error| error.to_string())?;
        self.send(Method::POST, path, Some(body)).await
    }

    /// Calls an operation.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        operation: Operation,
        params: &impl Serialize,
    ) -> Result<T, String> {
        let answer = self.post(path, operation, params).await?;
        jsonrpc::read_response(&whole(answer).await?).map_err(describe)
    }

    /// Calls an operation that streams.
    pub(crate) async fn stream(
        &self,
        path: &str,
        operation: Operation,
        params: &impl Serialize,
    ) -> Result<impl Stream<Item = Result<StreamResponse, String>>, String> {
        let mut answer = self.post(path, operation, params).await?;
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(sse::is_media_type) {
            return Err(match jsonrpc::read_response::<Value>(&whole(answer).await?) {
                Err(error) => describe(error),
                Ok(_) => "expected an event stream".to_owned(),
            });
        }
        Ok(try_stream! {
            let mut decoder = Decoder::new(MAX_EVENT_BYTES);
            while let Some(frame) = answer.frame().await {
                let bytes = frame.map_err(|error| error.to_string())?.into_data().unwrap_or_default();
                let mut complete = Vec::new();
                let pushed = decoder.push(&bytes, &mut complete);
                for event in complete {
                    yield jsonrpc::read_response(event.data.as_bytes()).map_err(describe)?;
                }
                pushed.map_err(|error| error.to_string())?;
            }
        })
    }
}

/// Where the operator API has something of a task's.
pub(crate) fn of_task(id: &str, what: &str) -> String {
    format!("/api/v1/tasks/{}/{what}", percent_encode(id))
}

fn describe(error: ResponseError) -> String {
    match error {
        ResponseError::Answered(error) => error.message,
        ResponseError::Garbage(problem) => problem,
    }
}

/// An answer that is good, or what a bad one says.
async fn good(answer: Response<Incoming>) -> Result<Response<Incoming>, String> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let said: Value = serde_json::from_slice(&whole(answer).await?).unwrap_or_default();
    let message = said.pointer("/error/message").and_then(Value::as_str).unwrap_or("no explanation");
    Err(format!("{message} (HTTP {})", status.as_u16()))
}

async fn whole(answer: Response<Incoming>) -> Result<Bytes, String> {
    let body = answer.into_body().collect().await.map_err(|error| error.to_string())?;
    Ok(body.to_bytes())
}
