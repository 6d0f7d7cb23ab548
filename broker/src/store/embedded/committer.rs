//! Group commit: one thread takes all appends that are waiting, checks each against the state the earlier ones
//! leave behind, writes them as one atomic batch, waits for the disk once, and answers them all.

use std::collections::HashMap;
use std::sync::Arc;

use broker_core::TaskId;
use broker_core::audit::{Entry, Head};
use bytes::Bytes;
use fjall::{OwnedWriteBatch as WriteBatch, PersistMode};
use tokio::sync::{mpsc, oneshot};

use super::rows::{self, Totals};
use super::{Options, Tables, engine, keys, outbox};
use crate::ports::store::{Append, Claim, OutboxKey, OutboxRow, StoreError, TaskRow};

/// Something to be written, all of it or nothing.
pub(super) enum Work {
    /// A change of a tree.
    Append(Append),
    /// An agent's document, or its end.
    Agent { name: String, document: Option<Bytes>, audit: Option<Entry> },
    /// A document of the broker's own.
    Document { name: String, document: Bytes },
    /// How far a push of that setting has come, or its end.
    Outbox { key: OutboxKey, set: u64, row: Option<OutboxRow> },
    /// Entries of the audit log alone.
    Note(Vec<Entry>),
}

struct Waiting {
    work: Work,
    /// Absent where nobody waits.
    answer: Option<Answer>,
}

/// Told once it is durable: whether there was anything to change.
type Answer = oneshot::Sender<Result<bool, StoreError>>;

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
        let log = tables.audit_head()?;
        let committing = Committing { tables, totals, persist, log };
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committing.run(waiting, batch))
            .map_err(|error| StoreError::Engine(format!("the committer thread cannot start: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Makes something durable; `false` if there was nothing to change.
    pub(super) async fn commit(&self, work: Work) -> Result<bool, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue(Waiting { work, answer: Some(answer) })?;
        answered.await.map_err(|_| stopped())?
    }

    /// Queues something nobody waits for.
    pub(super) fn hand_over(&self, work: Work) -> Result<(), StoreError> {
        self.queue(Waiting { work, answer: None })
    }

    fn queue(&self, waiting: Waiting) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(waiting).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded { waiting: queue.max_capacity() },
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })
    }
}

fn stopped() -> StoreError {
    StoreError::Engine("the committer has stopped; restart the broker".to_owned())
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

/// What the thread writes to.
struct Committing {
    tables: Arc<Tables>,
    totals: Arc<Totals>,
    persist: PersistMode,
    /// Where the audit log ends: only this thread writes it.
    log: Head,
}

impl Committing {
    fn run(mut self, mut waiting: mpsc::Receiver<Waiting>, batch: usize) {
        while let Some(first) = waiting.blocking_recv() {
            let mut group = vec![first];
            while group.len() < batch
                && let Ok(next) = waiting.try_recv()
            {
                group.push(next);
            }
            self.commit(group);
        }
    }

    fn commit(&mut self, group: Vec<Waiting>) {
        let mut pending = Pending::new(&self.tables, self.log);
        let mut accepted = Vec::with_capacity(group.len());
        for Waiting { work, answer } in group {
            match pending.add(work) {
                Ok(changed) => accepted.push((answer, changed)),
                Err(refusal) => tell(answer, Err(refusal)),
            }
        }
        let Pending { batch, changed, log, .. } = pending;
        let written = batch.durability(Some(self.persist)).commit().map_err(|error| engine(&error));
        match &written {
            Ok(()) => {
                for (before, after) in &changed {
                    self.totals.change(before.as_ref(), after);
                }
                self.log = log;
            }
            // It may be there all the same; the table knows.
            Err(_) => self.log = self.tables.audit_head().unwrap_or(self.log),
        }
        for (answer, changed) in accepted {
            let result = written.as_ref().map_err(|error| StoreError::Engine(error.to_string()));
            tell(answer, result.map(|()| changed));
        }
    }
}

fn tell(answer: Option<Answer>, result: Result<bool, StoreError>) {
    if let Some(answer) = answer {
        // Whoever asked may have gone; that changes nothing.
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
    agents: HashMap<String, bool>,
    outbox: outbox::Pending,
    log: Head,
}

impl<'t> Pending<'t> {
    fn new(tables: &'t Tables, log: Head) -> Self {
        let batch = tables.db.batch();
        let (heads, claims, rows) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (changed, agents, outbox) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { tables, batch, heads, claims, rows, changed, agents, outbox, log }
    }

    /// Checks something and adds it; `false` if it changes nothing. What is refused leaves no trace.
    fn add(&mut self, work: Work) -> Result<bool, StoreError> {
        match work {
            Work::Append(change) => self.add_change(change).map(|()| true),
            Work::Agent { name, document, audit } => self.add_agent(name, document.as_ref(), audit.as_ref()),
            Work::Document { name, document } => {
                self.batch.insert(&self.tables.documents, name.as_str(), document.as_ref());
                Ok(true)
            }
            Work::Outbox { key, set, row } => {
                outbox::advance(self.tables, &mut self.batch, &mut self.outbox, (key, set, row))
            }
            Work::Note(entries) => {
                self.log(&entries);
                Ok(true)
            }
        }
    }

    /// Numbers entries and chains each to the one before.
    fn log<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        for entry in entries {
            let line = self.log.seal(entry);
            self.batch.insert(&self.tables.audit, keys::audit(self.log.n), line);
        }
    }

    fn add_agent(
        &mut self,
        name: String,
        document: Option<&Bytes>,
        audit: Option<&Entry>,
    ) -> Result<bool, StoreError> {
        let stored = || self.tables.agents.contains_key(&name).map_err(|error| engine(&error));
        let is_known = self.agents.get(&name).map_or_else(stored, |known| Ok(*known))?;
        match document {
            Some(document) => self.batch.insert(&self.tables.agents, name.as_str(), document.as_ref()),
            None if is_known => self.batch.remove(&self.tables.agents, name.as_str()),
            None => return Ok(false),
        }
        self.agents.insert(name, document.is_some());
        self.log(audit);
        Ok(true)
    }

    fn add_change(&mut self, change: Append) -> Result<(), StoreError> {
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
        let after = expected + change.records.len() as u64;
        let pushes = outbox::prepare(self.tables, &self.outbox, (root, after), change.outbox)?;

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
        outbox::write(self.tables, &mut self.batch, &mut self.outbox, pushes)?;
        self.log(&change.audit);
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
