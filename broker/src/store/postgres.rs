//! The store in a PostgreSQL database. The journal and its indexes are tables; one task makes all appends that are waiting
//! durable with one transaction. Nothing of what is stored is kept in memory. Why this way:
//! `docs/decisions/0028-postgresql.md`.

mod batch;
mod committer;
mod connecting;
mod failure;
mod membership;
mod migrations;
mod notices;
mod partitions;
mod rows;
mod statements;
mod trees;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use broker_core::audit::{self, Head};
use broker_core::{TaskId, Timestamp};
use bytes::Bytes;
use deadpool_postgres::{Object, Pool};
use protocol::TaskState;
use rustls::ClientConfig;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::batch::{InsteadOf, Work};
use self::committer::Committer;
pub use self::connecting::parse;
use self::membership::Membership;
pub use self::membership::Peer;
use self::statements::{Writer, signed};
use super::queue::Queue;
use crate::ports::store::{
    Append, Changed, Claim, Drive, OutboxKey, OutboxRow, Over, Removed, RowPage, RowQuery, Store, StoreError,
    TreePage, TreeQuery, Usage,
};

/// What others have changed that may wait to be followed.
const CHANGES: usize = 256;

/// How a store in a database behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Appends that may wait; more are refused as overload.
    pub queue: usize,
    /// Appends that share one transaction at most.
    pub batch: usize,
    /// Connections at most.
    pub connections: usize,
}

/// A store in a database.
pub struct PostgresStore {
    pool: Pool,
    membership: Arc<Membership>,
    changes: broadcast::Sender<Changed>,
    /// For who follows them first: all since the store was opened.
    first_changes: Mutex<Option<broadcast::Receiver<Changed>>>,
    /// What goes on for as long as the store is open.
    _tasks: JoinSet<()>,
    queue: Queue<Work, bool>,
}

impl PostgresStore {
    /// Connects to a database, and makes the tables it lacks.
    pub async fn open(
        url: &str,
        tls: ClientConfig,
        options: Options,
        peer: Peer,
    ) -> Result<Self, StoreError> {
        let (config, tls) =
            (connecting::parse(url).map_err(StoreError::Engine)?, MakeRustlsConnect::new(tls));
        let pool = connecting::pool(config.clone(), tls.clone(), options.connections)?;
        let client = pool.get().await.map_err(|error| failure::no_connection(&error))?;
        migrations::run(&client).await?;
        let slot = connecting::slot(&client).await?;
        drop(client);
        let renewing = connecting::pool(config.clone(), tls.clone(), 1)?;
        let membership = Membership::join(pool.clone(), renewing, peer).await?;
        let (changes, first) = broadcast::channel(CHANGES);
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&membership).keep());
        // Before anything is written that would belong to a day.
        let is_done = partitions::tend_now(&pool).await;
        tasks.spawn(partitions::tend(pool.clone(), is_done));
        tasks.spawn(notices::listen(config, tls, membership.id(), changes.clone()));
        let (queue, waiting) = Queue::new(options.queue);
        let committer = Committer::new(pool.clone(), options.batch, Writer { driver: membership.id(), slot });
        tokio::spawn(committer.run(waiting));
        let first_changes = Mutex::new(Some(first));
        Ok(Self { pool, membership, changes, first_changes, _tasks: tasks, queue })
    }

    /// Looks after the journal's days as on a certain one, counted since 1970: makes the next ones, and drops those that are
    /// past and empty. It goes on by itself as time passes.
    pub async fn tend_days(&self, today: i64) -> Result<(), StoreError> {
        partitions::tend_on(&mut self.client().await?, today).await.map(drop)
    }

    async fn client(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| failure::no_connection(&error))
    }

    async fn query(&self, text: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        rows::query(&self.client().await?, text, params).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn append(&self, change: Append) -> Result<(), StoreError> {
        self.queue.done(Work::Append(Box::new(change))).await.map(drop)
    }

    /// A database that is away may come back; what others have taken over may not.
    async fn until_failed(&self) -> String {
        self.membership.until_lost().await
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn is_current(&self) -> bool {
        self.membership.is_current()
    }

    async fn driver(&self, root: TaskId) -> Result<Drive, StoreError> {
        self.membership.driver(root).await
    }

    async fn adopt(&self, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        self.membership.adopt(most(limit)).await
    }

    async fn exchange_usage(&self, said: Bytes) -> Result<Vec<Usage>, StoreError> {
        self.membership.exchange_usage(&said).await
    }

    async fn leave(&self) {
        self.membership.leave().await;
    }

    async fn own_outbox(&self, after: Option<OutboxKey>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        let text = "SELECT outbox.root, task, config, set, next, trouble FROM outbox JOIN trees USING (root) \
                    WHERE driver = $4 AND ($1::uuid IS NULL OR (task, config) > ($1, $2)) \
                    ORDER BY task, config LIMIT $3";
        let (task, config) = after.map(|after| (after.task.0, after.config)).unzip();
        let found = self.query(text, &[&task, &config, &most(limit), &self.membership.id()]).await?;
        found.iter().map(rows::push).collect()
    }

    async fn read(&self, root: TaskId, from: u64) -> Result<Vec<Bytes>, StoreError> {
        self.read_page(root, from, usize::MAX).await
    }

    async fn read_page(&self, root: TaskId, from: u64, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        let text = "SELECT record FROM journal WHERE root = $1 AND number >= $2 ORDER BY number LIMIT $3";
        let found = self.query(text, &[&root.0, &signed(from), &most(limit)]).await?;
        Ok(found.iter().map(|row| bytes(row, 0)).collect())
    }

    async fn locate(&self, task: TaskId) -> Result<Option<TaskId>, StoreError> {
        let found = self.query("SELECT root FROM tasks WHERE task = $1", &[&task.0]).await?;
        Ok(found.first().map(|row| TaskId(row.get(0))))
    }

    async fn claim(&self, principal: &str, message_id: &str) -> Result<Option<Claim>, StoreError> {
        let text = "SELECT principal, message_id, digest, task, root FROM claims \
                    WHERE principal = $1 AND message_id = $2";
        let found = self.query(text, &[&principal, &message_id]).await?;
        found.first().map(rows::claim).transpose()
    }

    async fn rows(&self, query: RowQuery) -> Result<RowPage, StoreError> {
        rows::page(&self.client().await?, &query).await
    }

    async fn trees(&self, query: TreeQuery) -> Result<TreePage, StoreError> {
        trees::page(&self.client().await?, &query).await
    }

    async fn open_trees(&self, after: Option<TaskId>, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let text = "SELECT root FROM trees WHERE over IS NULL AND driver = $3 \
                    AND ($1::uuid IS NULL OR root > $1) ORDER BY root LIMIT $2";
        let params: &[&(dyn ToSql + Sync)] =
            &[&after.map(|after| after.0), &most(limit), &self.membership.id()];
        let found = self.query(text, params).await?;
        Ok(found.iter().map(|row| TaskId(row.get(0))).collect())
    }

    async fn open_tasks(&self) -> Result<Vec<(String, String, u64)>, StoreError> {
        let text = "SELECT owner, agent, count(*) FROM tasks JOIN trees USING (root) \
                    WHERE driver = $1 AND over IS NULL AND state <> ALL ($2) GROUP BY owner, agent";
        let over: Vec<&str> =
            TaskState::ALL.iter().filter(|state| state.is_terminal()).map(|state| state.as_str()).collect();
        let found = self.query(text, &[&self.membership.id(), &over]).await?;
        Ok(found.iter().map(|row| (row.get(0), row.get(1), rows::unsigned(row, 2))).collect())
    }

    async fn outbox(&self, after: Option<OutboxKey>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        let text = "SELECT root, task, config, set, next, trouble FROM outbox \
                    WHERE $1::uuid IS NULL OR (task, config) > ($1, $2) ORDER BY task, config LIMIT $3";
        let (task, config) = after.map(|after| (after.task.0, after.config)).unzip();
        let found = self.query(text, &[&task, &config, &most(limit)]).await?;
        found.iter().map(rows::push).collect()
    }

    async fn move_outbox(&self, row: OutboxRow) -> Result<bool, StoreError> {
        let trouble = row.trouble.as_ref().map(serde_json::to_string).transpose();
        let trouble = trouble.map_err(|error| StoreError::Engine(error.to_string()))?;
        let text = "UPDATE outbox SET next = $4, trouble = $5 WHERE task = $1 AND config = $2 AND set = $3 \
                    AND EXISTS (SELECT FROM trees WHERE trees.root = outbox.root AND driver = $6)";
        let (task, config, set, own) =
            (row.key.task.0, row.key.config, signed(row.set), self.membership.id());
        let moved = self.client().await?;
        let moved = moved.execute(text, &[&task, &config, &set, &signed(row.next), &trouble, &own]).await;
        moved.map(|moved| moved > 0).map_err(|error| failure::uncertain(&error))
    }

    async fn end_outbox(&self, key: OutboxKey, set: u64) -> Result<bool, StoreError> {
        let text = "DELETE FROM outbox WHERE task = $1 AND config = $2 AND set = $3 \
                    AND EXISTS (SELECT FROM trees WHERE trees.root = outbox.root AND driver = $4)";
        let client = self.client().await?;
        let own = self.membership.id();
        let ended = client.execute(text, &[&key.task.0, &key.config, &signed(set), &own]).await;
        ended.map(|ended| ended > 0).map_err(|error| failure::uncertain(&error))
    }

    async fn over(
        &self,
        before: Timestamp,
        after: Option<Over>,
        limit: usize,
    ) -> Result<Vec<Over>, StoreError> {
        trees::over(&self.client().await?, self.membership.id(), before, after, most(limit)).await
    }

    async fn remove_tree(&self, root: TaskId, before: Timestamp) -> Result<Option<Removed>, StoreError> {
        trees::remove(&mut self.client().await?, self.membership.id(), root, before).await
    }

    async fn forget_claims(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        trees::forget_claims(&self.client().await?, before, limit).await
    }

    async fn document(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let found = self.query("SELECT document FROM documents WHERE name = $1", &[&name]).await?;
        Ok(found.first().map(|row| bytes(row, 0)))
    }

    async fn put_document(
        &self,
        name: &str,
        document: Bytes,
        audit: Option<audit::Entry>,
    ) -> Result<(), StoreError> {
        let (name, instead_of) = (name.to_owned(), InsteadOf::Anything);
        self.queue.done(Work::Document { name, document, instead_of, audit }).await.map(drop)
    }

    async fn replace_document(
        &self,
        name: &str,
        before: Option<Bytes>,
        document: Bytes,
        audit: Option<audit::Entry>,
    ) -> Result<bool, StoreError> {
        let (name, instead_of) = (name.to_owned(), InsteadOf::This(before));
        self.queue.done(Work::Document { name, document, instead_of, audit }).await
    }

    fn changes(&self) -> Option<broadcast::Receiver<Changed>> {
        let first = self.first_changes.lock().unwrap_or_else(PoisonError::into_inner).take();
        Some(first.unwrap_or_else(|| self.changes.subscribe()))
    }

    async fn agent(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let found = self.query("SELECT document FROM agents WHERE name = $1", &[&name]).await?;
        Ok(found.first().map(|row| bytes(row, 0)))
    }

    async fn agents(&self) -> Result<Vec<(String, Bytes)>, StoreError> {
        let found = self.query("SELECT name, document FROM agents ORDER BY name", &[]).await?;
        Ok(found.iter().map(|row| (row.get(0), bytes(row, 1))).collect())
    }

    async fn put_agent(
        &self,
        name: &str,
        document: Bytes,
        audit: Option<audit::Entry>,
    ) -> Result<(), StoreError> {
        let (name, document) = (name.to_owned(), Some(document));
        self.queue.done(Work::Agent { name, document, audit }).await.map(drop)
    }

    async fn remove_agent(&self, name: &str, audit: audit::Entry) -> Result<bool, StoreError> {
        let (name, audit) = (name.to_owned(), Some(audit));
        self.queue.done(Work::Agent { name, document: None, audit }).await
    }

    fn note(&self, audit: Vec<audit::Entry>) -> Result<(), StoreError> {
        self.queue.hand_over(Work::Note(audit))
    }

    async fn audit_log(&self, after: u64, limit: usize) -> Result<Vec<Bytes>, StoreError> {
        // What is ahead in the queue is written once this is.
        self.queue.done(Work::Note(Vec::new())).await?;
        let text = "SELECT line FROM audit WHERE number > $1 ORDER BY number LIMIT $2";
        let found = self.query(text, &[&signed(after), &most(limit)]).await?;
        Ok(found.iter().map(|row| bytes(row, 0)).collect())
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        let found = self.query("SELECT number, hash FROM audit_head", &[]).await?;
        found.first().map_or_else(|| Ok(Head::default()), statements::head)
    }
}

fn bytes(row: &Row, column: usize) -> Bytes {
    Bytes::copy_from_slice(row.get(column))
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
