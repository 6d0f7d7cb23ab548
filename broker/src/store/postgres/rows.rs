//! Task rows: pages of `ListTasks` with exact totals, and the port's types from rows of the tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use broker_core::{TaskId, Timestamp};
use deadpool_postgres::Object;
use protocol::TaskState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

use super::batch::Kind;
use super::failure::{damaged, unavailable};
use crate::ports::store::{Claim, OutboxKey, OutboxRow, RowCursor, RowPage, RowQuery, StoreError, TaskRow};

/// Columns of a task row, in the order in which [`task`] reads them.
pub(super) const TASK: &str = "tasks.task, tasks.root, owner, agent, context_id, state, updated";

/// Adds to totals, in the order of their keys, as everybody does.
pub(super) const ADD_TOTALS: &str = "INSERT INTO totals (owner, agent, state, slot, tasks) \
    SELECT owner, agent, state, $4::integer, tasks FROM unnest($1::text[], $2::text[], $3::text[], $5::bigint[]) \
    AS more (owner, agent, state, tasks) ORDER BY owner, agent, state \
    ON CONFLICT (owner, agent, state, slot) DO UPDATE SET tasks = totals.tasks + excluded.tasks";

/// Adds to one committer's totals.
pub(super) async fn add_totals(
    client: &Client,
    statement: &Statement,
    more: &BTreeMap<Kind, i64>,
    slot: i32,
) -> Result<(), Error> {
    let more: Vec<_> = more.iter().filter(|(_, more)| **more != 0).collect();
    if more.is_empty() {
        return Ok(());
    }
    let owners: Vec<&str> = more.iter().map(|((owner, _, _), _)| owner.as_str()).collect();
    let agents: Vec<&str> = more.iter().map(|((_, agent, _), _)| agent.as_str()).collect();
    let states: Vec<&str> = more.iter().map(|((_, _, state), _)| state.as_str()).collect();
    let tasks: Vec<i64> = more.iter().map(|(_, more)| **more).collect();
    client.execute(statement, &[&owners, &agents, &states, &slot, &tasks]).await.map(drop)
}

/// A page of rows, newest first.
pub(super) async fn page(client: &Object, query: &RowQuery) -> Result<RowPage, StoreError> {
    // One more than asked for tells whether there is another page.
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut wanted = Conditions::of(query);
    let counted = wanted.text();
    if let Some(after) = &query.after {
        wanted.add("(updated, task) < ", vec![Box::new(after.updated.as_millis()), Box::new(after.task.0)]);
    }
    let text =
        format!("SELECT {TASK} FROM tasks{} ORDER BY updated DESC, task DESC LIMIT {limit}", wanted.text());
    let found = read(client, &text, &wanted.params).await?;
    let mut rows: Vec<TaskRow> = found.iter().map(task).collect::<Result<_, _>>()?;
    let more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let next = rows.last().filter(|_| more).map(|row| RowCursor { updated: row.updated, task: row.task });

    // What the totals are kept by needs no counting.
    let text = if query.context_id.is_none() && query.updated_after.is_none() {
        format!("SELECT coalesce(sum(tasks), 0)::bigint FROM totals{counted}")
    } else {
        format!("SELECT count(*) FROM tasks{counted}")
    };
    let total = read(client, &text, &Conditions::of(query).params).await?;
    let total = total.first().map_or(0, |row| unsigned(row, 0));
    Ok(RowPage { rows, next, total })
}

/// What comes after WHERE, and its parameters.
#[derive(Default)]
struct Conditions {
    texts: Vec<String>,
    params: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    fn of(query: &RowQuery) -> Self {
        let mut conditions = Self::default();
        let state = query.state.map(|state| state.as_str().to_owned());
        let named = [
            ("owner = ", query.owner.clone()),
            ("agent = ", query.agent.clone()),
            ("context_id = ", query.context_id.clone()),
            ("state = ", state),
        ];
        for (condition, wanted) in named {
            if let Some(wanted) = wanted {
                conditions.add(condition, vec![Box::new(wanted)]);
            }
        }
        if let Some(after) = query.updated_after {
            conditions.add("updated >= ", vec![Box::new(after.as_millis())]);
        }
        conditions
    }

    fn add(&mut self, condition: &str, params: Vec<Box<dyn ToSql + Sync + Send>>) {
        let numbers: Vec<String> =
            (1..=params.len()).map(|number| format!("${}", self.params.len() + number)).collect();
        self.texts.push(format!("{condition}({})", numbers.join(", ")));
        self.params.extend(params);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (number, condition) in self.texts.iter().enumerate() {
            let before = if number == 0 { " WHERE " } else { " AND " };
            // Writing to a string does not fail.
            let _ = write!(text, "{before}{condition}");
        }
        text
    }
}

async fn read(
    client: &Object,
    text: &str,
    params: &[Box<dyn ToSql + Sync + Send>],
) -> Result<Vec<Row>, StoreError> {
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as _).collect();
    query(client, text, &params).await
}

/// Asks something that changes nothing.
pub(super) async fn query(
    client: &Object,
    text: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, StoreError> {
    let statement = client.prepare_cached(text).await.map_err(|error| unavailable(&error))?;
    client.query(&statement, params).await.map_err(|error| unavailable(&error))
}

/// A number that is never negative.
pub(super) fn unsigned(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or(0)
}

pub(super) fn state(row: &Row, column: usize) -> Result<TaskState, StoreError> {
    row.get::<_, &str>(column).parse().map_err(|_| damaged("a task state"))
}

/// Of the columns of [`TASK`].
pub(super) fn task(row: &Row) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        task: TaskId(row.get(0)),
        root: TaskId(row.get(1)),
        owner: row.get(2),
        agent: row.get(3),
        context_id: row.get(4),
        state: state(row, 5)?,
        updated: Timestamp::from_millis(row.get(6)),
    })
}

/// Of the columns principal, `message_id`, digest, task, root.
pub(super) fn claim(row: &Row) -> Result<Claim, StoreError> {
    let digest = row.get::<_, &[u8]>(2).try_into().map_err(|_| damaged("a digest of 32 bytes"))?;
    let (task, root) = (TaskId(row.get(3)), TaskId(row.get(4)));
    Ok(Claim { principal: row.get(0), message_id: row.get(1), digest, task, root })
}

/// Of the columns root, task, config, set, next, trouble.
pub(super) fn push(row: &Row) -> Result<OutboxRow, StoreError> {
    let trouble = row.get::<_, Option<&str>>(5).map(serde_json::from_str).transpose();
    Ok(OutboxRow {
        key: OutboxKey { task: TaskId(row.get(1)), config: row.get(2) },
        root: TaskId(row.get(0)),
        set: unsigned(row, 3),
        next: unsigned(row, 4),
        trouble: trouble.map_err(|_| damaged("what went wrong with a push"))?,
    })
}
