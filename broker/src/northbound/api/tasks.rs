//! Tasks, and what people decide about them: revocations, approvals, outcomes that nobody knows.

use broker_core::delegation::{Changes, TaskSummary};
use broker_core::journal::Resolution;
use protocol::{A2aError, TaskState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use super::exchange::Json;
use crate::service::{Approval, TasksPage, TasksWanted};

/// Which tasks to list.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Wanted {
    /// Those in this state.
    state: Option<TaskState>,
    /// Those with this agent.
    agent: Option<String>,
    /// Those after this place: `next` of the page before.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{32}$"))]
    after: Option<String>,
    /// At most so many, 50 if nothing is said; more than 500 are not shown.
    limit: Option<usize>,
}

/// Which part of a tree to show.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Since {
    /// What has changed since the tree held so many records.
    after: Option<u64>,
}

/// A tree, or what of it has changed.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Tree")]
pub(super) enum Shown {
    /// What has changed, where that was asked for.
    Changes(Changes),
    /// All of it.
    Whole {
        /// Each parent before its children.
        tasks: Vec<TaskSummary>,
    },
}

/// What is decided about a task whose outcome is unknown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ResolutionWanted")]
pub(super) struct Resolving {
    /// What is to become of it.
    r#as: Resolution,
}

/// What was decided.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Resolved")]
pub(super) struct Outcome {
    /// The task.
    task: String,
    /// What becomes of it.
    resolved: Resolution,
}

/// Whose grants were revoked.
#[derive(Serialize, JsonSchema)]
pub(super) struct Revoked {
    /// The task.
    revoked: String,
}

/// Tasks that wait for approval.
#[derive(Serialize, JsonSchema)]
pub(super) struct Approvals {
    /// Those the caller may decide about.
    approvals: Vec<Approval>,
}

/// What was decided about a task that waited for approval.
#[derive(Serialize, JsonSchema)]
pub(super) struct Decided {
    /// The task.
    task: String,
    /// Whether it was granted what it lacked.
    approved: bool,
}

pub(super) async fn list(call: &Call<'_>, wanted: Wanted) -> Result<Json<TasksPage>, A2aError> {
    let Wanted { state, agent, after, limit } = wanted;
    call.broker.page_tasks(&call.caller, TasksWanted { state, agent, after, limit }).await.map(Json)
}

pub(super) async fn tree(call: &Call<'_>, task: &str, since: Since) -> Result<Json<Shown>, A2aError> {
    Ok(Json(match since.after {
        Some(after) => Shown::Changes(call.broker.tree_changes(&call.caller, task, after).await?),
        None => Shown::Whole { tasks: call.broker.tree(&call.caller, task).await? },
    }))
}

pub(super) async fn revoke(call: &Call<'_>, task: &str) -> Result<Json<Revoked>, A2aError> {
    call.broker.revoke_task(&call.caller, task).await?;
    Ok(Json(Revoked { revoked: task.to_owned() }))
}

pub(super) async fn approvals(call: &Call<'_>) -> Result<Json<Approvals>, A2aError> {
    Ok(Json(Approvals { approvals: call.broker.approvals(&call.caller).await? }))
}

pub(super) async fn decide(call: &Call<'_>, task: &str, approve: bool) -> Result<Json<Decided>, A2aError> {
    call.broker.decide_approval(&call.caller, task, approve).await?;
    Ok(Json(Decided { task: task.to_owned(), approved: approve }))
}

pub(super) async fn resolve(
    call: &Call<'_>,
    task: &str,
    wanted: Resolving,
) -> Result<Json<Outcome>, A2aError> {
    let resolved = wanted.r#as;
    call.broker.resolve_task(&call.caller, task, resolved).await?;
    Ok(Json(Outcome { task: task.to_owned(), resolved }))
}
