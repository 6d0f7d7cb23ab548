//! The operator API for what people decide: approvals, and tasks whose outcome nobody knows.

use broker_core::journal::Resolution;
use bytes::Bytes;
use http::{Response, StatusCode};
use protocol::A2aError;
use serde::Deserialize;
use serde_json::json;

use super::body;
use super::operations::Context;
use super::reply::{self, Body, method_not_allowed};
use super::route::Route;
use crate::service::Credential;

const JSON: &str = "application/json";

/// What is decided about a task whose outcome is unknown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolved {
    /// `ask`, `retry` or `fail`.
    r#as: Resolution,
}

/// Serves one call.
pub(super) async fn serve(
    context: &Context,
    route: Route,
    method: &str,
    credential: Option<&Credential>,
    sent: Result<Bytes, A2aError>,
) -> Response<Body> {
    call(context, route, method, credential, sent).await.unwrap_or_else(|error| reply::error(&error))
}

async fn call(
    context: &Context,
    route: Route,
    method: &str,
    credential: Option<&Credential>,
    sent: Result<Bytes, A2aError>,
) -> Result<Response<Body>, A2aError> {
    let broker = &context.broker;
    let caller = broker.authenticate(credential).await?;
    match (method, route) {
        ("GET", Route::Approvals) => {
            let approvals = broker.approvals(&caller).await?;
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "approvals": approvals })))
        }
        ("POST", Route::Decide(task, approve)) => {
            broker.decide_approval(&caller, &task, approve).await?;
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "task": task, "approved": approve })))
        }
        ("POST", Route::Resolve(task)) => {
            let resolved: Resolved = body::read_json(&sent?)?;
            broker.resolve_task(&caller, &task, resolved.r#as).await?;
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "task": task, "resolved": resolved.r#as })))
        }
        (_, Route::Approvals) => Ok(method_not_allowed("GET")),
        _ => Ok(method_not_allowed("POST")),
    }
}
