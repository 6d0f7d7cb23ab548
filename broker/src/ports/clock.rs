//! Time and fresh ids, so that everything above them can be driven by a test.

use broker_core::{TaskId, Timestamp};

/// The wall clock and the source of ids.
pub trait Clock: Send + Sync + 'static {
    /// Now, in milliseconds since the Unix epoch.
    fn now(&self) -> Timestamp;

    /// A new task id (UUIDv7).
    fn new_task_id(&self) -> TaskId;
}
