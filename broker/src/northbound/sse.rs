//! Event streams towards callers. The head leaves together with the first event.

use async_stream::stream;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use protocol::binding::jsonrpc::{RequestId, wrap_result};
use protocol::binding::sse;
use tokio::sync::watch;

use super::operations::Context;
use super::reply::{self, Body};
use crate::service::TaskStream;

/// Waits until the server shuts down.
pub(super) async fn over(shutdown: &mut watch::Receiver<bool>) {
    // A server that is gone is over too.
    let _ = shutdown.wait_for(|over| *over).await;
}

/// Serves a stream; with `id`, each event wrapped as a JSON-RPC response. After a silence as long as `heartbeat` a
/// comment keeps the connection alive. Ends when the broker shuts down, so that the caller can resume elsewhere.
pub(super) fn serve(mut events: TaskStream, id: Option<RequestId>, context: &Context) -> Response<Body> {
    let (heartbeat, mut shutdown) = (context.heartbeat, context.shutdown());
    let body = stream! {
        loop {
            tokio::select! {
                biased;
                event = events.next() => {
                    let Some(event) = event else { return };
                    let bytes = match &id {
                        Some(id) => sse::write_event(event.id, &wrap_result(id, &event.json)),
                        None => sse::write_event(event.id, &event.json),
                    };
                    yield Bytes::from(bytes);
                }
                () = tokio::time::sleep(heartbeat) => yield Bytes::from_static(sse::HEARTBEAT),
                () = over(&mut shutdown) => return,
            }
        }
    };
    let mut response = reply::answer(StatusCode::OK, "text/event-stream", reply::streamed(body));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
