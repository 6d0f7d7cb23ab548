//! A batch being put together: each piece of work is judged by what is stored and what the pieces before it change, then
//! added whole or refused without a trace. Pure: what is stored comes in, what is to be written goes out.

use std::collections::{BTreeMap, HashMap, HashSet};

use broker_core::audit::{Entry, Head};
use broker_core::{TaskId, Timestamp};
use bytes::Bytes;
use protocol::TaskState;

use crate::ports::store::{Append, Claim, OutboxChange, OutboxKey, OutboxRow, StoreError, TaskRow};

/// Something to be written, all of it or nothing.
pub(super) enum Work {
    /// A change of a tree.
    Append(Box<Append>),
    /// An agent's document, or its end.
    Agent { name: String, document: Option<Bytes>, audit: Option<Entry> },
    /// A document of the broker's own.
    Document { name: String, document: Bytes, instead_of: InsteadOf, audit: Option<Entry> },
    /// Entries of the audit log alone.
    Note(Vec<Entry>),
}

/// What a document has to be in the place of.
pub(super) enum InsteadOf {
    /// Of whatever is there.
    Anything,
    /// Of this, or of nothing.
    This(Option<Bytes>),
}

/// How a tree stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TreeHead {
    pub(super) records: u64,
    /// When it was last changed, if it is over.
    pub(super) over: Option<Timestamp>,
}

/// Why nothing is appended to a tree that others have taken over.
const TAKEN_OVER: &str = "other brokers have taken over";

/// What tasks are counted by.
pub(super) type Kind = (String, String, TaskState);

/// What is stored of all that a batch is about.
#[derive(Default)]
pub(super) struct Known {
    pub(super) heads: HashMap<TaskId, TreeHead>,
    /// Whether others have found this broker gone.
    pub(super) is_gone: bool,
    /// Trees that another broker drives.
    pub(super) foreign: HashSet<TaskId>,
    pub(super) claims: HashMap<(String, String), Claim>,
    pub(super) kinds: HashMap<TaskId, Kind>,
    pub(super) outbox: HashMap<OutboxKey, OutboxRow>,
    pub(super) agents: HashSet<String>,
    pub(super) documents: HashMap<String, Bytes>,
    pub(super) log: Head,
}

/// What has to be read before a batch can be judged.
#[derive(Default)]
pub(super) struct Wanted<'w> {
    pub(super) roots: Vec<TaskId>,
    pub(super) claims: Vec<&'w Claim>,
    /// Tasks that may be there.
    pub(super) tasks: Vec<TaskId>,
    pub(super) outbox: Vec<&'w OutboxKey>,
    pub(super) agents: Vec<&'w str>,
    pub(super) documents: Vec<&'w str>,
    /// Whether something is said in the audit log.
    pub(super) log: bool,
}

/// What is to be written.
#[derive(Default)]
pub(super) struct Writes {
    /// Trees that begin.
    pub(super) begun: BTreeMap<TaskId, TreeHead>,
    /// Trees that go on.
    pub(super) moved: BTreeMap<TaskId, TreeHead>,
    pub(super) records: Vec<(TaskId, u64, Bytes)>,
    pub(super) claims: Vec<Claim>,
    pub(super) rows: BTreeMap<TaskId, TaskRow>,
    /// How many more there are of each kind, or fewer.
    pub(super) totals: BTreeMap<Kind, i64>,
    /// `None` where one ends.
    pub(super) outbox: BTreeMap<OutboxKey, Option<OutboxRow>>,
    /// `None` where one ends.
    pub(super) agents: BTreeMap<String, Option<Bytes>>,
    pub(super) documents: BTreeMap<String, Bytes>,
    /// Lines of the audit log with their numbers.
    pub(super) lines: Vec<(u64, String)>,
}

impl<'w> Wanted<'w> {
    pub(super) fn of(works: impl Iterator<Item = &'w Work>) -> Self {
        let mut wanted = Self::default();
        for work in works {
            wanted.add(work);
        }
        wanted
    }

    fn add(&mut self, work: &'w Work) {
        match work {
            Work::Append(change) => {
                self.roots.push(change.root);
                self.claims.extend(&change.claim);
                if change.expected > 0 {
                    self.tasks.extend(change.rows.iter().map(|row| row.task));
                }
                self.outbox.extend(change.outbox.iter().map(|change| match change {
                    OutboxChange::Set { key, .. } | OutboxChange::Delete(key) => key,
                }));
                self.log |= !change.audit.is_empty();
            }
            Work::Agent { name, audit, .. } => {
                self.agents.push(name);
                self.log |= audit.is_some();
            }
            Work::Document { name, instead_of, audit, .. } => {
                if matches!(instead_of, InsteadOf::This(_)) {
                    self.documents.push(name);
                }
                self.log |= audit.is_some();
            }
            Work::Note(entries) => self.log |= !entries.is_empty(),
        }
    }
}

/// A batch being put together.
#[derive(Default)]
pub(super) struct Batch {
    known: Known,
    pub(super) writes: Writes,
}

impl Batch {
    pub(super) fn new(known: Known) -> Self {
        Self { known, writes: Writes::default() }
    }

    /// Where the audit log ends.
    pub(super) fn log(&self) -> Head {
        self.known.log
    }

    /// Judges something and adds it; whether there was anything to change.
    pub(super) fn add(&mut self, work: &Work) -> Result<bool, StoreError> {
        match work {
            Work::Append(change) => self.add_change(change).map(|()| true),
            Work::Agent { name, document: None, .. } if !self.known.agents.contains(name) => Ok(false),
            Work::Agent { name, document, audit } => {
                match document {
                    Some(_) => self.known.agents.insert(name.clone()),
                    None => self.known.agents.remove(name),
                };
                self.writes.agents.insert(name.clone(), document.clone());
                self.note(audit);
                Ok(true)
            }
            Work::Document { name, instead_of: InsteadOf::This(before), .. }
                if self.known.documents.get(name) != before.as_ref() =>
            {
                Ok(false)
            }
            Work::Document { name, document, audit, .. } => {
                self.known.documents.insert(name.clone(), document.clone());
                self.writes.documents.insert(name.clone(), document.clone());
                self.note(audit);
                Ok(true)
            }
            Work::Note(entries) => {
                self.note(entries);
                Ok(true)
            }
        }
    }

    /// Numbers entries and chains each to the one before.
    fn note<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        for entry in entries {
            let line = self.known.log.seal(entry);
            self.writes.lines.push((self.known.log.n, line));
        }
    }

    fn add_change(&mut self, change: &Append) -> Result<(), StoreError> {
        let (root, expected) = (change.root, change.expected);
        if self.known.is_gone || self.known.foreign.contains(&root) {
            return Err(StoreError::Engine(TAKEN_OVER.to_owned()));
        }
        let before = self.known.heads.get(&root).copied().unwrap_or_default();
        if before.records != expected {
            return Err(StoreError::Stale { expected, found: before.records });
        }
        if let Some(claim) = &change.claim {
            let key = (claim.principal.clone(), claim.message_id.clone());
            if let Some(taken) = self.known.claims.get(&key) {
                return Err(StoreError::Claimed(Box::new(taken.clone())));
            }
            self.known.claims.insert(key, claim.clone());
            self.writes.claims.push(claim.clone());
        }
        let numbered = (expected..).zip(&change.records);
        self.writes.records.extend(numbered.map(|(number, record)| (root, number, record.clone())));
        self.put_head(change, before);
        for row in &change.rows {
            self.put_row(row);
        }
        for push in &change.outbox {
            self.put_push(root, push);
        }
        self.note(&change.audit);
        Ok(())
    }

    fn put_head(&mut self, change: &Append, before: TreeHead) {
        let records = change.expected + change.records.len() as u64;
        let over = (!change.open || before.over.is_some()).then_some(change.at);
        let head = TreeHead { records, over };
        let is_new = self.known.heads.insert(change.root, head).is_none();
        let begins = is_new || self.writes.begun.contains_key(&change.root);
        let heads = if begins { &mut self.writes.begun } else { &mut self.writes.moved };
        heads.insert(change.root, head);
    }

    fn put_row(&mut self, row: &TaskRow) {
        let kind = (row.owner.clone(), row.agent.clone(), row.state);
        *self.writes.totals.entry(kind.clone()).or_default() += 1;
        if let Some(before) = self.known.kinds.insert(row.task, kind) {
            *self.writes.totals.entry(before).or_default() -= 1;
        }
        self.writes.rows.insert(row.task, row.clone());
    }

    fn put_push(&mut self, root: TaskId, change: &OutboxChange) {
        let (key, row) = match change {
            OutboxChange::Delete(key) => (key, None),
            OutboxChange::Set { key, set, next } => {
                let next = self.known.outbox.get(key).map_or(*next, |known| known.next);
                (key, Some(OutboxRow { key: key.clone(), root, set: *set, next, trouble: None }))
            }
        };
        match &row {
            Some(row) => self.known.outbox.insert(key.clone(), row.clone()),
            None => self.known.outbox.remove(key),
        };
        self.writes.outbox.insert(key.clone(), row);
    }
}
