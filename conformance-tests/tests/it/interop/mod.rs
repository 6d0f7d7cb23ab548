//! The examples, as a newcomer runs them.

mod examples;
mod tools;
