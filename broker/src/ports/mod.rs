//! What the service needs of the outside world, as traits. Adapters implement them; `app.rs` chooses.

pub mod agent_auth;
pub mod clock;
pub mod downstream;
pub mod fetch;
pub mod notifier;
pub mod peers;
pub mod stages;
pub mod store;
pub mod traces;
