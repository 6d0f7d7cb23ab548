//! Taking up trees: all that are open after a restart, and one whose last append the store failed over. Something was to
//! follow from it, and nobody else will see to that.

use std::sync::Arc;

use broker_core::TaskId;
use broker_core::delegation::input::Input;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::Broker;
use super::driver::{DriveError, Reserved};

/// Trees that are to be taken up as soon as the store lets them, each once, and what was reserved for them: that stays
/// taken until then.
#[derive(Default)]
pub(super) struct TakenUp {
    waiting: DashMap<TaskId, Vec<Reserved>>,
}

impl Broker {
    /// Takes up a tree as soon as the store lets it, as after a restart.
    pub(super) fn take_up_again(self: &Arc<Self>, root: TaskId, reserved: Reserved) {
        match self.taken_up.waiting.entry(root) {
            // Whoever is at it begins anew.
            Entry::Occupied(mut waiting) => waiting.get_mut().push(reserved),
            Entry::Vacant(vacant) => {
                vacant.insert(vec![reserved]);
                tokio::spawn(take_up_patiently(Arc::downgrade(self), self.recovery.ask_every, root));
            }
        }
    }

    /// Takes up a tree now, or else as soon as the store lets it.
    pub(super) async fn take_up_or_later(self: &Arc<Self>, root: TaskId) {
        if let Err(failure) = self.take_up(root).await {
            tracing::error!(%root, ?failure, "an open tree could not be taken up");
            self.take_up_again(root, Reserved::default());
        }
    }

    async fn take_up(self: &Arc<Self>, root: TaskId) -> Result<(), DriveError> {
        // Before the tree asks for places, it is known which it has.
        self.count_tree(root).await.map_err(DriveError::Failed)?;
        self.drive(root, Input::Resume).await?;
        if let Some(cell) = self.trees.load(root).await.map_err(DriveError::Failed)? {
            let tree = cell.tree.lock().await;
            self.timers.set(root, tree.next_timer(&self.limits()));
            if !cell.is_abandoned() {
                self.count_tree_taken_up(&tree, &cell);
            }
        }
        Ok(())
    }
}

async fn take_up_patiently(broker: std::sync::Weak<Broker>, pause: std::time::Duration, root: TaskId) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(broker) = broker.upgrade() else { return };
        // What fails from here on asks for it anew, and is not lost in this one's end.
        let Some((_, reserved)) = broker.taken_up.waiting.remove(&root) else { return };
        match broker.take_up(root).await {
            Err(failure) if failure.is_passing() => match broker.taken_up.waiting.entry(root) {
                // Somebody else is at it by now.
                Entry::Occupied(mut waiting) => {
                    waiting.get_mut().extend(reserved);
                    return;
                }
                Entry::Vacant(vacant) => drop(vacant.insert(reserved)),
            },
            Err(failure) => {
                tracing::error!(%root, ?failure, "an open tree cannot be taken up");
                return;
            }
            Ok(()) => return,
        }
    }
}
