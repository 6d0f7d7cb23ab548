//! The bindings: how operations and errors travel.

pub mod grpc;
pub mod http_json;
pub mod jsonrpc;
pub mod sse;
