//! A small client of a running broker: JSON-RPC for tasks, the operator API for agents and trees.

use std::time::{Duration, Instant};

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::binding::jsonrpc::{self, ResponseError};
use protocol::binding::sse::Decoder;
use protocol::{Operation, PROTOCOL_VERSION, StreamResponse, VERSION_HEADER};
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::arguments::Connection;

/// Largest event read.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;
/// How long a broker may take to listen: `bailiwick serve &` and the next command are often pasted together.
const START_PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct BrokerClient {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
}

impl BrokerClient {
    pub(super) fn new(connection: &Connection) -> Self {
        Self { key: connection.key.clone(), ..Self::to(&connection.broker) }
    }

    /// A client without a credential.
    pub(crate) fn to(base: &str) -> Self {
        Self { http: reqwest::Client::new(), base: base.trim_end_matches('/').to_owned(), key: None }
    }

    /// A client with a key or a grant.
    pub(crate) fn with_key(base: &str, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..Self::to(base) }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header(VERSION_HEADER, PROTOCOL_VERSION);
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request. A broker that nobody answers for may have been started a moment ago.
    async fn send(&self, request: RequestBuilder) -> Result<Response, String> {
        let patience = Instant::now() + START_PATIENCE;
        let answered = loop {
            let Some(again) = request.try_clone() else { break request.send().await };
            match again.send().await {
                Err(error) if error.is_connect() && Instant::now() < patience => {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                answered => break answered,
            }
        };
        answered.map_err(|error| {
            let base = &self.base;
            if error.is_connect() {
                format!(
                    "no broker answers at {base}; start one with `bailiwick serve`, or name it with --broker"
                )
            } else {
                format!("{base}: {error}")
            }
        })
    }

    /// Calls the operator API; the answer's body, or null where there is none.
    pub(crate) async fn api(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let body = self.answered(request).await?;
        Ok(serde_json::from_str(&body).unwrap_or_default())
    }

    /// Calls the operator API for something that is not one JSON document.
    pub(super) async fn api_text(&self, method: Method, path: &str) -> Result<String, String> {
        self.answered(self.request(method, path)).await
    }

    /// A backup, in pieces.
    pub(super) async fn backup(&self) -> Result<impl Stream<Item = Result<Bytes, String>> + use<>, String> {
        let answer = self.send(self.request(Method::POST, "/api/v1/backup")).await?;
        Ok(good(answer).await?.bytes_stream().map(|piece| piece.map_err(|error| error.to_string())))
    }

    /// The body of a good answer, or what a bad one says.
    async fn answered(&self, request: RequestBuilder) -> Result<String, String> {
        let answer = good(self.send(request).await?).await?;
        answer.text().await.map_err(|error| error.to_string())
    }

    async fn post(
        &self,
        path: &str,
        operation: Operation,
        params: &impl Serialize,
    ) -> Result<Response, String> {
        let body =
            jsonrpc::write_request(1, operation.method(), params).map_err(|error| error.to_string())?;
        let request = self.request(Method::POST, path).header("Content-Type", "application/json").body(body);
        self.send(request).await
    }

    /// Calls an operation.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        operation: Operation,
        params: &impl Serialize,
    ) -> Result<T, String> {
        let answer = self.post(path, operation, params).await?;
        let bytes = answer.bytes().await.map_err(|error| error.to_string())?;
        jsonrpc::read_response(&bytes).map_err(describe)
    }

    /// Calls an operation that streams.
    pub(crate) async fn stream(
        &self,
        path: &str,
        operation: Operation,
        params: &impl Serialize,
    ) -> Result<impl Stream<Item = Result<StreamResponse, String>>, String> {
        let mut answer = self.post(path, operation, params).await?;
        let media_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(|value| value.starts_with("text/event-stream")) {
            let bytes = answer.bytes().await.map_err(|error| error.to_string())?;
            return Err(match jsonrpc::read_response::<Value>(&bytes) {
                Err(error) => describe(error),
                Ok(_) => "expected an event stream".to_owned(),
            });
        }
        Ok(try_stream! {
            let mut decoder = Decoder::new(MAX_EVENT_BYTES);
            while let Some(bytes) = answer.chunk().await.map_err(|error| error.to_string())? {
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

fn describe(error: ResponseError) -> String {
    match error {
        ResponseError::Answered(error) => error.message,
        ResponseError::Garbage(problem) => problem,
    }
}

/// An answer that is good, or what a bad one says.
async fn good(answer: Response) -> Result<Response, String> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = answer.text().await.map_err(|error| error.to_string())?;
    let said: Value = serde_json::from_str(&body).unwrap_or_default();
    let message = said.pointer("/error/message").and_then(Value::as_str).unwrap_or("no explanation");
    Err(format!("{message} (HTTP {})", status.as_u16()))
}
