//! The trees in memory: loaded from the journal when needed, locked one writer at a time, dropped when nobody
//! needs them. What is here can always be folded again from the store; only live subscribers exist nowhere else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use broker_core::journal::Record;
use broker_core::{TaskId, Tree};
use bytes::Bytes;
use dashmap::DashMap;
use protocol::{A2aError, TaskState};
use tokio::sync::{Mutex as AsyncMutex, broadcast};

use super::error;
use crate::ports::store::Store;

/// Events a subscriber may fall behind by before it has to read the journal again.
const SUBSCRIBER_LAG_EVENTS: usize = 256;

/// What happened to a subscribed task.
#[derive(Debug, Clone)]
pub(super) struct TaskEvent {
    /// Number of the record among the task's own.
    pub(super) seq: u64,
    /// The event as a `StreamResponse` in JSON, if the record shows anything.
    pub(super) json: Option<Bytes>,
    /// The task's state after it.
    pub(super) state: TaskState,
}

/// One tree in memory.
pub(super) struct TreeCell {
    /// The tree; whoever holds the lock decides next.
    pub(super) tree: AsyncMutex<Tree>,
    /// How many of its open tasks are counted among its owner's.
    pub(super) counted: AtomicU32,
    /// `None` once the cell is abandoned: nobody will hear anything here any more.
    /// In order, so that they are sent away in order.
    subscribers: Mutex<Option<BTreeMap<TaskId, broadcast::Sender<TaskEvent>>>>,
}

impl TreeCell {
    fn new(tree: Tree) -> Self {
        let subscribers = Mutex::new(Some(BTreeMap::new()));
        Self { tree: AsyncMutex::new(tree), counted: AtomicU32::new(0), subscribers }
    }

    /// Listens to a task from now on. Called with the tree locked, so that no event falls in between.
    pub(super) fn subscribe(&self, task: TaskId) -> broadcast::Receiver<TaskEvent> {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || broadcast::Sender::new(SUBSCRIBER_LAG_EVENTS);
        match subscribers.as_mut() {
            Some(subscribers) => subscribers.entry(task).or_insert_with(new).subscribe(),
            // Its sender is gone at once, so the receiver is closed.
            None => new().subscribe(),
        }
    }

    /// Tells whoever listens to the record's task. Called with the tree locked, after `apply`.
    pub(super) fn publish(&self, tree: &Tree, record: &Record) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(subscribers) = subscribers.as_mut() else { return };
        let Some(sender) = subscribers.get(&record.task) else { return };
        if sender.receiver_count() == 0 {
            subscribers.remove(&record.task);
            return;
        }
        // A send fails only when the last receiver has just gone.
        let state = tree.state(record.task).unwrap_or(TaskState::Submitted);
        let _ = sender.send(TaskEvent { seq: record.seq, json: event_json(tree, record), state });
    }

    fn is_watched(&self) -> bool {
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().flat_map(BTreeMap::values).any(|sender| sender.receiver_count() > 0)
    }

    /// Sends everybody away: this copy of the tree may be wrong.
    fn abandon(&self) {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The event a record shows, as JSON.
pub(super) fn event_json(tree: &Tree, record: &Record) -> Option<Bytes> {
    let event = tree.event(record)?;
    serde_json::to_vec(&event).ok().map(Bytes::from)
}

/// All trees in memory.
pub(super) struct Trees {
    store: Arc<dyn Store>,
    cells: DashMap<TaskId, Arc<TreeCell>>,
    /// Finished trees, oldest first, kept for readers until there are too many.
    finished: Mutex<VecDeque<TaskId>>,
    keep_finished: usize,
    /// How many trees were removed from the store so far.
    removals: AtomicU64,
}

impl Trees {
    pub(super) fn new(store: Arc<dyn Store>, keep_finished: usize) -> Self {
        let (cells, finished, removals) = Default::default();
        Self { store, cells, finished, keep_finished, removals }
    }

    /// A cell for a tree that is about to begin.
    pub(super) fn begin(&self, root: TaskId) -> Arc<TreeCell> {
        let cell = Arc::new(TreeCell::new(Tree::new(root)));
        self.cells.insert(root, Arc::clone(&cell));
        cell
    }

    /// The tree, from memory or folded from its journal; `None` if there is none.
    pub(super) async fn load(&self, root: TaskId) -> Result<Option<Arc<TreeCell>>, A2aError> {
        if let Some(cell) = self.cells.get(&root) {
            return Ok(Some(Arc::clone(&cell)));
        }
        let removals = self.removals.load(Ordering::SeqCst);
        let records = self.records(root).await?;
        if records.is_empty() {
            return Ok(None);
        }
        let tree = Tree::fold(root, &records).map_err(|damage| error::damaged(&damage))?;
        let finished = !tree.is_open();
        let cell = Arc::clone(&self.cells.entry(root).or_insert_with(|| Arc::new(TreeCell::new(tree))));
        if finished {
            self.retire(root);
            // Read before it was removed, and here after.
            if self.removals.load(Ordering::SeqCst) != removals && !self.is_stored(root).await? {
                self.forget(root);
                return Ok(None);
            }
        }
        Ok(Some(cell))
    }

    /// The tree a task belongs to, and the task.
    pub(super) async fn find(&self, task: TaskId) -> Result<Option<Arc<TreeCell>>, A2aError> {
        if let Some(cell) = self.cells.get(&task) {
            return Ok(Some(Arc::clone(&cell)));
        }
        match self.store.locate(task).await.map_err(|failure| error::store(&failure))? {
            Some(root) => self.load(root).await,
            None => Ok(None),
        }
    }

    /// The journal of a tree.
    pub(super) async fn records(&self, root: TaskId) -> Result<Vec<Record>, A2aError> {
        let encoded = self.store.read(root, 0).await.map_err(|failure| error::store(&failure))?;
        encoded.iter().map(|bytes| Record::decode(bytes).map_err(|damage| error::damaged(&damage))).collect()
    }

    /// Forgets a tree whose copy in memory may be wrong; the next reader folds it again.
    pub(super) fn forget(&self, root: TaskId) {
        if let Some((_, cell)) = self.cells.remove(&root) {
            cell.abandon();
        }
    }

    async fn is_stored(&self, root: TaskId) -> Result<bool, A2aError> {
        let located = self.store.locate(root).await.map_err(|failure| error::store(&failure))?;
        Ok(located.is_some())
    }

    /// Whether somebody listens to the tree.
    pub(super) fn is_watched(&self, root: TaskId) -> bool {
        self.cells.get(&root).is_some_and(|cell| cell.is_watched())
    }

    /// Forgets a tree that is in the store no longer.
    pub(super) fn removed(&self, root: TaskId) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.forget(root);
    }

    /// A tree has finished: keep it a while for readers, and let the oldest go.
    pub(super) fn retire(&self, root: TaskId) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.push_back(root);
        // One round at most: a watched tree goes to the back of the queue.
        for _ in 0..finished.len() {
            if finished.len() <= self.keep_finished {
                break;
            }
            let Some(oldest) = finished.pop_front() else { break };
            if self.cells.get(&oldest).is_some_and(|cell| cell.is_watched()) {
                finished.push_back(oldest);
            } else {
                self.cells.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::broadcast::error::TryRecvError;

    #[test]
    fn whoever_waits_on_an_abandoned_tree_is_sent_away() {
        let task = TaskId(uuid::Uuid::from_u128(1));
        let cell = TreeCell::new(Tree::new(task));
        let mut before = cell.subscribe(task);
        assert!(matches!(before.try_recv(), Err(TryRecvError::Empty)));
        cell.abandon();
        assert!(matches!(before.try_recv(), Err(TryRecvError::Closed)));
        assert!(matches!(cell.subscribe(task).try_recv(), Err(TryRecvError::Closed)));
    }
}
