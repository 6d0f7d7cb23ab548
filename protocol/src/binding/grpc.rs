//! The gRPC binding (spec §10), both directions: messages in their frames, the status that ends a call, and the one
//! conversion between protobuf and what the other bindings write.
//!
//! Protobuf cannot carry all that JSON can. On the way to it are lost: members that no field has, integers beyond
//! 2^53 in `data` and metadata (they become the nearest floating-point number), the order of an object's members, the
//! spelling of numbers and base64, and the difference between an empty text or list and none. What is nested deeper
//! than [`MAX_DEPTH`] messages is refused, because protobuf's own implementations do not read it.

mod decode;
mod encode;
mod frame;
mod status;
mod wire;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use self::frame::{Deframer, FrameError, PREFIX_BYTES, frame};
pub use self::status::{DETAILS_TRAILER, MESSAGE_TRAILER, OK, STATUS_TRAILER, read_status, write_status};
use crate::error::{A2aError, ErrorKind};
pub use crate::schema::MAX_DEPTH;
use crate::schema::SCHEMA;
use crate::{Invalid, Operation, read_params};

/// The media type of requests and answers.
pub const MEDIA_TYPE: &str = "application/grpc";
/// The header by which a caller says how long it will wait.
pub const TIMEOUT_HEADER: &str = "grpc-timeout";
/// The path of the service.
const SERVICE: &str = "/lf.a2a.v1.A2AService/";

/// Whether a media type is gRPC's with protobuf in it.
pub fn is_media_type(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    matches!(essence.strip_prefix(MEDIA_TYPE), Some("" | "+proto"))
}

/// The operation at a path.
pub fn operation_at(path: &str) -> Option<Operation> {
    Operation::of_method(path.strip_prefix(SERVICE)?)
}

/// The path of an operation.
pub fn path_of(operation: Operation) -> String {
    format!("{SERVICE}{}", operation.method())
}

/// Reads a request's message.
pub fn read_request<T: DeserializeOwned>(operation: Operation, message: &[u8]) -> Result<T, A2aError> {
    let unreadable = |problem: String| A2aError::new(ErrorKind::ParseError, problem);
    let (request, _) = messages_of(operation);
    let json = decode::decode(request, message).map_err(|invalid| unreadable(invalid.to_string()))?;
    let raw = RawValue::from_string(json).map_err(|error| unreadable(error.to_string()))?;
    read_params(Some(&raw))
}

/// Writes an answer, or an event of one that streams, from its ProtoJSON; in its frame.
pub fn write_response(operation: Operation, json: &[u8]) -> Result<Vec<u8>, A2aError> {
    let (_, response) = messages_of(operation);
    std::str::from_utf8(json)
        .map_err(|_| Invalid::new("not JSON"))
        .and_then(|json| write(response, json))
        .map_err(|invalid| {
            let message =
                format!("the answer cannot be written as protobuf; ask over another binding: {invalid}");
            A2aError::new(ErrorKind::Internal, message)
        })
}

/// Writes a request of our own; in its frame.
pub fn write_request(operation: Operation, params: &impl Serialize) -> Result<Vec<u8>, Invalid> {
    let (request, _) = messages_of(operation);
    let json = serde_json::to_string(params).map_err(|error| Invalid::new(error.to_string()))?;
    write(request, &json)
}

/// Reads the answer to one, or an event of an answer that streams.
pub fn read_response<T: DeserializeOwned>(operation: Operation, message: &[u8]) -> Result<T, Invalid> {
    let (_, response) = messages_of(operation);
    let json = decode::decode(response, message)?;
    serde_json::from_str(&json).map_err(|error| Invalid::new(crate::fields::strip_position(&error)))
}

fn write(message: &str, json: &str) -> Result<Vec<u8>, Invalid> {
    frame(&encode::encode(message, json)?).map_err(|error| Invalid::new(error.to_string()))
}

/// The messages an operation takes and answers with.
fn messages_of(operation: Operation) -> (&'static str, &'static str) {
    SCHEMA.method(operation.method()).unwrap_or_default()
}

/// Reads a [`TIMEOUT_HEADER`]: at most eight digits and a unit.
pub fn read_timeout(text: &str) -> Result<Duration, A2aError> {
    let wrong = || {
        let problem =
            format!("expected at most 8 digits and one of H M S m u n, such as 30S, found {text:?}");
        crate::invalid_params(vec![(TIMEOUT_HEADER.to_owned(), problem)])
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let digits = text.strip_suffix(unit).unwrap_or_default();
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match unit {
        'H' => Ok(Duration::from_hours(number)),
        'M' => Ok(Duration::from_mins(number)),
        'S' => Ok(Duration::from_secs(number)),
        'm' => Ok(Duration::from_millis(number)),
        'u' => Ok(Duration::from_micros(number)),
        'n' => Ok(Duration::from_nanos(number)),
        _ => Err(wrong()),
    }
}
