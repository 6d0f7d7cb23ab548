//! What has to do with push notifications beside the operations: where agents push to, and the operators' view of
//! receivers that were given up.

use bytes::Bytes;
use http::{Response, StatusCode};
use protocol::A2aError;
use serde_json::json;

use super::operations::Context;
use super::reply::{self, Body, method_not_allowed};
use super::route::Route;
use crate::service::Credential;

const JSON: &str = "application/json";

/// Takes what an agent pushes. The address is the credential.
pub(super) async fn receive(
    context: &Context,
    token: &str,
    method: &str,
    body: Result<Bytes, A2aError>,
) -> Response<Body> {
    let result = match (method, body) {
        ("POST", Ok(body)) => context.broker.pushed(token, &body).await,
        ("POST", Err(problem)) => Err(problem),
        // Another method tells nothing about the address.
        _ => return reply::not_found(),
    };
    match result {
        Ok(()) => reply::answer(StatusCode::NO_CONTENT, JSON, reply::whole("")),
        Err(error) if error.kind == protocol::ErrorKind::MethodNotFound => reply::not_found(),
        Err(error) => reply::error(&error),
    }
}

/// Serves one call of the operator API.
pub(super) async fn serve(
    context: &Context,
    route: Route,
    method: &str,
    credential: Option<&Credential>,
) -> Response<Body> {
    call(context, route, method, credential).await.unwrap_or_else(|error| reply::error(&error))
}

async fn call(
    context: &Context,
    route: Route,
    method: &str,
    credential: Option<&Credential>,
) -> Result<Response<Body>, A2aError> {
    let broker = &context.broker;
    let caller = broker.authenticate(credential).await?;
    match (method, route) {
        ("GET", Route::DeadLetters) => {
            let letters = broker.dead_letters(&caller).await?;
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "deadLetters": letters })))
        }
        ("POST", Route::RetryDeadLetter(task, config)) => {
            broker.retry_dead_letter(&caller, &task, &config).await?;
            Ok(reply::json(StatusCode::OK, JSON, &json!({ "retried": { "task": task, "config": config } })))
        }
        (_, Route::DeadLetters) => Ok(method_not_allowed("GET")),
        _ => Ok(method_not_allowed("POST")),
    }
}
