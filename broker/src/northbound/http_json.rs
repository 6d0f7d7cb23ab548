//! The HTTP+JSON binding's server side (spec §11): decode, check, ask the service, encode.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use protocol::binding::http_json::{MEDIA_TYPE, Matched, Unmatched, match_path, query_pairs};
use protocol::binding::jsonrpc::check_nesting;
use protocol::{A2aError, ErrorKind, Operation, VERSION_HEADER, read_pairs, read_params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::reply::{self, Body};
use super::server::Server;
use super::{jsonrpc, sse};
use crate::service::Target;

/// One call, as it came.
pub(super) struct Incoming<'r> {
    pub(super) method: &'r str,
    pub(super) path: &'r str,
    pub(super) query: &'r str,
    pub(super) headers: &'r HeaderMap,
    pub(super) body: Result<Bytes, A2aError>,
}

/// Serves one call.
pub(super) async fn serve(server: &Server, target: Target, incoming: Incoming<'_>) -> Response<Body> {
    match match_path(incoming.method, incoming.path) {
        Ok(matched) => {
            call(server, target, incoming, matched).await.unwrap_or_else(|error| reply::error(&error))
        }
        Err(Unmatched::NotFound) => not_found(),
        Err(Unmatched::MethodNotAllowed { allow }) => method_not_allowed(allow),
    }
}

/// There is nothing at a path.
pub(super) fn not_found() -> Response<Body> {
    reply::error(&A2aError::new(ErrorKind::MethodNotFound, "there is nothing at this path"))
}

/// There is, for another method.
pub(super) fn method_not_allowed(allow: &'static str) -> Response<Body> {
    let error = A2aError::new(ErrorKind::MethodNotAllowed, format!("this path answers {allow} only"));
    let mut response = reply::error(&error);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Operations this version does not offer, on any binding.
pub(super) fn not_offered(operation: Operation) -> A2aError {
    if operation == Operation::GetExtendedAgentCard {
        return A2aError::new(ErrorKind::UnsupportedOperation, "there is no extended agent card here");
    }
    let message = "push notifications are not supported by this version; poll or subscribe";
    A2aError::new(ErrorKind::PushNotificationNotSupported, message)
}

async fn call(
    server: &Server,
    target: Target,
    incoming: Incoming<'_>,
    matched: Matched,
) -> Result<Response<Body>, A2aError> {
    let broker = &server.broker;
    server.check_version(incoming.headers, incoming.query)?;
    let caller = broker.authenticate(reply::credential(incoming.headers).as_ref()).await?;
    let id = matched.task_id.clone();
    match matched.operation {
        Operation::SendMessage | Operation::SendStreamingMessage => {
            jsonrpc::check_media_type(incoming.headers)?;
            let request: protocol::SendMessageRequest = from_body(&incoming.body?)?;
            let target = server.target(&target, request.tenant.as_deref())?;
            if matched.operation == Operation::SendMessage {
                return Ok(answer(&broker.send(&caller, &target, request).await?));
            }
            let events = broker.send_streaming(&caller, &target, request).await?;
            Ok(sse::serve(events, None, server.shutdown()))
        }
        Operation::GetTask => {
            let request: protocol::GetTaskRequest = from_query(incoming.query, id)?;
            let target = server.target(&target, request.tenant.as_deref())?;
            Ok(answer(&broker.get_task(&caller, &target, request).await?))
        }
        Operation::ListTasks => {
            let request: protocol::ListTasksRequest = from_query(incoming.query, None)?;
            let target = server.target(&target, request.tenant.as_deref())?;
            Ok(answer(&broker.list_tasks(&caller, &target, request).await?))
        }
        Operation::CancelTask => {
            // The id in the path decides; a body may be absent.
            let request: protocol::CancelTaskRequest = from_query(incoming.query, id)?;
            let target = server.target(&target, request.tenant.as_deref())?;
            Ok(answer(&broker.cancel_task(&caller, &target, request).await?))
        }
        Operation::SubscribeToTask => {
            let request: protocol::SubscribeToTaskRequest = from_query(incoming.query, id)?;
            let target = server.target(&target, request.tenant.as_deref())?;
            let after = server.last_event_id(incoming.headers)?;
            let events = broker.subscribe(&caller, &target, request, after).await?;
            Ok(sse::serve(events, None, server.shutdown()))
        }
        unsupported => Err(not_offered(unsupported)),
    }
}

fn answer(result: &impl Serialize) -> Response<Body> {
    reply::json(StatusCode::OK, MEDIA_TYPE, result)
}

pub(super) fn from_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, A2aError> {
    let broken = |problem: String| A2aError::new(ErrorKind::ParseError, problem);
    check_nesting(body).map_err(broken)?;
    let raw: &RawValue = serde_json::from_slice(body)
        .map_err(|error| A2aError::new(ErrorKind::ParseError, format!("Invalid JSON payload: {error}")))?;
    read_params(Some(raw))
}

fn from_query<T: DeserializeOwned>(query: &str, id: Option<String>) -> Result<T, A2aError> {
    let pairs =
        query_pairs(query).filter(|(name, _)| !name.eq_ignore_ascii_case(VERSION_HEADER) && name != "id");
    read_pairs(pairs.chain(id.map(|id| (Cow::Borrowed("id"), Cow::Owned(id)))))
}
