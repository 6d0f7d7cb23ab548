//! An agent's answer over gRPC: messages, then the status that says how it ended.

use async_stream::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::binding::grpc::{
    self, DETAILS_TRAILER, Deframer, FrameError, MESSAGE_TRAILER, STATUS_TRAILER, is_media_type,
};
use protocol::{Operation, StreamResponse};
use serde::de::DeserializeOwned;

use super::failure::Trouble;
use super::retry_after;
use crate::ports::downstream::EventStream;

/// Reads an answer that is one message of at most `limit` bytes.
pub(super) async fn read<T: DeserializeOwned>(
    operation: Operation,
    answer: Response<Incoming>,
    limit: usize,
) -> Result<T, Trouble> {
    let mut messages = Messages::of(answer, limit)?;
    let first = messages.next().await?;
    let first = first.ok_or_else(|| Trouble::Garbage("expected a message before the status".to_owned()))?;
    // An error may still follow; a message that comes with one is not an answer.
    match messages.next().await? {
        None => decode(operation, &first),
        Some(_) => Err(Trouble::Garbage("expected one message, found several".to_owned())),
    }
}

/// Opens a stream of messages of at most `limit` bytes each. An error before the first message is the call's.
pub(super) async fn open(
    operation: Operation,
    answer: Response<Incoming>,
    limit: usize,
) -> Result<EventStream, Trouble> {
    let mut messages = Messages::of(answer, limit)?;
    let mut next = messages.next_event().await?;
    Ok(Box::pin(stream! {
        while let Some(message) = next {
            let event = decode::<StreamResponse>(operation, &message).map_err(Trouble::of_rest);
            let failed = event.is_err();
            yield event;
            if failed {
                return;
            }
            next = match messages.next_event().await {
                Ok(next) => next,
                Err(trouble) => {
                    yield Err(trouble.of_rest());
                    return;
                }
            };
        }
    }))
}

fn decode<T: DeserializeOwned>(operation: Operation, message: &[u8]) -> Result<T, Trouble> {
    grpc::read_response(operation, message)
        .map_err(|invalid| Trouble::Garbage(format!("expected an A2A object: {invalid}")))
}

struct Messages {
    body: Incoming,
    deframer: Deframer,
    /// The head was the end.
    ended: bool,
}

impl Messages {
    fn of(answer: Response<Incoming>, limit: usize) -> Result<Self, Trouble> {
        let (head, body) = answer.into_parts();
        let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if head.status != StatusCode::OK {
            return Err(Trouble::Status(head.status, retry_after::read(&head.headers)));
        }
        if !media_type.is_some_and(is_media_type) {
            let found = media_type.unwrap_or("none");
            return Err(Trouble::Garbage(format!(
                "expected the content type application/grpc, found {found}"
            )));
        }
        let ended = ended(&head.headers)?;
        Ok(Self { body, deframer: Deframer::new(limit), ended })
    }

    /// The next message of a stream. One that is too large is no A2A event, whatever came before it.
    async fn next_event(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        self.next().await.map_err(|trouble| match trouble {
            Trouble::TooLarge { limit } => Trouble::Garbage(format!("an event is larger than {limit} bytes")),
            trouble => trouble,
        })
    }

    /// The next message; `None` after the last, when all went well.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        loop {
            let complete = self.deframer.next_message();
            if let Some(message) = complete.map_err(of_frame)? {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            let broken = |error: &str| Trouble::Transport(format!("its answer broke off: {error}"));
            let frame = self.body.frame().await.ok_or_else(|| broken("there was no status"))?;
            match frame.map_err(|error| broken(&error.to_string()))?.into_data() {
                Ok(data) => self.deframer.push(&data),
                Err(frame) => self.ended = frame.trailers_ref().map_or(Ok(false), ended)?,
            }
            if self.ended && self.deframer.is_mid_message() {
                return Err(broken("it ended in the middle of a message"));
            }
        }
    }
}

fn of_frame(error: FrameError) -> Trouble {
    match error {
        FrameError::TooLarge { limit, .. } => Trouble::TooLarge { limit },
        error => Trouble::Garbage(error.to_string()),
    }
}

/// Whether these headers or trailers end the call; an error if they end it with one.
fn ended(headers: &HeaderMap) -> Result<bool, Trouble> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(code) = text(STATUS_TRAILER) else { return Ok(false) };
    match grpc::read_status(code, text(MESSAGE_TRAILER), text(DETAILS_TRAILER)) {
        None => Ok(true),
        Some(error) => Err(Trouble::Answered(error)),
    }
}
