//! Answers: bodies, errors in the shape of HTTP+JSON, credentials in requests.

use bytes::Bytes;
use futures_util::stream::Stream;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use protocol::binding::http_json::MEDIA_TYPE;
use protocol::{A2aError, ErrorDetail, ErrorKind};
use serde::Serialize;
use std::convert::Infallible;

use crate::service::Credential;

/// A body: whole, or a stream.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Where an API key may stand instead of `Authorization`.
const API_KEY_HEADER: &str = "x-api-key";

/// A whole body.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that arrives in pieces, each taken only when the reader is ready for it.
pub(super) fn streamed(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    use futures_util::StreamExt;
    StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync()
}

/// An answer with a body of some type.
pub(super) fn answer(status: StatusCode, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
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
pub(super) fn method_not_allowed(allow: &'static str) -> Response<Body> {
    let message = format!("this path answers {allow} only");
    let mut response = error(&A2aError::new(ErrorKind::MethodNotAllowed, message));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Says how to authenticate, and when to try again, where the error calls for it.
pub(super) fn add_challenge(response: &mut Response<Body>, error: &A2aError) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if error.kind == ErrorKind::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"bailiwick\""));
    }
    let retry = error.details.iter().find_map(|detail| match detail {
        ErrorDetail::RetryInfo { seconds } => Some(*seconds),
        _ => None,
    });
    if let Some(seconds) = retry {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// What the request presents as proof of identity. A header that cannot be read is a bad credential, not none.
pub(super) fn credential(headers: &HeaderMap) -> Option<Credential> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        let token = if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" };
        return Some(Credential(token.to_owned()));
    }
    headers.get(API_KEY_HEADER).map(|value| Credential(value.to_str().unwrap_or_default().to_owned()))
}

/// A header's text.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A query parameter, decoded.
pub(super) fn query_parameter(query: &str, name: &str) -> Option<String> {
    protocol::binding::http_json::query_pairs(query)
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}
