//! Trees that are open and that nobody wants: set aside until somebody does. A task that waits for days costs no more than a
//! line in a table; the next to want it folds it from its journal again. What is counted of it among what its owner uses stays
//! counted.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use broker_core::{TaskId, Tree};
use dashmap::DashMap;

use super::{TreeCell, Trees};
use crate::service::Broker;
use crate::service::quotas::Counted;

/// Between two looks for what nobody wants.
const PAUSE: Duration = Duration::from_secs(1);

/// Trees that were set aside while they were counted, and the account they were counted for.
#[derive(Default)]
pub(super) struct SetAside(DashMap<TaskId, Option<Arc<str>>>);

impl SetAside {
    /// A tree that is in memory again; whatever was counted of it still is.
    pub(super) fn bring_back(&self, root: TaskId, tree: Tree) -> TreeCell {
        let counted = self.0.remove(&root).map(|(_, account)| Counted::again(&tree, account.as_deref()));
        let cell = TreeCell::new(tree);
        if let Some(counted) = counted {
            *cell.counted() = counted;
        }
        cell
    }

    fn put(&self, root: TaskId, counted: &Counted) {
        if counted.is_any() {
            self.0.insert(root, counted.account().map(Arc::from));
        }
    }
}

impl Trees {
    /// Sets aside what nobody has wanted since the last time, if there are too many.
    fn set_aside_idle(&self) {
        let most = self.keep.idle.saturating_add(self.keep.finished);
        if self.cells.len() <= most {
            return;
        }
        self.cells.retain(|root, cell| {
            // Whoever takes hold of it does so through the map, which waits for this.
            let is_wanted = Arc::strong_count(cell) > 1 || cell.is_wanted.swap(false, Ordering::Relaxed);
            let Ok(tree) = cell.tree.try_lock() else { return true };
            if is_wanted || !tree.is_open() || tree.version() == 0 {
                return true;
            }
            self.set_aside.put(*root, &cell.counted());
            false
        });
    }
}

/// Keeps few trees in memory until the broker is gone.
pub(in crate::service) async fn keep_few(broker: Weak<Broker>) {
    while let Some(alive) = broker.upgrade() {
        alive.trees.set_aside_idle();
        drop(alive);
        tokio::time::sleep(PAUSE).await;
    }
}
