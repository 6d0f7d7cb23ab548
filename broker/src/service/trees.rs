//! The trees in memory: loaded from the journal when needed, locked one writer at a time, dropped when nobody
//! needs them. What is here can always be folded again from the store; only live subscribers exist nowhere else.
//!
//! Of each tree there is one copy at a time: a second one would go on showing what was true when it was read. So a tree is
//! read once however many want it, a copy that somebody holds stays, and one that is given up takes no more steps. Only who
//! lists trees may be given a copy of one that another broker drives, which nobody else sees.

mod idle;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker_core::journal::Record;
use broker_core::sabotage::{Guard, removed};
use broker_core::{TaskId, Tree};
use dashmap::DashMap;
use protocol::A2aError;
use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::futures::OwnedNotified;

use self::idle::SetAside;
pub(super) use self::idle::keep_few;
use super::error;
use super::last_told::LastTold;
use super::listeners::Listeners;
use super::peers;
use super::quotas::Counted;
use crate::ports::store::{Drive, Store};

/// Trees that can be read from the store at a time; those of one tree wait for each other.
const LOADING_AT_ONCE: usize = 64;

/// One tree in memory.
pub(super) struct TreeCell {
    /// The tree; whoever holds the lock decides next.
    pub(super) tree: AsyncMutex<Tree>,
    /// Whether somebody has wanted it since it was last looked whether anybody does.
    is_wanted: AtomicBool,
    /// What of it is counted among what its owner and its agents use.
    counted: Mutex<Counted>,
    /// What readers were told of it last.
    pub(super) last_told: LastTold,
    /// Nobody will hear anything here any more once the cell is abandoned.
    pub(super) listeners: Listeners,
}

impl TreeCell {
    pub(super) fn new(tree: Tree) -> Self {
        let (tree, is_wanted) = (AsyncMutex::new(tree), AtomicBool::new(true));
        let (counted, last_told, listeners) = Default::default();
        Self { tree, is_wanted, counted, last_told, listeners }
    }

    /// What of it is counted. Called with the tree locked.
    pub(super) fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this copy was given up, so that another one counts. Whoever takes a step then holds the tree's lock.
    pub(super) fn is_abandoned(&self) -> bool {
        self.listeners.are_sent_away()
    }

    /// Sends everybody away: this copy of the tree may be wrong.
    fn abandon(&self) {
        self.listeners.send_away();
    }
}

/// All trees in memory.
pub(super) struct Trees {
    store: Arc<dyn Store>,
    cells: DashMap<TaskId, Arc<TreeCell>>,
    loading: [AsyncMutex<()>; LOADING_AT_ONCE],
    finished: Mutex<Finished>,
    set_aside: SetAside,
    keep: Keep,
    /// How many trees were removed from the store so far.
    removals: AtomicU64,
}

/// How many trees are kept in memory.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Open trees that nobody wants, at most.
    pub idle: usize,
    /// Finished trees for readers, at most.
    pub finished: usize,
    /// Bytes of messages and artifacts in those, at most.
    pub finished_bytes: u64,
}

/// Finished trees in memory, and how large they are.
#[derive(Default)]
struct Finished {
    /// The oldest first.
    queue: VecDeque<TaskId>,
    sizes: HashMap<TaskId, u64>,
    bytes: u64,
}

impl Finished {
    /// Takes a tree in, or its new size.
    fn enter(&mut self, root: TaskId, bytes: u64) {
        match self.sizes.insert(root, bytes) {
            Some(before) => self.bytes -= before,
            None => self.queue.push_back(root),
        }
        self.bytes += bytes;
    }

    fn leave_oldest(&mut self) -> Option<(TaskId, u64)> {
        let oldest = self.queue.pop_front()?;
        let bytes = self.sizes.remove(&oldest).unwrap_or(0);
        self.bytes -= bytes;
        Some((oldest, bytes))
    }

    fn are_too_many(&self, keep: Keep) -> bool {
        self.queue.len() > keep.finished || self.bytes > keep.finished_bytes
    }
}

impl Trees {
    pub(super) fn new(store: Arc<dyn Store>, keep: Keep) -> Self {
        let loading = std::array::from_fn(|_| AsyncMutex::default());
        let (cells, finished, set_aside, removals) = Default::default();
        Self { store, cells, loading, finished, set_aside, keep, removals }
    }

    /// A cell for a tree that is about to begin.
    pub(super) fn begin(&self, root: TaskId) -> Arc<TreeCell> {
        let cell = Arc::new(TreeCell::new(Tree::new(root)));
        self.cells.insert(root, Arc::clone(&cell));
        cell
    }

    /// The tree, from memory or folded from its journal; `None` if there is none.
    pub(super) async fn load(&self, root: TaskId) -> Result<Option<Arc<TreeCell>>, A2aError> {
        self.check_current()?;
        if let Some(cell) = self.in_memory(root) {
            return Ok(Some(cell));
        }
        if self.store.is_shared() {
            peers::check_driver(&*self.store, root).await?;
        }
        let _turn = self.turn_to_load(root).lock().await;
        if let Some(cell) = self.in_memory(root) {
            return Ok(Some(cell));
        }
        let removals = self.removals.load(Ordering::SeqCst);
        let records = self.records(root).await?;
        if records.is_empty() {
            return Ok(None);
        }
        let tree = Tree::fold(root, &records).map_err(|damage| error::damaged(&damage))?;
        let finished = (!tree.is_open()).then(|| tree.bytes());
        let cell = self.set_aside.bring_back(root, tree);
        let cell = Arc::clone(&self.cells.entry(root).or_insert_with(|| Arc::new(cell)));
        if let Some(bytes) = finished {
            self.retire(root, bytes);
            // Read before it was removed, and here after.
            if self.removals.load(Ordering::SeqCst) != removals && !self.is_stored(root).await? {
                self.forget(root);
                return Ok(None);
            }
        }
        Ok(Some(cell))
    }

    /// Whether what is in memory is known to be true.
    pub(super) fn check_current(&self) -> Result<(), A2aError> {
        let is_current = self.store.is_current() || removed(Guard::Leases);
        if is_current { Ok(()) } else { Err(error::not_current()) }
    }

    /// A tree to be looked at and left as it is: of one that another broker drives, a copy as its journal has it now.
    pub(super) async fn look_at(&self, root: TaskId) -> Result<Option<Arc<TreeCell>>, A2aError> {
        if !self.store.is_shared() || self.in_memory(root).is_some() {
            return self.load(root).await;
        }
        let driver = self.store.driver(root).await.map_err(|failure| error::store(&failure))?;
        if driver == Drive::Here {
            return self.load(root).await;
        }
        let records = self.records(root).await?;
        let tree = Tree::fold(root, &records).map_err(|damage| error::damaged(&damage))?;
        Ok((tree.version() > 0).then(|| Arc::new(TreeCell::new(tree))))
    }

    /// The same of the tree a task belongs to.
    pub(super) async fn look_for(&self, task: TaskId) -> Result<Option<Arc<TreeCell>>, A2aError> {
        if !self.store.is_shared() {
            return self.find(task).await;
        }
        match self.store.locate(task).await.map_err(|failure| error::store(&failure))? {
            Some(root) => self.look_at(root).await,
            None => Ok(None),
        }
    }

    fn in_memory(&self, root: TaskId) -> Option<Arc<TreeCell>> {
        let cell = self.cells.get(&root)?;
        cell.is_wanted.store(true, Ordering::Relaxed);
        Some(Arc::clone(&cell))
    }

    /// The copy that counts, for whoever holds one that was given up.
    pub(super) async fn current(&self, given_up: &TreeCell) -> Result<Arc<TreeCell>, A2aError> {
        let root = given_up.tree.lock().await.root();
        self.load(root).await?.ok_or_else(error::lost_sight)
    }

    /// Waits until something has happened in a tree; then it is time to look again, at the copy that counts.
    pub(super) async fn await_news(
        &self,
        news: OwnedNotified,
        cell: &mut Arc<TreeCell>,
    ) -> Result<(), A2aError> {
        news.await;
        if cell.is_abandoned() {
            *cell = self.current(cell).await?;
        }
        Ok(())
    }

    fn turn_to_load(&self, root: TaskId) -> &AsyncMutex<()> {
        let [turns @ .., last] = &self.loading;
        let number = usize::from(root.0.as_bytes()[15]) % LOADING_AT_ONCE;
        turns.get(number).unwrap_or(last)
    }

    /// The tree a task belongs to, and the task.
    pub(super) async fn find(&self, task: TaskId) -> Result<Option<Arc<TreeCell>>, A2aError> {
        self.check_current()?;
        if let Some(cell) = self.in_memory(task) {
            return Ok(Some(cell));
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
        if let Some(cell) = self.cells.get(&root) {
            cell.abandon();
        }
        self.cells.remove(&root);
    }

    async fn is_stored(&self, root: TaskId) -> Result<bool, A2aError> {
        let located = self.store.locate(root).await.map_err(|failure| error::store(&failure))?;
        Ok(located.is_some())
    }

    /// Whether somebody holds the tree.
    pub(super) fn is_watched(&self, root: TaskId) -> bool {
        self.cells.get(&root).is_some_and(|cell| Arc::strong_count(&cell) > 1)
    }

    /// Forgets a tree that is in the store no longer.
    pub(super) fn removed(&self, root: TaskId) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.forget(root);
    }

    /// A tree of this size has finished: keep it a while for readers, and let the oldest go.
    pub(super) fn retire(&self, root: TaskId, bytes: u64) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.enter(root, bytes);
        // One round at most: a tree that somebody holds goes to the back of the queue.
        for _ in 0..finished.queue.len() {
            if !finished.are_too_many(self.keep) {
                break;
            }
            let Some((oldest, bytes)) = finished.leave_oldest() else { break };
            self.cells.remove_if(&oldest, |_, cell| Arc::strong_count(cell) == 1);
            if self.cells.contains_key(&oldest) {
                finished.enter(oldest, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_trees_are_bounded_in_number_and_in_size_whoever_finishes_twice() {
        let keep = Keep { idle: 0, finished: 3, finished_bytes: 100 };
        let mut finished = Finished::default();
        let mut gone = Vec::new();
        for (root, bytes) in [(1, 10), (2, 10), (1, 20), (3, 10), (4, 10), (5, 90)] {
            finished.enter(TaskId(uuid::Uuid::from_u128(root)), bytes);
            while finished.are_too_many(keep) {
                gone.extend(finished.leave_oldest().map(|(root, bytes)| (root.0.as_u128(), bytes)));
            }
        }
        assert_eq!(gone, [(1, 20), (2, 10), (3, 10)], "the oldest go");
        assert_eq!((finished.bytes, finished.sizes.len()), (100, 2), "what is counted is what is there");
    }
}
