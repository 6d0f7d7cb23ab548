//! An agent's event stream, decoded.

use async_stream::stream;
use broker_core::delegation::input::Failure;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::binding::jsonrpc::{self, ResponseError};
use protocol::binding::sse::{Decoder, Event};
use protocol::{A2aError, StreamResponse};

use super::failure::Trouble;
use crate::ports::downstream::{Binding, EventStream};

/// The events of a `text/event-stream` body. Ends after an error; a clean end of the body ends it without one.
pub(super) fn events(mut body: Incoming, binding: Binding, max_event_bytes: usize) -> EventStream {
    Box::pin(stream! {
        let mut decoder = Decoder::new(max_event_bytes);
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    yield Err(Failure::Broken(format!("its event stream broke off: {error}")));
                    return;
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            let complete = match decoder.push(&data) {
                Ok(complete) => complete,
                Err(error) => {
                    yield Err(Failure::Invalid(error.to_string()));
                    return;
                }
            };
            for event in complete {
                let read = read(&event, binding).map_err(Trouble::of_send);
                let failed = read.is_err();
                yield read;
                if failed {
                    return;
                }
            }
        }
        if decoder.is_mid_event() {
            yield Err(Failure::Broken("its event stream ended in the middle of an event".to_owned()));
        }
    })
}

fn read(event: &Event, binding: Binding) -> Result<StreamResponse, Trouble> {
    let data = event.data.as_bytes();
    let is_error = event.name.as_deref() == Some("error");
    match binding {
        Binding::JsonRpc => jsonrpc::read_response(data).map_err(|error| match error {
            ResponseError::Answered(error) => Trouble::Answered(error),
            ResponseError::Garbage(problem) => Trouble::Garbage(problem),
        }),
        Binding::HttpJson if is_error => Err(Trouble::Answered(A2aError::from_http(500, data))),
        // gRPC has streams of its own.
        Binding::HttpJson | Binding::Grpc => read_json(data),
    }
}

/// Reads a bare result.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(data: &[u8]) -> Result<T, Trouble> {
    jsonrpc::check_nesting(data).map_err(Trouble::Garbage)?;
    serde_json::from_slice(data).map_err(|error| {
        let found = String::from_utf8_lossy(data.get(..80.min(data.len())).unwrap_or_default()).into_owned();
        Trouble::Garbage(format!("expected an A2A object: {error}, found {found}"))
    })
}
