//! Tasks one by one, whatever tree they are in: a list of them from the store's index, without reading a journal.

use broker_core::{TaskId, Timestamp};
use protocol::{A2aError, TaskState};
use schemars::JsonSchema;
use serde::Serialize;

use super::caller::Caller;
use super::tasks::{read_page_token, write_page_token};
use super::{Broker, error};
use crate::ports::store::{RowQuery, TaskRow};

/// Tasks on a page when the caller says nothing.
const DEFAULT_TASKS: usize = 50;
/// Most tasks on a page.
const MAX_TASKS: usize = 500;

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
pub struct TasksWanted {
    /// In this state; absent: any.
    pub state: Option<TaskState>,
    /// With this agent.
    pub agent: Option<String>,
    /// After this place: `next` of the page before.
    pub after: Option<String>,
    /// At most this many.
    pub limit: Option<usize>,
}

/// A task in a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskLine {
    /// The task.
    pub task: TaskId,
    /// The root of its tree.
    pub root: TaskId,
    /// The principal that owns the tree.
    pub owner: String,
    /// The agent it is with.
    pub agent: String,
    /// Its state.
    pub state: TaskState,
    /// When its status last changed.
    pub updated: Timestamp,
}

/// A page of tasks, those first whose status changed last.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TasksPage {
    /// The tasks.
    pub tasks: Vec<TaskLine>,
    /// How many there are on all pages together.
    pub total: u64,
    /// Where to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Broker {
    /// A page of the tasks in trees that a principal may see.
    pub async fn page_tasks(&self, caller: &Caller, wanted: TasksWanted) -> Result<TasksPage, A2aError> {
        let after = wanted.after.as_deref().map(read_page_token).transpose();
        let query = RowQuery {
            owner: caller.sees_trees_of()?.map(ToOwned::to_owned),
            agent: wanted.agent,
            state: wanted.state,
            after: after.map_err(|_| error::invalid("after", "expected next of the page before"))?,
            limit: wanted.limit.unwrap_or(DEFAULT_TASKS).clamp(1, MAX_TASKS),
            ..RowQuery::default()
        };
        let page = self.store.rows(query).await.map_err(|failure| error::store(&failure))?;
        let tasks = page.rows.into_iter().map(TaskLine::from).collect();
        Ok(TasksPage { tasks, total: page.total, next: page.next.map(write_page_token) })
    }
}

impl From<TaskRow> for TaskLine {
    fn from(row: TaskRow) -> Self {
        let TaskRow { task, root, owner, agent, state, updated, .. } = row;
        Self { task, root, owner, agent, state, updated }
    }
}
