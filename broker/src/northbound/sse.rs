//! Event streams towards callers. The head leaves together with the first event.

use std::pin::Pin;
use std::task::{self, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use protocol::binding::jsonrpc::{AFTER_RESULT, RequestId, before_result};
use protocol::binding::sse;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

use super::leaving::{Phase, begun, has_begun};
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
    pieces: impl Stream<Item = Result<Bytes, CutShort>> + Send + Unpin + 'static,
    context: &Context,
) -> Response<Body> {
    let (heartbeat, mut phase, mut watched) = (context.heartbeat, context.phase(), context.phase());
    if *phase.borrow() != Phase::Serving {
        // What began before is looked at too.
        phase.mark_changed();
    }
    let leaving = Box::pin(async move { begun(Phase::Draining, &mut watched).await });
    event_stream(reply::streamed(Paced {
        pieces,
        heartbeat,
        silence: Box::pin(sleep(heartbeat)),
        spoken: Instant::now(),
        phase,
        leaving,
    }))
}

/// The pieces of an event stream, of which an error is the last, and what else it listens to. Written out, and not as a
/// generator: each event is taken through it once for everybody who listens.
struct Paced<P, L> {
    pieces: P,
    heartbeat: Duration,
    /// To the next sign of life, had nothing been said meanwhile: it is not set anew for each piece.
    silence: Pin<Box<Sleep>>,
    /// When something was said last.
    spoken: Instant,
    phase: watch::Receiver<Phase>,
    /// Resolves when the server is leaving.
    leaving: Pin<Box<L>>,
}

impl<P, L> Paced<P, L> {
    /// Resolves when nothing has been said for as long as the heartbeat.
    fn poll_silence(&mut self, context: &mut task::Context<'_>) -> Poll<()> {
        loop {
            ready!(self.silence.as_mut().poll(context));
            let due = self.spoken + self.heartbeat;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.silence.as_mut().reset(due);
        }
    }
}

impl<P, L> Stream for Paced<P, L>
where
    P: Stream<Item = Result<Bytes, CutShort>> + Unpin,
    L: Future<Output = ()>,
{
    type Item = P::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        // First: who hears much would not be sent away in time, and what follows is heard on resuming.
        if has_begun(Phase::Draining, &this.phase) {
            return Poll::Ready(None);
        }
        let piece = match this.pieces.poll_next_unpin(context) {
            Poll::Ready(piece) => piece,
            Poll::Pending if this.leaving.as_mut().poll(context).is_ready() => None,
            Poll::Pending => {
                ready!(this.poll_silence(context));
                Some(Ok(Bytes::from_static(sse::HEARTBEAT)))
            }
        };
        this.spoken = Instant::now();
        Poll::Ready(piece)
    }
}

/// Whether an answer is an event stream.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    reply::header(headers, CONTENT_TYPE).is_some_and(sse::is_media_type)
}

/// An event stream with this body.
pub(super) fn event_stream(body: Body) -> Response<Body> {
    let mut response = reply::answer(StatusCode::OK, sse::MEDIA_TYPE, body);
    response.headers_mut().extend(unbuffered());
    response
}

/// What keeps those in between from holding events: proxies that buffer would hold them back, caches would keep them.
pub(super) fn unbuffered() -> [(HeaderName, HeaderValue); 2] {
    let buffering = HeaderName::from_static("x-accel-buffering");
    [(buffering, HeaderValue::from_static("no")), (CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio::time::sleep_until;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sign_of_life_comes_after_a_silence_as_long_as_the_heartbeat() {
        const SECOND: Duration = Duration::from_secs(1);
        let (say, pieces) = mpsc::unbounded_channel();
        let (_serving, phase) = watch::channel(Phase::Serving);
        let (heartbeat, began) = (10 * SECOND, Instant::now());
        let mut paced = Paced {
            pieces: UnboundedReceiverStream::new(pieces),
            heartbeat,
            silence: Box::pin(sleep(heartbeat)),
            spoken: began,
            phase,
            leaving: Box::pin(std::future::pending()),
        };
        let piece = Bytes::from_static(b"piece");
        let said = piece.clone();
        tokio::spawn(async move {
            for at in [6, 9, 32] {
                sleep_until(began + at * SECOND).await;
                say.send(Ok(said.clone())).expect("somebody listens");
            }
        });
        let alive = Bytes::from_static(sse::HEARTBEAT);
        for expected in [(6, &piece), (9, &piece), (19, &alive), (29, &alive), (32, &piece)] {
            let heard = paced.next().await.expect("it goes on").expect("a piece");
            assert_eq!((began.elapsed().as_secs(), &heard), expected);
        }
        assert!(paced.next().await.is_none(), "all is said");
    }
}
