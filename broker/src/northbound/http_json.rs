//! The HTTP+JSON binding's server side (spec §11): where parameters come from, how answers travel.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use protocol::binding::http_json::{MEDIA_TYPE, Matched, Unmatched, match_path, query_pairs};
use protocol::v03::{Dialect, path_in_v1};
use protocol::{A2aError, ErrorKind, Fields, Operation, VERSION_HEADER, Version, read_pairs, read_params};
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;

use super::operations::{Answer, Call, Context, Head, Parameters};
use super::reply::{self, Body};
use super::{body, sse, v03};
use crate::service::Target;

/// One call, as it came.
pub(super) struct Incoming<'r> {
    pub(super) method: &'r str,
    pub(super) path: &'r str,
    pub(super) head: Head<'r>,
    pub(super) body: Result<Bytes, A2aError>,
}

/// Serves one call.
pub(super) async fn serve(context: &Context, addressed: Target, incoming: Incoming<'_>) -> Response<Body> {
    let (path, version) = match path_in_v1(incoming.path) {
        Some(path) => (path, Version::V03),
        None => (incoming.path, Version::V1),
    };
    let Matched { operation, task_id, config_id } = match match_path(incoming.method, path) {
        Ok(matched) => matched,
        Err(unmatched) => return refuse(version, unmatched),
    };
    let Incoming { head, body, .. } = incoming;
    let parameters = match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => Source::Body(head.headers, body, None),
        Operation::CreateTaskPushNotificationConfig => {
            Source::Body(head.headers, body, task_id.map(|id| ("taskId", id)))
        }
        Operation::GetTaskPushNotificationConfig
        | Operation::ListTaskPushNotificationConfigs
        | Operation::DeleteTaskPushNotificationConfig => {
            Source::Query(head.query, vec![("taskId", task_id), ("id", config_id)])
        }
        // A body may be absent; one that is there is read.
        Operation::CancelTask if version == Version::V1 && !matches!(&body, Ok(body) if body.is_empty()) => {
            Source::Body(head.headers, body, task_id.map(|id| ("id", id)))
        }
        _ => Source::Query(head.query, vec![("id", task_id)]),
    };
    let call = Call { operation, version, addressed, head };
    let (answered, media_type) = match version {
        Version::V1 => (context.perform(&call, parameters).await, MEDIA_TYPE),
        Version::V03 => (v03::perform(context, &call, parameters, Dialect::HttpJson).await, v03::MEDIA_TYPE),
    };
    match answered {
        Ok(Answer::Json(json)) => {
            let mut response = reply::answer(StatusCode::OK, media_type, reply::whole(json));
            if operation == Operation::GetExtendedAgentCard {
                reply::keep_private(&mut response);
            }
            response
        }
        Ok(Answer::Stream(events)) => sse::serve(events, None, context),
        Err(error) if version == Version::V03 => v03::error(&error),
        Err(error) => reply::error(&error),
    }
}

/// Says that a path is no operation, in the words of the version the path is of.
fn refuse(version: Version, unmatched: Unmatched) -> Response<Body> {
    match (version, unmatched) {
        (Version::V1, Unmatched::NotFound) => reply::not_found(),
        (Version::V1, Unmatched::MethodNotAllowed { allow }) => reply::method_not_allowed(allow),
        (Version::V03, Unmatched::NotFound) => {
            v03::error(&A2aError::new(ErrorKind::MethodNotFound, "there is nothing at this path"))
        }
        (Version::V03, Unmatched::MethodNotAllowed { allow }) => {
            let message = format!("this path answers {allow} only");
            let mut response = v03::error(&A2aError::new(ErrorKind::MethodNotAllowed, message));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            response
        }
    }
}

/// Where an operation's parameters are (spec §11.5).
enum Source<'r> {
    /// In the body, but for the task, which the path names.
    Body(&'r HeaderMap, Result<Bytes, A2aError>, Option<(&'static str, String)>),
    /// In the query, and these in the path.
    Query(&'r str, Vec<(&'static str, Option<String>)>),
}

impl Parameters for Source<'_> {
    fn read<T: DeserializeOwned>(self) -> Result<T, A2aError> {
        match self {
            Source::Body(headers, body, in_path) => {
                body::check_media_type(headers)?;
                let body = body?;
                let Some((name, task)) = in_path else { return body::read_json(&body) };
                let mut members: Fields = body::read_json(&body)?;
                let whole = members.set(name, &task).and_then(|()| to_raw_value(&members));
                read_params(whole.ok().as_deref())
            }
            Source::Query(query, path) => {
                let in_path = |name: &str| path.iter().any(|(known, _)| *known == name);
                let is_own = |name: &str| name.eq_ignore_ascii_case(VERSION_HEADER) || in_path(name);
                let pairs = query_pairs(query).filter(|(name, _)| !is_own(name));
                let path = path.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
                let path = path.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)));
                read_pairs(pairs.chain(path))
            }
        }
    }
}
