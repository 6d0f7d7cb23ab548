//! Lists of trees, and a tree's journal in words.

use protocol::{A2aError, TaskState};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::Call;
use super::exchange::Json;
use crate::service::{LogPage, OPEN_TREES, TreesPage, TreesWanted};

/// Which trees to list.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Wanted {
    /// Those whose root is in this state, or `open`: in any that is not over.
    #[serde(default)]
    #[schemars(schema_with = "states")]
    state: Option<String>,
    /// Those whose root is with this agent.
    agent: Option<String>,
    /// Those that began before this one: `next` of the page before.
    #[schemars(extend("format" = "uuid"))]
    before: Option<String>,
    /// At most so many, 50 if nothing is said; more than 100 are not shown.
    limit: Option<usize>,
}

/// Which lines of a journal to show.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LogWanted {
    /// Those after record number so many.
    after: Option<u64>,
    /// At most so many, 200 if nothing is said; more than 1,000 are not shown.
    limit: Option<usize>,
}

pub(super) async fn list(call: &Call<'_>, wanted: Wanted) -> Result<Json<TreesPage>, A2aError> {
    let Wanted { state, agent, before, limit } = wanted;
    call.broker.list_trees(&call.caller, TreesWanted { state, agent, before, limit }).await.map(Json)
}

pub(super) async fn log(call: &Call<'_>, task: &str, wanted: LogWanted) -> Result<Json<LogPage>, A2aError> {
    call.broker.tree_log(&call.caller, task, wanted.after.unwrap_or(0), wanted.limit).await.map(Json)
}

fn states(_: &mut SchemaGenerator) -> Schema {
    let names = TaskState::ALL.iter().map(|state| state.as_str());
    let names: Vec<&str> = std::iter::once(OPEN_TREES).chain(names).collect();
    json_schema!({ "type": "string", "enum": names })
}
