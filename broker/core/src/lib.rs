//! What should happen next in a delegation tree: decide and apply, no I/O.

mod id;

pub use id::TaskId;
pub use protocol::Timestamp;
