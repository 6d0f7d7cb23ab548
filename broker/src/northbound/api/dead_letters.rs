//! Receivers of push notifications that were given up.

use protocol::A2aError;
use schemars::JsonSchema;
use serde::Serialize;

use super::Call;
use super::exchange::Json;
use crate::service::DeadLetter;

/// Receivers that were given up.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetters {
    /// In the order of their tasks.
    dead_letters: Vec<DeadLetter>,
}

/// What is tried again.
#[derive(Serialize, JsonSchema)]
pub(super) struct Retried {
    /// The receiver.
    retried: Receiver,
}

/// A receiver.
#[derive(Serialize, JsonSchema)]
struct Receiver {
    /// The task whose events it gets.
    task: String,
    /// The id of the configuration.
    config: String,
}

pub(super) async fn list(call: &Call<'_>) -> Result<Json<DeadLetters>, A2aError> {
    Ok(Json(DeadLetters { dead_letters: call.broker.dead_letters(&call.caller).await? }))
}

pub(super) async fn retry(call: &Call<'_>, task: &str, config: &str) -> Result<Json<Retried>, A2aError> {
    call.broker.retry_dead_letter(&call.caller, task, config).await?;
    Ok(Json(Retried { retried: Receiver { task: task.to_owned(), config: config.to_owned() } }))
}
