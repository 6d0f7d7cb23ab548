//! What the broker needs to push events: to post one to a receiver, and to be told whether it has it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Secret, Version};

use crate::address::Destination;

/// One event on its way to a receiver.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Where to, judged.
    pub to: Destination,
    /// The version the receiver reads.
    pub version: Version,
    /// The value of `Authorization`.
    pub authorization: Option<Secret>,
    /// The token the receiver knows its task by.
    pub token: Option<Secret>,
    /// The same each time this event is sent there, and no other's.
    pub event_id: String,
    /// A `StreamResponse` as JSON; in 0.3 a task.
    pub body: Bytes,
}

/// Why the receiver does not have an event, for all that is known. Never what the receiver said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// It may be tried again.
    #[error("{reason}")]
    Failed {
        /// What happened, for people.
        reason: String,
        /// Not before this, says the receiver.
        retry_after: Option<Duration>,
    },
    /// The receiver says that it is gone for good (HTTP 410).
    #[error("HTTP 410 Gone")]
    Gone,
}

/// Posts events.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Posts an event; `Ok` once the receiver has confirmed it (any 2xx). Bounded in time.
    async fn notify(&self, notification: Notification) -> Result<(), Undelivered>;
}
