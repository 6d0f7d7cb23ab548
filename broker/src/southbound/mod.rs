//! Towards agents: an A2A client over JSON-RPC and HTTP+JSON, and the discovery of cards.

mod body;
pub mod client;
pub mod connector;
mod credentials;
pub mod dialer;
pub mod discovery;
mod failure;
mod stream;
pub mod tls;
pub mod webhook;
