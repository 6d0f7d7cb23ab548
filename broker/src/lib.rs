//! The delegation broker: makes happen what `broker-core` decides.

pub mod ports;
pub mod service;
pub mod store;
