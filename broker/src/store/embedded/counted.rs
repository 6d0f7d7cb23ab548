//! The table of what is counted: rows of each kind, and records. Written with what it counts, in the same batch.

use fjall::{KvPair, OwnedWriteBatch as WriteBatch};
use protocol::TaskState;

use super::{Tables, damaged, engine, keys};
use crate::ports::store::StoreError;

/// The number of records of trees that are there. Where this is missing, an older version wrote the store, which counted
/// everything when it was opened.
const RECORDS: &[u8] = b"r";
/// Begins the number of rows of each kind: then owner, agent and state, ended by NUL bytes.
const ROWS: &[u8] = b"t";

/// Whether the store keeps its counts.
pub(super) fn is_kept(tables: &Tables) -> Result<bool, StoreError> {
    tables.counted.contains_key(RECORDS).map_err(|error| engine(&error))
}

/// The number of records, if it is kept.
pub(super) fn records(tables: &Tables) -> Result<Option<u64>, StoreError> {
    let kept = tables.counted.get(RECORDS).map_err(|error| engine(&error))?;
    kept.map(|number| keys::read_number(&number)).transpose()
}

/// The totals that are kept.
pub(super) fn totals(
    tables: &Tables,
) -> impl Iterator<Item = Result<((String, String, TaskState), u64), StoreError>> {
    tables.counted.prefix(ROWS).map(|guard| {
        let (key, rows): KvPair = guard.into_inner().map_err(|error| engine(&error))?;
        Ok((read_kind(&key)?, keys::read_number(&rows)?))
    })
}

pub(super) fn put_records(batch: &mut WriteBatch, tables: &Tables, records: u64) {
    batch.insert(&tables.counted, RECORDS, records.to_be_bytes());
}

pub(super) fn put_totals(
    batch: &mut WriteBatch,
    tables: &Tables,
    totals: &[((String, String, TaskState), u64)],
) {
    for ((owner, agent, state), rows) in totals {
        let key = [ROWS, owner.as_bytes(), &[0], agent.as_bytes(), &[0], state.as_str().as_bytes()].concat();
        if *rows > 0 {
            batch.insert(&tables.counted, key, rows.to_be_bytes());
        } else {
            batch.remove(&tables.counted, key);
        }
    }
}

fn read_kind(key: &[u8]) -> Result<(String, String, TaskState), StoreError> {
    let text = std::str::from_utf8(key.get(ROWS.len()..).unwrap_or_default());
    let mut parts = text.map_err(|error| damaged(&error))?.split('\0');
    let (Some(owner), Some(agent), Some(state)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(damaged(&"expected an owner, an agent and a state"));
    };
    Ok((owner.to_owned(), agent.to_owned(), state.parse().map_err(|error| damaged(&error))?))
}
