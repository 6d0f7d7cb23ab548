//! Lists of trees, what of a tree has changed, and its journal in words.

use super::{Answered, Call, ok};
use crate::service::TreesWanted;

/// `?state=open|TASK_STATE_…&agent=NAME&before=ROOT&limit=N`.
pub(super) async fn list(call: &Call<'_>) -> Answered {
    let wanted = TreesWanted {
        state: call.text("state"),
        agent: call.text("agent"),
        before: call.text("before"),
        limit: call.count("limit")?,
    };
    Ok(ok(&call.broker.list_trees(&call.caller, wanted).await?))
}

/// `?after=N&limit=M`.
pub(super) async fn log(call: &Call<'_>, task: &str) -> Answered {
    let (after, limit) = (call.number("after")?.unwrap_or(0), call.count("limit")?);
    Ok(ok(&call.broker.tree_log(&call.caller, task, after, limit).await?))
}
