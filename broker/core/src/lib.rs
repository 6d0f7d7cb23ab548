//! What should happen next in a delegation tree.
//!
//! Pure: no async runtime, clock, random source, file or socket. Inputs, the time and fresh ids come in as
//! arguments; durable facts ([`journal::Record`]) and effects ([`delegation::action::Action`]) go out as data.

pub mod admission;
mod attempts;
pub mod audit;
pub mod delegation;
mod error;
pub mod extension;
pub mod federation;
mod id;
pub mod journal;
mod limits;
pub mod quota;
pub mod sabotage;
pub mod selection;
pub mod text;
pub mod trace;

pub use delegation::{Changed, Decision, FoldError, Told, Tree};
pub use error::{Refusal, Refused};
pub use id::TaskId;
pub use limits::Limits;
pub use protocol::Timestamp;
