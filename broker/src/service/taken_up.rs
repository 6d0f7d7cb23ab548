//! Taking up trees: all that are open after a restart, and one whose last append the store failed over. Something was to
//! follow from it, and nobody else will see to that.

use std::sync::Arc;

use broker_core::TaskId;
use broker_core::delegation::input::Input;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::Broker;
use super::admission::Place;
use super::driver::DriveError;

/// Trees that are to be taken up as soon as the store lets them, each once, and the places at agents that were taken for
/// them: those stay taken until then.
#[derive(Default)]
pub(super) struct TakenUp {
    waiting: DashMap<TaskId, Vec<Place>>,
}

impl Broker {
    /// Takes up a tree as soon as the store lets it, as after a restart.
    pub(super) fn take_up_again(self: &Arc<Self>, root: TaskId, places: Vec<Place>) {
        match self.taken_up.waiting.entry(root) {
            // Whoever is at it begins anew.
            Entry::Occupied(mut waiting) => waiting.get_mut().extend(places),
            Entry::Vacant(vacant) => {
                vacant.insert(places);
                tokio::spawn(take_up_patiently(Arc::downgrade(self), self.recovery.ask_every, root));
            }
        }
    }

    /// Takes up a tree now, or else as soon as the store lets it.
    pub(super) async fn take_up_or_later(self: &Arc<Self>, root: TaskId) {
        if let Err(failure) = self.take_up(root).await {
            tracing::error!(%root, ?failure, "an open tree could not be taken up");
            self.take_up_again(root, Vec::new());
        }
    }

    async fn take_up(self: &Arc<Self>, root: TaskId) -> Result<(), DriveError> {
        // Before the tree asks for places, it is known which it has.
        self.count_tree(root).await.map_err(DriveError::Failed)?;
        self.drive(root, Input::Resume).await?;
        if let Some(cell) = self.trees.load(root).await.map_err(DriveError::Failed)? {
            let tree = cell.tree.lock().await;
            self.timers.set(root, tree.next_timer(&self.limits()));
            self.count_tree_tasks(&tree, &cell);
        }
        Ok(())
    }
}

async fn take_up_patiently(broker: std::sync::Weak<Broker>, pause: std::time::Duration, root: TaskId) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(broker) = broker.upgrade() else { return };
        // What fails from here on asks for it anew, and is not lost in this one's end.
        let Some((_, places)) = broker.taken_up.waiting.remove(&root) else { return };
        match broker.take_up(root).await {
            Err(failure) if failure.is_passing() => match broker.taken_up.waiting.entry(root) {
                // Somebody else is at it by now.
                Entry::Occupied(mut waiting) => {
                    waiting.get_mut().extend(places);
                    return;
                }
                Entry::Vacant(vacant) => drop(vacant.insert(places)),
            },
            Err(failure) => {
                tracing::error!(%root, ?failure, "an open tree cannot be taken up");
                return;
            }
            Ok(()) => return,
        }
    }
}
