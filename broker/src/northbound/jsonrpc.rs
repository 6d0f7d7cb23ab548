//! The JSON-RPC binding's server side (spec §9): decode, check, ask the service, encode.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use protocol::binding::jsonrpc::{self, Rejected, Request, RequestId};
use protocol::{A2aError, ErrorKind, Operation, read_params};
use serde::Serialize;

use super::reply::{self, Body};
use super::server::Server;
use super::sse;
use crate::service::{Caller, Target};

/// Serves one call. Errors go out with HTTP 200, except a missing or bad credential.
pub(super) async fn serve(
    server: &Server,
    target: Target,
    headers: &HeaderMap,
    query: &str,
    body: Result<Bytes, A2aError>,
) -> Response<Body> {
    let request = match read(headers, body) {
        Ok(request) => request,
        Err(Rejected { id, error }) => return refuse(&id, &error),
    };
    let id = request.id.clone();
    match call(server, target, headers, query, request).await {
        Ok(response) => response,
        Err(error) => refuse(&id, &error),
    }
}

fn read(headers: &HeaderMap, body: Result<Bytes, A2aError>) -> Result<Request, Rejected> {
    let nobody = |error| Rejected { id: RequestId::null(), error };
    check_media_type(headers).map_err(nobody)?;
    jsonrpc::read_request(&body.map_err(nobody)?)
}

/// JSON in either name; a request without a body's type is taken for JSON.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<(), A2aError> {
    let given = reply::header(headers, CONTENT_TYPE.as_str()).unwrap_or("application/json");
    let media_type = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if matches!(media_type.as_str(), "application/json" | "application/a2a+json") {
        return Ok(());
    }
    let message = format!(
        "content type {media_type:?} is not supported; send application/json or application/a2a+json"
    );
    Err(A2aError::new(ErrorKind::ContentTypeNotSupported, message))
}

fn refuse(id: &RequestId, error: &A2aError) -> Response<Body> {
    let status =
        if error.kind == ErrorKind::Unauthenticated { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let body = reply::whole(jsonrpc::write_error(id, error));
    let mut response = reply::answer(status, "application/json", body);
    reply::add_challenge(&mut response, error);
    response
}

async fn call(
    server: &Server,
    target: Target,
    headers: &HeaderMap,
    query: &str,
    request: Request,
) -> Result<Response<Body>, A2aError> {
    server.check_version(headers, query)?;
    let caller = server.broker.authenticate(reply::credential(headers).as_ref()).await?;
    let call = Call { server, caller, target, id: request.id };
    let params = request.params.as_deref();
    match request.operation {
        Operation::SendMessage => {
            let request: protocol::SendMessageRequest = read_params(params)?;
            let target = call.target(request.tenant.as_deref())?;
            call.answer(&server.broker.send(&call.caller, &target, request).await?)
        }
        Operation::SendStreamingMessage => {
            let request: protocol::SendMessageRequest = read_params(params)?;
            let target = call.target(request.tenant.as_deref())?;
            let events = server.broker.send_streaming(&call.caller, &target, request).await?;
            Ok(sse::serve(events, Some(call.id), server.shutdown()))
        }
        Operation::GetTask => {
            let request: protocol::GetTaskRequest = read_params(params)?;
            let target = call.target(request.tenant.as_deref())?;
            call.answer(&server.broker.get_task(&call.caller, &target, request).await?)
        }
        Operation::ListTasks => {
            let request: protocol::ListTasksRequest = read_params(params)?;
            let target = call.target(request.tenant.as_deref())?;
            call.answer(&server.broker.list_tasks(&call.caller, &target, request).await?)
        }
        Operation::CancelTask => {
            let request: protocol::CancelTaskRequest = read_params(params)?;
            let target = call.target(request.tenant.as_deref())?;
            call.answer(&server.broker.cancel_task(&call.caller, &target, request).await?)
        }
        Operation::SubscribeToTask => {
            let request: protocol::SubscribeToTaskRequest = read_params(params)?;
            let target = call.target(request.tenant.as_deref())?;
            let after = server.last_event_id(headers)?;
            let events = server.broker.subscribe(&call.caller, &target, request, after).await?;
            Ok(sse::serve(events, Some(call.id), server.shutdown()))
        }
        unsupported => Err(super::http_json::not_offered(unsupported)),
    }
}

/// A call that has been authenticated.
struct Call<'s> {
    server: &'s Server,
    caller: Caller,
    target: Target,
    id: RequestId,
}

impl Call<'_> {
    fn target(&self, tenant: Option<&str>) -> Result<Target, A2aError> {
        self.server.target(&self.target, tenant)
    }

    fn answer(&self, result: &impl Serialize) -> Result<Response<Body>, A2aError> {
        let body = jsonrpc::write_result(&self.id, result)
            .map_err(|error| A2aError::new(ErrorKind::Internal, error.to_string()))?;
        Ok(reply::answer(StatusCode::OK, "application/json", reply::whole(body)))
    }
}
