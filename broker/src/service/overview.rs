//! Trees as people look at them: a list of them, what of one has changed, and its journal in words.

use std::collections::BTreeSet;

use broker_core::TaskId;
use broker_core::delegation::{Changes, Overview};
use broker_core::journal::{Fact, Line, Record};
use protocol::{A2aError, TaskState};
use schemars::JsonSchema;
use serde::Serialize;

use super::caller::{Caller, Identity, Role};
use super::{Broker, Target, error};
use crate::ports::store::TreeQuery;

/// Trees on a page when the caller says nothing.
const DEFAULT_TREES: usize = 50;
/// Most trees on a page: each is read from its journal if it is not in memory.
const MAX_TREES: usize = 100;
/// Trees looked at to find those that are asked for; after so many the page is short and another one follows.
const LOOK_AT: usize = 10_000;
/// Lines of a journal on a page when the caller says nothing.
const DEFAULT_LINES: usize = 200;
/// Most of them.
const MAX_LINES: usize = 1_000;

/// What asks for trees that are not over, whatever their root's state.
pub const OPEN_TREES: &str = "open";

/// The states of a task that is not over.
const OPEN: [TaskState; 4] =
    [TaskState::Submitted, TaskState::Working, TaskState::InputRequired, TaskState::AuthRequired];

/// Which trees to list.
#[derive(Debug, Clone, Default)]
pub struct TreesWanted {
    /// Whose root is in this state, or `open`; absent: any.
    pub state: Option<String>,
    /// Whose root is with this agent.
    pub agent: Option<String>,
    /// That began before this one: `next` of the page before.
    pub before: Option<String>,
    /// At most this many.
    pub limit: Option<usize>,
}

/// A page of trees, the newest first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TreesPage {
    /// The trees.
    pub trees: Vec<Overview>,
    /// Where to go on; absent at the end. A page may be short, and others follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<TaskId>,
}

/// A page of a tree's journal in words.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogPage {
    /// Its lines, in order.
    pub lines: Vec<Line>,
    /// Where to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Who is asking, and whom.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Introduction {
    /// The name the broker knows the caller by.
    pub name: String,
    /// Whether it is an operator.
    pub operator: bool,
    /// Whether anybody may call.
    pub open: bool,
    /// The broker's base URL.
    pub broker: String,
    /// The broker's version.
    pub version: &'static str,
}

impl Broker {
    /// Tells a caller who it is here.
    pub fn introduce(&self, caller: &Caller) -> Introduction {
        Introduction {
            name: caller.display_name(),
            operator: caller.is_operator(),
            open: self.is_open(),
            broker: self.public_url.clone(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// A page of the trees a principal may see.
    pub async fn list_trees(&self, caller: &Caller, wanted: TreesWanted) -> Result<TreesPage, A2aError> {
        let query = TreeQuery {
            owner: caller.sees_trees_of()?.map(ToOwned::to_owned),
            agent: wanted.agent,
            states: wanted.state.as_deref().map_or(Ok(Vec::new()), read_states)?,
            before: wanted.before.as_deref().map(read_place).transpose()?,
            limit: wanted.limit.unwrap_or(DEFAULT_TREES).clamp(1, MAX_TREES),
            look_at: LOOK_AT,
        };
        let page = self.store.trees(query).await.map_err(|failure| error::store(&failure))?;
        let mut trees = Vec::with_capacity(page.roots.len());
        for row in page.roots {
            // One that was removed meanwhile is no longer in the list.
            let Some(cell) = self.trees.look_at(row.root).await? else { continue };
            trees.extend(cell.tree.lock().await.overview());
        }
        Ok(TreesPage { trees, next: page.next })
    }

    /// What has changed below a task since its tree held so many records.
    pub async fn tree_changes(&self, caller: &Caller, id: &str, after: u64) -> Result<Changes, A2aError> {
        let (cell, task) = self.find_readable(caller, &Target::Any, id).await?;
        let tree = cell.tree.lock().await;
        let mut changes = tree.changes(task, after);
        // Who judges its work is none of an agent's business.
        changes.tasks.retain(|summary| caller.may_read(&tree, summary.task));
        Ok(changes)
    }

    /// The journal of what is below a task, in words, after record number `after` of its tree.
    pub async fn tree_log(
        &self,
        caller: &Caller,
        id: &str,
        after: u64,
        limit: Option<usize>,
    ) -> Result<LogPage, A2aError> {
        let (cell, task) = self.find_readable(caller, &Target::Any, id).await?;
        let (root, shown) = {
            let tree = cell.tree.lock().await;
            let below = tree.changes(task, 0).tasks.into_iter().map(|summary| summary.task);
            let below: BTreeSet<TaskId> = below.filter(|&task| caller.may_read(&tree, task)).collect();
            (tree.root(), below)
        };
        let limit = limit.unwrap_or(DEFAULT_LINES).clamp(1, MAX_LINES);
        let page =
            self.store.read_page(root, after, limit).await.map_err(|failure| error::store(&failure))?;
        let next = (page.len() == limit).then(|| after.saturating_add(limit as u64));
        let mut lines = Vec::with_capacity(page.len());
        for (n, bytes) in (after.saturating_add(1)..).zip(page) {
            let record = Record::decode(&bytes).map_err(|damage| error::damaged(&damage))?;
            if shown.contains(&record.task) && !(caller.is_at_work() && is_about_judging(&record.fact)) {
                lines.push(Line::of(n, &record));
            }
        }
        Ok(LogPage { lines, next })
    }
}

/// Whether it says how a result is judged, which is none of the business of whoever made it.
fn is_about_judging(fact: &Fact) -> bool {
    matches!(fact, Fact::Judging { .. } | Fact::Checked { .. })
}

impl Caller {
    /// Whose trees it may look through; `None`: everybody's. For people: an agent at work sees one task and what is below.
    pub(super) fn sees_trees_of(&self) -> Result<Option<&str>, A2aError> {
        match &self.0 {
            Identity::Principal { role: Role::Operator, .. } => Ok(None),
            Identity::Principal { name, .. } => Ok(Some(name)),
            Identity::Delegate { .. } => Err(error::forbidden(
                "a grant shows its own task and what is below it; ask for that task, or ask as a principal",
            )),
        }
    }
}

fn read_states(text: &str) -> Result<Vec<TaskState>, A2aError> {
    if text == OPEN_TREES {
        return Ok(OPEN.to_vec());
    }
    let state = serde_json::from_value(serde_json::Value::from(text));
    let state =
        state.map_err(|_| error::invalid("state", "expected open, or a state such as TASK_STATE_FAILED"))?;
    Ok(vec![state])
}

fn read_place(text: &str) -> Result<TaskId, A2aError> {
    text.parse().map_err(|_| error::invalid("before", "expected next of the page before, the id of a tree"))
}
