//! Group commit: one thread takes all appends that are waiting, checks each against the state the earlier ones
//! leave behind, writes them as one atomic batch, waits for the disk once, and answers them all.

use std::collections::HashMap;
use std::sync::Arc;

use broker_core::TaskId;
use fjall::{OwnedWriteBatch as WriteBatch, PersistMode};
use tokio::sync::{mpsc, oneshot};

use super::rows::{self, Totals};
use super::{Options, Tables, engine, keys};
use crate::ports::store::{Append, Claim, StoreError, TaskRow};

struct Waiting {
    change: Append,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

/// The way to the committer thread. The thread ends when this is dropped and its queue is done.
pub(super) struct Committer {
    queue: Option<mpsc::Sender<Waiting>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(
        tables: Arc<Tables>,
        totals: Arc<Totals>,
        options: Options,
        persist: PersistMode,
    ) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(options.queue);
        let batch = options.batch.max(1);
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || run(&tables, &totals, waiting, batch, persist))
            .map_err(|error| StoreError::Engine(format!("the committer thread cannot start: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn append(&self, change: Append) -> Result<(), StoreError> {
        let stopped = || StoreError::Engine("the committer has stopped; restart the broker".to_owned());
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        let (answer, answered) = oneshot::channel();
        queue.try_send(Waiting { change, answer }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded { waiting: queue.max_capacity() },
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        answered.await.map_err(|_| stopped())?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by then.
            let _ = thread.join();
        }
    }
}

fn run(
    tables: &Tables,
    totals: &Totals,
    mut waiting: mpsc::Receiver<Waiting>,
    batch: usize,
    persist: PersistMode,
) {
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while group.len() < batch
            && let Ok(next) = waiting.try_recv()
        {
            group.push(next);
        }
        commit(tables, totals, group, persist);
    }
}

fn commit(tables: &Tables, totals: &Totals, group: Vec<Waiting>, persist: PersistMode) {
    let mut pending = Pending::new(tables);
    let mut accepted = Vec::with_capacity(group.len());
    for Waiting { change, answer } in group {
        match pending.add(change) {
            Ok(()) => accepted.push(answer),
            // Whoever asked may have gone; that changes nothing.
            Err(refusal) => drop(answer.send(Err(refusal))),
        }
    }
    let written = pending.batch.durability(Some(persist)).commit().map_err(|error| engine(&error));
    if written.is_ok() {
        pending.changed.iter().for_each(|(before, after)| totals.change(before.as_ref(), after));
    }
    for answer in accepted {
        let result = written.as_ref().copied().map_err(|error| StoreError::Engine(error.to_string()));
        let _ = answer.send(result);
    }
}

/// A batch being put together, and what it changes over what is stored.
struct Pending<'t> {
    tables: &'t Tables,
    batch: WriteBatch,
    heads: HashMap<TaskId, u64>,
    claims: HashMap<Vec<u8>, Claim>,
    rows: HashMap<TaskId, TaskRow>,
    changed: Vec<(Option<TaskRow>, TaskRow)>,
}

impl<'t> Pending<'t> {
    fn new(tables: &'t Tables) -> Self {
        let batch = tables.db.batch();
        let (heads, claims, rows) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { tables, batch, heads, claims, rows, changed: Vec::new() }
    }

    /// Checks a change and adds it. A refused change leaves no trace.
    fn add(&mut self, change: Append) -> Result<(), StoreError> {
        let (root, expected) = (change.root, change.expected);
        let found = self.heads.get(&root).map_or_else(|| self.tables.head(root), |head| Ok(*head))?;
        if found != expected {
            return Err(StoreError::Stale { expected, found });
        }
        let claim = change.claim.map(|claim| (keys::claim(&claim.principal, &claim.message_id), claim));
        if let Some((key, _)) = &claim {
            let taken = self
                .claims
                .get(key)
                .cloned()
                .map_or_else(|| self.tables.stored_claim(key), |c| Ok(Some(c)))?;
            if let Some(taken) = taken {
                return Err(StoreError::Claimed(Box::new(taken)));
            }
        }
        let before: Vec<Option<TaskRow>> =
            change.rows.iter().map(|row| self.row(row.task)).collect::<Result<_, _>>()?;

        if let Some((key, claim)) = claim {
            self.batch.insert(&self.tables.claims, key.clone(), encode(&claim)?);
            self.claims.insert(key, claim);
        }
        let mut head = expected;
        for record in change.records {
            self.batch.insert(&self.tables.journal, keys::record(root, head), record.as_ref());
            head += 1;
        }
        self.batch.insert(&self.tables.heads, keys::task(root), head.to_be_bytes());
        self.heads.insert(root, head);
        for (before, row) in before.into_iter().zip(change.rows) {
            self.put_row(before, row)?;
        }
        match (change.open, expected) {
            (true, 0) => self.batch.insert(&self.tables.open, keys::task(root), []),
            (true, _) => {}
            (false, _) => self.batch.remove(&self.tables.open, keys::task(root)),
        }
        Ok(())
    }

    fn row(&self, task: TaskId) -> Result<Option<TaskRow>, StoreError> {
        if let Some(row) = self.rows.get(&task) {
            return Ok(Some(row.clone()));
        }
        let stored = self.tables.rows.get(keys::task(task)).map_err(|error| engine(&error))?;
        stored.map(|bytes| rows::read(&bytes)).transpose()
    }

    fn put_row(&mut self, before: Option<TaskRow>, row: TaskRow) -> Result<(), StoreError> {
        let encoded = encode(&row)?;
        let key = keys::task(row.task);
        if let Some(before) = &before {
            let old = keys::order(&before.owner, &before.agent, rows::cursor(before));
            self.batch.remove(&self.tables.order, old);
        } else {
            self.batch.insert(&self.tables.located, key, keys::task(row.root));
            let context = keys::context(&row.owner, &row.context_id, row.task);
            self.batch.insert(&self.tables.contexts, context, []);
        }
        let place = keys::order(&row.owner, &row.agent, rows::cursor(&row));
        self.batch.insert(&self.tables.order, place, encoded.clone());
        self.batch.insert(&self.tables.rows, key, encoded);
        self.rows.insert(row.task, row.clone());
        self.changed.push((before, row));
        Ok(())
    }
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Engine(error.to_string()))
}
