//! Callers of A2A 0.3: a layer around the operations of 1.0, for both bindings. Parameters are translated on their way
//! in, answers on their way out; what happens in between does not know of it.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Response, StatusCode};
use protocol::v03::{self, Dialect};
use protocol::{
    A2aError, ErrorKind, Fields, ListTaskPushNotificationConfigsResponse, Operation, VERSION_HEADER, Version,
    read_params,
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::operations::{Answer, Call, Context, Parameters};
use super::reply::{self, Body};
use crate::service::{StreamItem, TaskStream};

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
    if call.operation != Operation::GetTaskPushNotificationConfig {
        return translate(context, call, parameters, dialect).await;
    }
    let given = Given(parameters.read()?);
    if names_no_config(&given)? {
        return first_config(context, call, given, dialect).await;
    }
    translate(context, call, given, dialect).await
}

async fn translate(
    context: &Context,
    call: &Call<'_>,
    parameters: impl Parameters,
    dialect: Dialect,
) -> Result<Answer, A2aError> {
    let operation = call.operation;
    let parameters = Translated { parameters, operation, dialect };
    match context.perform_unversioned(call, parameters).await? {
        Answer::Json(json) => write(operation, &json, dialect).map(Answer::Json),
        Answer::Stream(events) => {
            let events = events.filter_map(move |event| async move {
                let translate = |StreamItem { id, json }| {
                    Some(StreamItem { id, json: write(operation, &json, dialect).ok()? })
                };
                event.map(translate).transpose()
            });
            Ok(Answer::Stream(TaskStream::new(events)))
        }
    }
}

/// In 0.3 a configuration need not be named (0.3 §7.6).
fn names_no_config(Given(given): &Given) -> Result<bool, A2aError> {
    let given: Fields = read_params(Some(given))?;
    let is_set = |name| given.get(name).is_some_and(|raw| raw.get() != "null");
    Ok(!is_set("pushNotificationConfigId") && !is_set("taskId"))
}

/// The first of a task's configurations; that there is none is said as of one that does not exist.
async fn first_config(
    context: &Context,
    call: &Call<'_>,
    parameters: Given,
    dialect: Dialect,
) -> Result<Answer, A2aError> {
    let operation = Operation::ListTaskPushNotificationConfigs;
    let call = Call { operation, version: call.version, addressed: call.addressed.clone(), head: call.head };
    let parameters = Translated { parameters, operation, dialect };
    let Answer::Json(page) = context.perform_unversioned(&call, parameters).await? else {
        return Err(A2aError::new(ErrorKind::Internal, "configurations are no stream"));
    };
    let page: ListTaskPushNotificationConfigsResponse = serde_json::from_slice(&page)
        .map_err(|problem| A2aError::new(ErrorKind::Internal, problem.to_string()))?;
    let first =
        page.configs.first().ok_or_else(|| A2aError::new(ErrorKind::TaskNotFound, "Task not found"))?;
    let first = serde_json::to_vec(first)
        .map_err(|problem| A2aError::new(ErrorKind::Internal, problem.to_string()))?;
    write(Operation::GetTaskPushNotificationConfig, &first, dialect).map(Answer::Json)
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

/// Parameters as they came.
struct Given(Box<RawValue>);

impl Parameters for Given {
    fn read<T: DeserializeOwned>(self) -> Result<T, A2aError> {
        read_params(Some(&*self.0))
    }
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
