//! What was refused: `?task=ID&before=N`.

use super::{Answered, Call, ok};

pub(super) async fn list(call: &Call<'_>) -> Answered {
    let (task, before) = (call.text("task"), call.number("before")?);
    Ok(ok(&call.broker.refusals(&call.caller, task.as_deref(), before).await?))
}
