//! A batch being put together: each piece of work is checked against what is stored and what the pieces before it
//! change, then added whole or refused without a trace.

use std::collections::HashMap;

use broker_core::TaskId;
use broker_core::audit::{Entry, Head};
use bytes::Bytes;
use fjall::OwnedWriteBatch as WriteBatch;

use super::super::rows;
use super::super::{Tables, TreeHead, engine, keys, outbox};
use super::recent::Recent;
use super::removal::Remains;
use super::{Done, Work};
use crate::ports::store::{Append, Claim, Over, StoreError, TaskRow};

/// Entries of a batch for which there is room at first; some dozen appends.
const BATCH_ENTRIES: usize = 256;

/// A batch being put together, and what it changes over what is stored.
pub(super) struct Pending<'t> {
    pub(super) tables: &'t Tables,
    recent: &'t Recent,
    pub(super) batch: WriteBatch,
    pub(super) heads: HashMap<TaskId, TreeHead>,
    /// `None` where one is forgotten.
    pub(super) claims: HashMap<Vec<u8>, Option<Claim>>,
    /// `None` where one is removed.
    pub(super) rows: HashMap<TaskId, Option<TaskRow>>,
    /// How many more or fewer rows there are.
    pub(super) changed: rows::Change,
    agents: HashMap<String, bool>,
    pub(super) outbox: outbox::Pending,
    pub(super) remains: &'t mut Remains,
    pub(super) log: Head,
    /// Records of trees that are there, and of those that are there no longer.
    pub(super) written: u64,
    pub(super) removed: u64,
}

impl<'t> Pending<'t> {
    pub(super) fn new(tables: &'t Tables, recent: &'t Recent, remains: &'t mut Remains, log: Head) -> Self {
        let batch = WriteBatch::with_capacity(tables.db.clone(), BATCH_ENTRIES);
        let (heads, claims, rows) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (changed, agents, outbox) = Default::default();
        let (written, removed) = (0, 0);
        Self {
            tables,
            recent,
            batch,
            heads,
            claims,
            rows,
            changed,
            agents,
            outbox,
            remains,
            log,
            written,
            removed,
        }
    }

    /// Checks something and adds it. What is refused leaves no trace.
    pub(super) fn add(&mut self, work: Work) -> Result<Done, StoreError> {
        let changed = match work {
            Work::Append(change) => self.add_change(change).map(|()| true)?,
            Work::Agent { name, document, audit } => {
                self.add_agent(name, document.as_ref(), audit.as_ref())?
            }
            Work::Document { name, document, audit } => {
                self.batch.insert(&self.tables.documents, name.as_str(), document.as_ref());
                self.log(&audit);
                true
            }
            Work::Outbox { key, set, row } => {
                outbox::advance(self.tables, &mut self.batch, &mut self.outbox, (key, set, row))?
            }
            Work::Note(entries) => {
                self.log(&entries);
                true
            }
            Work::RemoveTree { root, before } => return self.remove_tree(root, before).map(Done::Removed),
            Work::ForgetClaims { before, limit } => {
                return self.forget_claims(before, limit).map(Done::Forgotten);
            }
        };
        Ok(Done::Changed(changed))
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
        let before = self.head(root)?;
        // Nobody makes the id of a root twice. If it were, what is left of the former would not be taken for the new.
        let found = self.remains.of(root).unwrap_or(before.records);
        if found != expected {
            return Err(StoreError::Stale { expected, found });
        }
        let claim = change.claim.map(|claim| (keys::claim(&claim.principal, &claim.message_id), claim));
        if let Some((key, _)) = &claim
            && let Some(taken) = self.claim(key)?
        {
            return Err(StoreError::Claimed(Box::new(taken)));
        }
        // A tree that begins has no tasks yet: ids are new, and a change names each task once. To look for what is not there
        // is not free.
        let row = |row: &TaskRow| if expected == 0 { Ok(None) } else { self.row(row.task) };
        let rows: Vec<Option<TaskRow>> = change.rows.iter().map(row).collect::<Result<_, _>>()?;
        let after = expected + change.records.len() as u64;
        let pushes = outbox::prepare(self.tables, &self.outbox, root, change.outbox)?;

        if let Some((key, claim)) = claim {
            self.batch.insert(&self.tables.claims, key.clone(), encode(&claim)?);
            self.batch.insert(&self.tables.parts, [keys::claims_prefix(root), key.clone()].concat(), []);
            self.claims.insert(key, Some(claim));
        }
        for (number, record) in (expected..).zip(&change.records) {
            self.batch.insert(&self.tables.journal, keys::record(root, number), record.as_ref());
        }
        self.written += after - expected;
        let over = (!change.open || before.over.is_some()).then_some(change.at);
        self.put_head(root, before, TreeHead { records: after, over });
        for (before, row) in rows.into_iter().zip(change.rows) {
            self.put_row(before.as_ref(), row)?;
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

    pub(super) fn head(&self, root: TaskId) -> Result<TreeHead, StoreError> {
        let known = self.heads.get(&root).copied().or_else(|| self.recent.head(root));
        known.map_or_else(|| self.tables.head(root), Ok)
    }

    fn put_head(&mut self, root: TaskId, before: TreeHead, head: TreeHead) {
        if before.over != head.over {
            let at = |since| keys::over(Over { since, root });
            if let Some(since) = before.over {
                self.batch.remove(&self.tables.over, at(since));
            }
            if let Some(since) = head.over {
                self.batch.insert(&self.tables.over, at(since), []);
            }
        }
        self.batch.insert(&self.tables.heads, keys::task(root), keys::write_head(head));
        self.heads.insert(root, head);
    }

    fn claim(&self, key: &[u8]) -> Result<Option<Claim>, StoreError> {
        self.claims.get(key).map_or_else(|| self.tables.stored_claim(key), |claim| Ok(claim.clone()))
    }

    pub(super) fn row(&self, task: TaskId) -> Result<Option<TaskRow>, StoreError> {
        if let Some(row) = self.rows.get(&task) {
            return Ok(row.clone());
        }
        if let Some(row) = self.recent.row(task) {
            return Ok(Some(row.clone()));
        }
        let stored = self.tables.rows.get(keys::task(task)).map_err(|error| engine(&error))?;
        stored.map(|bytes| rows::read(&bytes)).transpose()
    }

    fn put_row(&mut self, before: Option<&TaskRow>, row: TaskRow) -> Result<(), StoreError> {
        let encoded = encode(&row)?;
        let key = keys::task(row.task);
        if let Some(before) = before {
            let old = keys::order(&before.owner, &before.agent, rows::cursor(before));
            self.batch.remove(&self.tables.order, old);
        } else {
            self.batch.insert(&self.tables.located, key, keys::task(row.root));
            let context = keys::context(&row.owner, &row.context_id, row.task);
            self.batch.insert(&self.tables.contexts, context, []);
            if row.task != row.root {
                let child = [keys::children_prefix(row.root).as_slice(), &key].concat();
                self.batch.insert(&self.tables.parts, child, []);
            }
        }
        let place = keys::order(&row.owner, &row.agent, rows::cursor(&row));
        self.batch.insert(&self.tables.order, place, encoded.clone());
        self.batch.insert(&self.tables.rows, key, encoded);
        self.changed.note(before, Some(&row));
        self.rows.insert(row.task, Some(row));
        Ok(())
    }
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    protocol::to_json(value).map_err(|error| StoreError::Engine(error.to_string()))
}
