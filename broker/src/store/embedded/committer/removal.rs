//! Removing a tree: in one batch everything by which it is found, and then, in portions beside other work, the records
//! of a long journal, which nobody finds any more. So a removal is whole however long the journal is, and no append waits
//! for more than a portion.

use std::collections::BTreeMap;

use broker_core::{TaskId, Timestamp};

use super::super::{Tables, TreeHead, engine, keys, outbox, rows};
use super::pending::Pending;
use crate::ports::store::{OutboxRow, Over, Removed, StoreError, TaskRow};

/// Most records that are removed in one batch for one tree.
const PORTION_RECORDS: u64 = 256;

/// Records of trees that are no more: of each, from which number on, and how many there were. Stored too, so that a crash
/// leaves nothing lying about.
#[derive(Default)]
pub(super) struct Remains(BTreeMap<TaskId, (u64, u64)>);

impl Remains {
    pub(super) fn read(tables: &Tables) -> Result<Self, StoreError> {
        let read = |guard: fjall::Guard| {
            let (root, rest) = guard.into_inner().map_err(|error| engine(&error))?;
            Ok((keys::read_task(&root)?, keys::read_remains(&rest)?))
        };
        tables.removed.iter().map(read).collect::<Result<_, StoreError>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many records a tree had that are not all gone.
    pub(super) fn of(&self, root: TaskId) -> Option<u64> {
        self.0.get(&root).map(|(_, records)| *records)
    }
}

impl Pending<'_> {
    /// Clears up a portion of what was left behind.
    pub(super) fn clear(&mut self) {
        let Some(mut left) = self.remains.0.first_entry() else { return };
        let (root, (from, records)) = (*left.key(), *left.get());
        let to = records.min(from + PORTION_RECORDS);
        if to < records {
            left.insert((to, records));
            self.batch.insert(&self.tables.removed, keys::task(root), keys::write_remains(to, records));
        } else {
            left.remove();
            self.batch.remove(&self.tables.removed, keys::task(root));
        }
        self.remove_records(root, from..to);
    }

    fn remove_records(&mut self, root: TaskId, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.batch.remove(&self.tables.journal, keys::record(root, number));
        }
    }

    pub(super) fn remove_tree(
        &mut self,
        root: TaskId,
        before: Timestamp,
    ) -> Result<Option<Removed>, StoreError> {
        let head = self.head(root)?;
        let Some(since) = head.over.filter(|since| *since < before) else { return Ok(None) };
        let mut tasks = vec![root];
        for guard in self.tables.parts.prefix(keys::children_prefix(root)) {
            tasks.push(keys::task_of_context(&guard.key().map_err(|error| engine(&error))?)?);
        }
        let Some(dead_letters) = self.given_up(&tasks, before)? else { return Ok(None) };
        let rows: Vec<TaskRow> =
            tasks.iter().filter_map(|task| self.row(*task).transpose()).collect::<Result<_, _>>()?;
        let claims = self.claims_of(root)?;

        self.batch.remove(&self.tables.heads, keys::task(root));
        self.batch.remove(&self.tables.over, keys::over(Over { since, root }));
        self.heads.insert(root, TreeHead::default());
        self.removed += head.records;
        let removed = Removed { tasks: rows.len(), dead_letters };
        for row in rows {
            self.remove_row(&row);
        }
        for push in &removed.dead_letters {
            outbox::end(self.tables, &mut self.batch, &mut self.outbox, push.key.clone());
        }
        for claim in claims {
            self.batch.remove(&self.tables.parts, [keys::claims_prefix(root), claim.clone()].concat());
            self.batch.insert(&self.tables.remembered, keys::remembered(since, &claim), []);
        }
        if head.records <= PORTION_RECORDS {
            self.remove_records(root, 0..head.records);
        } else {
            self.batch.insert(&self.tables.removed, keys::task(root), keys::write_remains(0, head.records));
            self.remains.0.insert(root, (0, head.records));
        }
        Ok(Some(removed))
    }

    /// The pushes of tasks, if each was given up before then.
    fn given_up(&self, tasks: &[TaskId], before: Timestamp) -> Result<Option<Vec<OutboxRow>>, StoreError> {
        let mut letters = Vec::new();
        for task in tasks {
            for push in outbox::of_task(self.tables, &self.outbox, *task)? {
                let dead = push.trouble.as_ref().and_then(|trouble| trouble.dead);
                if dead.is_none_or(|dead| dead >= before) {
                    return Ok(None);
                }
                letters.push(push);
            }
        }
        Ok(Some(letters))
    }

    /// The keys of the message ids a tree has taken.
    fn claims_of(&self, root: TaskId) -> Result<Vec<Vec<u8>>, StoreError> {
        let prefix = keys::claims_prefix(root);
        let claim = |guard: fjall::Guard| {
            let key = guard.key().map_err(|error| engine(&error))?;
            Ok(key.get(prefix.len()..).unwrap_or_default().to_vec())
        };
        self.tables.parts.prefix(&prefix).map(claim).collect()
    }

    fn remove_row(&mut self, row: &TaskRow) {
        let key = keys::task(row.task);
        self.batch.remove(&self.tables.rows, key);
        self.batch.remove(&self.tables.located, key);
        self.batch.remove(&self.tables.order, keys::order(&row.owner, &row.agent, rows::cursor(row)));
        self.batch.remove(&self.tables.contexts, keys::context(&row.owner, &row.context_id, row.task));
        if row.task != row.root {
            let child = [keys::children_prefix(row.root).as_slice(), &key].concat();
            self.batch.remove(&self.tables.parts, child);
        }
        self.rows.insert(row.task, None);
        self.changed.note(Some(row), None);
    }

    pub(super) fn forget_claims(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let old = self.tables.remembered.range(..keys::time(before)).take(limit);
        let mut forgotten = 0;
        for guard in old {
            let key = guard.key().map_err(|error| engine(&error))?;
            let claim = keys::claim_of_remembered(&key).to_vec();
            self.batch.remove(&self.tables.remembered, key);
            self.batch.remove(&self.tables.claims, claim.clone());
            self.claims.insert(claim, None);
            forgotten += 1;
        }
        Ok(forgotten)
    }
}
