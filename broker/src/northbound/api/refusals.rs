//! What was refused.

use protocol::A2aError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Call;
use super::exchange::Json;
use crate::service::RefusalsPage;

/// Which refusals to show.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Wanted {
    /// Those in the tree of this task.
    #[schemars(extend("format" = "uuid"))]
    task: Option<String>,
    /// Those before this entry of the audit log: `next` of the page before.
    before: Option<u64>,
}

pub(super) async fn list(call: &Call<'_>, wanted: Wanted) -> Result<Json<RefusalsPage>, A2aError> {
    call.broker.refusals(&call.caller, wanted.task.as_deref(), wanted.before).await.map(Json)
}
