//! Trees as wholes: lists of them, and the end of those that are over. A removal is a transaction of its own; it holds the
//! tree's head, so that no append comes between.

use std::collections::BTreeMap;

use broker_core::{TaskId, Timestamp};
use deadpool_postgres::{Object, Transaction};
use tokio_postgres::Error;
use uuid::Uuid;

use super::batch::Kind;
use super::failure::{unavailable, uncertain};
use super::rows;
use super::statements::{NO_LONGER, signed};
use crate::ports::store::{OutboxRow, Over, Removed, StoreError, TreePage, TreeQuery};

/// Which trees are not another broker's that is there: what it holds in memory of its own it lets go of when it removes them
/// itself.
const NOT_ANOTHERS: &str = "driver <> ALL (ARRAY(SELECT id FROM brokers WHERE NOT gone AND id <> $2))";

/// Whose totals a removal changes: no committer's.
const REMOVALS_SLOT: i32 = -1;

/// A page of trees, the newest first.
pub(super) async fn page(client: &Object, query: &TreeQuery) -> Result<TreePage, StoreError> {
    let is_everything = query.owner.is_none() && query.agent.is_none() && query.states.is_empty();
    let most = if is_everything { query.look_at.min(query.limit) } else { query.look_at };
    // One more tells whether there are others.
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let text = format!(
        "SELECT {}, trees.root AS tree FROM trees LEFT JOIN tasks ON tasks.root = trees.root AND tasks.task = trees.root \
         WHERE $1::uuid IS NULL OR trees.root < $1 ORDER BY trees.root DESC LIMIT {limit}",
        rows::TASK
    );
    let found = rows::query(client, &text, &[&query.before.map(|before| before.0)]).await?;
    let mut page = TreePage::default();
    let mut last = None;
    for (looked_at, row) in found.iter().enumerate() {
        if page.roots.len() >= query.limit || looked_at >= query.look_at {
            page.next = last;
            break;
        }
        last = Some(TaskId(row.get("tree")));
        if row.get::<_, Option<Uuid>>(0).is_some() {
            page.roots.extend(Some(rows::task(row)?).filter(|row| query.admits(row)));
        }
    }
    Ok(page)
}

/// Trees that are over and for this broker to remove, the longest unchanged first.
pub(super) async fn over(
    client: &Object,
    own: Uuid,
    before: Timestamp,
    after: Option<Over>,
    limit: i64,
) -> Result<Vec<Over>, StoreError> {
    let text = format!(
        "SELECT over, root FROM trees WHERE over < $1 AND ($3::bigint IS NULL OR (over, root) > ($3, $4)) \
         AND {NOT_ANOTHERS} ORDER BY over, root LIMIT $5"
    );
    let (since, root) = (after.map(|after| after.since.as_millis()), after.map(|after| after.root.0));
    let found = rows::query(client, &text, &[&before.as_millis(), &own, &since, &root, &limit]).await?;
    let over = |row: &tokio_postgres::Row| Over {
        since: Timestamp::from_millis(row.get(0)),
        root: TaskId(row.get(1)),
    };
    Ok(found.iter().map(over).collect())
}

/// Removes a tree, if it may go.
pub(super) async fn remove(
    client: &mut Object,
    own: Uuid,
    root: TaskId,
    before: Timestamp,
) -> Result<Option<Removed>, StoreError> {
    let transaction = client.transaction().await.map_err(|error| unavailable(&error))?;
    transaction.batch_execute(NO_LONGER).await.map_err(|error| unavailable(&error))?;
    let Some(since) = over_since(&transaction, own, root).await?.filter(|since| *since < before) else {
        return Ok(None);
    };
    let letters =
        "SELECT root, task, config, set, next, trouble FROM outbox WHERE root = $1 ORDER BY task, config";
    let letters = transaction.query(letters, &[&root.0]).await.map_err(|error| unavailable(&error))?;
    let dead_letters: Vec<OutboxRow> = letters.iter().map(rows::push).collect::<Result<_, _>>()?;
    let is_dead = |push: &OutboxRow| push.trouble.as_ref().and_then(|trouble| trouble.dead);
    if !dead_letters.iter().all(|push| is_dead(push).is_some_and(|dead| dead < before)) {
        return Ok(None);
    }
    let tasks = take_away(&transaction, root, since).await?;
    transaction.commit().await.map_err(|error| uncertain(&error))?;
    Ok(Some(Removed { tasks, dead_letters }))
}

async fn over_since(
    transaction: &Transaction<'_>,
    own: Uuid,
    root: TaskId,
) -> Result<Option<Timestamp>, StoreError> {
    let head = format!("SELECT over FROM trees WHERE root = $1 AND {NOT_ANOTHERS} FOR UPDATE");
    let head = transaction.query_opt(&head, &[&root.0, &own]).await.map_err(|error| unavailable(&error))?;
    Ok(head.and_then(|row| row.get::<_, Option<i64>>(0)).map(Timestamp::from_millis))
}

/// Deletes all that is of a tree; its message ids are remembered. How many tasks it had.
async fn take_away(
    transaction: &Transaction<'_>,
    root: TaskId,
    since: Timestamp,
) -> Result<usize, StoreError> {
    let failed = |error: Error| unavailable(&error);
    let gone = "DELETE FROM tasks WHERE root = $1 RETURNING owner, agent, state";
    let gone = transaction.query(gone, &[&root.0]).await.map_err(failed)?;
    let mut fewer: BTreeMap<Kind, i64> = BTreeMap::new();
    for row in &gone {
        *fewer.entry((row.get(0), row.get(1), rows::state(row, 2)?)).or_default() -= 1;
    }
    let add_totals = transaction.prepare_cached(rows::ADD_TOTALS).await.map_err(failed)?;
    rows::add_totals(transaction.client(), &add_totals, &fewer, REMOVALS_SLOT).await.map_err(failed)?;
    let remember = "UPDATE claims SET remembered = $2 WHERE root = $1 AND remembered IS NULL";
    transaction.execute(remember, &[&root.0, &since.as_millis()]).await.map_err(failed)?;
    for table in ["outbox", "journal", "trees"] {
        let all = format!("DELETE FROM {table} WHERE root = $1");
        transaction.execute(&all, &[&root.0]).await.map_err(failed)?;
    }
    Ok(gone.len())
}

/// Forgets message ids of removed trees, the oldest first; how many.
pub(super) async fn forget_claims(
    client: &Object,
    before: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let text = "DELETE FROM claims USING (SELECT principal, message_id FROM claims WHERE remembered < $1 \
                ORDER BY remembered, principal, message_id LIMIT $2) AS old \
                WHERE claims.principal = old.principal AND claims.message_id = old.message_id";
    let limit = signed(u64::try_from(limit).unwrap_or(u64::MAX));
    let gone = client.execute(text, &[&before.as_millis(), &limit]).await;
    gone.map(|gone| usize::try_from(gone).unwrap_or(usize::MAX)).map_err(|error| uncertain(&error))
}
