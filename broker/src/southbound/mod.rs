//! Towards agents: an A2A client over JSON-RPC and HTTP+JSON, and the discovery of cards.

mod body;
pub mod client;
pub mod discovery;
mod failure;
pub mod fetch;
mod stream;
