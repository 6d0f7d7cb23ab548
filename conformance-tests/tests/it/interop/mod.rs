//! The examples, as a newcomer runs them, and the official SDKs, unmodified.

mod examples;
mod grpc;
mod tools;
