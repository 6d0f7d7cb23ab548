//! Reading and steering tasks: GetTask, ListTasks, CancelTask, SubscribeToTask, and the tree as people see it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker_core::delegation::input::Input;
use broker_core::delegation::{TaskSummary, shown_bytes};
use broker_core::{TaskId, Timestamp, Tree};
use bytes::Bytes;
use protocol::{
    A2aError, CancelTaskRequest, GetTaskRequest, ListTasksRequest, ListTasksResponse, SubscribeToTaskRequest,
    Task,
};

use super::caller::{Caller, Identity, Role};
use super::driver::Reserved;
use super::stream::TaskStream;
use super::trees::{TreeCell, Trees};
use super::{Broker, Target, error};
use crate::ports::store::{RowCursor, RowQuery, TaskRow};

/// Bytes of messages and artifacts with which a page ends, however few tasks it holds: the rest is on the next one.
const PAGE_BYTES: u64 = 16 << 20;
/// Added to the core's own cancel limit before CancelTask answers with the state as it is.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

impl Broker {
    /// A task as it stands, as JSON (spec §3.1.3).
    pub async fn get_task(
        &self,
        caller: &Caller,
        target: &Target,
        request: GetTaskRequest,
    ) -> Result<Bytes, A2aError> {
        let (cell, task) = self.find_readable(caller, target, &request.id).await?;
        let history = request.history_length.map(|length| length as usize);
        cell.shown(task, history).await
    }

    /// A page of the caller's tasks, newest status first (spec §3.1.4).
    pub async fn list_tasks(
        &self,
        caller: &Caller,
        target: &Target,
        request: ListTasksRequest,
    ) -> Result<ListTasksResponse, A2aError> {
        let page_size = request.checked_page_size()?;
        let after = request.page_token.as_deref().map(read_page_token).transpose()?;
        let agent = match target {
            Target::Any => None,
            Target::Agent(name) => Some(name.clone()),
        };
        let query = RowQuery {
            owner: None,
            agent,
            context_id: request.context_id.clone(),
            state: request.status,
            updated_after: request.status_timestamp_after,
            after,
            limit: page_size as usize,
        };
        let (found, mut next, total_size) = match &caller.0 {
            Identity::Delegate { root, task, .. } => self.list_below(*root, *task, &query).await?,
            Identity::Principal { name, role, .. } => {
                let owner = (*role != Role::Operator).then(|| name.clone());
                let page = self.store.rows(RowQuery { owner, ..query }).await;
                let page = page.map_err(|failure| error::store(&failure))?;
                let cursor = |row: &TaskRow| RowCursor { updated: row.updated, task: row.task };
                (page.rows.iter().map(cursor).collect(), page.next, page.total)
            }
        };
        let history = request.history_length.map(|length| length as usize);
        let artifacts = request.include_artifacts.unwrap_or(false);
        let (mut tasks, mut bytes) = (Vec::with_capacity(found.len()), 0_u64);
        let last = found.last().copied();
        for cursor in found {
            let Some(task) = self.listed(cursor.task, history, artifacts).await? else { continue };
            bytes = bytes.saturating_add(shown_bytes(&task));
            tasks.push(task);
            if bytes >= PAGE_BYTES && Some(cursor) != last {
                next = Some(cursor);
                break;
            }
        }
        let next_page_token = next.map(write_page_token).unwrap_or_default();
        Ok(ListTasksResponse { tasks, next_page_token, page_size, total_size })
    }

    async fn listed(
        &self,
        id: TaskId,
        history: Option<usize>,
        artifacts: bool,
    ) -> Result<Option<Task>, A2aError> {
        let Some(cell) = self.trees.look_for(id).await? else { return Ok(None) };
        let shown = cell.tree.lock().await.task(id, history);
        Ok(shown.map(|mut task| {
            if !artifacts {
                task.artifacts.clear();
            }
            task
        }))
    }

    /// A delegate lists what is below its own task: one tree, in memory.
    async fn list_below(
        &self,
        root: TaskId,
        own: TaskId,
        query: &RowQuery,
    ) -> Result<(Vec<RowCursor>, Option<RowCursor>, u64), A2aError> {
        let cell = self.trees.load(root).await?.ok_or_else(error::task_not_found)?;
        let tree = cell.tree.lock().await;
        let mut below = tree.subtree(own);
        below.retain(|summary| tree.is_within(summary.task, own));
        drop(tree);
        below.retain(|summary| {
            query.agent.as_ref().is_none_or(|agent| summary.agent == *agent)
                && query.context_id.as_ref().is_none_or(|context| summary.context_id == *context)
                && query.state.is_none_or(|state| summary.state == state)
                && query.updated_after.is_none_or(|after| summary.updated >= after)
        });
        let total = below.len() as u64;
        let mut cursors: Vec<RowCursor> =
            below.iter().map(|summary| RowCursor { updated: summary.updated, task: summary.task }).collect();
        cursors.sort_by_key(|cursor| std::cmp::Reverse(*cursor));
        cursors.retain(|cursor| query.after.is_none_or(|after| *cursor < after));
        let more = cursors.len() > query.limit;
        cursors.truncate(query.limit);
        let next = cursors.last().copied().filter(|_| more);
        Ok((cursors, next, total))
    }

    /// Cancels a task and everything below it; answers when that has settled or its time is up (spec §3.1.5).
    pub async fn cancel_task(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: CancelTaskRequest,
    ) -> Result<Task, A2aError> {
        let (cell, task) = self.find_readable(caller, target, &request.id).await?;
        if !caller.may_steer(&*cell.tree.lock().await, task) {
            return Err(error::task_not_found());
        }
        let by = caller.display_name();
        self.drive_cell(Arc::clone(&cell), Input::Cancel { task, by }, Reserved::default()).await?;
        let limit = Duration::from_millis(self.limits().cancel_ms.unsigned_abs()) + CANCEL_GRACE;
        // Settled or not, the caller is told how it stands.
        let _ = tokio::time::timeout(limit, settled(&self.trees, cell, task)).await;
        let cell = self.trees.find(task).await?.ok_or_else(error::task_not_found)?;
        let tree = cell.tree.lock().await;
        tree.task(task, None).ok_or_else(error::task_not_found)
    }

    /// Listens to a task that is not over (spec §3.1.6). `after` is the last event the subscriber saw.
    pub async fn subscribe(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: SubscribeToTaskRequest,
        after: Option<u64>,
    ) -> Result<TaskStream, A2aError> {
        let counted = self.begin_call(caller)?;
        Ok(self.follow(caller, target, request, after).await?.holding(counted))
    }

    /// The same for a call that is counted already.
    pub(crate) async fn follow(
        self: &Arc<Self>,
        caller: &Caller,
        target: &Target,
        request: SubscribeToTaskRequest,
        after: Option<u64>,
    ) -> Result<TaskStream, A2aError> {
        let (cell, task) = self.find_readable(caller, target, &request.id).await?;
        self.stream_from(cell, task, after).await
    }

    /// The tree below a task, parents before children.
    pub async fn tree(&self, caller: &Caller, id: &str) -> Result<Vec<TaskSummary>, A2aError> {
        let (cell, task) = self.find_readable(caller, &Target::Any, id).await?;
        let tree = cell.tree.lock().await;
        let mut below = tree.subtree(task);
        // Who judges its work is none of an agent's business.
        below.retain(|summary| caller.may_read(&tree, summary.task));
        Ok(below)
    }

    /// The task a caller names, if there is one that it may see here.
    pub(super) async fn find_readable(
        &self,
        caller: &Caller,
        target: &Target,
        id: &str,
    ) -> Result<(Arc<TreeCell>, TaskId), A2aError> {
        let task: TaskId = id.parse().map_err(|_| error::task_not_found())?;
        let cell = self.trees.find(task).await?.ok_or_else(error::task_not_found)?;
        let visible = {
            let tree = cell.tree.lock().await;
            is_here(&tree, task, target) && caller.may_read(&tree, task)
        };
        if visible { Ok((cell, task)) } else { Err(error::task_not_found()) }
    }
}

/// At an agent's own address there are only its tasks, and those it gave away: whoever began one there goes on there.
fn is_here(tree: &Tree, task: TaskId, target: &Target) -> bool {
    match target {
        Target::Any => true,
        Target::Agent(name) => tree.has_been_with(task, name),
    }
}

/// Waits until a task is over, or cannot be looked at any more.
async fn settled(trees: &Trees, mut cell: Arc<TreeCell>, task: TaskId) {
    loop {
        let news = {
            let tree = cell.tree.lock().await;
            if tree.state(task).is_none_or(protocol::TaskState::is_terminal) {
                return;
            }
            cell.listeners.news(task)
        };
        if trees.await_news(news, &mut cell).await.is_err() {
            return;
        }
    }
}

/// Length of a page token's content: milliseconds and a task id.
const TOKEN_BYTES: usize = 8 + 16;

pub(super) fn write_page_token(cursor: RowCursor) -> String {
    let bytes = [cursor.updated.as_millis().to_be_bytes().as_slice(), cursor.task.0.as_bytes()].concat();
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn read_page_token(token: &str) -> Result<RowCursor, A2aError> {
    let wrong =
        || error::invalid("pageToken", "not a token of this broker; use nextPageToken of the page before");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
    let (millis, task) =
        bytes.split_first_chunk::<8>().filter(|_| bytes.len() == TOKEN_BYTES).ok_or_else(wrong)?;
    let task = uuid::Uuid::from_slice(task).map_err(|_| wrong())?;
    Ok(RowCursor { updated: Timestamp::from_millis(i64::from_be_bytes(*millis)), task: TaskId(task) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::ErrorKind;

    proptest! {
        #[test]
        fn any_text_as_a_page_token_is_a_cursor_or_refused(text in "\\PC{0,40}|[A-Za-z0-9_-]{30,34}", bytes in any::<[u8; TOKEN_BYTES]>()) {
            for token in [text, URL_SAFE_NO_PAD.encode(bytes)] {
                match read_page_token(&token) {
                    // A forged one is a place like any other: it shows nothing that the caller may not see.
                    Ok(cursor) => prop_assert_eq!(read_page_token(&write_page_token(cursor)).ok(), Some(cursor)),
                    Err(error) => prop_assert!(error.kind == ErrorKind::InvalidParams && error.message.len() < 200),
                }
            }
        }

        #[test]
        fn a_page_token_is_the_place_it_was_made_of(millis in any::<i64>(), task in any::<u128>()) {
            let cursor = RowCursor { updated: Timestamp::from_millis(millis), task: TaskId(uuid::Uuid::from_u128(task)) };
            prop_assert_eq!(read_page_token(&write_page_token(cursor)).ok(), Some(cursor));
        }
    }
}
