//! Choosing delegates, without beginning anything.

pub(super) use broker_selection::disagreement::Advice;
use broker_selection::lint::Finding;
use protocol::A2aError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use super::exchange::Json;
use crate::service::{AdviceWanted, Selected};

/// What is to be done.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SelectionWanted")]
pub(super) struct Asked {
    /// In words.
    text: String,
}

/// What cards lack.
#[derive(Serialize, JsonSchema)]
pub(super) struct Findings {
    /// Agent by agent.
    findings: Vec<Finding>,
}

pub(super) async fn select(call: &Call<'_>, asked: Asked) -> Result<Json<Selected>, A2aError> {
    call.broker.select(&call.caller, asked.text).await.map(Json)
}

pub(super) async fn advise(call: &Call<'_>, wanted: AdviceWanted) -> Result<Json<Advice>, A2aError> {
    call.broker.advise(&call.caller, wanted).await.map(Json)
}

pub(super) fn lint(call: &Call<'_>) -> Findings {
    Findings { findings: call.broker.lint_cards(&call.caller) }
}
