//! Where agents push to.

use bytes::Bytes;
use http::{Response, StatusCode};
use protocol::A2aError;

use super::operations::Context;
use super::reply::{self, Body};

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
