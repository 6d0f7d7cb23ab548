//! Task rows: the ordered index behind `ListTasks`, and exact totals without a scan.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use protocol::TaskState;

use super::{Tables, damaged, engine, keys};
use crate::ports::store::{RowCursor, RowPage, RowQuery, StoreError, TaskRow};

/// How many rows there are of each (owner, agent, state). Counted at opening, then kept by the committer.
pub(super) struct Totals(Mutex<BTreeMap<(String, String), BTreeMap<TaskState, u64>>>);

impl Totals {
    pub(super) fn count(tables: &Tables) -> Result<Self, StoreError> {
        let totals = Self(Mutex::default());
        for guard in tables.rows.iter() {
            let row = read(&guard.value().map_err(|error| engine(&error))?)?;
            totals.change(None, Some(&row));
        }
        Ok(totals)
    }

    /// A row was written in place of another, or anew, or removed.
    pub(super) fn change(&self, before: Option<&TaskRow>, after: Option<&TaskRow>) {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = |row: &TaskRow| (row.owner.clone(), row.agent.clone());
        if let Some(after) = after {
            *totals.entry(pair(after)).or_default().entry(after.state).or_default() += 1;
        }
        let Some(before) = before else { return };
        if let Entry::Occupied(mut states) = totals.entry(pair(before)) {
            if let Some(total) = states.get_mut().get_mut(&before.state) {
                *total = total.saturating_sub(1);
            }
            states.get_mut().retain(|_, total| *total > 0);
            if states.get().is_empty() {
                states.remove();
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
