//! How many open tasks each principal has, so that nobody takes up all the broker has. Live state, counted anew from the open
//! trees at start.

use std::sync::atomic::Ordering;

use broker_core::Tree;
use dashmap::DashMap;
use protocol::A2aError;

use super::error;
use super::trees::TreeCell;

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

    /// Refuses so many more tasks of an owner, who would have more than it may.
    pub(super) fn check(&self, owner: &str, more: u64) -> Result<(), A2aError> {
        let count = self.counts.get(owner).map_or(0, |count| *count);
        let is_too_many = more > 0 && count.saturating_add(more) > self.limit;
        if is_too_many { Err(error::too_many_open(self.limit)) } else { Ok(()) }
    }

    /// Counts a tree's open tasks as they are now.
    pub(super) fn count(&self, tree: &Tree, cell: &TreeCell) {
        self.change(tree, cell, tree.open_tasks());
    }

    /// A copy of a tree is given up; who folds it again counts it again.
    pub(super) fn forget(&self, tree: &Tree, cell: &TreeCell) {
        self.change(tree, cell, 0);
    }

    fn change(&self, tree: &Tree, cell: &TreeCell, after: u32) {
        let before = cell.counted.swap(after, Ordering::Relaxed);
        let Some(owner) = tree.owner().filter(|_| before != after) else { return };
        let mut count = self.counts.entry(owner.to_owned()).or_default();
        *count = count.saturating_add(u64::from(after)).saturating_sub(u64::from(before));
        drop(count);
        self.counts.remove_if(owner, |_, count| *count == 0);
    }
}
