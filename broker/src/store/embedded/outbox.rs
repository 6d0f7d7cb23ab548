//! How far pushes have come: rows checked against what earlier work of the same batch leaves behind.

use std::collections::HashMap;

use broker_core::TaskId;
use fjall::OwnedWriteBatch as WriteBatch;

use super::{Tables, damaged, engine, keys};
use crate::ports::store::{OutboxChange, OutboxKey, OutboxRow, StoreError};

/// Rows a batch being put together changes; `None` where one ends.
pub(super) type Pending = HashMap<OutboxKey, Option<OutboxRow>>;

/// Rows after a key, at most `limit`.
pub(super) fn page(
    tables: &Tables,
    after: Option<&OutboxKey>,
    limit: usize,
) -> Result<Vec<OutboxRow>, StoreError> {
    let from = after.map_or_else(Vec::new, |after| [keys::outbox(after).as_slice(), &[0]].concat());
    let read = |guard: fjall::Guard| read(&guard.value().map_err(|error| engine(&error))?);
    tables.outbox.range(from..).take(limit).map(read).collect()
}

/// The row of a push as the batch leaves it.
fn row(tables: &Tables, pending: &Pending, key: &OutboxKey) -> Result<Option<OutboxRow>, StoreError> {
    if let Some(row) = pending.get(key) {
        return Ok(row.clone());
    }
    let stored = tables.outbox.get(keys::outbox(key)).map_err(|error| engine(&error))?;
    stored.map(|bytes| read(&bytes)).transpose()
}

/// The pushes of a task as the batch leaves those that are stored.
pub(super) fn of_task(
    tables: &Tables,
    pending: &Pending,
    task: TaskId,
) -> Result<Vec<OutboxRow>, StoreError> {
    let stored = tables.outbox.prefix(keys::outbox_prefix(task));
    let stored = stored.map(|guard| read(&guard.value().map_err(|error| engine(&error))?));
    let left = |row: OutboxRow| pending.get(&row.key).cloned().unwrap_or(Some(row));
    stored.filter_map(|row| row.map(left).transpose()).collect()
}

fn read(bytes: &[u8]) -> Result<OutboxRow, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(&error))
}

fn put(
    tables: &Tables,
    batch: &mut WriteBatch,
    pending: &mut Pending,
    row: OutboxRow,
) -> Result<(), StoreError> {
    let encoded = serde_json::to_vec(&row).map_err(|error| StoreError::Engine(error.to_string()))?;
    batch.insert(&tables.outbox, keys::outbox(&row.key), encoded);
    pending.insert(row.key.clone(), Some(row));
    Ok(())
}

pub(super) fn end(tables: &Tables, batch: &mut WriteBatch, pending: &mut Pending, key: OutboxKey) {
    batch.remove(&tables.outbox, keys::outbox(&key));
    pending.insert(key, None);
}

/// Moves a push on, or ends it, if it is still of that setting.
pub(super) fn advance(
    tables: &Tables,
    batch: &mut WriteBatch,
    pending: &mut Pending,
    (key, set, next): (OutboxKey, u64, Option<OutboxRow>),
) -> Result<bool, StoreError> {
    if row(tables, pending, &key)?.is_none_or(|row| row.set != set) {
        return Ok(false);
    }
    match next {
        Some(next) => put(tables, batch, pending, next)?,
        None => end(tables, batch, pending, key),
    }
    Ok(true)
}

/// What a change of a tree makes of its pushes. Read before anything is written, so that a refusal leaves no trace.
pub(super) fn prepare(
    tables: &Tables,
    pending: &Pending,
    root: TaskId,
    changes: Vec<OutboxChange>,
) -> Result<Vec<(OutboxKey, Option<OutboxRow>)>, StoreError> {
    let prepare = |change| match change {
        OutboxChange::Delete(key) => Ok((key, None)),
        OutboxChange::Set { key, set, next } => {
            let known = row(tables, pending, &key)?;
            let next = known.map_or(next, |known| known.next);
            Ok((key.clone(), Some(OutboxRow { key, root, set, next, trouble: None })))
        }
    };
    changes.into_iter().map(prepare).collect()
}

/// Writes what was prepared.
pub(super) fn write(
    tables: &Tables,
    batch: &mut WriteBatch,
    pending: &mut Pending,
    rows: Vec<(OutboxKey, Option<OutboxRow>)>,
) -> Result<(), StoreError> {
    for (key, row) in rows {
        match row {
            Some(row) => put(tables, batch, pending, row)?,
            None => end(tables, batch, pending, key),
        }
    }
    Ok(())
}
