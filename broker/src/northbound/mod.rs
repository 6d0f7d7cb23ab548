//! Towards callers: an HTTP server that speaks the bindings of A2A, serves cards and the operator API.
//! Everything it knows of tasks it asks the service.

mod api;
mod body;
mod cards;
mod connection;
mod console;
mod credential;
mod dispatch;
mod elsewhere;
mod grpc;
mod handing_on;
mod http_json;
mod jsonrpc;
mod leaving;
mod mcp;
mod memory;
mod metrics;
mod oauth;
mod operations;
mod outgoing;
mod overload;
mod places;
mod push;
mod reply;
mod route;
mod server;
mod sse;
mod tls;
mod unambiguous;
mod v03;

pub use self::body::REQUEST_BYTES;
pub use self::mcp::Options as McpOptions;
pub use self::server::{Options, Server, listen};
pub use self::tls::{Tls, TlsFiles};

/// The OpenAPI document of the operator API, as far as it is the same for every broker.
pub fn openapi_document() -> serde_json::Value {
    api::plain_document()
}
