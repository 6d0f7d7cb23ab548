//! Task rows: the ordered index behind `ListTasks`, and exact totals without a scan.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use protocol::TaskState;

use super::{Tables, counted, damaged, engine, keys};
use crate::ports::store::{RowCursor, RowPage, RowQuery, StoreError, TaskRow};

/// How many rows there are of each (owner, agent, state). Kept in memory, and in the store beside what they count, so that
/// opening it takes no longer the more there is.
pub(super) struct Totals(Mutex<BTreeMap<(String, String), BTreeMap<TaskState, u64>>>);

/// What tasks are counted by: owner, agent, state.
type Kind = (String, String, TaskState);

/// How many more rows there are of each kind, or fewer.
#[derive(Default)]
pub(super) struct Change(BTreeMap<Kind, i64>);

impl Change {
    /// A row was written in place of another, or anew, or removed.
    pub(super) fn note(&mut self, before: Option<&TaskRow>, after: Option<&TaskRow>) {
        let kind = |row: &TaskRow| (row.owner.clone(), row.agent.clone(), row.state);
        for (row, more) in [(before, -1), (after, 1)] {
            if let Some(row) = row {
                *self.0.entry(kind(row)).or_default() += more;
            }
        }
    }
}

impl Totals {
    /// Reads them; of a store that was written by an older version, counts them.
    pub(super) fn read(tables: &Tables) -> Result<Self, StoreError> {
        let totals = Self(Mutex::default());
        if !counted::is_kept(tables)? {
            let mut change = Change::default();
            for guard in tables.rows.iter() {
                let row = read(&guard.value().map_err(|error| engine(&error))?)?;
                change.note(None, Some(&row));
            }
            totals.put(totals.after(&change));
            return Ok(totals);
        }
        let mut states = totals.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in counted::totals(tables) {
            let ((owner, agent, state), rows) = entry?;
            states.entry((owner, agent)).or_default().insert(state, rows);
        }
        drop(states);
        Ok(totals)
    }

    /// What the totals are that a change makes others, once it is made.
    pub(super) fn after(&self, change: &Change) -> Vec<(Kind, u64)> {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change.0.iter().filter(|(_, more)| **more != 0);
        let after = |((owner, agent, state), more): (&Kind, &i64)| {
            let pair = (owner.clone(), agent.clone());
            let before = totals.get(&pair).and_then(|states| states.get(state)).copied().unwrap_or(0);
            ((pair.0, pair.1, *state), before.saturating_add_signed(*more))
        };
        changed.map(after).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<(Kind, u64)> {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_pair = |((owner, agent), states): (&(String, String), &BTreeMap<TaskState, u64>)| {
            let of_state =
                |(state, rows): (&TaskState, &u64)| ((owner.clone(), agent.clone(), *state), *rows);
            states.iter().map(of_state).collect::<Vec<_>>()
        };
        totals.iter().flat_map(of_pair).collect()
    }

    /// Puts totals in place of what they were.
    pub(super) fn put(&self, after: Vec<(Kind, u64)>) {
        // At once, so that no reader finds a pair gone that is about to be there again.
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((owner, agent, state), rows) in after {
            let mut pair = match totals.entry((owner, agent)) {
                Entry::Occupied(pair) => pair,
                Entry::Vacant(vacant) => vacant.insert_entry(BTreeMap::new()),
            };
            if rows > 0 {
                pair.get_mut().insert(state, rows);
                continue;
            }
            pair.get_mut().remove(&state);
            if pair.get().is_empty() {
                pair.remove();
            }
        }
    }

    /// The (owner, agent) pairs a query covers, with the rows each holds in the state asked for.
    fn covered(&self, query: &RowQuery) -> Vec<((String, String), u64)> {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let matches =
            |wanted: &Option<String>, found: &String| wanted.as_ref().is_none_or(|name| name == found);
        totals
            .iter()
            .filter(|((owner, agent), _)| matches(&query.owner, owner) && matches(&query.agent, agent))
            .map(|(pair, states)| {
                let counted =
                    states.iter().filter(|(state, _)| query.state.is_none_or(|wanted| wanted == **state));
                (pair.clone(), counted.map(|(_, total)| total).sum())
            })
            .collect()
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<TaskRow, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(&error))
}

pub(super) fn cursor(row: &TaskRow) -> RowCursor {
    RowCursor { updated: row.updated, task: row.task }
}

/// A page of rows, newest first.
pub(super) fn page(tables: &Tables, totals: &Totals, query: &RowQuery) -> Result<RowPage, StoreError> {
    let covered = totals.covered(query);
    // One more than asked for tells whether there is another page.
    let wanted = query.limit.saturating_add(1);
    let (mut rows, total) = match &query.context_id {
        Some(context) => in_context(tables, &covered, context, query)?,
        None => in_order(tables, &covered, query, wanted)?,
    };
    rows.sort_by_key(|row| std::cmp::Reverse(cursor(row)));
    rows.retain(|row| query.after.is_none_or(|after| cursor(row) < after));
    let more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let next = rows.last().filter(|_| more).map(cursor);
    Ok(RowPage { rows, next, total })
}

type Covered = [((String, String), u64)];

/// The first rows of every pair covered; merged and cut by the caller.
fn in_order(
    tables: &Tables,
    covered: &Covered,
    query: &RowQuery,
    wanted: usize,
) -> Result<(Vec<TaskRow>, u64), StoreError> {
    let (mut rows, mut total) = (Vec::new(), 0);
    for ((owner, agent), count) in covered {
        let prefix = keys::order_prefix(owner, agent);
        let from = match query.after {
            Some(after) => Bound::Excluded(keys::order(owner, agent, after)),
            None => Bound::Included(prefix.clone()),
        };
        let mut found = 0;
        for guard in tables.order.range((from, Bound::Unbounded)) {
            let (key, value) = guard.into_inner().map_err(|error| engine(&error))?;
            if !key.starts_with(&prefix) || found >= wanted {
                break;
            }
            let row = read(&value)?;
            if query.updated_after.is_some_and(|after| row.updated < after) {
                break;
            }
            if fits(&row, query) {
                found += 1;
                rows.push(row);
            }
        }
        total += match query.updated_after {
            None => *count,
            Some(_) => count_since(tables, &prefix, query)?,
        };
    }
    Ok((rows, total))
}

fn count_since(tables: &Tables, prefix: &[u8], query: &RowQuery) -> Result<u64, StoreError> {
    let mut count = 0;
    for guard in tables.order.prefix(prefix) {
        let row = read(&guard.value().map_err(|error| engine(&error))?)?;
        if query.updated_after.is_some_and(|after| row.updated < after) {
            break;
        }
        count += u64::from(fits(&row, query));
    }
    Ok(count)
}

/// All rows of one context: a conversation, not a table.
fn in_context(
    tables: &Tables,
    covered: &Covered,
    context: &str,
    query: &RowQuery,
) -> Result<(Vec<TaskRow>, u64), StoreError> {
    let mut owners: Vec<&String> = covered.iter().map(|((owner, _), _)| owner).collect();
    owners.dedup();
    let mut rows = Vec::new();
    for owner in owners {
        for guard in tables.contexts.prefix(keys::context_prefix(owner, context)) {
            let task = keys::task_of_context(&guard.key().map_err(|error| engine(&error))?)?;
            let stored = tables.rows.get(keys::task(task)).map_err(|error| engine(&error))?;
            let row = stored.map(|bytes| read(&bytes)).transpose()?;
            rows.extend(row.filter(|row| fits(row, query)));
        }
    }
    let total = rows.len() as u64;
    Ok((rows, total))
}

fn fits(row: &TaskRow, query: &RowQuery) -> bool {
    query.state.is_none_or(|state| row.state == state)
        && query.agent.as_ref().is_none_or(|agent| row.agent == *agent)
        && query.context_id.as_ref().is_none_or(|context| row.context_id == *context)
        && query.updated_after.is_none_or(|after| row.updated >= after)
}
