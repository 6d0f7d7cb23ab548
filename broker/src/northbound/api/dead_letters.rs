//! Receivers of push notifications that were given up.

use serde_json::json;

use super::{Answered, Call, ok};

pub(super) async fn list(call: &Call<'_>) -> Answered {
    Ok(ok(&json!({ "deadLetters": call.broker.dead_letters(&call.caller).await? })))
}

pub(super) async fn retry(call: &Call<'_>, task: &str, config: &str) -> Answered {
    call.broker.retry_dead_letter(&call.caller, task, config).await?;
    Ok(ok(&json!({ "retried": { "task": task, "config": config } })))
}
