//! Callers of A2A 0.3: a layer around the operations of 1.0, for both bindings. Parameters are translated on their way
//! in, answers on their way out; what happens in between does not know of it.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Response, StatusCode};
use protocol::v03::{self, Dialect};
use protocol::{A2aError, ErrorKind, Operation, VERSION_HEADER, Version, read_params};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::operations::{Answer, Call, Context, Parameters};
use super::reply::{self, Body};
use crate::service::StreamItem;

/// The media type of requests and answers (0.3 §3.2.3).
pub(super) const MEDIA_TYPE: &str = "application/json";

/// Serves a call that is named as in 0.3.
pub(super) async fn perform(
    context: &Context,
    call: &Call<'_>,
    parameters: impl Parameters,
    dialect: Dialect,
) -> Result<Answer, A2aError> {
    check_version(call)?;
    let operation = call.operation;
    let parameters = Translated { parameters, operation, dialect };
    match context.perform_unversioned(call, parameters).await? {
        Answer::Json(json) => write(operation, &json, dialect).map(Answer::Json),
        Answer::Stream(events) => {
            let events = events.filter_map(move |StreamItem { id, json }| async move {
                Some(StreamItem { id, json: write(operation, &json, dialect).ok()? })
            });
            Ok(Answer::Stream(Box::pin(events)))
        }
    }
}

/// An error in the shape of 0.3's HTTP+JSON.
pub(super) fn error(error: &A2aError) -> Response<Body> {
    let status = StatusCode::from_u16(error.kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = reply::json(status, MEDIA_TYPE, &v03::error_to_http(error));
    reply::add_challenge(&mut response, error);
    response
}

/// Who asks for 1.0 has to name things as in 1.0.
fn check_version(call: &Call<'_>) -> Result<(), A2aError> {
    let (header, query) = call.head.asked_version();
    if Version::asked(header, query.as_deref())? == Version::V03 {
        return Ok(());
    }
    let message = format!(
        "Method not found: in A2A 1.0 this is called {}; to call it as in 0.3, leave {VERSION_HEADER} out or send {}",
        call.operation.method(),
        v03::PROTOCOL_VERSION
    );
    Err(A2aError::new(ErrorKind::MethodNotFound, message))
}

/// Parameters of 0.3, read as those of 1.0.
struct Translated<P> {
    parameters: P,
    operation: Operation,
    dialect: Dialect,
}

impl<P: Parameters> Parameters for Translated<P> {
    fn read<T: DeserializeOwned>(self) -> Result<T, A2aError> {
        let given: Box<RawValue> = self.parameters.read()?;
        read_params(Some(&*v03::read_request(self.operation, &given, self.dialect)?))
    }
}

fn write(operation: Operation, json: &[u8], dialect: Dialect) -> Result<Bytes, A2aError> {
    let translated = serde_json::from_slice::<&RawValue>(json)
        .map_err(|error| error.to_string())
        .and_then(|raw| v03::write_answer(operation, raw, dialect).map_err(|invalid| invalid.to_string()));
    match translated {
        Ok(translated) => Ok(Bytes::from(String::from(Box::<str>::from(translated)))),
        Err(problem) => {
            tracing::error!(operation = operation.method(), problem, "an answer cannot be said in A2A 0.3");
            Err(A2aError::new(ErrorKind::Internal, "the answer cannot be said in A2A 0.3"))
        }
    }
}
