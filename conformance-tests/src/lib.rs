//! What the tests need to judge a running broker from outside: the broker and real agents as processes, and the
//! wire as raw JSON; and the suite that judges any A2A server ([`suite`]).
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test harness fails by panicking, and says why on standard error"
)]

mod agent;
mod append_fault;
mod balancer;
mod broker;
mod browser;
mod build;
mod documents;
mod gates;
pub mod grpc;
mod issuer;
pub mod jwt;
mod mcp_host;
mod node;
mod nursery;
mod player;
mod preload;
mod process;
mod python;
mod receiver;
pub mod suite;
pub mod tls;
mod waiting;
pub mod wire;

pub use agent::Agent;
pub use append_fault::{AppendFault, Side};
pub use balancer::Balancer;
pub use broker::{Broker, command, demonstration, is_embedded, key_digest};
pub use browser::{Browser, Page, missing_browser};
pub use build::{forget_the_package, target_folder};
pub use documents::{document_tool, site_packages, wheels};
pub use gates::Gates;
pub use issuer::Issuer;
pub use mcp_host::McpHost;
pub use node::{javascript_example, missing_node};
pub use player::{Player, Round, Seen};
pub use preload::clock_off_by;
pub use python::{
    Framework, Probe, agents_folder, examples_folder, interpreter, interpreter_mcp, interpreter_openapi,
    verified_card,
};
pub use receiver::{Posted, Receiver, Reply};
pub use waiting::until;
