//! Towards agents: an A2A client over all bindings, and the discovery of cards.

mod body;
mod caching;
pub mod client;
pub mod connector;
mod credentials;
pub mod dialer;
pub mod discovery;
mod failure;
mod foreign;
mod grpc;
pub mod models;
pub mod otlp;
pub mod peers;
mod retry_after;
mod stream;
pub mod tls;
pub mod webhook;
mod wire;
