//! The outbox: how far each push has come. What is to be pushed stands in the journal; a row here is only the place
//! in it up to which a receiver has everything. It appears and disappears with the facts that set and delete the
//! push, in one append.

use broker_core::{TaskId, Timestamp};
use serde::{Deserialize, Serialize};

/// Which push: a task's configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutboxKey {
    /// The task.
    pub task: TaskId,
    /// The id of its configuration.
    pub config: String,
}

/// A push that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Which one.
    pub key: OutboxKey,
    /// Its tree.
    pub root: TaskId,
    /// Which setting of the configuration it is about ([`broker_core::delegation::Push::set`]).
    pub set: u64,
    /// The number of the next record of the tree's journal: the receiver has what the task showed before it.
    pub next: u64,
    /// Why the receiver does not have that one, if it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// A receiver that does not take what it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Since when.
    pub since: Timestamp,
    /// What happened last, for people; never what the receiver said.
    pub reason: String,
    /// It was given up at this time; nothing is tried until an operator, or a new setting, takes it up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<Timestamp>,
}

/// What a change of a tree makes of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxChange {
    /// It was set. A push of the same key goes on where it is, its trouble forgotten; another begins with what follows
    /// the setting, be it in the same change.
    Set {
        /// Which one.
        key: OutboxKey,
        /// Which setting.
        set: u64,
        /// The number in the tree of the record that follows it.
        next: u64,
    },
    /// It was deleted.
    Delete(OutboxKey),
}
