//! Event streams towards callers. The head leaves together with the first event.

use std::pin::pin;

use async_stream::stream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use protocol::binding::jsonrpc::{AFTER_RESULT, RequestId, before_result};
use protocol::binding::sse;
use tokio::time::{Instant, sleep};

use super::leaving::{Phase, begun};
use super::operations::Context;
use super::reply::{self, Body, CutShort};
use crate::service::TaskStream;

/// Serves a task's events; with `id`, each wrapped as a JSON-RPC response. Breaks off where what follows cannot be read, so
/// that nobody takes that for the end.
pub(super) fn serve(events: TaskStream, id: Option<RequestId>, context: &Context) -> Response<Body> {
    let mut retry = Some(sse::RETRY);
    let around = id.map(|id| before_result(&id));
    let pieces = events.map(move |event| {
        let event = event.map_err(|_| CutShort)?;
        let mut bytes = match &around {
            Some(before) => sse::write_event(event.id, &[before, &event.json, AFTER_RESULT]),
            None => sse::write_event(event.id, &[&event.json]),
        };
        if let Some(retry) = retry.take() {
            bytes.splice(..0, retry.iter().copied());
        }
        Ok(Bytes::from(bytes))
    });
    paced(pieces, context)
}

/// Serves an event stream's pieces as they come, to the end or the first that cannot be had. After a silence as long as
/// the heartbeat a comment keeps the connection alive. Ends when the broker shuts down, so that the caller can resume once
/// it is back.
pub(super) fn paced(
    pieces: impl Stream<Item = Result<Bytes, CutShort>> + Send + 'static,
    context: &Context,
) -> Response<Body> {
    let (heartbeat, mut phase) = (context.heartbeat, context.phase());
    let body = stream! {
        let mut pieces = pin!(pieces);
        // Both are waited on by every stream and between any two events, so they are not made anew each time.
        let (mut leaving, mut silence) = (pin!(begun(Phase::Draining, &mut phase)), pin!(sleep(heartbeat)));
        loop {
            tokio::select! {
                biased;
                // First: who hears much would not be sent away in time, and what follows is heard on resuming.
                () = &mut leaving => return,
                piece = pieces.next() => match piece {
                    Some(Ok(piece)) => yield Ok(piece),
                    Some(Err(cut)) => {
                        yield Err(cut);
                        return;
                    }
                    None => return,
                },
                () = &mut silence => yield Ok(Bytes::from_static(sse::HEARTBEAT)),
            }
            silence.as_mut().reset(Instant::now() + heartbeat);
        }
    };
    event_stream(reply::streamed(body))
}

const MEDIA_TYPE: &str = "text/event-stream";

/// Whether an answer is an event stream.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    reply::header(headers, CONTENT_TYPE.as_str()).is_some_and(|given| given.starts_with(MEDIA_TYPE))
}

fn event_stream(body: Body) -> Response<Body> {
    let mut response = reply::answer(StatusCode::OK, MEDIA_TYPE, body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
