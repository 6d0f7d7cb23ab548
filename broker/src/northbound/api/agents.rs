//! The registry.

use protocol::A2aError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Call;
use super::exchange::{Created, Json, NoContent};
use crate::service::{AgentView, MAX_PROBE_CHARS, NewAgent, Probed};

/// The registered agents.
#[derive(Serialize, JsonSchema)]
pub(super) struct Agents {
    /// By name.
    agents: Vec<AgentView>,
}

/// What may be said of a card that is accepted.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Acceptance {
    /// SHA-256 of the card that was looked at, in hex; any other is not accepted.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    card: Option<String>,
}

/// What may be said of a probe.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Probe {
    /// What to say instead of the configured message.
    #[schemars(length(min = 1, max = MAX_PROBE_CHARS))]
    message: Option<String>,
}

pub(super) fn list(call: &Call<'_>) -> Agents {
    Agents { agents: call.broker.list_agents(&call.caller) }
}

pub(super) async fn register(call: &Call<'_>, new: NewAgent) -> Result<Created<AgentView>, A2aError> {
    call.broker.register_agent(&call.caller, new).await.map(Created)
}

pub(super) fn show(call: &Call<'_>, name: &str) -> Result<Json<AgentView>, A2aError> {
    call.broker.show_agent(&call.caller, name).map(Json)
}

pub(super) async fn remove(call: &Call<'_>, name: &str) -> Result<NoContent, A2aError> {
    call.broker.remove_agent(&call.caller, name).await.map(|()| NoContent)
}

pub(super) async fn accept_card(
    call: &Call<'_>,
    name: &str,
    accepted: Acceptance,
) -> Result<Json<AgentView>, A2aError> {
    call.broker.accept_card(&call.caller, name, accepted.card.as_deref()).await.map(Json)
}

pub(super) async fn probe(call: &Call<'_>, name: &str, probe: Probe) -> Result<Json<Probed>, A2aError> {
    call.broker.probe_agent(&call.caller, name, probe.message.as_deref()).await.map(Json)
}
