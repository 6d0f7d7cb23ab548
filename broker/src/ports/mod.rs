//! What the service needs of the outside world, as traits. Adapters implement them; `app.rs` chooses.

pub mod clock;
pub mod downstream;
pub mod fetch;
pub mod store;
