//! How many open tasks each principal has, so that nobody takes up all the broker has. Live state, counted anew from the open
//! trees at start.

use broker_core::Tree;
use dashmap::DashMap;
use protocol::A2aError;

use super::error;

/// Open tasks by owner.
pub(super) struct OpenTasks {
    /// Most of one owner.
    limit: u64,
    counts: DashMap<String, u64>,
}

impl OpenTasks {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, counts: DashMap::new() }
    }

    /// Refuses another task of an owner that has as many as it may.
    pub(super) fn check(&self, owner: &str) -> Result<(), A2aError> {
        let count = self.counts.get(owner).map_or(0, |count| *count);
        if count < self.limit { Ok(()) } else { Err(error::too_many_open(self.limit)) }
    }

    /// A tree had so many open tasks, and now has what it has.
    pub(super) fn changed(&self, tree: &Tree, before: u32) {
        let after = tree.open_tasks();
        let Some(owner) = tree.owner().filter(|_| before != after) else { return };
        if let Some(mut count) = self.counts.get_mut(owner) {
            *count = count.saturating_add(u64::from(after)).saturating_sub(u64::from(before));
        } else {
            self.counts.insert(owner.to_owned(), u64::from(after.saturating_sub(before)));
        }
        self.counts.remove_if(owner, |_, count| *count == 0);
    }
}
