//! The operator API under `/api/v1`: the registry and the tree, for the CLI and for scripts.

use bytes::Bytes;
use http::{Response, StatusCode};
use protocol::A2aError;
use serde_json::json;

use super::body;
use super::operations::Context;
use super::reply::{self, Body, method_not_allowed};
use super::route::Route;
use crate::service::{Credential, NewAgent};

const JSON: &str = "application/json";

/// Serves one call of the operator API.
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
        ("GET", Route::Agents) => {
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "agents": broker.list_agents(&caller) })))
        }
        ("POST", Route::Agents) => {
            let new: NewAgent = body::read_json(&sent?)?;
            Ok(reply::json(StatusCode::CREATED, JSON, &broker.register_agent(&caller, new).await?))
        }
        ("GET", Route::Agent(name)) => {
            Ok(reply::json(StatusCode::OK, JSON, &broker.show_agent(&caller, &name)?))
        }
        ("DELETE", Route::Agent(name)) => {
            broker.remove_agent(&caller, &name).await?;
            Ok(reply::answer(StatusCode::NO_CONTENT, JSON, reply::whole("")))
        }
        ("GET", Route::Tree(id)) => {
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "tasks": broker.tree(&caller, &id).await? })))
        }
        (_, Route::Agents) => Ok(method_not_allowed("GET, POST")),
        (_, Route::Agent(_)) => Ok(method_not_allowed("GET, DELETE")),
        _ => Ok(method_not_allowed("GET")),
    }
}
