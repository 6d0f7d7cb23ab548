//! Answers: bodies, errors in the shape of HTTP+JSON, challenges.

use bytes::Bytes;
use futures_util::stream::Stream;
use http::header::{ALLOW, AsHeaderName, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use protocol::binding::http_json::MEDIA_TYPE;
use protocol::{A2aError, ErrorDetail, ErrorKind};
use serde::Serialize;

pub(super) use super::outgoing::{Body, CutShort};
use crate::service::CREDENTIAL_INVALID;

/// How callers are asked to authenticate.
const CHALLENGES: [&str; 2] =
    ["Bearer realm=\"bailiwick\"", "DPoP realm=\"bailiwick\", algs=\"EdDSA ES256\""];

/// A whole body.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Body::whole(bytes.into(), None)
}

/// A body that arrives in pieces, each taken only when the reader is ready for it.
pub(super) fn streamed(pieces: impl Stream<Item = Result<Bytes, CutShort>> + Send + 'static) -> Body {
    use futures_util::StreamExt;
    Body::streamed(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync())
}

/// An answer with a body of some type.
pub(super) fn answer(status: StatusCode, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Keeps an answer that is for this caller alone out of caches.
pub(super) fn keep_private(response: &mut Response<Body>) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
}

/// A JSON document.
pub(super) fn json(
    status: StatusCode,
    media_type: &'static str,
    document: &impl Serialize,
) -> Response<Body> {
    match serde_json::to_vec(document) {
        Ok(bytes) => answer(status, media_type, whole(bytes)),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, media_type, whole("{}")),
    }
}

/// An error in the shape of HTTP+JSON (spec §11.6).
pub(super) fn error(error: &A2aError) -> Response<Body> {
    let status = StatusCode::from_u16(error.kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, MEDIA_TYPE, &error.to_http());
    add_challenge(&mut response, error);
    response
}

/// There is nothing at a path.
pub(super) fn not_found() -> Response<Body> {
    error(&A2aError::new(ErrorKind::MethodNotFound, "there is nothing at this path"))
}

/// There is, for another method.
pub(super) fn method_not_allowed(allow: &str) -> Response<Body> {
    let message = format!("this path answers {allow} only");
    let mut response = error(&A2aError::new(ErrorKind::MethodNotAllowed, message));
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// Says how to authenticate, and when to try again, where the error calls for it.
pub(super) fn add_challenge(response: &mut Response<Body>, error: &A2aError) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if error.kind == ErrorKind::Unauthenticated {
        let is_invalid = |detail: &ErrorDetail| matches!(detail, ErrorDetail::ErrorInfo { reason, .. } if reason == CREDENTIAL_INVALID);
        let invalid = error.details.iter().any(is_invalid);
        challenge(headers, invalid.then_some(error.message.as_str()));
    }
    let retry = error.details.iter().find_map(|detail| match detail {
        ErrorDetail::RetryInfo { seconds } => Some(*seconds),
        _ => None,
    });
    if let Some(seconds) = retry {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// The ways to authenticate (RFC 6750 §3, RFC 9449 §7.1); where a credential was presented, also what is wrong with it.
pub(super) fn challenge(headers: &mut HeaderMap, problem: Option<&str>) {
    // Quotes, backslashes and what is not ASCII cannot stand in a description.
    let legal = |c: char| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '\'' };
    let error = problem.map_or_else(String::new, |problem| {
        let description: String = problem.chars().map(legal).collect();
        format!(", error=\"invalid_token\", error_description=\"{description}\"")
    });
    for scheme in CHALLENGES {
        if let Ok(value) = HeaderValue::from_str(&format!("{scheme}{error}")) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
}

/// A header's text.
pub(super) fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A query parameter, decoded.
pub(super) fn query_parameter(query: &str, name: &str) -> Option<String> {
    protocol::binding::http_json::query_pairs(query)
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}
