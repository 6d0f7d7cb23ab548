//! Reading requests, bounded in size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::{A2aError, ErrorKind};

/// Reads a whole body of at most `limit` bytes within `patience`.
pub(super) async fn read(body: Incoming, limit: usize, patience: Duration) -> Result<Bytes, A2aError> {
    let too_late = |_| {
        let message = format!("the request body did not arrive within {} s", patience.as_secs());
        A2aError::new(ErrorKind::RequestTimeout, message)
    };
    tokio::time::timeout(patience, collect(body, limit)).await.map_err(too_late)?
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, A2aError> {
    use hyper::body::Body;
    let too_large = || {
        A2aError::new(
            ErrorKind::PayloadTooLarge,
            format!("the request body exceeds {limit} bytes (server.body_limit)"),
        )
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| A2aError::new(ErrorKind::ParseError, "the request body broke off"))?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}
