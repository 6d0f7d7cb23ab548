//! Trees, and what people decide about tasks: revocations, approvals, outcomes that nobody knows.

use broker_core::journal::Resolution;
use serde::Deserialize;
use serde_json::json;

use super::{Answered, Call, ok};

/// What is decided about a task whose outcome is unknown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolved {
    /// `ask`, `retry` or `fail`.
    r#as: Resolution,
}

/// Whole, or with `?after=N` what has changed since the tree held so many records.
pub(super) async fn tree(call: &Call<'_>, task: &str) -> Answered {
    match call.number("after")? {
        Some(after) => Ok(ok(&call.broker.tree_changes(&call.caller, task, after).await?)),
        None => Ok(ok(&json!({ "tasks": call.broker.tree(&call.caller, task).await? }))),
    }
}

pub(super) async fn revoke(call: &Call<'_>, task: &str) -> Answered {
    call.broker.revoke_task(&call.caller, task).await?;
    Ok(ok(&json!({ "revoked": task })))
}

pub(super) async fn approvals(call: &Call<'_>) -> Answered {
    Ok(ok(&json!({ "approvals": call.broker.approvals(&call.caller).await? })))
}

pub(super) async fn decide(call: &Call<'_>, task: &str, approve: bool) -> Answered {
    call.broker.decide_approval(&call.caller, task, approve).await?;
    Ok(ok(&json!({ "task": task, "approved": approve })))
}

pub(super) async fn resolve(call: &Call<'_>, task: &str) -> Answered {
    let Resolved { r#as: resolution } = call.read()?;
    call.broker.resolve_task(&call.caller, task, resolution).await?;
    Ok(ok(&json!({ "task": task, "resolved": resolution })))
}
