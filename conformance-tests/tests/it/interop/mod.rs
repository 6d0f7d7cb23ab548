//! The examples, as a newcomer runs them, and the official SDKs of both versions of A2A, unmodified.

mod cards;
mod examples;
mod frameworks;
mod grpc;
mod matrix;
mod mcp;
mod mixed_tree;
mod tools;
mod v03;
