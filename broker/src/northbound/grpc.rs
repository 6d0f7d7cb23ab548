//! The gRPC binding's server side (spec §10), on the port of the other bindings: where parameters come from, how
//! answers travel, and how a call ends. The tenant in a request names the agent.

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use protocol::binding::grpc::{self, Deframer, FrameError, MEDIA_TYPE, STATUS_TRAILER, TIMEOUT_HEADER};
use protocol::{A2aError, ErrorKind, Operation};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Instant;

use super::leaving::{Phase, begun};
use super::operations::{Answer, Call, Context, Head, Parameters};
use super::overload;
use super::reply::{self, Body, CutShort};
use crate::service::{Target, TaskStream};

/// Whether a request is gRPC's, which is all that tells it from others on this port.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    reply::header(headers, CONTENT_TYPE).is_some_and(grpc::is_media_type)
}

/// Serves one call.
pub(super) async fn serve(
    context: &Context,
    request: &Parts,
    head: Head<'_>,
    body: Result<Bytes, A2aError>,
) -> Response<Body> {
    if request.version < Version::HTTP_2 {
        let message = "gRPC is spoken over HTTP/2 only; use the JSON bindings over HTTP/1.1";
        return reply::error(&A2aError::new(ErrorKind::InvalidRequest, message));
    }
    if request.method != http::Method::POST {
        return reply::method_not_allowed("POST");
    }
    call(context, request.uri.path(), head, body).await.unwrap_or_else(|error| refuse(&error))
}

async fn call(
    context: &Context,
    path: &str,
    head: Head<'_>,
    body: Result<Bytes, A2aError>,
) -> Result<Response<Body>, A2aError> {
    let operation = grpc::operation_at(path).ok_or_else(|| {
        let message = format!("there is no method {path:?}; the service is lf.a2a.v1.A2AService");
        A2aError::new(ErrorKind::Unimplemented, message)
    })?;
    let deadline = Deadline::of(head.headers)?;
    let call = Call { operation, version: protocol::Version::V1, addressed: Target::Any, head };
    let parameters = Sent { operation, body };
    let answer = tokio::select! {
        biased;
        answer = context.perform(&call, parameters) => answer?,
        () = deadline.passed() => return Err(deadline.error()),
    };
    match answer {
        Answer::Json(json) => {
            let message = Bytes::from(grpc::write_response(operation, &json)?);
            Ok(answer_with(Body::whole(message, Some(trailers(None)))))
        }
        Answer::Stream(events) => Ok(answer_with(streamed(operation, events, deadline, context.phase()))),
    }
}

/// The one message of a request.
struct Sent {
    operation: Operation,
    body: Result<Bytes, A2aError>,
}

impl Parameters for Sent {
    fn read<T: DeserializeOwned>(self) -> Result<T, A2aError> {
        let body = self.body?;
        let mut deframer = Deframer::new(body.len());
        deframer.push(&body);
        let message = deframer.next_message().map_err(|error| match error {
            FrameError::Compressed => A2aError::new(ErrorKind::Unimplemented, error.to_string()),
            // The body has been read whole, so this one has been cut off.
            FrameError::TooLarge { .. } => not_one_message(),
            FrameError::BadFlag(_) => A2aError::new(ErrorKind::ParseError, error.to_string()),
        })?;
        let message = message.filter(|_| !deframer.is_mid_message()).ok_or_else(not_one_message)?;
        grpc::read_request(self.operation, &message)
    }
}

fn not_one_message() -> A2aError {
    A2aError::new(ErrorKind::ParseError, "expected exactly one whole message in its gRPC frame")
}

/// The events as messages; the trailers say how it ended. A caller that hangs up takes the stream with it.
fn streamed(
    operation: Operation,
    mut events: TaskStream,
    deadline: Deadline,
    mut phase: watch::Receiver<Phase>,
) -> Body {
    let frames = stream! {
        let (mut leaving, mut late) = (pin!(begun(Phase::Draining, &mut phase)), pin!(deadline.passed()));
        let error = loop {
            tokio::select! {
                biased;
                () = &mut leaving => break Some(overload::shutting_down()),
                event = events.next() => {
                    let Some(event) = event else { break None };
                    match event.and_then(|event| grpc::write_response(operation, &event.json)) {
                        Ok(message) => yield Ok::<_, CutShort>(Frame::data(Bytes::from(message))),
                        Err(error) => break Some(error),
                    }
                }
                () = &mut late => break Some(deadline.error()),
            }
        };
        yield Ok(Frame::trailers(trailers(error.as_ref())));
    };
    Body::streamed(StreamBody::new(frames).boxed_unsync())
}

/// The last word of a stream at that path when this broker leaves; `None` where there is no stream.
pub(super) fn farewell(path: &str) -> Option<HeaderMap> {
    let operation = grpc::operation_at(path).filter(|operation| operation.streams());
    operation.map(|_| trailers(Some(&overload::shutting_down())))
}

/// How long the caller waits, if it has said so. What its call began goes on without it.
#[derive(Clone, Copy)]
struct Deadline {
    timeout: Duration,
    at: Option<Instant>,
}

impl Deadline {
    fn of(headers: &HeaderMap) -> Result<Self, A2aError> {
        let timeout = reply::header(headers, TIMEOUT_HEADER).map(grpc::read_timeout).transpose()?;
        // One beyond what the clock can count to is none.
        let at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(Self { timeout: timeout.unwrap_or_default(), at })
    }

    async fn passed(self) {
        match self.at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    fn error(self) -> A2aError {
        let message =
            format!("not over within {:?} ({TIMEOUT_HEADER}); what was begun goes on", self.timeout);
        A2aError::new(ErrorKind::RequestTimeout, message)
    }
}

fn answer_with(body: Body) -> Response<Body> {
    reply::answer(StatusCode::OK, MEDIA_TYPE, body)
}

/// An answer that is nothing but its end.
pub(super) fn refuse(error: &A2aError) -> Response<Body> {
    let mut response = answer_with(reply::whole(""));
    response.headers_mut().extend(trailers(Some(error)));
    reply::add_challenge(&mut response, error);
    response
}

/// How a call ended.
fn trailers(error: Option<&A2aError>) -> HeaderMap {
    let status = error.map_or_else(|| vec![(STATUS_TRAILER, grpc::OK.to_string())], grpc::write_status);
    let mut trailers = HeaderMap::new();
    for (name, value) in status {
        if let Ok(value) = HeaderValue::try_from(value) {
            trailers.insert(name, value);
        }
    }
    trailers
}
