//! The HTTP+JSON binding's server side (spec §11): where parameters come from, how answers travel.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use protocol::binding::http_json::{MEDIA_TYPE, Matched, Unmatched, match_path, query_pairs};
use protocol::v03::{Dialect, path_in_v1};
use protocol::{A2aError, ErrorKind, Operation, VERSION_HEADER, Version, read_pairs};
use serde::de::DeserializeOwned;

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
    let Matched { operation, task_id } = match match_path(incoming.method, path) {
        Ok(matched) => matched,
        Err(unmatched) => return refuse(version, unmatched),
    };
    let Incoming { head, body, .. } = incoming;
    let parameters = match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => Source::Body(head.headers, body),
        // The id in the path decides; a body may be absent.
        _ => Source::Query(head.query, task_id),
    };
    let call = Call { operation, addressed, head };
    let (answered, media_type) = match version {
        Version::V1 => (context.perform(&call, &parameters).await, MEDIA_TYPE),
        Version::V03 => (v03::perform(context, &call, &parameters, Dialect::HttpJson).await, v03::MEDIA_TYPE),
    };
    match answered {
        Ok(Answer::Json(json)) => reply::answer(StatusCode::OK, media_type, reply::whole(json)),
        Ok(Answer::Stream(events)) => sse::serve(events, None, context.shutdown()),
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
    Body(&'r HeaderMap, Result<Bytes, A2aError>),
    Query(&'r str, Option<String>),
}

impl Parameters for Source<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, A2aError> {
        match self {
            Source::Body(headers, body) => {
                body::check_media_type(headers)?;
                body::read_json(body.as_ref().map_err(Clone::clone)?)
            }
            Source::Query(query, id) => {
                let is_own = |name: &str| name.eq_ignore_ascii_case(VERSION_HEADER) || name == "id";
                let pairs = query_pairs(query).filter(|(name, _)| !is_own(name));
                let id = id.as_deref().map(|id| (Cow::Borrowed("id"), Cow::Borrowed(id)));
                read_pairs(pairs.chain(id))
            }
        }
    }
}
