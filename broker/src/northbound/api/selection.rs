//! Choosing delegates, without beginning anything.

use http::Response;
use serde::Deserialize;
use serde_json::json;

use super::{Answered, Call, ok};
use crate::northbound::reply::Body;
use crate::service::AdviceWanted;

/// What is to be done.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// In words.
    text: String,
}

pub(super) async fn select(call: &Call<'_>) -> Answered {
    let Request { text } = call.read()?;
    Ok(ok(&call.broker.select(&call.caller, text).await?))
}

pub(super) async fn advise(call: &Call<'_>) -> Answered {
    let wanted: AdviceWanted = call.read()?;
    Ok(ok(&call.broker.advise(&call.caller, wanted).await?))
}

pub(super) fn lint(call: &Call<'_>) -> Response<Body> {
    ok(&json!({ "findings": call.broker.lint_cards(&call.caller) }))
}
