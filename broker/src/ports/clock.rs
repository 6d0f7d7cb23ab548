//! Time, fresh ids and fresh secrets, so that everything above them can be driven by a test.

use broker_core::{TaskId, Timestamp};

/// The wall clock, and the source of ids and secrets.
pub trait Clock: Send + Sync + 'static {
    /// Now, in milliseconds since the Unix epoch.
    fn now(&self) -> Timestamp;

    /// A new task id (UUIDv7).
    fn new_task_id(&self) -> TaskId;

    /// 32 bytes nobody can guess. Fails where the machine has no such source, with a sentence for people.
    fn new_secret(&self) -> Result<[u8; 32], String>;

    /// A number that spreads what would else happen at once. Where the machine has no randomness, nothing is spread.
    fn jitter(&self) -> u16 {
        self.new_secret().map_or(u16::MAX, |[high, low, ..]| u16::from_be_bytes([high, low]))
    }
}
