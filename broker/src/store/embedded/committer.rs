//! Group commit: one thread takes all appends that are waiting, checks each against the state the earlier ones
//! leave behind, writes them as one atomic batch, waits for the disk once, and answers them all.

mod compaction;
mod pending;
mod recent;
mod removal;

use std::sync::Arc;

use broker_core::audit::{Entry, Head};
use broker_core::{TaskId, Timestamp};
use bytes::Bytes;
use fjall::PersistMode;
use tokio::sync::{mpsc, watch};

use self::compaction::Compaction;
use self::pending::Pending;
use self::recent::Recent;
use self::removal::Remains;
use super::rotation::Rotation;
use super::rows::Totals;
use super::{Options, Tables, counted, engine};
use crate::ports::store::{Append, OutboxKey, OutboxRow, Removed, StoreError};
use crate::store::queue::{Queue, Waiting, Waitings, stopped};

/// Something to be written, all of it or nothing.
pub(super) enum Work {
    /// A change of a tree.
    Append(Append),
    /// An agent's document, or its end.
    Agent { name: String, document: Option<Bytes>, audit: Option<Entry> },
    /// A document of the broker's own.
    Document { name: String, document: Bytes, audit: Option<Entry> },
    /// How far a push of that setting has come, or its end.
    Outbox { key: OutboxKey, set: u64, row: Option<OutboxRow> },
    /// Entries of the audit log alone.
    Note(Vec<Entry>),
    /// The end of a tree, if it was last changed before then.
    RemoveTree { root: TaskId, before: Timestamp },
    /// The end of message ids of trees that were, last changed before then.
    ForgetClaims { before: Timestamp, limit: usize },
}

/// What came of it.
pub(super) enum Done {
    /// Whether there was anything to change.
    Changed(bool),
    /// What a removal took away, if it was one.
    Removed(Option<Removed>),
    /// How many were forgotten.
    Forgotten(usize),
}

/// The way to the committer thread. The thread ends when this is dropped and its queue is done.
pub(super) struct Committer {
    queue: Queue<Work, Done>,
    failed: watch::Receiver<Option<String>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(
        tables: Arc<Tables>,
        totals: Arc<Totals>,
        options: Options,
        persist: PersistMode,
    ) -> Result<Self, StoreError> {
        let (queue, waiting) = Queue::new(options.queue);
        let batch = options.batch.max(1);
        let (log, remains) = (tables.audit_head()?, Remains::read(&tables)?);
        let compaction = Compaction::read(&tables)?;
        if !counted::is_kept(&tables)? {
            let mut batch = tables.db.batch();
            counted::put_totals(&mut batch, &tables, &totals.all());
            counted::put_records(&mut batch, &tables, compaction.after(0, 0));
            batch.durability(Some(persist)).commit().map_err(|error| engine(&error))?;
        }
        let (failing, failed) = watch::channel(None);
        let recent = Recent::default();
        let rotation = Rotation::default();
        let committing =
            Committing { tables, totals, persist, log, recent, remains, compaction, rotation, failing };
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committing.run(waiting, batch))
            .map_err(|error| StoreError::Engine(format!("the committer thread cannot start: {error}")))?;
        Ok(Self { queue, failed, thread: Some(thread) })
    }

    /// Makes something durable; `false` if there was nothing to change.
    pub(super) async fn commit(&self, work: Work) -> Result<bool, StoreError> {
        self.done(work).await.map(|done| matches!(done, Done::Changed(true)))
    }

    /// Makes something durable, and says what came of it.
    pub(super) async fn done(&self, work: Work) -> Result<Done, StoreError> {
        self.queue.done(work).await
    }

    /// Queues something nobody waits for.
    pub(super) fn hand_over(&self, work: Work) -> Result<(), StoreError> {
        self.queue.hand_over(work)
    }

    /// Resolves when nothing can be written any more.
    pub(super) async fn until_failed(&self) -> String {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(failure) => failure.clone().unwrap_or_default(),
            // The thread is gone, and nobody has asked it to go.
            Err(_) => stopped().to_string(),
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue.close();
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
    recent: Recent,
    /// What trees that were removed have left behind.
    remains: Remains,
    compaction: Compaction,
    rotation: Rotation,
    /// Why nothing can be written any more.
    failing: watch::Sender<Option<String>>,
}

impl Committing {
    fn run(mut self, mut waiting: Waitings<Work, Done>, batch: usize) {
        while let Some(mut group) = self.first(&mut waiting) {
            // Whoever is about to append goes first, where it shares a core with this thread: one wait for the disk is for
            // them all. On a core of its own this is over at once.
            std::thread::yield_now();
            while group.len() < batch
                && let Ok(next) = waiting.try_recv()
            {
                group.push(next);
            }
            self.commit(group);
        }
    }

    /// What is to be done next; nothing but clearing up where nobody waits. `None` at the end.
    fn first(&self, waiting: &mut Waitings<Work, Done>) -> Option<Vec<Waiting<Work, Done>>> {
        if self.remains.is_empty() {
            return waiting.blocking_recv().map(|first| vec![first]);
        }
        match waiting.try_recv() {
            Ok(first) => Some(vec![first]),
            Err(mpsc::error::TryRecvError::Empty) => Some(Vec::new()),
            Err(mpsc::error::TryRecvError::Disconnected) => None,
        }
    }

    fn commit(&mut self, group: Vec<Waiting<Work, Done>>) {
        let mut pending = Pending::new(&self.tables, &self.recent, &mut self.remains, self.log);
        pending.clear();
        let mut accepted = Vec::with_capacity(group.len());
        for Waiting { work, answer } in group {
            match pending.add(work) {
                Ok(done) => accepted.push((answer, done)),
                Err(refusal) => answer.tell(Err(refusal)),
            }
        }
        let Pending { mut batch, heads, rows, changed, log, written, removed, .. } = pending;
        let records = (written, removed);
        if written > 0 || removed > 0 {
            counted::put_records(&mut batch, &self.tables, self.compaction.after(written, removed));
        }
        let totals = self.totals.after(&changed);
        counted::put_totals(&mut batch, &self.tables, &totals);
        // Nobody is told that something was cleared up; after a crash it is done again.
        let persist = if accepted.is_empty() { PersistMode::Buffer } else { self.persist };
        let written = batch.durability(Some(persist)).commit().map_err(|error| engine(&error));
        match &written {
            Ok(()) => {
                self.compaction.count(&self.tables, records.0, records.1);
                self.totals.put(totals);
                self.recent.note(heads, rows);
                self.log = log;
            }
            // It may be there all the same; the tables know.
            Err(failure) => {
                self.log = self.tables.audit_head().unwrap_or(self.log);
                // What is left over is read again when the store is opened.
                (self.recent, self.remains) = Default::default();
                tracing::error!(%failure, "a batch was not written; nothing is until the store is opened again");
                // The engine takes nothing more after a failed write, so that nothing can rest on what is not there.
                self.failing.send_replace(Some(failure.to_string()));
            }
        }
        for (answer, done) in accepted {
            let result = written.as_ref().map_err(|error| StoreError::Engine(error.to_string()));
            answer.tell(result.map(|()| done));
        }
        if written.is_ok() {
            self.rotation.rotate_due(self.tables.all());
        }
    }
}
