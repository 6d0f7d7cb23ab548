//! The delegation broker: makes happen what `broker-core` decides.

pub mod address;
pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod northbound;
mod open_files;
pub mod ports;
pub mod ranking;
pub mod service;
pub mod southbound;
pub mod store;
