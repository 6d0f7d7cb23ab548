//! What endpoints take and how they answer, kind by kind: each knows how it is read or written and how it is described.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use protocol::A2aError;
use protocol::binding::sse;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::openapi::Description;
use super::{Call, query};
use crate::northbound::{body, reply};

/// JSON, as answers name it.
pub(super) const JSON: &str = "application/json";
const JSON_LINES: &str = "application/jsonl";
const BYTES: &str = "application/octet-stream";

/// What an endpoint takes.
pub(super) trait Input: Sized {
    /// Reads it from a call.
    fn take(call: &Call<'_>) -> Result<Self, A2aError>;
    /// Says so.
    fn describe(description: &mut Description<'_>);
}

/// How an endpoint answers.
pub(super) trait Output {
    /// Makes the answer.
    fn respond(self) -> Response<reply::Body>;
    /// Says so.
    fn describe(description: &mut Description<'_>);
}

/// Parameters in the query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema> Input for Query<T> {
    fn take(call: &Call<'_>) -> Result<Self, A2aError> {
        query::read(call.query).map(Self)
    }

    fn describe(description: &mut Description<'_>) {
        description.takes_in_query::<T>();
    }
}

/// A JSON object as the body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema> Input for Body<T> {
    fn take(call: &Call<'_>) -> Result<Self, A2aError> {
        body::read_json(call.body.as_ref().map_err(Clone::clone)?).map(Self)
    }

    fn describe(description: &mut Description<'_>) {
        description.takes_as_body::<T>(true);
    }
}

/// The same where it may be left out.
pub(super) struct Optional<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema + Default> Input for Optional<T> {
    fn take(call: &Call<'_>) -> Result<Self, A2aError> {
        let sent = call.body.as_ref().map_err(Clone::clone)?;
        if sent.is_empty() { Ok(Self(T::default())) } else { body::read_json(sent).map(Self) }
    }

    fn describe(description: &mut Description<'_>) {
        description.takes_as_body::<T>(false);
    }
}

/// A JSON document.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize + JsonSchema> Output for Json<T> {
    fn respond(self) -> Response<reply::Body> {
        reply::json(StatusCode::OK, JSON, &self.0)
    }

    fn describe(description: &mut Description<'_>) {
        description.answers_json::<T>(StatusCode::OK, "The answer.");
    }
}

/// A JSON document that shows what is new.
pub(super) struct Created<T>(pub(super) T);

impl<T: Serialize + JsonSchema> Output for Created<T> {
    fn respond(self) -> Response<reply::Body> {
        reply::json(StatusCode::CREATED, JSON, &self.0)
    }

    fn describe(description: &mut Description<'_>) {
        description.answers_json::<T>(StatusCode::CREATED, "It is there.");
    }
}

/// It is done, and there is nothing to say.
pub(super) struct NoContent;

impl Output for NoContent {
    fn respond(self) -> Response<reply::Body> {
        let mut response = reply::answer(StatusCode::NO_CONTENT, JSON, reply::whole(""));
        response.headers_mut().remove(CONTENT_TYPE);
        response
    }

    fn describe(description: &mut Description<'_>) {
        description.answers_nothing("It is done.");
    }
}

/// JSON documents, each on a line of its own.
pub(super) struct JsonLines(pub(super) Bytes);

impl Output for JsonLines {
    fn respond(self) -> Response<reply::Body> {
        reply::answer(StatusCode::OK, JSON_LINES, reply::whole(self.0))
    }

    fn describe(description: &mut Description<'_>) {
        description.answers(JSON_LINES, "A JSON document on each line.");
    }
}

/// Events as they happen.
pub(super) struct EventStream(pub(super) Response<reply::Body>);

impl Output for EventStream {
    fn respond(self) -> Response<reply::Body> {
        self.0
    }

    fn describe(description: &mut Description<'_>) {
        description.defines::<crate::service::Happening>();
        description.answers_events(sse::MEDIA_TYPE, "Events as they happen, without end.");
    }
}

/// A file, as it is made.
pub(super) struct Archive(pub(super) reply::Body);

impl Output for Archive {
    fn respond(self) -> Response<reply::Body> {
        let mut response = reply::answer(StatusCode::OK, BYTES, self.0);
        reply::keep_private(&mut response);
        response
    }

    fn describe(description: &mut Description<'_>) {
        description.answers(BYTES, "The file, as it is made.");
    }
}
