//! Reading requests: bounded in size, time and depth, each and all together, and of a type that can be read.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use protocol::{A2aError, ErrorKind, check_nesting, read_params};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::memory::{Memory, NoMemory};
use super::{overload, reply};

/// What a request takes besides its body while that arrives, bytes: its head, and what serves it.
pub const REQUEST_BYTES: usize = 8 * 1024;

/// Bytes of a body that is too large which are read and thrown away before it is refused.
const DISCARD_BYTES: usize = 16 * 1024 * 1024;

/// Bounds on one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Its size, bytes.
    pub(super) size: usize,
    /// To its end.
    pub(super) time: Duration,
}

/// Reads a whole body. It is counted among what is on its way until the last of its bytes is let go of.
pub(super) async fn read(body: Incoming, bounds: Bounds, memory: &Arc<Memory>) -> Result<Bytes, A2aError> {
    tokio::time::timeout(bounds.time, collect(body, bounds.size, memory))
        .await
        .map_err(|_| too_late(bounds))?
}

/// Reads a body of a request that is refused on for a while, keeping nothing: its caller, still writing, would not see
/// the answer.
pub(super) async fn discard(mut body: Incoming, time: Duration) {
    let discard = async {
        let mut size = 0_usize;
        while size <= DISCARD_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            size = size.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    // Whoever takes longer may miss it.
    let _ = tokio::time::timeout(time, discard).await;
}

async fn collect(mut body: Incoming, limit: usize, memory: &Arc<Memory>) -> Result<Bytes, A2aError> {
    let arriving = memory.hold(BytesMut::new(), REQUEST_BYTES).map_err(overload::no_memory);
    let mut size = 0_usize;
    let refused = match arriving {
        Err(full) => full,
        Ok(arriving) => loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                // A body that has stopped arriving is not read on: it made way for being slow.
                () = arriving.gone() => return Err(overload::no_memory(NoMemory)),
            };
            let Some(frame) = frame else {
                return arriving.keep(BytesMut::freeze).map_err(overload::no_memory);
            };
            let data = data_of(frame)?;
            size = size.saturating_add(data.len());
            if size > limit {
                break too_large(limit);
            }
            let grown = arriving.grow(data.len());
            if let Err(full) = grown.and_then(|()| arriving.with(|whole| whole.extend_from_slice(&data))) {
                break overload::no_memory(full);
            }
        },
    };
    // Read on for a while, keeping nothing: a caller still writing would not see the answer.
    while size <= limit.saturating_add(DISCARD_BYTES)
        && let Some(frame) = body.frame().await
    {
        size = size.saturating_add(data_of(frame)?.len());
    }
    Err(refused)
}

/// The data of a frame; trailers have none.
fn data_of(frame: Result<Frame<Bytes>, hyper::Error>) -> Result<Bytes, A2aError> {
    let frame = frame.map_err(|_| A2aError::new(ErrorKind::ParseError, "the request body broke off"))?;
    Ok(frame.into_data().unwrap_or_default())
}

fn too_late(bounds: Bounds) -> A2aError {
    let message = format!("the request body did not arrive within {} s", bounds.time.as_secs());
    A2aError::new(ErrorKind::RequestTimeout, message)
}

fn too_large(limit: usize) -> A2aError {
    let message = format!("the request body exceeds {limit} bytes (server.body_limit)");
    A2aError::new(ErrorKind::PayloadTooLarge, message)
}

/// JSON under either name; a request that does not name its type is taken for JSON.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<(), A2aError> {
    let given = reply::header(headers, CONTENT_TYPE).unwrap_or("application/json");
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
    // A list could be read as the members of a type in their order, which nobody promises to keep.
    if !raw.get().starts_with('{') {
        return Err(A2aError::new(ErrorKind::InvalidRequest, "expected a JSON object as the body"));
    }
    read_params(Some(raw))
}
