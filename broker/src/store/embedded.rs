//! The embedded store: one directory, no server. An LSM engine (fjall) holds the journal and its indexes; one
//! committer thread makes all appends that are waiting durable with one fsync. Why this engine:
//! `docs/decisions/0003-embedded-store-engine.md`.

mod backup;
mod committer;
mod counted;
mod keys;
mod outbox;
mod rotation;
mod rows;
mod trees;

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use broker_core::audit::{self, Head};
use broker_core::{TaskId, Timestamp};
use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use tokio::sync::mpsc;

pub use self::backup::RestoreError;
use self::committer::{Committer, Done, Work};
use self::rows::Totals;
use crate::ports::store::{
    Append, Claim, OutboxKey, OutboxRow, Over, Piece, Removed, RowPage, RowQuery, Store, StoreError,
    TreePage, TreeQuery,
};

/// Written data each table may hold in memory before it goes to a file of its own ([`rotation`]).
const MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;

/// At how much the engine would see to it itself, in tables that are made from now on: never, unless a batch is as large.
const ENGINE_MEMTABLE_BYTES: u64 = 64 * 1024 * 1024;

/// What a table's files may come to when they are merged. The last one of a merge goes to the disk, and those it replaces are
/// removed, while nobody can write to the table: at the engine's 64 MiB that took a tenth of a second, and more.
const TABLE_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// How much nicer than the rest the threads are that keep the tables in order: they give way to those that answer, where
/// there are not cores for all (`nice(2)`). Not by all there is, which would be next to no time on a core that is never idle:
/// what waits for them would wait for long.
const HOUSEKEEPING_NICENESS: i32 = 10;

/// What may be written to all tables before what one of them has had in memory since goes to a file, however little it is: from
/// there on the engine keeps its own journal, all of which is read when the store is opened ([`rotation`]). As much as one of
/// the files that journal consists of.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;

/// At how much the engine would see to that itself.
const ENGINE_JOURNAL_BYTES: u64 = 256 * 1024 * 1024;

/// How an embedded store behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Wait for the disk before saying that something is durable. Off, a power cut can lose what was told.
    pub fsync: bool,
    /// Appends that may wait; more are refused as overload.
    pub queue: usize,
    /// Appends that share one fsync at most.
    pub batch: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { fsync: true, queue: 4_096, batch: 256 }
    }
}

/// The tables of the store.
struct Tables {
    db: Database,
    /// (root, number) → record.
    journal: Keyspace,
    /// root → how it stands.
    heads: Keyspace,
    /// (last change, root) → nothing, for trees that are over.
    over: Keyspace,
    /// (root, child or claim) → nothing: what else goes when the tree goes.
    parts: Keyspace,
    /// (last change, claim) → nothing, for message ids of removed trees.
    remembered: Keyspace,
    /// root → which records of a removed tree are left.
    removed: Keyspace,
    /// task → root.
    located: Keyspace,
    /// (principal, message id) → claim.
    claims: Keyspace,
    /// task → row.
    rows: Keyspace,
    /// (owner, agent, newest first) → row.
    order: Keyspace,
    /// (owner, context, task) → nothing.
    contexts: Keyspace,
    /// root → nothing, for trees with open tasks.
    open: Keyspace,
    /// name → document.
    agents: Keyspace,
    /// number → sealed line.
    audit: Keyspace,
    /// name → document of the broker's own.
    documents: Keyspace,
    /// (task, configuration) → how far its push has come.
    outbox: Keyspace,
    /// What is counted → how many there are.
    counted: Keyspace,
}

/// How a tree stands.
#[derive(Debug, Clone, Copy, Default)]
struct TreeHead {
    /// How many records it holds.
    records: u64,
    /// When it was last changed, if it is over.
    over: Option<Timestamp>,
}

impl TreeHead {
    /// Whether there is such a tree, and it is not over.
    fn is_open(self) -> bool {
        self.records > 0 && self.over.is_none()
    }
}

/// A store in a directory.
pub struct EmbeddedStore {
    tables: Arc<Tables>,
    totals: Arc<Totals>,
    committer: Committer,
}

impl EmbeddedStore {
    /// Opens or creates the store in a directory. Only one process can have it open.
    pub fn open(directory: &Path, options: Options) -> Result<Self, StoreError> {
        let tables = Tables::open(directory).map_err(|error| match error {
            fjall::Error::Locked => StoreError::Engine(format!(
                "the data directory {} is in use by another broker; stop it or choose another directory",
                directory.display()
            )),
            error => engine(&error),
        })?;
        let tables = Arc::new(tables);
        let totals = Arc::new(Totals::read(&tables)?);
        // The journal file's data and length are what recovery needs; its other metadata can wait.
        let persist = if options.fsync { PersistMode::SyncData } else { PersistMode::Buffer };
        let committer = Committer::start(Arc::clone(&tables), Arc::clone(&totals), options, persist)?;
        Ok(Self { tables, totals, committer })
    }
}

impl Tables {
    fn open(directory: &Path) -> fjall::Result<Self> {
        let db = Self::database(directory)?;
        let table = |name: &str| db.keyspace(name, Self::options);
        Ok(Self {
            journal: table("journal")?,
            heads: table("heads")?,
            over: table("over")?,
            parts: table("parts")?,
            remembered: table("remembered")?,
            removed: table("removed")?,
            located: table("located")?,
            claims: table("claims")?,
            rows: table("rows")?,
            order: table("order")?,
            contexts: table("contexts")?,
            open: table("open")?,
            agents: table("agents")?,
            audit: table("audit")?,
            documents: table("documents")?,
            outbox: table("outbox")?,
            counted: table("counted")?,
            db,
        })
    }

    fn database(directory: &Path) -> fjall::Result<Database> {
        let database = Database::builder(directory)
            .manual_journal_persist(true)
            .max_journaling_size(ENGINE_JOURNAL_BYTES);
        let open = move || {
            give_way();
            database.open()
        };
        // The engine's threads are as nice as the one that starts them.
        let opened = std::thread::Builder::new().name("opening".to_owned()).spawn(open)?.join();
        opened.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
    }

    fn options() -> KeyspaceCreateOptions {
        let merging = Leveled::default().with_table_target_size(TABLE_FILE_BYTES);
        KeyspaceCreateOptions::default()
            .max_memtable_size(ENGINE_MEMTABLE_BYTES)
            .compaction_strategy(Arc::new(merging))
    }

    /// All tables.
    fn all(&self) -> impl Iterator<Item = &Keyspace> {
        self.of_trees().into_iter().chain([
            &self.agents,
            &self.audit,
            &self.documents,
            &self.outbox,
            &self.counted,
        ])
    }

    /// The tables from which something goes with a tree.
    fn of_trees(&self) -> [&Keyspace; 12] {
        let Self { journal, heads, over, parts, remembered, removed, .. } = self;
        let Self { located, claims, rows, order, contexts, open, .. } = self;
        [journal, heads, over, parts, remembered, removed, located, claims, rows, order, contexts, open]
    }

    fn head(&self, root: TaskId) -> Result<TreeHead, StoreError> {
        let stored = self.heads.get(keys::task(root)).map_err(|error| engine(&error))?;
        stored.map_or(Ok(TreeHead::default()), |bytes| keys::read_head(&bytes))
    }

    fn audit_head(&self) -> Result<Head, StoreError> {
        let Some(last) = self.audit.last_key_value() else { return Ok(Head::default()) };
        let (number, line) = last.into_inner().map_err(|error| engine(&error))?;
        let number = keys::read_number(&number)?;
        Head::at(number, &line).ok_or_else(|| {
            let problem = "is not what was written; `bailiwick audit verify` says more";
            StoreError::Damaged(format!("entry {number} of the audit log {problem}"))
        })
    }

    fn stored_claim(&self, key: &[u8]) -> Result<Option<Claim>, StoreError> {
        let stored = self.claims.get(key).map_err(|error| engine(&error))?;
        stored.map(|bytes| serde_json::from_slice(&bytes).map_err(|error| damaged(&error))).transpose()
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn append(&self, change: Append) -> Result<(), StoreError> {
        self.committer.commit(Work::Append(change)).await.map(drop)
    }

    async fn until_failed(&self) -> String {
        self.committer.until_failed().await
    }

    async fn backup(&self, to: mpsc::Sender<Piece>) -> Result<bool, StoreError> {
        self.write_backup(to).await
    }

    async fn read(&self, root: TaskId, from: u64) -> Result<Vec<Bytes>, StoreError> {
        self.read_page(root, from, usize::MAX).await
    }

    async fn read_page(&self, root: TaskId, from: u64, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        // One moment for both: a removed tree has no head, and may have records for a while.
        let now = self.tables.db.snapshot();
        let head = now.get(&self.tables.heads, keys::task(root)).map_err(|error| engine(&error))?;
        let records = head.map_or(Ok(0), |head| keys::read_head(&head).map(|head| head.records))?;
        if from >= records {
            return Ok(Vec::new());
        }
        let range = keys::record(root, from)..keys::record(root, records);
        let value = |guard: fjall::Guard| guard.value().map(|value| Bytes::copy_from_slice(&value));
        let records = now.range(&self.tables.journal, range).take(limit).map(value);
        records.collect::<fjall::Result<Vec<Bytes>>>().map_err(|error| engine(&error))
    }

    async fn locate(&self, task: TaskId) -> Result<Option<TaskId>, StoreError> {
        let stored = self.tables.located.get(keys::task(task)).map_err(|error| engine(&error))?;
        stored.map(|bytes| keys::read_task(&bytes)).transpose()
    }

    async fn claim(&self, principal: &str, message_id: &str) -> Result<Option<Claim>, StoreError> {
        self.tables.stored_claim(&keys::claim(principal, message_id))
    }

    async fn rows(&self, query: RowQuery) -> Result<RowPage, StoreError> {
        rows::page(&self.tables, &self.totals, &query)
    }

    async fn trees(&self, query: TreeQuery) -> Result<TreePage, StoreError> {
        trees::page(&self.tables, &query)
    }

    async fn open_trees(&self, after: Option<TaskId>, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let from = after.map_or_else(Vec::new, |after| [keys::task(after).as_slice(), &[0]].concat());
        let key = |guard: fjall::Guard| keys::read_task(&guard.key().map_err(|error| engine(&error))?);
        self.tables.open.range(from..).take(limit).map(key).collect()
    }

    async fn open_tasks(&self) -> Result<Vec<(String, String, u64)>, StoreError> {
        let open = self.totals.all().into_iter().filter(|((_, _, state), _)| !state.is_terminal());
        Ok(open.map(|((owner, agent, _), tasks)| (owner, agent, tasks)).collect())
    }

    async fn outbox(&self, after: Option<OutboxKey>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        outbox::page(&self.tables, after.as_ref(), limit)
    }

    async fn move_outbox(&self, row: OutboxRow) -> Result<bool, StoreError> {
        let (key, set) = (row.key.clone(), row.set);
        self.committer.commit(Work::Outbox { key, set, row: Some(row) }).await
    }

    async fn end_outbox(&self, key: OutboxKey, set: u64) -> Result<bool, StoreError> {
        self.committer.commit(Work::Outbox { key, set, row: None }).await
    }

    async fn over(
        &self,
        before: Timestamp,
        after: Option<Over>,
        limit: usize,
    ) -> Result<Vec<Over>, StoreError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(keys::over(after)));
        let range = (from, Bound::Excluded(keys::time(before).to_vec()));
        // A cursor that is not before is behind all there is.
        if after.is_some_and(|after| after.since >= before) {
            return Ok(Vec::new());
        }
        let key = |guard: fjall::Guard| keys::read_over(&guard.key().map_err(|error| engine(&error))?);
        self.tables.over.range(range).take(limit).map(key).collect()
    }

    async fn remove_tree(&self, root: TaskId, before: Timestamp) -> Result<Option<Removed>, StoreError> {
        let done = self.committer.done(Work::RemoveTree { root, before }).await?;
        Ok(if let Done::Removed(removed) = done { removed } else { None })
    }

    async fn forget_claims(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let done = self.committer.done(Work::ForgetClaims { before, limit }).await?;
        Ok(if let Done::Forgotten(forgotten) = done { forgotten } else { 0 })
    }

    async fn document(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let stored = self.tables.documents.get(name).map_err(|error| engine(&error))?;
        Ok(stored.map(|document| Bytes::copy_from_slice(&document)))
    }

    async fn put_document(
        &self,
        name: &str,
        document: Bytes,
        audit: Option<audit::Entry>,
    ) -> Result<(), StoreError> {
        self.committer.commit(Work::Document { name: name.to_owned(), document, audit }).await.map(drop)
    }

    async fn agents(&self) -> Result<Vec<(String, Bytes)>, StoreError> {
        let read = |guard: fjall::Guard| {
            let (name, document) = guard.into_inner().map_err(|error| engine(&error))?;
            let name = String::from_utf8(name.to_vec()).map_err(|error| damaged(&error))?;
            Ok((name, Bytes::copy_from_slice(&document)))
        };
        self.tables.agents.iter().map(read).collect()
    }

    async fn put_agent(
        &self,
        name: &str,
        document: Bytes,
        audit: Option<audit::Entry>,
    ) -> Result<(), StoreError> {
        let (name, document) = (name.to_owned(), Some(document));
        self.committer.commit(Work::Agent { name, document, audit }).await.map(drop)
    }

    async fn remove_agent(&self, name: &str, audit: audit::Entry) -> Result<bool, StoreError> {
        let (name, audit) = (name.to_owned(), Some(audit));
        self.committer.commit(Work::Agent { name, document: None, audit }).await
    }

    fn note(&self, audit: Vec<audit::Entry>) -> Result<(), StoreError> {
        self.committer.hand_over(Work::Note(audit))
    }

    async fn audit_log(&self, after: u64, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        // What is ahead in the queue is written once this is.
        self.committer.commit(Work::Note(Vec::new())).await?;
        let value = |guard: fjall::Guard| guard.value().map(|value| Bytes::copy_from_slice(&value));
        let range = keys::audit(after.saturating_add(1))..;
        let lines: fjall::Result<Vec<Bytes>> =
            self.tables.audit.range(range).take(limit).map(value).collect();
        lines.map_err(|error| engine(&error))
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.tables.audit_head()
    }
}

/// Makes this thread, and those it starts, housekeeping.
fn give_way() {
    // Elsewhere it would be the whole process.
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(HOUSEKEEPING_NICENESS)
    {
        tracing::debug!(%error, "the store's housekeeping has the same priority as everything else");
    }
}

fn engine(error: &fjall::Error) -> StoreError {
    StoreError::Engine(error.to_string())
}

fn damaged(error: &impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(error.to_string())
}
