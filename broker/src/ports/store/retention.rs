//! What the broker needs of storage to let go of what is over: which trees have been over for long, the removal of one
//! as a whole, and the end of the message ids that outlive it. Which and when is the service's to say
//! (`service/retention.rs`).

use broker_core::{TaskId, Timestamp};

use super::OutboxRow;

/// A tree that is over, by when it was last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Over {
    /// The time of its last append.
    pub since: Timestamp,
    /// The tree, named by its root task.
    pub root: TaskId,
}

/// What a removal took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many tasks.
    pub tasks: usize,
    /// Pushes that had been given up: nobody can have them sent any more.
    pub dead_letters: Vec<OutboxRow>,
}
