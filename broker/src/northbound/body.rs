//! Reading requests: bounded in size, time and depth, and of a type that can be read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::{A2aError, ErrorKind, check_nesting, read_params};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::reply;

/// Bytes of a body that is too large which are read and thrown away before it is refused.
const DISCARD_BYTES: usize = 16 * 1024 * 1024;

/// Reads a whole body of at most `limit` bytes within `patience`.
pub(super) async fn read(body: Incoming, limit: usize, patience: Duration) -> Result<Bytes, A2aError> {
    let too_late = |_| {
        let message = format!("the request body did not arrive within {} s", patience.as_secs());
        A2aError::new(ErrorKind::RequestTimeout, message)
    };
    tokio::time::timeout(patience, collect(body, limit)).await.map_err(too_late)?
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, A2aError> {
    let mut whole = BytesMut::new();
    let mut size = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| A2aError::new(ErrorKind::ParseError, "the request body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size <= limit {
            whole.extend_from_slice(&data);
        } else {
            // Read on for a while, keeping nothing: a caller still writing would not see the answer.
            whole.clear();
            if size > limit.saturating_add(DISCARD_BYTES) {
                break;
            }
        }
    }
    if size > limit {
        let message = format!("the request body exceeds {limit} bytes (server.body_limit)");
        return Err(A2aError::new(ErrorKind::PayloadTooLarge, message));
    }
    Ok(whole.freeze())
}

/// JSON under either name; a request that does not name its type is taken for JSON.
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

/// Reads a body that is one JSON object.
pub(super) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, A2aError> {
    let broken = |problem: String| A2aError::new(ErrorKind::ParseError, problem);
    check_nesting(body).map_err(broken)?;
    let raw: &RawValue =
        serde_json::from_slice(body).map_err(|error| broken(format!("Invalid JSON payload: {error}")))?;
    read_params(Some(raw))
}
