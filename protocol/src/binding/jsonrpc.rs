//! The JSON-RPC binding (spec §9), both directions.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{A2aError, ErrorKind};
use crate::fields::{excerpt, strip_position};
use crate::json::{check_nesting, to_json};
use crate::{Operation, Version, v03};

/// A request id, echoed byte for byte.
#[derive(Debug, Clone)]
pub struct RequestId(Box<RawValue>);

impl RequestId {
    /// The id of answers to what could not be read.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// The id as JSON.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }
}

/// A request, its parameters not yet read.
#[derive(Debug)]
pub struct Request {
    /// To be echoed.
    pub id: RequestId,
    /// What is asked.
    pub operation: Operation,
    /// The version whose name the method is.
    pub version: Version,
    /// The parameters, if any.
    pub params: Option<Box<RawValue>>,
}

/// A request that cannot be served, with the id to answer under.
#[derive(Debug)]
pub struct Rejected {
    /// The request's id, or null where it could not be read.
    pub id: RequestId,
    /// Why.
    pub error: A2aError,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Reads a request (spec §9.3).
pub fn read_request(body: &[u8]) -> Result<Request, Rejected> {
    let rejected = |id: &RequestId, kind, message: String| Rejected {
        id: id.clone(),
        error: A2aError::new(kind, message),
    };
    let nobody = RequestId::null();
    check_nesting(body).map_err(|problem| rejected(&nobody, ErrorKind::ParseError, problem))?;
    let envelope: Envelope<'_> = read_object(body).map_err(|unread| match unread {
        Unread::NoJson(error) => {
            rejected(&nobody, ErrorKind::ParseError, format!("Invalid JSON payload: {error}"))
        }
        Unread::NoEnvelope(problem) => {
            let message = format!("expected one JSON-RPC 2.0 request object: {problem}");
            rejected(&nobody, ErrorKind::InvalidRequest, message)
        }
    })?;
    let id = read_id(envelope.id).map_err(|message| rejected(&nobody, ErrorKind::InvalidRequest, message))?;
    if envelope.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
        let message = "expected \"jsonrpc\": \"2.0\"".to_owned();
        return Err(rejected(&id, ErrorKind::InvalidRequest, message));
    }
    let method = envelope.method.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let Some(method) = method else {
        return Err(rejected(&id, ErrorKind::InvalidRequest, "expected \"method\": a string".to_owned()));
    };
    let named = Operation::of_method(&method).map(|operation| (operation, Version::V1));
    let named = named.or_else(|| Some((v03::operation_of(&method)?, Version::V03)));
    let Some((operation, version)) = named else {
        let known: Vec<&str> = Operation::ALL.iter().map(|operation| operation.method()).collect();
        let message =
            format!("Method not found: \"{}\"; known methods: {}", excerpt(&method), known.join(", "));
        return Err(rejected(&id, ErrorKind::MethodNotFound, message));
    };
    match envelope.params.map(RawValue::get) {
        Some(params) if !params.starts_with('{') && params != "null" => {
            Err(rejected(&id, ErrorKind::InvalidParams, "expected \"params\": an object".to_owned()))
        }
        Some("null") | None => Ok(Request { id, operation, version, params: None }),
        Some(_) => Ok(Request { id, operation, version, params: envelope.params.map(ToOwned::to_owned) }),
    }
}

/// Why something is no envelope.
enum Unread {
    NoJson(serde_json::Error),
    NoEnvelope(String),
}

/// Reads an envelope: at once where it is one, and a second time for what there is to say of anything else. What is derived
/// reads a list of the members' values too, which is none (spec §9.3).
fn read_object<'r, T: Deserialize<'r>>(body: &'r [u8]) -> Result<T, Unread> {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    // All of it is to be text, also what is passed over.
    if is_object
        && let Ok(text) = std::str::from_utf8(body)
        && let Ok(read) = serde_json::from_str(text)
    {
        return Ok(read);
    }
    let raw: &RawValue = serde_json::from_slice(body).map_err(Unread::NoJson)?;
    if !is_object {
        return Err(Unread::NoEnvelope(format!("found {}", excerpt(raw.get()))));
    }
    serde_json::from_str(raw.get()).map_err(|error| Unread::NoEnvelope(strip_position(&error)))
}

fn read_id(raw: Option<&RawValue>) -> Result<RequestId, String> {
    let Some(raw) = raw else { return Ok(RequestId::null()) };
    match raw.get().as_bytes().first() {
        // Half a surrogate pair passes for text until somebody reads it, and whoever sent it would have to.
        Some(b'"') if serde_json::from_str::<Cow<'_, str>>(raw.get()).is_err() => {
            Err("expected \"id\": a string that is Unicode text".to_owned())
        }
        Some(b'"' | b'-' | b'0'..=b'9' | b'n') => Ok(RequestId(raw.to_owned())),
        _ => Err("expected \"id\": a string, a number or null".to_owned()),
    }
}

/// A successful response.
pub fn write_result(id: &RequestId, result: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    Ok(wrap_result(id, &to_json(result)?))
}

/// A successful response around a result that is JSON already.
pub fn wrap_result(id: &RequestId, result: &[u8]) -> Vec<u8> {
    let before = before_result(id);
    [before.as_slice(), result, AFTER_RESULT].concat()
}

/// What stands before the result of a successful response.
pub fn before_result(id: &RequestId) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":", id.as_json()).into_bytes()
}

/// What stands behind it.
pub const AFTER_RESULT: &[u8] = b"}";

/// An error response.
pub fn write_error(id: &RequestId, error: &A2aError) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{}}}", id.as_json(), error.to_jsonrpc()).into_bytes()
}

/// A request of our own.
pub fn write_request(id: u64, method: &str, params: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Outgoing<'a, P> {
        jsonrpc: &'a str,
        id: u64,
        method: &'a str,
        params: &'a P,
    }
    to_json(&Outgoing { jsonrpc: "2.0", id, method, params })
}

/// What is wrong with a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseError {
    /// The server answered with an error.
    Answered(A2aError),
    /// Not a JSON-RPC response with this kind of result.
    Garbage(String),
}

/// Reads a response whose result should be a `T`.
pub fn read_response<T: DeserializeOwned>(body: &[u8]) -> Result<T, ResponseError> {
    #[derive(Deserialize)]
    struct Incoming<'a> {
        #[serde(borrow)]
        result: Option<&'a RawValue>,
        error: Option<IncomingError>,
    }
    #[derive(Deserialize)]
    struct IncomingError {
        code: i64,
        #[serde(default)]
        message: String,
        data: Option<Value>,
    }
    let garbage = |problem: String| {
        let found = excerpt(&String::from_utf8_lossy(body));
        ResponseError::Garbage(format!("{problem}, found {found}"))
    };
    check_nesting(body).map_err(garbage)?;
    let incoming: Incoming<'_> = read_object(body).map_err(|unread| {
        let problem = match unread {
            Unread::NoJson(error) => strip_position(&error),
            Unread::NoEnvelope(problem) => problem,
        };
        garbage(format!("expected a JSON-RPC response: {problem}"))
    })?;
    match (incoming.result, incoming.error) {
        (_, Some(error)) => Err(ResponseError::Answered(A2aError::from_jsonrpc(
            error.code,
            &error.message,
            error.data.as_ref(),
        ))),
        (Some(result), None) => serde_json::from_str(result.get())
            .map_err(|error| garbage(format!("expected an A2A result: {}", strip_position(&error)))),
        (None, None) => Err(garbage("expected a result or an error".to_owned())),
    }
}
