//! How many open tasks each principal has, so that nobody takes up all the broker has. Live state, counted anew from the open
//! trees at start.

use std::sync::Arc;
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

/// Tasks that are about to be: counted as long as this is kept, and by their tree from then on.
pub(super) struct Reservation {
    open_tasks: Arc<OpenTasks>,
    owner: String,
    tasks: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.open_tasks.move_count(&self.owner, 0, self.tasks);
    }
}

impl OpenTasks {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, counts: DashMap::new() }
    }

    /// Reserves so many more tasks for an owner; refused if it would have more than it may.
    pub(super) fn reserve(self: &Arc<Self>, owner: &str, tasks: u64) -> Result<Reservation, A2aError> {
        let mut count = self.counts.entry(owner.to_owned()).or_default();
        let after = count.saturating_add(tasks);
        if tasks > 0 && after > self.limit {
            return Err(error::too_many_open(self.limit));
        }
        *count = after;
        Ok(Reservation { open_tasks: Arc::clone(self), owner: owner.to_owned(), tasks })
    }

    /// Counts a tree's open tasks as they are now.
    pub(super) fn count(&self, tree: &Tree, cell: &TreeCell) {
        self.change(tree, cell, tree.open_tasks());
    }

    /// A copy of a tree is given up; who folds it again counts it again.
    pub(super) fn forget(&self, tree: &Tree, cell: &TreeCell) {
        self.change(tree, cell, 0);
    }

    /// How many principals have open tasks, and how many they have together.
    pub(super) fn all(&self) -> (u64, u64) {
        self.counts.iter().fold((0, 0), |(owners, tasks), owned| (owners + 1, tasks + *owned.value()))
    }

    fn change(&self, tree: &Tree, cell: &TreeCell, after: u32) {
        let before = cell.counted.swap(after, Ordering::Relaxed);
        if let Some(owner) = tree.owner().filter(|_| before != after) {
            self.move_count(owner, u64::from(after), u64::from(before));
        }
    }

    fn move_count(&self, owner: &str, more: u64, less: u64) {
        let mut count = self.counts.entry(owner.to_owned()).or_default();
        *count = count.saturating_add(more).saturating_sub(less);
        drop(count);
        self.counts.remove_if(owner, |_, count| *count == 0);
    }
}
