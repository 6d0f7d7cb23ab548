//! What is durable in a simulation: the store's contract (`broker/src/ports/store.rs`) over maps in memory. That it is
//! the same contract is tried against the embedded store in `store.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use broker::ports::store::{
    Append, Claim, Drive, OutboxChange, OutboxKey, OutboxRow, Over, Removed, RowCursor, RowPage, RowQuery,
    StoreError, TaskRow, TreePage, TreeQuery,
};
use broker_core::audit::{Entry, Head};
use broker_core::{TaskId, Timestamp};
use bytes::Bytes;

use super::leases::Leases;

#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) leases: Leases,
    journals: BTreeMap<TaskId, Vec<Bytes>>,
    claims: BTreeMap<(String, String), Claim>,
    rows: BTreeMap<TaskId, TaskRow>,
    open: BTreeSet<TaskId>,
    /// When trees that are over were last changed.
    over: BTreeMap<TaskId, Timestamp>,
    /// The message ids of removed trees, by that time.
    remembered: BTreeSet<(Timestamp, (String, String))>,
    outbox: BTreeMap<OutboxKey, OutboxRow>,
    documents: BTreeMap<String, Bytes>,
    agents: BTreeMap<String, Bytes>,
    audit: Vec<Bytes>,
    head: Head,
}

impl Disk {
    /// All of it or nothing.
    pub(crate) fn append(&mut self, change: Append) -> Result<(), StoreError> {
        let found = self.journals.get(&change.root).map_or(0, |journal| journal.len() as u64);
        if found != change.expected {
            return Err(StoreError::Stale { expected: change.expected, found });
        }
        if let Some(claim) = change.claim {
            let key = (claim.principal.clone(), claim.message_id.clone());
            if let Some(taken) = self.claims.get(&key) {
                return Err(StoreError::Claimed(Box::new(taken.clone())));
            }
            self.claims.insert(key, claim);
        }
        let journal = self.journals.entry(change.root).or_default();
        journal.extend(change.records);
        self.rows.extend(change.rows.into_iter().map(|row| (row.task, row)));
        if !change.open || self.over.contains_key(&change.root) {
            self.over.insert(change.root, change.at);
        }
        match (change.open, change.expected) {
            (true, 0) => self.open.insert(change.root),
            (true, _) => false,
            (false, _) => self.open.remove(&change.root),
        };
        for push in change.outbox {
            match push {
                OutboxChange::Delete(key) => drop(self.outbox.remove(&key)),
                OutboxChange::Set { key, set, next } => {
                    let next = self.outbox.get(&key).map_or(next, |known| known.next);
                    let row = OutboxRow { key: key.clone(), root: change.root, set, next, trouble: None };
                    self.outbox.insert(key, row);
                }
            }
        }
        self.note(&change.audit);
        Ok(())
    }

    pub(crate) fn note<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        for entry in entries {
            let line = self.head.seal(entry);
            self.audit.push(line.into());
        }
    }

    pub(crate) fn read_page(&self, root: TaskId, from: u64, limit: usize) -> Vec<Bytes> {
        let journal = self.journals.get(&root).map(Vec::as_slice).unwrap_or_default();
        journal.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)).take(limit).cloned().collect()
    }

    pub(crate) fn locate(&self, task: TaskId) -> Option<TaskId> {
        self.rows.get(&task).map(|row| row.root)
    }

    pub(crate) fn claim(&self, principal: &str, message_id: &str) -> Option<Claim> {
        self.claims.get(&(principal.to_owned(), message_id.to_owned())).cloned()
    }

    pub(crate) fn rows(&self, query: &RowQuery) -> RowPage {
        let is =
            |wanted: &Option<String>, found: &String| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let fits = |row: &&TaskRow| {
            is(&query.owner, &row.owner)
                && is(&query.agent, &row.agent)
                && is(&query.context_id, &row.context_id)
                && query.state.is_none_or(|state| row.state == state)
                && query.updated_after.is_none_or(|after| row.updated >= after)
        };
        let cursor = |row: &TaskRow| RowCursor { updated: row.updated, task: row.task };
        let mut rows: Vec<TaskRow> = self.rows.values().filter(fits).cloned().collect();
        let total = rows.len() as u64;
        rows.sort_by_key(|row| std::cmp::Reverse(cursor(row)));
        rows.retain(|row| query.after.is_none_or(|after| cursor(row) < after));
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let next = rows.last().filter(|_| more).map(cursor);
        RowPage { rows, next, total }
    }

    pub(crate) fn trees(&self, query: &TreeQuery) -> TreePage {
        let is_root =
            |row: &&TaskRow| row.task == row.root && query.before.is_none_or(|before| row.task < before);
        let mut roots: Vec<TaskRow> =
            self.rows.values().filter(is_root).filter(|row| query.admits(row)).cloned().collect();
        roots.sort_by_key(|row| std::cmp::Reverse(row.task));
        let more = roots.len() > query.limit;
        roots.truncate(query.limit);
        let next = roots.last().filter(|_| more).map(|row| row.task);
        TreePage { roots, next }
    }

    pub(crate) fn driver(&mut self, by: u64, root: TaskId) -> Drive {
        self.leases.drive(by, root, self.open.contains(&root))
    }

    /// Some of the trees of brokers that are gone, which are `by`'s from now on.
    pub(crate) fn adopt(&mut self, by: u64, limit: usize) -> Vec<TaskId> {
        let open: Vec<TaskId> = self.open.iter().copied().collect();
        self.leases.adopt(by, &open, limit)
    }

    pub(crate) fn open_trees(&self, after: Option<TaskId>, limit: usize) -> Vec<TaskId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.open.range((from, Bound::Unbounded)).take(limit).copied().collect()
    }

    pub(crate) fn outbox(&self, after: Option<OutboxKey>, limit: usize) -> Vec<OutboxRow> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.outbox.range((from, Bound::Unbounded)).take(limit).map(|(_, row)| row.clone()).collect()
    }

    /// Moves or ends a push, if it is still of that setting.
    pub(crate) fn advance(&mut self, key: OutboxKey, set: u64, row: Option<OutboxRow>) -> bool {
        let is_known = self.outbox.get(&key).is_some_and(|known| known.set == set);
        if is_known {
            match row {
                Some(row) => drop(self.outbox.insert(key, row)),
                None => drop(self.outbox.remove(&key)),
            }
        }
        is_known
    }

    pub(crate) fn over(&self, before: Timestamp, after: Option<Over>, limit: usize) -> Vec<Over> {
        let over = self.over.iter().map(|(root, since)| Over { since: *since, root: *root });
        let mut due: Vec<Over> =
            over.filter(|over| over.since < before && after.is_none_or(|after| *over > after)).collect();
        due.sort();
        due.truncate(limit);
        due
    }

    pub(crate) fn remove_tree(&mut self, root: TaskId, before: Timestamp) -> Option<Removed> {
        let since = self.over.get(&root).copied().filter(|since| *since < before)?;
        let tasks: Vec<TaskId> =
            self.rows.values().filter(|row| row.root == root).map(|row| row.task).collect();
        let dead = |row: &OutboxRow| row.trouble.as_ref()?.dead;
        let pushes: Vec<OutboxRow> = self.outbox.values().filter(|row| row.root == root).cloned().collect();
        if pushes.iter().any(|row| dead(row).is_none_or(|dead| dead >= before)) {
            return None;
        }
        self.over.remove(&root);
        self.journals.remove(&root);
        self.rows.retain(|_, row| row.root != root);
        self.outbox.retain(|_, row| row.root != root);
        let left: BTreeSet<(String, String)> = self.remembered.iter().map(|(_, key)| key.clone()).collect();
        let claims = self.claims.iter().filter(|(key, claim)| claim.root == root && !left.contains(key));
        self.remembered.extend(claims.map(|(key, _)| (since, key.clone())));
        Some(Removed { tasks: tasks.len(), dead_letters: pushes })
    }

    pub(crate) fn forget_claims(&mut self, before: Timestamp, limit: usize) -> usize {
        let due: Vec<_> =
            self.remembered.iter().filter(|(since, _)| *since < before).take(limit).cloned().collect();
        for old in &due {
            self.remembered.remove(old);
            self.claims.remove(&old.1);
        }
        due.len()
    }

    pub(crate) fn document(&self, name: &str) -> Option<Bytes> {
        self.documents.get(name).cloned()
    }

    pub(crate) fn put_document(&mut self, name: &str, document: Bytes, audit: Option<&Entry>) {
        self.documents.insert(name.to_owned(), document);
        self.note(audit);
    }

    pub(crate) fn agents(&self) -> Vec<(String, Bytes)> {
        self.agents.iter().map(|(name, document)| (name.clone(), document.clone())).collect()
    }

    pub(crate) fn put_agent(&mut self, name: &str, document: Bytes, audit: Option<&Entry>) {
        self.agents.insert(name.to_owned(), document);
        self.note(audit);
    }

    pub(crate) fn remove_agent(&mut self, name: &str, audit: &Entry) -> bool {
        let was_there = self.agents.remove(name).is_some();
        self.note(Some(audit).filter(|_| was_there));
        was_there
    }

    pub(crate) fn audit_log(&self, after: u64, limit: usize) -> Vec<Bytes> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        self.audit.iter().skip(after).take(limit).cloned().collect()
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }
}
