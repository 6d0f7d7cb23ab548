//! What the broker needs of storage: an ordered journal per delegation tree, the indexes that answer
//! `ListTasks` and idempotency, and the agent registry. Every engine passes the same contract suite
//! (`store/contract.rs`); nothing outside `app.rs` knows which engine is in use.
//!
//! The journal is the only source of truth. Rows, claims and the open set are derived from it and are
//! written in the same atomic append, so that they can never disagree with it.

mod driver;
mod outbox;
mod retention;
mod trees;

use async_trait::async_trait;
use broker_core::{TaskId, Timestamp, audit};
use bytes::Bytes;
use protocol::TaskState;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};

pub use self::driver::{Changed, Drive, Usage};
pub use self::outbox::{OutboxChange, OutboxKey, OutboxRow, Trouble};
pub use self::retention::{Over, Removed};
pub use self::trees::{TreePage, TreeQuery};

/// One atomic change of one delegation tree. Either all of it is durable or none of it is.
#[derive(Debug, Clone)]
pub struct Append {
    /// The tree, named by its root task.
    pub root: TaskId,
    /// How many records the tree held when the change was decided; the append is refused if it holds another number.
    pub expected: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Encoded journal records in order; they become records `expected`, `expected + 1`, … of the tree.
    pub records: Vec<Bytes>,
    /// A message id reserved together with the change, refused if somebody else holds it.
    pub claim: Option<Claim>,
    /// The index row of every task whose row changed (inserted or replaced by task id).
    pub rows: Vec<TaskRow>,
    /// Whether any task of the tree is still open afterwards; open trees are resumed at start.
    pub open: bool,
    /// What the audit log says about the change: there if the change is there, and only then.
    pub audit: Vec<audit::Entry>,
    /// Pushes that begin or end with the change.
    pub outbox: Vec<OutboxChange>,
}

/// Idempotency: who sent which message id, what it said, and the task it made (design §4, invariant 6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The principal's storage name: `p/{principal}` for a root, `t/{task id}` for a delegate.
    pub principal: String,
    /// `messageId` as the caller sent it.
    pub message_id: String,
    /// SHA-256 of what the message says; another digest under the same id is a conflict.
    pub digest: [u8; 32],
    /// The task the message created or continued.
    pub task: TaskId,
    /// The tree of that task.
    pub root: TaskId,
}

/// What `ListTasks` filters and sorts by, without reading the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// The task.
    pub task: TaskId,
    /// Its tree.
    pub root: TaskId,
    /// The principal that owns the tree.
    pub owner: String,
    /// The agent that works on it.
    pub agent: String,
    /// The northbound context id.
    pub context_id: String,
    /// The northbound state.
    pub state: TaskState,
    /// When the status last changed.
    pub updated: Timestamp,
}

/// A page request over rows, newest status first (spec §3.1.4).
#[derive(Debug, Clone, Default)]
pub struct RowQuery {
    /// Only this owner's tasks; `None` is everyone's, for operators.
    pub owner: Option<String>,
    /// Only tasks of this agent.
    pub agent: Option<String>,
    /// Only tasks of this context.
    pub context_id: Option<String>,
    /// Only tasks in this state.
    pub state: Option<TaskState>,
    /// Only tasks whose status changed at or after this time.
    pub updated_after: Option<Timestamp>,
    /// Continue after this row.
    pub after: Option<RowCursor>,
    /// At most this many rows.
    pub limit: usize,
}

/// Position in the order (updated descending, then task id descending).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowCursor {
    /// `updated` of the last row seen.
    pub updated: Timestamp,
    /// Its task.
    pub task: TaskId,
}

/// A page of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowPage {
    /// The rows, newest first.
    pub rows: Vec<TaskRow>,
    /// Where to continue; `None` at the end.
    pub next: Option<RowCursor>,
    /// How many rows match the filters on all pages together.
    pub total: u64,
}

/// Why storage did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The tree has moved on since the change was decided (another driver, or a stale cache).
    #[error("the tree holds {found} records, not the expected {expected}")]
    Stale {
        /// Records the writer believed in.
        expected: u64,
        /// Records that are there.
        found: u64,
    },
    /// The message id is already taken; nothing was written.
    #[error("message id {} of {} is already claimed", .0.message_id, .0.principal)]
    Claimed(Box<Claim>),
    /// Too many appends are waiting; nothing was written and it may be tried again.
    #[error("the store is overloaded: {waiting} appends are waiting")]
    Overloaded {
        /// Appends in the queue.
        waiting: usize,
    },
    /// The engine is away; nothing was written or read, and it may be tried again.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The engine failed; what was being written may or may not be durable.
    #[error("the store failed: {0}")]
    Engine(String),
    /// What was read cannot be understood.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether the writer may go on with what it knows: nothing was written, and nothing of its own is out of date.
    pub fn wrote_nothing(&self) -> bool {
        matches!(self, Self::Claimed(_) | Self::Overloaded { .. } | Self::Unavailable(_))
    }
}

/// A piece of a backup, or why there are no more.
pub type Piece = Result<Bytes, StoreError>;

/// The journal, its indexes and the registry.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes one change durable; when this returns `Ok`, the change survives a power cut.
    async fn append(&self, change: Append) -> Result<(), StoreError>;

    /// Resolves when nothing can be written any more until the store is opened again, with the reason: what was being
    /// written then may or may not be there, and reading may not tell before. The broker has to be started anew.
    async fn until_failed(&self) -> String;

    /// Whether other brokers may work with the same store.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether what this broker holds in memory of the trees it drives is known to be true: nobody else can have taken one
    /// over.
    fn is_current(&self) -> bool {
        true
    }

    /// Who may append to a tree.
    async fn driver(&self, _root: TaskId) -> Result<Drive, StoreError> {
        Ok(Drive::Here)
    }

    /// Takes over at most `limit` trees that have something left to do and whose broker is gone: their roots.
    async fn adopt(&self, _limit: usize) -> Result<Vec<TaskId>, StoreError> {
        Ok(Vec::new())
    }

    /// Says what this broker uses of quotas, instead of what it said before, and hears the last word of each of the others,
    /// also of those that are gone, for a day at least.
    async fn exchange_usage(&self, _said: Bytes) -> Result<Vec<Usage>, StoreError> {
        Ok(Vec::new())
    }

    /// Leaves what is under way to the other brokers. Nothing can be written afterwards.
    async fn leave(&self) {}

    /// Of the pushes that are not over, those of trees that this broker drives.
    async fn own_outbox(&self, after: Option<OutboxKey>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        self.outbox(after, limit).await
    }

    /// Writes a backup of all that is in the store now, while it goes on; whether all of it was taken.
    async fn backup(&self, _to: mpsc::Sender<Piece>) -> Result<bool, StoreError> {
        Err(StoreError::Engine("it is backed up by its engine's own means".to_owned()))
    }

    /// The records of a tree from record number `from` on, in order. Empty if there is no such tree.
    async fn read(&self, root: TaskId, from: u64) -> Result<Vec<Bytes>, StoreError>;

    /// At most `limit` of them, so that a reader of a long journal need not hold all of it.
    async fn read_page(&self, root: TaskId, from: u64, limit: usize) -> Result<Vec<Bytes>, StoreError>;

    /// The tree a task belongs to.
    async fn locate(&self, task: TaskId) -> Result<Option<TaskId>, StoreError>;

    /// The claim on a message id, if any.
    async fn claim(&self, principal: &str, message_id: &str) -> Result<Option<Claim>, StoreError>;

    /// A page of task rows.
    async fn rows(&self, query: RowQuery) -> Result<RowPage, StoreError>;

    /// A page of trees.
    async fn trees(&self, query: TreeQuery) -> Result<TreePage, StoreError>;

    /// Roots of trees with open tasks that this broker drives, in ascending order, after `after`, at most `limit`.
    async fn open_trees(&self, after: Option<TaskId>, limit: usize) -> Result<Vec<TaskId>, StoreError>;

    /// How many tasks are open of the trees that this broker drives: by owner and agent.
    async fn open_tasks(&self) -> Result<Vec<(String, String, u64)>, StoreError> {
        Ok(Vec::new())
    }

    /// Pushes that are not over, after `after`, at most `limit`, in the order of their keys.
    async fn outbox(&self, after: Option<OutboxKey>, limit: usize) -> Result<Vec<OutboxRow>, StoreError>;

    /// Moves a push on: replaces its row, if that is still of the same setting; `false` and nothing if it is not.
    /// Durable when this returns `Ok`.
    async fn move_outbox(&self, row: OutboxRow) -> Result<bool, StoreError>;

    /// Ends a push that has said all there was to say, under the same condition.
    async fn end_outbox(&self, key: OutboxKey, set: u64) -> Result<bool, StoreError>;

    /// Trees that are over and were last changed before a time, the longest unchanged first, after `after`, at most
    /// `limit`. A tree is over from the first append on that says so. Not those of another broker that is there: it removes
    /// them itself.
    async fn over(
        &self,
        before: Timestamp,
        after: Option<Over>,
        limit: usize,
    ) -> Result<Vec<Over>, StoreError>;

    /// Removes a tree with all that is derived from it except its message ids: at once, so that everybody finds all of
    /// it or nothing, also after a crash. `None`, and nothing is removed, unless it is over and no other broker's that is
    /// there, was last changed before that time, and each of its pushes was given up before it too.
    async fn remove_tree(&self, root: TaskId, before: Timestamp) -> Result<Option<Removed>, StoreError>;

    /// Forgets message ids of removed trees that were last changed before a time, the oldest first, at most `limit`;
    /// how many there were.
    async fn forget_claims(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// A small document of the broker's own, such as its keys. It may be secret: the engine shows it to nobody else.
    async fn document(&self, name: &str) -> Result<Option<Bytes>, StoreError>;

    /// Keeps or replaces a document of the broker's own, and says so in the audit log if there is anything to say; durable
    /// when this returns `Ok`.
    async fn put_document(
        &self,
        name: &str,
        document: Bytes,
        audit: Option<audit::Entry>,
    ) -> Result<(), StoreError>;

    /// The same, if the document is still the one that was read before, or none; whether it was.
    async fn replace_document(
        &self,
        name: &str,
        _before: Option<Bytes>,
        document: Bytes,
        audit: Option<audit::Entry>,
    ) -> Result<bool, StoreError> {
        self.put_document(name, document, audit).await.map(|()| true)
    }

    /// What other brokers change, as it happens; none where there are no others.
    fn changes(&self) -> Option<broadcast::Receiver<Changed>> {
        None
    }

    /// One registered agent's document.
    async fn agent(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let all = self.agents().await?;
        Ok(all.into_iter().find(|(known, _)| known == name).map(|(_, document)| document))
    }

    /// All registered agents as (name, document).
    async fn agents(&self) -> Result<Vec<(String, Bytes)>, StoreError>;

    /// Registers or replaces an agent's document, and says so in the audit log if there is anything to say.
    async fn put_agent(
        &self,
        name: &str,
        document: Bytes,
        audit: Option<audit::Entry>,
    ) -> Result<(), StoreError>;

    /// Forgets an agent, and says so in the audit log; `false`, and nothing is said, if it was not there.
    async fn remove_agent(&self, name: &str, audit: audit::Entry) -> Result<bool, StoreError>;

    /// Hands entries to the audit log and does not wait for the disk: they are written in the order handed over,
    /// with whatever is written next. Lost with the process, if that dies before.
    fn note(&self, audit: Vec<audit::Entry>) -> Result<(), StoreError>;

    /// The audit log after entry number `after`: sealed lines in order, at most `limit`. Everything handed over
    /// before the call is written by then.
    async fn audit_log(&self, after: u64, limit: usize) -> Result<Vec<Bytes>, StoreError>;

    /// Where the audit log ends.
    async fn audit_head(&self) -> Result<audit::Head, StoreError>;
}
