//! The broker itself: how it does, and how it is configured.

use protocol::A2aError;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Call;
use super::exchange::Json;
use crate::northbound::operations::Serving;
use crate::service::Condition;

/// How the broker does.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BrokerHealth")]
pub(super) struct Health {
    #[serde(flatten)]
    condition: Condition,
    /// Whom it serves.
    server: Serving,
}

/// The configuration in effect, section by section as `broker/config.default.toml` documents it.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Configuration(serde_json::Map<String, Value>);

pub(super) async fn health(call: &Call<'_>) -> Result<Json<Health>, A2aError> {
    let condition = call.broker.condition(&call.caller).await?;
    Ok(Json(Health { condition, server: call.context.serving() }))
}

pub(super) fn configuration(call: &Call<'_>) -> Result<Json<Configuration>, A2aError> {
    call.broker.require_operator(&call.caller, "see the configuration")?;
    Ok(Json(Configuration(call.context.configuration())))
}
