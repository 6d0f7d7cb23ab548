//! Requests about trees that another broker drives: handed on as they came, and answered as they are answered there. So any
//! broker of a store answers for any task, whichever a caller, an agent or a load balancer happens to reach.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use protocol::{A2aError, ErrorKind};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::leaving::{Phase, begun};
use super::outgoing::{Body, CutShort};
use super::server::Server;
use super::{grpc, reply, sse};
use crate::service::{Elsewhere, NotHandedOn, Piece, Pieces};

/// Says that a request was handed on already: it is not handed on once more, so that none goes round in circles.
const HANDED_ON: &str = "bailiwick-handed-on";
/// For how long a broker that is not there is waited for, or for another one to take over its tasks.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);

/// Whether a request came from another broker.
pub(super) fn is_handed_on(head: &Parts) -> bool {
    reply::header(&head.headers, HANDED_ON).is_some()
}

/// What came of handing a request on.
pub(super) enum HandedOn {
    /// Its answer.
    Answered(Response<Body>),
    /// The other broker is not there; who drives the tree is to be asked again.
    AskAgain,
    /// It cannot be answered.
    Refused(A2aError),
}

impl Server {
    /// Hands a request on to the broker that drives a tree; since then it is tried.
    pub(super) async fn hand_on(
        &self,
        to: &Elsewhere,
        (head, body): (&Parts, &Bytes),
        since: Instant,
    ) -> HandedOn {
        let broker = &self.context.broker;
        let answer = tokio::select! {
            answer = broker.hand_on(to, copy(head, body)) => answer,
            // It was stopped, and another one drives the tree by now. What it has done is to be found there, and it can do
            // nothing more: the same again is safe.
            () = broker.until_moved(to) => return HandedOn::AskAgain,
        };
        match answer {
            Ok(answer) => {
                let (moved, end) = (broker.until_moved(to), End::of(head, answer.headers()));
                let phase = self.context.phase();
                HandedOn::Answered(answer.map(|pieces| streamed(pieces, moved, end, phase)))
            }
            Err(NotHandedOn::Unknown(reason)) if !is_repeatable(&head.method) => {
                tracing::warn!(to.url, reason, "a request that was handed on was not answered");
                HandedOn::Refused(unknown())
            }
            Err(NotHandedOn::NotSent(reason) | NotHandedOn::Unknown(reason)) => {
                if since.elapsed() < PATIENCE {
                    sleep(PAUSE).await;
                    return HandedOn::AskAgain;
                }
                tracing::warn!(
                    to.url,
                    reason,
                    "another broker is not there, and nobody has taken over its tasks"
                );
                HandedOn::Refused(away())
            }
        }
    }
}

fn copy(head: &Parts, body: &Bytes) -> Request<Bytes> {
    let mut request = Request::new(body.clone());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    // What gRPC says can be said in HTTP/2 alone.
    let is_grpc = grpc::is_grpc(&head.headers);
    *request.version_mut() = if is_grpc { Version::HTTP_2 } else { Version::HTTP_11 };
    *request.headers_mut() = head.headers.clone();
    // Of what was read of the body, which may be nothing.
    request.headers_mut().remove(CONTENT_LENGTH);
    request.headers_mut().insert(HANDED_ON, HeaderValue::from_static("1"));
    request
}

/// What becomes of an answer that is on its way when this broker leaves.
enum End {
    /// It is finished.
    Finished,
    /// A stream ends like this broker's own, so that the caller can resume it elsewhere: with these trailers, or none.
    Left(Option<HeaderMap>),
}

impl End {
    fn of(request: &Parts, answer: &HeaderMap) -> Self {
        if sse::is_event_stream(answer) {
            return Self::Left(None);
        }
        let last = Some(request).filter(|request| grpc::is_grpc(&request.headers));
        match last.and_then(|request| grpc::farewell(request.uri.path())) {
            Some(trailers) => Self::Left(Some(trailers)),
            None => Self::Finished,
        }
    }

    /// Resolves when it is to end.
    async fn come(self, mut phase: watch::Receiver<Phase>) -> Option<HeaderMap> {
        let Self::Left(trailers) = self else { return pending().await };
        begun(Phase::Draining, &mut phase).await;
        trailers
    }
}

/// An answer as it comes; it breaks off when nobody is there any more to give it.
fn streamed(
    pieces: Pieces,
    moved: impl Future<Output = ()> + Send + 'static,
    end: End,
    phase: watch::Receiver<Phase>,
) -> Body {
    let mut frames = pieces.map(|piece| match piece {
        Ok(Piece::Data(data)) => Ok(Frame::data(data)),
        Ok(Piece::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
        Err(_) => Err(CutShort),
    });
    let until_cut = async_stream::stream! {
        let (mut moved, mut end) = (pin!(moved), pin!(end.come(phase)));
        loop {
            tokio::select! {
                biased;
                trailers = &mut end => {
                    if let Some(trailers) = trailers {
                        yield Ok(Frame::trailers(trailers));
                    }
                    return;
                }
                frame = frames.next() => match frame {
                    Some(frame) => yield frame,
                    None => return,
                },
                () = &mut moved => {
                    yield Err(CutShort);
                    return;
                }
            }
        }
    };
    Body::streamed(StreamBody::new(until_cut).boxed_unsync())
}

fn is_repeatable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// A client certificate proves who is at the other end of a connection, and of no further one.
pub(super) fn of_a_certificate() -> A2aError {
    let message = "another broker drives this task, and a client certificate cannot be handed on to it; call that one, or \
                   use an API key or a token";
    A2aError::new(ErrorKind::Unavailable, message)
}

fn away() -> A2aError {
    let message =
        "the broker that drives this task is not there, and another one has not taken over yet; try again";
    A2aError::new(ErrorKind::Unavailable, message)
}

fn unknown() -> A2aError {
    let message = "the broker that drives this task did not answer, and whether it did what was asked is not known; the \
                   same again, under the same messageId, is safe";
    A2aError::new(ErrorKind::OutcomeUnknown, message)
}
