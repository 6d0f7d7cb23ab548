//! Taking up trees: all that are open after a restart, and one whose last append the store failed over. Something was to
//! follow from it, and nobody else will see to that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker_core::TaskId;
use broker_core::delegation::input::Input;
use broker_core::sabotage::{Guard, removed};
use dashmap::mapref::entry::Entry;
use dashmap::{DashMap, DashSet};
use futures_util::{StreamExt, stream};
use protocol::A2aError;

use super::driver::{DriveError, Reserved};
use super::{Broker, error};

/// Trees taken up per read of the store.
pub(super) const RESUME_PAGE: usize = 256;
/// Trees that are taken up at a time.
const RESUME_AT_ONCE: usize = 64;

/// Trees that are to be taken up as soon as the store lets them, each once, and what was reserved for them: that stays
/// taken until then.
#[derive(Default)]
pub(super) struct TakenUp {
    waiting: DashMap<TaskId, Vec<Reserved>>,
    /// Trees that began while others are still taken up after the start: nothing is to be taken up of them.
    began: DashSet<TaskId>,
    /// Up to where those that were open before are taken up; `None` once all are.
    done: Mutex<Option<Place>>,
}

/// How far taking up has come.
#[derive(Clone, Copy, Default)]
struct Place(Option<TaskId>);

impl TakenUp {
    /// The broker starts.
    pub(super) fn begin(&self) {
        *self.place() = Some(Place::default());
    }

    /// A tree begins.
    pub(super) fn note_begun(&self, root: TaskId) {
        if self.place().is_some() {
            self.began.insert(root);
        }
    }

    fn end(&self) {
        *self.place() = None;
        self.began.clear();
    }

    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    /// Takes up every tree that has been open since before the start; how many there were. Goes on where it was if it failed.
    pub async fn take_up_all(self: &Arc<Self>) -> Result<usize, A2aError> {
        let mut after = self.taken_up.place().and_then(|place| place.0);
        let mut resumed = 0;
        loop {
            let page = self.store.open_trees(after, RESUME_PAGE).await;
            let page = page.map_err(|failure| error::store(&failure))?;
            let Some(last) = page.last().copied() else {
                self.taken_up.end();
                self.quotas.all_counted();
                return Ok(resumed);
            };
            let is_older = |root: &TaskId| !self.taken_up.began.contains(root);
            let roots = page.into_iter().filter(is_older).filter(|_| !removed(Guard::Restarts));
            let roots: Vec<TaskId> = roots.collect();
            resumed += roots.len();
            // Together, so that their appends share the disk's time.
            stream::iter(roots)
                .for_each_concurrent(RESUME_AT_ONCE, |root| async move {
                    self.take_up_or_later(root).await;
                    self.count_after_all(root).await;
                })
                .await;
            after = Some(last);
            *self.taken_up.place() = Some(Place(after));
        }
    }

    /// A tree that cannot be read stays counted as the store has it, until all others are taken up.
    async fn count_after_all(&self, root: TaskId) {
        if let Ok(Some(cell)) = self.trees.load(root).await {
            self.counted_after_all(&*cell.tree.lock().await);
        }
    }

    /// Takes up a tree now, or else as soon as the store lets it.
    pub(super) async fn take_up_or_later(self: &Arc<Self>, root: TaskId) {
        if let Err(failure) = self.take_up(root).await {
            tracing::error!(%root, ?failure, "an open tree could not be taken up");
            self.take_up_again(root, Reserved::default());
        }
    }

    /// Takes up all trees that this broker drives, after it was not clear which have been.
    pub(super) async fn take_up_own(self: &Arc<Self>) -> Result<(), A2aError> {
        let mut after = None;
        loop {
            let page = self.store.open_trees(after, RESUME_PAGE).await;
            let page = page.map_err(|failure| error::store(&failure))?;
            let Some(last) = page.last().copied() else { return Ok(()) };
            stream::iter(page).for_each_concurrent(RESUME_AT_ONCE, |root| self.take_up_or_later(root)).await;
            after = Some(last);
        }
    }

    async fn take_up(self: &Arc<Self>, root: TaskId) -> Result<(), DriveError> {
        // Before the tree asks for places, it is known which it has.
        self.count_tree(root).await.map_err(DriveError::Failed)?;
        self.drive(root, Input::Resume).await?;
        self.tell_of_revocation(root).await;
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
