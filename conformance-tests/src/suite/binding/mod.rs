//! Bindings: an operation with raw JSON goes in, raw JSON or a fault comes out. A check written against this runs on
//! every binding. Another binding is another [`Kind`], and a file that can do what `jsonrpc.rs` and `http_json.rs` do:
//! put an operation on the wire, and read an answer and an event.

mod fault;
mod http_json;
mod jsonrpc;
mod stream;

use serde_json::Value;

pub use fault::Fault;
pub use stream::{Event, Stream};

use super::check::{Stop, fail, shown};
use super::http::{self, Http, Manner, Reply, Response};
use super::operation::Operation;

/// A protocol binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON-RPC 2.0 over HTTP (spec §9).
    JsonRpc,
    /// HTTP+JSON (spec §11).
    HttpJson,
}

impl Kind {
    /// Every binding the suite speaks.
    pub const ALL: [Self; 2] = [Self::JsonRpc, Self::HttpJson];

    /// Its name in a card's `protocolBinding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::HttpJson => "HTTP+JSON",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::JsonRpc => "application/json",
            Self::HttpJson => "application/a2a+json",
        }
    }
}

/// An interface of the server under test.
#[derive(Clone)]
pub struct Binding {
    /// Which binding.
    pub kind: Kind,
    /// Its URL, without a slash at the end.
    pub url: String,
    /// The tenant its card declares.
    pub tenant: Option<String>,
    /// The client.
    pub http: Http,
}

/// An operation as one binding puts it on the wire.
pub struct Wire {
    /// HTTP method.
    pub verb: &'static str,
    /// Full URL with its query.
    pub url: String,
    /// The body; `None` has no content type either.
    pub body: Option<Value>,
}

impl Binding {
    fn wire(&self, operation: Operation, params: &Value) -> Wire {
        match self.kind {
            Kind::JsonRpc => jsonrpc::wire(self, operation, params),
            Kind::HttpJson => http_json::wire(self, operation, params),
        }
    }

    /// Sends an operation whose body is changed as text; the head of the answer.
    async fn ask(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
        change: impl Fn(String) -> String,
    ) -> Result<Response, Stop> {
        let wire = self.wire(operation, params);
        let content_type = wire.body.as_ref().map(|_| self.kind.media_type());
        let body = wire.body.map(|body| change(body.to_string()).into_bytes()).unwrap_or_default();
        self.http.open(wire.verb, &wire.url, content_type, manner, body).await
    }

    /// Sends an operation whose body is changed as text; the answer as it came.
    pub async fn exchange_text(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
        change: impl Fn(String) -> String,
    ) -> Result<Reply, Stop> {
        http::read(self.ask(operation, params, manner, change).await?).await
    }

    /// Sends an operation; the answer as it came.
    pub async fn exchange(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
    ) -> Result<Reply, Stop> {
        self.exchange_text(operation, params, manner, |body| body).await
    }

    /// What an answer says: the result, or a fault.
    pub fn outcome(&self, reply: &Reply) -> Result<Result<Value, Fault>, Stop> {
        match self.kind {
            Kind::JsonRpc => jsonrpc::outcome(reply),
            Kind::HttpJson => http_json::outcome(reply),
        }
    }

    /// Sends an operation; the result, or a fault.
    pub async fn call(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
    ) -> Result<Result<Value, Fault>, Stop> {
        self.outcome(&self.exchange(operation, params, manner).await?)
    }

    /// Sends an operation that streams; the stream, or a fault.
    pub async fn open(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
    ) -> Result<Result<Stream, Fault>, Stop> {
        let response = self.ask(operation, params, manner, |body| body).await?;
        let media_type = response.headers().get("content-type").map(|value| value.as_bytes().to_vec());
        if media_type.is_some_and(|value| value.starts_with(b"text/event-stream")) {
            return Ok(Ok(Stream::new(self.kind, response)));
        }
        let reply = http::read(response).await?;
        match self.outcome(&reply)? {
            Err(fault) => Ok(Err(fault)),
            Ok(_) => fail(format!(
                "{} answered with {} instead of text/event-stream: {}",
                operation.method,
                reply.media_type(),
                shown(&reply.text)
            )),
        }
    }
}
