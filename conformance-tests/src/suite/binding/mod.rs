//! Bindings: an operation with raw JSON goes in, raw JSON or a fault comes out. A check written against this runs on
//! every binding. Another binding is another [`Kind`], and a file that can do what `jsonrpc.rs`, `http_json.rs` and
//! `grpc.rs` do: put an operation on the wire, and read an answer and an event.

mod fault;
pub mod grpc;
mod http_json;
mod jsonrpc;
mod stream;

use serde_json::Value;

pub use fault::{Fault, UNAUTHENTICATED};
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
    /// gRPC (spec §10).
    Grpc,
}

impl Kind {
    /// Every binding the suite speaks.
    pub const ALL: [Self; 3] = [Self::JsonRpc, Self::HttpJson, Self::Grpc];

    /// Its name in a card's `protocolBinding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "GRPC",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::JsonRpc => "application/json",
            Self::HttpJson => "application/a2a+json",
            Self::Grpc => grpc::MEDIA_TYPE,
        }
    }

    /// The error of bad parameters, as it says it.
    pub fn invalid_params(self) -> &'static str {
        match self {
            Self::JsonRpc => "-32602",
            Self::HttpJson => "HTTP 400",
            Self::Grpc => "INVALID_ARGUMENT",
        }
    }

    /// Whether messages are JSON, so that what only JSON can say can be said.
    pub fn is_json(self) -> bool {
        self != Self::Grpc
    }

    /// An interface's URL as the suite calls it; `card_url` is where the card was.
    pub fn url(self, interface: &str, card_url: &str) -> String {
        match self {
            Self::JsonRpc | Self::HttpJson => interface.trim_end_matches('/').to_owned(),
            Self::Grpc => grpc::url(interface, card_url),
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
    pub body: Option<Vec<u8>>,
}

impl Binding {
    fn wire(&self, operation: Operation, params: &Value) -> Result<Wire, Stop> {
        match self.kind {
            Kind::JsonRpc => Ok(jsonrpc::wire(self, operation, params)),
            Kind::HttpJson => Ok(http_json::wire(self, operation, params)),
            Kind::Grpc => grpc::wire(self, operation, params),
        }
    }

    /// Sends an operation whose body is changed as bytes; the head of the answer.
    async fn ask(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
        change: impl Fn(Vec<u8>) -> Vec<u8>,
    ) -> Result<Response, Stop> {
        let wire = self.wire(operation, params)?;
        let content_type = wire.body.as_ref().map(|_| self.kind.media_type());
        let body = wire.body.map(change).unwrap_or_default();
        self.http.open(wire.verb, &wire.url, content_type, manner, body).await
    }

    /// Sends an operation whose body is changed as bytes; the answer as it came.
    pub async fn exchange_changed(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
        change: impl Fn(Vec<u8>) -> Vec<u8>,
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
        self.exchange_changed(operation, params, manner, |body| body).await
    }

    /// What an answer says: the result, or a fault.
    pub fn outcome(&self, operation: Operation, reply: &Reply) -> Result<Result<Value, Fault>, Stop> {
        match self.kind {
            Kind::JsonRpc => jsonrpc::outcome(reply),
            Kind::HttpJson => http_json::outcome(reply),
            Kind::Grpc => grpc::outcome(operation, reply),
        }
    }

    /// Sends an operation; the result, or a fault.
    pub async fn call(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
    ) -> Result<Result<Value, Fault>, Stop> {
        self.outcome(operation, &self.exchange(operation, params, manner).await?)
    }

    /// Sends an operation that streams; the stream, or a fault.
    pub async fn open(
        &self,
        operation: Operation,
        params: &Value,
        manner: &Manner,
    ) -> Result<Result<Stream, Fault>, Stop> {
        let response = self.ask(operation, params, manner, |body| body).await?;
        if Stream::is_begun_by(self.kind, &response) {
            return Ok(Ok(Stream::new(self.kind, operation, response)));
        }
        let reply = http::read(response).await?;
        match self.outcome(operation, &reply)? {
            Err(fault) => Ok(Err(fault)),
            Ok(_) => fail(format!(
                "{} answered with {} instead of a stream: {}",
                operation.method,
                reply.media_type(),
                shown(&reply.text)
            )),
        }
    }
}
